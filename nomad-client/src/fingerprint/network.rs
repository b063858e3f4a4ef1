//! The node's addresses: its own interface, and those that host networks name.

use std::net::IpAddr;

use nomad_core::job::NetworkResource;
use nomad_core::node::{Node, NodeNetwork, NodeNetworkAddress};

use super::{Host, rtnetlink, set};
use crate::config::HostNetworkConfig;

/// Mbit/s assumed where an interface does not tell.
const DEFAULT_SPEED: i64 = 1000;
/// Alias of the node's own addresses.
const DEFAULT_ALIAS: &str = "default";

pub(super) fn probe(host: &Host<'_>, node: &mut Node) {
    let addresses = match rtnetlink::addresses() {
        Ok(addresses) => addresses,
        Err(error) => {
            tracing::warn!(%error, "the host's addresses cannot be read");
            return;
        }
    };
    let Some(chosen) = choose(host, &addresses) else {
        tracing::warn!("no network interface was found");
        return;
    };
    describe(host, node, &chosen, &addresses);
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InterfaceAddress {
    pub(super) interface: String,
    pub(super) ip: IpAddr,
}

impl InterfaceAddress {
    fn is_link_local(&self) -> bool {
        match self.ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        }
    }
}

/// The interface that is the node's own: the configured one, the loopback in dev mode, or that of the default route.
fn choose(host: &Host<'_>, addresses: &[InterfaceAddress]) -> Option<String> {
    let config = host.config;
    if !config.network_interface.is_empty() {
        return Some(config.network_interface.clone());
    }
    let loopback = || {
        addresses
            .iter()
            .find(|address| address.ip.is_loopback())
            .map(|address| address.interface.clone())
    };
    if config.dev {
        return loopback();
    }
    default_route(host)
        .or_else(|| {
            addresses
                .iter()
                .find(|address| !address.ip.is_loopback() && !address.is_link_local())
                .map(|address| address.interface.clone())
        })
        .or_else(loopback)
}

/// The interface of the route to everywhere.
fn default_route(host: &Host<'_>) -> Option<String> {
    let v4 = host
        .text("proc/net/route")
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let metric: u64 = fields.get(6)?.parse().ok()?;
            (fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000"))
                .then(|| (metric, fields[0].to_owned()))
        })
        .min();
    if let Some((_, name)) = v4 {
        return Some(name);
    }
    let any = "0".repeat(32);
    host.text("proc/net/ipv6_route")
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let metric = u64::from_str_radix(fields.get(5)?, 16).ok()?;
            let name = (*fields.last()?).to_owned();
            (fields[0] == any && fields.get(1) == Some(&"00") && name != "lo")
                .then_some((metric, name))
        })
        .min()
        .map(|(_, name)| name)
}

fn describe(host: &Host<'_>, node: &mut Node, chosen: &str, addresses: &[InterfaceAddress]) {
    let config = host.config;
    let mut own: Vec<&InterfaceAddress> = addresses
        .iter()
        .filter(|address| address.interface == chosen && !address.is_link_local())
        .collect();
    if own.is_empty() && config.option("fingerprint.network.disallow_link_local") != Some("true") {
        own = addresses
            .iter()
            .filter(|address| address.interface == chosen)
            .collect();
    }
    match config.preferred_address_family.as_str() {
        "ipv6" => own.sort_by_key(|address| address.ip.is_ipv4()),
        "ipv4" => own.sort_by_key(|address| address.ip.is_ipv6()),
        _ => {}
    }
    if let Some(first) = own.first() {
        set(node, "unique.network.ip-address", first.ip);
    }
    let speed = speed(host, chosen);
    for address in &own {
        let width = if address.ip.is_ipv4() { 32 } else { 128 };
        node.node_resources.networks.push(NetworkResource {
            mode: "host".to_owned(),
            device: chosen.to_owned(),
            cidr: format!("{}/{width}", address.ip),
            ip: address.ip.to_string(),
            mbits: speed,
            ..NetworkResource::default()
        });
    }

    let mut names: Vec<&str> = addresses
        .iter()
        .map(|address| address.interface.as_str())
        .collect();
    names.dedup();
    for name in names {
        let mut network = NodeNetwork {
            mode: "host".to_owned(),
            device: name.to_owned(),
            mac_address: mac(host, name),
            speed: self::speed(host, name),
            addresses: Vec::new(),
        };
        for address in addresses.iter().filter(|address| address.interface == name) {
            let family = if address.ip.is_ipv4() { "ipv4" } else { "ipv6" };
            let mut add = |alias: &str, reserved_ports: &str| {
                network.addresses.push(NodeNetworkAddress {
                    family: family.to_owned(),
                    alias: alias.to_owned(),
                    address: address.ip.to_string(),
                    reserved_ports: reserved_ports.to_owned(),
                    gateway: String::new(),
                });
            };
            if own.contains(&address) {
                add(DEFAULT_ALIAS, &config.reserved.ports);
            }
            for (alias, wanted) in &config.host_networks {
                if matches(wanted, address) {
                    add(alias, &wanted.reserved_ports);
                }
            }
        }
        if !network.addresses.is_empty() {
            node.node_resources.node_networks.push(network);
        }
    }
}

/// Whether an address belongs to a host network: within its ranges, if it has any, and on its interface, if it names
/// one.
fn matches(wanted: &HostNetworkConfig, address: &InterfaceAddress) -> bool {
    let interface = wanted.interface.is_empty() || wanted.interface == address.interface;
    let mut ranges = wanted
        .cidr
        .split(',')
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .peekable();
    let inside = ranges.peek().is_none() || ranges.any(|range| contains(range, address.ip));
    interface && inside && !(wanted.interface.is_empty() && wanted.cidr.is_empty())
}

/// Whether `range` (`10.0.0.0/8`) holds `ip`.
pub(super) fn contains(range: &str, ip: IpAddr) -> bool {
    let Some((base, width)) = range.split_once('/') else {
        return range.parse() == Ok(ip);
    };
    let (Ok(base), Ok(width)) = (base.parse::<IpAddr>(), width.parse::<u32>()) else {
        return false;
    };
    match (base, ip) {
        (IpAddr::V4(base), IpAddr::V4(ip)) if width <= 32 => {
            let mask = u32::MAX.checked_shl(32 - width).unwrap_or(0);
            (base.to_bits() ^ ip.to_bits()) & mask == 0
        }
        (IpAddr::V6(base), IpAddr::V6(ip)) if width <= 128 => {
            let mask = u128::MAX.checked_shl(128 - width).unwrap_or(0);
            (base.to_bits() ^ ip.to_bits()) & mask == 0
        }
        _ => false,
    }
}

fn speed(host: &Host<'_>, interface: &str) -> i64 {
    if host.config.network_speed > 0 {
        return host.config.network_speed;
    }
    host.text(&format!("sys/class/net/{interface}/speed"))
        .parse()
        .ok()
        .filter(|speed| *speed > 0)
        .unwrap_or(DEFAULT_SPEED)
}

/// Hardware address; empty for interfaces without one.
fn mac(host: &Host<'_>, interface: &str) -> String {
    let text = host.text(&format!("sys/class/net/{interface}/address"));
    if text.bytes().all(|b| b == b'0' || b == b':') {
        String::new()
    } else {
        text
    }
}
