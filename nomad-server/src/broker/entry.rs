//! What the broker knows of one evaluation and of one job.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use nomad_core::eval::Evaluation;
use nomad_core::{EvalId, Timestamp};

use super::Token;

/// One evaluation.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) eval: Arc<Evaluation>,
    pub(super) dequeues: u32,
    /// Since when it is queued.
    pub(super) since: Timestamp,
    pub(super) place: Place,
}

/// Where an evaluation is.
#[derive(Debug)]
pub(super) enum Place {
    /// Next for a worker.
    Ready,
    /// Behind the evaluation that owns its job.
    Pending,
    /// Until a time.
    Waiting(Timestamp),
    /// With a worker.
    Unacked(Unacked),
    /// On its way from one place to another.
    Nowhere,
}

/// An evaluation that a worker holds.
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) token: Token,
    /// When the worker is taken for dead; none while its plan is queued.
    pub(super) deadline: Option<Timestamp>,
    /// Queue this once it is acknowledged.
    pub(super) requeue: Option<Arc<Evaluation>>,
    /// It is being marked failed.
    pub(super) given_up: bool,
}

/// The evaluations of one job.
#[derive(Debug)]
pub(super) struct JobSlot {
    /// The one that is ready, delayed after a failure, or with a worker.
    pub(super) owner: EvalId,
    /// The others, best first.
    pub(super) pending: BTreeSet<PendingKey>,
}

/// Order among the ready: priority, then age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReadyKey {
    priority: Reverse<i32>,
    create_index: u64,
    pub(super) id: EvalId,
}

impl ReadyKey {
    pub(super) fn of(eval: &Evaluation) -> Self {
        Self {
            priority: Reverse(eval.priority),
            create_index: eval.create_index,
            id: eval.id,
        }
    }
}

/// Order among those of one job: priority, then the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PendingKey {
    priority: Reverse<i32>,
    modify_index: Reverse<u64>,
    pub(super) id: EvalId,
}

impl PendingKey {
    pub(super) fn of(eval: &Evaluation) -> Self {
        Self {
            priority: Reverse(eval.priority),
            modify_index: Reverse(eval.modify_index),
            id: eval.id,
        }
    }
}
