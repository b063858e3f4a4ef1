//! Refuses volume mounts that the driver cannot make.

use super::super::prepare::Prep;
use crate::machine::alloc::StartError;

pub(super) fn run(prep: &mut Prep<'_>) -> Result<(), StartError> {
    if prep.task.volume_mounts.is_empty() {
        return Ok(());
    }
    let text = if prep.capabilities.mounts {
        "volume mounts are not built yet".to_owned()
    } else {
        format!(
            "task driver {:?} for {:?} does not support mounting volumes",
            prep.task.driver, prep.task.name
        )
    };
    Err(prep.setup_failed(&text, false))
}
