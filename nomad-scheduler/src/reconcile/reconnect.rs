//! Who stays when a node comes back: the original, or what replaced it meanwhile.
//!
//! Source: servers and scheduling reference, "Disconnect / reconnect".

use std::sync::Arc;

use nomad_core::alloc::{Allocation, ClientStatus, DesiredStatus};
use nomad_core::job::ReconcileStrategy;
use nomad_core::time::Timestamp;

use super::classify::disconnect;
use super::{AllocSet, Reconciler, description};

/// What becomes of reconnecting allocations.
#[derive(Debug, Default)]
pub(super) struct Reconnected {
    /// Those that stay.
    pub(super) kept: AllocSet,
    /// Those that are stopped, originals and replacements.
    pub(super) stopped: AllocSet,
}

fn top_score(alloc: &Allocation) -> Option<f64> {
    alloc
        .metrics
        .as_ref()?
        .score_meta_data
        .first()
        .map(|score| score.norm_score)
}

/// When the leader task, or else the oldest main task, started.
fn started(alloc: &Allocation) -> Option<Timestamp> {
    let group = alloc.group()?;
    let at = |task: &str| {
        alloc
            .task_states
            .get(task)
            .map(|state| state.started_at)
            .filter(|time| !time.is_zero())
    };
    match group.tasks.iter().find(|task| task.leader) {
        Some(leader) => at(&leader.name),
        None => group
            .tasks
            .iter()
            .filter(|task| task.is_main())
            .filter_map(|task| at(&task.name))
            .min(),
    }
}

fn best_score(original: &Allocation, replacement: &Allocation) -> bool {
    let better = match (top_score(original), top_score(replacement)) {
        (Some(original), Some(replacement)) => replacement > original,
        (None, Some(_)) => true,
        (_, None) => false,
    };
    better
        && (replacement.client_status == ClientStatus::Running
            || original.client_status != ClientStatus::Running)
}

/// Whether the replacement stays and the original goes.
fn replacement_wins(original: &Allocation, replacement: &Allocation) -> bool {
    if replacement.job_version > original.job_version {
        return true;
    }
    let strategy =
        disconnect(original).map_or(ReconcileStrategy::BestScore, |block| block.reconcile);
    match strategy {
        ReconcileStrategy::KeepOriginal => false,
        ReconcileStrategy::KeepReplacement => true,
        ReconcileStrategy::BestScore => best_score(original, replacement),
        ReconcileStrategy::LongestRunning => match (started(original), started(replacement)) {
            (Some(original), Some(replacement)) => replacement < original,
            (Some(_), None) => false,
            (None, Some(_)) => true,
            (None, None) => best_score(original, replacement),
        },
    }
}

/// Live allocations that came after one, along the chain of replacements.
fn successors(original: &Allocation, all: &AllocSet) -> Vec<Arc<Allocation>> {
    let mut chain = Vec::new();
    let mut next = original.next_allocation;
    while let Some(alloc) = next.and_then(|id| all.get(&id)) {
        if chain.len() >= all.len() {
            break;
        }
        next = alloc.next_allocation;
        chain.push(Arc::clone(alloc));
    }
    chain.retain(|alloc| !alloc.terminal());
    chain
}

impl Reconciler<'_> {
    pub(super) fn decide_reconnects(
        &mut self,
        reconnecting: &AllocSet,
        all: &AllocSet,
    ) -> Reconnected {
        let mut decided = Reconnected::default();
        let stop = |this: &mut Self,
                    decided: &mut Reconnected,
                    alloc: &Arc<Allocation>,
                    status: Option<ClientStatus>,
                    text: &'static str| {
            if decided
                .stopped
                .insert(alloc.id, Arc::clone(alloc))
                .is_none()
            {
                this.mark_stop(alloc, status, text, None);
            }
        };
        for (id, alloc) in reconnecting {
            if alloc.client_status == ClientStatus::Failed && !alloc.server_terminal() {
                stop(
                    self,
                    &mut decided,
                    alloc,
                    Some(ClientStatus::Failed),
                    description::RESCHEDULED,
                );
                continue;
            }
            let transition = &alloc.desired_transition;
            let outdated = self.job.is_none_or(|job| {
                alloc.job_version < job.version
                    || alloc
                        .job
                        .as_ref()
                        .is_some_and(|own| own.create_index < job.create_index)
            });
            if alloc.desired_status != DesiredStatus::Run
                || transition.should_migrate()
                || transition.should_reschedule()
                || transition.should_force_reschedule()
                || outdated
            {
                stop(self, &mut decided, alloc, None, description::NOT_NEEDED);
                continue;
            }
            let mut wins = true;
            for replacement in successors(alloc, all) {
                if replacement_wins(alloc, &replacement) {
                    stop(self, &mut decided, alloc, None, description::NOT_NEEDED);
                    wins = false;
                } else {
                    stop(
                        self,
                        &mut decided,
                        &replacement,
                        None,
                        description::RECONNECTED,
                    );
                }
            }
            if wins {
                let row = self.reconnect(alloc);
                decided.kept.insert(*id, row);
            }
        }
        decided
    }
}

#[cfg(test)]
mod tests {
    use nomad_core::job::{Disconnect, Job, TaskGroup};
    use nomad_core::metric::{AllocMetric, NodeScoreMeta};

    use super::*;

    fn alloc(strategy: ReconcileStrategy, score: f64, status: ClientStatus) -> Allocation {
        Allocation {
            task_group: "web".to_owned(),
            client_status: status,
            job: Some(Arc::new(Job {
                task_groups: vec![TaskGroup {
                    name: "web".to_owned(),
                    disconnect: Some(Disconnect {
                        reconcile: strategy,
                        ..Disconnect::default()
                    }),
                    ..TaskGroup::default()
                }],
                ..Job::default()
            })),
            metrics: Some(Arc::new(AllocMetric {
                score_meta_data: vec![Arc::new(NodeScoreMeta {
                    norm_score: score,
                    ..NodeScoreMeta::default()
                })],
                ..AllocMetric::default()
            })),
            ..Allocation::default()
        }
    }

    #[test]
    fn strategies() {
        use ClientStatus::{Pending, Running};
        use ReconcileStrategy::{BestScore, KeepOriginal, KeepReplacement};
        for (strategy, original, replacement, status, wins) in [
            (BestScore, 0.5, 0.6, Running, true),
            (BestScore, 0.5, 0.5, Running, false),
            (BestScore, 0.5, 0.6, Pending, false),
            (KeepOriginal, 0.1, 0.9, Running, false),
            (KeepReplacement, 0.9, 0.1, Running, true),
        ] {
            let first = alloc(strategy, original, Running);
            let second = alloc(strategy, replacement, status);
            assert_eq!(replacement_wins(&first, &second), wins);
        }
        let mut newer = alloc(KeepOriginal, 0.1, Pending);
        newer.job_version = 1;
        assert!(replacement_wins(&alloc(KeepOriginal, 0.9, Running), &newer));
    }
}
