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
        let channel = Peers::channel(&leader).map_err(|error| {
            ServerError::internal(format!("address {leader} of the leader: {error}"))
        })?;
        let (outbound, chunks) = Outbound::new();
        match server_client(channel).forward(chunks).await {
            Ok(response) => Ok(outbound.connect(response.into_inner())),
            Err(status) => {
                tracing::debug!(leader, error = status.message(), "cannot forward");
                Err(ServerError::NoLeader)
            }
        }
    }
}
