//! What nodes report of their allocations: many nodes' reports in one log entry, as soon as the one before is
//! committed, with the evaluations that follow from them.
//!
//! Source: servers and scheduling reference, "Client allocation updates".

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::alloc::{AllocClientUpdate, Allocation, ClientStatus, DesiredStatus};
use nomad_core::eval::{EvalTrigger, Evaluation};
use nomad_core::job::JobType;
use nomad_core::view::ClusterView;
use nomad_core::{JobKey, Nanos, Timestamp, Uuid};
use nomad_state::State;
use nomad_state::command::AllocClientUpdates;
use tokio::sync::{mpsc, oneshot};

use crate::config::MAX_UPDATES_PER_ENTRY;
use crate::error::ServerError;
use crate::server::Inner;

/// A node's report, and who waits for its commit.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) updates: Vec<AllocClientUpdate>,
    /// Gets the index of the commit.
    pub(crate) reply: oneshot::Sender<Result<u64, ServerError>>,
}

/// Commits reports until all senders are gone or the server stops.
pub(crate) async fn commit_reports(inner: Arc<Inner>, mut reports: mpsc::Receiver<Report>) {
    loop {
        let first = tokio::select! {
            () = inner.stop.cancelled() => return,
            report = reports.recv() => match report {
                Some(report) => report,
                None => return,
            },
        };
        let mut updates = first.updates;
        let mut waiting = vec![first.reply];
        while updates.len() < MAX_UPDATES_PER_ENTRY
            && let Ok(report) = reports.try_recv()
        {
            updates.extend(report.updates);
            waiting.push(report.reply);
        }
        let now = inner.clock.now();
        let state = inner.store.snapshot();
        let ids = inner.ids.clone();
        let evals = evals_after(&state, &updates, now, || ids.fresh());
        let outcome = inner
            .propose(AllocClientUpdates {
                updates,
                evals,
                now,
            })
            .await;
        let outcome = outcome.map(|applied| applied.index);
        for reply in waiting {
            let _ = reply.send(outcome.clone());
        }
    }
}

/// The evaluations that follow from reports: one for each job at most.
pub(crate) fn evals_after(
    state: &State,
    updates: &[AllocClientUpdate],
    now: Timestamp,
    mut fresh: impl FnMut() -> Uuid,
) -> Vec<Evaluation> {
    let mut evals: BTreeMap<JobKey, Evaluation> = BTreeMap::new();
    for update in updates {
        let Some(alloc) = state.alloc(update.id) else {
            continue;
        };
        let key = alloc.job_key();
        let current = state.job(&key);
        let Some(job) = current.or(alloc.job.as_ref()) else {
            continue;
        };
        let trigger = if current.is_none() {
            (!alloc.terminal() && !update.client_status.is_terminal())
                .then_some(EvalTrigger::JobDeregister)
        } else if alloc.client_status == ClientStatus::Unknown
            && update.client_status != ClientStatus::Unknown
        {
            Some(EvalTrigger::Reconnect)
        } else {
            replaceable(alloc, update, now).then_some(EvalTrigger::AllocFailure)
        };
        if let Some(triggered_by) = trigger {
            evals.entry(key).or_insert_with_key(|key| Evaluation {
                id: fresh().into(),
                namespace: key.namespace.clone(),
                job_id: key.id.clone(),
                job_type: job.job_type,
                priority: job.priority,
                triggered_by,
                create_time: now,
                modify_time: now,
                ..Evaluation::default()
            });
        }
    }
    evals.into_values().collect()
}

/// Whether the report is of a failure after which the allocation may be replaced.
fn replaceable(alloc: &Allocation, update: &AllocClientUpdate, now: Timestamp) -> bool {
    update.client_status == ClientStatus::Failed
        && alloc.client_status != ClientStatus::Failed
        && alloc.desired_status == DesiredStatus::Run
        && alloc.followup_eval_id.is_none()
        && reschedule_eligible(alloc, now)
}

/// Whether the group's policy allows one more replacement.
pub(crate) fn reschedule_eligible(alloc: &Allocation, failed_at: Timestamp) -> bool {
    let Some(policy) = alloc
        .group()
        .and_then(|group| group.reschedule_policy.as_ref())
    else {
        return false;
    };
    if alloc.job.as_ref().is_some_and(|job| {
        matches!(
            job.job_type,
            JobType::System | JobType::Sysbatch | JobType::Core
        )
    }) {
        return false;
    }
    if policy.unlimited {
        return true;
    }
    let recent = |at: Timestamp| failed_at.since(at) < policy.interval;
    let attempted = alloc
        .reschedule_tracker
        .iter()
        .flat_map(|tracker| &tracker.events);
    let attempted = attempted
        .filter(|event| recent(event.reschedule_time))
        .count() as i64;
    policy.attempts > 0 && policy.interval > Nanos::ZERO && attempted < policy.attempts
}
