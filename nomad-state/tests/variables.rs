//! Variables, locks and root keys as apply decides them, and that a snapshot holds them all.

use nomad_core::job::Job;
use nomad_core::{Nanos, Timestamp, Uuid};
use nomad_state::command::{
    JobRegister, NamespaceDelete, NamespaceRow, NamespaceUpsert, RootKeyDelete, RootKeyStateSet,
    RootKeyUpsert, VariableApply, VariableRekey,
};
use nomad_state::variable::*;
use nomad_state::{ApplyError, Command, EventPayload, Reply, Store, Table, WatchKey};

const T0: Timestamp = Timestamp(1_000_000_000_000);

fn id(number: u8) -> Uuid {
    Uuid([number; 16])
}

fn items(key: u8, data: &[u8]) -> SealedItems {
    SealedItems {
        key_id: id(key),
        data: Sealed(data.to_vec()),
    }
}

fn lock(number: u8) -> Option<VariableLock> {
    Some(VariableLock {
        id: id(number),
        ttl: Nanos::secs(15),
        delay: Nanos::secs(5),
    })
}

fn root_key(number: u8, state: RootKeyState) -> RootKeyRow {
    RootKeyRow {
        id: id(number),
        state,
        ..RootKeyRow::default()
    }
}

/// A store with an active key, and the index of the last command.
struct World {
    store: Store,
    index: u64,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            store: Store::new(),
            index: 10,
        };
        world.add_key(1, false);
        world
    }

    fn try_apply(&mut self, command: impl Into<Command>) -> Result<Reply, ApplyError> {
        self.index += 1;
        let command = command.into();
        let bytes = command.encode();
        assert_eq!(Command::decode(&bytes).unwrap(), command);
        self.store.apply(self.index, &command).map(|a| a.reply)
    }

    fn add_key(&mut self, number: u8, rekey: bool) {
        let key = root_key(number, RootKeyState::Active);
        let command = RootKeyUpsert {
            key,
            first: false,
            rekey,
        };
        self.try_apply(command).unwrap();
    }

    fn write(&mut self, op: VariableOp, lock: Option<VariableLock>, now: i64) -> VariableOutcome {
        let command = VariableApply {
            op,
            key: VariableKey::new("default", "app/db"),
            items: items(1, b"sealed"),
            lock,
            now: T0 + Nanos::secs(now),
        };
        match self.try_apply(command).unwrap() {
            Reply::Variable(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn done(&mut self, op: VariableOp, lock: Option<VariableLock>, now: i64) -> VariableRow {
        match self.write(op, lock, now) {
            VariableOutcome::Done(Some(row)) => VariableRow::clone(&row),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn check_and_set_writes_only_at_its_index() {
    let mut world = World::new();
    assert_eq!(
        world.write(VariableOp::Cas(7), None, 0),
        VariableOutcome::Conflict(None)
    );
    let row = world.done(VariableOp::Cas(0), None, 0);
    assert_eq!((row.create_index, row.modify_index), (13, 13));
    let watch = world.store.watch(vec![WatchKey::Variable(row.key.clone())]);
    let VariableOutcome::Conflict(Some(found)) = world.write(VariableOp::Cas(0), None, 1) else {
        panic!("0 means that there must be none");
    };
    assert_eq!(*found, row);
    assert!(!watch.fired(), "a conflict changes nothing");
    assert_eq!(world.store.snapshot().table_index(Table::Variables), 13);
    let row = world.done(VariableOp::Cas(13), None, 2);
    assert!(watch.fired());
    assert_eq!((row.create_index, row.modify_index), (13, 15));
    assert_eq!(row.create_time, T0);
    assert_eq!(row.modify_time, T0 + Nanos::secs(2));
    let stale = world.write(VariableOp::DeleteCas(13), None, 3);
    assert!(matches!(stale, VariableOutcome::Conflict(Some(_))));
    for op in [VariableOp::DeleteCas(15), VariableOp::Delete] {
        assert_eq!(world.write(op, None, 3), VariableOutcome::Done(None));
    }
    assert_eq!(world.store.snapshot().variables().count(), 0);
}

#[test]
fn only_the_holder_writes_a_locked_variable() {
    let mut world = World::new();
    assert_eq!(
        world.write(VariableOp::Set, lock(7), 0),
        VariableOutcome::UnexpectedLock
    );
    assert_eq!(
        world.write(VariableOp::LockRelease, lock(7), 0),
        VariableOutcome::Missing
    );
    let row = world.done(VariableOp::LockAcquire, lock(7), 0);
    assert_eq!(row.lock, lock(7));
    for (op, presented) in [
        (VariableOp::Set, None),
        (VariableOp::Set, lock(8)),
        (VariableOp::Cas(row.modify_index), None),
        (VariableOp::Delete, None),
        (VariableOp::DeleteCas(row.modify_index), None),
        (VariableOp::LockAcquire, lock(8)),
        (VariableOp::LockRelease, lock(8)),
        (VariableOp::LockExpire, lock(8)),
    ] {
        assert_eq!(
            world.write(op, presented, 1),
            VariableOutcome::Locked,
            "{op:?}"
        );
    }
    assert_eq!(world.done(VariableOp::Set, lock(7), 1).lock, lock(7));
    assert_eq!(
        world.done(VariableOp::LockAcquire, lock(7), 1).lock,
        lock(7)
    );
    let free = world.done(VariableOp::LockRelease, lock(7), 2);
    assert_eq!(free.lock, None);
    assert_eq!(free.items, items(1, b"sealed"), "the items stay");
    assert_eq!(
        world.write(VariableOp::LockRelease, lock(7), 2),
        VariableOutcome::NotLocked
    );
    // Given back in order, it may be taken at once.
    assert_eq!(
        world.done(VariableOp::LockAcquire, lock(9), 2).lock,
        lock(9)
    );
}

#[test]
fn after_a_lost_lock_nobody_takes_it_until_the_delay_is_over() {
    let mut world = World::new();
    world.done(VariableOp::LockAcquire, lock(7), 0);
    let row = world.done(VariableOp::LockExpire, lock(7), 30);
    assert_eq!(row.lock, None);
    assert_eq!(row.locked_out_until, T0 + Nanos::secs(35));
    assert_eq!(
        world.write(VariableOp::LockAcquire, lock(8), 34),
        VariableOutcome::Locked
    );
    // Plain writes are free meanwhile, and do not shorten the delay.
    world.done(VariableOp::Set, None, 34);
    assert_eq!(
        world.write(VariableOp::LockAcquire, lock(8), 34),
        VariableOutcome::Locked
    );
    assert_eq!(
        world.done(VariableOp::LockAcquire, lock(8), 35).lock,
        lock(8)
    );
}

#[test]
fn root_keys_rotate_and_go_only_when_unused() {
    let mut world = World::new();
    let first = RootKeyUpsert {
        key: root_key(9, RootKeyState::Active),
        first: true,
        rekey: false,
    };
    world.try_apply(first).unwrap();
    let states = |world: &World| -> Vec<(u8, RootKeyState)> {
        let state = world.store.snapshot();
        state
            .root_keys()
            .map(|key| (key.id.0[0], key.state))
            .collect()
    };
    assert_eq!(states(&world), [(1, RootKeyState::Active)]);
    let row = world.done(VariableOp::Set, None, 0);
    world.add_key(2, false);
    assert_eq!(
        states(&world),
        [(1, RootKeyState::Inactive), (2, RootKeyState::Active)]
    );
    world.add_key(3, true);
    assert_eq!(
        states(&world),
        [
            (1, RootKeyState::Rekeying),
            (2, RootKeyState::Rekeying),
            (3, RootKeyState::Active)
        ]
    );
    let mut refused = |command: Command| match world.try_apply(command) {
        Err(ApplyError::Refused { reason }) => reason,
        other => panic!("{other:?}"),
    };
    let delete = |number, force| {
        RootKeyDelete {
            id: id(number),
            force,
        }
        .into()
    };
    assert_eq!(refused(delete(4, true)), "root key not found");
    assert_eq!(
        refused(delete(3, true)),
        "active root key cannot be deleted - call rotate first"
    );
    assert_eq!(refused(delete(1, false)), "root key in use, cannot delete");
    let deprecate = |number| RootKeyStateSet {
        id: id(number),
        state: RootKeyState::Deprecated,
    };
    refused(deprecate(1).into());
    // A row that changed after it was read is left alone.
    for (modify_index, key) in [(row.modify_index - 1, 1), (row.modify_index, 3)] {
        let rows = vec![RekeyedVariable {
            key: row.key.clone(),
            modify_index,
            from: id(1),
            items: items(3, b"anew"),
        }];
        world.try_apply(VariableRekey { rows }).unwrap();
        let stored = world.store.snapshot();
        let stored = stored.variable(&row.key).unwrap();
        assert_eq!(stored.items.key_id, id(key));
        assert_eq!(stored.modify_index, row.modify_index);
    }
    world.try_apply(deprecate(1)).unwrap();
    world.try_apply(delete(1, false)).unwrap();
    let mut gone = VariableApply {
        key: row.key.clone(),
        items: items(1, b"unreadable"),
        ..VariableApply::default()
    };
    assert!(world.try_apply(gone.clone()).is_err());
    gone.items.key_id = id(3);
    world.try_apply(gone.clone()).unwrap();
    gone.key.namespace = "nowhere".to_owned();
    let error = world.try_apply(gone).unwrap_err();
    assert_eq!(error.to_string(), "namespace \"nowhere\" does not exist");
}

#[test]
fn a_prepublished_key_becomes_active() {
    let mut world = World::new();
    let key = RootKeyRow {
        publish_time: T0,
        ..root_key(2, RootKeyState::Prepublished)
    };
    let command = RootKeyUpsert {
        key,
        first: false,
        rekey: false,
    };
    world.try_apply(command).unwrap();
    let active = |world: &World| world.store.snapshot().active_root_key().unwrap().id;
    assert_eq!(active(&world), id(1));
    let state = RootKeyState::Active;
    world
        .try_apply(RootKeyStateSet { id: id(2), state })
        .unwrap();
    assert_eq!(active(&world), id(2));
    let states: Vec<_> = world
        .store
        .snapshot()
        .root_keys()
        .map(|k| k.state)
        .collect();
    assert_eq!(states, [RootKeyState::Inactive, RootKeyState::Active]);
}

#[test]
fn a_namespace_with_something_in_it_stays() {
    let mut world = World::new();
    let namespace = |name: &str| NamespaceRow {
        name: name.to_owned(),
        ..NamespaceRow::default()
    };
    let namespaces = vec![namespace("team"), namespace("teams")];
    world.try_apply(NamespaceUpsert { namespaces }).unwrap();
    let write = |namespace: &str, op| VariableApply {
        op,
        key: VariableKey::new(namespace, "x"),
        items: items(1, b""),
        ..VariableApply::default()
    };
    world.try_apply(write("team", VariableOp::Set)).unwrap();
    let delete = |name: &str| NamespaceDelete {
        names: vec![name.to_owned()],
    };
    let error = world.try_apply(delete("team")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "namespace \"team\" has variables associated with it"
    );
    world.try_apply(delete("teams")).unwrap();
    world.try_apply(write("team", VariableOp::Delete)).unwrap();
    let job = Job {
        id: "a".to_owned().into(),
        namespace: "team".to_owned().into(),
        ..Job::default()
    };
    let register = JobRegister {
        job,
        ..JobRegister::default()
    };
    world.try_apply(register).unwrap();
    let error = world.try_apply(delete("team")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "namespace \"team\" has non-terminal jobs"
    );
}

#[test]
fn prefixes_find_their_variables_and_no_others() {
    let mut world = World::new();
    let namespaces = ["a", "b"].map(|name| NamespaceRow {
        name: name.to_owned(),
        ..NamespaceRow::default()
    });
    let namespaces = namespaces.to_vec();
    world.try_apply(NamespaceUpsert { namespaces }).unwrap();
    for (namespace, path) in [("a", "x/1"), ("a", "x/2"), ("a", "y"), ("b", "x/3")] {
        let command = VariableApply {
            key: VariableKey::new(namespace, path),
            items: items(1, b""),
            ..VariableApply::default()
        };
        world.try_apply(command).unwrap();
    }
    let state = world.store.snapshot();
    let found = |namespace: &str, prefix: &str| -> Vec<String> {
        let rows = state.variables_in(namespace, prefix);
        rows.map(|row| row.key.path.clone()).collect()
    };
    assert_eq!(found("a", "x/"), ["x/1", "x/2"]);
    assert_eq!(found("a", ""), ["x/1", "x/2", "y"]);
    assert_eq!(found("b", "x"), ["x/3"]);
    assert!(found("c", "").is_empty());
}

#[test]
fn snapshots_and_events_hold_variables_without_telling_their_items() {
    let mut world = World::new();
    let row = world.done(VariableOp::LockAcquire, lock(7), 0);
    assert!(!format!("{row:?}").contains("115"), "bytes are not printed");
    world.write(VariableOp::LockRelease, lock(7), 0);
    world.write(VariableOp::Delete, None, 0);
    let read = world.store.events(0);
    let told: Vec<_> = read.batches.iter().flat_map(|b| &b.events).collect();
    assert_eq!(told.len(), 3);
    for event in told {
        assert_eq!((event.topic(), event.kind), ("Variable", "VariableUpdated"));
        assert_eq!(event.key(), "app/db");
        assert_eq!(event.namespace(), "default");
        assert!(matches!(event.payload, EventPayload::Variable(_)));
    }
    world.done(VariableOp::LockAcquire, lock(7), 0);
    let mut bytes = Vec::new();
    let state = world.store.snapshot();
    state.save(&mut bytes).unwrap();
    let other = Store::new();
    other.restore(&mut bytes.as_slice()).unwrap();
    let copy = other.snapshot();
    assert!(copy.variables().eq(state.variables()));
    assert!(copy.root_keys().eq(state.root_keys()));
    for table in [Table::Variables, Table::RootKeys] {
        assert_eq!(copy.table_index(table), state.table_index(table));
    }
}
