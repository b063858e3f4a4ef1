//! Whether a parameterized job can be dispatched with what was sent.
//!
//! Source: jobspec.md §5.10; recorded answers of `/v1/job/:id/dispatch`.

use std::collections::BTreeMap;

use crate::job::Job;

/// The largest payload, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024;

/// Why a dispatch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DispatchError {
    /// Only parameterized jobs are dispatched.
    #[error("Specified job {0:?} is not a parameterized job")]
    NotParameterized(String),
    /// A stopped job launches nothing.
    #[error("Specified job {0:?} is stopped")]
    Stopped(String),
    /// The job wants a payload.
    #[error("Payload is not provided but required by parameterized job")]
    PayloadMissing,
    /// The job wants none.
    #[error("Payload provided but forbidden by parameterized job")]
    PayloadForbidden,
    /// The payload is too large.
    #[error("Payload exceeds maximum size; {size} > {limit}")]
    PayloadTooLarge {
        /// Bytes sent.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Keys that the job does not name.
    #[error("Dispatch request included unpermitted metadata keys: [{}]", .0.join(" "))]
    UnknownMeta(Vec<String>),
    /// Keys that the job requires.
    #[error("Dispatch did not provide required meta keys: [{}]", .0.join(" "))]
    MissingMeta(Vec<String>),
    /// Out of the server's range.
    #[error("job priority must be between [1, {max}]")]
    Priority {
        /// `job_max_priority`.
        max: i64,
    },
}

/// Checks a dispatch of `job`; priority 0 is the parent's.
///
/// # Errors
/// The first reason to refuse it: see [`DispatchError`].
pub fn check_dispatch(
    job: &Job,
    payload: &[u8],
    meta: &BTreeMap<String, String>,
    priority: i64,
    max_priority: i64,
) -> Result<(), DispatchError> {
    let Some(wanted) = job
        .parameterized_job
        .as_ref()
        .filter(|_| job.is_parameterized())
    else {
        return Err(DispatchError::NotParameterized(job.id.to_string()));
    };
    if job.stopped() {
        return Err(DispatchError::Stopped(job.id.to_string()));
    }
    match (wanted.payload.as_str(), payload.is_empty()) {
        ("required", true) => return Err(DispatchError::PayloadMissing),
        ("forbidden", false) => return Err(DispatchError::PayloadForbidden),
        _ => {}
    }
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(DispatchError::PayloadTooLarge {
            size: payload.len(),
            limit: MAX_PAYLOAD_BYTES,
        });
    }
    let unknown: Vec<String> = meta
        .keys()
        .filter(|key| !wanted.meta_required.contains(key) && !wanted.meta_optional.contains(key))
        .cloned()
        .collect();
    if !unknown.is_empty() {
        return Err(DispatchError::UnknownMeta(unknown));
    }
    let missing: Vec<String> = wanted
        .meta_required
        .iter()
        .filter(|key| !meta.contains_key(*key))
        .cloned()
        .collect();
    if !missing.is_empty() {
        return Err(DispatchError::MissingMeta(missing));
    }
    if priority != 0 && !(1..=max_priority).contains(&priority) {
        return Err(DispatchError::Priority { max: max_priority });
    }
    Ok(())
}
