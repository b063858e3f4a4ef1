//! What can be asked of a read or a write beside its path.

use std::time::Duration;

use super::config::Config;

/// Options of a request; the default asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryOptions {
    /// "" is the client's.
    pub region: String,
    /// "" is the client's; `*` is every namespace.
    pub namespace: String,
    /// Wait until the result's index is above this; 0 does not wait.
    pub index: u64,
    /// How long to wait at most; the server's default and limit is five minutes.
    pub wait: Option<Duration>,
    /// Whether any server may answer, not only the leader.
    pub stale: bool,
    /// Ids that begin so.
    pub prefix: String,
    /// 0 is no paging.
    pub per_page: u32,
    /// Where the page begins, as the page before said.
    pub next_token: String,
    /// A filter expression.
    pub filter: String,
    /// Newest first.
    pub reverse: bool,
    /// Further parameters of the route.
    pub params: Vec<(String, String)>,
}

impl QueryOptions {
    /// Nothing special.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only ids that begin so.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// In that namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Wait for a result newer than `index`, at most `wait`.
    #[must_use]
    pub fn after(mut self, index: u64, wait: Duration) -> Self {
        self.index = index;
        self.wait = Some(wait);
        self
    }

    /// With a further parameter.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl Into<String>) -> Self {
        self.params.push((name.to_owned(), value.into()));
        self
    }

    /// The query string, without `?`.
    pub(super) fn query(&self, config: &Config) -> String {
        let mut pairs: Vec<(&str, String)> = Vec::new();
        let mut text = |name, own: &str, standard: &str| {
            let value = if own.is_empty() { standard } else { own };
            if !value.is_empty() {
                pairs.push((name, value.to_owned()));
            }
        };
        text("region", &self.region, &config.region);
        text("namespace", &self.namespace, &config.namespace);
        text("prefix", &self.prefix, "");
        text("next_token", &self.next_token, "");
        text("filter", &self.filter, "");
        if self.index > 0 {
            pairs.push(("index", self.index.to_string()));
        }
        if let Some(wait) = self.wait {
            pairs.push(("wait", format!("{}ms", wait.as_millis())));
        }
        if self.stale {
            pairs.push(("stale", String::new()));
        }
        if self.per_page > 0 {
            pairs.push(("per_page", self.per_page.to_string()));
        }
        if self.reverse {
            pairs.push(("reverse", "true".to_owned()));
        }
        let own = self
            .params
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()));
        pairs
            .into_iter()
            .chain(own)
            .map(|(name, value)| {
                if value.is_empty() {
                    encode(name)
                } else {
                    format!("{}={}", encode(name), encode(&value))
                }
            })
            .collect::<Vec<_>>()
            .join("&")
    }
}

/// Percent-encodes everything but unreserved characters, for a path segment or a query.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_carry_the_clients_standards_and_are_encoded() {
        let config = Config {
            namespace: "team".to_owned(),
            ..Config::new("http://x")
        };
        let options = QueryOptions::new()
            .prefix("a b")
            .after(7, Duration::from_secs(2))
            .param("task", "x/y");
        assert_eq!(
            options.query(&config),
            "namespace=team&prefix=a%20b&index=7&wait=2000ms&task=x%2Fy"
        );
        assert_eq!(
            QueryOptions::new().namespace("*").query(&config),
            "namespace=%2A"
        );
    }
}
