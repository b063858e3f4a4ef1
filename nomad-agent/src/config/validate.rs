//! Checks that concern several keys at once.

use std::path::Path;

use super::{Config, Problem};

const LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "OFF"];
const SCHEDULERS: [&str; 5] = ["service", "batch", "system", "sysbatch", "_core"];

pub(super) fn check(config: &Config, problems: &mut Vec<Problem>, warnings: &mut Vec<String>) {
    let mut problem = |text: String| problems.push(Problem::plain(text));
    if !config.server.enabled && !config.client.enabled {
        problem("Must specify either server, client or dev mode for the agent.".to_owned());
    }
    if config.region.contains('\0') || config.region.is_empty() {
        problem("region must be a name without NUL".to_owned());
    }
    if config.datacenter.contains(['\0', '*']) || config.datacenter.is_empty() {
        problem("datacenter must be a name without NUL and *".to_owned());
    }
    if !LEVELS.contains(&config.log_level.to_ascii_uppercase().as_str()) {
        problem(format!(
            "log_level must be one of {}, got {:?}",
            LEVELS.join(", "),
            config.log_level
        ));
    }
    let directories: [(&str, Option<&Path>); 5] = [
        ("data-dir", config.data_dir.as_deref()),
        ("plugin-dir", config.plugin_dir.as_deref()),
        ("alloc-dir", config.client.alloc_dir.as_deref()),
        ("state-dir", config.client.state_dir.as_deref()),
        ("server data_dir", config.server.data_dir.as_deref()),
    ];
    for (name, path) in directories {
        if let Some(path) = path.filter(|path| !path.is_absolute()) {
            problem(format!(
                "{name} must be given as an absolute path: got {}",
                path.display()
            ));
        }
    }
    if config.data_dir.is_none() && !config.dev {
        let whole_client = config.client.state_dir.is_some() && config.client.alloc_dir.is_some();
        if config.server.enabled || !whole_client {
            problem("Must specify data_dir: without it nothing would survive a restart".to_owned());
        }
    }
    if config.server.bootstrap_expect > 0 && !config.server.enabled {
        problem("Bootstrap requires server mode to be enabled".to_owned());
    }
    let join = &config.server.join;
    if !join.start_join.is_empty() && !join.retry_join.is_empty() {
        problem("server_join: start_join and retry_join cannot be used together".to_owned());
    }
    for name in &config.server.enabled_schedulers {
        if !SCHEDULERS.contains(&name.as_str()) {
            problem(format!(
                "server.enabled_schedulers names {name:?}; known are {}",
                SCHEDULERS.join(", ")
            ));
        }
    }
    if config.server.job_default_priority > config.server.job_max_priority {
        problem("server.job_default_priority must not be above job_max_priority".to_owned());
    }
    let telemetry = &config.telemetry;
    if telemetry.in_memory_collection_interval.is_zero()
        || telemetry.in_memory_collection_interval > telemetry.in_memory_retention_period
    {
        problem(
            "telemetry.in_memory_collection_interval must be above zero and not above in_memory_retention_period"
                .to_owned(),
        );
    }
    client(config, &mut problem);
    if !config.dev {
        warnings
            .push("WARNING: mTLS is not configured - Nomad is not secure without mTLS!".to_owned());
        if config.server.enabled && config.server.bootstrap_expect == 1 {
            warnings
                .push("WARNING: Bootstrap mode enabled! Potentially unsafe operation.".to_owned());
        }
        let expect = config.server.bootstrap_expect;
        if config.server.enabled && expect > 0 && expect.is_multiple_of(2) {
            warnings.push(format!(
                "WARNING: bootstrap_expect is {expect}: an odd number of servers survives as many failures with one less"
            ));
        }
    }
}

fn client(config: &Config, problem: &mut dyn FnMut(String)) {
    let settings = &config.client.settings;
    if settings.node_pool == "all" {
        problem("client.node_pool must not be \"all\", which stands for every pool".to_owned());
    }
    if settings.min_dynamic_port > settings.max_dynamic_port {
        problem(format!(
            "client.min_dynamic_port ({}) must not be above max_dynamic_port ({})",
            settings.min_dynamic_port, settings.max_dynamic_port
        ));
    }
    if !matches!(
        settings.preferred_address_family.as_str(),
        "" | "ipv4" | "ipv6"
    ) {
        problem(format!(
            "client.preferred_address_family must be ipv4 or ipv6, got {:?}",
            settings.preferred_address_family
        ));
    }
    for key in settings.meta.keys() {
        let valid = key.split('.').all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        });
        if !valid {
            problem(format!(
                "client.meta key {key:?} cannot be used in ${{meta.…}}: use letters, digits, _ - and dots"
            ));
        }
    }
    for (name, volume) in &settings.host_volumes {
        if volume.path.as_os_str().is_empty() {
            problem(format!("client.host_volume {name:?} needs a path"));
        }
    }
}
