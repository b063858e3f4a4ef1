//! Ports and bandwidth in use on a node.

use nomad_core::alloc::{AllocatedResources, AllocatedSharedResources};
use nomad_core::job::NetworkResource;

use super::net::NetRoom;
use super::{has_duplicate, merge, remove};

/// Ports in use: (address of the node, port), sorted, once per holder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct UsedPorts {
    held: Vec<(u8, u16)>,
    /// Held by allocations that do not mind sharing them.
    shared: Vec<(u8, u16)>,
    /// (network of the older form, MBits).
    bandwidth: Vec<(u16, i64)>,
}

impl UsedPorts {
    pub(crate) const EMPTY: Self = Self {
        held: Vec::new(),
        shared: Vec::new(),
        bandwidth: Vec::new(),
    };

    pub(crate) fn of(resources: &AllocatedResources, net: &NetRoom) -> Self {
        let mut used = Self::default();
        let shared = &resources.shared;
        if shared.ports.is_empty() {
            for network in &shared.networks {
                used.hold_network(network, net);
            }
        } else {
            for port in &shared.ports {
                used.hold(net, &port.host_ip, port.value, port.ignore_collision);
            }
        }
        for network in resources
            .tasks
            .values()
            .filter_map(|task| task.networks.first())
        {
            used.hold_network(network, net);
            if network.mbits > 0
                && let Some(legacy) = net.find(&network.ip).and_then(|index| net.legacy(index))
            {
                used.bandwidth.push((legacy, network.mbits));
            }
        }
        used.held.sort_unstable();
        used.shared.sort_unstable();
        used.bandwidth.sort_unstable();
        used
    }

    fn hold_network(&mut self, network: &NetworkResource, net: &NetRoom) {
        for port in network.ports() {
            self.hold(net, &network.ip, port.value, port.ignore_collision);
        }
    }

    fn hold(&mut self, net: &NetRoom, ip: &str, value: i64, shared: bool) {
        let (Ok(port), Some(index)) = (u16::try_from(value), net.find(ip)) else {
            return;
        };
        let item = (index as u8, port);
        if shared {
            self.shared.push(item);
        } else {
            self.held.push(item);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.shared.is_empty() && self.bandwidth.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.held.len() + self.shared.len()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        merge(&mut self.held, &other.held);
        merge(&mut self.shared, &other.shared);
        merge(&mut self.bandwidth, &other.bandwidth);
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        remove(&mut self.held, &other.held);
        remove(&mut self.shared, &other.shared);
        remove(&mut self.bandwidth, &other.bandwidth);
    }

    /// Whether two holders have the same port.
    pub(crate) fn collides(&self) -> bool {
        has_duplicate(&self.held)
    }

    /// Whether a port that the node keeps for itself is held.
    pub(crate) fn touches_reserved(&self, net: &NetRoom) -> bool {
        self.held.iter().any(|(index, port)| {
            usize::from(*index) < net.len() && net.is_reserved(usize::from(*index), *port)
        })
    }

    pub(super) fn has(&self, index: usize, port: u16) -> bool {
        self.overlaps(&[(index as u8, port)])
    }

    /// Whether any holder uses one of these (address, port) pairs.
    pub(crate) fn overlaps(&self, wanted: &[(u8, u16)]) -> bool {
        wanted.iter().any(|item| {
            self.held.binary_search(item).is_ok() || self.shared.binary_search(item).is_ok()
        })
    }

    /// MBits in use on a network of the older form.
    pub(super) fn mbits(&self, legacy: u16) -> i64 {
        self.bandwidth
            .iter()
            .filter(|(own, _)| *own == legacy)
            .map(|(_, mbits)| mbits)
            .sum()
    }

    /// Also counts a network that was just given and is not part of an allocation yet.
    pub(super) fn with_network(&self, network: &NetworkResource, net: &NetRoom) -> Self {
        let resources = AllocatedResources {
            shared: AllocatedSharedResources {
                networks: vec![network.clone()],
                ..AllocatedSharedResources::default()
            },
            ..AllocatedResources::default()
        };
        let mut both = self.clone();
        both.add(&Self::of(&resources, net));
        if network.mbits > 0
            && let Some(legacy) = net.find(&network.ip).and_then(|index| net.legacy(index))
        {
            merge(&mut both.bandwidth, &[(legacy, network.mbits)]);
        }
        both
    }
}
