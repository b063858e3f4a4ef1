//! From what was verified to what lies in the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::alloc::Allocation;
use nomad_core::eval::{EvalTrigger, Evaluation};
use nomad_core::plan::{Plan, PlanResult};
use nomad_core::view::ClusterView;
use nomad_core::{IdSource, JobKey, Timestamp};
use nomad_state::command::{AppliedPlan, JobRef};

/// The log's form of a verified plan, with the evaluations that go with it.
pub fn applied_plan(
    view: &dyn ClusterView,
    plan: &Plan,
    result: &PlanResult,
    evals: Vec<Evaluation>,
    now: Timestamp,
    ids: &mut dyn IdSource,
) -> AppliedPlan {
    AppliedPlan {
        eval_id: plan.eval_id,
        job: plan.job.as_ref().map(|job| JobRef {
            key: job.key(),
            version: job.version,
        }),
        stops: result.node_update.values().flatten().cloned().collect(),
        allocations: result
            .node_allocation
            .values()
            .flatten()
            .map(without_job)
            .collect(),
        preemptions: result
            .node_preemptions
            .values()
            .flatten()
            .cloned()
            .collect(),
        deployment: result.deployment.clone(),
        deployment_updates: result.deployment_updates.clone(),
        preemption_evals: preemption_evals(view, result, now, ids),
        evals,
    }
}

fn without_job(alloc: &Arc<Allocation>) -> Allocation {
    Allocation {
        job: None,
        ..Allocation::clone(alloc)
    }
}

/// One evaluation for each job that lost allocations to the plan.
fn preemption_evals(
    view: &dyn ClusterView,
    result: &PlanResult,
    now: Timestamp,
    ids: &mut dyn IdSource,
) -> Vec<Evaluation> {
    let jobs: BTreeMap<JobKey, _> = result
        .node_preemptions
        .values()
        .flatten()
        .filter_map(|preemption| view.alloc(preemption.alloc_id))
        .filter_map(|alloc| Some((alloc.job_key(), Arc::clone(alloc.job.as_ref()?))))
        .collect();
    jobs.into_values()
        .map(|job| Evaluation {
            id: ids.next_uuid().into(),
            namespace: job.namespace.clone(),
            job_id: job.id.clone(),
            job_type: job.job_type,
            priority: job.priority,
            triggered_by: EvalTrigger::Preemption,
            create_time: now,
            modify_time: now,
            ..Evaluation::default()
        })
        .collect()
}
