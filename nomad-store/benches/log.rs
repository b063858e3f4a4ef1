//! Appending and syncing batches, in memory and (with `--features rocksdb`) on disk.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use nomad_store::{Durability, EntryKind, LogBatch, LogEntry, LogOp, LogStore, MemLog};

fn batch(next: &mut u64, count: u64) -> LogBatch {
    let data = Bytes::from(vec![7; 512]);
    let entries = (*next..*next + count)
        .map(|index| LogEntry {
            index,
            term: 1,
            kind: EntryKind::Normal,
            data: data.clone(),
            context: Bytes::new(),
        })
        .collect();
    *next += count;
    let mut batch = LogBatch::new();
    batch.push(LogOp::Append(entries));
    batch
}

fn bench(c: &mut Criterion, name: &str, log: &dyn LogStore) {
    let mut next = 1;
    let mut group = c.benchmark_group(name);
    group
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(2));
    for count in [1, 64] {
        group.bench_function(format!("append_{count}_buffered"), |b| {
            b.iter(|| {
                log.write(&batch(&mut next, count), Durability::Buffered)
                    .unwrap();
            });
        });
        group.bench_function(format!("append_{count}_synced"), |b| {
            b.iter(|| {
                log.write(&batch(&mut next, count), Durability::Synced)
                    .unwrap();
            });
        });
    }
    let from = log.bounds().last.index - 255;
    group.bench_function("read_256", |b| {
        b.iter(|| black_box(log.entries(from..from + 256, u64::MAX).unwrap()));
    });
    group.finish();
}

fn logs(c: &mut Criterion) {
    bench(c, "mem", &MemLog::new());
    #[cfg(feature = "rocksdb")]
    {
        let dir = tempfile::tempdir().unwrap();
        bench(
            c,
            "rocks",
            &nomad_store::RocksLog::open(dir.path()).unwrap(),
        );
    }
}

criterion_group!(benches, logs);
criterion_main!(benches);
