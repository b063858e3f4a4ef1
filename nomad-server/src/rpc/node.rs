//! `Node`: the streams of nodes.

use std::sync::Arc;

use nomad_proto::limits::NODE_STREAM_QUEUE;
use nomad_proto::node::node_server::Node;
use nomad_proto::node::{NodeDown, NodeUp};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::Services;
use crate::node::session::serve;

#[tonic::async_trait]
impl Node for Services {
    type ConnectStream = ReceiverStream<Result<NodeDown, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<NodeUp>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (sender, receiver) = mpsc::channel(NODE_STREAM_QUEUE);
        tokio::spawn(serve(Arc::clone(&self.0), request.into_inner(), sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
