//! Tests of the connection: by example, against a model, and under a scheduler that explores interleavings.

mod behaviour;
mod interleavings;
mod model;
