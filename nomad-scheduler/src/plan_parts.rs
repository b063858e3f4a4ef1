//! Pieces of plans that all job types share.

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::alloc::{Allocation, ClientStatus, DesiredStatus};
use nomad_core::eval::Evaluation;
use nomad_core::job::Job;
use nomad_core::plan::{AllocPreemption, AllocStop, DesiredUpdates, Plan, PlanAnnotations};

use crate::reconcile::classify::Tainted;
use crate::reconcile::{Stop, description};
use crate::schedule::{Finish, Input};
use crate::stack::Stack;

/// Description of the evaluation that waits for capacity.
pub(crate) const BLOCKED: &str = "created to place remaining allocations";

/// Nodes of the job's allocations that are gone, down, disconnected or draining.
pub(crate) fn tainted(input: &Input<'_>) -> Tainted {
    let mut tainted = Tainted::new();
    for alloc in input.view.allocs_of_job(&input.eval.job_key()) {
        if tainted.contains_key(&alloc.node_id) {
            continue;
        }
        match input.view.node(alloc.node_id) {
            None => {
                tainted.insert(alloc.node_id, None);
            }
            Some(node) => {
                use nomad_core::node::NodeStatus::{Disconnected, Down};
                if matches!(node.status, Down | Disconnected) || node.drain_strategy.is_some() {
                    tainted.insert(alloc.node_id, Some(Arc::clone(node)));
                }
            }
        }
    }
    tainted
}

/// A plan that says nothing yet.
pub(crate) fn empty_plan(input: &Input<'_>, job: Option<&Arc<Job>>) -> Plan {
    Plan {
        eval_id: input.eval.id,
        priority: input.eval.priority,
        all_at_once: job.is_some_and(|job| job.all_at_once),
        job: job.cloned(),
        snapshot_index: input.view.index(),
        ..Plan::default()
    }
}

/// Puts a stop into the plan.
pub(crate) fn stop(plan: &mut Plan, stop: &Stop) {
    plan.node_update
        .entry(stop.alloc.node_id)
        .or_default()
        .push(AllocStop {
            alloc_id: stop.alloc.id,
            desired_status: DesiredStatus::Stop,
            desired_description: stop.description.to_owned(),
            client_status: stop.client_status,
            followup_eval_id: stop.follow_up,
        });
}

/// Takes a stop out of the plan again.
pub(crate) fn withdraw_stop(plan: &mut Plan, alloc: &Allocation) {
    if let Some(stops) = plan.node_update.get_mut(&alloc.node_id) {
        stops.retain(|stop| stop.alloc_id != alloc.id);
        if stops.is_empty() {
            plan.node_update.remove(&alloc.node_id);
        }
    }
}

/// Puts evictions for a placement into the plan.
pub(crate) fn preempt(plan: &mut Plan, alloc: &mut Allocation, victims: &[Arc<Allocation>]) {
    for victim in victims {
        plan.node_preemptions
            .entry(victim.node_id)
            .or_default()
            .push(AllocPreemption {
                alloc_id: victim.id,
                preempted_by: alloc.id,
            });
        alloc.preempted_allocations.push(victim.id);
    }
}

/// Allocations that were to be stopped on nodes that are gone will not report any more: they are lost.
pub(crate) fn lose_stopping(
    input: &Input<'_>,
    tainted: &Tainted,
    plan: &mut Plan,
    stack: &mut Stack<'_>,
) {
    for alloc in input.view.allocs_of_job(&input.eval.job_key()) {
        let gone = match tainted.get(&alloc.node_id) {
            None => false,
            Some(None) => true,
            Some(Some(node)) => node.is_down(),
        };
        let open = matches!(
            alloc.client_status,
            ClientStatus::Running | ClientStatus::Pending
        );
        if gone && open && alloc.server_terminal() {
            plan.node_update
                .entry(alloc.node_id)
                .or_default()
                .push(AllocStop {
                    alloc_id: alloc.id,
                    desired_status: alloc.desired_status,
                    desired_description: description::LOST.to_owned(),
                    client_status: Some(ClientStatus::Lost),
                    followup_eval_id: None,
                });
            stack.proposed.remove(alloc);
        }
    }
}

/// The row of an allocation under another job version.
pub(crate) fn under_version(
    alloc: &Arc<Allocation>,
    job: &Arc<Job>,
    eval: &Evaluation,
) -> Allocation {
    let mut row = Allocation::clone(alloc);
    row.eval_id = Some(eval.id);
    row.job = Some(Arc::clone(job));
    row.job_version = job.version;
    row
}

/// The `[index]` of an allocation's name.
pub(crate) fn index_of(name: &str) -> Option<u64> {
    let open = name.rfind('[')?;
    name[open + 1..].strip_suffix(']')?.parse().ok()
}

/// Notes what the plan does per group: for the evaluation, and in the plan where it asks for that.
pub(crate) fn annotate(
    input: &Input<'_>,
    plan: &mut Plan,
    finish: &mut Finish,
    desired: BTreeMap<String, DesiredUpdates>,
) {
    let preempted_allocs = plan
        .node_preemptions
        .values()
        .flatten()
        .filter_map(|preemption| input.view.alloc(preemption.alloc_id))
        .map(|victim| stub(victim))
        .collect();
    let annotations = Arc::new(PlanAnnotations {
        desired_tg_updates: desired,
        preempted_allocs,
    });
    if input.eval.annotate_plan {
        plan.annotations = Some(Arc::clone(&annotations));
    }
    finish.annotations = Some(annotations);
}

/// A victim as lists of allocations show it.
fn stub(alloc: &Allocation) -> serde_json::Value {
    serde_json::json!({
        "ID": alloc.id.to_string(),
        "EvalID": alloc.eval_id.map(|eval| eval.to_string()).unwrap_or_default(),
        "Name": alloc.name,
        "Namespace": alloc.namespace.to_string(),
        "NodeID": alloc.node_id.to_string(),
        "NodeName": alloc.node_name,
        "JobID": alloc.job_id.to_string(),
        "JobType": alloc.job.as_ref().map_or("", |job| job.job_type.as_str()),
        "JobVersion": alloc.job_version,
        "TaskGroup": alloc.task_group,
        "DesiredStatus": alloc.desired_status.to_string(),
        "DesiredDescription": alloc.desired_description,
        "ClientStatus": alloc.client_status.to_string(),
        "ClientDescription": alloc.client_description,
        "CreateIndex": alloc.create_index,
        "ModifyIndex": alloc.modify_index,
        "CreateTime": alloc.create_time.0,
        "ModifyTime": alloc.modify_time.0,
    })
}
