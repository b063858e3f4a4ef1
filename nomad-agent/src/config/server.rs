//! The `server` block.

use super::ServerBlock;
use super::reader::Reader;

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
        "raft_snapshot_interval",
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
        "server_join",
        "start_join",
        "retry_join",
        "retry_max",
        "retry_interval",
        "rejoin_after_leave",
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
