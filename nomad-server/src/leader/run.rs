//! The leader's loop: one task that feeds the control loops and does what they say.

use std::collections::HashMap;
use std::sync::Arc;

use nomad_core::eval::{EvalStatus, EvalTrigger, Evaluation};
use nomad_core::job::JobStatus;
use nomad_core::node::{NodeEvent, NodeStatus};
use nomad_core::scheduler_config::SchedulerConfiguration;
use nomad_core::view::ClusterView as _;
use nomad_core::{IdSource as _, Nanos, NodeId, Timestamp};
use nomad_state::command::{ClusterMetadata, EvalUpsert, NodeStatusUpdate, SchedulerConfigSet};
use nomad_state::{Command, State};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::proposals::{Proposals, Purpose, Settled};
use super::{LeaderStats, Request};
use crate::blocked::{self, BlockedEvals};
use crate::broker::{self, Broker, Delivery, RequestId};
use crate::deployments::{self, DeploymentWatcher};
use crate::drain::{self, Drainer};
use crate::feed::FeedItem;
use crate::gc::GcTimer;
use crate::heartbeat::{self, Heartbeats};
use crate::node::{evals, status};
use crate::periodic::{self, Dispatcher};
use crate::server::Inner;
use crate::telemetry::{eval_labels, millis};

/// Shortest delay of the evaluation that follows one which was given up.
const FOLLOW_UP_DELAY: Nanos = Nanos::mins(1);
/// Random addition to [`FOLLOW_UP_DELAY`].
const FOLLOW_UP_JITTER: Nanos = Nanos::mins(5);
/// A node whose status could not be written is looked at again after this span.
const MISSED_RETRY: Nanos = Nanos::secs(1);
/// How long nodes get to report what they run after a snapshot was restored, before every job is looked at.
const RESTORE_SETTLE: Nanos = Nanos::secs(5);
/// Evaluations written in one log entry then.
const EVALS_PER_ENTRY: usize = 1000;

/// Gauges are written at most this often.
const GAUGE_INTERVAL: Nanos = Nanos::secs(1);

/// The control loops and what they need.
pub(super) struct LeaderLoop {
    pub(super) inner: Arc<Inner>,
    end: CancellationToken,
    feed: broadcast::Receiver<FeedItem>,
    /// The newest state that the loops know of.
    pub(super) state: State,
    pub(super) broker: Broker,
    pub(super) blocked: BlockedEvals,
    pub(super) heartbeats: Heartbeats,
    pub(super) deployments: DeploymentWatcher,
    pub(super) drainer: Drainer,
    pub(super) gc: GcTimer,
    pub(super) periodic: Dispatcher,
    workers: HashMap<RequestId, oneshot::Sender<Delivery>>,
    beats: HashMap<NodeId, oneshot::Sender<Nanos>>,
    next_request: u64,
    /// When gauges are to be written, if something changed since they were.
    metrics_due: Option<Timestamp>,
    pub(super) proposals: Proposals,
}

impl LeaderLoop {
    pub(super) fn new(inner: Arc<Inner>, end: CancellationToken) -> Self {
        Self {
            end,
            feed: inner.feed.subscribe(),
            state: State::default(),
            broker: Broker::new(inner.config.broker.clone()),
            blocked: BlockedEvals::new(),
            heartbeats: Heartbeats::new(inner.config.heartbeat.clone()),
            deployments: DeploymentWatcher::new(),
            drainer: Drainer::new(),
            periodic: Dispatcher::new(),
            gc: GcTimer::new(inner.config.gc.interval, inner.clock.now()),
            workers: HashMap::new(),
            beats: HashMap::new(),
            next_request: 0,
            metrics_due: None,
            proposals: Proposals::default(),
            inner,
        }
    }

    /// Works until leadership ends.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        self.rebuild();
        self.found_cluster();
        let mut timer = std::pin::pin!(tokio::time::sleep(std::time::Duration::MAX));
        loop {
            self.start_cancelling();
            let now = self.now();
            let wake = self.next_wake();
            if let Some(wake) = wake {
                let after = wake.since(now).to_std();
                timer.as_mut().reset(tokio::time::Instant::now() + after);
            }
            tokio::select! {
                () = self.end.cancelled() => return,
                item = self.feed.recv() => match item {
                    Ok(item) => self.take(&item),
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "the leader's loop lagged, reading the state anew");
                        self.rebuild();
                    }
                    Err(RecvError::Closed) => return,
                },
                request = requests.recv() => match request {
                    Some(request) => {
                        self.catch_up();
                        self.request(request);
                    }
                    None => return,
                },
                settled = self.proposals.next() => {
                    self.catch_up();
                    self.settled(settled);
                }
                () = timer.as_mut(), if wake.is_some() => {
                    self.catch_up();
                    self.tick();
                }
            }
        }
    }

    /// Takes what the feed holds: whoever has an answer may rely on the loops knowing of it.
    fn catch_up(&mut self) {
        loop {
            match self.feed.try_recv() {
                Ok(item) => self.take(&item),
                Err(TryRecvError::Lagged(_)) => self.rebuild(),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn next_wake(&self) -> Option<Timestamp> {
        [
            self.broker.next_wake(),
            self.blocked.next_wake(),
            self.heartbeats.next_wake(),
            self.deployments.next_wake(),
            self.drainer.next_wake(),
            self.gc.next_wake(),
            self.periodic.next_wake(),
            self.metrics_due,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Something changed: the gauges are due soon, once for all that happens until then.
    fn gauges_changed(&mut self) {
        let now = self.now();
        self.metrics_due.get_or_insert(now + GAUGE_INTERVAL);
    }

    fn take(&mut self, item: &FeedItem) {
        self.gauges_changed();
        match &item.changes {
            None => {
                self.rebuild();
                self.look_again(RESTORE_SETTLE);
            }
            // Contained in the state that was read when the loops were rebuilt.
            Some(_) if item.state.last_index() <= self.state.last_index() => {}
            Some(changes) => {
                self.state = item.state.clone();
                for change in changes.iter() {
                    self.changed(change);
                }
            }
        }
    }

    /// Fills the loops from the state.
    fn rebuild(&mut self) {
        self.state = self.inner.store.snapshot();
        self.broker.clear();
        self.blocked.clear();
        self.heartbeats.clear();
        let state = self.state.clone();
        if !state.scheduler_config().pause_eval_broker {
            self.queue_all(&state);
        }
        let nodes = state
            .all_nodes()
            .filter(|node| !node.is_down())
            .map(|node| node.id)
            .collect();
        self.heartbeat(heartbeat::Event::Recover { nodes });
        let now = self.now();
        let actions = self.deployments.recover(state.deployments(), &state, now);
        self.follow_deployments(actions);
        let actions = self.drainer.recover(state.all_nodes(), &state, now);
        self.follow_drain(actions);
        let jobs = state
            .jobs()
            .map(|job| (&**job, state.periodic_launch(&job.key())));
        let actions = self.periodic.recover(jobs, now);
        self.follow_periodic(actions);
    }

    /// Has every job evaluated after a snapshot was restored: what runs on the nodes may no longer be what the state
    /// says. The nodes get a moment to report first.
    fn look_again(&mut self, after: Nanos) {
        let now = self.now();
        let state = self.state.clone();
        let evals: Vec<Evaluation> = state
            .jobs()
            .filter(|job| {
                !job.stopped()
                    && job.status != JobStatus::Dead
                    && !job.is_periodic()
                    && !job.is_parameterized()
            })
            .map(|job| Evaluation {
                id: self.inner.ids.fresh(),
                namespace: job.namespace.clone(),
                job_id: job.id.clone(),
                job_type: job.job_type,
                priority: job.priority,
                job_modify_index: job.job_modify_index,
                triggered_by: EvalTrigger::NodeUpdate,
                wait_until: now + after,
                create_time: now,
                modify_time: now,
                ..Evaluation::default()
            })
            .collect();
        for evals in evals.chunks(EVALS_PER_ENTRY) {
            let evals = evals.to_vec();
            self.propose(Purpose::Found, EvalUpsert { evals, now });
        }
    }

    /// Gives a new cluster its id and its scheduler configuration.
    fn found_cluster(&mut self) {
        if self.state.cluster_id().is_none() {
            let cluster_id = self.inner.ids.fresh::<nomad_core::Uuid>().to_string();
            self.propose(Purpose::Found, ClusterMetadata { cluster_id });
        }
        if self.state.scheduler_config().modify_index == 0 {
            let config = SchedulerConfiguration::default();
            self.propose(
                Purpose::Found,
                SchedulerConfigSet {
                    config,
                    cas: Some(0),
                },
            );
        }
    }

    /// Queues every open evaluation of the state.
    pub(super) fn queue_all(&mut self, state: &State) {
        for eval in state.evals() {
            match eval.status {
                EvalStatus::Pending => self.enqueue(Arc::clone(eval), None),
                EvalStatus::Blocked => self.block(Arc::clone(eval), None),
                _ => {}
            }
        }
    }

    fn request(&mut self, request: Request) {
        self.gauges_changed();
        match request {
            Request::Dequeue { types, reply } => {
                self.next_request += 1;
                let request = RequestId(self.next_request);
                self.workers.insert(request, reply);
                self.broker(broker::Event::Dequeue { request, types });
            }
            Request::Ack { eval, token } => self.broker(broker::Event::Ack { eval, token }),
            Request::Nack { eval, token } => self.broker(broker::Event::Nack { eval, token }),
            Request::Extend { eval, token } => self.broker(broker::Event::Extend { eval, token }),
            Request::PauseTimer { eval, token, reply } => {
                let outstanding = self.broker.is_outstanding(eval, token);
                self.broker(broker::Event::PauseTimer { eval, token });
                let _ = reply.send(outstanding);
            }
            Request::Reblock { eval, token } => self.block(eval, Some(token)),
            Request::Heartbeat { node, reply } => {
                self.beats.insert(node, reply);
                let jitter = self.inner.ids.fraction();
                self.heartbeat(heartbeat::Event::Beat { node, jitter });
            }
            Request::CollectGarbage { reply } => self.collect_at_once(reply),
            Request::Stats { reply } => {
                let _ = reply.send(LeaderStats {
                    broker: self.broker.stats(),
                    blocked: self.blocked.stats(),
                    heartbeats: self.heartbeats.len(),
                });
            }
        }
    }

    fn tick(&mut self) {
        self.broker(broker::Event::Tick);
        self.blocked(blocked::Event::Tick);
        self.heartbeat(heartbeat::Event::Tick);
        self.deployments(deployments::Event::Tick);
        self.drain(drain::Event::Tick);
        self.collect_garbage(self.now());
        self.periodic(periodic::Event::Tick);
        if self.metrics_due.is_some_and(|due| due <= self.now()) {
            self.metrics_due = None;
            self.record_metrics();
        }
    }

    // The loops, and doing what they say.

    pub(super) fn enqueue(&mut self, eval: Arc<Evaluation>, token: Option<broker::Token>) {
        self.broker(broker::Event::Enqueue { eval, token });
    }

    pub(super) fn broker(&mut self, event: broker::Event) {
        let now = self.now();
        for action in self.broker.handle(event, now) {
            match action {
                broker::Action::Deliver { request, delivery } => self.deliver(request, delivery),
                broker::Action::GiveUp { delivery } => self.give_up(&delivery, now),
            }
        }
    }

    fn deliver(&mut self, request: RequestId, delivery: Delivery) {
        metrics::histogram!("nomad.nomad.broker.wait_time", eval_labels(&delivery.eval))
            .record(millis(delivery.waited.to_std()));
        let refused = match self.workers.remove(&request) {
            Some(worker) => worker.send(delivery).err(),
            None => Some(delivery),
        };
        // The worker is gone; the evaluation comes back after a moment.
        if let Some(Delivery { eval, token, .. }) = refused {
            self.broker(broker::Event::Nack {
                eval: eval.id,
                token,
            });
        }
    }

    fn give_up(&mut self, delivery: &Delivery, now: Timestamp) {
        let limit = self.inner.config.broker.delivery_limit;
        let mut failed = Evaluation::clone(&delivery.eval);
        failed.status = EvalStatus::Failed;
        failed.status_description = format!("evaluation reached delivery limit ({limit})");
        failed.modify_time = now;
        let mut evals = Vec::new();
        if self.state.job(&failed.job_key()).is_some() {
            let jitter = FOLLOW_UP_JITTER.0 as f64 * self.inner.ids.fraction();
            let follow_up = Evaluation {
                id: self.inner.ids.fresh(),
                namespace: failed.namespace.clone(),
                job_id: failed.job_id.clone(),
                job_type: failed.job_type,
                priority: failed.priority,
                job_modify_index: failed.job_modify_index,
                triggered_by: EvalTrigger::FailedFollowUp,
                wait: FOLLOW_UP_DELAY + Nanos(jitter as i64),
                previous_eval: Some(failed.id),
                create_time: now,
                modify_time: now,
                ..Evaluation::default()
            };
            failed.next_eval = Some(follow_up.id);
            evals.push(follow_up);
        }
        evals.insert(0, failed);
        let purpose = Purpose::GiveUp {
            eval: delivery.eval.id,
            token: delivery.token,
        };
        self.propose(purpose, EvalUpsert { evals, now });
    }

    pub(super) fn block(&mut self, eval: Arc<Evaluation>, token: Option<broker::Token>) {
        let need = self.need_of(&eval);
        self.blocked(blocked::Event::Block { eval, token, need });
    }

    pub(super) fn blocked(&mut self, event: blocked::Event) {
        let now = self.now();
        for blocked::Action::Enqueue { eval, token } in self.blocked.handle(event, now) {
            self.enqueue(eval, token);
        }
    }

    pub(super) fn heartbeat(&mut self, event: heartbeat::Event) {
        let now = self.now();
        for action in self.heartbeats.handle(event, now) {
            match action {
                heartbeat::Action::Reply { node, ttl } => {
                    if let Some(reply) = self.beats.remove(&node) {
                        let _ = reply.send(ttl);
                    }
                }
                heartbeat::Action::Expired { node } => self.node_missed(node, now),
            }
        }
    }

    fn node_missed(&mut self, id: NodeId, now: Timestamp) {
        let Some(node) = self.state.node(id) else {
            return;
        };
        if matches!(node.status, NodeStatus::Down | NodeStatus::Disconnected) {
            return;
        }
        let new = status::after_silence(&self.state, node, now);
        tracing::warn!(node = %id, status = %new, "node missed its heartbeat");
        let mut ids = self.inner.ids.clone();
        let evals = evals::for_node(&self.state, node, now, || ids.next_uuid());
        let command = NodeStatusUpdate {
            id,
            status: new,
            event: Some(NodeEvent {
                message: "Node heartbeat missed".to_owned(),
                subsystem: "Cluster".to_owned(),
                timestamp: now,
                ..NodeEvent::default()
            }),
            evals,
            now,
            ..NodeStatusUpdate::default()
        };
        self.propose(Purpose::NodeMissed { node: id }, command);
    }

    // Proposals.

    pub(super) fn propose(&mut self, purpose: Purpose, command: impl Into<Command>) {
        let inner = Arc::clone(&self.inner);
        let command = command.into();
        self.proposals
            .add(purpose, async move { inner.propose(command).await });
    }

    /// Marks needless evaluations as cancelled, one batch at a time.
    fn start_cancelling(&mut self) {
        if self.proposals.cancelling {
            return;
        }
        let now = self.now();
        let mut evals = cancelled(
            self.broker.take_cancelable(),
            |_| "canceled after more recent eval was processed".to_owned(),
            now,
        );
        if evals.is_empty() {
            evals = cancelled(
                self.blocked.take_duplicates(),
                |eval| {
                    format!(
                        "existing blocked evaluation exists for job {:?}",
                        &*eval.job_id
                    )
                },
                now,
            );
        }
        if !evals.is_empty() {
            self.proposals.cancelling = true;
            self.propose(Purpose::Cancel, EvalUpsert { evals, now });
        }
    }

    fn settled(&mut self, settled: Settled) {
        let failed = settled.outcome.err();
        if let Some(error) = &failed {
            tracing::warn!(purpose = ?settled.purpose, %error, "a change was not committed");
        }
        match settled.purpose {
            // What was not cancelled is so at the next change of leadership; it does no harm until then.
            Purpose::Cancel => self.proposals.cancelling = false,
            // The next leader tries again.
            Purpose::Found => {}
            Purpose::GiveUp { eval, token } => self.broker(match failed {
                None => broker::Event::Ack { eval, token },
                Some(_) => broker::Event::Nack { eval, token },
            }),
            Purpose::Deployment { id } => self.deployment_settled(id, failed.is_none()),
            Purpose::Collect => self.gc.done(self.now()),
            Purpose::Launch { key, at } => {
                let done = failed.is_none();
                self.periodic(periodic::Event::Launched {
                    key: &key,
                    at,
                    done,
                });
            }
            Purpose::DrainMark => self.drain(drain::Event::Marked {
                committed: failed.is_none(),
            }),
            Purpose::DrainComplete { node } => {
                self.drain(drain::Event::Completed {
                    node,
                    committed: failed.is_none(),
                });
            }
            Purpose::NodeMissed { node } => {
                if failed.is_some() {
                    self.heartbeat(heartbeat::Event::Retry {
                        node,
                        after: MISSED_RETRY,
                    });
                }
            }
        }
    }
}

fn cancelled(
    evals: Vec<Arc<Evaluation>>,
    description: impl Fn(&Evaluation) -> String,
    now: Timestamp,
) -> Vec<Evaluation> {
    evals
        .into_iter()
        .map(|eval| Evaluation {
            status: EvalStatus::Canceled,
            status_description: description(&eval),
            modify_time: now,
            ..Evaluation::clone(&eval)
        })
        .collect()
}
