//! What comes from the settings: names, pool, meta, volumes, and `nomad.*`.

use nomad_core::API_LEVEL;
use nomad_core::job::StringMap;
use nomad_core::node::{Eligibility, HostNetwork, HostVolume, Node, NodeStatus};

use super::host::hostname;
use super::{Host, set};

/// Meta that every node has unless it is set otherwise: what sidecar proxies are made of.
const DEFAULT_META: [(&str, &str); 6] = [
    (
        "connect.gateway_image",
        "docker.io/envoyproxy/envoy:v${NOMAD_envoy_version}",
    ),
    (
        "connect.sidecar_image",
        "docker.io/envoyproxy/envoy:v${NOMAD_envoy_version}",
    ),
    ("connect.log_level", "info"),
    ("connect.proxy_concurrency", "1"),
    ("connect.transparent_proxy.default_outbound_port", "15001"),
    ("connect.transparent_proxy.default_uid", "101"),
];

/// The node before any probe.
pub(super) fn base(host: &Host<'_>) -> Node {
    let config = host.config;
    let mut meta: StringMap = DEFAULT_META
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    meta.extend(
        config
            .meta
            .iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    let mut node = Node {
        datacenter: config.datacenter.clone(),
        name: if config.node_name.is_empty() {
            hostname()
        } else {
            config.node_name.clone()
        },
        http_addr: config.http_addr.clone(),
        tls_enabled: config.http_tls,
        node_class: config.node_class.clone(),
        node_pool: config.node_pool.clone(),
        meta,
        status: NodeStatus::Init,
        scheduling_eligibility: if config.default_ineligible {
            Eligibility::Ineligible
        } else {
            Eligibility::Eligible
        },
        gc_volumes_on_node_gc: config.gc_volumes_on_node_gc,
        node_max_allocs: config.node_max_allocs,
        ..Node::default()
    };
    node.node_resources.min_dynamic_port = config.min_dynamic_port;
    node.node_resources.max_dynamic_port = config.max_dynamic_port;
    let reserved = &mut node.reserved_resources;
    reserved.cpu.cpu_shares = config.reserved.cpu;
    reserved.memory.memory_mb = config.reserved.memory_mb;
    reserved.disk.disk_mb = config.reserved.disk_mb;
    reserved.networks.reserved_host_ports = config.reserved.ports.clone();
    for (name, volume) in &config.host_volumes {
        let row = HostVolume {
            name: name.clone(),
            path: volume.path.display().to_string(),
            read_only: volume.read_only,
            id: String::new(),
        };
        node.host_volumes.insert(name.clone(), row);
    }
    for (name, network) in &config.host_networks {
        let row = HostNetwork {
            name: name.clone(),
            cidr: network.cidr.clone(),
            interface: network.interface.clone(),
            reserved_ports: network.reserved_ports.clone(),
        };
        node.host_networks.insert(name.clone(), row);
    }
    node
}

pub(super) fn probe(host: &Host<'_>, node: &mut Node) {
    set(node, "nomad.version", API_LEVEL);
    set(node, "unique.advertise.address", &host.config.http_addr);
    if host.config.service_discovery {
        set(node, "nomad.service_discovery", true);
    }
}
