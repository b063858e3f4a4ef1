//! Job diffs in the API's shape.

use std::collections::BTreeMap;

use nomad_api::backend::ApiResult;
use nomad_api::error::ApiError;
use nomad_core::diff::{JobDiff, annotate, job_diff};
use nomad_core::job::Job;
use nomad_core::plan::DesiredUpdates;

/// What changed from one job to another, as the API shows it.
pub(super) fn diff(
    old: Option<&Job>,
    new: Option<&Job>,
    contextual: bool,
) -> ApiResult<serde_json::Value> {
    written(&job_diff(old, new, contextual))
}

/// As [`diff`], with what a plan would do to each group and task.
pub(super) fn planned(
    old: Option<&Job>,
    new: Option<&Job>,
    updates: &BTreeMap<String, DesiredUpdates>,
) -> ApiResult<serde_json::Value> {
    let mut diff = job_diff(old, new, true);
    annotate(&mut diff, updates);
    written(&diff)
}

fn written(diff: &JobDiff) -> ApiResult<serde_json::Value> {
    serde_json::to_value(diff)
        .map_err(|error| ApiError::internal(format!("diff cannot be written: {error}")))
}
