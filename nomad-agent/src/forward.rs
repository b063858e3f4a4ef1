//! Which agent answers a request, and sending it there.
//!
//! Reads of a server's state are answered by any server; writes, and whatever only the leader knows, by the leader;
//! an agent without a server hands on everything but what concerns its own node and itself.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Method, Request, Response};
use nomad_api::backend::Backend;
use nomad_api::error::ApiError;
use nomad_api::query::{Query, percent_decode};
use nomad_client::Client;
use nomad_core::AllocId;
use nomad_server::{Server, ServerError};

use crate::cluster::{self, Cluster};

/// How often a request was handed on between agents.
const HOPS: &str = "nomad-forwarded";
/// More often than any cluster at rest needs: client, follower, leader, and one change of leadership.
const MAX_HOPS: u8 = 4;
/// Largest body that is read to find out whom it concerns.
const MAX_META_BYTES: usize = 1 << 20;

/// How a request reached this agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// Over its HTTP listener.
    Http,
    /// From another agent, which found that a server must answer it.
    Forward,
    /// From a server, which found that this node must answer it.
    Tunnel,
}

/// This agent's API, and the way to others.
pub(crate) struct Api {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) cluster: Cluster,
    pub(crate) server: Option<Server>,
    pub(crate) client: Option<Client>,
}

/// What of an agent decides who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Halves {
    server: bool,
    leads: bool,
}

/// Who answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Here,
    /// The leader; where none can be reached nobody answers.
    Leader,
    /// The leader, or this server as well as it can.
    LeaderOrHere,
    /// Any server.
    Server,
}

/// What a request concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// This agent, whatever its halves.
    Agent,
    /// The servers as the leader sees them.
    Members,
    /// The node of this agent, or an allocation on it.
    OwnNode,
    /// Another node.
    OtherNode,
    /// What every server knows.
    State,
    /// What only the leader knows or may do.
    Leader,
}

fn place(subject: Subject, halves: Halves, via: Via) -> Place {
    if via == Via::Tunnel || halves.leads {
        return Place::Here;
    }
    match (subject, halves.server) {
        (Subject::Agent | Subject::OwnNode, _) | (Subject::State, true) => Place::Here,
        (Subject::Members, true) => Place::LeaderOrHere,
        // Nodes are connected to the leader.
        (Subject::Leader | Subject::OtherNode, true) => Place::Leader,
        (_, false) => Place::Server,
    }
}

/// What a request outside `/v1/client` concerns.
fn subject(method: &Method, path: &str, query: &Query) -> Subject {
    if let Some(what) = path.strip_prefix(cluster::INTERNAL) {
        return match what {
            "join" | "leave" => Subject::Leader,
            _ => Subject::Agent,
        };
    }
    let Some(path) = path.strip_prefix("/v1/") else {
        return if path.starts_with("/.well-known/") {
            Subject::State
        } else {
            Subject::Agent
        };
    };
    let elsewhere = |name: &str| query.get(name).is_some_and(|id| !id.is_empty());
    match path {
        "agent/members" => return Subject::Members,
        "agent/force-leave" => return Subject::Leader,
        "agent/join" | "agent/schedulers" | "agent/schedulers/config" => return Subject::Agent,
        _ if path.starts_with("agent/") && elsewhere("server_id") => return Subject::State,
        _ if path.starts_with("agent/") || path == "metrics" || path == "jobs/parse" => {
            return Subject::Agent;
        }
        "operator/autopilot/health" => return Subject::Members,
        _ => {}
    }
    // Searches and parses come as writes, but any server knows the answer.
    let asks = *method == Method::GET
        || *method == Method::HEAD
        || *method == Method::OPTIONS
        || path == "search"
        || path == "search/fuzzy"
        || path == "jobs/statuses"
        || path == "validate/job";
    if asks {
        Subject::State
    } else {
        Subject::Leader
    }
}

/// The allocation that a path of `/v1/client` names.
fn alloc_of(path: &str) -> Option<AllocId> {
    let rest = path.strip_prefix("/v1/client/")?;
    let id = match rest.strip_prefix("allocation/") {
        Some(rest) => rest.split('/').next(),
        None => rest.strip_prefix("fs/")?.split('/').nth(1),
    };
    id?.parse().ok()
}

impl Api {
    /// Answers a request, or has it answered where it must be.
    pub(crate) async fn handle(&self, request: Request<Body>, via: Via) -> Response<Body> {
        let (request, place) = match self.place(request, via).await {
            Ok(found) => found,
            Err(error) => return nomad_api::routes::error_response(&error),
        };
        let sent = match place {
            Place::Here => return self.here(request, via).await,
            Place::LeaderOrHere => match self.reach_leader().await {
                Ok(Some(io)) => send(io, request).await,
                Ok(None) | Err(_) => return self.here(request, via).await,
            },
            Place::Leader => match self.reach_leader().await {
                Ok(Some(io)) => send(io, request).await,
                Ok(None) => return self.here(request, via).await,
                Err(error) => Err(error),
            },
            Place::Server => match self.reach_server().await {
                Ok(io) => send(io, request).await,
                Err(error) => Err(error),
            },
        };
        sent.unwrap_or_else(|error| nomad_api::routes::error_response(&error))
    }

    async fn here(&self, request: Request<Body>, via: Via) -> Response<Body> {
        if via == Via::Forward
            && let Some(server) = &self.server
            && request.uri().path().starts_with(cluster::INTERNAL)
        {
            return cluster::answer(&self.cluster, server, request)
                .await
                .unwrap_or_else(|error| nomad_api::routes::error_response(&error));
        }
        nomad_api::routes::handle(Arc::clone(&self.backend), request).await
    }

    async fn place(
        &self,
        request: Request<Body>,
        via: Via,
    ) -> Result<(Request<Body>, Place), ApiError> {
        let halves = Halves {
            server: self.server.is_some(),
            leads: self.server.as_ref().is_some_and(Server::is_leader),
        };
        // The most frequent case needs no look at the request.
        if via == Via::Tunnel || halves.leads {
            return Ok((request, Place::Here));
        }
        let path = percent_decode(request.uri().path(), false);
        if !path.starts_with("/v1/client/") {
            let query = Query::parse(request.uri().query().unwrap_or(""));
            let subject = subject(request.method(), &path, &query);
            return Ok((request, place(subject, halves, via)));
        }
        let (request, own) = self.concerns_own_node(request, &path).await?;
        let subject = if own {
            Subject::OwnNode
        } else {
            Subject::OtherNode
        };
        Ok((request, place(subject, halves, via)))
    }

    /// Whether a request of `/v1/client` is for the node of this agent.
    async fn concerns_own_node(
        &self,
        request: Request<Body>,
        path: &str,
    ) -> Result<(Request<Body>, bool), ApiError> {
        let Some(client) = &self.client else {
            return Ok((request, false));
        };
        if let Some(alloc) = alloc_of(path) {
            let own = client.alloc(alloc).is_some();
            return Ok((request, own));
        }
        let own_id = client.node_id().to_string();
        let query = Query::parse(request.uri().query().unwrap_or(""));
        let mut wanted = query.text("node_id").to_owned();
        if path != "/v1/client/metadata" || *request.method() != Method::POST {
            return Ok((request, wanted.is_empty() || wanted == own_id));
        }
        // This one route names the node in its body.
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, MAX_META_BYTES)
            .await
            .map_err(|_| {
                let text = format!("metadata is larger than {MAX_META_BYTES} bytes");
                ApiError::new(http::StatusCode::PAYLOAD_TOO_LARGE, text)
            })?;
        if let Ok(named) = serde_json::from_slice::<serde_json::Value>(&body)
            && let Some(id) = named["NodeID"].as_str().filter(|id| !id.is_empty())
        {
            id.clone_into(&mut wanted);
        }
        let own = wanted.is_empty() || wanted == own_id;
        Ok((Request::from_parts(parts, Body::from(body)), own))
    }

    /// A stream to the leader; `None` when this server leads by now.
    async fn reach_leader(&self) -> Result<Option<nomad_proto::TunnelIo>, ApiError> {
        let Some(server) = &self.server else {
            return Ok(None);
        };
        match server.forward_to_leader().await {
            Ok(io) => Ok(Some(io)),
            Err(_) if server.is_leader() => Ok(None),
            Err(ServerError::NoLeader | ServerError::NotLeader { .. }) => {
                Err(ApiError::internal("No cluster leader"))
            }
            Err(error) => Err(ApiError::internal(error.to_string())),
        }
    }

    /// A stream to any server.
    async fn reach_server(&self) -> Result<nomad_proto::TunnelIo, ApiError> {
        let Some(client) = &self.client else {
            return Err(ApiError::internal("No cluster leader"));
        };
        client.reach_server().await.map_err(|error| {
            tracing::debug!(%error, "no server can be reached");
            ApiError::internal("No cluster leader")
        })
    }
}

/// Sends a request on, with a note that it was.
async fn send(
    io: nomad_proto::TunnelIo,
    mut request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let hops = request
        .headers()
        .get(HOPS)
        .and_then(|hops| hops.to_str().ok())
        .and_then(|hops| hops.parse::<u8>().ok())
        .unwrap_or(0);
    if hops >= MAX_HOPS {
        return Err(ApiError::internal("No cluster leader"));
    }
    request
        .headers_mut()
        .insert(HOPS, HeaderValue::from(u16::from(hops) + 1));
    crate::proxy::send(io, request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Halves = Halves {
        server: false,
        leads: false,
    };
    const FOLLOWER: Halves = Halves {
        server: true,
        leads: false,
    };
    const LEADER: Halves = Halves {
        server: true,
        leads: true,
    };

    fn of(method: &Method, uri: &str, halves: Halves) -> Place {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        place(
            subject(method, path, &Query::parse(query)),
            halves,
            Via::Http,
        )
    }

    #[test]
    fn reads_stay_with_a_server_and_writes_go_to_the_leader() {
        for uri in ["/v1/jobs", "/v1/job/a", "/v1/nodes", "/v1/status/leader"] {
            assert_eq!(of(&Method::GET, uri, FOLLOWER), Place::Here, "{uri}");
            assert_eq!(of(&Method::GET, uri, CLIENT), Place::Server, "{uri}");
            assert_eq!(of(&Method::GET, uri, LEADER), Place::Here, "{uri}");
        }
        for uri in ["/v1/jobs", "/v1/system/gc", "/v1/operator/snapshot"] {
            assert_eq!(of(&Method::PUT, uri, FOLLOWER), Place::Leader, "{uri}");
            assert_eq!(of(&Method::PUT, uri, CLIENT), Place::Server, "{uri}");
            assert_eq!(of(&Method::PUT, uri, LEADER), Place::Here, "{uri}");
        }
        assert_eq!(of(&Method::DELETE, "/v1/job/a", FOLLOWER), Place::Leader);
        assert_eq!(of(&Method::POST, "/v1/search", FOLLOWER), Place::Here);
    }

    #[test]
    fn an_agent_answers_for_itself() {
        for uri in [
            "/v1/agent/self",
            "/v1/agent/health",
            "/v1/agent/servers",
            "/v1/metrics",
            "/",
            "/ui/",
        ] {
            assert_eq!(of(&Method::GET, uri, CLIENT), Place::Here, "{uri}");
            assert_eq!(of(&Method::GET, uri, FOLLOWER), Place::Here, "{uri}");
        }
        assert_eq!(of(&Method::GET, "/v1/agent/members", CLIENT), Place::Server);
        assert_eq!(
            of(&Method::GET, "/v1/agent/members", FOLLOWER),
            Place::LeaderOrHere
        );
        assert_eq!(of(&Method::PUT, "/v1/jobs/parse", CLIENT), Place::Here);
    }

    #[test]
    fn nodes_answer_what_a_server_asks() {
        assert_eq!(place(Subject::OtherNode, CLIENT, Via::Tunnel), Place::Here);
        assert_eq!(place(Subject::OwnNode, CLIENT, Via::Http), Place::Here);
        assert_eq!(place(Subject::OtherNode, CLIENT, Via::Http), Place::Server);
        assert_eq!(
            place(Subject::OtherNode, FOLLOWER, Via::Forward),
            Place::Leader
        );
    }

    #[test]
    fn allocations_are_found_in_paths() {
        let id = "8ba85cef-531b-4a4c-9e5a-0d3f4b6f3c11";
        let wanted: AllocId = id.parse().expect("an id");
        for path in [
            format!("/v1/client/allocation/{id}/stats"),
            format!("/v1/client/fs/logs/{id}"),
            format!("/v1/client/fs/ls/{id}/"),
        ] {
            assert_eq!(alloc_of(&path), Some(wanted), "{path}");
        }
        assert_eq!(alloc_of("/v1/client/stats"), None);
    }
}
