//! The life of one evaluation at a worker: propose, see what was committed, perhaps try again, write the result.
//!
//! Source: servers and scheduling reference, "Scheduler outcome handling".

use std::collections::BTreeMap;

use nomad_core::eval::{EvalStatus, EvalTrigger, Evaluation};
use nomad_core::ids::{EvalId, IdSource};
use nomad_core::plan::{Plan, PlanResult};
use nomad_core::time::Timestamp;
use nomad_core::view::ClusterView;

use crate::columns::NodeColumns;
use crate::schedule::{Finish, Input, schedule};

/// Attempts without progress before a service or system evaluation gives up.
pub const MAX_SERVICE_ATTEMPTS: u32 = 5;
/// Attempts without progress before a batch evaluation gives up.
pub const MAX_BATCH_ATTEMPTS: u32 = 2;

/// Description of the evaluation that takes over when the attempts are used up.
const BLOCKED_BY_CONFLICTS: &str = "created due to placement conflicts";

/// What a worker does next.
#[derive(Debug)]
pub enum Step {
    /// Submit the plan, hand the result to [`Attempt::plan_applied`], then call [`Attempt::next`] again with a view
    /// of at least the result's refresh index.
    Submit(Submission),
    /// Write these and acknowledge the evaluation; there is nothing after it.
    Done(EvalWrites),
}

/// A plan, and the evaluations that it refers to.
#[derive(Debug)]
pub struct Submission {
    pub plan: Plan,
    /// Follow-up evaluations; written in the plan's own entry or before it, because its allocations name them.
    pub create: Vec<Evaluation>,
}

/// What is written about evaluations at the end.
#[derive(Debug, Clone, PartialEq)]
pub struct EvalWrites {
    /// The evaluation itself with its final status.
    pub update: Evaluation,
    /// Evaluations to create.
    pub create: Vec<Evaluation>,
    /// Set where the evaluation, already blocked once, goes back to the blocked set under its own id.
    pub reblock: Option<Evaluation>,
}

/// The retry loop of one evaluation as a state machine.
#[derive(Debug, Clone)]
pub struct Attempt {
    eval: Evaluation,
    attempts: u32,
    waiting: Option<Waiting>,
    finished: Option<Finish>,
    queued: BTreeMap<String, i64>,
    blocked: Option<EvalId>,
}

/// A plan that was submitted and not answered yet.
#[derive(Debug, Clone)]
struct Waiting {
    placements: usize,
    finish: Finish,
}

impl Attempt {
    /// Begins to work on an evaluation, as dequeued.
    pub fn new(eval: Evaluation) -> Self {
        Self {
            eval,
            attempts: 0,
            waiting: None,
            finished: None,
            queued: BTreeMap::new(),
            blocked: None,
        }
    }

    /// The evaluation that is worked on.
    pub fn eval(&self) -> &Evaluation {
        &self.eval
    }

    /// What to do next. `columns` stand at the index of `view`, if given.
    pub fn next(
        &mut self,
        view: &dyn ClusterView,
        columns: Option<&NodeColumns>,
        now: Timestamp,
        seed: u64,
        ids: &mut dyn IdSource,
    ) -> Step {
        if let Some(finish) = self.finished.take() {
            return Step::Done(self.complete(finish, Vec::new()));
        }
        if self.attempts >= self.max_attempts() {
            return Step::Done(self.exhausted(ids));
        }
        let input = Input {
            view,
            columns,
            eval: &self.eval,
            now,
            seed,
        };
        let mut outcome = match schedule(&input, ids) {
            Ok(outcome) => outcome,
            Err(refused) => return Step::Done(self.failed(refused.to_string(), Vec::new())),
        };
        self.queued = outcome.finish.queued_allocations.clone();
        match outcome.plan {
            None => {
                let create = std::mem::take(&mut outcome.finish.follow_ups);
                Step::Done(self.complete(outcome.finish, create))
            }
            Some(plan) => {
                let create = std::mem::take(&mut outcome.finish.follow_ups);
                self.waiting = Some(Waiting {
                    placements: plan.node_allocation.values().map(Vec::len).sum(),
                    finish: outcome.finish,
                });
                Step::Submit(Submission { plan, create })
            }
        }
    }

    /// Takes the answer to the plan that was submitted last; without one it does nothing.
    pub fn plan_applied(&mut self, result: &PlanResult) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        for alloc in result.node_allocation.values().flatten() {
            // Rows that existed before are updates, not placements.
            if alloc.create_index == 0
                && let Some(queued) = self.queued.get_mut(&alloc.task_group)
            {
                *queued = (*queued - 1).max(0);
            }
        }
        let committed: usize = result.node_allocation.values().map(Vec::len).sum();
        if result.refresh_index == 0 && committed >= waiting.placements {
            self.finished = Some(waiting.finish);
            return;
        }
        let progress = !result.node_update.is_empty()
            || !result.node_allocation.is_empty()
            || result.deployment.is_some()
            || !result.deployment_updates.is_empty();
        self.attempts = if progress { 0 } else { self.attempts + 1 };
        // The deployment that the evaluation named may be the reason of the conflict.
        self.eval.deployment_id = None;
    }

    fn max_attempts(&self) -> u32 {
        if self.eval.job_type.is_batch_like() {
            MAX_BATCH_ATTEMPTS
        } else {
            MAX_SERVICE_ATTEMPTS
        }
    }

    fn complete(&mut self, finish: Finish, mut create: Vec<Evaluation>) -> EvalWrites {
        let mut update = self.eval.clone();
        update.status = EvalStatus::Complete;
        update.status_description = String::new();
        update.failed_tg_allocs = finish.failed_tg_allocs;
        update.queued_allocations = self.queued.clone();
        update.deployment_id = finish.deployment_id;
        update.plan_annotations = finish.annotations;
        if let [blocked] = finish.blocked.as_slice() {
            update.blocked_eval = Some(blocked.id);
        }
        self.blocked = update.blocked_eval;
        let reblock = finish.reblock.map(|mut again| {
            again.failed_tg_allocs = update.failed_tg_allocs.clone();
            again.queued_allocations = self.queued.clone();
            again
        });
        create.extend(finish.blocked.into_iter().map(|mut blocked| {
            blocked.failed_tg_allocs = update.failed_tg_allocs.clone();
            blocked
        }));
        EvalWrites {
            update,
            create,
            reblock,
        }
    }

    fn failed(&self, description: String, create: Vec<Evaluation>) -> EvalWrites {
        let mut update = self.eval.clone();
        update.status = EvalStatus::Failed;
        update.status_description = description;
        update.queued_allocations = self.queued.clone();
        update.blocked_eval = create.first().map(|blocked| blocked.id);
        EvalWrites {
            update,
            create,
            reblock: None,
        }
    }

    fn exhausted(&mut self, ids: &mut dyn IdSource) -> EvalWrites {
        let create = if self.eval.job_type.is_system_like() {
            Vec::new()
        } else {
            vec![Evaluation {
                id: ids.next_uuid().into(),
                triggered_by: EvalTrigger::MaxPlanAttempts,
                status: EvalStatus::Blocked,
                status_description: BLOCKED_BY_CONFLICTS.to_owned(),
                escaped_computed_class: true,
                ..successor(&self.eval)
            }]
        };
        let description = format!("maximum attempts reached ({})", self.max_attempts());
        self.failed(description, create)
    }
}

/// What an evaluation hands on to the one that it causes; id, status and trigger are still to be set.
pub(crate) fn successor(eval: &Evaluation) -> Evaluation {
    Evaluation {
        namespace: eval.namespace.clone(),
        priority: eval.priority,
        job_type: eval.job_type,
        job_id: eval.job_id.clone(),
        job_modify_index: eval.job_modify_index,
        previous_eval: Some(eval.id),
        ..Evaluation::default()
    }
}
