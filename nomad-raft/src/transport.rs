//! How frames reach other servers. The program supplies one over its RPC; here is one in memory for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// Sends frames to other servers.
pub trait Transport: Send + Sync + 'static {
    /// Sends a frame, without waiting. It may be lost, but those that arrive should do so in order; what cannot be
    /// sent soon is better dropped than kept. The receiver hands it to [`crate::Raft::deliver`].
    fn send(&self, to: u64, frame: Bytes);

    /// Called when the members change, so that connections can follow. The default does nothing.
    fn members_changed(&self, _membership: &nomad_store::Membership) {}
}

/// For a server that is alone: sends nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTransport;

impl Transport for NoTransport {
    fn send(&self, _to: u64, _frame: Bytes) {}
}

type Receive = Arc<dyn Fn(Bytes) + Send + Sync>;

/// A network in memory, with faults.
#[derive(Clone, Default)]
pub struct MemNetwork {
    inner: Arc<Mutex<Links>>,
}

#[derive(Default)]
struct Links {
    receivers: BTreeMap<u64, Receive>,
    /// Pairs between which nothing passes.
    cut: BTreeSet<(u64, u64)>,
    /// Of a hundred frames this many are lost.
    loss_percent: u64,
    random: u64,
    sent: u64,
}

impl MemNetwork {
    /// A network without servers or faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The transport of server `from`.
    pub fn transport(&self, from: u64) -> MemTransport {
        MemTransport {
            network: self.clone(),
            from,
        }
    }

    /// Sets what takes the frames for `id`, mostly [`crate::Raft::try_deliver`].
    pub fn attach(&self, id: u64, receive: impl Fn(Bytes) + Send + Sync + 'static) {
        self.inner.lock().receivers.insert(id, Arc::new(receive));
    }

    /// Takes a server off.
    pub fn detach(&self, id: u64) {
        self.inner.lock().receivers.remove(&id);
    }

    /// Cuts every link between the servers of `one` and all others.
    pub fn partition(&self, one: &[u64]) {
        let inner = &mut *self.inner.lock();
        let ids: Vec<u64> = inner.receivers.keys().copied().collect();
        for &a in &ids {
            for &b in &ids {
                if one.contains(&a) != one.contains(&b) {
                    inner.cut.insert((a, b));
                }
            }
        }
    }

    /// Mends all links.
    pub fn heal(&self) {
        let inner = &mut *self.inner.lock();
        inner.cut.clear();
        inner.loss_percent = 0;
    }

    /// Loses this many of a hundred frames, chosen by `seed`.
    pub fn lose(&self, percent: u64, seed: u64) {
        let inner = &mut *self.inner.lock();
        inner.loss_percent = percent;
        inner.random = seed | 1;
    }

    /// Frames sent so far.
    pub fn sent(&self) -> u64 {
        self.inner.lock().sent
    }

    fn send(&self, from: u64, to: u64, frame: Bytes) {
        let receive = {
            let inner = &mut *self.inner.lock();
            inner.sent += 1;
            // xorshift64
            inner.random ^= inner.random << 13;
            inner.random ^= inner.random >> 7;
            inner.random ^= inner.random << 17;
            if inner.cut.contains(&(from, to)) || inner.random % 100 < inner.loss_percent {
                return;
            }
            inner.receivers.get(&to).cloned()
        };
        if let Some(receive) = receive {
            receive(frame);
        }
    }
}

/// One server's end of a [`MemNetwork`].
#[derive(Clone)]
pub struct MemTransport {
    network: MemNetwork,
    from: u64,
}

impl Transport for MemTransport {
    fn send(&self, to: u64, frame: Bytes) {
        self.network.send(self.from, to, frame);
    }
}
