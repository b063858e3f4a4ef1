//! What apply tells the rest of the server: every change once, in order, together with a state that contains it.

use std::sync::Arc;

use nomad_state::{ChangeSet, State};
use tokio::sync::broadcast;

use crate::config::CHANGE_FEED;

/// One message of the feed: a batch of commands that were applied, or a whole state that replaced the old one.
#[derive(Debug, Clone)]
pub struct FeedItem {
    /// The state after the batch.
    pub state: State,
    /// What the commands changed, in order; absent when the state was replaced by a snapshot.
    pub changes: Option<Arc<[Arc<ChangeSet>]>>,
}

/// The sending side; keeps the last [`CHANGE_FEED`] messages for slow receivers.
///
/// A message is sent before the proposers of its commands get their answers: who has an answer finds the change in the
/// feed.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    sender: broadcast::Sender<FeedItem>,
}

impl Feed {
    pub(crate) fn new() -> Self {
        Self {
            sender: broadcast::Sender::new(CHANGE_FEED),
        }
    }

    pub(crate) fn send(&self, item: FeedItem) {
        // Nobody listening is fine: a follower without connections.
        let _ = self.sender.send(item);
    }

    /// Everything from now on. A receiver that is told that it lagged reads the state anew.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<FeedItem> {
        self.sender.subscribe()
    }
}
