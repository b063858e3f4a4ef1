//! Host volumes: directories of a node, static ones by name and dynamic ones by their state and claims.

use std::borrow::Cow;
use std::sync::Arc;

use nomad_core::alloc::Allocation;
use nomad_core::ids::{AllocId, JobKey};
use nomad_core::job::TaskGroup;
use nomad_core::node::Node;
use nomad_core::view::{ClusterView, HostVolumeView};

use super::Reason;

const MISSING: &str = "missing compatible host volumes";

/// Access mode of a volume that one allocation has for itself.
const SINGLE_WRITER: &str = "single-node-single-writer";

/// Host volumes, by name, that an allocation wants for itself.
pub(crate) fn single_writers(alloc: &Allocation) -> impl Iterator<Item = Cow<'_, str>> {
    alloc
        .group()
        .into_iter()
        .flat_map(|group| group.volumes.values())
        .filter(|volume| volume.kind == "host" && volume.access_mode == SINGLE_WRITER)
        .map(|volume| source(&volume.source, volume.per_alloc, alloc.index()))
}

/// A host volume that a group asks for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    source: String,
    read_only: bool,
    sticky: bool,
    access_mode: String,
    per_alloc: bool,
}

/// What the check of volumes depends on besides the node.
pub(crate) struct Context<'a> {
    pub(crate) view: &'a dyn ClusterView,
    pub(crate) job: &'a JobKey,
    pub(crate) group: &'a str,
    /// The `[index]` of the allocation that is placed.
    pub(crate) index: Option<u64>,
    /// Whether the plan ends an allocation, and with it its claim.
    pub(crate) ended: &'a dyn Fn(AllocId) -> bool,
    /// What the plan places on the node already.
    pub(crate) placed: &'a [Arc<Allocation>],
}

/// The source of a volume that may be one per allocation.
pub(crate) fn source(source: &str, per_alloc: bool, index: Option<u64>) -> Cow<'_, str> {
    match index {
        Some(index) if per_alloc => Cow::Owned(format!("{source}[{index}]")),
        _ => Cow::Borrowed(source),
    }
}

impl Request {
    pub(crate) fn of(group: &TaskGroup) -> Vec<Self> {
        group
            .volumes
            .values()
            .filter(|volume| volume.kind == "host")
            .map(|volume| Self {
                source: volume.source.clone(),
                read_only: volume.read_only,
                sticky: volume.sticky,
                access_mode: volume.access_mode.clone(),
                per_alloc: volume.per_alloc,
            })
            .collect()
    }

    fn is_met_by(&self, node: &Node, context: &Context<'_>, claimed: &[String]) -> bool {
        let name = source(&self.source, self.per_alloc, context.index);
        let Some(volume) = node.host_volumes.get(&*name) else {
            return false;
        };
        if volume.id.is_empty() {
            return !self.sticky && (self.read_only || !volume.read_only);
        }
        let Some(state) = context.view.host_volume(&context.job.namespace, &volume.id) else {
            return false;
        };
        if self.sticky && !claimed.is_empty() && !claimed.contains(&volume.id) {
            return false;
        }
        state.ready
            && self.access_is_free(&state, context)
            && (self.access_mode != SINGLE_WRITER
                || !context
                    .placed
                    .iter()
                    .any(|other| single_writers(other).any(|other| other == name)))
    }

    fn access_is_free(&self, state: &HostVolumeView, context: &Context<'_>) -> bool {
        let wanted = if !self.access_mode.is_empty() {
            self.access_mode.as_str()
        } else if self.read_only {
            "single-node-reader-only"
        } else {
            "single-node-writer"
        };
        if !state.access_modes.iter().any(|mode| mode == wanted) {
            return false;
        }
        wanted != SINGLE_WRITER || state.claims.iter().all(|claim| (context.ended)(*claim))
    }
}

/// Whether the node has every host volume that the group asks for.
pub(crate) fn check(
    requests: &[Request],
    node: &Node,
    context: &Context<'_>,
) -> Result<(), Reason> {
    if requests.is_empty() {
        return Ok(());
    }
    let claimed = if requests.iter().any(|request| request.sticky) {
        context.view.host_volume_claims(context.job, context.group)
    } else {
        Vec::new()
    };
    if requests
        .iter()
        .all(|request| request.is_met_by(node, context, &claimed))
    {
        Ok(())
    } else {
        Err(Cow::Borrowed(MISSING))
    }
}
