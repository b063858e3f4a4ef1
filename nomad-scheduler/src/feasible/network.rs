//! Networks: the mode of a group's network, and the host networks that its ports name.

use std::borrow::Cow;

use nomad_core::job::{NetworkResource, TaskGroup};
use nomad_core::node::Node;

use super::{Filter, Reason, target};

/// Keeps nodes that have the kind of network a group asks for.
pub(crate) struct Networks(NetworkResource);

impl Networks {
    /// The filter, where the group has a network.
    pub(crate) fn of(group: &TaskGroup) -> Option<Self> {
        group.networks.first().cloned().map(Self)
    }
}

impl Filter for Networks {
    fn check(&self, node: &Node) -> Result<(), Reason> {
        let resources = &node.node_resources;
        let mode = if self.0.mode.is_empty() {
            "host"
        } else {
            self.0.mode.as_str()
        };
        if mode == "none" {
            return Ok(());
        }
        let has_mode = resources
            .node_networks
            .iter()
            .map(|network| network.mode.as_str())
            .chain(
                resources
                    .networks
                    .iter()
                    .map(|network| network.mode.as_str()),
            )
            .any(|own| own == mode || (own.is_empty() && mode == "host"));
        if !has_mode {
            return Err(Cow::Borrowed("missing network"));
        }
        for port in self.0.ports().filter(|port| !port.host_network.is_empty()) {
            let alias = target::interpolate(&port.host_network, node);
            let known = resources
                .node_networks
                .iter()
                .flat_map(|network| &network.addresses)
                .any(|address| address.alias == alias);
            if !known {
                return Err(Cow::Owned(format!(
                    "missing host network {alias:?} for port {:?}",
                    port.label
                )));
            }
        }
        Ok(())
    }
}
