//! What is done for a task before it starts, one hook a file, and for the allocation before its tasks.
//!
//! Source: client and drivers reference, sections 2.1 and 2.5.

mod alloc_dir;
mod artifacts;
mod dispatch_payload;
mod network;
mod previous;
mod task_dir;
pub(super) mod template;
mod validate;
mod volumes;

use std::sync::Arc;
use std::time::Instant;

use super::AllocRunner;
use super::prepare::Prep;
use crate::machine::alloc::StartError;
use crate::metrics;

/// The hooks before any task; the first error fails all tasks.
pub(super) async fn prerun(runner: &Arc<AllocRunner>) -> Result<(), String> {
    macro_rules! hook {
        ($name:literal, $run:expr) => {
            let begun = Instant::now();
            let result = $run;
            metrics::alloc_hook(
                &runner.shared,
                &runner.alloc(),
                $name,
                begun.elapsed(),
                result.is_ok(),
            );
            result?;
        };
    }
    hook!("alloc_dir", alloc_dir::run(runner).await);
    hook!("await_previous_allocations", previous::run(runner).await);
    hook!("network", network::run(runner));
    Ok(())
}

/// The hooks of one task, in their order; the first error fails the start.
pub(super) async fn prestart(prep: &mut Prep<'_>) -> Result<(), StartError> {
    macro_rules! hook {
        ($name:literal, $run:expr) => {
            let begun = Instant::now();
            let result = $run;
            metrics::task_hook(
                &prep.runner.shared,
                &prep.alloc,
                $name,
                begun.elapsed(),
                result.is_ok(),
            );
            result?;
        };
    }
    hook!("validate", validate::run(prep));
    hook!("task_dir", task_dir::run(prep).await);
    hook!("dispatch_payload", dispatch_payload::run(prep).await);
    hook!("volumes", volumes::run(prep));
    hook!("artifacts", artifacts::run(prep));
    hook!("template", template::run(prep).await);
    Ok(())
}
