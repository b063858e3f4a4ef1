//! The servers of the cluster: members, leadership, and requests handed on to the leader.

use std::collections::BTreeMap;

use nomad_core::Uuid;
use nomad_proto::service::server_client;
use nomad_proto::{Outbound, TunnelIo};
use nomad_raft::{PeerInfo, RaftError};

use crate::config::raft_id;
use crate::error::ServerError;
use crate::rpc::peers::Peers;
use crate::server::Server;

/// How long another server may take to open a stream.
const REACH_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

impl Server {
    /// Gives a new cluster its first members, this server among them. Every one of them must be given the same; one
    /// that has members already is left alone.
    pub async fn bootstrap(&self, members: &[(Uuid, PeerInfo)]) -> Result<(), ServerError> {
        let members: BTreeMap<u64, PeerInfo> = members
            .iter()
            .map(|(id, info)| (raft_id(*id), info.clone()))
            .collect();
        match self.inner.raft.bootstrap(members).await {
            Ok(()) | Err(RaftError::AlreadyBootstrapped) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds a server to the cluster, or changes its role or address; gives the index of the change. Only the leader
    /// can do that.
    pub async fn add_server(
        &self,
        id: Uuid,
        info: PeerInfo,
        voter: bool,
    ) -> Result<u64, ServerError> {
        self.inner.wait_for_leader().await?;
        Ok(self.inner.raft.add_peer(raft_id(id), info, voter).await?)
    }

    /// Removes a server by the number that consensus knows it by; gives the index of the change.
    pub async fn remove_server(&self, number: u64) -> Result<u64, ServerError> {
        self.inner.wait_for_leader().await?;
        Ok(self.inner.raft.remove_peer(number).await?)
    }

    /// Hands leadership to a server, or to the one with the longest log; gives who was asked to take over.
    pub async fn transfer_leadership(&self, to: Option<u64>) -> Result<u64, ServerError> {
        self.inner.wait_for_leader().await?;
        Ok(self.inner.raft.transfer_leadership(to).await?)
    }

    /// A byte stream on which HTTP is spoken to the API of the leader, which is another server.
    pub async fn forward_to_leader(&self) -> Result<TunnelIo, ServerError> {
        let leader = match self.inner.wait_for_leader().await {
            Err(ServerError::NotLeader { leader }) => leader,
            Err(error) => return Err(error),
            Ok(_) => return Err(ServerError::internal("this server leads itself")),
        };
        match Self::reach(&leader).await {
            Ok(io) => Ok(io),
            Err(error) => {
                tracing::debug!(leader, %error, "cannot forward");
                Err(ServerError::NoLeader)
            }
        }
    }

    /// A byte stream on which HTTP is spoken to the API of the server at `host:port`.
    pub async fn reach(address: &str) -> Result<TunnelIo, ServerError> {
        let unreachable = |error: String| {
            ServerError::internal(format!("server {address} cannot be reached: {error}"))
        };
        let channel = Peers::channel(address).map_err(|error| unreachable(error.to_string()))?;
        let (outbound, chunks) = Outbound::new();
        let opening = async { server_client(channel).forward(chunks).await };
        match tokio::time::timeout(REACH_TIMEOUT, opening).await {
            Ok(Ok(response)) => Ok(outbound.connect(response.into_inner())),
            Ok(Err(status)) => Err(unreachable(status.message().to_owned())),
            Err(_) => Err(ServerError::Timeout {
                what: "another server",
            }),
        }
    }
}
