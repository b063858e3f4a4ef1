//! The figures that are promised, each as a line `bench: NAME = VALUE UNIT [<= BAR]`, and pictures of the cost.
//!
//! `cargo bench -p nomad-scheduler --bench figures [-- WORD...]` runs the parts whose name contains a word: `table`,
//! `drain`, `large`, `curves`. `curves` writes `target/bench/scheduler-*.svg`.

#![expect(
    clippy::print_stdout,
    reason = "the result of this target is its report"
)]

#[path = "../cluster/mod.rs"]
mod cluster;
mod curves;
mod drain;
mod large;
mod picture;

use std::hint::black_box;
use std::time::Duration;

use nomad_scheduler::{Input, NodeColumns, Outcome, schedule};

use self::cluster::{Cluster, Ids, NOW};

/// As in the program: the system's allocator would be half of what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Nodes, racks, allocations; bars in ms without and with spread.
const TABLE: [(usize, usize, usize, f64, f64); 4] = [
    (1_000, 50, 300, 2.0, 6.0),
    (5_000, 50, 300, 4.0, 12.0),
    (10_000, 50, 300, 6.0, 20.0),
    (10_000, 50, 1_200, 12.0, 40.0),
];

fn main() {
    // cargo hands in `--bench`.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let parts: [(&str, fn()); 4] = [
        ("table", table),
        ("drain", drain::run),
        ("large", large::run),
        ("curves", curves::run),
    ];
    for (name, part) in parts {
        if words.is_empty() || words.iter().any(|word| name.contains(word.as_str())) {
            part();
        }
    }
}

/// One evaluation from the snapshot to the plan, always from the same untouched state: the CPU times of 15 rounds,
/// ascending. An evaluation is one thread that waits for nothing, so on an idle machine that is the time on the clock; on
/// a busy one it does not count who else was there.
///
/// What earlier evaluations left beside the columns is forgotten before each, so every one begins cold.
pub(crate) fn one_evaluation(cluster: &Cluster, columns: &NodeColumns) -> [Duration; 15] {
    let mut times = [Duration::ZERO; 15];
    for time in &mut times {
        columns.forget();
        let began = cpu_time();
        let input = Input {
            view: &cluster.view,
            columns: Some(columns),
            eval: &cluster.eval,
            now: NOW,
            seed: 7,
        };
        let outcome = schedule(black_box(&input), &mut Ids::default());
        *time = cpu_time().saturating_sub(began);
        assert!(black_box(outcome).is_ok_and(|outcome| placed(&outcome) > 0));
    }
    times.sort_unstable();
    times
}

/// CPU time of this thread.
pub(crate) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// How many allocations an outcome places.
pub(crate) fn placed(outcome: &Outcome) -> usize {
    outcome
        .plan
        .as_ref()
        .map_or(0, |plan| plan.node_allocation.values().map(Vec::len).sum())
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn table() {
    for (nodes, racks, allocs, plain, spread) in TABLE {
        for (with_spread, bar) in [(false, plain), (true, spread)] {
            let cluster = Cluster::new(nodes, racks, allocs, with_spread);
            let columns = NodeColumns::from_view(&cluster.view);
            let took = ms(one_evaluation(&cluster, &columns)[7]);
            let kind = if with_spread { "spread" } else { "no spread" };
            // The median of 15.
            println!(
                "bench: {nodes} nodes, {racks} racks, {allocs} allocations, {kind} = {took:.3} ms <= {bar}"
            );
        }
    }
}
