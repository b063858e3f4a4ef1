//! What the agent says about itself.

use std::sync::Arc;

use futures::StreamExt;
use nomad_api::backend::{ApiResult, ByteStream};
use nomad_api::error::ApiError;
use nomad_api::types::{AgentHealth, AgentMember, HealthOfHalf};
use nomad_core::job::StringMap;
use serde_json::json;
use tokio_stream::wrappers::BroadcastStream;

use super::{AgentBackend, ServerHalf};
use crate::config::Config;
use crate::telemetry::logs;

pub(super) fn health(backend: &AgentBackend) -> AgentHealth {
    let half = |ok: bool, wrong: &str| HealthOfHalf {
        ok,
        message: if ok {
            "ok".to_owned()
        } else {
            wrong.to_owned()
        },
    };
    AgentHealth {
        client: backend
            .node
            .as_ref()
            .map(|node| half(!node.0.servers().is_empty(), "no known servers")),
        server: backend
            .server
            .as_ref()
            .map(|server| half(server.server.leader_address().is_some(), "no leader")),
    }
}

/// The configuration as the API shows it; null is a block that this agent does not have.
fn shown_config(backend: &AgentBackend) -> serde_json::Value {
    let config = &backend.config;
    let files: Vec<_> = config
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let plugins: Vec<_> = config
        .plugins
        .iter()
        .map(|(name, settings)| json!({"Name": name, "Args": null, "Config": settings}))
        .collect();
    let settings = &config.client.settings;
    let mut shown = json!({
        "Region": config.region,
        "Datacenter": config.datacenter,
        "NodeName": backend.identity.name,
        "DataDir": config.data_dir.as_deref().unwrap_or(std::path::Path::new("")),
        "PluginDir": config.plugin_dir.as_deref().unwrap_or(std::path::Path::new("")),
        "LogLevel": config.log_level,
        "LogJson": config.log_json,
        "LogIncludeLocation": config.log_include_location,
        "LogFile": config.log_file.as_deref().unwrap_or(std::path::Path::new("")),
        "BindAddr": config.bind_addr,
        "EnableDebug": config.enable_debug,
        "DevMode": config.dev,
        "Ports": {"HTTP": config.ports.http, "RPC": config.ports.rpc, "Serf": config.ports.serf},
        "Addresses": {"HTTP": config.addresses.http, "RPC": config.addresses.rpc, "Serf": config.addresses.serf},
        "AdvertiseAddrs": {
            "HTTP": backend.addresses.http, "RPC": backend.addresses.rpc, "Serf": backend.addresses.serf,
        },
        "LeaveOnInt": config.leave_on_interrupt,
        "LeaveOnTerm": config.leave_on_terminate,
        "HTTPAPIResponseHeaders": config.http_api_response_headers,
        "Limits": {
            "HTTPMaxConnsPerClient": config.limits.http_max_conns_per_client,
            "HTTPSHandshakeTimeout": go_duration(config.limits.https_handshake_timeout),
            "RPCHandshakeTimeout": go_duration(config.limits.rpc_handshake_timeout),
            "RPCMaxConnsPerClient": config.limits.rpc_max_conns_per_client,
        },
        "Plugins": plugins,
        "Files": files,
        "ConfigPaths": files,
        "Server": {
            "Enabled": config.server.enabled,
            "BootstrapExpect": config.server.bootstrap_expect,
            "NumSchedulers": backend.server.as_ref().map_or(0, |half| half.server.config().workers),
            "RaftMultiplier": config.server.raft_multiplier,
            "JobMaxPriority": config.server.job_max_priority,
            "JobDefaultPriority": config.server.job_default_priority,
            "JobMaxCount": config.server.job_max_count,
            "JobTrackedVersions": config.server.job_tracked_versions,
        },
        "Client": {
            "Enabled": config.client.enabled,
            "NodeClass": settings.node_class,
            "NodePool": settings.node_pool,
            "Meta": settings.meta,
            "Options": settings.options,
            "Servers": config.client.servers,
            "NetworkInterface": settings.network_interface,
            "MinDynamicPort": settings.min_dynamic_port,
            "MaxDynamicPort": settings.max_dynamic_port,
            "NodeMaxAllocs": settings.node_max_allocs,
            "DisableRemoteExec": settings.disable_remote_exec,
        },
        "ACL": {"Enabled": false},
        "Telemetry": {
            "PrometheusMetrics": config.telemetry.prometheus_metrics,
            "CollectionInterval": go_duration(config.telemetry.collection_interval),
            "PublishAllocationMetrics": config.telemetry.publish_allocation_metrics,
            "PublishNodeMetrics": config.telemetry.publish_node_metrics,
        },
        "Version": {"Version": nomad_core::API_LEVEL, "Revision": "", "VersionPrerelease": "", "VersionMetadata": ""},
        // This agent never calls home and writes to no syslog.
        "DisableUpdateCheck": true,
        "DisableAnonymousSignature": true,
        "EnableSyslog": false,
    });
    for block in ABSENT_BLOCKS {
        shown[block] = serde_json::Value::Null;
    }
    shown
}

/// Blocks of the configuration that clients may look for and that this agent does not have.
const ABSENT_BLOCKS: [&str; 14] = [
    "Audit",
    "Autopilot",
    "Consuls",
    "Eventlog",
    "KEKProviders",
    "LogRotateBytes",
    "LogRotateDuration",
    "LogRotateMaxFiles",
    "RPC",
    "Reporting",
    "Sentinel",
    "SyslogFacility",
    "TLSConfig",
    "UI",
];

pub(super) fn go_duration(duration: std::time::Duration) -> String {
    nomad_core::Nanos::from_std(duration).to_string()
}

/// What the server half says in `stats`, and its workers.
fn server_stats(backend: &AgentBackend, half: &ServerHalf) -> serde_json::Value {
    let server = &half.server;
    let last_index = server.state().last_index().to_string();
    let config = server.config();
    let workers: Vec<_> = (0..config.workers)
        .map(|number| {
            json!({
                "id": format!("worker-{number}"),
                "enabled_schedulers": enabled_schedulers(&backend.config),
                "started": backend.started.to_rfc3339(),
                "status": "Started",
                "workload_status": "WaitingToDequeue",
            })
        })
        .collect();
    json!({
        "nomad": {
            "server": "true",
            "leader": server.is_leader().to_string(),
            "leader_addr": server.leader_address().unwrap_or_default(),
            "bootstrap": (config.bootstrap_expect == 1).to_string(),
            "known_regions": "1",
            "server_id": config.id.to_string(),
        },
        "raft": {"last_index": last_index, "applied_index": last_index},
        "serf": {"members": server.known_servers().len().to_string()},
        "schedulers": workers,
    })
}

/// Types of jobs that the workers schedule, as the API shows them.
fn enabled_schedulers(config: &Config) -> Vec<String> {
    let all = ["service", "batch", "system", "sysbatch", "_core"];
    let wanted = &config.server.enabled_schedulers;
    all.into_iter()
        .filter(|name| {
            wanted.is_empty() || *name == "_core" || wanted.iter().any(|wanted| wanted == name)
        })
        .map(str::to_owned)
        .collect()
}

pub(super) fn agent_self(backend: &AgentBackend) -> serde_json::Value {
    let text = |value: &dyn std::fmt::Display| json!(value.to_string());
    let (member, mut stats) = match &backend.server {
        Some(half) => (
            super::servers::own_member(backend, half),
            server_stats(backend, half),
        ),
        None => (
            AgentMember::default(),
            json!({"nomad": {"server": "false"}}),
        ),
    };
    stats["runtime"] = json!({
        "arch": std::env::consts::ARCH, "kernel.name": std::env::consts::OS,
        "cpu_count": text(&std::thread::available_parallelism().map_or(1, usize::from)),
        "version": concat!("nomad ", env!("CARGO_PKG_VERSION")),
    });
    if let Some(node) = &backend.node {
        let client = &node.0;
        stats["client"] = json!({
            "node_id": client.node_id().to_string(),
            "known_servers": client.servers().join(","),
            "num_allocations": text(&client.alloc_ids().len()),
            "last_heartbeat": client.last_heartbeat().to_rfc3339(),
        });
    }
    json!({"config": shown_config(backend), "member": member, "stats": stats})
}

pub(super) fn monitor(level: &str, json: bool) -> ApiResult<ByteStream> {
    let level = level
        .parse::<tracing::Level>()
        .map_err(|_| ApiError::bad_request(format!("Unknown log level: {level}")))?;
    let lines = BroadcastStream::new(logs::watch()).filter_map(move |line| async move {
        // A watcher that lags loses lines; the agent does not wait for it.
        let line: Arc<logs::Line> = line.ok()?;
        (line.level <= level).then(|| {
            Ok(if json {
                line.json.clone()
            } else {
                line.text.clone()
            })
        })
    });
    Ok(Box::pin(lines))
}

pub(super) fn host_data() -> serde_json::Value {
    let secret = |name: &str| {
        let upper = name.to_ascii_uppercase();
        upper.contains("TOKEN") || upper.contains("SECRET") || upper.ends_with("_LICENSE")
    };
    let environment: StringMap = std::env::vars()
        .map(|(name, value)| {
            if secret(&name) {
                (name, "<redacted>".to_owned())
            } else {
                (name, value)
            }
        })
        .collect();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    json!({
        "OS": read("/proc/version").trim(),
        "Network": [],
        "ResolvConf": read("/etc/resolv.conf"),
        "Hosts": read("/etc/hosts"),
        "Environment": environment,
        "Disk": {},
    })
}
