//! Ports of a node: which addresses it has, which ports are taken on them, and which a group gets.

use std::borrow::Cow;
use std::sync::Arc;

use nomad_core::alloc::{AllocatedPort, AllocatedResources};
use nomad_core::job::{NetworkResource, Port};
use nomad_core::node::Node;

use crate::feasible::target;
use crate::rng::Rng;

/// Random tries for a dynamic port before the range is scanned.
const RANDOM_TRIES: u32 = 20;
/// Alias of the host network that ports without one belong to.
const DEFAULT_ALIAS: &str = "default";

/// Sorted, disjoint ranges of ports, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PortSet(Vec<(u16, u16)>);

impl PortSet {
    /// Reads `22,80,8000-9000`; parts that are no ports are left out.
    pub(crate) fn parse(text: &str) -> Self {
        let mut ranges: Vec<(u16, u16)> = text
            .split(',')
            .filter_map(|part| {
                let part = part.trim();
                match part.split_once('-') {
                    Some((low, high)) => {
                        Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
                    }
                    None => part.parse().ok().map(|port| (port, port)),
                }
            })
            .filter(|(low, high)| low <= high)
            .collect();
        ranges.sort_unstable();
        Self(ranges)
    }

    pub(crate) fn contains(&self, port: u16) -> bool {
        self.0
            .iter()
            .any(|(low, high)| (*low..=*high).contains(&port))
    }

    /// At most how many ports of `low..high` are in it.
    fn count_within(&self, low: u16, high: u16) -> usize {
        self.0
            .iter()
            .map(|(from, to)| {
                let from = (*from).max(low);
                let to = (*to).min(high.saturating_sub(1));
                usize::from(to.saturating_add(1).saturating_sub(from))
            })
            .sum()
    }
}

/// An address of a node, by its place in the node's networks.
#[derive(Debug, Clone)]
struct Address {
    network: u16,
    address: u16,
    reserved: Arc<PortSet>,
}

/// The addresses of a node and what is reserved on them.
#[derive(Debug, Clone, Default)]
pub(crate) struct NetRoom {
    addresses: Vec<Address>,
    /// Dynamic ports are taken from `low..high`.
    low: u16,
    high: u16,
}

impl NetRoom {
    pub(crate) fn of(node: &Node) -> Self {
        Self::with_sets(node, &mut |text| Arc::new(PortSet::parse(text)))
    }

    /// As [`Self::of`]; `set` may hand out shared sets for equal texts.
    pub(crate) fn with_sets(node: &Node, set: &mut dyn FnMut(&str) -> Arc<PortSet>) -> Self {
        let kept = node
            .reserved_resources
            .networks
            .reserved_host_ports
            .as_str();
        let mut addresses = Vec::new();
        for (network, interface) in node.node_resources.node_networks.iter().enumerate() {
            for (index, address) in interface.addresses.iter().enumerate() {
                let own = address.reserved_ports.as_str();
                let reserved = match (own.is_empty(), kept.is_empty()) {
                    (true, _) => set(kept),
                    (false, true) => set(own),
                    (false, false) => set(&format!("{own},{kept}")),
                };
                addresses.push(Address {
                    network: network as u16,
                    address: index as u16,
                    reserved,
                });
            }
        }
        if addresses.is_empty() {
            // Nodes that only report the older form.
            for (network, _) in node.node_resources.networks.iter().enumerate() {
                addresses.push(Address {
                    network: network as u16,
                    address: u16::MAX,
                    reserved: set(kept),
                });
            }
        }
        let (low, high) = node.dynamic_ports();
        Self {
            addresses,
            low: low.clamp(0, 65_535) as u16,
            high: high.clamp(0, 65_535) as u16,
        }
    }

    fn ip<'n>(&self, node: &'n Node, index: usize) -> &'n str {
        let address = &self.addresses[index];
        let resources = &node.node_resources;
        if address.address == u16::MAX {
            return resources
                .networks
                .get(usize::from(address.network))
                .map_or("", |network| network.ip.as_str());
        }
        resources
            .node_networks
            .get(usize::from(address.network))
            .and_then(|network| network.addresses.get(usize::from(address.address)))
            .map_or("", |address| address.address.as_str())
    }

    fn alias<'n>(&self, node: &'n Node, index: usize) -> &'n str {
        let address = &self.addresses[index];
        if address.address == u16::MAX {
            return DEFAULT_ALIAS;
        }
        node.node_resources
            .node_networks
            .get(usize::from(address.network))
            .and_then(|network| network.addresses.get(usize::from(address.address)))
            .map_or("", |address| address.alias.as_str())
    }

    fn of_alias<'s>(&'s self, node: &'s Node, alias: &'s str) -> impl Iterator<Item = usize> + 's {
        (0..self.addresses.len()).filter(move |index| self.alias(node, *index) == alias)
    }

    fn is_reserved(&self, index: usize, port: u16) -> bool {
        self.addresses[index].reserved.contains(port)
    }
}

/// Ports in use: (address of the node, port), sorted, once per holder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct UsedPorts {
    held: Vec<(u8, u16)>,
    /// Held by allocations that do not mind sharing them.
    shared: Vec<(u8, u16)>,
}

impl UsedPorts {
    pub(crate) const EMPTY: Self = Self {
        held: Vec::new(),
        shared: Vec::new(),
    };

    pub(crate) fn of(resources: &AllocatedResources, node: &Node, net: &NetRoom) -> Self {
        let mut used = Self::default();
        let mut hold = |ip: &str, value: i64, shared: bool| {
            let (Ok(port), Some(index)) = (
                u16::try_from(value),
                (0..net.addresses.len()).find(|index| net.ip(node, *index) == ip),
            ) else {
                return;
            };
            let item = (index as u8, port);
            if shared {
                used.shared.push(item);
            } else {
                used.held.push(item);
            }
        };
        let shared = &resources.shared;
        if shared.ports.is_empty() {
            for network in &shared.networks {
                for port in network.ports() {
                    hold(&network.ip, port.value, port.ignore_collision);
                }
            }
        } else {
            for port in &shared.ports {
                hold(&port.host_ip, port.value, port.ignore_collision);
            }
        }
        for network in resources
            .tasks
            .values()
            .filter_map(|task| task.networks.first())
        {
            for port in network.ports() {
                hold(&network.ip, port.value, port.ignore_collision);
            }
        }
        used.held.sort_unstable();
        used.shared.sort_unstable();
        used
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.shared.is_empty()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        super::merge(&mut self.held, &other.held);
        super::merge(&mut self.shared, &other.shared);
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        super::remove(&mut self.held, &other.held);
        super::remove(&mut self.shared, &other.shared);
    }

    /// Whether two holders have the same port.
    pub(crate) fn collides(&self) -> bool {
        super::has_duplicate(&self.held)
    }

    /// Whether a port that the node keeps for itself is held.
    pub(crate) fn touches_reserved(&self, net: &NetRoom) -> bool {
        self.held.iter().any(|(index, port)| {
            usize::from(*index) < net.addresses.len() && net.is_reserved(usize::from(*index), *port)
        })
    }

    fn has(&self, index: usize, port: u16) -> bool {
        let item = (index as u8, port);
        self.held.binary_search(&item).is_ok() || self.shared.binary_search(&item).is_ok()
    }

    /// Whether any holder uses one of these (address, port) pairs.
    pub(crate) fn overlaps(&self, wanted: &[(u8, u16)]) -> bool {
        wanted.iter().any(|item| {
            self.held.binary_search(item).is_ok() || self.shared.binary_search(item).is_ok()
        })
    }
}

/// Why a network cannot be given, as metrics show it after `network: `.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NetError {
    #[error("reserved port collision {label}={port}")]
    Reserved { label: String, port: i64 },
    #[error("no addresses available for {alias} network")]
    NoAddress { alias: String },
    #[error("no networks available")]
    NoNetwork,
    #[error("dynamic port selection failed")]
    Dynamic,
    #[error("port collision")]
    Collision,
}

fn alias_of<'a>(port: &'a Port, node: &'a Node) -> Cow<'a, str> {
    if port.host_network.is_empty() {
        Cow::Borrowed(DEFAULT_ALIAS)
    } else {
        target::interpolate(&port.host_network, node)
    }
}

fn address_list(net: &NetRoom, node: &Node, alias: &str) -> Result<Vec<usize>, NetError> {
    let addresses: Vec<usize> = net.of_alias(node, alias).collect();
    if addresses.is_empty() {
        return Err(NetError::NoAddress {
            alias: alias.to_owned(),
        });
    }
    Ok(addresses)
}

/// The static ports that a network asks for on this node.
pub(crate) fn wanted_static(ask: &NetworkResource, node: &Node, net: &NetRoom) -> Vec<(u8, u16)> {
    let mut wanted = Vec::new();
    for port in ask.reserved_ports.iter().filter(|p| !p.ignore_collision) {
        let alias = alias_of(port, node);
        for index in net.of_alias(node, &alias) {
            wanted.push((index as u8, port.value.clamp(0, 65_535) as u16));
        }
    }
    wanted.sort_unstable();
    wanted
}

/// Whether the group's network could be given, without choosing ports.
pub(crate) fn check(
    ask: &NetworkResource,
    node: &Node,
    net: &NetRoom,
    used: &UsedPorts,
) -> Result<(), NetError> {
    if used.collides() {
        return Err(NetError::Collision);
    }
    check_static(ask, node, net, used)?;
    if ask.dynamic_ports.is_empty() {
        return Ok(());
    }
    // A quick bound: nearly always there are far more ports than holders.
    let span = usize::from(net.high.saturating_sub(net.low));
    let kept = net
        .addresses
        .iter()
        .map(|address| address.reserved.count_within(net.low, net.high))
        .sum::<usize>();
    let taken = used.held.len() + used.shared.len() + ask.reserved_ports.len() + kept;
    if taken + ask.dynamic_ports.len() <= span {
        for port in &ask.dynamic_ports {
            let alias = alias_of(port, node);
            if net.of_alias(node, &alias).next().is_none() {
                return Err(NetError::NoAddress {
                    alias: alias.into_owned(),
                });
            }
        }
        return Ok(());
    }
    assign(ask, node, net, used, &mut Rng::new(0)).map(|_| ())
}

fn check_static(
    ask: &NetworkResource,
    node: &Node,
    net: &NetRoom,
    used: &UsedPorts,
) -> Result<(), NetError> {
    for port in &ask.reserved_ports {
        let alias = alias_of(port, node);
        let value = port.value.clamp(0, 65_535) as u16;
        let mut any = false;
        for index in net.of_alias(node, &alias) {
            any = true;
            if !port.ignore_collision && (net.is_reserved(index, value) || used.has(index, value)) {
                return Err(NetError::Reserved {
                    label: port.label.clone(),
                    port: port.value,
                });
            }
        }
        if !any {
            return Err(NetError::NoAddress {
                alias: alias.into_owned(),
            });
        }
    }
    Ok(())
}

/// Gives the network's ports: the mapped ports, and the network as the allocation shows it.
pub(crate) fn assign(
    ask: &NetworkResource,
    node: &Node,
    net: &NetRoom,
    used: &UsedPorts,
    rng: &mut Rng,
) -> Result<(Vec<AllocatedPort>, NetworkResource), NetError> {
    check_static(ask, node, net, used)?;
    let mut ports = Vec::new();
    let mut offer = ask.clone();
    let mut chosen: Vec<(usize, u16)> = Vec::new();
    for port in &mut offer.reserved_ports {
        let addresses = address_list(net, node, &alias_of(port, node))?;
        let value = port.value.clamp(0, 65_535) as u16;
        chosen.extend(addresses.iter().map(|index| (*index, value)));
        ports.push(mapped(port, port.value, net.ip(node, addresses[0])));
        if port.to == -1 {
            port.to = port.value;
        }
    }
    for port in &mut offer.dynamic_ports {
        let addresses = address_list(net, node, &alias_of(port, node))?;
        let free = |candidate: u16| {
            addresses.iter().all(|index| {
                !net.is_reserved(*index, candidate)
                    && !used.has(*index, candidate)
                    && !chosen.contains(&(*index, candidate))
            })
        };
        let span = u64::from(net.high.saturating_sub(net.low));
        let mut value = None;
        for _ in 0..RANDOM_TRIES {
            let candidate = net.low + rng.below(span) as u16;
            if span > 0 && free(candidate) {
                value = Some(candidate);
                break;
            }
        }
        if value.is_none() {
            let open: Vec<u16> = (net.low..net.high).filter(|port| free(*port)).collect();
            value = open.get(rng.below(open.len() as u64) as usize).copied();
        }
        let value = value.ok_or(NetError::Dynamic)?;
        chosen.extend(addresses.iter().map(|index| (*index, value)));
        ports.push(mapped(port, i64::from(value), net.ip(node, addresses[0])));
        port.value = i64::from(value);
        if port.to == -1 {
            port.to = port.value;
        }
    }
    offer.ip = host_ip(node);
    Ok((ports, offer))
}

fn mapped(port: &Port, value: i64, ip: &str) -> AllocatedPort {
    AllocatedPort {
        label: port.label.clone(),
        value,
        to: if port.to == -1 { value } else { port.to },
        host_ip: ip.to_owned(),
        ignore_collision: port.ignore_collision,
    }
}

/// The address that a group's network shows: the first of the node's host network.
fn host_ip(node: &Node) -> String {
    let resources = &node.node_resources;
    resources
        .node_networks
        .iter()
        .find(|network| network.mode == "host")
        .and_then(|network| network.addresses.first())
        .map(|address| address.address.clone())
        .or_else(|| {
            resources
                .networks
                .iter()
                .find(|network| network.mode == "host")
                .or(resources.networks.first())
                .map(|network| network.ip.clone())
        })
        .unwrap_or_default()
}

/// Gives a task its own network (the older form): ports on the first of the node's networks that has them free.
pub(crate) fn assign_task(
    ask: &NetworkResource,
    node: &Node,
    net: &NetRoom,
    used: &UsedPorts,
    rng: &mut Rng,
) -> Result<NetworkResource, NetError> {
    let mut refused = NetError::NoNetwork;
    for index in 0..net.addresses.len() {
        let ip = net.ip(node, index).to_owned();
        let Some(network) = node.node_resources.networks.iter().find(|n| n.ip == ip) else {
            continue;
        };
        match assign_at(ask, net, used, index, rng) {
            Ok(mut offer) => {
                offer.device.clone_from(&network.device);
                offer.ip = ip;
                return Ok(offer);
            }
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn assign_at(
    ask: &NetworkResource,
    net: &NetRoom,
    used: &UsedPorts,
    index: usize,
    rng: &mut Rng,
) -> Result<NetworkResource, NetError> {
    let mut offer = ask.clone();
    let mut chosen: Vec<u16> = Vec::new();
    for port in &offer.reserved_ports {
        let value = port.value.clamp(0, 65_535) as u16;
        if !port.ignore_collision && (net.is_reserved(index, value) || used.has(index, value)) {
            return Err(NetError::Reserved {
                label: port.label.clone(),
                port: port.value,
            });
        }
        chosen.push(value);
    }
    for port in &mut offer.dynamic_ports {
        let free = |candidate: &u16| {
            !net.is_reserved(index, *candidate)
                && !used.has(index, *candidate)
                && !chosen.contains(candidate)
        };
        let span = u64::from(net.high.saturating_sub(net.low));
        let start = rng.below(span) as u16;
        let value = (net.low + start..net.high)
            .chain(net.low..net.low + start)
            .find(free)
            .ok_or(NetError::Dynamic)?;
        chosen.push(value);
        port.value = i64::from(value);
        if port.to == -1 {
            port.to = port.value;
        }
    }
    Ok(offer)
}

impl UsedPorts {
    /// Also counts ports that were just given and are not part of an allocation yet.
    pub(crate) fn with_network(
        &self,
        network: &NetworkResource,
        node: &Node,
        net: &NetRoom,
    ) -> Self {
        let resources = AllocatedResources {
            shared: nomad_core::alloc::AllocatedSharedResources {
                networks: vec![network.clone()],
                ..Default::default()
            },
            ..AllocatedResources::default()
        };
        let mut both = self.clone();
        both.add(&Self::of(&resources, node, net));
        both
    }
}
