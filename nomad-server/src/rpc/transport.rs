//! Frames of consensus to other servers: one stream per peer, opened again when it breaks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nomad_proto::limits::RAFT_QUEUE;
use nomad_proto::raft::Frame;
use nomad_proto::service::raft_client;
use nomad_raft::{Membership, Transport};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Request;

use super::peers::Peers;

/// Pause before a broken stream is opened again. Consensus sends heartbeats meanwhile, which are dropped.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// Sends frames over gRPC.
pub(crate) struct GrpcTransport {
    peers: Arc<Peers>,
    links: Mutex<HashMap<u64, mpsc::Sender<Bytes>>>,
    runtime: tokio::runtime::Handle,
    stop: CancellationToken,
}

impl GrpcTransport {
    pub(crate) fn new(
        peers: Arc<Peers>,
        runtime: tokio::runtime::Handle,
        stop: CancellationToken,
    ) -> Self {
        Self {
            peers,
            links: Mutex::default(),
            runtime,
            stop,
        }
    }

    fn link(&self, to: u64) -> mpsc::Sender<Bytes> {
        let mut links = self.links.lock();
        links
            .entry(to)
            .or_insert_with(|| {
                let (sender, frames) = mpsc::channel(RAFT_QUEUE);
                let link = run_link(Arc::clone(&self.peers), to, frames);
                let stop = self.stop.clone();
                self.runtime.spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = link => {}
                    }
                });
                sender
            })
            .clone()
    }
}

impl Transport for GrpcTransport {
    fn send(&self, to: u64, frame: Bytes) {
        // A full queue means that the peer is away or slow; consensus sends again.
        let _ = self.link(to).try_send(frame);
    }

    fn members_changed(&self, membership: &Membership) {
        self.peers.update(membership);
        let peers = self.peers.all();
        // The streams of those who left end with their senders.
        self.links
            .lock()
            .retain(|id, _| peers.iter().any(|(peer, _)| peer == id));
    }
}

/// Metadata keys by which a server says who sends.
pub(super) const FROM_KEY: &str = "nomad-raft-from";
pub(super) const ADDRESS_KEY: &str = "nomad-raft-address";

/// A request that says who sends, so that a server which knows nobody yet can answer.
fn introduced<T>(peers: &Peers, message: T) -> Request<T> {
    let (id, address) = peers.own();
    let mut request = Request::new(message);
    if let (Ok(id), Ok(address)) = (id.to_string().parse(), address.parse()) {
        request.metadata_mut().insert(FROM_KEY, id);
        request.metadata_mut().insert(ADDRESS_KEY, address);
    }
    request
}

/// Sends the frames for one peer until their sender is gone.
async fn run_link(peers: Arc<Peers>, to: u64, mut frames: mpsc::Receiver<Bytes>) {
    while let Some(first) = frames.recv().await {
        let Some(address) = peers.address(to) else {
            continue;
        };
        let Ok(channel) = Peers::channel(&address) else {
            continue;
        };
        let (sender, stream) = mpsc::channel(1);
        let stream = ReceiverStream::new(stream).map(move |data| Frame { to, data });
        let mut client = raft_client(channel);
        let call = client.send(introduced(&peers, stream));
        let feed = async {
            let mut next = Some(first);
            while let Some(frame) = next {
                if sender.send(frame).await.is_err() {
                    break;
                }
                next = frames.recv().await;
            }
            drop(sender);
        };
        tokio::pin!(call);
        let broken = tokio::select! {
            result = &mut call => result.err(),
            () = feed => None,
        };
        if let Some(status) = broken {
            tracing::debug!(
                peer = to,
                address,
                error = status.message(),
                "stream to peer broke"
            );
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
        // What has waited is old news by now.
        while frames.try_recv().is_ok() {}
    }
}
