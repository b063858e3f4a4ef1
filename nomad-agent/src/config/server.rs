//! The `server` block.

use super::reader::Reader;
use super::{Join, ServerBlock};

pub(super) fn apply(read: &mut Reader<'_>, into: &mut ServerBlock) {
    read.flag("enabled", &mut into.enabled);
    read.number("bootstrap_expect", 0..=101, &mut into.bootstrap_expect);
    read.path("data_dir", &mut into.data_dir);
    let mut raft_protocol = 3_i64;
    read.number("raft_protocol", 3..=3, &mut raft_protocol);
    read.number("raft_multiplier", 1..=10, &mut into.raft_multiplier);
    read.optional_number(
        "raft_snapshot_threshold",
        0..=i64::MAX,
        &mut into.raft_snapshot_threshold,
    );
    read.optional_number(
        "raft_trailing_logs",
        0..=i64::MAX,
        &mut into.raft_trailing_logs,
    );
    let mut interval = into.raft_snapshot_interval.unwrap_or_default();
    read.duration("raft_snapshot_interval", &mut interval);
    into.raft_snapshot_interval = Some(interval).filter(|interval| !interval.is_zero());
    read.flag("rejoin_after_leave", &mut into.rejoin_after_leave);
    join(read, &mut into.join, true);
    read.optional_number("num_schedulers", 0..=256, &mut into.num_schedulers);
    if let Some(names) = read.list("enabled_schedulers") {
        into.enabled_schedulers.extend(names);
    }
    read.duration("node_gc_threshold", &mut into.node_gc_threshold);
    read.duration("job_gc_interval", &mut into.job_gc_interval);
    read.duration("job_gc_threshold", &mut into.job_gc_threshold);
    read.duration("eval_gc_threshold", &mut into.eval_gc_threshold);
    read.duration("batch_eval_gc_threshold", &mut into.batch_eval_gc_threshold);
    read.duration("deployment_gc_threshold", &mut into.deployment_gc_threshold);
    read.duration("heartbeat_grace", &mut into.heartbeat_grace);
    read.duration("min_heartbeat_ttl", &mut into.min_heartbeat_ttl);
    read.float(
        "max_heartbeats_per_second",
        &mut into.max_heartbeats_per_second,
    );
    read.duration("failover_heartbeat_ttl", &mut into.failover_heartbeat_ttl);
    read.number(
        "job_default_priority",
        1..=32_766,
        &mut into.job_default_priority,
    );
    read.number("job_max_priority", 100..=32_766, &mut into.job_max_priority);
    read.number("job_max_count", 0..=i64::MAX, &mut into.job_max_count);
    read.number(
        "job_tracked_versions",
        1..=1_000,
        &mut into.job_tracked_versions,
    );
    read.flag("enable_event_broker", &mut into.enable_event_broker);
    read.number(
        "event_buffer_size",
        0..=1_000_000,
        &mut into.event_buffer_size,
    );
    read.accepted(&["protocol_version", "log_file"]);
    read.not_built(&[
        "authoritative_region",
        "raft_logstore",
        "raft_boltdb",
        "default_scheduler_config",
        "csi_volume_claim_gc_interval",
        "csi_volume_claim_gc_threshold",
        "csi_plugin_gc_threshold",
        "acl_token_gc_threshold",
        "root_key_gc_interval",
        "root_key_gc_threshold",
        "root_key_rotation_threshold",
        "plan_rejection_tracker",
        "plan_apply_pipeline",
        "deploy_query_rate_limit",
        "search",
        "job_max_source_size",
        "oidc_issuer",
        "start_timeout",
        "client_introduction",
        "license_path",
        "non_production",
        "non_voting_server",
        "redundancy_zone",
        "upgrade_version",
        "encrypt",
    ]);
}

/// `server_join { … }`, and for servers the older keys beside it.
pub(super) fn join(read: &mut Reader<'_>, into: &mut Join, server: bool) {
    let mut block = false;
    read.each("server_join", |read| {
        block = true;
        if server {
            if let Some(addresses) = read.list("start_join") {
                into.start_join = addresses;
            }
        } else {
            read.refused_key("start_join", "clients retry: use retry_join");
        }
        if let Some(addresses) = read.list("retry_join") {
            into.retry_join = addresses;
        }
        read.number("retry_max", 0..=i64::from(u32::MAX), &mut into.retry_max);
        read.duration("retry_interval", &mut into.retry_interval);
    });
    if !server {
        return;
    }
    if block {
        for key in ["start_join", "retry_join", "retry_max", "retry_interval"] {
            read.refused_key(key, "it stands beside a server_join block: put it in there");
        }
        return;
    }
    if let Some(addresses) = read.list("start_join") {
        into.start_join.extend(addresses);
    }
    if let Some(addresses) = read.list("retry_join") {
        into.retry_join.extend(addresses);
    }
    read.number("retry_max", 0..=i64::from(u32::MAX), &mut into.retry_max);
    read.duration("retry_interval", &mut into.retry_interval);
}
