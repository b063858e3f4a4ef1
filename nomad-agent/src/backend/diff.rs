//! Job diffs in the API's shape.

use nomad_api::backend::ApiResult;
use nomad_core::job::Job;

/// What changed from one job to another, as the API shows it.
pub(super) fn diff(
    old: Option<&Job>,
    new: Option<&Job>,
    contextual: bool,
) -> ApiResult<serde_json::Value> {
    let _ = (old, new, contextual);
    Ok(serde_json::Value::Null)
}
