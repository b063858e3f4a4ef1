//! What may go: pure, from a state and a time.

use std::collections::BTreeSet;

use nomad_core::alloc::{Allocation, ClientStatus, DesiredStatus};
use nomad_core::eval::Evaluation;
use nomad_core::job::{Job, JobStatus};
use nomad_core::view::ClusterView as _;
use nomad_core::{AllocId, DeploymentId, EvalId, JobKey, Nanos, NodeId, Timestamp};
use nomad_state::command::{DeploymentDelete, EvalDelete, JobDelete, NodeDeregister};
use nomad_state::{Command, State};

use super::{GcConfig, MAX_IDS_PER_ENTRY, MAX_JOBS_PER_ENTRY};

/// What may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Garbage {
    pub jobs: Vec<JobKey>,
    pub evals: Vec<EvalId>,
    pub allocs: Vec<AllocId>,
    pub deployments: Vec<DeploymentId>,
    pub nodes: Vec<NodeId>,
}

impl Garbage {
    /// Whether nothing may go.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The changes that collect it, in order; each fits into one log entry.
    pub fn commands(self) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        for evals in self.evals.chunks(MAX_IDS_PER_ENTRY) {
            commands.push(
                EvalDelete {
                    evals: evals.to_vec(),
                    allocs: Vec::new(),
                }
                .into(),
            );
        }
        for allocs in self.allocs.chunks(MAX_IDS_PER_ENTRY) {
            commands.push(
                EvalDelete {
                    evals: Vec::new(),
                    allocs: allocs.to_vec(),
                }
                .into(),
            );
        }
        for keys in self.jobs.chunks(MAX_JOBS_PER_ENTRY) {
            commands.push(
                JobDelete {
                    keys: keys.to_vec(),
                }
                .into(),
            );
        }
        for ids in self.deployments.chunks(MAX_IDS_PER_ENTRY) {
            commands.push(DeploymentDelete { ids: ids.to_vec() }.into());
        }
        // One at a time: a node that came back meanwhile must not keep the others.
        for id in self.nodes {
            commands.push(NodeDeregister { ids: vec![id] }.into());
        }
        commands
    }
}

/// Everything that may go at a time.
pub fn collect(state: &State, config: &GcConfig, now: Timestamp) -> Garbage {
    let mut garbage = Garbage::default();
    let mut evals = BTreeSet::new();
    let mut allocs = BTreeSet::new();
    for job in state.jobs() {
        if let Some(own) = job_garbage(state, job, now - config.job_threshold, now) {
            garbage.jobs.push(job.key());
            evals.extend(own.evals);
            allocs.extend(own.allocs);
        }
    }
    for eval in state.evals() {
        if evals.contains(&eval.id) {
            continue;
        }
        let threshold = if eval.job_type.is_batch_like() {
            config.batch_eval_threshold
        } else {
            config.eval_threshold
        };
        let (whole, own) = eval_garbage(state, eval, now, threshold, false);
        allocs.extend(own);
        if whole {
            evals.insert(eval.id);
        }
    }
    // Allocations whose evaluation is gone already.
    let cutoff = now - config.eval_threshold;
    for alloc in state.allocs() {
        let orphan = alloc.eval_id.is_none_or(|eval| state.eval(eval).is_none());
        let job = state.job(&alloc.job_key()).map(|job| &**job);
        if orphan && alloc_may_go(job, alloc, cutoff, now) {
            allocs.insert(alloc.id);
        }
    }
    garbage.evals = evals.into_iter().collect();
    garbage.allocs = allocs.iter().copied().collect();

    let cutoff = now - config.deployment_threshold;
    garbage.deployments = state
        .deployments()
        .filter(|deployment| {
            !deployment.active()
                && deployment.modify_time <= cutoff
                && state
                    .allocs_of_deployment(deployment.id)
                    .all(|alloc| alloc.terminal() || allocs.contains(&alloc.id))
        })
        .map(|deployment| deployment.id)
        .collect();

    let cutoff = (now - config.node_threshold).as_secs();
    garbage.nodes = state
        .all_nodes()
        .filter(|node| {
            node.is_down()
                && node.status_updated_at <= cutoff
                && state.allocs_of_node(node.id).all(|alloc| alloc.terminal())
        })
        .map(|node| node.id)
        .collect();
    garbage
}

/// A job that may go whole, with everything that is its own.
fn job_garbage(state: &State, job: &Job, cutoff: Timestamp, now: Timestamp) -> Option<Garbage> {
    let ended = if job.is_periodic() || job.is_parameterized() {
        job.stop
    } else {
        job.status == JobStatus::Dead && (job.stop || job.job_type.is_batch_like())
    };
    if !ended || job.submit_time > cutoff {
        return None;
    }
    let key = job.key();
    let tagged = state
        .job_versions(&key)
        .is_some_and(|versions| versions.iter().any(|version| version.version_tag.is_some()));
    if tagged {
        return None;
    }
    let mut garbage = Garbage::default();
    for eval in state.evals_of_job(&key) {
        let (whole, allocs) = eval_garbage(state, eval, now, now.since(cutoff), true);
        if !whole {
            return None;
        }
        garbage.evals.push(eval.id);
        garbage.allocs.extend(allocs);
    }
    let known: BTreeSet<_> = garbage.allocs.iter().copied().collect();
    for alloc in state
        .allocs_of_job(&key)
        .filter(|alloc| !known.contains(&alloc.id))
    {
        if !alloc_may_go(Some(job), alloc, cutoff, now) {
            return None;
        }
        garbage.allocs.push(alloc.id);
    }
    Some(garbage)
}

/// Whether an evaluation may go, and which of its allocations may.
fn eval_garbage(
    state: &State,
    eval: &Evaluation,
    now: Timestamp,
    threshold: Nanos,
    allow_batch: bool,
) -> (bool, Vec<AllocId>) {
    let cutoff = now - threshold;
    if !eval.terminal() || eval.modify_time > cutoff {
        return (false, Vec::new());
    }
    let job = state.job(&eval.job_key());
    let mut whole = true;
    let mut collected = Vec::new();
    // The end of a batch job's work counts as long as the job lives: or else it would be done again.
    let keep_batch = eval.job_type.is_batch_like()
        && job.is_some_and(|job| job.status != JobStatus::Dead || !(job.stop || allow_batch));
    for alloc in state.allocs_of_eval(eval.id) {
        let superseded = job.is_some_and(|job| alloc.create_index < job.job_modify_index);
        if (!keep_batch || superseded) && alloc_may_go(job.map(|job| &**job), alloc, cutoff, now) {
            collected.push(alloc.id);
        } else {
            whole = false;
        }
    }
    (whole && !keep_batch, collected)
}

/// Whether an allocation may go.
fn alloc_may_go(job: Option<&Job>, alloc: &Allocation, cutoff: Timestamp, now: Timestamp) -> bool {
    if !alloc.terminal() || alloc.modify_time > cutoff {
        return false;
    }
    // Its node has not stopped it yet.
    if !alloc.client_terminal() && alloc.client_status == ClientStatus::Running {
        return false;
    }
    let Some(job) = job else { return true };
    if job.stop || job.status == JobStatus::Dead || alloc.desired_status == DesiredStatus::Stop {
        return true;
    }
    if alloc.client_status != ClientStatus::Failed || alloc.next_allocation.is_some() {
        return true;
    }
    let policy = alloc
        .group()
        .and_then(|group| group.reschedule_policy.as_ref());
    let Some(policy) = policy.filter(|policy| policy.unlimited || policy.attempts > 0) else {
        return true;
    };
    if policy.unlimited {
        return false;
    }
    // The memory of past replacements limits new ones, until the interval is over.
    alloc
        .reschedule_tracker
        .as_ref()
        .and_then(|tracker| tracker.events.last())
        .is_some_and(|last| now.since(last.reschedule_time) > policy.interval)
}
