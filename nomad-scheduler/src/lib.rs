//! Pure scheduling: cluster view and evaluation in, plan, evaluation updates and reasons out.
//!
//! Layer 1: depends on `nomad-core` only.
//!
//! Invariants:
//! - no input or output, no clock, no randomness of its own: time, seed and fresh ids are handed in, so the same
//!   arguments give the same plan;
//! - nothing is submitted here: a plan is a value, and [`Attempt`] says what to do with it;
//! - the scheduler and the plan applier share one fit check ([`verify_node`]);
//! - every feasible node is scored, ties are broken by an order that the seed decides.
//!
//! Not here: the queues of evaluations, the plan queue and the application of plans (`nomad-server`), where the view
//! comes from (`nomad-state`).

pub mod attempt;
pub mod class;
pub mod columns;
pub mod explain;
pub mod schedule;
pub mod verify;

mod candidates;
mod eligibility;
mod feasible;
mod fit;
mod hash;
mod plan_parts;
mod preempt;
mod propose;
mod rank;
mod reconcile;
mod rng;
mod service;
mod stack;
mod system;

pub use self::attempt::{Attempt, EvalWrites, Step, Submission};
pub use self::class::computed_class;
pub use self::columns::{ColumnChanges, NodeColumns};
pub use self::explain::{
    NodeExplanation, NodeVerdict, PlacementExplanation, explain, explain_groups,
};
pub use self::schedule::{Finish, Input, Outcome, ScheduleError, schedule};
pub use self::verify::{NodePart, Overlay, RejectReason, verify_node};
