//! Templates are not rendered yet: a task that has some fails instead of running without.

use super::super::prepare::Prep;
use crate::machine::alloc::StartError;

pub(super) async fn run(prep: &mut Prep<'_>) -> Result<(), StartError> {
    if prep.task.templates.is_empty() {
        return Ok(());
    }
    Err(prep.setup_failed("this version does not render templates", false))
}
