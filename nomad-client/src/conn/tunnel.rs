//! Byte streams that servers open through the node's connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use nomad_proto::bytes::Chunk;
use nomad_proto::service::tunnel_client;
use nomad_proto::{Outbound, TUNNEL_ID_KEY};
use tokio::sync::Semaphore;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use super::LocalApi;

/// Byte streams served at the same time; the server gets no answer to further requests and tries again.
const MAX_TUNNELS: usize = 256;

/// How long the server may take to end its side after this one has ended.
const LINGER: Duration = Duration::from_secs(30);

/// What the server sends. Dropping a call's answer breaks off what is still on its way to the server, so the answer is
/// read to its end, in the background if need be.
struct Lingering(Option<Streaming<Chunk>>);

impl Stream for Lingering {
    type Item = Result<Chunk, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            Some(stream) => Pin::new(stream).poll_next(cx),
            None => Poll::Ready(None),
        }
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(mut stream) = self.0.take() else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(tokio::time::timeout(LINGER, async move {
            while let Some(Ok(_)) = stream.next().await {}
        }));
    }
}

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
                    let inbound = Lingering(Some(response.into_inner()));
                    local_api.serve(outbound.connect(inbound)).await;
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
