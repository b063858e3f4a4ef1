//! Configuration: files and flags merged over defaults.
//!
//! Source: agent configuration reference.

mod client;
mod file;
mod flags;
mod reader;
mod server;
mod top;
mod validate;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nomad_core::job::StringMap;

pub use self::flags::{Flags, parse_flags};
pub use self::reader::Problem;

/// Everything an agent is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub region: String,
    pub datacenter: String,
    /// Empty is the host's name.
    pub name: String,
    pub data_dir: Option<PathBuf>,
    pub plugin_dir: Option<PathBuf>,
    pub log_level: String,
    pub log_json: bool,
    pub log_include_location: bool,
    pub log_file: Option<PathBuf>,
    pub bind_addr: String,
    pub addresses: Endpoints<String>,
    pub ports: Ports,
    pub advertise: Endpoints<String>,
    pub enable_debug: bool,
    pub leave_on_interrupt: bool,
    pub leave_on_terminate: bool,
    pub http_api_response_headers: StringMap,
    pub limits: Limits,
    pub server: ServerBlock,
    pub client: ClientBlock,
    pub telemetry: Telemetry,
    /// `plugin "raw_exec"`: the driver's own configuration.
    pub plugins: BTreeMap<String, serde_json::Value>,
    /// `-dev`: data in a temporary directory, loopback only.
    pub dev: bool,
    /// Files that were read, for the banner.
    pub files: Vec<PathBuf>,
}

/// One value for each listener.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoints<T> {
    pub http: T,
    pub rpc: T,
    pub serf: T,
}

/// Ports of the listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    pub http: u16,
    pub rpc: u16,
    pub serf: u16,
}

/// Limits of the listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// 0 is no limit.
    pub http_max_conns_per_client: u32,
    /// 0 is no limit.
    pub rpc_max_conns_per_client: u32,
    pub rpc_handshake_timeout: Duration,
    pub https_handshake_timeout: Duration,
}

/// How servers are found: `server_join`, and the older keys for the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// Tried once.
    pub start_join: Vec<String>,
    /// Tried until one answers.
    pub retry_join: Vec<String>,
    /// Rounds before the agent gives up; 0 is never.
    pub retry_max: u32,
    pub retry_interval: Duration,
}

impl Default for Join {
    fn default() -> Self {
        Self {
            start_join: Vec::new(),
            retry_join: Vec::new(),
            retry_max: 0,
            retry_interval: Duration::from_secs(30),
        }
    }
}

/// The `server` block.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerBlock {
    pub enabled: bool,
    pub bootstrap_expect: u32,
    pub data_dir: Option<PathBuf>,
    /// 1 to 10.
    pub raft_multiplier: u32,
    pub raft_snapshot_threshold: Option<u64>,
    pub raft_snapshot_interval: Option<Duration>,
    pub raft_trailing_logs: Option<u64>,
    pub num_schedulers: Option<usize>,
    pub enabled_schedulers: Vec<String>,
    pub node_gc_threshold: Duration,
    pub job_gc_interval: Duration,
    pub job_gc_threshold: Duration,
    pub eval_gc_threshold: Duration,
    pub batch_eval_gc_threshold: Duration,
    pub deployment_gc_threshold: Duration,
    pub heartbeat_grace: Duration,
    pub min_heartbeat_ttl: Duration,
    pub max_heartbeats_per_second: f64,
    pub failover_heartbeat_ttl: Duration,
    pub job_default_priority: i32,
    pub job_max_priority: i32,
    pub job_max_count: i64,
    /// Bytes; 0 keeps no source.
    pub job_max_source_size: u64,
    pub job_tracked_versions: usize,
    pub enable_event_broker: bool,
    /// Log entries whose events are kept for the event stream.
    pub event_buffer_size: usize,
    pub join: Join,
    /// Join again after having left on purpose.
    pub rejoin_after_leave: bool,
}

/// The `client` block.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClientBlock {
    pub enabled: bool,
    /// `host[:port]` of servers.
    pub servers: Vec<String>,
    pub join: Join,
    /// The settings of the client itself; paths and addresses are filled in when it is built.
    pub settings: nomad_client::config::ClientConfig,
    pub state_dir: Option<PathBuf>,
    pub alloc_dir: Option<PathBuf>,
}

/// The `telemetry` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    pub in_memory_collection_interval: Duration,
    pub in_memory_retention_period: Duration,
    pub collection_interval: Duration,
    pub publish_allocation_metrics: bool,
    pub publish_node_metrics: bool,
    pub include_alloc_metadata_in_metrics: bool,
    pub prometheus_metrics: bool,
    pub disable_hostname: bool,
    pub use_node_name: bool,
}

const HOUR: Duration = Duration::from_hours(1);

impl Default for Config {
    fn default() -> Self {
        Self {
            region: "global".to_owned(),
            datacenter: "dc1".to_owned(),
            name: String::new(),
            data_dir: None,
            plugin_dir: None,
            log_level: "INFO".to_owned(),
            log_json: false,
            log_include_location: false,
            log_file: None,
            bind_addr: "0.0.0.0".to_owned(),
            addresses: Endpoints::default(),
            ports: Ports {
                http: 4646,
                rpc: 4647,
                serf: 4648,
            },
            advertise: Endpoints::default(),
            enable_debug: false,
            leave_on_interrupt: false,
            leave_on_terminate: false,
            http_api_response_headers: StringMap::new(),
            limits: Limits {
                http_max_conns_per_client: 100,
                rpc_max_conns_per_client: 100,
                rpc_handshake_timeout: Duration::from_secs(5),
                https_handshake_timeout: Duration::from_secs(5),
            },
            server: ServerBlock {
                enabled: false,
                bootstrap_expect: 0,
                data_dir: None,
                raft_multiplier: 1,
                raft_snapshot_threshold: None,
                raft_snapshot_interval: None,
                raft_trailing_logs: None,
                num_schedulers: None,
                enabled_schedulers: Vec::new(),
                node_gc_threshold: HOUR * 24,
                job_gc_interval: Duration::from_mins(5),
                job_gc_threshold: HOUR * 4,
                eval_gc_threshold: HOUR,
                batch_eval_gc_threshold: HOUR * 24,
                deployment_gc_threshold: HOUR,
                heartbeat_grace: Duration::from_secs(10),
                min_heartbeat_ttl: Duration::from_secs(10),
                max_heartbeats_per_second: 50.0,
                failover_heartbeat_ttl: Duration::from_mins(5),
                job_default_priority: 50,
                job_max_priority: 100,
                job_max_count: 50_000,
                job_max_source_size: 1 << 20,
                job_tracked_versions: 6,
                enable_event_broker: true,
                event_buffer_size: 100,
                join: Join::default(),
                rejoin_after_leave: false,
            },
            client: ClientBlock::default(),
            telemetry: Telemetry {
                in_memory_collection_interval: Duration::from_secs(10),
                in_memory_retention_period: Duration::from_mins(1),
                collection_interval: Duration::from_secs(1),
                publish_allocation_metrics: false,
                publish_node_metrics: false,
                include_alloc_metadata_in_metrics: false,
                prometheus_metrics: false,
                disable_hostname: false,
                use_node_name: false,
            },
            plugins: BTreeMap::new(),
            dev: false,
            files: Vec::new(),
        }
    }
}

impl Config {
    /// The defaults of `-dev`: server and client in one process, on the loopback, keeping nothing.
    pub fn dev() -> Self {
        let mut config = Self {
            dev: true,
            ..Self::default()
        };
        "127.0.0.1".clone_into(&mut config.bind_addr);
        "DEBUG".clone_into(&mut config.log_level);
        config.enable_debug = true;
        config.server.enabled = true;
        config.server.bootstrap_expect = 1;
        config.client.enabled = true;
        let settings = &mut config.client.settings;
        settings.dev = true;
        "lo".clone_into(&mut settings.network_interface);
        settings.gc_interval = Duration::from_mins(10);
        settings.gc.disk_usage_percent = 99.0;
        settings.gc.inode_usage_percent = 99.0;
        settings
            .options
            .insert("driver.raw_exec.enable".to_owned(), "true".to_owned());
        config.telemetry.prometheus_metrics = true;
        config.telemetry.publish_allocation_metrics = true;
        config.telemetry.publish_node_metrics = true;
        config.telemetry.include_alloc_metadata_in_metrics = true;
        config
    }

    /// Merges files and flags over the defaults.
    ///
    /// # Errors
    /// Every mistake of every file, each with its place.
    pub fn load(flags: &Flags) -> Result<(Self, Vec<String>), Vec<Problem>> {
        let mut config = if flags.dev {
            Self::dev()
        } else {
            Self::default()
        };
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        for path in &flags.config {
            match file::expand(path) {
                Ok(files) => {
                    for file in files {
                        match file::read(&file) {
                            Ok(block) => {
                                top::apply(&mut config, &block, &mut problems, &mut warnings)
                            }
                            Err(problem) => problems.push(problem),
                        }
                        config.files.push(file);
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        flags.apply(&mut config, &mut problems);
        if problems.is_empty() {
            validate::check(&config, &mut problems, &mut warnings);
        }
        if problems.is_empty() {
            Ok((config, warnings))
        } else {
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests;
