//! Requests that reach this agent over byte streams: through a node's tunnel, or forwarded by another agent.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use nomad_client::LocalApi;
use nomad_proto::TunnelIo;
use nomad_template::BufferedConn;

use crate::forward::{Api, Via};

/// Serves this agent's own API once it is built.
#[derive(Clone, Default)]
pub(crate) struct OwnApi(Arc<OnceLock<Arc<Api>>>);

impl OwnApi {
    /// From now on requests are answered.
    pub(crate) fn set(&self, api: Arc<Api>) {
        // Set once, when the agent is built.
        let _ = self.0.set(api);
    }
}

#[async_trait]
impl LocalApi for OwnApi {
    async fn serve(&self, io: TunnelIo) {
        match self.0.get() {
            Some(api) => crate::http::speak(io, Arc::clone(api), Via::Tunnel).await,
            None => tracing::warn!("a request arrived before the agent was ready"),
        }
    }

    async fn serve_in_memory(&self, io: BufferedConn) {
        // Before the agent is ready the connection ends, and the template's watch tries again.
        if let Some(api) = self.0.get() {
            crate::http::speak(io, Arc::clone(api), Via::Http).await;
        }
    }
}
