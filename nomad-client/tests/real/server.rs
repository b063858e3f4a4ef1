//! A small server that says what the test tells it to say.

use std::net::SocketAddr;
use std::pin::Pin;

use nomad_core::alloc::{AllocClientUpdate, Allocation};
use nomad_core::node::Node;
use nomad_proto::bytes::Chunk;
use nomad_proto::bytes::tunnel_server::Tunnel;
use nomad_proto::node::node_server::Node as NodeService;
use nomad_proto::node::{
    Ack, AllocRow, Allocs, HeartbeatAck, JobRow, NodeDown, NodeUp, Registered, node_down, node_up,
};
use nomad_proto::service::{node_server, tunnel_server};
use nomad_proto::{TUNNEL_ID_KEY, TunnelIo, pack, unpack};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

use crate::world::PATIENCE;

/// A stream of a node.
pub(crate) struct NodeStream {
    up: Streaming<NodeUp>,
    down: mpsc::Sender<Result<NodeDown, Status>>,
}

/// The listening side.
pub(crate) struct FakeServer {
    pub(crate) address: SocketAddr,
    streams: mpsc::Receiver<NodeStream>,
    tunnels: mpsc::Receiver<(String, TunnelIo)>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Services {
    streams: mpsc::Sender<NodeStream>,
    tunnels: mpsc::Sender<(String, TunnelIo)>,
}

#[tonic::async_trait]
impl NodeService for Services {
    type ConnectStream = ReceiverStream<Result<NodeDown, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<NodeUp>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (down, queue) = mpsc::channel(16);
        let stream = NodeStream {
            up: request.into_inner(),
            down,
        };
        self.streams.send(stream).await.unwrap();
        Ok(Response::new(ReceiverStream::new(queue)))
    }
}

#[tonic::async_trait]
impl Tunnel for Services {
    type OpenStream = Pin<Box<dyn Stream<Item = Result<Chunk, Status>> + Send>>;

    async fn open(
        &self,
        request: Request<Streaming<Chunk>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let id = request.metadata().get(TUNNEL_ID_KEY).unwrap();
        let id = id.to_str().unwrap().to_owned();
        let (io, chunks) = TunnelIo::serve(request.into_inner());
        self.tunnels.send((id, io)).await.unwrap();
        Ok(Response::new(Box::pin(chunks)))
    }
}

impl FakeServer {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (streams, stream_queue) = mpsc::channel(4);
        let (tunnels, tunnel_queue) = mpsc::channel(4);
        let services = Services { streams, tunnels };
        let serving = tonic::transport::Server::builder()
            .add_service(node_server(services.clone()))
            .add_service(tunnel_server(services))
            .serve_with_incoming(TcpListenerStream::new(listener));
        Self {
            address,
            streams: stream_queue,
            tunnels: tunnel_queue,
            serving: tokio::spawn(async move { serving.await.unwrap() }),
        }
    }

    /// The next stream that a node opens.
    pub(crate) async fn stream(&mut self) -> NodeStream {
        within(self.streams.recv()).await.unwrap()
    }

    /// The next tunnel that a node opens.
    pub(crate) async fn tunnel(&mut self) -> (String, TunnelIo) {
        within(self.tunnels.recv()).await.unwrap()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("in time")
}

impl NodeStream {
    pub(crate) async fn next(&mut self) -> node_up::Message {
        within(self.up.message())
            .await
            .unwrap()
            .expect("the stream goes on")
            .message
            .unwrap()
    }

    /// Whether the node ended the stream.
    pub(crate) async fn ended(&mut self) -> bool {
        loop {
            match within(self.up.message()).await {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return true,
            }
        }
    }

    pub(crate) async fn send(&self, message: node_down::Message) {
        let message = NodeDown {
            message: Some(message),
        };
        self.down.send(Ok(message)).await.unwrap();
    }

    /// Takes the registration and grants a span.
    pub(crate) async fn accept(&mut self, heartbeat_ttl_ms: u64) -> Node {
        let node_up::Message::Register(register) = self.next().await else {
            panic!("a registration comes first")
        };
        let registered = Registered {
            index: 1,
            heartbeat_ttl_ms,
            servers: Vec::new(),
            region: "global".to_owned(),
        };
        self.send(node_down::Message::Registered(registered)).await;
        unpack(&register.node).unwrap()
    }

    /// The next batch of reports, heartbeats being answered meanwhile.
    pub(crate) async fn batch(&mut self) -> (u64, Vec<AllocClientUpdate>) {
        loop {
            match self.next().await {
                node_up::Message::AllocUpdates(updates) => {
                    return (updates.seq, unpack(&updates.batch).unwrap());
                }
                node_up::Message::Heartbeat(beat) => {
                    let ack = HeartbeatAck {
                        seq: beat.seq,
                        heartbeat_ttl_ms: 60_000,
                        servers: Vec::new(),
                    };
                    self.send(node_down::Message::HeartbeatAck(ack)).await;
                }
                _ => {}
            }
        }
    }

    pub(crate) async fn ack(&self, seq: u64) {
        self.send(node_down::Message::Ack(Ack { seq, index: 2 }))
            .await;
    }

    /// Sends allocations, all of one job.
    pub(crate) async fn assign(&self, full: bool, allocs: &[Allocation]) {
        let job = allocs.first().and_then(|alloc| alloc.job.as_deref());
        let part = Allocs {
            full,
            last: true,
            index: 7,
            jobs: job
                .map(|job| JobRow {
                    job: pack(job).unwrap(),
                })
                .into_iter()
                .collect(),
            allocs: allocs
                .iter()
                .map(|alloc| AllocRow {
                    alloc: pack(alloc).unwrap(),
                    job: 0,
                })
                .collect(),
            removed: Vec::new(),
        };
        self.send(node_down::Message::Allocs(part)).await;
    }
}
