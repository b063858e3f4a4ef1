//! Restoring a snapshot through the log: at once or not at all, the same on every server, indexes only upwards.

use nomad_core::node::NodePool;
use nomad_core::view::ClusterView as _;
use nomad_state::command::{NodePoolUpsert, SnapshotChunk};
use nomad_state::{Command, Reply, State, Store, Table};

fn pool(name: &str) -> Command {
    let pool = NodePool {
        name: name.to_owned(),
        ..NodePool::default()
    };
    NodePoolUpsert { pools: vec![pool] }.into()
}

fn content(store: &Store) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.save(&mut bytes).expect("a snapshot");
    bytes
}

fn chunks(id: &str, bytes: &[u8], size: usize) -> Vec<Command> {
    let count = bytes.len().div_ceil(size);
    bytes
        .chunks(size)
        .enumerate()
        .map(|(number, data)| {
            SnapshotChunk {
                id: id.to_owned(),
                number: number as u32,
                last: number + 1 == count,
                data: data.to_vec().into(),
            }
            .into()
        })
        .collect()
}

fn has(state: &State, name: &str) -> bool {
    state.node_pool(name).is_some()
}

/// A state at index 900 with the pool `old`.
fn saved() -> Vec<u8> {
    let store = Store::new();
    store.apply(900, &pool("old")).expect("applies");
    content(&store)
}

#[test]
fn nothing_changes_before_the_last_part_and_indexes_go_up() {
    let store = Store::new();
    store.apply(1, &pool("new")).expect("applies");
    let parts = chunks("r", &saved(), 100);
    let count = parts.len() as u64;
    assert!(count > 3);
    for (at, part) in parts.iter().enumerate() {
        let state = store.snapshot();
        assert!(has(&state, "new") && !has(&state, "old"));
        // Other writes may come in between.
        store
            .apply(2 * at as u64 + 2, &pool("new"))
            .expect("applies");
        let applied = store.apply(2 * at as u64 + 3, part).expect("applies");
        assert_eq!(applied.reply == Reply::Restored, at as u64 + 1 == count);
    }
    let state = store.snapshot();
    assert!(has(&state, "old") && !has(&state, "new"));
    assert_eq!(
        state.last_index(),
        901,
        "behind all that the snapshot has seen"
    );
    assert_eq!(state.table_index(Table::Jobs), 901);
    // The log goes on where it was, the indexes do not go back.
    let applied = store.apply(2 * count + 2, &pool("next")).expect("applies");
    assert_eq!(applied.index, 902);
    assert_eq!(
        store
            .snapshot()
            .node_pool("next")
            .map(|pool| pool.create_index),
        Some(902)
    );
}

#[test]
fn an_older_snapshot_does_not_take_indexes_back() {
    let store = Store::new();
    store.apply(5000, &pool("new")).expect("applies");
    for (at, part) in chunks("r", &saved(), 4096).iter().enumerate() {
        store.apply(5001 + at as u64, part).expect("applies");
    }
    let state = store.snapshot();
    assert!(has(&state, "old") && !has(&state, "new"));
    assert_eq!(state.last_index(), 5001);
    assert_eq!(
        store.apply(5002, &pool("next")).expect("applies").index,
        5002
    );
}

#[test]
fn a_server_that_takes_over_in_between_comes_to_the_same() {
    let parts = chunks("r", &saved(), 64);
    let straight = Store::new();
    let resumed = Store::new();
    for (at, part) in parts.iter().enumerate() {
        straight.apply(at as u64 + 1, part).expect("applies");
        resumed.apply(at as u64 + 1, part).expect("applies");
        // Its state goes through a snapshot of consensus after every part.
        let image = content(&resumed);
        resumed.restore(&mut image.as_slice()).expect("restores");
    }
    assert_eq!(content(&straight), content(&resumed));
    assert_eq!(
        straight.apply(100, &pool("a")).expect("applies").index,
        resumed.apply(100, &pool("a")).expect("applies").index
    );
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let store = Store::new();
    let mut bytes = saved();
    let one = chunks("one", &bytes, 64);
    let two = chunks("two", &bytes, 64);
    store.apply(1, &one[0]).expect("applies");
    assert!(store.apply(2, &one[2]).is_err(), "a part is missing");
    assert!(store.apply(3, &two[1]).is_err(), "of another restore");
    // The second one begins, the first one cannot go on.
    store.apply(4, &two[0]).expect("applies");
    assert!(store.apply(5, &one[1]).is_err());
    // One that cannot be read changes nothing.
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    let broken = chunks("broken", &bytes, 64);
    let (last, before) = broken.split_last().expect("parts");
    for (at, part) in before.iter().enumerate() {
        store.apply(10 + at as u64, part).expect("applies");
    }
    let error = store.apply(90, last).expect_err("broken");
    assert!(error.to_string().contains("cannot be read"), "{error}");
    assert!(!has(&store.snapshot(), "old"));
    for (at, part) in two.iter().enumerate() {
        store.apply(100 + at as u64, part).expect("applies");
    }
    assert!(has(&store.snapshot(), "old"));
}
