//! Byte streams to nodes: the server asks over the node's stream, the node calls back.

use std::collections::HashMap;
use std::time::Duration;

use nomad_core::{NodeId, Uuid};
use nomad_proto::TunnelIo;
use nomad_proto::node::{NodeDown, OpenTunnel, node_down};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::ServerError;
use crate::ids::SharedIds;
use crate::node::registry::Sessions;

/// How long a node may take to call back.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Tunnels that may be asked for at a time.
const MAX_OPENING: usize = 1024;

/// Tunnels that were asked for and not opened yet.
#[derive(Debug, Default)]
pub(crate) struct Tunnels {
    opening: Mutex<HashMap<Uuid, oneshot::Sender<TunnelIo>>>,
}

impl Tunnels {
    /// Asks a connected node for a tunnel, and waits for it.
    pub(crate) async fn open(
        &self,
        sessions: &Sessions,
        ids: &SharedIds,
        node: NodeId,
    ) -> Result<TunnelIo, ServerError> {
        let inbox = sessions.get(node).ok_or(ServerError::NoPath)?;
        let id: Uuid = ids.fresh();
        let (sender, opened) = oneshot::channel();
        {
            let mut opening = self.opening.lock();
            // Callers that gave up leave their entries behind.
            opening.retain(|_, waiting| !waiting.is_closed());
            if opening.len() >= MAX_OPENING {
                return Err(ServerError::busy());
            }
            opening.insert(id, sender);
        }
        let ask = NodeDown {
            message: Some(node_down::Message::OpenTunnel(OpenTunnel {
                id: id.to_string(),
            })),
        };
        let result = tokio::time::timeout(OPEN_TIMEOUT, async {
            inbox
                .down
                .send(Ok(ask))
                .await
                .map_err(|_| ServerError::NoPath)?;
            opened.await.map_err(|_| ServerError::NoPath)
        })
        .await
        .unwrap_or(Err(ServerError::Timeout { what: "the node" }));
        self.opening.lock().remove(&id);
        result
    }

    /// The node called back; false if nobody waits for that tunnel.
    pub(crate) fn opened(&self, id: Uuid, tunnel: TunnelIo) -> bool {
        let waiting = self.opening.lock().remove(&id);
        waiting.is_some_and(|waiting| waiting.send(tunnel).is_ok())
    }

    /// Whether somebody waits for that tunnel.
    pub(crate) fn expects(&self, id: Uuid) -> bool {
        self.opening
            .lock()
            .get(&id)
            .is_some_and(|waiting| !waiting.is_closed())
    }
}
