//! The task by which a server finds the others, and what it answers them.
//!
//! Servers talk over the byte stream on which requests are handed on, on paths of their own that no listener for
//! users serves: `/internal/hello`, `join`, `leave`, `promise` and `bootstrap`.

use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use nomad_api::error::ApiError;
use nomad_core::Uuid;
use nomad_raft::PeerInfo;
use nomad_server::{Server, ServerError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::join::{Step, step};
use super::{Cluster, Facts};
use crate::build::resolve;
use crate::config::Join;

/// Where paths between servers begin.
pub(crate) const INTERNAL: &str = "/internal/";
/// Largest message between servers, in bytes.
const MAX_MESSAGE: usize = 1 << 20;
/// How long another server may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Port where servers are looked for when an address names none.
const DEFAULT_SERF_PORT: u16 = 4648;
/// Pause between rounds while a cluster is sought and others are there.
const SEEK_PAUSE: Duration = Duration::from_millis(500);
/// Rounds that come quickly though nobody answers: servers that are started together are not up at the same moment.
const QUICK_ROUNDS: u32 = 10;
/// Pause between rounds in a cluster.
const MEMBER_PAUSE: Duration = Duration::from_secs(5);

/// The answer to `hello`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Hello {
    server: Facts,
    /// Whether it is a member of a cluster.
    member: bool,
    /// Others that it has heard of.
    known: Vec<Facts>,
}

/// Members to begin with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Members {
    members: Vec<Facts>,
}

/// What most calls are answered with.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Done {
    granted: bool,
}

fn peer_info(facts: &Facts) -> PeerInfo {
    PeerInfo {
        node_id: facts.id.clone(),
        name: format!("{}.{}", facts.name, facts.region),
        address: facts.rpc.clone(),
    }
}

/// Calls another server.
async fn call<T: DeserializeOwned>(
    address: &str,
    what: &str,
    message: &impl Serialize,
) -> Result<T, String> {
    let body = serde_json::to_vec(message).map_err(|error| error.to_string())?;
    let request = Request::post(format!("{INTERNAL}{what}"))
        .header(http::header::CONTENT_LENGTH, body.len())
        .body(Body::from(body))
        .map_err(|error| error.to_string())?;
    let asking = async {
        let io = Server::reach(address)
            .await
            .map_err(|error| error.to_string())?;
        let response = crate::proxy::send(io, request)
            .await
            .map_err(|error| error.text)?;
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), MAX_MESSAGE)
            .await
            .map_err(|error| error.to_string())?;
        if !status.is_success() {
            return Err(String::from_utf8_lossy(&body).into_owned());
        }
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    };
    tokio::time::timeout(ANSWER_TIMEOUT, asking)
        .await
        .unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

/// Answers another server.
pub(crate) async fn answer(
    cluster: &Cluster,
    server: &Server,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let what = request.uri().path().to_owned();
    let what = what.strip_prefix(INTERNAL).unwrap_or_default();
    let body = axum::body::to_bytes(request.into_body(), MAX_MESSAGE)
        .await
        .map_err(|_| ApiError::bad_request("message cannot be read, or is too large"))?;
    match what {
        "hello" => {
            cluster.heard(read(&body)?);
            write(&Hello {
                server: cluster.own(),
                member: is_member(server).await,
                known: cluster.others(),
            })
        }
        "join" => {
            let facts: Facts = read(&body)?;
            let own = cluster.own();
            if facts.region != own.region {
                return Err(ApiError::bad_request(format!(
                    "server {:?} is of region {:?}, this cluster of {:?}",
                    facts.name, facts.region, own.region
                )));
            }
            let id = parse_id(&facts)?;
            let info = peer_info(&facts);
            let taken = server
                .known_servers()
                .into_iter()
                .any(|peer| peer.name == info.name && peer.node_id != info.node_id);
            if taken {
                return Err(ApiError::bad_request(format!(
                    "another server is called {:?}: give this one a name of its own",
                    info.name
                )));
            }
            server.add_server(id, info, true).await.map_err(failed)?;
            tracing::info!(server = facts.name, address = facts.rpc, "server joined");
            cluster.heard(facts);
            write(&Done { granted: true })
        }
        "leave" => {
            let facts: Facts = read(&body)?;
            let number = nomad_server::config::raft_id(parse_id(&facts)?);
            server.remove_server(number).await.map_err(failed)?;
            tracing::info!(server = facts.name, "server left");
            cluster.forget(&facts.id);
            write(&Done { granted: true })
        }
        "promise" => {
            let members: Members = read(&body)?;
            let granted = !is_member(server).await && cluster.promise(&members.members);
            write(&Done { granted })
        }
        "bootstrap" => {
            let members: Members = read(&body)?;
            let granted = cluster.promised(&members.members);
            if granted {
                begin(server, &members.members).await?;
            }
            write(&Done { granted })
        }
        _ => Err(ApiError::no_route()),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::bad_request(error.to_string()))
}

fn write(answer: &impl Serialize) -> Result<Response<Body>, ApiError> {
    let body = serde_json::to_vec(answer).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Response::new(Body::from(body)))
}

fn failed(error: ServerError) -> ApiError {
    ApiError::internal(error.to_string())
}

fn parse_id(facts: &Facts) -> Result<Uuid, ApiError> {
    facts
        .id
        .parse()
        .map_err(|_| ApiError::bad_request(format!("{:?} is no server id", facts.id)))
}

async fn begin(server: &Server, members: &[Facts]) -> Result<(), ApiError> {
    let members = members
        .iter()
        .map(|facts| Ok((parse_id(facts)?, peer_info(facts))))
        .collect::<Result<Vec<_>, ApiError>>()?;
    server.bootstrap(&members).await.map_err(failed)
}

/// Whether this server belongs to a cluster now.
async fn is_member(server: &Server) -> bool {
    let own = nomad_server::config::raft_id(server.config().id);
    server
        .consensus()
        .await
        .is_ok_and(|status| status.membership.contains(own))
}

/// Looks for a cluster until this server belongs to one, and keeps up what is known of its members.
pub(crate) async fn seek(
    cluster: Cluster,
    server: Server,
    join: Join,
    fatal: mpsc::Sender<String>,
    stop: CancellationToken,
) {
    let mut seeker = Seeker {
        cluster,
        server,
        join,
        seen_as_member: false,
        rounds: 0,
        told: String::new(),
    };
    loop {
        let pause = match seeker.round().await {
            Ok(pause) => pause,
            Err(reason) => {
                // The agent is ending by itself if nobody listens.
                let _ = fatal.send(reason).await;
                return;
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = seeker.cluster.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

struct Seeker {
    cluster: Cluster,
    server: Server,
    join: Join,
    /// Belonged to a cluster at some time since the start: one that was removed does not come back by itself.
    seen_as_member: bool,
    rounds: u32,
    /// The last complaint, which is not repeated.
    told: String,
}

impl Seeker {
    /// One round; gives the pause after it.
    async fn round(&mut self) -> Result<Duration, String> {
        let Ok(status) = self.server.consensus().await else {
            return Ok(MEMBER_PAUSE);
        };
        let own = self.server.config().peer_info();
        let number = nomad_server::config::raft_id(self.server.config().id);
        if status.membership.contains(number) {
            self.seen_as_member = true;
            let others: Vec<PeerInfo> = status
                .peers
                .iter()
                .filter(|peer| peer.id != number)
                .map(|peer| peer.info.clone())
                .collect();
            let addresses: Vec<String> = others.iter().map(|peer| peer.address.clone()).collect();
            let answered = self.greet(&addresses).await;
            // A server that came back at another address tells so.
            let stored = status.membership.peers.get(&number);
            if stored.is_some_and(|stored| *stored != own)
                && let Some((facts, _)) = answered.first()
            {
                self.ask_to_join(&facts.rpc.clone()).await;
            }
            return Ok(MEMBER_PAUSE);
        }
        if self.seen_as_member {
            return Ok(MEMBER_PAUSE);
        }
        self.rounds = self.rounds.saturating_add(1);
        let first = self.rounds == 1;
        let mut entries = self.join.retry_join.clone();
        if first {
            entries.extend(self.join.start_join.clone());
        }
        let mut addresses = resolve(&entries, DEFAULT_SERF_PORT).await;
        for facts in self.cluster.others() {
            addresses.push(facts.rpc);
        }
        addresses.sort();
        addresses.dedup();
        let answered = self.greet(&addresses).await;
        match step(&self.cluster.own(), &answered) {
            Step::Join(address) => self.ask_to_join(&address).await,
            Step::Bootstrap(members) => self.make(&members).await,
            Step::Wait => {}
        }
        if !answered.is_empty() {
            return Ok(SEEK_PAUSE);
        }
        let late = self.rounds.saturating_sub(QUICK_ROUNDS);
        if self.join.retry_max > 0 && late > self.join.retry_max {
            return Err(format!(
                "no server could be joined in {} rounds (retry_max)",
                self.join.retry_max
            ));
        }
        Ok(if late == 0 {
            SEEK_PAUSE.min(self.join.retry_interval)
        } else {
            self.join.retry_interval
        })
    }

    /// Introduces this server to others; gives those that answered, and what they know is heard of as well.
    async fn greet(&mut self, addresses: &[String]) -> Vec<(Facts, bool)> {
        let own = self.cluster.own();
        let hello = |address: String| {
            let own = own.clone();
            async move { (call::<Hello>(&address, "hello", &own).await, address) }
        };
        let mut answered: Vec<(Facts, bool)> = Vec::new();
        let mut asked: Vec<String> = addresses.to_vec();
        let mut next: Vec<String> = addresses.to_vec();
        // The second turn reaches those whom the first ones know.
        for _ in 0..2 {
            let answers = futures::future::join_all(next.drain(..).map(&hello)).await;
            for (answer, address) in answers {
                match answer {
                    Ok(answer) if answer.server.id == own.id => {}
                    Ok(answer) => {
                        for known in answer.known {
                            if known.id != own.id && !asked.contains(&known.rpc) {
                                asked.push(known.rpc.clone());
                                next.push(known.rpc);
                            }
                        }
                        let new = answered
                            .iter()
                            .all(|(facts, _)| facts.id != answer.server.id);
                        if new {
                            self.cluster.heard(answer.server.clone());
                            answered.push((answer.server, answer.member));
                        }
                    }
                    Err(reason) => {
                        tracing::debug!(server = address, reason, "server does not answer");
                    }
                }
            }
            next.retain(|address| answered.iter().all(|(facts, _)| facts.rpc != *address));
        }
        answered
    }

    async fn ask_to_join(&mut self, address: &str) {
        let own = self.cluster.own();
        if let Err(reason) = call::<Done>(address, "join", &own).await {
            self.complain(format!("cannot join the cluster of {address}: {reason}"));
        }
    }

    fn complain(&mut self, text: String) {
        if text != self.told {
            tracing::warn!("{text}");
            self.told = text;
        }
    }

    /// Makes a cluster, if every member promises to begin with the same ones.
    async fn make(&mut self, members: &[Facts]) {
        if !self.cluster.promise(members) {
            return;
        }
        let own = self.cluster.own().id;
        let message = Members {
            members: members.to_vec(),
        };
        let others = || members.iter().filter(|facts| facts.id != own);
        let promises = others().map(|facts| call::<Done>(&facts.rpc, "promise", &message));
        let promises = futures::future::join_all(promises).await;
        if !promises
            .iter()
            .all(|done| done.as_ref().is_ok_and(|done| done.granted))
        {
            self.complain("the servers found do not agree on a cluster yet".to_owned());
            return;
        }
        if let Err(error) = begin(&self.server, members).await {
            self.complain(format!("cannot begin a cluster: {}", error.text));
            return;
        }
        // One that misses this learns the members from the leader.
        let told = others().map(|facts| call::<Done>(&facts.rpc, "bootstrap", &message));
        futures::future::join_all(told).await;
        let names: Vec<&str> = members.iter().map(|facts| facts.name.as_str()).collect();
        tracing::info!(members = names.join(", "), "cluster begun");
    }
}

/// Takes this server out of its cluster, if others are left in it.
pub(crate) async fn leave(cluster: &Cluster, server: &Server) {
    let Ok(status) = server.consensus().await else {
        return;
    };
    if status.membership.voters.len() < 2 {
        return;
    }
    if server.is_leader()
        && let Err(error) = server.transfer_leadership(None).await
    {
        tracing::warn!(%error, "leadership cannot be handed over");
    }
    let Some(leader) = server.leader_address() else {
        return;
    };
    if let Err(reason) = call::<Done>(&leader, "leave", &cluster.own()).await {
        tracing::warn!(
            reason,
            "this server stays a member: the leader did not remove it"
        );
    }
}
