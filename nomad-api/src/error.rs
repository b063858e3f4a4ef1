//! Errors as the API answers them: a status and a plain text. The one table from causes to status codes.

use http::StatusCode;

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ApiError {
    /// Status of the answer.
    pub status: StatusCode,
    /// The whole body.
    pub text: String,
    /// Seconds after which trying again makes sense.
    pub retry_after_secs: Option<u32>,
}

/// Texts that decide the status wherever they come from.
///
/// Source: HTTP API reference, "Errors".
const STATUS_BY_ENDING: [(&str, StatusCode); 4] = [
    ("Permission denied", StatusCode::FORBIDDEN),
    ("ACL token not found", StatusCode::FORBIDDEN),
    (
        "Job registration, dispatch, and scale are disabled by the scheduler configuration",
        StatusCode::FORBIDDEN,
    ),
    (
        "Filter expression cannot be used with other filter parameters",
        StatusCode::BAD_REQUEST,
    ),
];

impl ApiError {
    /// An answer with that status.
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
            retry_after_secs: None,
        }
    }

    /// The request itself is wrong.
    pub fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// Nothing there.
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    /// Understood, but cannot be done; most refusals of the servers are of this kind.
    pub fn internal(text: impl Into<String>) -> Self {
        let text = text.into();
        let status = STATUS_BY_ENDING
            .iter()
            .find(|(ending, _)| text.ends_with(ending))
            .map_or(StatusCode::INTERNAL_SERVER_ERROR, |(_, status)| *status);
        Self::new(status, text)
    }

    /// A route of an edition that this is not.
    pub fn other_edition() -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "Nomad Enterprise only endpoint",
        )
    }

    /// Wrong method for the path.
    pub fn invalid_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Invalid method")
    }

    /// No such path: an empty 404.
    pub fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "")
    }

    /// Too much at once; come back later.
    pub fn busy(text: impl Into<String>, retry_after_secs: u32) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            text: text.into(),
            retry_after_secs: Some(retry_after_secs),
        }
    }
}

/// `N error(s) occurred:` with one item per line, as clients print several mistakes at once.
pub fn multi_error(errors: &[String]) -> String {
    let heading = match errors.len() {
        1 => "1 error occurred:".to_owned(),
        n => format!("{n} errors occurred:"),
    };
    let mut text = format!("{heading}\n");
    for error in errors {
        text.push_str("\t* ");
        text.push_str(error);
        text.push('\n');
    }
    text.push('\n');
    text
}
