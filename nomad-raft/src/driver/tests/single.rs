//! One server alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nomad_store::{
    Durability, LogBatch, LogEntry, LogOp, LogPosition, LogStore, MemLog, MemSnapshots,
    SnapshotStore,
};

use super::{Recorder, config, info};
use crate::{FatalError, NoTransport, Raft, RaftConfig, RaftError, Stopped};

async fn start(
    config: RaftConfig,
    log: &MemLog,
    snapshots: &MemSnapshots,
    machine: &Recorder,
) -> Result<Raft<usize>, FatalError> {
    Raft::start(
        config,
        Arc::new(log.clone()),
        Arc::new(snapshots.clone()),
        machine.clone(),
        Arc::new(NoTransport),
    )
    .await
}

async fn bootstrapped(log: &MemLog, snapshots: &MemSnapshots, machine: &Recorder) -> Raft<usize> {
    let raft = start(config(1), log, snapshots, machine).await.unwrap();
    raft.bootstrap(BTreeMap::from([(1, info(1))]))
        .await
        .unwrap();
    raft
}

async fn lead(raft: &Raft<usize>) {
    let mut changes = raft.leader_changes();
    tokio::time::timeout(Duration::from_secs(5), changes.wait_for(|l| l.ready))
        .await
        .expect("becomes leader")
        .unwrap();
}

#[tokio::test]
async fn proposals_are_applied_in_order() {
    let (log, snapshots, machine) = Default::default();
    let raft = bootstrapped(&log, &snapshots, &machine).await;
    lead(&raft).await;
    let mut last = 0;
    for n in 1..=20 {
        let applied = raft.propose(format!("c{n}").into()).await.unwrap();
        assert_eq!(applied.output, n);
        assert!(applied.index > last);
        last = applied.index;
        assert!(raft.applied_index() >= last);
    }
    assert_eq!(machine.len(), 20);
    assert!(raft.read_barrier().await.unwrap() >= last);
    let status = raft.status().await.unwrap();
    assert_eq!(status.commit_index, last);
    assert_eq!(status.peers[0].info, info(1));
    assert!(matches!(raft.shutdown().await, Stopped::Clean));
    assert!(matches!(
        raft.propose("late".into()).await,
        Err(RaftError::Stopped)
    ));
    assert!(matches!(raft.read_barrier().await, Err(RaftError::Stopped)));
}

#[tokio::test]
async fn it_leads_at_once_and_answers_quickly() {
    let (log, snapshots, machine) = Default::default();
    let slow = RaftConfig {
        // With ticks of half a second nothing that waits for one can be quick.
        election_timeout: Duration::from_secs(10),
        ..config(1)
    };
    let raft = start(slow, &log, &snapshots, &machine).await.unwrap();
    let begin = Instant::now();
    raft.bootstrap(BTreeMap::from([(1, info(1))]))
        .await
        .unwrap();
    lead(&raft).await;
    let to_lead = begin.elapsed();
    assert!(to_lead < Duration::from_millis(400), "{to_lead:?}");
    let begin = Instant::now();
    for n in 0..200 {
        raft.propose(format!("{n}").into()).await.unwrap();
        raft.read_barrier().await.unwrap();
    }
    let each = begin.elapsed() / 200;
    assert!(each < Duration::from_millis(2), "{each:?}");
}

#[tokio::test]
async fn many_at_once_share_batches() {
    let (log, snapshots, machine) = Default::default();
    let raft = bootstrapped(&log, &snapshots, &machine).await;
    lead(&raft).await;
    let waiting: Vec<_> = (0..500)
        .map(|n| raft.propose_ordered(format!("{n}").into()).unwrap())
        .collect();
    for (n, wait) in waiting.into_iter().enumerate() {
        assert_eq!(wait.await.unwrap().output, n + 1);
    }
    let batches = machine.batches.lock().len();
    assert!(batches < 100, "{batches} batches for 500 entries");
    let expected: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    assert_eq!(machine.data(), expected);
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let (log, snapshots, machine) = Default::default();
    let raft = bootstrapped(&log, &snapshots, &machine).await;
    for n in 0..10 {
        raft.propose(format!("{n}").into()).await.ok();
        lead(&raft).await;
    }
    let before = machine.data();
    let term = raft.leadership().term;
    raft.shutdown().await;

    let machine = Recorder::default();
    let raft = start(config(1), &log, &snapshots, &machine).await.unwrap();
    lead(&raft).await;
    assert_eq!(machine.data(), before);
    assert!(raft.leadership().term > term);
    let error = raft
        .bootstrap(BTreeMap::from([(1, info(1))]))
        .await
        .unwrap_err();
    assert!(matches!(error, RaftError::AlreadyBootstrapped), "{error}");
}

#[tokio::test]
async fn a_snapshot_shortens_the_log_and_is_restored() {
    let (log, snapshots, machine) = Default::default();
    let small = RaftConfig {
        trailing_logs: 5,
        ..config(1)
    };
    let raft = start(small.clone(), &log, &snapshots, &machine)
        .await
        .unwrap();
    raft.bootstrap(BTreeMap::from([(1, info(1))]))
        .await
        .unwrap();
    lead(&raft).await;
    for n in 0..30 {
        raft.propose(format!("{n}").into()).await.unwrap();
    }
    let meta = raft.snapshot_now().await.unwrap();
    assert_eq!(meta.index, raft.applied_index());
    assert_eq!(meta.membership.peers[&1], info(1));
    assert_eq!(raft.snapshot_now().await.unwrap(), meta);
    raft.propose("after".into()).await.unwrap();
    let status = raft.status().await.unwrap();
    assert_eq!(status.first_index, meta.index - 5 + 1);
    assert_eq!(status.snapshot.index, meta.index);
    let before = machine.data();
    raft.shutdown().await;
    assert_eq!(log.bounds().base.index, meta.index - 5);

    let machine = Recorder::default();
    let raft = start(small, &log, &snapshots, &machine).await.unwrap();
    lead(&raft).await;
    assert_eq!(machine.data(), before);
    assert_eq!(*machine.restored.lock(), [30]);
    assert_eq!(raft.status().await.unwrap().membership, meta.membership);
}

#[tokio::test]
async fn snapshots_are_taken_by_themselves() {
    let (log, snapshots, machine) = Default::default();
    let raft = start(
        RaftConfig {
            snapshot_threshold: 50,
            trailing_logs: 10,
            ..config(1)
        },
        &log,
        &snapshots,
        &machine,
    )
    .await
    .unwrap();
    raft.bootstrap(BTreeMap::from([(1, info(1))]))
        .await
        .unwrap();
    lead(&raft).await;
    for n in 0..300 {
        raft.propose(format!("{n}").into()).await.unwrap();
    }
    raft.shutdown().await;
    let kept = snapshots.list().unwrap();
    assert_eq!(kept.len(), 2);
    assert!(kept[0].meta.index > 200, "{kept:?}");
    assert!(log.bounds().base.index + 110 > log.bounds().last.index);
}

#[tokio::test]
async fn an_unknown_entry_stops_the_server_with_a_sentence() {
    let (log, snapshots, machine) = Default::default();
    let raft = bootstrapped(&log, &snapshots, &machine).await;
    lead(&raft).await;
    raft.propose("fine".into()).await.unwrap();
    let error = raft.propose("unknown".into()).await.unwrap_err();
    assert!(
        error.to_string().contains("command kind 999 is unknown"),
        "{error}"
    );
    let Stopped::Failed(FatalError::Apply { index, .. }) = raft.stopped().await else {
        panic!("must fail");
    };
    assert!(!raft.leadership().is_leader);
    // It stays so: the entry is in the log.
    let raft = start(config(1), &log, &snapshots, &Recorder::default())
        .await
        .unwrap();
    let Stopped::Failed(FatalError::Apply { index: again, .. }) = raft.stopped().await else {
        panic!("must fail");
    };
    assert_eq!(again, index);
}

#[tokio::test]
async fn a_panic_in_the_state_machine_stops_the_server() {
    let (log, snapshots, machine) = Default::default();
    let raft = bootstrapped(&log, &snapshots, &machine).await;
    lead(&raft).await;
    let error = raft.propose("panic".into()).await.unwrap_err();
    assert!(error.to_string().contains("asked to panic"), "{error}");
}

#[tokio::test]
async fn limits_are_refusals() {
    let (log, snapshots, machine) = Default::default();
    let tight = RaftConfig {
        max_entry_bytes: 100,
        max_proposals: 8,
        ..config(1)
    };
    let raft = start(tight, &log, &snapshots, &machine).await.unwrap();
    let error = raft.propose("x".into()).await.unwrap_err();
    assert!(
        matches!(error, RaftError::NotLeader { leader: None }),
        "{error}"
    );
    let error = raft.snapshot_now().await.unwrap_err();
    assert!(matches!(error, RaftError::Snapshot(_)), "{error}");
    raft.bootstrap(BTreeMap::from([(1, info(1))]))
        .await
        .unwrap();
    lead(&raft).await;
    for bad in [vec![], vec![0; 101]] {
        let error = raft.propose(bad.into()).await.unwrap_err();
        assert!(
            matches!(error, RaftError::TooLarge { limit: 100, .. }),
            "{error}"
        );
    }
    // Without yielding, the queue fills.
    let results: Vec<_> = (0..100)
        .map(|n| raft.propose_ordered(format!("{n}").into()))
        .collect();
    assert!(results.iter().any(|r| matches!(r, Err(RaftError::Busy))));
    for wait in results.into_iter().flatten() {
        wait.await.unwrap();
    }
    let past = tokio::time::Instant::now();
    let error = raft.propose_until("x".into(), past).await.unwrap_err();
    assert!(matches!(error, RaftError::Timeout { .. }), "{error}");
    let error = start(
        RaftConfig {
            multiplier: 11,
            ..config(1)
        },
        &log,
        &snapshots,
        &machine,
    )
    .await
    .unwrap_err();
    assert!(error.to_string().contains("raft_multiplier"), "{error}");
}

#[tokio::test]
async fn a_hole_between_snapshot_and_log_is_explained() {
    let (log, snapshots, machine) = Default::default();
    let raft = start(
        RaftConfig {
            trailing_logs: 0,
            ..config(1)
        },
        &log,
        &snapshots,
        &machine,
    )
    .await
    .unwrap();
    raft.bootstrap(BTreeMap::from([(1, info(1))]))
        .await
        .unwrap();
    lead(&raft).await;
    raft.propose("x".into()).await.unwrap();
    raft.snapshot_now().await.unwrap();
    raft.shutdown().await;
    let error = start(config(1), &log, &MemSnapshots::new(), &machine)
        .await
        .unwrap_err();
    assert!(matches!(error, FatalError::Gap { .. }), "{error}");
    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[tokio::test]
async fn a_log_that_lost_committed_entries_is_explained() {
    let (log, snapshots, machine) = Default::default();
    let raft = bootstrapped(&log, &snapshots, &machine).await;
    lead(&raft).await;
    for n in 0..5 {
        raft.propose(format!("{n}").into()).await.unwrap();
    }
    raft.shutdown().await;
    let hard_state = log.hard_state().unwrap();
    let shorter = MemLog::new();
    let mut batch = LogBatch::new();
    batch
        .push(LogOp::Reset(LogPosition { index: 1, term: 1 }))
        .push(LogOp::Append(vec![LogEntry {
            index: 2,
            term: 2,
            ..LogEntry::default()
        }]))
        .push(LogOp::Membership(log.membership().unwrap()))
        .push(LogOp::HardState(hard_state));
    shorter.write(&batch, Durability::Synced).unwrap();
    let error = start(config(1), &shorter, &snapshots, &machine)
        .await
        .unwrap_err();
    assert!(matches!(error, FatalError::LogLost { .. }), "{error}");
}

/// A log that is slow to sync, to see that many proposals share one.
#[tokio::test]
async fn group_commit_shares_syncs() {
    let (snapshots, machine): (MemSnapshots, Recorder) = Default::default();
    let log = SlowLog::default();
    let raft: Raft<usize> = Raft::start(
        config(1),
        Arc::new(log.clone()),
        Arc::new(snapshots),
        machine.clone(),
        Arc::new(NoTransport),
    )
    .await
    .unwrap();
    raft.bootstrap(BTreeMap::from([(1, info(1))]))
        .await
        .unwrap();
    lead(&raft).await;
    let before = log.syncs.load(std::sync::atomic::Ordering::Relaxed);
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let raft = raft.clone();
            tokio::spawn(async move { raft.propose(format!("{n}").into()).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let syncs = log.syncs.load(std::sync::atomic::Ordering::Relaxed) - before;
    assert!(syncs < 40, "{syncs} syncs for 200 proposals");
    assert_eq!(machine.len(), 200);
}

#[derive(Clone, Default)]
struct SlowLog {
    inner: MemLog,
    syncs: Arc<std::sync::atomic::AtomicUsize>,
}

impl LogStore for SlowLog {
    fn bounds(&self) -> nomad_store::LogBounds {
        self.inner.bounds()
    }

    fn hard_state(&self) -> nomad_store::Result<nomad_store::HardState> {
        self.inner.hard_state()
    }

    fn membership(&self) -> nomad_store::Result<nomad_store::Membership> {
        self.inner.membership()
    }

    fn term(&self, index: u64) -> nomad_store::Result<u64> {
        self.inner.term(index)
    }

    fn entries(
        &self,
        range: std::ops::Range<u64>,
        max_bytes: u64,
    ) -> nomad_store::Result<Vec<LogEntry>> {
        self.inner.entries(range, max_bytes)
    }

    fn write(&self, batch: &LogBatch, durability: Durability) -> nomad_store::Result<()> {
        self.inner.write(batch, durability)?;
        if durability == Durability::Synced {
            self.syncs
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(3));
        }
        Ok(())
    }

    fn sync(&self) -> nomad_store::Result<()> {
        Ok(())
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn path(&self) -> &std::path::Path {
        self.inner.path()
    }
}
