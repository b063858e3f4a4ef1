//! Launching periodic jobs.

use std::sync::Arc;

use nomad_core::job::Job;
use nomad_core::view::ClusterView as _;
use nomad_core::{JobKey, Timestamp};
use nomad_state::State;

use super::proposals::Purpose;
use super::run::LeaderLoop;
use crate::ops::launch_child;
use crate::periodic::{Action, Event};

impl LeaderLoop {
    pub(super) fn periodic(&mut self, event: Event<'_>) {
        let now = self.now();
        let actions = self.periodic.handle(event, now);
        self.follow_periodic(actions);
    }

    pub(super) fn follow_periodic(&mut self, actions: Vec<Action>) {
        for Action::Launch { key, at } in actions {
            self.launch(key, at);
        }
    }

    fn launch(&mut self, key: JobKey, at: Timestamp) {
        let Some(parent) = self.state.job(&key).cloned() else {
            self.periodic(Event::Deleted { key: &key });
            return;
        };
        let prohibits = parent
            .periodic
            .as_ref()
            .is_some_and(|periodic| periodic.prohibit_overlap);
        if prohibits && has_running_child(&self.state, &parent) {
            tracing::debug!(job = %key, "launch skipped: an older child still runs");
            self.periodic(Event::Launched {
                key: &key,
                at,
                done: true,
            });
            return;
        }
        let inner = Arc::clone(&self.inner);
        let purpose = Purpose::Launch { key, at };
        self.proposals.add_task(purpose, async move {
            launch_child(&inner, &parent, at).await.map(|_| ())
        });
    }
}

/// Whether a child has work that has not ended.
fn has_running_child(state: &State, parent: &Job) -> bool {
    state.job_children(&parent.key()).any(|child| {
        let key = child.key();
        let open = state.evals_of_job(&key).any(|eval| !eval.terminal());
        open || state.allocs_of_job(&key).any(|alloc| !alloc.terminal())
    })
}
