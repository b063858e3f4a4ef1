//! What a client is told at its start.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nomad_core::Nanos;
use nomad_core::job::StringMap;

use crate::env::DEFAULT_DENYLIST;
use crate::machine::gc::GcLimits;

/// Settings of a client; [`Default`] gives the documented defaults with empty paths.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientConfig {
    /// Name of the node; empty takes the host's name.
    pub node_name: String,
    /// Region of the servers.
    pub region: String,
    /// Datacenter.
    pub datacenter: String,
    /// Node pool.
    pub node_pool: String,
    /// Node class, or "".
    pub node_class: String,
    /// Static node meta.
    pub meta: StringMap,
    /// Client options, such as `driver.allowlist` and `fingerprint.denylist`.
    pub options: StringMap,
    /// Ids, the supervisor's socket and journal.
    pub state_dir: PathBuf,
    /// Allocation directories.
    pub alloc_dir: PathBuf,
    /// Whether everything is forgotten at the end, and only the loopback interface is offered.
    pub dev: bool,
    /// RPC addresses of servers to begin with.
    pub servers: Vec<SocketAddr>,
    /// `host:port` of the agent's HTTP API, told to the servers.
    pub http_addr: String,
    /// Whether that API speaks TLS.
    pub http_tls: bool,
    /// Interface of the node's own addresses; empty takes that of the default route.
    pub network_interface: String,
    /// `ipv4` or `ipv6` to have that address first, or "".
    pub preferred_address_family: String,
    /// Mbit/s instead of the measured speed; 0 measures.
    pub network_speed: i64,
    /// MHz instead of the measured sum; 0 measures.
    pub cpu_total_compute: u64,
    /// MiB instead of the measured; 0 measures.
    pub memory_total_mb: i64,
    /// MiB instead of the measured; 0 measures.
    pub disk_total_mb: i64,
    /// Cores that jobs may reserve, as a list `0-3,8`; empty is all.
    pub reservable_cores: String,
    /// What the node keeps for itself.
    pub reserved: Reserved,
    /// Lowest dynamic port.
    pub min_dynamic_port: i64,
    /// Highest dynamic port.
    pub max_dynamic_port: i64,
    /// Most allocations at once; 0 is no limit.
    pub node_max_allocs: i64,
    /// Whether a new node registers ineligible.
    pub default_ineligible: bool,
    /// Whether dynamic host volumes go with the node when it is purged.
    pub gc_volumes_on_node_gc: bool,
    /// Static host volumes by name.
    pub host_volumes: BTreeMap<String, HostVolumeConfig>,
    /// Host networks by name.
    pub host_networks: BTreeMap<String, HostNetworkConfig>,
    /// Whether services of the `nomad` provider may run here.
    pub service_discovery: bool,
    /// Parent cgroup of tasks; empty takes the default of the cgroup version.
    pub cgroup_parent: String,
    /// Directory of CNI network configurations.
    pub cni_config_dir: PathBuf,
    /// Name of the bridge of the `bridge` network mode.
    pub bridge_network_name: String,
    /// Whether its ports are in hairpin mode.
    pub bridge_network_hairpin_mode: bool,
    /// Longest `kill_timeout` that tasks get.
    pub max_kill_timeout: Nanos,
    /// Whether exec into tasks is refused.
    pub disable_remote_exec: bool,
    /// How often disk use is compared with the limits.
    pub gc_interval: Duration,
    /// Allocations removed at the same time.
    pub gc_parallel_destroys: usize,
    /// When ended allocations are removed.
    pub gc: GcLimits,
    /// How often host statistics are taken.
    pub collection_interval: Duration,
    /// Whether host statistics become metrics.
    pub publish_node_metrics: bool,
    /// Whether statistics of tasks become metrics.
    pub publish_allocation_metrics: bool,
    /// Whether meta of jobs becomes labels of the metrics of their tasks.
    pub include_alloc_metadata_in_metrics: bool,
    /// The keys of which; empty is all.
    pub allowed_metadata_keys_in_metrics: Vec<String>,
    /// The agent's environment, as far as tasks may inherit it. Filter with [`crate::env::filter_agent_env`].
    pub agent_env: BTreeMap<String, String>,
    /// Dynamic users: lowest and highest id.
    pub dynamic_users: (u32, u32),
}

/// What the node keeps for itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reserved {
    /// MHz.
    pub cpu: i64,
    /// MiB.
    pub memory_mb: i64,
    /// MiB.
    pub disk_mb: i64,
    /// Ports never given out: `22,80,8000-9000`.
    pub ports: String,
    /// Cores never given out: `0-1`.
    pub cores: String,
}

/// A directory offered to jobs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostVolumeConfig {
    /// Absolute path; it must exist.
    pub path: PathBuf,
    /// Whether it is offered for reading only.
    pub read_only: bool,
}

/// A name for some of the node's addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostNetworkConfig {
    /// Address ranges, separated by commas; empty is any.
    pub cidr: String,
    /// Interface; empty is any.
    pub interface: String,
    /// Ports never given out there.
    pub reserved_ports: String,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            node_name: String::new(),
            region: "global".to_owned(),
            datacenter: "dc1".to_owned(),
            node_pool: "default".to_owned(),
            node_class: String::new(),
            meta: StringMap::new(),
            options: StringMap::new(),
            state_dir: PathBuf::new(),
            alloc_dir: PathBuf::new(),
            dev: false,
            servers: Vec::new(),
            http_addr: String::new(),
            http_tls: false,
            network_interface: String::new(),
            preferred_address_family: String::new(),
            network_speed: 0,
            cpu_total_compute: 0,
            memory_total_mb: 0,
            disk_total_mb: 0,
            reservable_cores: String::new(),
            reserved: Reserved::default(),
            min_dynamic_port: 20_000,
            max_dynamic_port: 32_000,
            node_max_allocs: 0,
            default_ineligible: false,
            gc_volumes_on_node_gc: false,
            host_volumes: BTreeMap::new(),
            host_networks: BTreeMap::new(),
            service_discovery: true,
            cgroup_parent: String::new(),
            cni_config_dir: PathBuf::from("/opt/cni/config"),
            bridge_network_name: "nomad".to_owned(),
            bridge_network_hairpin_mode: false,
            max_kill_timeout: Nanos::secs(30),
            disable_remote_exec: false,
            gc_interval: Duration::from_mins(1),
            gc_parallel_destroys: 2,
            gc: GcLimits {
                max_allocs: 50,
                disk_usage_percent: 80.0,
                inode_usage_percent: 70.0,
            },
            collection_interval: Duration::from_secs(1),
            publish_node_metrics: false,
            publish_allocation_metrics: false,
            include_alloc_metadata_in_metrics: false,
            allowed_metadata_keys_in_metrics: Vec::new(),
            agent_env: BTreeMap::new(),
            dynamic_users: (80_000, 89_999),
        }
    }
}

impl ClientConfig {
    /// A client option, also under the old name of an allow or deny list.
    pub fn option(&self, key: &str) -> Option<&str> {
        let old = key
            .replace(".allowlist", ".whitelist")
            .replace(".denylist", ".blacklist");
        self.options
            .get(key)
            .or_else(|| self.options.get(&old))
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Whether `<family>.allowlist` and `<family>.denylist` let a name through.
    pub fn allows(&self, family: &str, name: &str) -> bool {
        let list = |key: &str| {
            self.option(&format!("{family}.{key}"))
                .map(|list| list.split(',').any(|item| item.trim() == name))
        };
        list("allowlist").unwrap_or(true) && !list("denylist").unwrap_or(false)
    }

    /// Variables of the agent that tasks must not see.
    pub fn env_denylist(&self) -> Vec<String> {
        match self.option("env.denylist") {
            Some(list) => list.split(',').map(|key| key.trim().to_owned()).collect(),
            None => DEFAULT_DENYLIST
                .iter()
                .map(|key| (*key).to_owned())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_let_names_through_under_old_and_new_keys() {
        let mut config = ClientConfig::default();
        assert!(config.allows("driver", "docker"));
        config
            .options
            .insert("driver.whitelist".to_owned(), "raw_exec, exec".to_owned());
        assert!(config.allows("driver", "exec"));
        assert!(!config.allows("driver", "docker"));
        config
            .options
            .insert("driver.denylist".to_owned(), "exec".to_owned());
        assert!(!config.allows("driver", "exec"));
        assert!(config.allows("driver", "raw_exec"));
    }
}
