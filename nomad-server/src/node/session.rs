//! One node's stream: registration, heartbeats and reports up, allocations down.

mod allocs;
mod register;

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use nomad_core::NodeId;
use nomad_core::alloc::AllocClientUpdate;
use nomad_core::node::{Node, NodeEvent, NodeStatus};
use nomad_core::view::ClusterView as _;
use nomad_proto::limits::{MAX_ALLOC_UPDATES, MAX_NODE_EVENTS};
use nomad_proto::node::error::Kind;
use nomad_proto::node::{self as wire, Ack, HeartbeatAck, NodeDown, NodeUp, node_down, node_up};
use nomad_proto::{NODE_PROTOCOL, unpack};
use nomad_state::command::{NodeEventsUpsert, NodeStatusUpdate};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use self::allocs::push_allocs;
use crate::error::ServerError;
use crate::leader::LeaderHandle;
use crate::node::registry::{DownSender, Inbox};
use crate::node::reports::Report;
use crate::node::{evals, status};
use crate::server::Inner;

/// Reports of one node that may wait for their commit at a time; then its stream is not read on.
const MAX_REPORTS: usize = 4;

/// Why a stream ends, or one message of it is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    kind: Kind,
    message: String,
    leader: String,
}

impl Refusal {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            leader: String::new(),
        }
    }

    fn down(&self, seq: u64) -> NodeDown {
        let retry_after = if self.kind == Kind::Busy {
            crate::error::RETRY_AFTER
        } else {
            std::time::Duration::ZERO
        };
        down(node_down::Message::Error(wire::Error {
            kind: self.kind.into(),
            message: self.message.clone(),
            seq,
            retry_after_ms: retry_after.as_millis() as u64,
            leader_address: self.leader.clone(),
        }))
    }
}

impl From<ServerError> for Refusal {
    fn from(error: ServerError) -> Self {
        let (kind, leader) = match &error {
            ServerError::NotLeader { leader } => (Kind::NotLeader, leader.clone()),
            ServerError::NoLeader | ServerError::Timeout { .. } | ServerError::Stopped { .. } => {
                (Kind::NoLeader, String::new())
            }
            ServerError::Busy { .. } => (Kind::Busy, String::new()),
            ServerError::BadRequest { .. } => (Kind::BadRequest, String::new()),
            _ => (Kind::Internal, String::new()),
        };
        Self {
            kind,
            message: error.to_string(),
            leader,
        }
    }
}

pub(super) fn down(message: node_down::Message) -> NodeDown {
    NodeDown {
        message: Some(message),
    }
}

/// A stream whose node is registered.
struct Session {
    inner: Arc<Inner>,
    leader: LeaderHandle,
    node: NodeId,
    inbox: Arc<Inbox>,
    /// Whether the node has reported its allocations on this stream.
    synced: bool,
}

/// Serves a stream until either side ends it.
pub(crate) async fn serve(inner: Arc<Inner>, mut up: Streaming<NodeUp>, sender: DownSender) {
    let refused = match begin(&inner, &mut up, &sender).await {
        Ok(mut session) => {
            let (node, inbox) = (session.node, Arc::clone(&session.inbox));
            let pushing = tokio::spawn(push_allocs(Arc::clone(&inner), node, Arc::clone(&inbox)));
            let ended = session.run(&mut up).await;
            inbox.closed.cancel();
            inner.sessions.remove(node, &inbox);
            // It ends with the token; a panic in it was logged by the runtime.
            let _ = pushing.await;
            ended
        }
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = refused {
        tracing::info!(kind = ?refusal.kind, message = refusal.message, "node stream ended");
        let _ = sender.send(Ok(refusal.down(0))).await;
    }
}

/// Takes the registration, which comes first.
async fn begin(
    inner: &Arc<Inner>,
    up: &mut Streaming<NodeUp>,
    sender: &DownSender,
) -> Result<Session, Refusal> {
    let leader = inner.wait_for_leader().await?;
    let first = up.message().await.map_err(|status| broken(&status))?;
    let Some(node_up::Message::Register(register)) = first.and_then(|up| up.message) else {
        return Err(Refusal::new(
            Kind::BadRequest,
            "the first message must be a registration",
        ));
    };
    let node = read_registration(&register)?;
    let id = node.id;
    let closed = inner.stop.child_token();
    let inbox = Arc::new(Inbox::new(sender.clone(), closed));
    let mut session = Session {
        inner: Arc::clone(inner),
        leader,
        node: id,
        inbox,
        synced: false,
    };
    session.register(node).await?;
    inner.sessions.insert(id, Arc::clone(&session.inbox));
    Ok(session)
}

fn read_registration(register: &wire::Register) -> Result<Node, Refusal> {
    if register.protocol > NODE_PROTOCOL {
        let message = format!(
            "the node speaks protocol {}, this server up to {NODE_PROTOCOL}: upgrade the servers first",
            register.protocol
        );
        return Err(Refusal::new(Kind::BadRequest, message));
    }
    unpack(&register.node).map_err(|error| Refusal::new(Kind::BadRequest, error.to_string()))
}

fn broken(status: &Status) -> Refusal {
    Refusal::new(
        Kind::BadRequest,
        format!("the stream broke: {}", status.message()),
    )
}

/// Waits until this server no longer leads.
async fn leadership_lost(leaders: &mut watch::Receiver<Option<LeaderHandle>>) {
    // A sender that is gone means that the server is stopping, which comes to the same.
    let _ = leaders.wait_for(Option::is_none).await.is_ok();
}

impl Session {
    /// Handles messages until the stream ends.
    async fn run(&mut self, up: &mut Streaming<NodeUp>) -> Result<(), Refusal> {
        let closed: CancellationToken = self.inbox.closed.clone();
        let mut reports = FuturesUnordered::new();
        let mut leaders = self.inner.leader.subscribe();
        loop {
            tokio::select! {
                () = closed.cancelled() => return Ok(()),
                () = leadership_lost(&mut leaders) => {
                    return Err(self.inner.leader_here().err().unwrap_or(ServerError::NoLeader).into());
                }
                Some((seq, outcome)) = reports.next(), if !reports.is_empty() => {
                    self.reported(seq, outcome).await?;
                }
                message = up.message(), if reports.len() < MAX_REPORTS => {
                    let message = match message {
                        Ok(Some(message)) => message,
                        Ok(None) => return Ok(()),
                        Err(status) => return Err(broken(&status)),
                    };
                    if let Some(report) = self.take(message).await? {
                        reports.push(report);
                    }
                }
            }
        }
    }

    async fn take(
        &mut self,
        message: NodeUp,
    ) -> Result<Option<impl Future<Output = (u64, Result<u64, ServerError>)> + use<>>, Refusal>
    {
        match message.message {
            Some(node_up::Message::Register(register)) => {
                let node = read_registration(&register)?;
                if node.id != self.node {
                    return Err(Refusal::new(Kind::BadRequest, "the node's id changed"));
                }
                self.register(node).await?;
            }
            Some(node_up::Message::Heartbeat(heartbeat)) => {
                let ttl = self.beat().await?;
                let ack = HeartbeatAck {
                    seq: heartbeat.seq,
                    heartbeat_ttl_ms: ttl,
                    servers: self.inner.server_addresses(),
                };
                self.send(node_down::Message::HeartbeatAck(ack)).await;
            }
            Some(node_up::Message::AllocUpdates(updates)) => {
                let seq = updates.seq;
                let updates: Vec<AllocClientUpdate> = unpack(&updates.batch)
                    .map_err(|error| Refusal::new(Kind::BadRequest, error.to_string()))?;
                if updates.len() > MAX_ALLOC_UPDATES {
                    let message = format!(
                        "{} allocation updates in one batch, at most {MAX_ALLOC_UPDATES} are allowed",
                        updates.len()
                    );
                    return Err(Refusal::new(Kind::BadRequest, message));
                }
                return self.report(seq, updates).await.map(Some);
            }
            Some(node_up::Message::NodeEvents(events)) => self.node_events(events).await?,
            Some(node_up::Message::AllocsAck(_)) | None => {}
        }
        Ok(None)
    }

    async fn send(&self, message: node_down::Message) {
        // A closed stream is noticed where it is read.
        let _ = self.inbox.down.send(Ok(down(message))).await;
    }

    /// Notes a sign of life; gives the span within which the next one is due, in milliseconds.
    async fn beat(&mut self) -> Result<u64, ServerError> {
        let ttl = self.leader.heartbeat(self.node).await?;
        self.revive("Node reregistered by heartbeat").await?;
        Ok(ttl.to_std().as_millis() as u64)
    }

    /// Brings the status of a living node up to date.
    async fn revive(&self, message: &str) -> Result<(), ServerError> {
        let state = self.inner.store.snapshot();
        let Some(node) = state.node(self.node) else {
            return Err(ServerError::refused("the node was purged; register again"));
        };
        let Some(new) = status::after_beat(&state, node, self.synced) else {
            return Ok(());
        };
        let now = self.inner.clock.now();
        let evals = if status::needs_evals(node.status, new) {
            evals::for_node(&state, node, now, || self.inner.ids.fresh())
        } else {
            Vec::new()
        };
        let was_away = node.status != NodeStatus::Init;
        let event = was_away.then(|| NodeEvent {
            message: message.to_owned(),
            subsystem: "Cluster".to_owned(),
            timestamp: now,
            ..NodeEvent::default()
        });
        let command = NodeStatusUpdate {
            id: self.node,
            status: new,
            event,
            evals,
            now,
            ..NodeStatusUpdate::default()
        };
        self.inner.propose(command).await.map(|_| ())
    }

    /// Hands a report on; the result tells when it is committed.
    async fn report(
        &mut self,
        seq: u64,
        updates: Vec<AllocClientUpdate>,
    ) -> Result<impl Future<Output = (u64, Result<u64, ServerError>)> + use<>, Refusal> {
        // A report is a sign of life too, and a node that counts as dead may not report.
        let ready = self
            .inner
            .store
            .snapshot()
            .node(self.node)
            .is_some_and(|node| matches!(node.status, NodeStatus::Ready | NodeStatus::Init));
        if !ready {
            self.beat().await?;
        }
        let own: Vec<_> = {
            let state = self.inner.store.snapshot();
            let is_own = |update: &AllocClientUpdate| {
                state
                    .alloc(update.id)
                    .is_none_or(|alloc| alloc.node_id == self.node)
            };
            updates.into_iter().filter(is_own).collect()
        };
        let (reply, committed) = oneshot::channel();
        if own.is_empty() {
            let index = self.inner.store.snapshot().last_index();
            let _ = reply.send(Ok(index));
        } else {
            let sent = self
                .inner
                .reports
                .send(Report {
                    updates: own,
                    reply,
                })
                .await;
            sent.map_err(|_| ServerError::Stopped {
                reason: "shutting down".into(),
            })?;
        }
        Ok(async move {
            let lost = || {
                Err(ServerError::Stopped {
                    reason: "shutting down".into(),
                })
            };
            (seq, committed.await.unwrap_or_else(|_| lost()))
        })
    }

    async fn reported(
        &mut self,
        seq: u64,
        outcome: Result<u64, ServerError>,
    ) -> Result<(), Refusal> {
        match outcome {
            Ok(index) => {
                self.send(node_down::Message::Ack(Ack { seq, index })).await;
                if !self.synced {
                    self.synced = true;
                    self.revive("Node reregistered by heartbeat").await?;
                }
                Ok(())
            }
            Err(error @ ServerError::Busy { .. }) => {
                let refusal = Refusal::from(error);
                let _ = self.inbox.down.send(Ok(refusal.down(seq))).await;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn node_events(&mut self, events: wire::NodeEvents) -> Result<(), Refusal> {
        let seq = events.seq;
        let events: Vec<NodeEvent> = unpack(&events.events)
            .map_err(|error| Refusal::new(Kind::BadRequest, error.to_string()))?;
        if events.len() > MAX_NODE_EVENTS {
            return Err(Refusal::new(
                Kind::BadRequest,
                "too many node events in one message",
            ));
        }
        let command = NodeEventsUpsert {
            events: [(self.node, events)].into(),
        };
        let applied = self.inner.propose(command).await?;
        self.send(node_down::Message::Ack(Ack {
            seq,
            index: applied.index,
        }))
        .await;
        Ok(())
    }
}
