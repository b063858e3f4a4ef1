//! Plans: verified against the newest state, committed many at a time, what does not fit given back.

pub mod applied;
pub(crate) mod applier;
pub mod verify;

pub(crate) use applier::{PlanAnswer, PlanRequest};
