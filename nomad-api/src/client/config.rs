//! Where the agent is and who asks.

/// Settings of a client. `Debug` does not show secrets.
#[derive(Clone, Default)]
pub struct Config {
    /// `http://host:port` or `unix:///path/to/socket`.
    pub address: String,
    /// Region to send requests on to; "" is the agent's own.
    pub region: String,
    /// Namespace of requests that name none; "" is the server's default.
    pub namespace: String,
    /// Secret of the ACL token, or "".
    pub token: String,
    /// User and password for a proxy before the agent.
    pub basic_auth: Option<(String, String)>,
}

impl Config {
    /// The address of an agent with standard ports on this machine.
    pub const DEFAULT_ADDRESS: &'static str = "http://127.0.0.1:4646";

    /// A client of that address, the rest by default.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            ..Self::default()
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("address", &self.address)
            .field("region", &self.region)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}
