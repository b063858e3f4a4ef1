//! The servers that are known, the one to try next, and how long to wait before.

use std::time::Duration;

/// Most servers that are remembered.
const MAX_SERVERS: usize = 64;
/// First pause after a lost connection; it doubles with each further failure.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(15);
/// Pause after a refusal that another try hardly mends.
const REFUSED_PAUSE: Duration = Duration::from_secs(15);

/// Addresses in the order in which they are tried.
#[derive(Debug, Clone, Default)]
pub(super) struct ServerList {
    addresses: Vec<String>,
    failures: u32,
}

impl ServerList {
    pub(super) fn new(addresses: Vec<String>) -> Self {
        let mut list = Self::default();
        list.learn(&addresses);
        list
    }

    /// The one to try.
    pub(super) fn front(&self) -> Option<&str> {
        self.addresses.first().map(String::as_str)
    }

    /// Adds those that are not known.
    pub(super) fn learn(&mut self, addresses: &[String]) {
        for address in addresses {
            if !self.addresses.contains(address) && self.addresses.len() < MAX_SERVERS {
                self.addresses.push(address.clone());
            }
        }
    }

    /// Takes over what a server says are all servers; the one in use stays first.
    pub(super) fn replace(&mut self, addresses: Vec<String>) {
        if addresses.is_empty() {
            return;
        }
        let front = self.addresses.first().cloned();
        self.addresses = addresses;
        self.addresses.truncate(MAX_SERVERS);
        if let Some(front) = front
            && let Some(at) = self.addresses.iter().position(|known| *known == front)
        {
            self.addresses.swap(0, at);
        }
    }

    /// All.
    pub(super) fn all(&self) -> &[String] {
        &self.addresses
    }

    /// Puts one first.
    pub(super) fn prefer(&mut self, address: &str) {
        self.addresses.retain(|known| known != address);
        self.addresses.insert(0, address.to_owned());
        self.addresses.truncate(MAX_SERVERS);
    }

    /// The connection works.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The first did not work: the next one is up, after the pause. `jitter` is at random in `[0, 1)`.
    pub(super) fn failed(&mut self, jitter: f64) -> Duration {
        if !self.addresses.is_empty() {
            self.addresses.rotate_left(1);
        }
        self.failures = self.failures.saturating_add(1);
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16).saturating_sub(1));
        doubled.min(MAX_PAUSE).mul_f64(0.5 + jitter / 2.0)
    }

    /// Whether each that is known has failed since the last success.
    pub(super) fn all_failed(&self) -> bool {
        self.failures as usize >= self.addresses.len()
    }

    /// Another server was named: it is tried at once, unless servers send the node in circles.
    pub(super) fn redirected(&mut self, jitter: f64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if self.failures <= 2 {
            Duration::ZERO
        } else {
            let first = self.addresses.first().cloned();
            let pause = self.failed(jitter);
            if let Some(first) = first {
                self.prefer(&first);
            }
            pause
        }
    }

    /// The server will not have this node.
    pub(super) fn refused(&mut self, jitter: f64) -> Duration {
        self.failed(jitter);
        REFUSED_PAUSE.mul_f64(0.5 + jitter / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> ServerList {
        ServerList::new(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn failures_go_round_and_wait_longer() {
        let mut servers = list(&["a", "b", "c", "a"]);
        assert_eq!(servers.all().len(), 3);
        let first = servers.failed(0.0);
        assert_eq!(servers.front(), Some("b"));
        let second = servers.failed(0.0);
        assert_eq!(second, first * 2);
        for _ in 0..40 {
            assert!(servers.failed(0.99) <= MAX_PAUSE);
        }
        assert!(servers.all_failed());
        servers.succeeded();
        assert_eq!(servers.failed(0.0), first);
        assert!(!servers.all_failed(), "two others are left to try");
    }

    #[test]
    fn a_named_leader_is_tried_at_once_but_not_for_ever() {
        let mut servers = list(&["a", "b"]);
        servers.prefer("c");
        assert_eq!(servers.redirected(0.5), Duration::ZERO);
        servers.prefer("b");
        assert_eq!(servers.redirected(0.5), Duration::ZERO);
        servers.prefer("c");
        assert!(servers.redirected(0.5) > Duration::ZERO);
        assert_eq!(servers.front(), Some("c"));
    }

    #[test]
    fn what_a_server_says_replaces_what_was_known() {
        let mut servers = list(&["a", "b"]);
        servers.replace(vec!["c".to_owned(), "a".to_owned()]);
        assert_eq!(servers.all(), ["a", "c"]);
        servers.replace(Vec::new());
        assert_eq!(servers.all(), ["a", "c"]);
        assert_eq!(ServerList::default().front(), None);
    }
}
