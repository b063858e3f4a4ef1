//! `Tunnel` and `Server`: byte streams to nodes, and requests that others forward.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use nomad_core::Uuid;
use nomad_proto::bytes::server_server::Server;
use nomad_proto::bytes::tunnel_server::Tunnel;
use nomad_proto::bytes::{Chunk, KeyDelivery, KeyReply, KeyRequest};
use nomad_proto::{TUNNEL_ID_KEY, TunnelIo};
use tonic::{Request, Response, Status, Streaming};

use super::{Services, keys};

type Chunks = Pin<Box<dyn Stream<Item = Result<Chunk, Status>> + Send>>;

#[tonic::async_trait]
impl Tunnel for Services {
    type OpenStream = Chunks;

    async fn open(&self, request: Request<Streaming<Chunk>>) -> Result<Response<Chunks>, Status> {
        let id = request
            .metadata()
            .get(TUNNEL_ID_KEY)
            .and_then(|id| id.to_str().ok());
        let id: Option<Uuid> = id.and_then(|id| id.parse().ok());
        let id = id.ok_or_else(|| {
            Status::invalid_argument(format!("metadata {TUNNEL_ID_KEY} is missing or no UUID"))
        })?;
        let unknown = || Status::not_found("nobody waits for that tunnel");
        if !self.0.tunnels.expects(id) {
            return Err(unknown());
        }
        let (io, chunks) = TunnelIo::serve(request.into_inner());
        if !self.0.tunnels.opened(id, io) {
            return Err(unknown());
        }
        Ok(Response::new(Box::pin(chunks)))
    }
}

#[tonic::async_trait]
impl Server for Services {
    type ForwardStream = Chunks;

    async fn forward(
        &self,
        request: Request<Streaming<Chunk>>,
    ) -> Result<Response<Chunks>, Status> {
        let Some(handler) = self.0.forward.get() else {
            return Err(Status::unavailable("the server is still starting"));
        };
        let (io, chunks) = TunnelIo::serve(request.into_inner());
        Arc::clone(handler)(io);
        Ok(Response::new(Box::pin(chunks)))
    }

    async fn request_keys(
        &self,
        request: Request<KeyRequest>,
    ) -> Result<Response<KeyReply>, Status> {
        let request = request.into_inner();
        keys::deliver(&self.0, request.server, &request.ids).await?;
        Ok(Response::new(KeyReply {}))
    }

    async fn deliver_key(
        &self,
        request: Request<KeyDelivery>,
    ) -> Result<Response<KeyReply>, Status> {
        keys::accept(&self.0, &request.into_inner())?;
        Ok(Response::new(KeyReply {}))
    }
}
