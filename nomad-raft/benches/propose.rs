//! From proposal to applied on one server, in memory and (with `--features rocksdb`) on disk.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nomad_raft::{
    ApplyError, Committed, NoTransport, PeerInfo, Raft, RaftConfig, SnapshotWrite, StateMachine,
};
use nomad_store::{LogStore, MemLog, MemSnapshots};

/// Proposals under way in the throughput measurement.
const BATCH: u64 = 256;

struct Sum(u64);

impl SnapshotWrite for Sum {
    fn write_to(self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.0.to_be_bytes())
    }
}

impl StateMachine for Sum {
    type Output = u64;
    type Snapshot = Self;

    fn apply(&mut self, entries: &[Committed], outputs: &mut Vec<u64>) -> Result<(), ApplyError> {
        for entry in entries {
            self.0 += entry.data.len() as u64;
            outputs.push(self.0);
        }
        Ok(())
    }

    fn snapshot(&self) -> Self {
        Self(self.0)
    }

    fn restore(&mut self, reader: &mut dyn Read) -> Result<(), ApplyError> {
        let mut bytes = [0; 8];
        reader
            .read_exact(&mut bytes)
            .map_err(|e| ApplyError::new(0, e.to_string()))?;
        self.0 = u64::from_be_bytes(bytes);
        Ok(())
    }
}

fn bench(c: &mut Criterion, name: &str, log: Arc<dyn LogStore>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let raft = runtime.block_on(async {
        let raft = Raft::start(
            RaftConfig::new(1),
            log,
            Arc::new(MemSnapshots::new()),
            Sum(0),
            Arc::new(NoTransport),
        )
        .await
        .unwrap();
        raft.bootstrap(BTreeMap::from([(1, PeerInfo::default())]))
            .await
            .unwrap();
        raft.leader_changes().wait_for(|l| l.ready).await.unwrap();
        raft
    });
    let data = Bytes::from(vec![7; 512]);
    let mut group = c.benchmark_group(name);
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    group.bench_function("propose", |b| {
        b.iter(|| {
            let applied = runtime.block_on(raft.propose(data.clone())).unwrap();
            black_box(applied.output)
        });
    });
    group.bench_function("read_barrier", |b| {
        b.iter(|| runtime.block_on(raft.read_barrier()).unwrap());
    });
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("propose_256_at_once", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let waiting: Vec<_> = (0..BATCH)
                    .map(|_| raft.propose_ordered(data.clone()).unwrap())
                    .collect();
                for wait in waiting {
                    black_box(wait.await.unwrap().output);
                }
            });
        });
    });
    group.finish();
    runtime.block_on(raft.shutdown());
}

fn propose(c: &mut Criterion) {
    bench(c, "one_server_mem", Arc::new(MemLog::new()));
    #[cfg(feature = "rocksdb")]
    {
        let dir = tempfile::tempdir().unwrap();
        let log = nomad_store::RocksLog::open(dir.path()).unwrap();
        bench(c, "one_server_rocks", Arc::new(log));
    }
}

criterion_group!(benches, propose);
criterion_main!(benches);
