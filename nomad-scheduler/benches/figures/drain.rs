//! Draining a queue of pending evaluations with one worker: schedule, commit to the state, follow with the columns.

use std::time::Instant;

use nomad_core::eval::Evaluation;
use nomad_core::ids::{EvalId, JobKey};
use nomad_core::plan::{Plan, PlanResult};
use nomad_scheduler::{Attempt, ColumnChanges, NodeColumns, Step};
use nomad_state::command::{AppliedPlan, Command, EvalUpsert, JobRef, JobRegister, NodeRegister};
use nomad_state::{State, Store};

use crate::cluster::{self, Ids, NOW, uuid};
use crate::cpu_time;

const NODES: usize = 10_000;
const EVALS: usize = 10_000;
/// Placements of each job.
const COUNT: usize = 10;
/// Bar, in placements per second.
const BAR: f64 = 20_000.0;

/// A state that is written to as the log would.
pub(crate) struct Log {
    pub(crate) store: Store,
    index: u64,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            store: Store::new(),
            index: 0,
        }
    }

    pub(crate) fn write(&mut self, command: impl Into<Command>) -> nomad_state::Applied {
        self.index += 1;
        self.store
            .apply(self.index, &command.into())
            .expect("the benchmark writes what fits")
    }

    pub(crate) fn add_node(&mut self, node: nomad_core::node::Node) {
        self.write(NodeRegister { node, now: NOW });
    }

    pub(crate) fn add_job(&mut self, job: nomad_core::job::Job) {
        self.write(JobRegister {
            job,
            now: NOW,
            ..JobRegister::default()
        });
    }
}

/// The evaluation of a job, as its registration made it.
pub(crate) fn pending(number: usize, job: &nomad_core::job::Job) -> Evaluation {
    Evaluation {
        id: EvalId(uuid(0xe1, number as u64)),
        ..cluster::eval(job)
    }
}

/// The result of a plan of which everything fits.
fn whole(plan: &Plan) -> PlanResult {
    PlanResult {
        node_update: plan.node_update.clone(),
        node_allocation: plan.node_allocation.clone(),
        node_preemptions: plan.node_preemptions.clone(),
        deployment: plan.deployment.clone(),
        deployment_updates: plan.deployment_updates.clone(),
        alloc_index: plan.snapshot_index + 1,
        ..PlanResult::default()
    }
}

fn applied(plan: Plan, evals: Vec<Evaluation>) -> AppliedPlan {
    AppliedPlan {
        eval_id: plan.eval_id,
        job: plan.job.as_ref().map(|job| JobRef {
            key: job.key(),
            version: job.version,
        }),
        stops: plan.node_update.into_values().flatten().collect(),
        allocations: plan
            .node_allocation
            .into_values()
            .flatten()
            .map(std::sync::Arc::unwrap_or_clone)
            .collect(),
        preemptions: plan.node_preemptions.into_values().flatten().collect(),
        deployment: plan.deployment,
        deployment_updates: plan.deployment_updates,
        evals,
        ..AppliedPlan::default()
    }
}

/// Columns after a command.
pub(crate) fn follow(columns: &mut NodeColumns, state: &State, applied: &nomad_state::Applied) {
    let changes = ColumnChanges {
        nodes: applied
            .changes
            .nodes
            .iter()
            .filter_map(|change| change.new.as_ref().or(change.old.as_ref()))
            .map(|node| node.id)
            .collect(),
        allocs: applied
            .changes
            .allocs
            .iter()
            .map(|change| (change.old.clone(), change.new.clone()))
            .collect(),
    };
    columns.update(state, &changes);
}

/// Works evaluations off, one by one, as a worker does: what is to be said of the evaluation goes with its plan. How
/// many allocations were placed.
pub(crate) fn drain(log: &mut Log, columns: &mut NodeColumns, evals: Vec<Evaluation>) -> usize {
    let mut ids = Ids::default();
    let mut placed = 0;
    for eval in evals {
        let mut attempt = Attempt::new(eval);
        let mut plans = Vec::new();
        let state = log.store.snapshot();
        let writes = loop {
            match attempt.next(&state, Some(columns), NOW, 7, &mut ids) {
                Step::Submit(submission) => {
                    let result = whole(&submission.plan);
                    placed += result.node_allocation.values().map(Vec::len).sum::<usize>();
                    attempt.plan_applied(&result);
                    plans.push(applied(submission.plan, submission.create));
                }
                Step::Done(writes) => break writes,
            }
        };
        let mut evals = writes.create;
        evals.push(writes.update);
        let done = match plans.last_mut() {
            Some(plan) => {
                plan.evals.extend(evals);
                log.write(nomad_state::command::PlanResults { plans, now: NOW })
            }
            None => log.write(EvalUpsert { evals, now: NOW }),
        };
        follow(columns, &log.store.snapshot(), &done);
    }
    placed
}

/// Small jobs of eight sizes, registered; the evaluations that wait for a worker.
pub(crate) fn queue(log: &mut Log, from: usize, count: usize) -> Vec<Evaluation> {
    (from..from + count)
        .map(|number| {
            let size = 1 + number as i64 % 8;
            let job = cluster::job(&format!("small-{number}"), COUNT, 50 * size, 128 * size);
            log.add_job(job);
            let state = log.store.snapshot();
            let key = JobKey {
                namespace: "default".into(),
                id: format!("small-{number}").into(),
            };
            let job = nomad_core::view::ClusterView::job(&state, &key).expect("just registered");
            pending(number, job)
        })
        .collect()
}

pub(crate) fn run() {
    let mut log = Log::new();
    for number in 0..NODES {
        log.add_node(cluster::node(number, 50));
    }
    let evals = queue(&mut log, 0, EVALS);
    let mut columns = NodeColumns::from_view(&log.store.snapshot());
    let (began, cpu) = (Instant::now(), cpu_time());
    let placed = drain(&mut log, &mut columns, evals);
    let (took, cpu) = (began.elapsed(), cpu_time().saturating_sub(cpu));
    assert_eq!(placed, EVALS * COUNT, "there is room for everything");
    println!(
        "bench: {EVALS} pending evaluations of {COUNT} placements, {NODES} nodes, one worker = {:.0} placements/s >= {BAR}",
        placed as f64 / took.as_secs_f64()
    );
    println!(
        "bench: the same by CPU time = {:.0} placements/s",
        placed as f64 / cpu.as_secs_f64()
    );
}
