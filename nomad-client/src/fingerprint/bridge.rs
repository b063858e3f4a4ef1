//! Network mode `bridge`: whether the kernel can make bridges.

use nomad_core::job::NetworkResource;
use nomad_core::node::{Node, NodeNetwork};
use rustix::system::uname;

use super::{Host, set};

pub(super) fn probe(host: &Host<'_>, node: &mut Node) {
    let config = host.config;
    if !has_module(host) {
        return;
    }
    set(
        node,
        "nomad.bridge.hairpin_mode",
        config.bridge_network_hairpin_mode,
    );
    node.node_resources.networks.push(NetworkResource {
        mode: "bridge".to_owned(),
        ..NetworkResource::default()
    });
    node.node_resources.node_networks.push(NodeNetwork {
        mode: "bridge".to_owned(),
        ..NodeNetwork::default()
    });
}

fn has_module(host: &Host<'_>) -> bool {
    if host.path("sys/module/bridge").exists() {
        return true;
    }
    let loaded = |text: &str| text.lines().any(|line| line.starts_with("bridge "));
    if loaded(&host.text("proc/modules")) {
        return true;
    }
    let release = uname().release().to_string_lossy().into_owned();
    ["modules.builtin", "modules.dep"].iter().any(|file| {
        host.text(&format!("lib/modules/{release}/{file}"))
            .lines()
            .any(|line| line.split([':', ' ']).next().is_some_and(is_bridge))
    })
}

fn is_bridge(path: &str) -> bool {
    path.rsplit('/')
        .next()
        .is_some_and(|file| file == "bridge.ko" || file.starts_with("bridge.ko."))
}
