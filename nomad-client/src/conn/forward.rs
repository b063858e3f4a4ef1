//! Byte streams to a server's API: how an agent without a server hands requests on.

use std::time::Duration;

use nomad_proto::service::server_client;
use nomad_proto::{Outbound, TunnelIo};
use tonic::transport::Channel;

use super::describe;
use crate::client::{Client, Core};

/// How long a server may take to open a stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request waits for a server where none is connected.
const HOLD: Duration = Duration::from_secs(5);
/// Servers that are asked one after the other while the node has no connection.
const MAX_ASKED: usize = 8;

/// No server takes the request.
#[derive(Debug, thiserror::Error)]
#[error("no server can be reached: {reason}")]
pub struct NoServer {
    /// What the last one asked said.
    pub reason: String,
}

async fn open(channel: Channel) -> Result<TunnelIo, String> {
    let (outbound, chunks) = Outbound::new();
    let mut client = server_client(channel);
    match tokio::time::timeout(OPEN_TIMEOUT, client.forward(chunks)).await {
        Ok(Ok(response)) => Ok(outbound.connect(response.into_inner())),
        Ok(Err(status)) => Err(describe(&status)),
        Err(_) => Err("the server does not answer".to_owned()),
    }
}

impl Core {
    /// Over the node's own connection, or else at any server that is known.
    async fn reach(&self) -> Result<TunnelIo, String> {
        let channel = self.channel.lock().clone();
        let mut reason = "none is known".to_owned();
        if let Some(channel) = channel {
            match open(channel).await {
                Ok(io) => return Ok(io),
                Err(error) => reason = error,
            }
        }
        let servers = self.servers.lock().clone();
        for address in servers.into_iter().take(MAX_ASKED) {
            let connecting = self.connector.connect(&address);
            let opened = match tokio::time::timeout(OPEN_TIMEOUT, connecting).await {
                Ok(Ok(channel)) => open(channel).await,
                Ok(Err(error)) => Err(error),
                Err(_) => Err("the server does not answer".to_owned()),
            };
            match opened {
                Ok(io) => return Ok(io),
                Err(error) => reason = format!("{address}: {error}"),
            }
        }
        Err(reason)
    }
}

impl Client {
    /// A byte stream on which HTTP is spoken to the API of a server. Waits a while when there is no connection.
    ///
    /// # Errors
    /// No server can be reached.
    pub async fn reach_server(&self) -> Result<TunnelIo, NoServer> {
        if let Ok(io) = self.core.reach().await {
            return Ok(io);
        }
        // A server that is being restarted is back soon; the node hears of it first.
        let _ = tokio::time::timeout(HOLD, self.wait_registered()).await;
        self.core
            .reach()
            .await
            .map_err(|reason| NoServer { reason })
    }
}
