//! Byte streams that servers open through the node's connection.

use std::sync::Arc;

use nomad_proto::service::tunnel_client;
use nomad_proto::{Outbound, TUNNEL_ID_KEY};
use tokio::sync::Semaphore;
use tonic::Request;
use tonic::transport::Channel;

use super::LocalApi;

/// Byte streams served at the same time; the server gets no answer to further requests and tries again.
const MAX_TUNNELS: usize = 256;

/// Opens the streams that a server asks for.
pub(super) struct Tunnels {
    channel: Channel,
    local_api: Arc<dyn LocalApi>,
    places: Arc<Semaphore>,
}

impl Tunnels {
    pub(super) fn new(channel: Channel, local_api: Arc<dyn LocalApi>) -> Self {
        Self {
            channel,
            local_api,
            places: Arc::new(Semaphore::new(MAX_TUNNELS)),
        }
    }

    /// Opens one and serves it in the background.
    pub(super) fn open(&self, id: String) {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            tracing::warn!(limit = MAX_TUNNELS, "too many streams from servers at once");
            return;
        };
        let (channel, local_api) = (self.channel.clone(), self.local_api.clone());
        tokio::spawn(async move {
            let (outbound, chunks) = Outbound::new();
            let mut request = Request::new(chunks);
            match id.parse() {
                Ok(value) => request.metadata_mut().insert(TUNNEL_ID_KEY, value),
                Err(_) => return,
            };
            match tunnel_client(channel).open(request).await {
                Ok(response) => {
                    local_api
                        .serve(outbound.connect(response.into_inner()))
                        .await
                }
                Err(status) => {
                    tracing::debug!(
                        tunnel = id,
                        error = status.message(),
                        "stream cannot be opened"
                    );
                }
            }
            drop(place);
        });
    }
}
