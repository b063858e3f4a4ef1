//! Prints what an idle server on disk costs in memory (proportional set size), before and after some work.
//!
//! `cargo run --release -p nomad-raft --features rocksdb --example idle`
#![expect(clippy::print_stdout, reason = "its output is the point")]

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use nomad_raft::{
    ApplyError, Committed, NoTransport, PeerInfo, Raft, RaftConfig, SnapshotWrite, StateMachine,
};
use nomad_store::{FileSnapshots, KvStore, RocksKv, RocksLog};

struct Nothing;

impl SnapshotWrite for Nothing {
    fn write_to(self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

impl StateMachine for Nothing {
    type Output = ();
    type Snapshot = Self;

    fn apply(&mut self, entries: &[Committed], outputs: &mut Vec<()>) -> Result<(), ApplyError> {
        outputs.extend(entries.iter().map(|_| ()));
        Ok(())
    }

    fn snapshot(&self) -> Self {
        Self
    }

    fn restore(&mut self, _reader: &mut dyn Read) -> Result<(), ApplyError> {
        Ok(())
    }
}

fn report(when: &str) {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let pss = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .unwrap_or(" unknown");
    println!("{when:<28} {}", pss.trim());
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("nomad-raft-idle-{}", std::process::id()));
    report("empty process");
    let kv = RocksKv::open(&dir.join("client"), &["allocs", "tasks", "events", "meta"])?;
    kv.put("allocs", b"a", b"b")?;
    report("client tables open");
    let log = Arc::new(RocksLog::open(&dir.join("log"))?);
    report("log open");
    let raft = Raft::start(
        RaftConfig::new(1),
        log,
        Arc::new(FileSnapshots::open(&dir.join("snapshots"))?),
        Nothing,
        Arc::new(NoTransport),
    )
    .await?;
    raft.bootstrap(BTreeMap::from([(1, PeerInfo::default())]))
        .await?;
    raft.leader_changes().wait_for(|l| l.ready).await?;
    report("leading");
    for _ in 0..200 {
        let waiting: Vec<_> = (0..250)
            .map(|_| raft.propose_ordered(vec![7; 1024].into()))
            .collect::<Result<_, _>>()?;
        for wait in waiting {
            wait.await?;
        }
    }
    report("after 50 MB of entries");
    tokio::time::sleep(Duration::from_secs(3)).await;
    report("and three seconds");
    raft.shutdown().await;
    drop(kv);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
