//! What only the leader does: started when leadership is gained, ended when it is lost, rebuilt from the state.

mod capacity;
mod changes;
mod custodian;
mod deployments;
mod drain;
mod gc;
mod periodic;
mod proposals;
mod run;

use std::sync::Arc;

use nomad_core::eval::Evaluation;
use nomad_core::{EvalId, Nanos, NodeId};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::blocked::BlockedStats;
use crate::broker::{BrokerStats, Delivery, JobTypes, Token};
use crate::config::LEADER_QUEUE;
use crate::error::ServerError;
use crate::server::Inner;

use custodian::Custodian;
pub(crate) use custodian::Renewal;
use run::LeaderLoop;

/// What is asked of the leader's loop.
#[derive(Debug)]
pub(crate) enum Request {
    Dequeue {
        types: JobTypes,
        reply: oneshot::Sender<Delivery>,
    },
    Ack {
        eval: EvalId,
        token: Token,
    },
    Nack {
        eval: EvalId,
        token: Token,
    },
    Extend {
        eval: EvalId,
        token: Token,
    },
    /// Answers whether the evaluation is still the caller's.
    PauseTimer {
        eval: EvalId,
        token: Token,
        reply: oneshot::Sender<bool>,
    },
    Reblock {
        eval: Arc<Evaluation>,
        token: Token,
    },
    Heartbeat {
        node: NodeId,
        reply: oneshot::Sender<Nanos>,
    },
    /// Collects everything that may go.
    CollectGarbage {
        reply: oneshot::Sender<Result<(), ServerError>>,
    },
    Stats {
        reply: oneshot::Sender<LeaderStats>,
    },
}

/// How much is queued at the leader.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeaderStats {
    pub broker: BrokerStats,
    pub blocked: BlockedStats,
    /// Nodes that are expected to show up.
    pub heartbeats: usize,
}

/// How the rest of the server reaches the leader's loop while this server leads.
#[derive(Debug, Clone)]
pub(crate) struct LeaderHandle {
    requests: mpsc::Sender<Request>,
}

impl LeaderHandle {
    /// Asks for an evaluation; nothing comes when the loop ends.
    pub(crate) fn dequeue(
        &self,
        types: JobTypes,
    ) -> impl Future<Output = Option<Delivery>> + Send + use<> {
        let requests = self.requests.clone();
        async move {
            let (reply, delivery) = oneshot::channel();
            requests
                .send(Request::Dequeue { types, reply })
                .await
                .ok()?;
            delivery.await.ok()
        }
    }

    /// For worker threads. A loop that has ended needs no acknowledgement.
    pub(crate) fn ack(&self, eval: EvalId, token: Token) {
        let _ = self.requests.blocking_send(Request::Ack { eval, token });
    }

    /// For worker threads.
    pub(crate) fn nack(&self, eval: EvalId, token: Token) {
        let _ = self.requests.blocking_send(Request::Nack { eval, token });
    }

    /// For worker threads.
    pub(crate) fn extend(&self, eval: EvalId, token: Token) {
        let _ = self.requests.blocking_send(Request::Extend { eval, token });
    }

    /// For worker threads.
    pub(crate) fn reblock(&self, eval: Arc<Evaluation>, token: Token) {
        let _ = self
            .requests
            .blocking_send(Request::Reblock { eval, token });
    }

    /// Stops the evaluation's time; false if it is no longer the caller's.
    pub(crate) async fn pause_timer(&self, eval: EvalId, token: Token) -> bool {
        self.ask(|reply| Request::PauseTimer { eval, token, reply })
            .await
            .unwrap_or(false)
    }

    /// A node lives; it should show up again within the answer.
    pub(crate) async fn heartbeat(&self, node: NodeId) -> Result<Nanos, ServerError> {
        self.ask(|reply| Request::Heartbeat { node, reply }).await
    }

    /// Collects everything that may go.
    pub(crate) async fn collect_garbage(&self) -> Result<(), ServerError> {
        self.ask(|reply| Request::CollectGarbage { reply }).await?
    }

    /// How much is queued.
    pub(crate) async fn stats(&self) -> Result<LeaderStats, ServerError> {
        self.ask(|reply| Request::Stats { reply }).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, ServerError> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(request(reply))
            .await
            .map_err(|_| ServerError::NoLeader)?;
        answer.await.map_err(|_| ServerError::NoLeader)
    }
}

/// Starts and ends the leader's loop with leadership, until the server stops.
pub(crate) async fn supervise(inner: Arc<Inner>) {
    let mut leadership = inner.raft.leader_changes();
    loop {
        let ready = leadership.borrow_and_update().ready;
        if ready {
            lead(&inner, &mut leadership).await;
        }
        tokio::select! {
            biased;
            () = inner.stop.cancelled() => return,
            changed = leadership.changed(), if !ready => if changed.is_err() { return },
            // Leadership was lost while leading: look again at once.
            () = std::future::ready(()), if ready => {}
        }
    }
}

/// Leads until leadership is lost or the server stops.
async fn lead(
    inner: &Arc<Inner>,
    leadership: &mut tokio::sync::watch::Receiver<nomad_raft::Leadership>,
) {
    let term = leadership.borrow().term;
    tracing::info!(term, "leadership gained");
    metrics::counter!("nomad.raft.state.leader").increment(1);
    let (requests, queue) = mpsc::channel(LEADER_QUEUE);
    let end = CancellationToken::new();
    let the_loop = LeaderLoop::new(Arc::clone(inner), end.clone());
    let running = tokio::spawn(the_loop.run(queue));
    let (renewals, renewal_queue) = mpsc::channel(LEADER_QUEUE);
    let custodian = Custodian::new(Arc::clone(inner), end.clone());
    let keeping = tokio::spawn(custodian.run(renewal_queue));
    *inner.renewals.lock() = Some(renewals);
    inner.leader.send_replace(Some(LeaderHandle { requests }));
    tokio::select! {
        () = inner.stop.cancelled() => {}
        _ = leadership.wait_for(|now| !now.ready || now.term != term) => {}
    }
    inner.leader.send_replace(None);
    *inner.renewals.lock() = None;
    end.cancel();
    if let Err(error) = keeping.await {
        tracing::error!(%error, "the keeper of locks and keys failed");
    }
    if let Err(error) = running.await {
        tracing::error!(%error, "the leader's loop failed");
    }
    tracing::info!(term, "leadership ended");
}
