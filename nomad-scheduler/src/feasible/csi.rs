//! CSI volumes: the volume exists, the node runs its plugin, and its claims leave room.

use std::borrow::Cow;

use nomad_core::job::TaskGroup;
use nomad_core::node::{CsiNodePlugin, Node};
use nomad_core::view::CsiVolumeView;

use super::Reason;
use super::host_volume::{self, Context};

/// A CSI volume that a group asks for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    source: String,
    read_only: bool,
    per_alloc: bool,
}

impl Request {
    pub(crate) fn of(group: &TaskGroup) -> Vec<Self> {
        group
            .volumes
            .values()
            .filter(|volume| volume.kind == "csi")
            .map(|volume| Self {
                source: volume.source.clone(),
                read_only: volume.read_only,
                per_alloc: volume.per_alloc,
            })
            .collect()
    }

    fn check(&self, node: &Node, context: &Context<'_>) -> Result<(), Reason> {
        let id = host_volume::source(&self.source, self.per_alloc, context.index);
        let refuse = |text: String| Err(Cow::Owned(text));
        let Some(volume) = context.view.csi_volume(&context.job.namespace, &id) else {
            return refuse(format!("missing CSI Volume {id}"));
        };
        let Some(plugin) = node.csi_node_plugins.get(&volume.plugin_id) else {
            return refuse(format!(
                "CSI plugin {} is missing from client {}",
                volume.plugin_id, node.id
            ));
        };
        if !plugin.healthy {
            return refuse(format!(
                "CSI plugin {} is unhealthy on client {}",
                volume.plugin_id, node.id
            ));
        }
        if is_full(plugin, node, context) {
            return refuse(format!(
                "CSI plugin {} has the maximum number of volumes on client {}",
                volume.plugin_id, node.id
            ));
        }
        if !reaches(&volume, plugin) {
            return refuse(format!(
                "CSI plugin {} on client {} is not in the topology of volume {id}",
                volume.plugin_id, node.id
            ));
        }
        if !volume.schedulable {
            return refuse(format!("CSI volume {id} is unschedulable"));
        }
        if self.read_only || self.may_write(&volume, context) {
            Ok(())
        } else {
            refuse(format!(
                "CSI volume {id} has exhausted its available writer claims"
            ))
        }
    }

    fn may_write(&self, volume: &CsiVolumeView, context: &Context<'_>) -> bool {
        if volume.access_mode.contains("reader-only") {
            return false;
        }
        if volume.access_mode == "multi-node-multi-writer" || volume.writers.is_empty() {
            return true;
        }
        // Writers of this very job are about to be replaced and will let go of the volume.
        volume.writers.iter().all(|writer| {
            (context.ended)(*writer)
                || context
                    .view
                    .alloc(*writer)
                    .is_none_or(|alloc| alloc.terminal() || alloc.job_key() == *context.job)
        })
    }
}

fn is_full(plugin: &CsiNodePlugin, node: &Node, context: &Context<'_>) -> bool {
    let max = plugin.node_info.as_ref().map_or(0, |info| info.max_volumes);
    if max <= 0 {
        return false;
    }
    let held: i64 = context
        .view
        .allocs_of_node(node.id)
        .filter(|alloc| !alloc.client_terminal() && !(context.ended)(alloc.id))
        .filter_map(|alloc| alloc.group())
        .flat_map(|group| group.volumes.values())
        .filter(|volume| volume.kind == "csi")
        .filter(|request| {
            context
                .view
                .csi_volume(&context.job.namespace, &request.source)
                .is_some_and(|volume| volume.plugin_id == plugin.plugin_id)
        })
        .count() as i64;
    held >= max
}

/// Whether the node lies in one of the volume's topologies.
fn reaches(volume: &CsiVolumeView, plugin: &CsiNodePlugin) -> bool {
    if volume.topologies.is_empty() {
        return true;
    }
    let segments = plugin
        .node_info
        .as_ref()
        .and_then(|info| info.accessible_topology.as_ref())
        .and_then(|topology| topology.get("Segments"));
    volume.topologies.iter().any(|topology| {
        topology.iter().all(|(key, value)| {
            segments
                .and_then(|segments| segments.get(key))
                .and_then(|own| own.as_str())
                == Some(value)
        })
    })
}

/// Whether the node can mount every CSI volume that the group asks for.
pub(crate) fn check(
    requests: &[Request],
    node: &Node,
    context: &Context<'_>,
) -> Result<(), Reason> {
    requests
        .iter()
        .try_for_each(|request| request.check(node, context))
}
