//! Runs our scheduler on a recorded step, with every plan committed as it is.

use std::collections::BTreeMap;

use nomad_core::ids::{IdSource, Uuid};
use nomad_core::memory_view::MemoryView;
use nomad_core::plan::{Plan, PlanResult};
use nomad_core::view::ClusterView;
use nomad_scheduler::{Attempt, EvalWrites, Step as Next};

use crate::invariants::Effect;
use crate::recording::Step;

/// Ids in a row.
#[derive(Default)]
pub(crate) struct Ids(u64);

impl IdSource for Ids {
    fn next_uuid(&mut self) -> Uuid {
        self.0 += 1;
        let mut bytes = [0xa0; 16];
        bytes[8..].copy_from_slice(&self.0.to_be_bytes());
        Uuid(bytes)
    }
}

/// What we did.
pub(crate) struct Ours {
    pub(crate) plan: Plan,
    pub(crate) writes: EvalWrites,
}

pub(crate) fn run(step: &Step, view: &MemoryView, seed: u64) -> Result<Ours, String> {
    let mut attempt = Attempt::new(step.eval.clone());
    let mut ids = Ids::default();
    let mut plan = Plan::default();
    for _ in 0..2 {
        match attempt.next(view, None, step.now(), seed, &mut ids) {
            Next::Submit(submission) => {
                plan = submission.plan;
                attempt.plan_applied(&committed(&plan));
            }
            Next::Done(writes) => return Ok(Ours { plan, writes }),
        }
    }
    Err("a committed plan did not end the attempt".to_owned())
}

fn committed(plan: &Plan) -> PlanResult {
    PlanResult {
        node_update: plan.node_update.clone(),
        node_allocation: plan.node_allocation.clone(),
        node_preemptions: plan.node_preemptions.clone(),
        deployment: plan.deployment.clone(),
        deployment_updates: plan.deployment_updates.clone(),
        rejected_nodes: Vec::new(),
        refresh_index: 0,
        alloc_index: 1,
    }
}

/// Names per group, sorted.
pub(crate) type Names = BTreeMap<String, Vec<String>>;

/// What our plan does, for the invariants.
pub(crate) fn effect(ours: &Ours, view: &MemoryView) -> Effect {
    let plan = &ours.plan;
    let stops = plan
        .node_update
        .values()
        .flatten()
        .map(|stop| stop.alloc_id);
    let evictions = plan
        .node_preemptions
        .values()
        .flatten()
        .map(|preemption| preemption.alloc_id);
    Effect {
        gone: stops.chain(evictions).collect(),
        placed: plan
            .node_allocation
            .values()
            .flatten()
            .filter(|alloc| view.alloc(alloc.id).is_none())
            .cloned()
            .collect(),
    }
}
