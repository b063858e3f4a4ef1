//! The leader's task for Variables: ends locks that nobody renews, and looks after the keyring.
//!
//! Apart from the leader's loop because making a key and sealing data anew take long, and nothing here hurries.

use std::sync::Arc;

use nomad_core::{Nanos, Timestamp, Uuid};
use nomad_state::command::{RootKeyStateSet, RootKeyUpsert, VariableApply, VariableRekey};
use nomad_state::variable::{
    RekeyedVariable, RootKeyState, VariableKey, VariableLock, VariableOp, VariableRow,
};
use nomad_state::{ChangeSet, State, Table};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::error::ServerError;
use crate::feed::FeedItem;
use crate::keyring::rotation::{self, Step};
use crate::locks::{Action, Event, Locks};
use crate::server::Inner;

/// Variables sealed anew in one log entry.
const REKEY_BATCH: usize = 64;
/// A step of the keyring that failed is tried again after this span.
const KEYRING_RETRY: Nanos = Nanos::secs(10);

/// A holder renews its lock.
#[derive(Debug)]
pub(crate) struct Renewal {
    pub(crate) key: VariableKey,
    pub(crate) id: Uuid,
    /// Whether it is still held.
    pub(crate) reply: oneshot::Sender<bool>,
}

/// What a piece of work came to.
enum Done {
    Step(Result<(), ServerError>),
    Expiry {
        key: VariableKey,
        id: Uuid,
        outcome: Result<(), ServerError>,
    },
}

pub(super) struct Custodian {
    inner: Arc<Inner>,
    end: CancellationToken,
    feed: broadcast::Receiver<FeedItem>,
    /// The newest log index that the loops know of.
    index: u64,
    locks: Locks,
    work: JoinSet<Done>,
    /// One step of the keyring at a time.
    stepping: bool,
    /// After a failure: not before this.
    not_before: Timestamp,
}

impl Custodian {
    pub(super) fn new(inner: Arc<Inner>, end: CancellationToken) -> Self {
        Self {
            feed: inner.feed.subscribe(),
            inner,
            end,
            index: 0,
            locks: Locks::default(),
            work: JoinSet::new(),
            stepping: false,
            not_before: Timestamp::ZERO,
        }
    }

    /// Works until leadership ends.
    pub(super) async fn run(mut self, mut renewals: mpsc::Receiver<Renewal>) {
        self.recover();
        let mut timer = std::pin::pin!(tokio::time::sleep(std::time::Duration::MAX));
        loop {
            let now = self.inner.clock.now();
            let key_wake = self.step(now);
            let wake = [self.locks.next_wake(), key_wake]
                .into_iter()
                .flatten()
                .min();
            if let Some(wake) = wake {
                let after = wake.since(now).to_std();
                timer.as_mut().reset(tokio::time::Instant::now() + after);
            }
            tokio::select! {
                () = self.end.cancelled() => return,
                item = self.feed.recv() => match item {
                    Ok(item) => self.take(&item),
                    Err(RecvError::Lagged(_)) => self.recover(),
                    Err(RecvError::Closed) => return,
                },
                renewal = renewals.recv() => match renewal {
                    Some(renewal) => self.renew(renewal),
                    None => return,
                },
                Some(done) = self.work.join_next() => match done {
                    Ok(done) => self.settled(done),
                    Err(error) => {
                        tracing::error!(%error, "work on Variables failed");
                        self.stepping = false;
                        self.not_before = self.inner.clock.now() + KEYRING_RETRY;
                    }
                },
                () = timer.as_mut(), if wake.is_some() => self.locks(Event::Tick),
            }
        }
    }

    fn recover(&mut self) {
        let state = self.inner.store.snapshot();
        self.index = state.last_index();
        let held = state
            .variables()
            .filter_map(|row| Some((row.key.clone(), row.lock.clone()?)))
            .collect();
        self.locks(Event::Recover { held });
    }

    fn take(&mut self, item: &FeedItem) {
        let Some(changes) = &item.changes else {
            return self.recover();
        };
        if item.state.last_index() <= self.index {
            return;
        }
        self.index = item.state.last_index();
        for change in changes.iter() {
            self.changed(change);
        }
    }

    fn changed(&mut self, change: &ChangeSet) {
        for row in &change.variables {
            if let Some(newest) = row.new.as_ref().or(row.old.as_ref()) {
                let lock = row.new.as_ref().and_then(|row| row.lock.clone());
                let key = newest.key.clone();
                self.locks(Event::Changed { key, lock });
            }
        }
        if change.tables.contains(&Table::RootKeys) {
            self.not_before = Timestamp::ZERO;
        }
    }

    fn renew(&mut self, renewal: Renewal) {
        // The write that took the lock may have been answered before its change came here.
        while let Ok(item) = self.feed.try_recv() {
            self.take(&item);
        }
        let event = Event::Renew {
            key: renewal.key,
            id: renewal.id,
        };
        let actions = self.locks.handle(event, self.inner.clock.now());
        let _ = renewal.reply.send(actions.contains(&Action::Renewed));
        self.follow(actions);
    }

    fn locks(&mut self, event: Event) {
        let actions = self.locks.handle(event, self.inner.clock.now());
        self.follow(actions);
    }

    fn follow(&mut self, actions: Vec<Action>) {
        for action in actions {
            if let Action::Expire { key, id } = action {
                let inner = Arc::clone(&self.inner);
                self.work.spawn(async move {
                    let outcome = expire(&inner, key.clone(), id).await;
                    Done::Expiry { key, id, outcome }
                });
            }
        }
    }

    fn settled(&mut self, done: Done) {
        match done {
            Done::Step(outcome) => {
                self.stepping = false;
                if let Err(error) = outcome {
                    tracing::warn!(%error, "the keyring could not be looked after, trying again");
                    self.not_before = self.inner.clock.now() + KEYRING_RETRY;
                }
            }
            Done::Expiry { key, id, outcome } => {
                if let Err(error) = outcome {
                    tracing::warn!(path = key.path, %error, "a lost lock could not be ended");
                    self.locks(Event::Failed { key, id });
                }
            }
        }
    }

    /// Starts what the keyring needs; gives when to look again.
    fn step(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.stepping {
            return None;
        }
        let state = self.inner.store.snapshot();
        let (step, wake) = rotation::next(&state, self.inner.config.root_key_rotation, now);
        let Some(step) = step else { return wake };
        if self.not_before > now {
            return Some(self.not_before);
        }
        self.stepping = true;
        let inner = Arc::clone(&self.inner);
        self.work
            .spawn(async move { Done::Step(do_step(&inner, step).await) });
        None
    }
}

async fn expire(inner: &Inner, key: VariableKey, id: Uuid) -> Result<(), ServerError> {
    let lock = VariableLock {
        id,
        ..VariableLock::default()
    };
    let command = VariableApply {
        op: VariableOp::LockExpire,
        key,
        lock: Some(lock),
        now: inner.clock.now(),
        ..VariableApply::default()
    };
    inner.propose(command).await.map(|_| ())
}

async fn do_step(inner: &Arc<Inner>, step: Step) -> Result<(), ServerError> {
    match step {
        Step::Found => {
            let never = Timestamp::ZERO;
            let key = inner.new_root_key(RootKeyState::Active, never).await?;
            tracing::info!(key = %key.id, "first key of the keyring made");
            let command = RootKeyUpsert {
                key,
                first: true,
                rekey: false,
            };
            inner.propose(command).await.map(|_| ())
        }
        Step::Prepublish { publish_time } => {
            let state = RootKeyState::Prepublished;
            let key = inner.new_root_key(state, publish_time).await?;
            tracing::info!(key = %key.id, "next key of the keyring published");
            let command = RootKeyUpsert {
                key,
                first: false,
                rekey: false,
            };
            inner.propose(command).await.map(|_| ())
        }
        Step::Promote { id } => {
            tracing::info!(key = %id, "key of the keyring becomes active");
            let state = RootKeyState::Active;
            inner.propose(RootKeyStateSet { id, state }).await?;
            Ok(())
        }
        Step::Rekey { id } => rekey(inner, id).await,
    }
}

/// Seals everything under a key anew with the active one, then takes the key out of use.
async fn rekey(inner: &Arc<Inner>, id: Uuid) -> Result<(), ServerError> {
    loop {
        let state = inner.store.snapshot();
        let rows: Vec<Arc<VariableRow>> = state
            .variables()
            .filter(|row| row.items.key_id == id)
            .take(REKEY_BATCH)
            .cloned()
            .collect();
        if rows.is_empty() {
            break;
        }
        let worker = Arc::clone(inner);
        let sealed = tokio::task::spawn_blocking(move || sealed_anew(&worker, &state, &rows));
        let rows = sealed
            .await
            .map_err(|error| ServerError::internal(error.to_string()))??;
        inner.propose(VariableRekey { rows }).await?;
    }
    tracing::info!(key = %id, "everything under the key is sealed anew");
    let state = RootKeyState::Deprecated;
    inner.propose(RootKeyStateSet { id, state }).await?;
    Ok(())
}

fn sealed_anew(
    inner: &Inner,
    state: &State,
    rows: &[Arc<VariableRow>],
) -> Result<Vec<RekeyedVariable>, ServerError> {
    let mut anew = Vec::with_capacity(rows.len());
    for row in rows {
        let items = inner.keyring.open_items(state, row)?;
        anew.push(RekeyedVariable {
            key: row.key.clone(),
            modify_index: row.modify_index,
            from: row.items.key_id,
            items: inner.keyring.seal(state, &row.key, &items)?,
        });
    }
    Ok(anew)
}
