//! Artifacts are not fetched yet: a task that needs them fails instead of running without.

use nomad_core::task_state::{TaskEvent, event_type};

use super::super::prepare::Prep;
use crate::machine::alloc::StartError;

pub(super) fn run(prep: &mut Prep<'_>) -> Result<(), StartError> {
    if prep.task.artifacts.is_empty() {
        return Ok(());
    }
    let text = "this version does not fetch artifacts";
    let event = TaskEvent::new(
        event_type::ARTIFACT_DOWNLOAD_FAILED,
        prep.runner.shared.clock.now(),
    )
    .display(text)
    .detail("download_error", text);
    Err(StartError {
        event,
        recoverable: false,
    })
}
