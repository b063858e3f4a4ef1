//! Network modes `cni/<name>`: one for every network configuration in the CNI directory.

use nomad_core::job::NetworkResource;
use nomad_core::node::{Node, NodeNetwork};

use super::{Host, read_small};

/// Most configuration files that are read.
const MAX_FILES: usize = 1000;

pub(super) fn probe(host: &Host<'_>, node: &mut Node) {
    let dir = &host.config.cni_config_dir;
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|ext| ext == "conf" || ext == "conflist" || ext == "json")
        })
        .take(MAX_FILES)
        .collect();
    paths.sort();
    for path in paths {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&read_small(&path));
        let name = parsed
            .ok()
            .and_then(|value| Some(value.get("name")?.as_str()?.to_owned()));
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            tracing::warn!(path = %path.display(), "CNI configuration has no name and is left out");
            continue;
        };
        let mode = format!("cni/{name}");
        node.node_resources.networks.push(NetworkResource {
            mode: mode.clone(),
            ..NetworkResource::default()
        });
        node.node_resources.node_networks.push(NodeNetwork {
            mode,
            ..NodeNetwork::default()
        });
    }
}
