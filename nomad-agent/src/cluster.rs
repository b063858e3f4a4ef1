//! What this server knows of the other servers beyond consensus: their names and addresses, and when it heard of them.

mod join;
mod run;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nomad_core::{Clock, Timestamp};
use nomad_raft::Status;
use nomad_server::Server;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::backend::Addresses;
use crate::clock::SystemClock;
use crate::config::Config;

use self::join::Promise;
pub(crate) use self::run::{INTERNAL, answer, leave, seek};

/// Servers remembered at most.
const MAX_KNOWN: usize = 64;
/// A server that was heard of within so long counts as alive where no leader says otherwise.
const LATELY: Duration = Duration::from_secs(15);

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Facts {
    /// Id of the server, kept in its data directory.
    #[serde(rename = "ID")]
    pub(crate) id: String,
    /// Without the region.
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) datacenter: String,
    /// `host:port` of its RPC listener.
    pub(crate) rpc: String,
    /// `host:port` where it is looked for by servers that join.
    pub(crate) serf: String,
    /// `bootstrap_expect`.
    pub(crate) expect: u32,
    /// Level of the API that it speaks.
    pub(crate) build: String,
}

#[derive(Debug)]
struct Known {
    facts: Facts,
    heard: Instant,
}

#[derive(Debug, Default)]
struct Table {
    others: BTreeMap<String, Known>,
    /// Since when each server is healthy, or not.
    health: BTreeMap<String, (bool, Timestamp)>,
    promise: Promise,
}

/// The servers that are known. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    own: Arc<Facts>,
    table: Arc<Mutex<Table>>,
    /// Somebody new was heard of.
    news: Arc<Notify>,
    began: Instant,
}

impl Cluster {
    /// Only this agent's own server, if it has one.
    pub(crate) fn new(
        config: &Config,
        name: String,
        server: Option<&Server>,
        advertise: &Addresses,
    ) -> Self {
        let own = Facts {
            id: server.map_or_else(String::new, |server| server.config().id.to_string()),
            name,
            region: config.region.clone(),
            datacenter: config.datacenter.clone(),
            rpc: advertise.rpc.clone(),
            serf: advertise.serf.clone(),
            expect: config.server.bootstrap_expect,
            build: nomad_core::API_LEVEL.to_owned(),
        };
        Self {
            own: Arc::new(own),
            table: Arc::default(),
            news: Arc::default(),
            began: Instant::now(),
        }
    }

    /// This server.
    pub(crate) fn own(&self) -> Facts {
        Facts::clone(&self.own)
    }

    /// A server was heard of, by itself.
    pub(crate) fn heard(&self, facts: Facts) {
        if facts.id.is_empty() || facts.id == self.own.id {
            return;
        }
        let mut table = self.table.lock();
        let known = table.others.get(&facts.id);
        if known.is_none_or(|known| known.facts != facts) {
            self.news.notify_one();
        }
        if table.others.len() < MAX_KNOWN || known.is_some() {
            let known = Known {
                heard: Instant::now(),
                facts,
            };
            table.others.insert(known.facts.id.clone(), known);
        }
    }

    /// A server left for good.
    pub(crate) fn forget(&self, id: &str) {
        self.table.lock().others.remove(id);
    }

    /// Returns when somebody new was heard of.
    pub(crate) async fn changed(&self) {
        self.news.notified().await;
    }

    /// Promises to begin a cluster with these members, unless others are promised.
    pub(crate) fn promise(&self, members: &[Facts]) -> bool {
        let now = self.began.elapsed();
        self.table.lock().promise.give(members, now)
    }

    /// Whether these members are promised.
    pub(crate) fn promised(&self, members: &[Facts]) -> bool {
        self.table.lock().promise.holds(members)
    }

    /// Whether a server was heard of a short while ago.
    pub(crate) fn heard_lately(&self, id: &str) -> bool {
        let table = self.table.lock();
        table
            .others
            .get(id)
            .is_some_and(|known| known.heard.elapsed() < LATELY)
    }

    /// The other servers that were heard of.
    pub(crate) fn others(&self) -> Vec<Facts> {
        let table = self.table.lock();
        table
            .others
            .values()
            .map(|known| known.facts.clone())
            .collect()
    }

    /// This server, the members of the consensus group, and those heard of lately that are not in it.
    pub(crate) fn all(&self, status: &Status) -> Vec<Facts> {
        let table = self.table.lock();
        let mut all = vec![self.own()];
        for peer in &status.peers {
            if peer.info.node_id == self.own.id {
                continue;
            }
            let facts = match table.others.get(&peer.info.node_id) {
                Some(known) => known.facts.clone(),
                // Never met: what consensus keeps of it, and the same as here for the rest.
                None => Facts {
                    id: peer.info.node_id.clone(),
                    name: peer
                        .info
                        .name
                        .strip_suffix(&format!(".{}", self.own.region))
                        .unwrap_or(&peer.info.name)
                        .to_owned(),
                    rpc: peer.info.address.clone(),
                    serf: peer.info.address.clone(),
                    ..self.own()
                },
            };
            all.push(facts);
        }
        for known in table.others.values() {
            if known.heard.elapsed() < LATELY && all.iter().all(|have| have.id != known.facts.id) {
                all.push(known.facts.clone());
            }
        }
        all
    }

    /// Since when a server is as healthy as it is now, as far as it was looked at.
    pub(crate) fn stable_since(&self, id: &str, healthy: bool) -> Timestamp {
        let mut table = self.table.lock();
        let now = SystemClock.now();
        let full = table.health.len() >= MAX_KNOWN;
        match table.health.get_mut(id) {
            Some(known) if known.0 == healthy => known.1,
            Some(known) => {
                *known = (healthy, now);
                now
            }
            None => {
                if !full {
                    table.health.insert(id.to_owned(), (healthy, now));
                }
                now
            }
        }
    }
}
