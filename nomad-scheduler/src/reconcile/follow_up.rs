//! Evaluations for later: delayed rescheduling, and the end of the time that a disconnected allocation has.

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::alloc::{AllocState, Allocation, ClientStatus};
use nomad_core::eval::{EvalStatus, EvalTrigger, Evaluation};
use nomad_core::ids::{AllocId, EvalId};
use nomad_core::time::{Nanos, Timestamp};

use super::classify::lost_after;
use super::reschedule::Later;
use super::{AllocSet, Reconciler, description};
use crate::attempt::successor;

/// Times within this span of the first share an evaluation.
const BATCH: Nanos = Nanos::secs(5);

const FOR_RESCHEDULING: &str = "created for delayed rescheduling";
const FOR_TIMEOUT: &str = "created for delayed disconnect timeout";

/// An allocation's client status as the servers recorded it at a time.
pub(crate) fn recorded(status: ClientStatus, now: Timestamp) -> AllocState {
    AllocState {
        field: 0,
        value: status.as_str().to_owned(),
        time: now,
    }
}

impl Reconciler<'_> {
    /// One evaluation per batch of times; says which one each allocation waits for. The first batch has the trigger,
    /// later ones are `alloc-failure` without a description, as the original makes them.
    fn batches(
        &mut self,
        mut waiting: Vec<(AllocId, Timestamp)>,
        trigger: EvalTrigger,
        description: &str,
    ) -> BTreeMap<AllocId, EvalId> {
        waiting.sort_by_key(|(id, at)| (*at, *id));
        let mut waits_for = BTreeMap::new();
        let mut begun: Option<(Timestamp, EvalId)> = None;
        for (alloc, at) in waiting {
            let id = match begun {
                Some((first, id)) if at.since(first) < BATCH => id,
                _ => {
                    let id: EvalId = self.ids.next_uuid().into();
                    let (triggered_by, text) = if begun.is_none() {
                        (trigger, description)
                    } else {
                        (EvalTrigger::AllocFailure, "")
                    };
                    self.results.follow_ups.push(Evaluation {
                        id,
                        triggered_by,
                        status: EvalStatus::Pending,
                        status_description: text.to_owned(),
                        wait_until: at,
                        ..successor(self.eval)
                    });
                    begun = Some((at, id));
                    id
                }
            };
            waits_for.insert(alloc, id);
        }
        waits_for
    }

    /// Evaluations for replacements that are not due yet; the allocations name theirs.
    pub(super) fn reschedule_later(&mut self, later: &[Later]) {
        let times = later.iter().map(|one| (one.alloc.id, one.at)).collect();
        let waits_for = self.batches(times, EvalTrigger::AllocReschedule, FOR_RESCHEDULING);
        for one in later {
            let row = self
                .results
                .attribute_updates
                .entry(one.alloc.id)
                .or_insert_with(|| Arc::clone(&one.alloc));
            Arc::make_mut(row).followup_eval_id = waits_for.get(&one.alloc.id).copied();
        }
    }

    /// Evaluations for lost allocations that their client stops only after a while.
    pub(super) fn lost_later(
        &mut self,
        later: &[(AllocId, Timestamp)],
    ) -> BTreeMap<AllocId, EvalId> {
        self.batches(
            later.to_vec(),
            EvalTrigger::AllocReschedule,
            FOR_RESCHEDULING,
        )
    }

    /// Marks allocations as unknown, and makes the evaluations that will find them lost.
    pub(super) fn disconnect(&mut self, disconnecting: &AllocSet) {
        let timeouts = disconnecting
            .values()
            .filter(|alloc| lost_after(alloc).is_set())
            .map(|alloc| (alloc.id, self.now + lost_after(alloc)))
            .collect();
        let waits_for = self.batches(timeouts, EvalTrigger::MaxDisconnectTimeout, FOR_TIMEOUT);
        for (id, alloc) in disconnecting {
            let mut row = Allocation::clone(alloc);
            row.client_status = ClientStatus::Unknown;
            row.client_description = description::UNKNOWN.to_owned();
            row.alloc_states
                .push(recorded(ClientStatus::Unknown, self.now));
            row.followup_eval_id = waits_for.get(id).copied();
            self.results.attribute_updates.insert(*id, Arc::new(row));
        }
    }

    /// Records that allocations are in sight again.
    pub(super) fn reconnect(&mut self, alloc: &Arc<Allocation>) -> Arc<Allocation> {
        let mut row = Allocation::clone(alloc);
        row.alloc_states
            .push(recorded(alloc.client_status, self.now));
        row.followup_eval_id = None;
        let row = Arc::new(row);
        self.results
            .attribute_updates
            .insert(alloc.id, Arc::clone(&row));
        row
    }
}
