//! A worker's view of the cluster: the newest state that the feed brought, and node columns that stand at it.

use nomad_core::view::ClusterView as _;
use nomad_scheduler::{ColumnChanges, NodeColumns};
use nomad_state::State;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::feed::FeedItem;
use crate::server::Inner;

/// Follows the feed.
pub(super) struct Follower {
    feed: broadcast::Receiver<FeedItem>,
    store: std::sync::Arc<nomad_state::Store>,
    state: State,
    columns: NodeColumns,
}

impl Follower {
    pub(super) fn new(inner: &Inner) -> Self {
        // Subscribed first: what the snapshot lacks comes with the feed.
        let feed = inner.feed.subscribe();
        let state = inner.store.snapshot();
        let columns = NodeColumns::from_view(&state);
        Self {
            feed,
            store: std::sync::Arc::clone(&inner.store),
            state,
            columns,
        }
    }

    /// Waits for the next change and takes it over.
    pub(super) async fn follow(&mut self) {
        match self.feed.recv().await {
            Ok(item) => self.take(item),
            Err(RecvError::Lagged(_)) => self.read_anew(),
            // The server is stopping; whoever waits beside this notices.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    /// The newest state and its columns. Whoever knows of a change with index `least` finds it there, because the
    /// feed brings changes before the answers to their proposals.
    pub(super) fn at(&mut self, least: u64) -> (State, Option<&NodeColumns>) {
        loop {
            match self.feed.try_recv() {
                Ok(item) => self.take(item),
                Err(TryRecvError::Lagged(_)) => self.read_anew(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        if self.state.last_index() < least {
            self.read_anew();
        }
        (self.state.clone(), Some(&self.columns))
    }

    fn take(&mut self, item: FeedItem) {
        if item.state.last_index() <= self.state.last_index() && item.changes.is_some() {
            return;
        }
        self.state = item.state;
        let Some(changes) = item.changes else {
            self.columns = NodeColumns::from_view(&self.state);
            return;
        };
        let mut columns = ColumnChanges::default();
        for change in changes.iter() {
            let nodes = change
                .nodes
                .iter()
                .filter_map(|c| c.new.as_ref().or(c.old.as_ref()));
            columns.nodes.extend(nodes.map(|node| node.id));
            let allocs = change.allocs.iter().map(|c| (c.old.clone(), c.new.clone()));
            columns.allocs.extend(allocs);
        }
        self.columns.update(&self.state, &columns);
    }

    fn read_anew(&mut self) {
        self.state = self.store.snapshot();
        self.columns = NodeColumns::from_view(&self.state);
        debug_assert_eq!(self.columns.index(), self.state.index());
    }
}
