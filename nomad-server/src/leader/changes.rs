//! From changes of the state to events of the control loops.

use std::sync::Arc;

use nomad_core::eval::{EvalStatus, Evaluation};
use nomad_core::job::JobType;
use nomad_core::node::{Node, NodeStatus};
use nomad_core::scheduler_config::PreemptionConfig;
use nomad_core::view::ClusterView as _;
use nomad_state::table::Table;
use nomad_state::{Change, ChangeSet};

use super::capacity::free_on;
use super::run::LeaderLoop;
use crate::blocked::{self, Need};
use crate::{broker, deployments, drain, heartbeat, periodic};

impl LeaderLoop {
    /// Tells every loop what it has to know.
    pub(super) fn changed(&mut self, changes: &ChangeSet) {
        if changes.tables.contains(&Table::SchedulerConfig) {
            self.scheduler_config_changed(changes.index);
        }
        for change in &changes.nodes {
            self.node_changed(change, changes.index);
        }
        for change in &changes.jobs {
            if change.new.as_ref().is_none_or(|job| job.stopped())
                && let Some(job) = change.new.as_ref().or(change.old.as_ref())
            {
                self.blocked(blocked::Event::Untrack { job: job.key() });
            }
        }
        for change in &changes.jobs {
            match (&change.new, &change.old) {
                (Some(job), _) => self.periodic(periodic::Event::Written { job }),
                (None, Some(job)) => self.periodic(periodic::Event::Deleted { key: &job.key() }),
                (None, None) => {}
            }
        }
        for change in &changes.evals {
            self.eval_changed(change);
        }
        for change in &changes.allocs {
            let ended = change.new.as_ref().is_some_and(|new| new.client_terminal())
                && change
                    .old
                    .as_ref()
                    .is_some_and(|old| !old.client_terminal());
            if ended && let Some(alloc) = &change.new {
                self.capacity(alloc.node_id, changes.index);
            }
        }
        if !changes.nodes.is_empty() || !self.drainer.is_empty() {
            self.drain(drain::Event::Changed {
                nodes: &changes.nodes,
                allocs: &changes.allocs,
            });
        }
        if !changes.deployments.is_empty() || !self.deployments.is_empty() {
            self.deployments(deployments::Event::Changed {
                deployments: &changes.deployments,
                allocs: &changes.allocs,
            });
        }
    }

    fn eval_changed(&mut self, change: &Change<Evaluation>) {
        let Some(new) = &change.new else {
            if let Some(old) = &change.old {
                self.broker(broker::Event::Ended { eval: old.id });
                self.blocked(blocked::Event::Ended { eval: old.id });
            }
            return;
        };
        match new.status {
            EvalStatus::Pending | EvalStatus::Blocked
                if self.state.scheduler_config().pause_eval_broker => {}
            EvalStatus::Pending => self.enqueue(Arc::clone(new), None),
            // Where a worker still holds it, the worker itself hands it back.
            EvalStatus::Blocked => {
                if !self.broker.is_in_flight(new.id) {
                    self.block(Arc::clone(new), None);
                }
            }
            EvalStatus::Complete | EvalStatus::Failed | EvalStatus::Canceled => {
                self.broker(broker::Event::Ended { eval: new.id });
                self.blocked(blocked::Event::Ended { eval: new.id });
                if new.status == EvalStatus::Complete
                    && new.failed_tg_allocs.is_empty()
                    && new.blocked_eval.is_none()
                {
                    self.blocked(blocked::Event::Untrack { job: new.job_key() });
                }
            }
        }
    }

    fn node_changed(&mut self, change: &Change<Node>, index: u64) {
        match (&change.old, &change.new) {
            (old, Some(new)) => {
                if matches!(new.status, NodeStatus::Down | NodeStatus::Disconnected) {
                    self.heartbeat(heartbeat::Event::Forget { node: new.id });
                }
                if new.is_ready() && old.as_ref().is_none_or(|old| may_take_more(old, new)) {
                    self.capacity(new.id, index);
                }
            }
            (Some(old), None) => self.heartbeat(heartbeat::Event::Forget { node: old.id }),
            (None, None) => {}
        }
    }

    /// A node may have room now.
    fn capacity(&mut self, id: nomad_core::NodeId, index: u64) {
        let Some(node) = self.state.node(id) else {
            return;
        };
        let class = node.computed_class.clone();
        // Looked up only where somebody waits for it.
        let free = (!self.blocked.is_empty()).then(|| free_on(&self.state, node));
        self.blocked(blocked::Event::NodeCapacity {
            node: id,
            class,
            index,
            free,
        });
    }

    fn scheduler_config_changed(&mut self, index: u64) {
        if self.state.scheduler_config().pause_eval_broker {
            self.broker.clear();
            self.blocked.clear();
            return;
        }
        // Where the broker was paused it is empty; what it knows already is left alone.
        let state = self.state.clone();
        self.queue_all(&state);
        self.blocked(blocked::Event::EverythingChanged { index });
    }

    /// What the evaluation needs at least; nothing where it may take from others.
    pub(super) fn need_of(&self, eval: &Evaluation) -> Need {
        let preempts = may_preempt(
            &self.state.scheduler_config().preemption_config,
            eval.job_type,
        );
        match self.state.job(&eval.job_key()) {
            Some(job) if !preempts => Need::of(job, eval),
            _ => Need::default(),
        }
    }

    /// Puts what is queued into the metrics.
    pub(super) fn record_metrics(&self) {
        let stats = self.broker.stats();
        metrics::gauge!("nomad.nomad.broker.total_ready").set(stats.ready as f64);
        metrics::gauge!("nomad.nomad.broker.total_unacked").set(stats.unacked as f64);
        metrics::gauge!("nomad.nomad.broker.total_pending").set(stats.pending as f64);
        metrics::gauge!("nomad.nomad.broker.total_waiting").set(stats.waiting as f64);
        metrics::gauge!("nomad.nomad.broker.total_cancelable").set(stats.cancelable as f64);
        for (kind, ready, unacked) in self.broker.stats_by_type() {
            metrics::gauge!(format!("nomad.nomad.broker.{kind}.ready")).set(ready as f64);
            metrics::gauge!(format!("nomad.nomad.broker.{kind}.unacked")).set(unacked as f64);
        }
        let blocked = self.blocked.stats();
        metrics::gauge!("nomad.nomad.blocked_evals.total_blocked").set(blocked.blocked as f64);
        metrics::gauge!("nomad.nomad.blocked_evals.total_escaped").set(blocked.escaped as f64);
        metrics::gauge!("nomad.nomad.blocked_evals.total_quota_limit").set(0.0);
        metrics::gauge!("nomad.nomad.heartbeat.active").set(self.heartbeats.len() as f64);
    }
}

/// Whether a ready node may fit what it did not fit before.
fn may_take_more(old: &Node, new: &Node) -> bool {
    !old.is_ready()
        || old.computed_class != new.computed_class
        || old.node_resources != new.node_resources
        || old.reserved_resources != new.reserved_resources
        || old.attributes != new.attributes
        || old.meta != new.meta
        || old.drivers != new.drivers
        || old.host_volumes != new.host_volumes
        || old.csi_node_plugins != new.csi_node_plugins
}

fn may_preempt(config: &PreemptionConfig, job_type: JobType) -> bool {
    match job_type {
        JobType::Service => config.service_scheduler_enabled,
        JobType::Batch => config.batch_scheduler_enabled,
        JobType::System => config.system_scheduler_enabled,
        JobType::Sysbatch => config.sys_batch_scheduler_enabled,
        JobType::Core => false,
    }
}
