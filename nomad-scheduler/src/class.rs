//! The computed class of a node: nodes of one class answer every constraint alike.
//!
//! Source: servers and scheduling reference, "Computed class and memoization".

use nomad_core::node::{DeviceAttribute, Node};

/// Attribute and meta keys with this prefix differ from node to node and stay out of the class.
const UNIQUE: &str = "unique.";

/// The class of a node, `v1:` and a number. Nodes of equal class have the same datacenter, pool, node class, non-unique
/// attributes and meta, and devices; whatever constraint one of them meets, the others meet too.
pub fn computed_class(node: &Node) -> String {
    let mut hash = Fnv::new();
    hash.field("datacenter", &node.datacenter);
    hash.field("class", &node.node_class);
    hash.field("pool", &node.node_pool);
    for (name, map) in [("attr", &node.attributes), ("meta", &node.meta)] {
        hash.word(name);
        for (key, value) in map.iter().filter(|(key, _)| !key.starts_with(UNIQUE)) {
            hash.field(key, value);
        }
    }
    for device in &node.node_resources.devices {
        hash.word("device");
        hash.field("vendor", &device.vendor);
        hash.field("type", &device.kind);
        hash.field("name", &device.name);
        for (key, value) in &device.attributes {
            if !key.starts_with(UNIQUE) {
                hash.field(key, &attribute_text(value));
            }
        }
    }
    format!("v1:{}", hash.0)
}

/// The computed class and a number over what filters read beside it: healthy drivers, healthy device instances, kinds
/// and names of networks. Nodes for which both are equal meet the same filters; the class alone does not promise it.
pub(crate) fn exact_class(node: &Node, class: &str) -> String {
    let mut hash = Fnv::new();
    for (name, info) in &node.drivers {
        if info.detected && info.healthy {
            hash.field("driver", name);
        }
    }
    for device in &node.node_resources.devices {
        let healthy = device.instances.iter().filter(|one| one.healthy).count();
        hash.field("healthy", &healthy.to_string());
    }
    for network in &node.node_resources.node_networks {
        hash.field("mode", &network.mode);
        hash.field("device", &network.device);
        for address in &network.addresses {
            hash.field("alias", &address.alias);
        }
    }
    for network in &node.node_resources.networks {
        hash.field("network", &network.mode);
        hash.field("device", &network.device);
    }
    format!("{class}/{}", hash.0)
}

fn attribute_text(value: &DeviceAttribute) -> String {
    format!(
        "{:?}|{:?}|{:?}|{:?}|{}",
        value.float, value.int, value.string, value.boolean, value.unit
    )
}

/// FNV-1a, 64 bits.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// A text and a mark of its end, so that neighbours cannot run together.
    fn word(&mut self, text: &str) {
        for byte in text.bytes().chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn field(&mut self, key: &str, value: &str) {
        self.word(key);
        self.word(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_constraints_can_share_counts() {
        let mut node = Node {
            datacenter: "dc1".to_owned(),
            ..Node::default()
        };
        let class = computed_class(&node);
        assert!(class.starts_with("v1:"));

        node.name = "other".to_owned();
        node.attributes
            .insert("unique.hostname".to_owned(), "other".to_owned());
        assert_eq!(computed_class(&node), class, "unique parts stay out");

        node.meta.insert("rack".to_owned(), "r1".to_owned());
        assert_ne!(computed_class(&node), class);
    }
}
