//! A typed client of the HTTP API.

/// Talks to an agent's HTTP API.
#[derive(Debug, Clone)]
pub struct Client {
    /// `http://host:port`.
    pub address: String,
}
