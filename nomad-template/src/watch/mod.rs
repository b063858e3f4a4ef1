//! The watch hub of a node: one watcher for each distinct query and token, shared by all runners.
//!
//! A watcher is a task with a connection of its own, parked in a blocking query nearly always.
//! What it learns is held once: identical answers, also to different tokens, are one value. A
//! runner holds [`Subscription`]s; with the last one of a query its watcher ends.

mod http;
mod nomad;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;

use crate::data::{Answer, Data, Query, not_configured};
use crate::runner::ClientSettings;

pub use nomad::HttpFetch;

/// Renderings that may be in progress on a node at once.
pub const MAX_RENDERINGS: usize = 4;

/// Pause after a fetch that came back at once with nothing new; doubles up to the longest.
/// Such answers have no index to wait for.
const IDLE_POLL: Duration = Duration::from_secs(1);
/// Longest such pause.
const MAX_IDLE_POLL: Duration = Duration::from_secs(8);

/// What identifies a watcher.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WatchKey {
    /// What is asked; with a namespace where it has one.
    pub query: Query,
    /// Who asks.
    pub token: Arc<str>,
}

impl fmt::Debug for WatchKey {
    /// Without the token, which is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchKey")
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

/// What one fetch brought.
#[derive(Debug)]
pub struct Fetched {
    /// Index of the data: the next fetch waits for a higher one. 0 if there is none.
    pub index: u64,
    /// The data.
    pub data: Data,
    /// Digest of the data: equal digests, equal data.
    pub digest: [u8; 32],
}

/// A fetch that failed; it will be tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub String);

/// A fetch in progress.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send + 'a>>;

/// Asks one query again and again, over a connection of its own if it needs one.
pub trait Watch: Send {
    /// The data as soon as its index is higher than `index`, or after a while as it is.
    fn next(&mut self, index: u64) -> Fetching<'_>;
}

/// Where watchers get their data from.
pub trait Fetch: Send + Sync {
    /// A watch of the query, or `None` if this source has nothing of the kind.
    fn watch(&self, key: &WatchKey) -> Option<Box<dyn Watch>>;
}

/// The watchers of a node. Clones share them.
#[derive(Clone)]
pub struct WatchHub {
    inner: Arc<Inner>,
}

struct Inner {
    fetch: Arc<dyn Fetch>,
    settings: ClientSettings,
    entries: Mutex<HashMap<WatchKey, Arc<Entry>>>,
    answers: Mutex<HashMap<[u8; 32], Weak<Data>>>,
    renderings: Arc<Semaphore>,
    /// Renderings, which start watchers, run on threads that belong to no runtime.
    runtime: Handle,
}

/// A watched query.
struct Entry {
    key: WatchKey,
    state: Mutex<EntryState>,
}

struct EntryState {
    answer: Answer,
    /// Counts the answers that differed from the one before.
    version: u64,
    subscribers: Vec<(u64, Arc<Notify>)>,
    next_id: u64,
    watcher: Option<AbortHandle>,
}

/// What a hub holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubStats {
    /// Watched queries.
    pub watchers: usize,
    /// Subscriptions of runners to them.
    pub subscriptions: usize,
    /// Different answers held.
    pub answers: usize,
}

/// A runner's interest in a query. Dropping it ends the interest.
pub struct Subscription {
    hub: Weak<Inner>,
    entry: Arc<Entry>,
    id: u64,
}

impl Subscription {
    /// What is known now, and how often that has changed.
    pub fn answer(&self) -> (Answer, u64) {
        let state = self.entry.state.lock();
        (state.answer.clone(), state.version)
    }

    /// How often what is known has changed.
    pub fn version(&self) -> u64 {
        self.entry.state.lock().version
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let Some(hub) = self.hub.upgrade() else {
            return;
        };
        let mut entries = hub.entries.lock();
        let mut state = self.entry.state.lock();
        state.subscribers.retain(|(id, _)| *id != self.id);
        if state.subscribers.is_empty() {
            if let Some(watcher) = state.watcher.take() {
                watcher.abort();
            }
            drop(state);
            entries.remove(&self.entry.key);
        }
    }
}

impl WatchHub {
    /// A hub whose watchers ask `fetch` and run on the current tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(fetch: Arc<dyn Fetch>, settings: ClientSettings) -> Self {
        Self {
            inner: Arc::new(Inner {
                fetch,
                settings,
                entries: Mutex::default(),
                answers: Mutex::default(),
                renderings: Arc::new(Semaphore::new(MAX_RENDERINGS)),
                runtime: Handle::current(),
            }),
        }
    }

    /// The client's settings for templates.
    pub fn settings(&self) -> &ClientSettings {
        &self.inner.settings
    }

    /// What it holds.
    pub fn stats(&self) -> HubStats {
        let entries = self.inner.entries.lock();
        let subscriptions = entries
            .values()
            .map(|e| e.state.lock().subscribers.len())
            .sum();
        let answers = self.inner.answers.lock();
        HubStats {
            watchers: entries.len(),
            subscriptions,
            answers: answers
                .values()
                .filter(|answer| answer.strong_count() > 0)
                .count(),
        }
    }

    /// Subscribes to a query. `changed` is notified once for every answer that differs from the
    /// one before.
    pub fn subscribe(&self, key: WatchKey, changed: Arc<Notify>) -> Subscription {
        let mut entries = self.inner.entries.lock();
        let entry = entries.entry(key).or_insert_with_key(|key| {
            Arc::new(Entry {
                key: key.clone(),
                state: Mutex::new(EntryState {
                    answer: Answer::Pending,
                    version: 0,
                    subscribers: Vec::new(),
                    next_id: 0,
                    watcher: None,
                }),
            })
        });
        let mut state = entry.state.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.subscribers.push((id, changed));
        if state.watcher.is_none() && id == 0 {
            match self.inner.fetch.watch(&entry.key) {
                Some(watch) => {
                    let task = self.inner.runtime.spawn(run(
                        Arc::downgrade(&self.inner),
                        Arc::clone(entry),
                        watch,
                    ));
                    state.watcher = Some(task.abort_handle());
                }
                None => state.answer = Answer::Failed(not_configured(&entry.key.query)),
            }
        }
        drop(state);
        Subscription {
            hub: Arc::downgrade(&self.inner),
            entry: Arc::clone(entry),
            id,
        }
    }

    /// A place among the renderings in progress.
    pub(crate) fn renderings(&self) -> Arc<Semaphore> {
        Arc::clone(&self.inner.renderings)
    }
}

impl Inner {
    /// The one value of identical answers.
    fn interned(&self, data: Data, digest: [u8; 32]) -> Arc<Data> {
        let mut answers = self.answers.lock();
        if let Some(known) = answers.get(&digest).and_then(Weak::upgrade) {
            return known;
        }
        if answers.len() == answers.capacity() {
            // Before the map grows, what nobody holds makes room.
            answers.retain(|_, held| held.strong_count() > 0);
        }
        let data = Arc::new(data);
        answers.insert(digest, Arc::downgrade(&data));
        data
    }
}

/// Puts a new answer in place and notifies, if it differs.
fn publish(entry: &Entry, answer: Answer) {
    let mut state = entry.state.lock();
    let same = match (&state.answer, &answer) {
        // Identical data is one value, so that comparing pointers will do.
        (Answer::Ready(old), Answer::Ready(new)) => Arc::ptr_eq(old, new),
        (old, new) => old == new,
    };
    if same {
        return;
    }
    state.answer = answer;
    state.version += 1;
    for (_, changed) in &state.subscribers {
        changed.notify_one();
    }
}

/// The life of a watcher: until nobody is interested, or attempts are exhausted.
async fn run(hub: Weak<Inner>, entry: Arc<Entry>, mut watch: Box<dyn Watch>) {
    let mut index = 0;
    let mut failures: u32 = 0;
    let mut idle_pause = IDLE_POLL;
    loop {
        let asked = tokio::time::Instant::now();
        let fetched = watch.next(index).await;
        let parked = asked.elapsed() >= IDLE_POLL;
        let Some(hub) = hub.upgrade() else {
            return;
        };
        let pause = match fetched {
            Ok(fetched) => {
                failures = 0;
                let idle = fetched.index <= index;
                // An index that goes back means that the servers start anew.
                index = if fetched.index < index {
                    0
                } else {
                    fetched.index
                };
                let data = hub.interned(fetched.data, fetched.digest);
                publish(&entry, Answer::Ready(data));
                if idle && !parked {
                    let longer = (idle_pause * 2).min(MAX_IDLE_POLL);
                    std::mem::replace(&mut idle_pause, longer)
                } else {
                    idle_pause = IDLE_POLL;
                    Duration::ZERO
                }
            }
            Err(error) => {
                failures += 1;
                let settings = &hub.settings;
                if settings.retry_attempts > 0 && failures >= settings.retry_attempts {
                    let text = format!("{}: {error}", entry.key.query);
                    publish(&entry, Answer::Failed(text));
                }
                let doubled = settings.retry_backoff * 2_u32.saturating_pow(failures.min(20) - 1);
                doubled.min(settings.retry_max_backoff)
            }
        };
        drop(hub);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests;
