//! The other servers: names, addresses, connections.

use std::collections::BTreeMap;
use std::time::Duration;

use nomad_raft::{Membership, PeerInfo};
use parking_lot::RwLock;
use tonic::transport::{Channel, Endpoint};

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which a connection is probed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Addresses of servers remembered that are no known members.
const MAX_LEARNED: usize = 64;

/// The servers of the cluster as this one knows them.
#[derive(Debug)]
pub(crate) struct Peers {
    own: u64,
    known: RwLock<BTreeMap<u64, PeerInfo>>,
    /// Addresses that servers gave of themselves, for those that are no known members: a server that joins does not
    /// know the others before it could answer them.
    learned: RwLock<BTreeMap<u64, String>>,
}

impl Peers {
    /// Nobody but this server itself.
    pub(crate) fn new(own: u64, info: PeerInfo) -> Self {
        Self {
            own,
            known: RwLock::new(BTreeMap::from([(own, info)])),
            learned: RwLock::default(),
        }
    }

    /// Takes over the members of the cluster.
    pub(crate) fn update(&self, membership: &Membership) {
        let mut known = self.known.write();
        let own = known.remove(&self.own);
        *known = membership.peers.clone();
        // Our own address is what we were told at start, not what the others remember.
        if let Some(own) = own {
            known.insert(self.own, own);
        }
    }

    /// Number and `host:port` of this server.
    pub(crate) fn own(&self) -> (u64, String) {
        let address = self
            .known
            .read()
            .get(&self.own)
            .map(|info| info.address.clone());
        (self.own, address.unwrap_or_default())
    }

    /// Remembers the address that a server gave of itself.
    pub(crate) fn learn(&self, id: u64, address: &str) {
        let mut learned = self.learned.write();
        if learned.len() < MAX_LEARNED || learned.contains_key(&id) {
            learned.insert(id, address.to_owned());
        }
    }

    /// All of them by number.
    pub(crate) fn all(&self) -> Vec<(u64, PeerInfo)> {
        self.known
            .read()
            .iter()
            .map(|(id, info)| (*id, info.clone()))
            .collect()
    }

    /// `host:port` of one.
    pub(crate) fn address(&self, id: u64) -> Option<String> {
        let known = self.known.read().get(&id).map(|info| info.address.clone());
        known
            .or_else(|| self.learned.read().get(&id).cloned())
            .filter(|address| !address.is_empty())
    }

    /// `host:port` of one that is a member; what servers say of themselves does not count.
    pub(crate) fn member_address(&self, id: u64) -> Option<String> {
        let known = self.known.read();
        let address = known.get(&id).map(|info| info.address.clone());
        address.filter(|address| !address.is_empty())
    }

    /// A connection to one; it is opened when it is first used, and again when it breaks.
    pub(crate) fn channel(address: &str) -> Result<Channel, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        Ok(endpoint.connect_lazy())
    }
}
