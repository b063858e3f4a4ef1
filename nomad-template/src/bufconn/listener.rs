//! The listener and dialer pair: how the ends of in-memory connections find each other.

use std::io;

use tokio::sync::mpsc;

use super::conn::{BufferedConn, ConnConfig};
use super::pool::BufferPool;

/// Connections that may wait to be accepted; a further [`Dialer::connect`] waits.
pub const DEFAULT_BACKLOG: usize = 64;

/// Accepts the connections that its dialers make. Dropping it refuses further ones.
#[derive(Debug)]
pub struct Listener {
    incoming: mpsc::Receiver<BufferedConn>,
    pool: BufferPool,
}

/// Makes connections to its [`Listener`]. Clones dial the same listener.
#[derive(Debug, Clone)]
pub struct Dialer {
    outgoing: mpsc::Sender<BufferedConn>,
    config: ConnConfig,
    pool: BufferPool,
}

/// A listener and a dialer for it, with [`DEFAULT_BACKLOG`]; all connections share `pool`.
pub fn in_memory(config: ConnConfig, pool: BufferPool) -> (Listener, Dialer) {
    let (outgoing, incoming) = mpsc::channel(DEFAULT_BACKLOG);
    let listener = Listener {
        incoming,
        pool: pool.clone(),
    };
    let dialer = Dialer {
        outgoing,
        config,
        pool,
    };
    (listener, dialer)
}

impl Listener {
    /// The next connection. Cancel-safe: a dropped call loses none.
    ///
    /// # Errors
    /// `NotConnected` once every dialer is gone and nothing waits.
    pub async fn accept(&mut self) -> io::Result<BufferedConn> {
        self.incoming
            .recv()
            .await
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "every dialer is gone"))
    }

    /// The pool that the connections' buffers come from.
    pub fn pool(&self) -> &BufferPool {
        &self.pool
    }
}

impl Dialer {
    /// A new connection to the listener. Waits while the backlog is full. Cancel-safe.
    ///
    /// # Errors
    /// `ConnectionRefused` if the listener is gone.
    pub async fn connect(&self) -> io::Result<BufferedConn> {
        let place = self.outgoing.reserve().await.map_err(|_| {
            io::Error::new(io::ErrorKind::ConnectionRefused, "the listener is gone")
        })?;
        let (ours, theirs) = BufferedConn::pair(self.config, self.pool.clone());
        place.send(theirs);
        Ok(ours)
    }

    /// The pool that the connections' buffers come from.
    pub fn pool(&self) -> &BufferPool {
        &self.pool
    }
}
