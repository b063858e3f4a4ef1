//! Decisions about allocations and tasks as plain functions and structs: no clock, no randomness, no I/O.

pub mod alloc;
pub mod disconnect;
pub mod events;
pub mod gc;
pub mod health;
pub mod lifecycle;
pub mod outbox;
pub mod restart;
pub mod status;
pub mod task;
