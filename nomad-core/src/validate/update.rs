//! Which changes of a registered job are not allowed.
//!
//! Source: jobspec.md §5.2.

use crate::job::{Job, JobType};

/// Why a new version of a job is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// The type is another.
    #[error("cannot update job from type {from:?} to {to:?}", from = from.as_str(), to = to.as_str())]
    Type {
        /// Of the stored job.
        from: JobType,
        /// Of the submitted one.
        to: JobType,
    },
    /// It was periodic.
    #[error("cannot update periodic job to being non-periodic")]
    WasPeriodic,
    /// It was not periodic.
    #[error("cannot update non-periodic job to being periodic")]
    BecamePeriodic,
    /// It was parameterized.
    #[error("cannot update parameterized job to being non-parameterized")]
    WasParameterized,
    /// It was not parameterized.
    #[error("cannot update non-parameterized job to being parameterized")]
    BecameParameterized,
    /// Only the server marks jobs as dispatched.
    #[error("job can't be submitted with 'Dispatched' set")]
    Dispatched,
    /// Dispatched jobs stay dispatched.
    #[error("field 'Dispatched' is read-only")]
    DispatchedChanged,
}

/// Whether `new` may replace `old`, or be registered where there is none.
///
/// # Errors
/// See [`UpdateError`].
pub fn check_update(old: Option<&Job>, new: &Job) -> Result<(), UpdateError> {
    let Some(old) = old else {
        return if new.dispatched {
            Err(UpdateError::Dispatched)
        } else {
            Ok(())
        };
    };
    if old.job_type != new.job_type {
        return Err(UpdateError::Type {
            from: old.job_type,
            to: new.job_type,
        });
    }
    match (old.is_periodic(), new.is_periodic()) {
        (true, false) => return Err(UpdateError::WasPeriodic),
        (false, true) => return Err(UpdateError::BecamePeriodic),
        _ => {}
    }
    match (
        old.parameterized_job.is_some(),
        new.parameterized_job.is_some(),
    ) {
        (true, false) => return Err(UpdateError::WasParameterized),
        (false, true) => return Err(UpdateError::BecameParameterized),
        _ => {}
    }
    if old.dispatched != new.dispatched {
        return Err(UpdateError::DispatchedChanged);
    }
    Ok(())
}
