//! Which ports a group gets on a node.
//!
//! Source: servers and scheduling reference, "Ports and network assignment".

use std::borrow::Cow;

use nomad_core::alloc::AllocatedPort;
use nomad_core::job::{NetworkResource, Port};
use nomad_core::node::Node;

use super::net::DEFAULT_ALIAS;
pub(crate) use super::net::{NetRoom, PortSet};
pub(crate) use super::used_ports::UsedPorts;
use crate::feasible::target;
use crate::rng::Rng;

/// Random tries for a dynamic port before the range is scanned.
const RANDOM_TRIES: u32 = 20;

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
    #[error("bandwidth exceeded")]
    Bandwidth,
}

fn alias_of<'a>(port: &'a Port, node: &'a Node) -> Cow<'a, str> {
    if port.host_network.is_empty() {
        Cow::Borrowed(DEFAULT_ALIAS)
    } else {
        target::interpolate(&port.host_network, node)
    }
}

fn address_list(net: &NetRoom, alias: &str) -> Result<Vec<usize>, NetError> {
    let addresses: Vec<usize> = net.of_alias(alias).collect();
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
        for index in net.of_alias(&alias) {
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
    let taken = used.len() + ask.reserved_ports.len() + net.reserved_dynamic();
    if taken + ask.dynamic_ports.len() <= span {
        for port in &ask.dynamic_ports {
            let alias = alias_of(port, node);
            if net.of_alias(&alias).next().is_none() {
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
        for index in net.of_alias(&alias) {
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
        let addresses = address_list(net, &alias_of(port, node))?;
        let value = port.value.clamp(0, 65_535) as u16;
        chosen.extend(addresses.iter().map(|index| (*index, value)));
        ports.push(mapped(port, port.value, net.ip(addresses[0])));
        if port.to == -1 {
            port.to = port.value;
        }
    }
    for port in &mut offer.dynamic_ports {
        let addresses = address_list(net, &alias_of(port, node))?;
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
            let open: Vec<u16> = (net.low..=net.high).filter(|port| free(*port)).collect();
            value = open.get(rng.below(open.len() as u64) as usize).copied();
        }
        let value = value.ok_or(NetError::Dynamic)?;
        chosen.extend(addresses.iter().map(|index| (*index, value)));
        ports.push(mapped(port, i64::from(value), net.ip(addresses[0])));
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
    for index in 0..net.len() {
        let Some((legacy, network)) = net.legacy(index).and_then(|legacy| {
            let network = node.node_resources.networks.get(usize::from(legacy))?;
            (!network.device.is_empty()).then_some((legacy, network))
        }) else {
            continue;
        };
        if used.mbits(legacy) + ask.mbits > network.mbits {
            refused = NetError::Bandwidth;
            continue;
        }
        match assign_at(ask, net, used, index, rng) {
            Ok(mut offer) => {
                offer.device.clone_from(&network.device);
                net.ip(index).clone_into(&mut offer.ip);
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
        let value = (net.low + start..=net.high)
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
