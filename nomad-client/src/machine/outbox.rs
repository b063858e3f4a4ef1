//! Status updates on their way to the servers: the newest of each allocation, one batch under way at a time.
//!
//! While a batch is being committed the next one gathers, so batches grow by themselves under load and an idle stream
//! adds no wait.

use std::collections::BTreeMap;

use nomad_core::AllocId;
use nomad_core::alloc::AllocClientUpdate;

/// What waits, and what is under way.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: BTreeMap<AllocId, AllocClientUpdate>,
    under_way: Option<(u64, Vec<AllocClientUpdate>)>,
    last_seq: u64,
}

impl Outbox {
    /// Adds an update; it replaces one of the same allocation that still waits.
    pub fn push(&mut self, update: AllocClientUpdate) {
        self.waiting.insert(update.id, update);
    }

    /// The next batch of at most `max`, if none is under way and something waits.
    pub fn next(&mut self, max: usize) -> Option<(u64, &[AllocClientUpdate])> {
        if self.under_way.is_some() || self.waiting.is_empty() {
            return None;
        }
        let rest = match self.waiting.keys().nth(max).copied() {
            Some(split) => self.waiting.split_off(&split),
            None => BTreeMap::new(),
        };
        let batch: Vec<_> = std::mem::replace(&mut self.waiting, rest)
            .into_values()
            .collect();
        self.last_seq += 1;
        let (seq, batch) = self.under_way.insert((self.last_seq, batch));
        Some((*seq, batch))
    }

    /// A batch was committed: its allocations. Unknown numbers are ignored.
    pub fn acked(&mut self, seq: u64) -> Vec<AllocId> {
        match self.under_way.take_if(|(under_way, _)| *under_way == seq) {
            Some((_, batch)) => batch.into_iter().map(|update| update.id).collect(),
            None => Vec::new(),
        }
    }

    /// The batch under way was lost with its stream, or refused: it waits again, but for what was superseded.
    pub fn requeue(&mut self) {
        if let Some((_, batch)) = self.under_way.take() {
            for update in batch {
                self.waiting.entry(update.id).or_insert(update);
            }
        }
    }

    /// Forgets an allocation that the servers no longer know.
    pub fn forget(&mut self, alloc: &AllocId) {
        self.waiting.remove(alloc);
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_none()
    }
}

#[cfg(test)]
mod tests {
    use nomad_core::Uuid;
    use nomad_core::alloc::ClientStatus;

    use super::*;

    fn update(n: u8, status: ClientStatus) -> AllocClientUpdate {
        AllocClientUpdate {
            id: AllocId(Uuid([n; 16])),
            client_status: status,
            ..AllocClientUpdate::default()
        }
    }

    use ClientStatus::{Complete, Pending, Running};

    #[test]
    fn one_batch_at_a_time_and_the_newest_wins() {
        let mut outbox = Outbox::default();
        assert!(outbox.next(10).is_none());
        outbox.push(update(1, Pending));
        outbox.push(update(1, Running));
        let (seq, batch) = outbox.next(10).unwrap();
        assert_eq!(batch, [update(1, Running)]);
        outbox.push(update(2, Running));
        assert!(outbox.next(10).is_none());
        assert!(outbox.acked(seq + 7).is_empty());
        assert_eq!(outbox.acked(seq), [AllocId(Uuid([1; 16]))]);
        let (next, batch) = outbox.next(10).unwrap();
        assert_eq!((next, batch.len()), (seq + 1, 1));
    }

    #[test]
    fn lost_batches_are_sent_again_unless_superseded() {
        let mut outbox = Outbox::default();
        outbox.push(update(1, Running));
        outbox.push(update(2, Running));
        let (lost, _) = outbox.next(10).unwrap();
        outbox.push(update(1, Complete));
        outbox.requeue();
        assert!(outbox.acked(lost).is_empty());
        let (_, batch) = outbox.next(10).unwrap();
        assert_eq!(batch, [update(1, Complete), update(2, Running)]);
    }

    #[test]
    fn batches_are_bounded() {
        let mut outbox = Outbox::default();
        for n in 0..5 {
            outbox.push(update(n, Running));
        }
        let (seq, batch) = outbox.next(2).unwrap();
        assert_eq!(batch.len(), 2);
        outbox.acked(seq);
        let (seq, batch) = outbox.next(2).unwrap();
        assert_eq!(batch.len(), 2);
        outbox.acked(seq);
        assert_eq!(outbox.next(2).unwrap().1.len(), 1);
    }
}
