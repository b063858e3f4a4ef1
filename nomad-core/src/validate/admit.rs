//! Admission: a submission goes in, the job to store comes out, or everything that is wrong with it.

use super::errors::Messages;
use super::{Rules, validate};
use crate::ids::IdSource;
use crate::job;
use crate::spec::{ConvertError, Job, MutateError, ServerDefaults};

/// A job that the server takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Admitted {
    /// As it is to be stored.
    pub job: job::Job,
    /// What its writer should know anyway.
    pub warnings: Messages,
}

/// Why a job is refused. The text is the API's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// The server could not complete it.
    #[error("{0}")]
    Mutate(#[from] MutateError),
    /// It breaks rules.
    #[error("{}", .0.error_text())]
    Invalid(Messages),
    /// A word that means nothing passed the rules; this is a gap in them.
    #[error("{0}")]
    Convert(#[from] ConvertError),
}

/// Fills in defaults, completes, validates and converts a submitted job.
///
/// Names of clusters and namespaces are those of `submitted`: who calls has resolved region and namespace.
///
/// # Errors
/// See [`AdmissionError`].
pub fn admit(
    mut submitted: Job,
    defaults: &ServerDefaults,
    rules: &Rules<'_>,
    ids: &mut dyn IdSource,
) -> Result<Admitted, AdmissionError> {
    submitted.canonicalize();
    submitted.mutate(defaults, ids)?;
    let report = validate(&submitted, rules);
    if !report.errors.is_empty() {
        return Err(AdmissionError::Invalid(report.errors));
    }
    Ok(Admitted {
        job: submitted.into_job()?,
        warnings: report.warnings,
    })
}
