//! Errors of the server as answers of the API.

use nomad_api::error::{ApiError, multi_error};
use nomad_server::ServerError;
use nomad_state::ApplyError;

/// The one table from the server's errors to answers.
pub(super) fn api_error(error: ServerError) -> ApiError {
    match error {
        ServerError::BadRequest { reason } => ApiError::bad_request(reason),
        ServerError::Busy { retry_after } => ApiError::busy(
            error_text(&ServerError::Busy { retry_after }),
            retry_after.as_secs().max(1) as u32,
        ),
        ServerError::State(ApplyError::NotPromotable { reasons }) => {
            ApiError::internal(multi_error(&reasons))
        }
        other => ApiError::internal(error_text(&other)),
    }
}

fn error_text(error: &ServerError) -> String {
    error.to_string()
}
