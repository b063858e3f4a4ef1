//! What the agent says about itself.

use std::sync::Arc;

use futures::StreamExt;
use nomad_api::backend::{ApiResult, ByteStream};
use nomad_api::error::ApiError;
use nomad_api::types::{
    AgentHealth, AgentMember, AutopilotHealth, HealthOfHalf, RaftConfiguration, RaftServer,
    ServerHealth, ServerMembersResponse,
};
use nomad_core::job::StringMap;
use nomad_core::view::ClusterView;
use serde_json::json;
use tokio_stream::wrappers::BroadcastStream;

use super::AgentBackend;
use crate::telemetry::logs;

fn split(address: &str) -> (String, u16) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "0"));
    (
        host.trim_matches(['[', ']']).to_owned(),
        port.parse().unwrap_or(0),
    )
}

fn member(backend: &AgentBackend) -> AgentMember {
    let config = backend.server.server.config();
    let (addr, port) = split(&backend.addresses.serf);
    let (_, rpc_port) = split(&backend.addresses.rpc);
    let tags = [
        ("role", "nomad".to_owned()),
        ("region", config.region.clone()),
        ("dc", config.datacenter.clone()),
        ("id", config.id.to_string()),
        ("rpc_addr", addr.clone()),
        ("port", rpc_port.to_string()),
        ("build", nomad_core::API_LEVEL.to_owned()),
        ("revision", String::new()),
        ("vsn", "1".to_owned()),
        ("raft_vsn", "3".to_owned()),
        ("expect", config.bootstrap_expect.to_string()),
        (
            "bootstrap",
            if config.bootstrap_expect == 1 {
                "1".to_owned()
            } else {
                String::new()
            },
        ),
    ];
    AgentMember {
        name: format!("{}.{}", config.name, config.region),
        addr,
        port,
        tags: tags
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<StringMap>(),
        status: "alive".to_owned(),
        protocol_min: 1,
        protocol_max: 5,
        protocol_cur: 2,
        delegate_min: 2,
        delegate_max: 5,
        delegate_cur: 4,
    }
}

pub(super) fn members(backend: &AgentBackend) -> ServerMembersResponse {
    let config = backend.server.server.config();
    ServerMembersResponse {
        server_name: backend.identity.name.clone(),
        server_region: config.region.clone(),
        server_dc: config.datacenter.clone(),
        members: vec![member(backend)],
    }
}

pub(super) fn raft_configuration(backend: &AgentBackend) -> RaftConfiguration {
    let config = backend.server.server.config();
    RaftConfiguration {
        servers: vec![RaftServer {
            id: config.id.to_string(),
            node: format!("{}.{}", config.name, config.region),
            address: backend.addresses.rpc.clone(),
            leader: backend.server.server.is_leader(),
            voter: true,
            raft_protocol: "3".to_owned(),
        }],
        index: 0,
    }
}

/// Health of the consensus group: on the leader of every server, elsewhere only what this one knows.
pub(super) async fn autopilot_health(backend: &AgentBackend) -> ApiResult<AutopilotHealth> {
    let server = &backend.server.server;
    let status = server.consensus().await.map_err(super::errors::api_error)?;
    let leader = status.leadership.leader_id;
    let servers: Vec<ServerHealth> = status
        .peers
        .iter()
        .map(|peer| {
            let own = peer.id == status.id;
            // Only the leader hears the others.
            let active = own || peer.active.unwrap_or(false);
            let last_contact = if own {
                status.last_contact.unwrap_or_default()
            } else {
                std::time::Duration::ZERO
            };
            ServerHealth {
                id: peer.info.node_id.clone(),
                name: format!("{}.{}", peer.info.name, backend.identity.region),
                address: peer.info.address.clone(),
                serf_status: if active { "alive" } else { "failed" }.to_owned(),
                version: nomad_core::API_LEVEL.to_owned(),
                leader: leader == Some(peer.id),
                voter: peer.voter,
                last_contact: go_duration(last_contact),
                last_term: status.leadership.term,
                last_index: if own {
                    status.last_index
                } else {
                    peer.matched.unwrap_or(0)
                },
                healthy: active && leader.is_some(),
                // Not followed yet.
                stable_since: nomad_core::Timestamp::default(),
            }
        })
        .collect();
    let voters = servers.iter().filter(|server| server.voter);
    let well = voters.clone().filter(|server| server.healthy).count();
    let majority = voters.clone().count() / 2 + 1;
    Ok(AutopilotHealth {
        healthy: leader.is_some() && servers.iter().all(|server| server.healthy),
        failure_tolerance: well.saturating_sub(majority),
        leader: servers
            .iter()
            .find(|server| server.leader)
            .map(|server| server.id.clone())
            .unwrap_or_default(),
        voters: voters.map(|server| server.id.clone()).collect(),
        servers,
    })
}

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
            .identity
            .client
            .then(|| half(backend.node.is_some(), "no known servers")),
        server: backend.identity.server.then(|| {
            half(
                backend.server.server.leader_address().is_some(),
                "no leader",
            )
        }),
    }
}

/// The configuration as the API shows it; null is a block that this agent does not have.
fn shown_config(backend: &AgentBackend) -> serde_json::Value {
    let config = &backend.config;
    let server = &backend.server.server;
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
            "NumSchedulers": server.config().workers,
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

fn go_duration(duration: std::time::Duration) -> String {
    nomad_core::Nanos::from_std(duration).to_string()
}

pub(super) fn agent_self(backend: &AgentBackend) -> serde_json::Value {
    let config = &backend.config;
    let server = &backend.server.server;
    let state = server.state();
    let text = |value: &dyn std::fmt::Display| json!(value.to_string());
    let workers: Vec<_> = (0..server.config().workers)
        .map(|number| {
            json!({
                "id": format!("worker-{number}"),
                "enabled_schedulers": ["service", "batch", "system", "sysbatch", "_core"],
                "started": state_time(backend),
                "status": "Started",
                "workload_status": "WaitingToDequeue",
            })
        })
        .collect();
    json!({
        "config": shown_config(backend),
        "member": member(backend),
        "stats": {
            "nomad": {
                "server": text(&config.server.enabled),
                "leader": text(&server.is_leader()),
                "leader_addr": server.leader_address().unwrap_or_default(),
                "bootstrap": text(&(config.server.bootstrap_expect == 1)),
                "known_regions": "1",
                "server_id": server.config().id.to_string(),
            },
            "raft": {"last_index": text(&state.last_index()), "applied_index": text(&state.last_index())},
            "serf": {"members": "1"},
            "runtime": {
                "arch": std::env::consts::ARCH, "kernel.name": std::env::consts::OS,
                "cpu_count": text(&std::thread::available_parallelism().map_or(1, usize::from)),
                "version": concat!("nomad ", env!("CARGO_PKG_VERSION")),
            },
            "client": {
                "node_id": backend.node.as_ref().map(|node| node.node_id().to_string()).unwrap_or_default(),
                "known_servers": backend.addresses.rpc,
                "num_allocations": text(&backend.node.as_ref().map_or(0, |node| state.allocs_of_node(node.node_id()).count())),
            },
            "schedulers": workers,
        },
    })
}

fn state_time(backend: &AgentBackend) -> String {
    backend.server.now().to_rfc3339()
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
