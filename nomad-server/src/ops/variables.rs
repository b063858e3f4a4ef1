//! Variables: checks of what is written, sealing before the log, locks.
//!
//! Source: HTTP API reference, "Variables and locks"; servers and scheduling reference, "Variables".

use std::sync::Arc;
use std::time::Duration;

use nomad_core::{Nanos, Uuid};
use nomad_state::command::VariableApply;
use nomad_state::variable::{
    SealedItems, VariableKey, VariableLock, VariableOp, VariableOutcome, VariableRow,
};
use nomad_state::{ApplyError, Reply, State};
use tokio::sync::oneshot;

use crate::error::ServerError;
use crate::keyring::{Items, KeyringError};
use crate::leader::Renewal;
use crate::server::Server;

/// Largest sum of a Variable's keys and values, in bytes.
pub const MAX_VARIABLE_BYTES: usize = 65_536;
/// Longest path, in bytes.
const MAX_PATH: usize = 128;
/// TTL and delay of a lock that names none.
const LOCK_DEFAULT: Nanos = Nanos::secs(15);
const LOCK_TTL: std::ops::RangeInclusive<Nanos> = Nanos::secs(10)..=Nanos::hours(24);
/// How long a request waits for the keyring of a server that has just started.
const KEY_WAIT: Duration = Duration::from_secs(10);

/// A lock as a caller names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockRequest {
    /// Of the lock that the caller holds; none to get a fresh one.
    pub id: Option<Uuid>,
    /// Zero is the default.
    pub ttl: Nanos,
    pub delay: Nanos,
}

/// A write of a Variable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriteVariable {
    pub key: VariableKey,
    pub op: VariableOp,
    pub items: Items,
    pub lock: Option<LockRequest>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableReply {
    pub outcome: VariableOutcome,
    /// Index of the write.
    pub index: u64,
}

impl Server {
    /// Writes, deletes, locks or unlocks a Variable.
    pub async fn write_variable(
        &self,
        request: WriteVariable,
    ) -> Result<VariableReply, ServerError> {
        check_place(&request.key)?;
        let size: usize = request.items.0.iter().map(|(k, v)| k.len() + v.len()).sum();
        if size > MAX_VARIABLE_BYTES {
            return Err(ServerError::bad_request(
                "variables are limited to 64KiB in total size",
            ));
        }
        let lock = match &request.lock {
            Some(lock) => Some(self.lock_of(request.op, lock)?),
            None => None,
        };
        self.inner.wait_for_leader().await?;
        let writes = matches!(
            request.op,
            VariableOp::Set | VariableOp::Cas(_) | VariableOp::LockAcquire
        );
        let items = if writes {
            self.seal(&request.key, request.items).await?
        } else {
            SealedItems::default()
        };
        let command = VariableApply {
            op: request.op,
            key: request.key,
            items,
            lock,
            now: self.inner.clock.now(),
        };
        let applied = match self.inner.propose(command).await {
            Err(ServerError::State(error @ ApplyError::NamespaceNotFound { .. })) => {
                return Err(ServerError::bad_request(error.to_string()));
            }
            other => other?,
        };
        match applied.reply {
            Reply::Variable(outcome) => Ok(VariableReply {
                outcome,
                index: applied.index,
            }),
            other => Err(ServerError::internal(format!("unexpected reply {other:?}"))),
        }
    }

    /// Pushes the end of a lock on; gives the Variable, or what is in the way.
    pub async fn renew_lock(
        &self,
        key: VariableKey,
        id: Uuid,
    ) -> Result<VariableOutcome, ServerError> {
        check_place(&key)?;
        self.inner.wait_for_leader().await?;
        let Some(row) = self.state().variable(&key).cloned() else {
            return Ok(VariableOutcome::Missing);
        };
        let Some(lock) = &row.lock else {
            return Ok(VariableOutcome::NotLocked);
        };
        if lock.id != id {
            return Ok(VariableOutcome::Locked);
        }
        let renewals = self.inner.renewals.lock().clone();
        let renewals = renewals.ok_or(ServerError::NoLeader)?;
        let (reply, answer) = oneshot::channel();
        let renewal = Renewal { key, id, reply };
        renewals
            .send(renewal)
            .await
            .map_err(|_| ServerError::NoLeader)?;
        match answer.await {
            Ok(true) => Ok(VariableOutcome::Done(Some(row))),
            Ok(false) => Ok(VariableOutcome::Locked),
            Err(_) => Err(ServerError::NoLeader),
        }
    }

    /// Opens a Variable's items; waits a while for a key that is still on its way to this server.
    pub async fn open_variable(
        &self,
        state: &State,
        row: &VariableRow,
    ) -> Result<Items, ServerError> {
        let first = self.inner.keyring.open_items(state, row);
        let waits = matches!(
            first,
            Err(KeyringError::NotHere { .. } | KeyringError::UnknownKey { .. })
        );
        if !waits {
            return Ok(first?);
        }
        let inner = Arc::clone(&self.inner);
        let row = row.clone();
        let opened =
            self.when_keys_change(|| inner.keyring.open_items(&inner.store.snapshot(), &row));
        Ok(opened.await?)
    }

    async fn seal(&self, key: &VariableKey, items: Items) -> Result<SealedItems, ServerError> {
        let inner = Arc::clone(&self.inner);
        let sealed =
            self.when_keys_change(|| inner.keyring.seal(&inner.store.snapshot(), key, &items));
        Ok(sealed.await?)
    }

    /// Tries again whenever the keys change, until it works or [`KEY_WAIT`] is over; then the last error.
    async fn when_keys_change<T>(
        &self,
        run: impl Fn() -> Result<T, KeyringError>,
    ) -> Result<T, KeyringError> {
        let mut keys = self.inner.keys_changed.subscribe();
        let end = tokio::time::Instant::now() + KEY_WAIT;
        loop {
            let watch = self.watch(vec![nomad_state::WatchKey::Table(
                nomad_state::Table::RootKeys,
            )]);
            keys.mark_unchanged();
            let error = match run() {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let waits = matches!(
                error,
                KeyringError::NoActiveKey
                    | KeyringError::NotHere { .. }
                    | KeyringError::UnknownKey { .. }
            );
            if !waits {
                return Err(error);
            }
            tokio::select! {
                () = tokio::time::sleep_until(end) => return Err(error),
                () = watch => {}
                changed = keys.changed() => if changed.is_err() { return Err(error) },
            }
        }
    }

    fn lock_of(&self, op: VariableOp, lock: &LockRequest) -> Result<VariableLock, ServerError> {
        let or_default = |span: Nanos| if span.is_zero() { LOCK_DEFAULT } else { span };
        let acquires = op == VariableOp::LockAcquire;
        if acquires {
            let mut mistakes = Vec::new();
            if lock.ttl.0 < 0 || lock.delay.0 < 0 {
                mistakes.push("Lock delay and TTL must be positive");
            } else if !LOCK_TTL.contains(&or_default(lock.ttl)) {
                mistakes.push("TTL must be between 10 seconds and 24 hours");
            }
            if !mistakes.is_empty() {
                let list = mistakes.join("\n\t* ");
                let reason = format!("1 error occurred:\n\t* {list}\n\n");
                return Err(ServerError::BadRequest { reason });
            }
        }
        let id = match lock.id {
            Some(id) => id,
            None if acquires => self.inner.ids.fresh(),
            None => Uuid::NIL,
        };
        Ok(VariableLock {
            id,
            ttl: or_default(lock.ttl),
            delay: or_default(lock.delay),
        })
    }
}

/// Whether a Variable may be at that place.
fn check_place(key: &VariableKey) -> Result<(), ServerError> {
    let path = key.path.as_str();
    if key.namespace == "*" {
        return Err(ServerError::bad_request(
            "can not target wildcard (\"*\")namespace",
        ));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_~/".contains(c);
    if path.is_empty() || path.len() > MAX_PATH || !path.chars().all(allowed) {
        return Err(ServerError::bad_request(format!("invalid path {path:?}")));
    }
    let mut parts = path.split('/');
    if parts.next() != Some("nomad") {
        return Ok(());
    }
    match (parts.next(), parts.count()) {
        (Some("jobs" | "sentinel"), _) | (Some("job-templates"), 1) => Ok(()),
        _ => Err(ServerError::bad_request(
            "only paths at \"nomad/jobs\" or \"nomad/job-templates\" and below are valid paths under the top-level \"nomad\" directory",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_nomad_are_kept_for_what_they_are_for() {
        for (path, fits) in [
            ("a", true),
            ("a/b-c_d~e/9", true),
            ("nomads", true),
            ("nomad/jobs", true),
            ("nomad/jobs/web/group", true),
            ("nomad/sentinel/x", true),
            ("nomad/job-templates/one", true),
            ("nomad/job-templates", false),
            ("nomad/job-templates/one/two", false),
            ("nomad/other", false),
            ("nomad", false),
            ("", false),
            ("has space", false),
            ("ümlaut", false),
        ] {
            let checked = check_place(&VariableKey::new("default", path));
            assert_eq!(checked.is_ok(), fits, "{path}");
        }
        let longest = "x".repeat(128);
        assert!(check_place(&VariableKey::new("default", longest.as_str())).is_ok());
        assert!(check_place(&VariableKey::new("default", longest + "x")).is_err());
        assert!(check_place(&VariableKey::new("*", "a")).is_err());
    }
}
