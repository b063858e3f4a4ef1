//! The servers of the cluster: members, the consensus group and its health.
//!
//! The leader knows best, so requests for these are handed on to it where that is possible.

use std::time::Duration;

use nomad_api::backend::ApiResult;
use nomad_api::types::{
    AgentMember, AutopilotHealth, RaftConfiguration, RaftServer, ServerHealth,
    ServerMembersResponse,
};
use nomad_core::job::StringMap;

use super::errors::api_error;
use super::support::go_duration;
use super::{AgentBackend, ServerHalf};
use crate::cluster::Facts;

/// Host and port of an address.
fn split(address: &str) -> (String, u16) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "0"));
    (
        host.trim_matches(['[', ']']).to_owned(),
        port.parse().unwrap_or(0),
    )
}

fn member(facts: &Facts, status: &str) -> AgentMember {
    let (addr, port) = split(&facts.serf);
    let (rpc_addr, rpc_port) = split(&facts.rpc);
    let tags = [
        ("role", "nomad".to_owned()),
        ("region", facts.region.clone()),
        ("dc", facts.datacenter.clone()),
        ("id", facts.id.clone()),
        ("rpc_addr", rpc_addr),
        ("port", rpc_port.to_string()),
        ("build", facts.build.clone()),
        ("revision", String::new()),
        ("vsn", "1".to_owned()),
        ("raft_vsn", "3".to_owned()),
        ("expect", facts.expect.to_string()),
        (
            "bootstrap",
            if facts.expect == 1 {
                "1".to_owned()
            } else {
                String::new()
            },
        ),
    ];
    AgentMember {
        name: format!("{}.{}", facts.name, facts.region),
        addr,
        port,
        tags: tags
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<StringMap>(),
        status: status.to_owned(),
        protocol_min: 1,
        protocol_max: 5,
        protocol_cur: 2,
        delegate_min: 2,
        delegate_max: 5,
        delegate_cur: 4,
    }
}

/// This agent's server.
pub(super) fn own_member(backend: &AgentBackend, _half: &ServerHalf) -> AgentMember {
    member(&backend.cluster.own(), "alive")
}

/// The servers of the consensus group and those that are about to join it.
pub(super) async fn members(backend: &AgentBackend) -> ApiResult<ServerMembersResponse> {
    let half = backend.server()?;
    let status = half.server.consensus().await.map_err(api_error)?;
    let leads = half.server.is_leader();
    let mut rows: Vec<AgentMember> = Vec::new();
    for facts in backend.cluster.all(&status) {
        let peer = status
            .peers
            .iter()
            .find(|peer| peer.info.node_id == facts.id);
        let alive = match peer {
            _ if facts.id == backend.cluster.own().id => true,
            Some(peer) if leads => peer.active.unwrap_or(false),
            // Without a leader nobody knows; what was heard of lately is taken for alive.
            _ => backend.cluster.heard_lately(&facts.id),
        };
        rows.push(member(&facts, if alive { "alive" } else { "failed" }));
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(ServerMembersResponse {
        server_name: backend.identity.name.clone(),
        server_region: backend.identity.region.clone(),
        server_dc: backend.identity.datacenter.clone(),
        members: rows,
    })
}

pub(super) async fn raft_configuration(backend: &AgentBackend) -> ApiResult<RaftConfiguration> {
    let half = backend.server()?;
    let status = half.server.consensus().await.map_err(api_error)?;
    let leader = status.leadership.leader_id;
    let servers = status
        .peers
        .iter()
        .map(|peer| RaftServer {
            id: peer.info.node_id.clone(),
            node: peer.info.name.clone(),
            address: peer.info.address.clone(),
            leader: leader == Some(peer.id),
            voter: peer.voter,
            raft_protocol: "3".to_owned(),
        })
        .collect();
    Ok(RaftConfiguration {
        servers,
        index: status.membership.index,
    })
}

/// Health of the consensus group: on the leader of every server, elsewhere only what this one knows.
pub(super) async fn autopilot_health(backend: &AgentBackend) -> ApiResult<AutopilotHealth> {
    let server = &backend.server()?.server;
    let status = server.consensus().await.map_err(api_error)?;
    let leader = status.leadership.leader_id;
    let servers: Vec<ServerHealth> = status
        .peers
        .iter()
        .map(|peer| {
            let own = peer.id == status.id;
            // Only the leader hears the others.
            let active = own || peer.active.unwrap_or(false);
            let last_contact = if own {
                status.last_contact.unwrap_or_default()
            } else {
                Duration::ZERO
            };
            let healthy = active && leader.is_some();
            ServerHealth {
                id: peer.info.node_id.clone(),
                name: peer.info.name.clone(),
                address: peer.info.address.clone(),
                serf_status: if active { "alive" } else { "failed" }.to_owned(),
                version: nomad_core::API_LEVEL.to_owned(),
                leader: leader == Some(peer.id),
                voter: peer.voter,
                last_contact: go_duration(last_contact),
                last_term: status.leadership.term,
                last_index: if own {
                    status.last_index
                } else {
                    peer.matched.unwrap_or(0)
                },
                healthy,
                stable_since: backend.cluster.stable_since(&peer.info.node_id, healthy),
            }
        })
        .collect();
    let voters = servers.iter().filter(|server| server.voter);
    let well = voters.clone().filter(|server| server.healthy).count();
    let majority = voters.clone().count() / 2 + 1;
    Ok(AutopilotHealth {
        healthy: leader.is_some() && servers.iter().all(|server| server.healthy),
        failure_tolerance: well.saturating_sub(majority),
        leader: servers
            .iter()
            .find(|server| server.leader)
            .map(|server| server.id.clone())
            .unwrap_or_default(),
        voters: voters.map(|server| server.id.clone()).collect(),
        servers,
    })
}
