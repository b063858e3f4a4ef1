//! The node's stream to a server: registration, heartbeats and reports up, allocations down.
//!
//! One stream at a time, to one server at a time. It is opened again, at another server if need be, as long as the
//! client runs; what was not acknowledged is sent again.

mod assemble;
mod forward;
mod servers;
mod session;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nomad_proto::TunnelIo;
use nomad_template::BufferedConn;
use tonic::transport::{Channel, Endpoint};

pub use self::forward::NoServer;
use crate::client::Core;
use servers::ServerList;

/// How long connecting to a server may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection on which nothing was heard for so long is probed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Answers what servers ask of this node, over byte streams that they open through it.
#[async_trait]
pub trait LocalApi: Send + Sync {
    /// Serves one byte stream to its end.
    async fn serve(&self, io: TunnelIo);

    /// Serves one connection of this node's template runners to its end.
    async fn serve_in_memory(&self, io: BufferedConn);
}

/// Reaches servers. The agent's knows about TLS.
#[async_trait]
pub trait Connector: Send + Sync {
    /// A channel to the server at `host:port`.
    ///
    /// # Errors
    /// It cannot be reached; in words.
    async fn connect(&self, address: &str) -> Result<Channel, String>;
}

/// Reaches servers without TLS.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainConnector;

#[async_trait]
impl Connector for PlainConnector {
    async fn connect(&self, address: &str) -> Result<Channel, String> {
        Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| error.to_string())?
            .connect_timeout(DIAL_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true)
            .connect()
            .await
            .map_err(|error| describe(&error))
    }
}

/// An error with what caused it.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Keeps the node connected until the client ends.
pub(crate) async fn run(core: Arc<Core>, local_api: Arc<dyn LocalApi>) {
    let mut servers = ServerList::new(core.servers.lock().clone());
    loop {
        // The agent may have found servers meanwhile.
        servers.learn(&core.servers.lock());
        let Some(address) = servers.front().map(str::to_owned) else {
            core.servers_changed.notified().await;
            continue;
        };
        let end = match core.connector.connect(&address).await {
            Ok(channel) => session::run(&core, &local_api, channel, &mut servers).await,
            Err(error) => session::End::Lost(error),
        };
        core.registered.send_replace(false);
        *core.channel.lock() = None;
        core.shared
            .reporter
            .with(crate::machine::outbox::Outbox::requeue);
        let jitter = rand::random();
        let pause = match end {
            session::End::Redirected(leader) => {
                servers.prefer(&leader);
                servers.redirected(jitter)
            }
            session::End::Lost(reason) => {
                let pause = servers.failed(jitter);
                // All that the servers named are gone: those that were configured may know where the others are.
                if servers.all_failed() {
                    servers.learn(&core.seeds.lock());
                }
                tracing::debug!(
                    server = address,
                    reason,
                    ?pause,
                    "no connection to the server"
                );
                pause
            }
            session::End::Refused(reason) => {
                tracing::error!(server = address, reason, "the server refuses this node");
                servers.refused(jitter)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = core.servers_changed.notified() => {}
        }
    }
}
