//! Doing what the drainer says.

use std::collections::{BTreeMap, BTreeSet};

use nomad_core::alloc::DesiredTransition;
use nomad_core::eval::{EvalTrigger, Evaluation};
use nomad_core::node::DrainMetadata;
use nomad_core::view::ClusterView as _;
use nomad_core::{AllocId, JobKey, NodeId};
use nomad_state::command::{AllocTransitions, NodeDrainUpdate};

use super::proposals::Purpose;
use super::run::LeaderLoop;
use crate::drain::{Action, Event};
use crate::ops::node_event;

impl LeaderLoop {
    pub(super) fn drain(&mut self, event: Event<'_>) {
        let state = self.state.clone();
        let actions = self.drainer.handle(event, &state, self.now());
        self.follow_drain(actions);
    }

    pub(super) fn follow_drain(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Migrate { transitions, jobs } => self.migrate(transitions, jobs),
                Action::Complete {
                    node,
                    deadline_reached,
                } => {
                    self.drain_complete(node, deadline_reached);
                }
            }
        }
    }

    fn migrate(
        &mut self,
        transitions: BTreeMap<AllocId, DesiredTransition>,
        jobs: BTreeSet<JobKey>,
    ) {
        let now = self.now();
        let evals = jobs
            .into_iter()
            .filter_map(|key| {
                let job = self.state.job(&key)?;
                Some(Evaluation {
                    id: self.inner.ids.fresh(),
                    namespace: key.namespace,
                    job_id: key.id,
                    job_type: job.job_type,
                    priority: job.priority,
                    job_modify_index: job.job_modify_index,
                    triggered_by: EvalTrigger::NodeDrain,
                    create_time: now,
                    modify_time: now,
                    ..Evaluation::default()
                })
            })
            .collect();
        self.propose(
            Purpose::DrainMark,
            AllocTransitions {
                transitions,
                evals,
                now,
            },
        );
    }

    fn drain_complete(&mut self, id: NodeId, deadline_reached: bool) {
        let Some(node) = self.state.node(id) else {
            return;
        };
        let now = self.now();
        let mut event = node_event("Drain", "Node drain complete".to_owned(), now);
        if deadline_reached {
            event
                .details
                .insert("deadline_reached".to_owned(), "true".to_owned());
        }
        let last_drain = node.last_drain.clone().map(|drain| DrainMetadata {
            updated_at: now,
            status: "complete".to_owned(),
            ..drain
        });
        let command = NodeDrainUpdate {
            id,
            strategy: None,
            mark_eligible: false,
            last_drain,
            event: Some(event),
            evals: Vec::new(),
            now,
        };
        self.propose(Purpose::DrainComplete { node: id }, command);
    }
}
