//! The addresses of a node and the ports that it keeps for itself on them.

use std::net::IpAddr;
use std::sync::Arc;

use nomad_core::node::Node;

/// Alias of the host network that ports without one belong to.
pub(super) const DEFAULT_ALIAS: &str = "default";
/// Addresses of one CIDR block that are looked at; tasks' own networks (the older form) take theirs from a block.
const MAX_CIDR_ADDRESSES: u32 = 256;

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
    pub(super) fn count_within(&self, low: u16, high: u16) -> usize {
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

/// An address of a node.
#[derive(Debug, Clone)]
struct Address {
    ip: Box<str>,
    /// Host network that it belongs to; absent for addresses of the older form only.
    alias: Option<Box<str>>,
    /// Index among the node's networks of the older form.
    legacy: Option<u16>,
    reserved: Arc<PortSet>,
}

/// The addresses of a node and what is reserved on them.
#[derive(Debug, Clone, Default)]
pub(crate) struct NetRoom {
    addresses: Vec<Address>,
    /// Dynamic ports are taken from `low..high`.
    pub(super) low: u16,
    pub(super) high: u16,
}

/// The addresses of a CIDR block, at most [`MAX_CIDR_ADDRESSES`].
fn block(cidr: &str) -> Vec<IpAddr> {
    let Some((ip, bits)) = cidr.split_once('/') else {
        return Vec::new();
    };
    let (Ok(ip), Ok(bits)) = (ip.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return Vec::new();
    };
    match ip {
        IpAddr::V4(ip) if bits <= 32 => {
            let size = 1_u32.checked_shl(32 - bits).unwrap_or(u32::MAX);
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            let first = u32::from(ip) & mask;
            (0..size.min(MAX_CIDR_ADDRESSES))
                .map(|offset| IpAddr::V4(first.wrapping_add(offset).into()))
                .collect()
        }
        IpAddr::V4(_) => Vec::new(),
        IpAddr::V6(_) => vec![ip],
    }
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
        let mut addresses: Vec<Address> = Vec::new();
        for address in node
            .node_resources
            .node_networks
            .iter()
            .flat_map(|network| &network.addresses)
        {
            let own = address.reserved_ports.as_str();
            let reserved = match (own.is_empty(), kept.is_empty()) {
                (true, _) => set(kept),
                (false, true) => set(own),
                (false, false) => set(&format!("{own},{kept}")),
            };
            addresses.push(Address {
                ip: address.address.as_str().into(),
                alias: Some(address.alias.as_str().into()),
                legacy: None,
                reserved,
            });
        }
        let only_legacy = addresses.is_empty();
        for (index, network) in node.node_resources.networks.iter().enumerate() {
            let mut ips: Vec<Box<str>> = block(&network.cidr)
                .into_iter()
                .map(|ip| ip.to_string().into())
                .collect();
            if ips.is_empty() && !network.ip.is_empty() {
                ips.push(network.ip.as_str().into());
            }
            for ip in ips {
                match addresses.iter_mut().find(|address| address.ip == ip) {
                    Some(address) => address.legacy = Some(index as u16),
                    None => addresses.push(Address {
                        ip,
                        alias: only_legacy.then(|| DEFAULT_ALIAS.into()),
                        legacy: Some(index as u16),
                        reserved: set(kept),
                    }),
                }
            }
        }
        let (low, high) = node.dynamic_ports();
        Self {
            addresses,
            low: low.clamp(0, 65_535) as u16,
            high: high.clamp(0, 65_535) as u16,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }

    pub(super) fn ip(&self, index: usize) -> &str {
        &self.addresses[index].ip
    }

    pub(super) fn legacy(&self, index: usize) -> Option<u16> {
        self.addresses[index].legacy
    }

    /// The address of that text.
    pub(super) fn find(&self, ip: &str) -> Option<usize> {
        self.addresses.iter().position(|address| &*address.ip == ip)
    }

    /// Addresses of a host network.
    pub(super) fn of_alias<'s>(&'s self, alias: &'s str) -> impl Iterator<Item = usize> + 's {
        (0..self.addresses.len())
            .filter(move |index| self.addresses[*index].alias.as_deref() == Some(alias))
    }

    pub(super) fn is_reserved(&self, index: usize, port: u16) -> bool {
        self.addresses[index].reserved.contains(port)
    }

    /// At most how many dynamic ports are reserved on all addresses together.
    pub(super) fn reserved_dynamic(&self) -> usize {
        self.addresses
            .iter()
            .map(|address| address.reserved.count_within(self.low, self.high))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_sets_read_lists_and_ranges() {
        let set = PortSet::parse("22, 80,8000-8010,nonsense,9-3");
        for (port, inside) in [
            (22, true),
            (80, true),
            (8005, true),
            (8011, false),
            (9, false),
        ] {
            assert_eq!(set.contains(port), inside, "{port}");
        }
        assert_eq!(set.count_within(8000, 8005), 5);
    }

    #[test]
    fn blocks_are_bounded() {
        assert_eq!(
            block("10.0.0.7/32"),
            ["10.0.0.7".parse::<IpAddr>().unwrap()]
        );
        assert_eq!(block("10.0.0.7/30").len(), 4);
        assert_eq!(block("10.0.0.0/0").len(), 256);
        assert!(block("nonsense").is_empty());
    }
}
