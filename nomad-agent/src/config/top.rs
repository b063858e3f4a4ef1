//! The top level of a file, and its small blocks.

use super::reader::{Block, Problem, Reader};
use super::{Config, Endpoints, client, server};

const PORTS: std::ops::RangeInclusive<i64> = 0..=65_535;
const UNLIMITED: std::ops::RangeInclusive<i64> = 0..=i64::MAX;

/// Puts one file over what is there.
pub(super) fn apply(
    config: &mut Config,
    block: &Block,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) {
    let mut read = Reader::new(block, "", problems, warnings);
    read.text("region", &mut config.region);
    read.text("datacenter", &mut config.datacenter);
    read.text("name", &mut config.name);
    read.path("data_dir", &mut config.data_dir);
    read.path("plugin_dir", &mut config.plugin_dir);
    read.text("log_level", &mut config.log_level);
    read.flag("log_json", &mut config.log_json);
    read.flag("log_include_location", &mut config.log_include_location);
    read.path("log_file", &mut config.log_file);
    read.text("bind_addr", &mut config.bind_addr);
    read.flag("enable_debug", &mut config.enable_debug);
    read.flag("leave_on_interrupt", &mut config.leave_on_interrupt);
    read.flag("leave_on_terminate", &mut config.leave_on_terminate);
    read.map(
        "http_api_response_headers",
        &mut config.http_api_response_headers,
    );
    read.each("addresses", |read| endpoints(read, &mut config.addresses));
    read.each("advertise", |read| endpoints(read, &mut config.advertise));
    read.each("ports", |read| {
        read.number("http", PORTS, &mut config.ports.http);
        read.number("rpc", PORTS, &mut config.ports.rpc);
        read.number("serf", PORTS, &mut config.ports.serf);
    });
    read.each("limits", |read| {
        let limits = &mut config.limits;
        read.number(
            "http_max_conns_per_client",
            UNLIMITED,
            &mut limits.http_max_conns_per_client,
        );
        read.number(
            "rpc_max_conns_per_client",
            UNLIMITED,
            &mut limits.rpc_max_conns_per_client,
        );
        read.duration("rpc_handshake_timeout", &mut limits.rpc_handshake_timeout);
        read.duration(
            "https_handshake_timeout",
            &mut limits.https_handshake_timeout,
        );
    });
    read.each("telemetry", |read| telemetry(read, config));
    read.each("server", |read| server::apply(read, &mut config.server));
    read.each("client", |read| client::apply(read, &mut config.client));
    for (name, plugin) in read.labelled("plugin") {
        read.within("plugin", plugin, |read| {
            for (_, block) in read.blocks("config") {
                config.plugins.insert(
                    name.clone(),
                    super::reader::Item::Block(block.clone()).to_json(),
                );
            }
            read.accepted(&["args"]);
        });
    }
    read.refused("acl", &["enabled"], "the API would be open to everybody");
    read.refused("tls", &["http", "rpc"], "traffic would not be encrypted");
    read.accepted(&["disable_update_check", "disable_anonymous_signature"]);
    read.not_built(&[
        "consul",
        "vault",
        "ui",
        "audit",
        "sentinel",
        "autopilot",
        "keyring",
        "reporting",
        "rpc",
        "eventlog",
        "enable_syslog",
        "syslog_facility",
        "log_rotate_duration",
        "log_rotate_bytes",
        "log_rotate_max_files",
    ]);
    read.finish();
}

fn endpoints(read: &mut Reader<'_>, into: &mut Endpoints<String>) {
    read.text("http", &mut into.http);
    read.text("rpc", &mut into.rpc);
    read.text("serf", &mut into.serf);
}

fn telemetry(read: &mut Reader<'_>, config: &mut Config) {
    let into = &mut config.telemetry;
    read.duration(
        "in_memory_collection_interval",
        &mut into.in_memory_collection_interval,
    );
    read.duration(
        "in_memory_retention_period",
        &mut into.in_memory_retention_period,
    );
    read.duration("collection_interval", &mut into.collection_interval);
    read.flag(
        "publish_allocation_metrics",
        &mut into.publish_allocation_metrics,
    );
    read.flag("publish_node_metrics", &mut into.publish_node_metrics);
    read.flag(
        "include_alloc_metadata_in_metrics",
        &mut into.include_alloc_metadata_in_metrics,
    );
    read.flag("prometheus_metrics", &mut into.prometheus_metrics);
    read.flag("disable_hostname", &mut into.disable_hostname);
    read.flag("use_node_name", &mut into.use_node_name);
    if let Some(keys) = read.list("allowed_metadata_keys_in_metrics") {
        config
            .client
            .settings
            .allowed_metadata_keys_in_metrics
            .extend(keys);
    }
    read.not_built(&[
        "statsite_address",
        "statsd_address",
        "datadog_address",
        "datadog_tags",
        "prefix_filter",
        "filter_default",
        "disable_dispatched_job_summary_metrics",
        "disable_quota_utilization_metrics",
        "disable_rpc_rate_metrics_labels",
        "disable_allocation_hook_metrics",
        "circonus_api_token",
        "circonus_api_app",
        "circonus_api_url",
        "circonus_submission_interval",
        "circonus_submission_url",
        "circonus_check_id",
        "circonus_check_force_metric_activation",
        "circonus_check_instance_id",
        "circonus_check_search_tag",
        "circonus_check_tags",
        "circonus_check_display_name",
        "circonus_broker_id",
        "circonus_broker_select_tag",
    ]);
}
