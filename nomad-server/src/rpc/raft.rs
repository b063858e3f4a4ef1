//! `Raft`: frames of other servers.

use nomad_proto::raft::raft_server::Raft;
use nomad_proto::raft::{Done, Frame};
use tonic::{Request, Response, Status, Streaming};

use super::Services;
use super::transport::{ADDRESS_KEY, FROM_KEY};

#[tonic::async_trait]
impl Raft for Services {
    async fn send(&self, request: Request<Streaming<Frame>>) -> Result<Response<Done>, Status> {
        let text = |key| {
            request
                .metadata()
                .get(key)
                .and_then(|value| value.to_str().ok())
        };
        if let (Some(Ok(from)), Some(address)) = (text(FROM_KEY).map(str::parse), text(ADDRESS_KEY))
        {
            self.0.peers.learn(from, address);
        }
        let mut frames = request.into_inner();
        let own = self.0.config.raft.id;
        loop {
            let frame = tokio::select! {
                () = self.0.stop.cancelled() => return Err(Status::unavailable("shutting down")),
                frame = frames.message() => match frame? {
                    Some(frame) => frame,
                    None => return Ok(Response::new(Done {})),
                },
            };
            if frame.to != own {
                return Err(Status::failed_precondition(format!(
                    "frame for server {}, this is {own}",
                    frame.to
                )));
            }
            let delivered = self.0.raft.deliver(frame.data).await;
            delivered.map_err(|error| Status::unavailable(error.to_string()))?;
        }
    }
}
