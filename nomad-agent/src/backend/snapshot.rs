//! Snapshot archives of operators.
//!
//! Source: HTTP API reference, "Operator snapshot".

use bytes::Bytes;
use nomad_api::backend::ApiResult;
use nomad_api::error::ApiError;

use super::ServerHalf;
use super::errors::api_error;

/// An archive of the whole state.
pub(super) async fn save(server: &ServerHalf) -> ApiResult<Bytes> {
    let (bytes, _) = server
        .server
        .snapshot_save(Vec::new())
        .await
        .map_err(api_error)?;
    Ok(Bytes::from(bytes))
}

/// Puts an archive in place of the state.
pub(super) async fn restore(_server: &ServerHalf, _archive: Bytes) -> ApiResult<()> {
    Err(ApiError::internal(
        "failed to restore from snapshot: this is not built yet",
    ))
}
