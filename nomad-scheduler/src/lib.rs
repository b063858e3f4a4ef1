//! Pure scheduling: cluster view and evaluation in, plan and reasons out.
