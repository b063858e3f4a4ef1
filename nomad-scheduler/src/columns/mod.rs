//! Struct-of-arrays view of the nodes, kept current by deltas.

use std::sync::Arc;

use nomad_core::alloc::Allocation;
use nomad_core::ids::NodeId;
use nomad_core::view::ClusterView;

/// What changed between two indexes of the state.
#[derive(Debug, Clone, Default)]
pub struct ColumnChanges {
    /// Nodes that were written or deleted.
    pub nodes: Vec<NodeId>,
    /// Allocations that were written: the row before (absent for new ones) and after (absent for deleted ones).
    pub allocs: Vec<(Option<Arc<Allocation>>, Option<Arc<Allocation>>)>,
}

/// Columns over all nodes of a view.
#[derive(Debug, Clone, Default)]
pub struct NodeColumns {
    index: u64,
}

impl NodeColumns {
    /// Reads a whole view.
    pub fn from_view(view: &dyn ClusterView) -> Self {
        Self {
            index: view.index(),
        }
    }

    /// Follows the state to the index of `view`; `changes` is everything that was written since [`Self::index`].
    pub fn update(&mut self, view: &dyn ClusterView, changes: &ColumnChanges) {
        let _ = changes;
        self.index = view.index();
    }

    /// Index of the state that they stand at.
    pub fn index(&self) -> u64 {
        self.index
    }
}
