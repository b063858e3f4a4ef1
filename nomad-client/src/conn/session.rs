//! One stream, from its registration to its end.

use std::sync::Arc;
use std::time::Duration;

use nomad_proto::limits::{MAX_ALLOC_UPDATES, NODE_STREAM_QUEUE};
use nomad_proto::node::error::Kind;
use nomad_proto::node::{
    AllocUpdates, AllocsAck, Error, Heartbeat, NodeDown, NodeUp, Register, ServerAddress,
    node_down, node_up,
};
use nomad_proto::service::node_client;
use nomad_proto::{NODE_PROTOCOL, pack};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::assemble::Assembler;
use super::servers::ServerList;
use super::tunnel::Tunnels;
use super::{LocalApi, describe};
use crate::client::Core;

/// A server that has not answered a registration after so long is given up.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(15);
/// A heartbeat without an answer after so long ends the stream.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);
/// A part of the granted span after which the next heartbeat is sent.
const HEARTBEAT_EARLY: f64 = 0.7;
/// Changes of the node within so long are registered together.
const NODE_CHANGE_PAUSE: Duration = Duration::from_millis(500);

/// Why a stream ended.
#[derive(Debug)]
pub(super) enum End {
    /// Another server leads.
    Redirected(String),
    /// The connection or the server is gone.
    Lost(String),
    /// The server will not have this node.
    Refused(String),
}

/// Opens a stream and keeps it as long as it lasts.
pub(super) async fn run(
    core: &Arc<Core>,
    local_api: &Arc<dyn LocalApi>,
    channel: Channel,
    servers: &mut ServerList,
) -> End {
    let (up, queue) = mpsc::channel(NODE_STREAM_QUEUE);
    let mut session = Session {
        core,
        servers,
        up,
        assembler: Assembler::default(),
        tunnels: Tunnels::new(channel.clone(), local_api.clone()),
        channel: channel.clone(),
        registered: false,
        reported: false,
        heartbeat_seq: 0,
        unanswered: None,
        next_heartbeat: None,
        register_at: None,
        resend_at: None,
    };
    // The server may answer the call only when it has seen the first message.
    if let Err(end) = session.register().await {
        return end;
    }
    let mut client = node_client(channel.clone());
    let opening = client.connect(ReceiverStream::new(queue));
    let mut down = match tokio::time::timeout(REGISTER_TIMEOUT, opening).await {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return End::Lost(describe(&status)),
        Err(_) => return End::Lost("the server does not answer".to_owned()),
    };
    loop {
        let step = tokio::select! {
            message = down.message() => match message {
                Ok(Some(message)) => session.take(message).await,
                Ok(None) => Err(End::Lost("the server ended the stream".to_owned())),
                Err(status) => Err(End::Lost(describe(&status))),
            },
            () = core.shared.reporter.wait(), if session.registered => session.report().await,
            () = core.node_changed.notified(), if session.registered => {
                session.register_at.get_or_insert(Instant::now() + NODE_CHANGE_PAUSE);
                Ok(())
            }
            () = sleep_until(session.next_wake()) => session.wake().await,
        };
        if let Err(end) = step {
            return end;
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

struct Session<'a> {
    core: &'a Arc<Core>,
    servers: &'a mut ServerList,
    up: mpsc::Sender<NodeUp>,
    assembler: Assembler,
    tunnels: Tunnels,
    channel: Channel,
    registered: bool,
    /// Whether a first batch, maybe empty, was sent.
    reported: bool,
    heartbeat_seq: u64,
    /// Until when the registration or heartbeat under way must be answered.
    unanswered: Option<Instant>,
    next_heartbeat: Option<Instant>,
    register_at: Option<Instant>,
    /// When reports that the server refused for the moment are sent again.
    resend_at: Option<Instant>,
}

impl Session<'_> {
    fn next_wake(&self) -> Option<Instant> {
        [
            self.unanswered,
            self.next_heartbeat,
            self.register_at,
            self.resend_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    async fn wake(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.unanswered) {
            return Err(End::Lost("the server does not answer".to_owned()));
        }
        if due(self.register_at) {
            self.register_at = None;
            self.register().await?;
        }
        if due(self.next_heartbeat) {
            self.heartbeat().await?;
        }
        if due(self.resend_at) {
            self.resend_at = None;
            self.report().await?;
        }
        Ok(())
    }

    async fn send(&self, message: node_up::Message) -> Result<(), End> {
        let message = NodeUp {
            message: Some(message),
        };
        self.up
            .send(message)
            .await
            .map_err(|_| End::Lost("the stream is closed".to_owned()))
    }

    async fn register(&mut self) -> Result<(), End> {
        let node = self.core.node.load_full();
        let node = pack(&*node).map_err(|error| End::Refused(error.to_string()))?;
        self.unanswered = Some(Instant::now() + REGISTER_TIMEOUT);
        self.send(node_up::Message::Register(Register {
            node,
            protocol: NODE_PROTOCOL,
        }))
        .await
    }

    async fn heartbeat(&mut self) -> Result<(), End> {
        self.next_heartbeat = None;
        self.heartbeat_seq += 1;
        self.unanswered = Some(Instant::now() + HEARTBEAT_TIMEOUT);
        let seq = self.heartbeat_seq;
        self.send(node_up::Message::Heartbeat(Heartbeat { seq }))
            .await
    }

    /// Sends the next batch of reports if none is under way.
    async fn report(&mut self) -> Result<(), End> {
        if self.resend_at.is_some() || !self.registered {
            return Ok(());
        }
        let packed = self.core.shared.reporter.with(|outbox| {
            outbox
                .next(MAX_ALLOC_UPDATES)
                .map(|(seq, batch)| (seq, pack(&batch)))
        });
        let (seq, batch) = match packed {
            Some((seq, Ok(batch))) => (seq, batch),
            Some((_, Err(error))) => return Err(End::Refused(error.to_string())),
            // The server waits for a first word.
            None if !self.reported => match pack(&Vec::<()>::new()) {
                Ok(nothing) => (0, nothing),
                Err(error) => return Err(End::Refused(error.to_string())),
            },
            None => return Ok(()),
        };
        self.reported = true;
        self.send(node_up::Message::AllocUpdates(AllocUpdates { seq, batch }))
            .await
    }

    async fn take(&mut self, message: NodeDown) -> Result<(), End> {
        match message.message {
            Some(node_down::Message::Registered(answer)) => {
                self.answered(answer.heartbeat_ttl_ms, &answer.servers);
                if !self.registered {
                    self.registered = true;
                    self.servers.succeeded();
                    tracing::info!(node = %self.core.node_id(), "registered");
                    *self.core.channel.lock() = Some(self.channel.clone());
                    self.core.registered.send_replace(true);
                }
                self.report().await
            }
            Some(node_down::Message::HeartbeatAck(answer)) => {
                if answer.seq == self.heartbeat_seq {
                    self.answered(answer.heartbeat_ttl_ms, &answer.servers);
                }
                Ok(())
            }
            Some(node_down::Message::Allocs(part)) => {
                let known = || self.core.shared.allocs.lock().keys().copied().collect();
                let (assignment, done) = self
                    .assembler
                    .part(&part, &self.core.shared.jobs, known)
                    .map_err(|error| End::Lost(error.to_string()))?;
                self.core.assign(assignment);
                match done {
                    Some(index) => {
                        self.send(node_up::Message::AllocsAck(AllocsAck { index }))
                            .await
                    }
                    None => Ok(()),
                }
            }
            Some(node_down::Message::Ack(ack)) => {
                self.core
                    .shared
                    .reporter
                    .with(|outbox| outbox.acked(ack.seq));
                self.report().await
            }
            Some(node_down::Message::OpenTunnel(open)) => {
                self.tunnels.open(open.id);
                Ok(())
            }
            Some(node_down::Message::Error(error)) => self.refused(error).await,
            // A message of a newer server that this version does not know.
            None => Ok(()),
        }
    }

    fn answered(&mut self, ttl_ms: u64, servers: &[ServerAddress]) {
        let now = Instant::now();
        self.unanswered = None;
        let ttl = Duration::from_millis(ttl_ms.max(100));
        self.next_heartbeat = Some(now + ttl.mul_f64(HEARTBEAT_EARLY));
        let addresses: Vec<String> = servers
            .iter()
            .map(|server| server.address.clone())
            .filter(|address| !address.is_empty())
            .collect();
        if !addresses.is_empty() {
            self.servers.replace(addresses);
            *self.core.servers.lock() = self.servers.all().to_vec();
        }
        self.core
            .heartbeats
            .lock()
            .heartbeat(self.core.shared.clock.now());
        self.core.heartbeats_changed.notify_one();
    }

    async fn refused(&mut self, error: Error) -> Result<(), End> {
        let text = error.message.clone();
        match error.kind() {
            Kind::NotLeader if !error.leader_address.is_empty() => {
                Err(End::Redirected(error.leader_address))
            }
            Kind::NotLeader | Kind::NoLeader | Kind::Internal | Kind::Unspecified => {
                Err(End::Lost(text))
            }
            Kind::BadRequest | Kind::WrongSecret => Err(End::Refused(text)),
            Kind::Busy => {
                self.requeue(Duration::from_millis(error.retry_after_ms.max(10)));
                Ok(())
            }
            Kind::NodeNotReady => {
                // The heartbeat makes the node ready again; then the reports are welcome.
                self.requeue(Duration::from_millis(error.retry_after_ms.max(100)));
                self.heartbeat().await
            }
        }
    }

    fn requeue(&mut self, after: Duration) {
        self.core
            .shared
            .reporter
            .with(crate::machine::outbox::Outbox::requeue);
        self.resend_at = Some(Instant::now() + after);
    }
}
