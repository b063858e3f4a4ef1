//! Commands about Variables and the keys that encrypt them.
//!
//! A write that finds another index or somebody else's lock changes nothing; the reply says what it found.

use std::sync::Arc;

use nomad_core::Timestamp;

use super::{ApplyError, Reply};
use crate::command::{RootKeyDelete, RootKeyStateSet, RootKeyUpsert, VariableApply, VariableRekey};
use crate::table::{Change, Table};
use crate::tables::Txn;
use crate::variable::{
    RootKeyRow, RootKeyState, VariableKey, VariableLock, VariableOp, VariableOutcome, VariableRow,
};

impl Txn {
    pub(crate) fn put_variable(&mut self, row: VariableRow) -> Arc<VariableRow> {
        let new = Arc::new(row);
        let old = self
            .tables
            .variables
            .insert(new.key.clone(), Arc::clone(&new));
        self.touch(Table::Variables);
        self.changes.variables.push(Change {
            old,
            new: Some(Arc::clone(&new)),
        });
        new
    }

    fn remove_variable(&mut self, key: &VariableKey) {
        let Some(old) = self.tables.variables.remove(key) else {
            return;
        };
        self.touch(Table::Variables);
        self.changes.variables.push(Change {
            old: Some(old),
            new: None,
        });
    }

    pub(crate) fn put_root_key(&mut self, mut row: RootKeyRow) {
        row.modify_index = self.index;
        let old = self.tables.root_keys.get(&row.id);
        row.create_index = old.map_or(self.index, |old| old.create_index);
        self.tables.root_keys.insert(row.id, Arc::new(row));
        self.touch(Table::RootKeys);
    }
}

pub(super) fn variable(txn: &mut Txn, command: &VariableApply) -> Result<Reply, ApplyError> {
    let writes = matches!(
        command.op,
        VariableOp::Set | VariableOp::Cas(_) | VariableOp::LockAcquire
    );
    if writes && !txn.tables.namespaces.contains_key(&command.key.namespace) {
        let name = command.key.namespace.clone();
        return Err(ApplyError::NamespaceNotFound { name });
    }
    // A key may have gone between sealing and here; nobody could ever read the items.
    if writes && root_key(txn, command.items.key_id)?.state == RootKeyState::Deprecated {
        return refused("root key is deprecated");
    }
    let stored = txn.tables.variables.get(&command.key).cloned();
    let outcome = match refusal(stored.as_ref(), command) {
        Some(refusal) => refusal,
        None => VariableOutcome::Done(write(txn, stored, command)),
    };
    Ok(Reply::Variable(outcome))
}

/// Why the command cannot be done on what is stored.
fn refusal(stored: Option<&Arc<VariableRow>>, command: &VariableApply) -> Option<VariableOutcome> {
    let held = stored.and_then(|row| row.lock.as_ref());
    let presented = command.lock.as_ref().map(|lock| lock.id);
    let wrong_lock = held.is_some_and(|held| Some(held.id) != presented);
    let same_index = |wanted: u64| stored.map_or(0, |row| row.modify_index) == wanted;
    match command.op {
        VariableOp::LockRelease | VariableOp::LockExpire => match (stored, held) {
            (None, _) => Some(VariableOutcome::Missing),
            (Some(_), None) => Some(VariableOutcome::NotLocked),
            (Some(_), Some(_)) => wrong_lock.then_some(VariableOutcome::Locked),
        },
        _ if wrong_lock => Some(VariableOutcome::Locked),
        VariableOp::LockAcquire => {
            let shut_out =
                held.is_none() && stored.is_some_and(|row| row.locked_out_until > command.now);
            shut_out.then_some(VariableOutcome::Locked)
        }
        _ if held.is_none() && presented.is_some() => Some(VariableOutcome::UnexpectedLock),
        VariableOp::Cas(index) | VariableOp::DeleteCas(index) if !same_index(index) => {
            Some(VariableOutcome::Conflict(stored.cloned()))
        }
        _ => None,
    }
}

fn write(
    txn: &mut Txn,
    stored: Option<Arc<VariableRow>>,
    command: &VariableApply,
) -> Option<Arc<VariableRow>> {
    let now = command.now;
    if matches!(command.op, VariableOp::Delete | VariableOp::DeleteCas(_)) {
        txn.remove_variable(&command.key);
        return None;
    }
    let mut row = stored.map_or_else(
        || VariableRow {
            key: command.key.clone(),
            create_index: txn.index,
            create_time: now,
            ..VariableRow::default()
        },
        |row| VariableRow::clone(&row),
    );
    row.modify_index = txn.index;
    match command.op {
        VariableOp::LockRelease => row.lock = None,
        VariableOp::LockExpire => {
            let delay = row.lock.take().map(|lock: VariableLock| lock.delay);
            row.locked_out_until = now + delay.unwrap_or_default();
        }
        _ => {
            row.items = command.items.clone();
            row.lock.clone_from(&command.lock);
            row.locked_out_until = match command.op {
                VariableOp::LockAcquire => Timestamp::ZERO,
                _ => row.locked_out_until,
            };
            row.modify_time = now;
        }
    }
    Some(txn.put_variable(row))
}

/// Rows that were written meanwhile are left alone: they are under the new key already, or come again.
pub(super) fn rekey(txn: &mut Txn, command: &VariableRekey) {
    for new in &command.rows {
        let Some(stored) = txn.tables.variables.get(&new.key) else {
            continue;
        };
        if stored.modify_index != new.modify_index || stored.items.key_id != new.from {
            continue;
        }
        let mut row = VariableRow::clone(stored);
        row.items = new.items.clone();
        txn.put_variable(row);
    }
}

pub(super) fn root_key_upsert(txn: &mut Txn, command: &RootKeyUpsert) {
    if command.first && !txn.tables.root_keys.is_empty() {
        return;
    }
    if command.key.state == RootKeyState::Active {
        retire(txn, command.rekey);
    }
    txn.put_root_key(command.key.clone());
}

/// Takes the active key out of use; with `rekey`, everything under any older key is to be sealed anew.
fn retire(txn: &mut Txn, rekey: bool) {
    let rows: Vec<_> = txn.tables.root_keys.values().cloned().collect();
    for row in rows {
        let state = match row.state {
            RootKeyState::Active | RootKeyState::Inactive if rekey => RootKeyState::Rekeying,
            RootKeyState::Active => RootKeyState::Inactive,
            _ => continue,
        };
        txn.put_root_key(RootKeyRow {
            state,
            ..RootKeyRow::clone(&row)
        });
    }
}

pub(super) fn root_key_state(txn: &mut Txn, command: &RootKeyStateSet) -> Result<(), ApplyError> {
    let row = root_key(txn, command.id)?;
    if row.state == command.state {
        return Ok(());
    }
    match command.state {
        RootKeyState::Active => retire(txn, false),
        RootKeyState::Deprecated if in_use(txn, command.id) => {
            return refused("root key in use, cannot be deprecated");
        }
        _ => {}
    }
    if row.state == RootKeyState::Active {
        return refused("active root key changes its state only when another becomes active");
    }
    txn.put_root_key(RootKeyRow {
        state: command.state,
        publish_time: Timestamp::ZERO,
        ..RootKeyRow::clone(&row)
    });
    Ok(())
}

pub(super) fn root_key_delete(txn: &mut Txn, command: &RootKeyDelete) -> Result<(), ApplyError> {
    let row = root_key(txn, command.id)?;
    if row.state == RootKeyState::Active {
        return refused("active root key cannot be deleted - call rotate first");
    }
    if !command.force && in_use(txn, command.id) {
        return refused("root key in use, cannot delete");
    }
    txn.tables.root_keys.remove(&command.id);
    txn.touch(Table::RootKeys);
    Ok(())
}

fn root_key(txn: &Txn, id: nomad_core::Uuid) -> Result<Arc<RootKeyRow>, ApplyError> {
    match txn.tables.root_keys.get(&id) {
        Some(row) => Ok(Arc::clone(row)),
        None => refused("root key not found"),
    }
}

fn in_use(txn: &Txn, id: nomad_core::Uuid) -> bool {
    let mut rows = txn.tables.variables.values();
    rows.any(|row| row.items.key_id == id)
}

fn refused<T>(reason: &str) -> Result<T, ApplyError> {
    Err(ApplyError::Refused {
        reason: reason.to_owned(),
    })
}
