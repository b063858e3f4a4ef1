//! The node streams of this server, and what each of them still has to be told.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use nomad_core::{AllocId, NodeId};
use nomad_proto::node::NodeDown;
use nomad_state::ChangeSet;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// What goes to a node.
pub(crate) type DownSender = mpsc::Sender<Result<NodeDown, Status>>;

/// Allocations that a node has to be told of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// Everything, because the whole state changed or the stream is new.
    All,
    /// These; no more than there are allocations on the node.
    Some(BTreeSet<AllocId>),
}

/// One node's stream, as others see it.
#[derive(Debug)]
pub(crate) struct Inbox {
    pending: Mutex<Pending>,
    wake: Notify,
    pub(crate) down: DownSender,
    /// Ends the stream, for instance when the node opens another one.
    pub(crate) closed: CancellationToken,
}

impl Inbox {
    /// For a new stream, which has to be told everything.
    pub(crate) fn new(down: DownSender, closed: CancellationToken) -> Self {
        Self {
            pending: Mutex::new(Pending::All),
            wake: Notify::new(),
            down,
            closed,
        }
    }

    fn add(&self, id: AllocId) {
        if let Pending::Some(ids) = &mut *self.pending.lock() {
            ids.insert(id);
        }
        self.wake.notify_one();
    }

    fn add_all(&self) {
        *self.pending.lock() = Pending::All;
        self.wake.notify_one();
    }

    /// Waits until there is something to tell, and takes it.
    pub(crate) async fn take(&self) -> Pending {
        loop {
            {
                let mut pending = self.pending.lock();
                if !matches!(&*pending, Pending::Some(ids) if ids.is_empty()) {
                    return std::mem::replace(&mut *pending, Pending::Some(BTreeSet::new()));
                }
            }
            self.wake.notified().await;
        }
    }
}

/// The streams by node.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_node: RwLock<HashMap<NodeId, Arc<Inbox>>>,
}

impl Sessions {
    /// Makes a stream known; an older one of the same node is closed.
    pub(crate) fn insert(&self, node: NodeId, inbox: Arc<Inbox>) {
        if let Some(old) = self.by_node.write().insert(node, inbox) {
            old.closed.cancel();
        }
    }

    /// Forgets a stream, unless another one took its place.
    pub(crate) fn remove(&self, node: NodeId, inbox: &Arc<Inbox>) {
        let mut by_node = self.by_node.write();
        if by_node
            .get(&node)
            .is_some_and(|present| Arc::ptr_eq(present, inbox))
        {
            by_node.remove(&node);
        }
    }

    /// The stream of a node.
    pub(crate) fn get(&self, node: NodeId) -> Option<Arc<Inbox>> {
        self.by_node.read().get(&node).cloned()
    }

    /// How many nodes are connected.
    pub(crate) fn len(&self) -> usize {
        self.by_node.read().len()
    }

    /// Tells streams what the servers changed of their allocations; nodes' own reports are not sent back.
    pub(crate) fn notify(&self, changes: &ChangeSet) {
        if changes.allocs.is_empty() {
            return;
        }
        let by_node = self.by_node.read();
        for change in &changes.allocs {
            let by_server = match (&change.old, &change.new) {
                (Some(old), Some(new)) => old.alloc_modify_index != new.alloc_modify_index,
                _ => true,
            };
            if let Some(row) = change.new.as_ref().or(change.old.as_ref())
                && by_server
                && let Some(inbox) = by_node.get(&row.node_id)
            {
                inbox.add(row.id);
            }
        }
    }

    /// Ends all streams; the nodes open new ones.
    pub(crate) fn close_all(&self) {
        for inbox in self.by_node.read().values() {
            inbox.closed.cancel();
        }
    }

    /// Tells all streams to look at everything.
    pub(crate) fn notify_all(&self) {
        for inbox in self.by_node.read().values() {
            inbox.add_all();
        }
    }
}
