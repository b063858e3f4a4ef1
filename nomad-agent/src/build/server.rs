//! From a configuration to a running server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use nomad_core::Nanos;
use nomad_core::job::JobType;
use nomad_server::broker::JobTypes;
use nomad_server::gc::GcConfig;
use nomad_server::heartbeat::HeartbeatConfig;
use nomad_server::{Server, ServerConfig, ServerError, SharedIds, Storage};

use super::name;
use crate::backend::Addresses;
use crate::clock::SystemClock;
use crate::config::{Config, ServerBlock};
use crate::dirs::DataDirs;

/// What the `server` block says, over the defaults of a server.
fn settings(
    config: &Config,
    dirs: &DataDirs,
    advertise: &Addresses,
) -> anyhow::Result<ServerConfig> {
    let block = &config.server;
    let mut settings = ServerConfig::new(dirs.server_id()?, name(config), advertise.rpc.as_str());
    settings.region.clone_from(&config.region);
    settings.datacenter.clone_from(&config.datacenter);
    settings.bootstrap_expect = block.bootstrap_expect;
    settings.job_tracked_versions = block.job_tracked_versions;
    settings.event_buffer = if block.enable_event_broker {
        block.event_buffer_size
    } else {
        0
    };
    settings.job_max_count = block.job_max_count;
    settings.job_max_priority = block.job_max_priority;
    settings.keystore = Some(dirs.server.join("keystore"));
    if let Some(workers) = block.num_schedulers {
        settings.workers = workers;
    }
    settings.schedulers = job_types(block);
    settings.heartbeat = HeartbeatConfig {
        min_ttl: Nanos::from_std(block.min_heartbeat_ttl),
        max_per_second: block.max_heartbeats_per_second,
        grace: Nanos::from_std(block.heartbeat_grace),
        failover_ttl: Nanos::from_std(block.failover_heartbeat_ttl),
    };
    settings.gc = GcConfig {
        interval: Nanos::from_std(block.job_gc_interval),
        eval_threshold: Nanos::from_std(block.eval_gc_threshold),
        batch_eval_threshold: Nanos::from_std(block.batch_eval_gc_threshold),
        job_threshold: Nanos::from_std(block.job_gc_threshold),
        node_threshold: Nanos::from_std(block.node_gc_threshold),
        deployment_threshold: Nanos::from_std(block.deployment_gc_threshold),
    };
    settings.raft.multiplier = block.raft_multiplier;
    let (threshold, interval) = snapshots(block, &settings);
    settings.raft.snapshot_threshold = threshold;
    settings.raft.snapshot_interval = interval;
    if let Some(trailing) = block.raft_trailing_logs {
        settings.raft.trailing_logs = trailing;
    }
    Ok(settings)
}

/// Types of jobs that `enabled_schedulers` names; nothing is all of them.
fn job_types(block: &ServerBlock) -> JobTypes {
    if block.enabled_schedulers.is_empty() {
        return JobTypes::ALL;
    }
    let types = [
        JobType::Service,
        JobType::Batch,
        JobType::System,
        JobType::Sysbatch,
    ];
    let wanted = |job_type: &JobType| {
        block
            .enabled_schedulers
            .iter()
            .any(|name| *name == job_type.to_string())
    };
    JobTypes::of(types.into_iter().filter(wanted))
}

/// When the server writes snapshots: after how many entries, and how often that is looked at.
pub(super) fn snapshots(block: &ServerBlock, defaults: &ServerConfig) -> (u64, Duration) {
    (
        block
            .raft_snapshot_threshold
            .filter(|threshold| *threshold > 0)
            .unwrap_or(defaults.raft.snapshot_threshold),
        block
            .raft_snapshot_interval
            .unwrap_or(defaults.raft.snapshot_interval),
    )
}

pub(super) async fn start(
    config: &Config,
    dirs: &DataDirs,
    advertise: &Addresses,
    ids: SharedIds,
) -> anyhow::Result<Server> {
    let settings = settings(config, dirs, advertise)?;
    let storage = open_storage(dirs)?;
    let server = Server::start(settings, storage, Arc::new(SystemClock), ids)
        .await
        .context("start server")?;
    if config.server.bootstrap_expect == 1 {
        match server.wait_until_leading().await {
            // Others have joined it since it began, and may lead now.
            Ok(()) | Err(ServerError::NotLeader { .. } | ServerError::NoLeader) => {}
            Err(error) => return Err(error).context("wait for this server to lead"),
        }
    }
    Ok(server)
}

#[cfg(feature = "rocksdb")]
fn open_storage(dirs: &DataDirs) -> anyhow::Result<Storage> {
    Storage::open(&dirs.server.join("raft")).context("open the server's log")
}

#[cfg(not(feature = "rocksdb"))]
fn open_storage(_dirs: &DataDirs) -> anyhow::Result<Storage> {
    Ok(Storage::memory())
}
