//! Evaluations that wait for capacity, woken by every change that could help and by no other.
//!
//! Source: servers and scheduling reference, "Blocked evals".

mod capacity;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use nomad_core::eval::{EvalTrigger, Evaluation};
use nomad_core::{EvalId, JobKey, Nanos, NodeId, Timestamp};

pub use self::capacity::Need;
use self::capacity::{Capacity, Freed};
use crate::broker::Token;

/// How often evaluations that lost against other plans try again.
pub const RETRY_INTERVAL: Nanos = Nanos::secs(60);
/// How long it is remembered that capacity was freed.
pub const FREED_KEPT: Nanos = Nanos::mins(15);
/// How often such memories are looked through.
pub const PRUNE_INTERVAL: Nanos = Nanos::mins(5);
/// Duplicates cancelled in one log entry at most.
pub const MAX_DUPLICATE_BATCH: usize = 728;

/// What happens to blocked evaluations.
#[derive(Debug, Clone)]
pub enum Event {
    /// An evaluation is to wait; with the token of its delivery while it is still in flight.
    Block {
        eval: Arc<Evaluation>,
        token: Option<Token>,
        need: Need,
    },
    /// A node may have room: it joined, came back, changed, or something ended on it.
    NodeCapacity {
        node: NodeId,
        class: String,
        index: u64,
        free: Option<Need>,
    },
    /// Something that is not part of a node became free.
    ResourceFreed { id: String, index: u64 },
    /// Anything may fit now: the scheduler configuration changed.
    EverythingChanged { index: u64 },
    /// The job needs nothing more.
    Untrack { job: JobKey },
    /// The state says that nothing more happens to the evaluation.
    Ended { eval: EvalId },
    /// Time went by.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Action {
    /// Queue it for a worker.
    Enqueue {
        eval: Arc<Evaluation>,
        token: Option<Token>,
    },
}

/// How many evaluations wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlockedStats {
    pub blocked: usize,
    /// Those woken by any change, because of constraints on single nodes.
    pub escaped: usize,
}

#[derive(Debug)]
struct Blocked {
    eval: Arc<Evaluation>,
    token: Option<Token>,
    need: Need,
}

/// Which evaluation of a job may wait: one, or for system jobs one per node.
type Slot = (JobKey, Option<NodeId>);

/// The blocked evaluations. Lives on the leader, in memory, and is filled from the state when leadership is gained.
#[derive(Debug, Default)]
pub struct BlockedEvals {
    blocked: BTreeMap<EvalId, Blocked>,
    slots: BTreeMap<Slot, EvalId>,
    /// Those that wait for one node.
    by_node: BTreeMap<NodeId, BTreeSet<EvalId>>,
    /// Those that wait for any node of a fitting class.
    anywhere: BTreeSet<EvalId>,
    /// Those that lost against other plans.
    conflicted: BTreeSet<EvalId>,
    escaped: usize,
    freed: Freed,
    duplicates: VecDeque<Arc<Evaluation>>,
    next_retry: Option<Timestamp>,
    next_prune: Option<Timestamp>,
}

impl BlockedEvals {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an event in, and says what is to be done.
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        let mut wake = Vec::new();
        match event {
            Event::Block { eval, token, need } => {
                if let Some(missed) = self.block(eval, token, need, now) {
                    wake.push(missed);
                }
            }
            Event::NodeCapacity {
                node,
                class,
                index,
                free,
            } => {
                self.freed.note(Capacity::Node(node), index, now);
                wake.extend(self.by_node.get(&node).into_iter().flatten().copied());
                let fits = |blocked: &Blocked| {
                    blocked.eval.escaped_computed_class
                        || blocked.eval.class_eligibility.get(&class) != Some(&false)
                };
                wake.extend(
                    self.anywhere
                        .iter()
                        .filter(|id| {
                            self.blocked.get(id).is_some_and(|blocked| {
                                fits(blocked) && blocked.need.could_fit(free.as_ref())
                            })
                        })
                        .copied(),
                );
                self.freed.note(Capacity::Class(class), index, now);
            }
            Event::ResourceFreed { id, index } => {
                wake.extend(
                    self.blocked
                        .iter()
                        .filter(|(_, blocked)| {
                            blocked.eval.missing_non_node_resources.contains(&id)
                        })
                        .map(|(id, _)| *id),
                );
                self.freed.note(Capacity::Resource(id), index, now);
            }
            Event::EverythingChanged { index } => {
                self.freed.note(Capacity::Everything, index, now);
                wake.extend(self.blocked.keys().copied());
            }
            Event::Untrack { job } => self.untrack(&job),
            Event::Ended { eval } => {
                self.remove(eval);
            }
            Event::Tick => {}
        }
        if self.next_retry.is_some_and(|at| at <= now) {
            self.next_retry = None;
            wake.extend(self.conflicted.iter().copied());
        }
        if self.next_prune.is_some_and(|at| at <= now) {
            self.next_prune = None;
            self.freed.prune(now - FREED_KEPT);
        }
        let actions = wake
            .into_iter()
            .filter_map(|id| self.remove(id))
            .map(|blocked| Action::Enqueue {
                eval: blocked.eval,
                token: blocked.token,
            })
            .collect();
        if self.next_retry.is_none() && !self.conflicted.is_empty() {
            self.next_retry = Some(now + RETRY_INTERVAL);
        }
        if self.next_prune.is_none() && !self.freed.is_empty() {
            self.next_prune = Some(now + PRUNE_INTERVAL);
        }
        actions
    }

    /// When [`Event::Tick`] is needed next, if nothing else happens.
    pub fn next_wake(&self) -> Option<Timestamp> {
        [self.next_retry, self.next_prune]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether nothing waits, so that capacity need not be looked at.
    pub fn is_empty(&self) -> bool {
        self.blocked.is_empty()
    }

    /// Evaluations for which a better one of the same job waits, to be marked cancelled; at most
    /// [`MAX_DUPLICATE_BATCH`].
    pub fn take_duplicates(&mut self) -> Vec<Arc<Evaluation>> {
        let count = self.duplicates.len().min(MAX_DUPLICATE_BATCH);
        self.duplicates.drain(..count).collect()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many evaluations wait.
    pub fn stats(&self) -> BlockedStats {
        BlockedStats {
            blocked: self.blocked.len(),
            escaped: self.escaped,
        }
    }

    /// The waiting evaluations, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Evaluation>> {
        self.blocked.values().map(|blocked| &blocked.eval)
    }

    /// Takes an evaluation in; gives its id back if what it waits for happened since its snapshot.
    fn block(
        &mut self,
        eval: Arc<Evaluation>,
        token: Option<Token>,
        need: Need,
        now: Timestamp,
    ) -> Option<EvalId> {
        let id = eval.id;
        self.remove(id);
        let slot = slot_of(&eval);
        if let Some(present) = self.slots.get(&slot).copied() {
            let age = |eval: &Evaluation| eval.create_index.max(eval.snapshot_index);
            let newer = self
                .blocked
                .get(&present)
                .is_none_or(|p| age(&eval) >= age(&p.eval));
            if !newer {
                self.duplicates.push_back(eval);
                return None;
            }
            if let Some(old) = self.remove(present) {
                self.duplicates.push_back(old.eval);
            }
        }
        let missed = self.freed.missed(&eval, slot.1);
        match slot.1 {
            Some(node) => {
                self.by_node.entry(node).or_default().insert(id);
            }
            None => {
                self.anywhere.insert(id);
            }
        }
        if eval.triggered_by == EvalTrigger::MaxPlanAttempts {
            self.conflicted.insert(id);
            self.next_retry.get_or_insert(now + RETRY_INTERVAL);
        }
        self.escaped += usize::from(eval.escaped_computed_class);
        self.slots.insert(slot, id);
        self.blocked.insert(id, Blocked { eval, token, need });
        missed.then_some(id)
    }

    fn remove(&mut self, id: EvalId) -> Option<Blocked> {
        let blocked = self.blocked.remove(&id)?;
        let slot = slot_of(&blocked.eval);
        if let Some(node) = slot.1
            && let Some(evals) = self.by_node.get_mut(&node)
        {
            evals.remove(&id);
            if evals.is_empty() {
                self.by_node.remove(&node);
            }
        }
        self.slots.remove(&slot);
        self.anywhere.remove(&id);
        self.conflicted.remove(&id);
        self.escaped -= usize::from(blocked.eval.escaped_computed_class);
        Some(blocked)
    }

    fn untrack(&mut self, job: &JobKey) {
        let first = (job.clone(), None);
        let ids: Vec<_> = self
            .slots
            .range(first..)
            .take_while(|((key, _), _)| key == job)
            .map(|(_, id)| *id)
            .collect();
        for id in ids {
            self.remove(id);
        }
    }
}

fn slot_of(eval: &Evaluation) -> Slot {
    let node = if eval.job_type.is_system_like() {
        eval.node_id
    } else {
        None
    };
    (eval.job_key(), node)
}
