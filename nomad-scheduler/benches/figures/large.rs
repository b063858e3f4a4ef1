//! A very large cluster: time of an evaluation, throughput of a queue, memory of the view.

use std::time::Instant;

use nomad_core::alloc::{Allocation, ClientStatus};
use nomad_core::ids::{AllocId, EvalId, JobKey};
use nomad_core::view::ClusterView;
use nomad_scheduler::{Input, NodeColumns, schedule};
use nomad_state::command::{AppliedPlan, JobRef, PlanResults};

use crate::cluster::{self, Ids, NOW, uuid};
use crate::drain::{self, Log};
use crate::{cpu_time, ms, placed};

const NODES: usize = 100_000;
const JOBS: usize = 20_000;
/// Allocations of each job that exist before.
const PER_JOB: usize = 100;
/// Placements of the evaluation that is measured.
const PLACEMENTS: usize = 1_000;
const QUEUE: usize = 10_000;

/// Resident memory of this process, MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1_024.0
}

/// What a small group of a job holds.
fn row(job: usize, index: usize) -> Allocation {
    let number = job * PER_JOB + index;
    // Spread over all nodes without a pattern that repeats with the racks.
    let node = (number * 7_919 + job) % NODES;
    let template = cluster::job(
        "x",
        1,
        100 + (job % 5) as i64 * 50,
        256 + (job % 7) as i64 * 64,
    );
    let task = &template.task_groups[0].tasks[0];
    let mut alloc = Allocation {
        id: AllocId(uuid(0xa2, number as u64)),
        namespace: "default".into(),
        eval_id: Some(EvalId(uuid(0xe2, job as u64))),
        name: format!("old-{job}.web[{index}]"),
        node_id: cluster::node_id(node),
        job_id: format!("old-{job}").into(),
        task_group: "web".to_owned(),
        client_status: ClientStatus::Running,
        ..Allocation::default()
    };
    let mut given = nomad_core::alloc::AllocatedTaskResources::default();
    given.cpu.cpu_shares = task.resources.cpu;
    given.memory.memory_mb = task.resources.memory_mb;
    alloc
        .allocated_resources
        .tasks
        .insert("web".to_owned(), given);
    alloc
}

fn fill(log: &mut Log) {
    for number in 0..NODES {
        log.add_node(cluster::node(number, 50));
    }
    for job in 0..JOBS {
        log.add_job(cluster::job(&format!("old-{job}"), PER_JOB, 100, 256));
        let plan = AppliedPlan {
            job: Some(JobRef {
                key: JobKey {
                    namespace: "default".into(),
                    id: format!("old-{job}").into(),
                },
                version: 0,
            }),
            allocations: (0..PER_JOB).map(|index| row(job, index)).collect(),
            ..AppliedPlan::default()
        };
        log.write(PlanResults {
            plans: vec![plan],
            now: NOW,
        });
    }
}

pub(crate) fn run() {
    let mut log = Log::new();
    fill(&mut log);
    let label = format!("{NODES} nodes, {} allocations", JOBS * PER_JOB);
    let state_only = resident();
    let began = Instant::now();
    let columns = NodeColumns::from_view(&log.store.snapshot());
    println!(
        "bench: {label}: columns built from nothing = {:.0} ms",
        ms(began.elapsed())
    );

    let wanted = cluster::job("big", PLACEMENTS, 500, 512);
    log.add_job(wanted.clone());
    let state = log.store.snapshot();
    let mut columns = columns;
    columns.update(&state, &nomad_scheduler::ColumnChanges::default());
    let job = state.job(&wanted.key()).expect("just registered");
    let eval = cluster::eval(job);
    let mut times = Vec::new();
    for _ in 0..9 {
        columns.forget();
        let began = cpu_time();
        let input = Input {
            view: &state,
            columns: Some(&columns),
            eval: &eval,
            now: NOW,
            seed: 7,
        };
        let outcome = schedule(&input, &mut Ids::default()).expect("a job of a known type");
        times.push(cpu_time().saturating_sub(began));
        assert_eq!(placed(&outcome), PLACEMENTS);
    }
    times.sort_unstable();
    println!(
        "bench: {label}: one evaluation of {PLACEMENTS} placements = {:.1} ms <= 50",
        ms(times[4])
    );
    println!(
        "bench: {label}: memory of the view = {:.0} MiB <= 2048",
        resident() - state_only
    );
    println!("bench: {label}: memory of the whole state = {state_only:.0} MiB");
    drop(state);

    let evals = drain::queue(&mut log, 0, QUEUE);
    columns.update(
        &log.store.snapshot(),
        &nomad_scheduler::ColumnChanges::default(),
    );
    let (began, cpu) = (Instant::now(), cpu_time());
    let count = drain::drain(&mut log, &mut columns, evals);
    println!(
        "bench: {label}: {QUEUE} pending evaluations, one worker = {:.0} placements/s >= 20000",
        count as f64 / began.elapsed().as_secs_f64()
    );
    println!(
        "bench: {label}: the same by CPU time = {:.0} placements/s",
        count as f64 / cpu_time().saturating_sub(cpu).as_secs_f64()
    );
}
