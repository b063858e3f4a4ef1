//! One server on a real disk.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nomad_store::{FileSnapshots, LogStore, RocksLog, StoreError, verify_log};

use super::{Recorder, config, info};
use crate::{FatalError, NoTransport, Raft, RaftConfig, Stopped};

async fn open(dir: &Path, machine: &Recorder) -> Result<Raft<usize>, FatalError> {
    let config = RaftConfig {
        snapshot_threshold: 300,
        trailing_logs: 100,
        ..config(1)
    };
    let raft = Raft::start(
        config,
        Arc::new(RocksLog::open(&dir.join("log"))?),
        Arc::new(FileSnapshots::open(&dir.join("snapshots"))?),
        machine.clone(),
        Arc::new(NoTransport),
    )
    .await?;
    // An error only says that it was done before.
    let _ = raft.bootstrap(BTreeMap::from([(1, info(1))])).await;
    let mut changes = raft.leader_changes();
    let ready = changes.wait_for(|l| l.ready);
    tokio::time::timeout(Duration::from_secs(20), ready)
        .await
        .expect("leads")
        .expect("runs");
    Ok(raft)
}

#[tokio::test]
async fn all_is_there_after_a_clean_stop_and_after_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for round in 0..4 {
        let machine = Recorder::default();
        let raft = open(dir.path(), &machine).await.unwrap();
        assert_eq!(machine.data(), expected, "round {round}");
        for n in 0..50 {
            let data = format!("{round}-{n}");
            raft.propose(data.clone().into()).await.unwrap();
            expected.push(data);
        }
        if round % 2 == 0 {
            assert!(matches!(raft.shutdown().await, Stopped::Clean));
        } else {
            let stopped = raft.stopped();
            drop(raft);
            stopped.await;
        }
    }
    let log = RocksLog::open(&dir.path().join("log")).unwrap();
    assert_eq!(verify_log(&log).unwrap(), log.bounds().last.index - 1);
}

#[tokio::test]
async fn a_second_server_on_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Recorder::default();
    let _raft = open(dir.path(), &machine).await.unwrap();
    let error = open(dir.path(), &machine).await.unwrap_err();
    let FatalError::Store(error) = error else {
        panic!("{error}");
    };
    assert!(matches!(*error, StoreError::Locked { .. }), "{error}");
}

/// A child process proposes and says what was acknowledged; it is killed in the middle, several times on the same
/// directory; nothing that it said may be missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9() {
    const ENV: &str = "RAFT_CRASH_DIR";
    if let Some(dir) = std::env::var_os(ENV) {
        return child(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    let name = std::thread::current().name().unwrap().to_owned();
    for round in 0..4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &name, "--nocapture"])
            .env(ENV, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut count, goal) = (0, 200 + 170 * round);
        for line in lines {
            let line = line.unwrap();
            let Some((index, data)) = line
                .strip_prefix("acknowledged ")
                .and_then(|l| l.split_once(' '))
            else {
                continue;
            };
            acknowledged.insert(index.parse::<u64>().unwrap(), data.to_owned());
            count += 1;
            if count == goal {
                child.kill().unwrap();
            }
        }
        let status = child.wait().unwrap();
        assert!(!status.success(), "the child ended by itself");
        assert!(count >= goal, "only {count} of {goal}");

        let machine = Recorder::default();
        let raft = open(dir.path(), &machine).await.unwrap();
        let state: BTreeMap<u64, String> = machine
            .state
            .lock()
            .iter()
            .map(|(index, data)| (*index, String::from_utf8(data.to_vec()).unwrap()))
            .collect();
        for (index, data) in &acknowledged {
            assert_eq!(state.get(index), Some(data), "round {round}, index {index}");
        }
        let stopped = raft.stopped();
        drop(raft);
        stopped.await;
    }
    // Snapshots and compaction were part of it.
    let log = RocksLog::open(&dir.path().join("log")).unwrap();
    assert!(log.bounds().base.index > 100, "{log:?}");
}

async fn child(dir: &Path) {
    let raft = open(dir, &Recorder::default()).await.unwrap();
    let next = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (raft, next) = (raft.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                // The parent kills us long before.
                while begin.elapsed() < Duration::from_mins(1) {
                    let data = format!(
                        "{}-{}",
                        std::process::id(),
                        next.fetch_add(1, Ordering::Relaxed)
                    );
                    let applied = raft.propose(data.clone().into()).await.unwrap();
                    let line = format!("acknowledged {} {data}\n", applied.index);
                    // One write per line, so that a kill leaves no half line.
                    if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
                        return;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
