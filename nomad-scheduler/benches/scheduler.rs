//! How long one evaluation takes, from the snapshot to the plan.
//!
//! The cluster is that of Nomad's own scheduler benchmark: two datacenters, nodes of 14,000 MHz and 32,000 MB, racks by
//! `meta.rack` of which the job allows half, tasks of 6,000 MHz and 6,000 MB, no network. The state and the columns that
//! follow it stand before the clock starts; what earlier evaluations left beside them is forgotten each time.

#[path = "cluster/mod.rs"]
mod cluster;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use nomad_scheduler::{Input, NodeColumns, schedule};

use self::cluster::{Cluster, Ids, NOW};

/// As in the program: the system's allocator would be half of what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// (nodes, racks, allocations).
const SIZES: [(usize, usize, usize); 4] = [
    (1_000, 50, 300),
    (5_000, 50, 300),
    (10_000, 50, 300),
    (10_000, 50, 1_200),
];

fn one_evaluation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scheduler");
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    for spread in [false, true] {
        let kind = if spread { "spread" } else { "no-spread" };
        for (nodes, racks, allocs) in SIZES {
            let cluster = Cluster::new(nodes, racks, allocs, spread);
            let columns = NodeColumns::from_view(&cluster.view);
            group.bench_function(
                BenchmarkId::new(kind, format!("{nodes}x{racks}x{allocs}")),
                |bench| {
                    let cold = || columns.forget();
                    let evaluate = |()| {
                        let input = Input {
                            view: &cluster.view,
                            columns: Some(&columns),
                            eval: &cluster.eval,
                            now: NOW,
                            seed: 7,
                        };
                        // The outcome is dropped after the clock has stopped.
                        schedule(black_box(&input), &mut Ids::default())
                    };
                    bench.iter_batched(cold, evaluate, BatchSize::PerIteration);
                },
            );
        }
    }
    group.finish();
}

criterion_group!(benches, one_evaluation);
criterion_main!(benches);
