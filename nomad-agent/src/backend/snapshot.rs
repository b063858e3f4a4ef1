//! Snapshot archives of operators.
//!
//! Source: HTTP API reference, "Operator snapshot".

use bytes::Bytes;
use nomad_api::backend::ApiResult;

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
pub(super) async fn restore(server: &ServerHalf, archive: Bytes) -> ApiResult<()> {
    match server.server.snapshot_restore(archive).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let mut answer = api_error(error);
            answer.text = format!("failed to restore from snapshot: {}", answer.text);
            Err(answer)
        }
    }
}
