//! Planning a job without storing anything: the real scheduler on a throwaway copy of the state.
//!
//! Source: servers and scheduling reference, "Job registration", plan.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nomad_core::eval::{EvalTrigger, Evaluation};
use nomad_core::explain::GroupExplanation;
use nomad_core::job::Job;
use nomad_core::metric::AllocMetric;
use nomad_core::plan::{Plan, PlanAnnotations, PlanResult};
use nomad_core::view::ClusterView as _;
use nomad_core::{IdSource, Timestamp};
use nomad_scheduler::{Attempt, Input, Step, explain_groups};
use nomad_state::State;
use nomad_state::command::{JobRegister, PlanResults};

use super::RegisterJob;
use crate::error::ServerError;
use crate::ids::SharedIds;
use crate::plan::applied::applied_plan;
use crate::server::Server;

/// Plans that one dry run may go through.
const MAX_ROUNDS: usize = 64;

/// Nodes of which an explanation tells what they say, for each group.
const MAX_EXPLAINED_NODES: usize = 1_000;

/// What registering a job would do.
#[derive(Debug, Clone, Default)]
pub struct PlanReply {
    pub annotations: Option<Arc<PlanAnnotations>>,
    pub failed_tg_allocs: BTreeMap<String, AllocMetric>,
    /// JobModifyIndex of the stored job; 0 for a new one.
    pub job_modify_index: u64,
    /// Evaluations that would be created.
    pub created_evals: Vec<Evaluation>,
    /// The stored job, for a diff.
    pub old: Option<Arc<Job>>,
    /// The job as it would be stored.
    pub new: Option<Arc<Job>>,
    /// What each node says to the first placement of each group, where it was asked for.
    pub explanations: Vec<GroupExplanation>,
    /// Index of the state that it was judged by.
    pub index: u64,
}

impl Server {
    /// Says what registering a job (canonical and validated) would do.
    pub async fn plan_job(
        &self,
        request: RegisterJob,
        explain: bool,
    ) -> Result<PlanReply, ServerError> {
        let state = self.state();
        let now = self.inner.clock.now();
        let mut eval = self.eval_of(&request.job, EvalTrigger::JobRegister);
        eval.annotate_plan = true;
        let (seed, ids) = (self.inner.ids.seed(), self.inner.ids.clone());
        let run = move || {
            let how = Trial { now, seed, explain };
            dry_run(&state, request, eval, how, ids)
        };
        tokio::task::spawn_blocking(move || catch_unwind(AssertUnwindSafe(run)))
            .await
            .ok()
            .and_then(Result::ok)
            .unwrap_or_else(|| Err(ServerError::internal("the scheduler panicked")))
    }
}

/// How a dry run is done.
#[derive(Clone, Copy)]
struct Trial {
    now: Timestamp,
    seed: u64,
    explain: bool,
}

fn dry_run(
    state: &State,
    request: RegisterJob,
    eval: Evaluation,
    how: Trial,
    mut ids: SharedIds,
) -> Result<PlanReply, ServerError> {
    let Trial { now, seed, explain } = how;
    let key = request.job.key();
    let old = state.job(&key).cloned();
    let evaluated = request.job.is_evaluated();
    let mut index = state.last_index() + 1;
    let register = JobRegister {
        job: request.job,
        enforce_index: request.enforce_index,
        preserve_counts: request.preserve_counts,
        preserve_resources: request.preserve_resources,
        eval: evaluated.then(|| eval.clone()),
        now,
        ..JobRegister::default()
    };
    let (mut trial, _) = state.with(index, &register.into())?;
    let mut reply = PlanReply {
        job_modify_index: old.as_ref().map_or(0, |job| job.job_modify_index),
        new: trial.job(&key).cloned(),
        old,
        index: state.last_index(),
        ..PlanReply::default()
    };
    if !evaluated {
        return Ok(reply);
    }
    let eval = trial
        .eval(eval.id)
        .map_or(eval, |eval| Evaluation::clone(eval));
    if explain {
        let input = Input {
            view: &trial,
            columns: None,
            eval: &eval,
            now,
            seed,
        };
        reply.explanations = explain_groups(&input, &mut ids, MAX_EXPLAINED_NODES)
            .map_err(|refused| ServerError::refused(refused.to_string()))?;
    }
    let mut attempt = Attempt::new(eval);
    for _ in 0..MAX_ROUNDS {
        match attempt.next(&trial, None, now, seed, &mut ids) {
            Step::Submit(submission) => {
                reply.created_evals.extend(submission.create);
                reply.annotations = submission.plan.annotations.clone().or(reply.annotations);
                index += 1;
                let (next, result) = commit(&trial, &submission.plan, index, now, &mut ids)?;
                trial = next;
                attempt.plan_applied(&result);
            }
            Step::Done(writes) => {
                reply.annotations = writes.update.plan_annotations.clone().or(reply.annotations);
                reply.failed_tg_allocs = writes.update.failed_tg_allocs;
                reply.created_evals.extend(writes.create);
                return Ok(reply);
            }
        }
    }
    Err(ServerError::internal(
        "the scheduler does not come to an end",
    ))
}

/// Commits a plan whole; on a copy nobody is in the way.
fn commit(
    state: &State,
    plan: &Plan,
    index: u64,
    now: Timestamp,
    ids: &mut dyn IdSource,
) -> Result<(State, PlanResult), ServerError> {
    let result = PlanResult {
        node_update: plan.node_update.clone(),
        node_allocation: plan.node_allocation.clone(),
        node_preemptions: plan.node_preemptions.clone(),
        deployment: plan.deployment.clone(),
        deployment_updates: plan.deployment_updates.clone(),
        alloc_index: index,
        ..PlanResult::default()
    };
    let applied = applied_plan(state, plan, &result, Vec::new(), now, ids);
    let (state, _) = state.with(
        index,
        &PlanResults {
            plans: vec![applied],
            now,
        }
        .into(),
    )?;
    Ok((state, result))
}
