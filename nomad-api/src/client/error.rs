//! Why a request gave no answer.

/// Why a request gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address cannot be used.
    #[error("invalid address {address:?}: want http://host:port or unix:///path")]
    Address {
        /// As it was given.
        address: String,
    },
    /// The address asks for TLS.
    #[error("TLS is not supported by this client yet: {address}")]
    Tls {
        /// As it was given.
        address: String,
    },
    /// The token or the basic credentials cannot stand in a header.
    #[error("the token holds characters that no HTTP header may have")]
    Token,
    /// The path cannot stand in a URI.
    #[error("invalid path {path:?}")]
    Path {
        /// As it was given.
        path: String,
    },
    /// No connection, or it broke before the answer.
    #[error("{method_path}: {cause}")]
    Connect {
        /// The URI.
        method_path: String,
        /// The innermost cause.
        cause: String,
    },
    /// The answer broke off.
    #[error("the answer broke off: {cause}")]
    Body {
        /// The cause.
        cause: String,
    },
    /// The agent answered an error.
    #[error("Unexpected response code: {status} ({body})")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The text of the answer.
        body: String,
    },
    /// The request cannot be written as JSON.
    #[error("the request cannot be written as JSON: {source}")]
    Encode {
        /// The cause.
        source: serde_json::Error,
    },
    /// The answer is not what was expected.
    #[error("{path} gave an unexpected answer: {source}")]
    Decode {
        /// The request's path.
        path: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// The answer is larger than what is read.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit, bytes.
        limit: usize,
    },
    /// The exec session failed.
    #[error("{0}")]
    Exec(String),
}

impl ClientError {
    /// The HTTP status of an answer that was an error.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether what was asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether the agent could not be reached at all.
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Connect { .. })
    }
}

/// The text of the error that started it, which is the one a user can act on.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}
