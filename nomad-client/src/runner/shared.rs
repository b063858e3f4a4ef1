//! What all runners of a node share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use nomad_core::alloc::AllocClientUpdate;
use nomad_core::{AllocId, Clock, NodeId};
use nomad_drivers::{Driver, Registry};
use nomad_template::watch::WatchHub;
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast};

use super::AllocRunner;
use crate::config::ClientConfig;
use crate::env::NodeView;
use crate::machine::outbox::Outbox;
use crate::state::{JobCache, StateDb};

/// Ends of allocations kept for those who wait for one; who missed one looks for itself.
const MAX_QUEUED_ENDS: usize = 64;

pub(crate) struct Shared {
    pub(crate) config: ClientConfig,
    pub(crate) node_id: NodeId,
    pub(crate) node_name: String,
    pub(crate) node: ArcSwap<NodeView>,
    pub(crate) db: StateDb,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) drivers: Registry,
    pub(crate) jobs: JobCache,
    pub(crate) reporter: Reporter,
    /// All allocations on this node.
    pub(crate) allocs: Mutex<BTreeMap<AllocId, Arc<AllocRunner>>>,
    /// Told of every allocation that is over, hooks included.
    pub(crate) ended: broadcast::Sender<AllocId>,
    pub(crate) servers_contacted: AtomicBool,
    /// MHz that one percent of a core stands for.
    pub(crate) ticks_per_percent: f64,
    /// Parent cgroup of tasks; empty where there are no cgroups to be had.
    pub(crate) cgroup_parent: String,
    /// What the templates of all tasks read, each thing once.
    pub(crate) templates: WatchHub,
}

impl Shared {
    pub(crate) fn new_ended() -> broadcast::Sender<AllocId> {
        broadcast::channel(MAX_QUEUED_ENDS).0
    }

    pub(crate) fn driver(&self, name: &str) -> Option<Arc<dyn Driver>> {
        self.drivers.get(name).cloned()
    }

    pub(crate) fn runner(&self, id: &AllocId) -> Option<Arc<AllocRunner>> {
        self.allocs.lock().get(id).cloned()
    }

    pub(crate) fn runners(&self) -> Vec<Arc<AllocRunner>> {
        self.allocs.lock().values().cloned().collect()
    }

    pub(crate) fn contacted(&self) -> bool {
        self.servers_contacted.load(Ordering::Acquire)
    }
}

/// Takes reports of allocations and tells the connection that there are some.
#[derive(Default)]
pub(crate) struct Reporter {
    outbox: Mutex<Outbox>,
    waiting: Notify,
}

impl Reporter {
    pub(crate) fn push(&self, update: AllocClientUpdate) {
        self.outbox.lock().push(update);
        self.waiting.notify_one();
    }

    /// Works on what waits.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Outbox) -> T) -> T {
        work(&mut self.outbox.lock())
    }

    /// Returns when something was pushed since the last call.
    pub(crate) async fn wait(&self) {
        self.waiting.notified().await;
    }
}
