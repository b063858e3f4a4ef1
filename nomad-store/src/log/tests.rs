//! The contract of a log, run on every implementation.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::types::{EntryKind, PeerInfo};

fn entry(index: u64, term: u64) -> LogEntry {
    LogEntry {
        index,
        term,
        kind: EntryKind::Normal,
        data: Bytes::from(format!("command {index} of term {term}")),
        context: Bytes::new(),
    }
}

fn entries(range: Range<u64>, term: u64) -> Vec<LogEntry> {
    range.map(|i| entry(i, term)).collect()
}

fn append(log: &dyn LogStore, range: Range<u64>, term: u64) -> Result<()> {
    let mut batch = LogBatch::new();
    batch.push(LogOp::Append(entries(range, term)));
    log.write(&batch, Durability::Buffered)
}

fn push(log: &dyn LogStore, op: LogOp) -> Result<()> {
    let mut batch = LogBatch::new();
    batch.push(op);
    log.write(&batch, Durability::Synced)
}

fn position(index: u64, term: u64) -> LogPosition {
    LogPosition { index, term }
}

fn an_empty_log_is_empty(log: &dyn LogStore) {
    assert_eq!(log.bounds(), LogBounds::default());
    assert_eq!(log.hard_state().unwrap(), HardState::default());
    assert!(log.membership().unwrap().is_empty());
    assert_eq!(log.term(0).unwrap(), 0);
    assert_eq!(log.entries(1..1, 100).unwrap(), []);
    log.entries(1..2, 100).unwrap_err();
}

fn appended_entries_are_read_back(log: &dyn LogStore) {
    append(log, 1..4, 1).unwrap();
    append(log, 4..6, 2).unwrap();
    log.sync().unwrap();
    assert_eq!(log.bounds().last, position(5, 2));
    assert_eq!(log.term(3).unwrap(), 1);
    assert_eq!(log.term(4).unwrap(), 2);
    let all = log.entries(1..6, u64::MAX).unwrap();
    assert_eq!(all[..3], entries(1..4, 1));
    assert_eq!(all[3..], entries(4..6, 2));
    assert_eq!(log.entries(2..4, u64::MAX).unwrap(), entries(2..4, 1));
    assert_eq!(verify_log(log).unwrap(), 5);
    assert!(matches!(
        log.entries(4..7, 1),
        Err(StoreError::Unavailable { index: 6, last: 5 })
    ));
}

fn a_byte_limit_gives_at_least_one(log: &dyn LogStore) {
    append(log, 1..5, 1).unwrap();
    let one = entry(1, 1).size();
    assert_eq!(log.entries(1..5, 0).unwrap().len(), 1);
    assert_eq!(log.entries(1..5, one * 2).unwrap().len(), 2);
    assert_eq!(log.entries(1..5, one * 3 - 1).unwrap().len(), 2);
}

fn a_conflicting_append_replaces_the_tail(log: &dyn LogStore) {
    append(log, 1..10, 1).unwrap();
    append(log, 5..7, 3).unwrap();
    assert_eq!(log.bounds().last, position(6, 3));
    assert_eq!(log.term(4).unwrap(), 1);
    assert_eq!(log.term(5).unwrap(), 3);
    log.entries(7..8, 1).unwrap_err();
    append(log, 7..9, 3).unwrap();
    assert_eq!(log.entries(7..9, 99).unwrap(), entries(7..9, 3));
}

fn holes_are_refused_and_change_nothing(log: &dyn LogStore) {
    append(log, 1..3, 1).unwrap();
    assert!(matches!(
        append(log, 4..5, 1),
        Err(StoreError::OutOfOrder { index: 4, .. })
    ));
    let mut batch = LogBatch::new();
    batch
        .push(LogOp::HardState(HardState {
            term: 9,
            vote: 9,
            commit: 9,
        }))
        .push(LogOp::Append(vec![entry(3, 1), entry(5, 1)]));
    log.write(&batch, Durability::Synced).unwrap_err();
    assert_eq!(log.hard_state().unwrap(), HardState::default());
    assert_eq!(log.bounds().last, position(2, 1));
    push(log, LogOp::Compact(3)).unwrap_err();
}

fn compaction_keeps_the_term_of_the_base(log: &dyn LogStore) {
    append(log, 1..6, 1).unwrap();
    append(log, 6..11, 2).unwrap();
    push(log, LogOp::Compact(7)).unwrap();
    assert_eq!(log.bounds().base, position(7, 2));
    assert_eq!(log.bounds().first_index(), 8);
    assert_eq!(log.term(7).unwrap(), 2);
    assert!(matches!(
        log.term(6),
        Err(StoreError::Compacted { index: 6, first: 8 })
    ));
    log.entries(7..9, 1).unwrap_err();
    assert_eq!(log.entries(8..11, 999).unwrap(), entries(8..11, 2));
    push(log, LogOp::Compact(3)).unwrap();
    assert_eq!(log.bounds().base.index, 7);
    push(log, LogOp::Compact(10)).unwrap();
    assert_eq!(log.bounds().last, position(10, 2));
    append(log, 11..12, 2).unwrap();
    append(log, 10..11, 3).unwrap_err();
}

fn a_reset_continues_after_its_base(log: &dyn LogStore) {
    append(log, 1..6, 1).unwrap();
    let mut batch = LogBatch::new();
    batch
        .push(LogOp::Reset(position(100, 7)))
        .push(LogOp::Append(entries(101..103, 8)))
        .push(LogOp::Compact(101));
    log.write(&batch, Durability::Synced).unwrap();
    assert_eq!(log.bounds().base, position(101, 8));
    assert_eq!(log.bounds().last, position(102, 8));
    assert_eq!(log.entries(102..103, 9).unwrap(), entries(102..103, 8));
}

fn state_and_membership_are_kept(log: &dyn LogStore) {
    let hard_state = HardState {
        term: 3,
        vote: 2,
        commit: 7,
    };
    let mut membership = Membership {
        index: 4,
        voters: vec![1, 2, 3],
        learners: vec![4],
        ..Membership::default()
    };
    membership.peers.insert(
        1,
        PeerInfo {
            node_id: "a".into(),
            name: "one".into(),
            address: "127.0.0.1:4647".into(),
        },
    );
    push(log, LogOp::HardState(hard_state)).unwrap();
    push(log, LogOp::Membership(membership.clone())).unwrap();
    assert_eq!(log.hard_state().unwrap(), hard_state);
    assert_eq!(log.membership().unwrap(), membership);
}

type Check = fn(&dyn LogStore);
const CONTRACT: [Check; 8] = [
    an_empty_log_is_empty,
    appended_entries_are_read_back,
    a_byte_limit_gives_at_least_one,
    a_conflicting_append_replaces_the_tail,
    holes_are_refused_and_change_nothing,
    compaction_keeps_the_term_of_the_base,
    a_reset_continues_after_its_base,
    state_and_membership_are_kept,
];

#[test]
fn mem_log_keeps_the_contract() {
    for check in CONTRACT {
        check(&MemLog::new());
        check(&MemLog::with_crashes());
    }
}

#[test]
fn a_crash_loses_only_what_was_not_synced() {
    let log = MemLog::with_crashes();
    append(&log, 1..3, 1).unwrap();
    log.sync().unwrap();
    append(&log, 3..5, 1).unwrap();
    append(&log, 5..6, 1).unwrap();
    assert_eq!(log.unsynced(), 2);
    assert_eq!(log.crash(0).bounds().last.index, 2);
    assert_eq!(log.crash(1).bounds().last.index, 4);
    let after = log.crash(9);
    append(&log, 6..7, 1).unwrap();
    assert_eq!(after.bounds().last.index, 5);
}

#[test]
fn records_check_themselves() {
    let path = Path::new("/data/raft");
    let mut bytes = Vec::new();
    let original = LogEntry {
        context: Bytes::from_static(b"ctx"),
        kind: EntryKind::ConfChangeV2,
        ..entry(42, 7)
    };
    record::encode(&original, &mut bytes).unwrap();
    assert_eq!(
        record::decode(path, 42, bytes.clone().into()).unwrap(),
        original
    );
    let error = record::decode(path, 43, bytes.clone().into())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/data/raft") && error.contains("43") && error.contains("checksum"),
        "{error}"
    );
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        record::decode(path, 42, damaged.into()).unwrap_err();
        record::decode(path, 42, bytes[..at].to_vec().into()).unwrap_err();
    }
}

#[test]
fn too_large_entries_are_refused() {
    let big = LogEntry {
        data: vec![0; MAX_LEN + 1].into(),
        ..entry(1, 1)
    };
    let error = record::encode(&big, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
}
const MAX_LEN: usize = crate::types::MAX_ENTRY_BYTES as usize;

/// What a log does, for comparing two of them.
#[derive(Clone, Debug)]
enum Action {
    Append { back: u64, count: u64, term: u64 },
    Compact { keep: u64 },
    Reset { index: u64 },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0u64..4, 1u64..6, 1u64..9).prop_map(|(back, count, term)| Action::Append { back, count, term }),
        2 => (0u64..6).prop_map(|keep| Action::Compact { keep }),
        1 => (0u64..50).prop_map(|index| Action::Reset { index }),
    ]
}

fn perform(log: &dyn LogStore, action: &Action) -> Result<()> {
    let last = log.bounds().last.index;
    match *action {
        Action::Append { back, count, term } => {
            let from = (last + 1).saturating_sub(back);
            append(log, from..from + count, term)
        }
        Action::Compact { keep } => push(log, LogOp::Compact(last.saturating_sub(keep))),
        Action::Reset { index } => push(log, LogOp::Reset(position(last + index, 9))),
    }
}

fn assert_same(a: &dyn LogStore, b: &dyn LogStore) {
    assert_eq!(a.bounds(), b.bounds());
    let all = a.bounds().first_index()..a.bounds().last.index + 1;
    assert_eq!(
        a.entries(all.clone(), u64::MAX).unwrap(),
        b.entries(all, u64::MAX).unwrap()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn merged_batches_mean_the_same_as_single_ones(actions in prop::collection::vec(action(), 1..20)) {
        let (single, merged) = (MemLog::with_crashes(), MemLog::new());
        for action in &actions {
            let _ = perform(&single, action);
        }
        let mut batch = LogBatch::new();
        let probe = MemLog::with_crashes();
        for action in &actions {
            let last = probe.bounds().last.index;
            let mut one = LogBatch::new();
            one.push(match *action {
                Action::Append { back, count, term } => {
                    let from = (last + 1).saturating_sub(back);
                    LogOp::Append(entries(from..from + count, term))
                }
                Action::Compact { keep } => LogOp::Compact(last.saturating_sub(keep)),
                Action::Reset { index } => LogOp::Reset(position(last + index, 9)),
            });
            if probe.write(&one, Durability::Buffered).is_ok() {
                batch.merge(one);
            }
        }
        merged.write(&batch, Durability::Synced).unwrap();
        assert_same(&single, &merged);
    }
}

#[cfg(feature = "rocksdb")]
mod rocks {
    use super::*;

    #[test]
    fn rocks_log_keeps_the_contract() {
        for check in CONTRACT {
            let dir = tempfile::tempdir().unwrap();
            check(&RocksLog::open(dir.path()).unwrap());
            RocksLog::open(dir.path()).unwrap();
        }
    }

    #[test]
    fn everything_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let mem = MemLog::new();
        {
            let log = RocksLog::open(dir.path()).unwrap();
            for log in [&log as &dyn LogStore, &mem] {
                append(log, 1..20, 1).unwrap();
                append(log, 15..18, 2).unwrap();
                push(log, LogOp::Compact(4)).unwrap();
            }
            state_and_membership_are_kept(&log);
        }
        let log = RocksLog::open(dir.path()).unwrap();
        assert_same(&log, &mem);
        assert_eq!(log.hard_state().unwrap().vote, 2);
        assert_eq!(log.membership().unwrap().peers[&1].name, "one");
    }

    #[test]
    fn a_second_opener_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _log = RocksLog::open(dir.path()).unwrap();
        let error = RocksLog::open(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    }

    #[test]
    fn random_histories_match_the_memory_log() {
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            cases: 8,
            ..ProptestConfig::default()
        });
        runner
            .run(&prop::collection::vec(action(), 1..30), |actions| {
                let dir = tempfile::tempdir().unwrap();
                let mem = MemLog::new();
                let mut log = RocksLog::open(dir.path()).unwrap();
                for (i, action) in actions.iter().enumerate() {
                    let (a, b) = (perform(&mem, action), perform(&log, action));
                    prop_assert_eq!(a.is_ok(), b.is_ok());
                    if i % 10 == 9 {
                        drop(log);
                        log = RocksLog::open(dir.path()).unwrap();
                    }
                }
                assert_same(&mem, &log);
                Ok(())
            })
            .unwrap();
    }

    /// Changes bytes in all files whose name ends with `suffix`.
    fn damage(dir: &Path, suffix: &str, change: impl Fn(&mut Vec<u8>)) -> usize {
        let mut changed = 0;
        for file in std::fs::read_dir(dir).unwrap() {
            let path = file.unwrap().path();
            if path.to_string_lossy().ends_with(suffix) {
                let mut bytes = std::fs::read(&path).unwrap();
                if !bytes.is_empty() {
                    change(&mut bytes);
                    std::fs::write(&path, bytes).unwrap();
                    changed += 1;
                }
            }
        }
        changed
    }

    #[test]
    fn a_torn_last_write_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        {
            let log = RocksLog::open(dir.path()).unwrap();
            for i in 1..11 {
                append(&log, i..i + 1, 1).unwrap();
            }
        }
        let changed = damage(dir.path(), ".log", |bytes| bytes.truncate(bytes.len() - 5));
        assert!(changed > 0);
        let log = RocksLog::open(dir.path()).unwrap();
        assert_eq!(log.bounds().last, position(9, 1));
        assert_eq!(verify_log(&log).unwrap(), 9);
    }

    #[test]
    fn damage_in_the_middle_is_named() {
        let dir = tempfile::tempdir().unwrap();
        {
            let log = RocksLog::open(dir.path()).unwrap();
            for i in 1..101 {
                append(&log, i..i + 1, 1).unwrap();
            }
            log.sync().unwrap();
        }
        let changed = damage(dir.path(), ".log", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
        });
        assert!(changed > 0);
        // It stays an error however often it is tried.
        for _ in 0..2 {
            let error = RocksLog::open(dir.path()).unwrap_err();
            let StoreError::CorruptLog { index, .. } = &error else {
                panic!("{error}");
            };
            assert!((40..60).contains(index), "{error}");
            let path = dir.path().display().to_string();
            assert!(error.to_string().contains(&path), "{error}");
        }
    }

    #[test]
    fn a_cut_off_log_is_named() {
        let dir = tempfile::tempdir().unwrap();
        {
            let log = RocksLog::open(dir.path()).unwrap();
            for i in 1..11 {
                let mut batch = LogBatch::new();
                batch.push(LogOp::Append(entries(i..i + 1, 1)));
                log.write(&batch, Durability::Synced).unwrap();
            }
        }
        let changed = damage(dir.path(), ".log", |bytes| bytes.truncate(bytes.len() - 5));
        assert!(changed > 0);
        let error = RocksLog::open(dir.path()).unwrap_err();
        assert!(
            matches!(error, StoreError::CorruptLog { index: 10, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_missing_record_is_named() {
        let dir = tempfile::tempdir().unwrap();
        {
            let log = RocksLog::open(dir.path()).unwrap();
            append(&log, 1..11, 1).unwrap();
            log.remove_for_test(5);
            log.damage_for_test(8);
        }
        let log = RocksLog::open(dir.path()).unwrap();
        assert_eq!(log.entries(1..5, u64::MAX).unwrap().len(), 4);
        for range in [1..11, 5..6, 4..6] {
            let error = log.entries(range, u64::MAX).unwrap_err();
            assert!(
                matches!(error, StoreError::CorruptLog { index: 5, .. }),
                "{error}"
            );
        }
        let error = log.entries(7..9, u64::MAX).unwrap_err();
        assert!(
            matches!(error, StoreError::CorruptLog { index: 8, .. }),
            "{error}"
        );
        verify_log(&log).unwrap_err();
        drop(log);
        {
            let log = RocksLog::open(dir.path()).unwrap();
            log.remove_for_test(1);
        }
        let error = RocksLog::open(dir.path()).unwrap_err();
        assert!(
            matches!(error, StoreError::CorruptLog { index: 1, .. }),
            "{error}"
        );
    }
}
