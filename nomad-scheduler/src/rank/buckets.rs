//! Heaps of feasible nodes, one per combination of property values and number of score parts.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::hash::FastMap;

/// A node in a heap.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Sum of the score parts that depend on the node alone.
    pub(crate) sum: f64,
    /// Decides ties.
    pub(crate) rank: u64,
    /// Place among the candidates.
    pub(crate) position: u32,
    /// Judgement that this entry belongs to; an older one is dropped when it comes up.
    pub(crate) stamp: u32,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.sum
            .total_cmp(&other.sum)
            .then(self.rank.cmp(&other.rank))
            .then(self.stamp.cmp(&other.stamp))
    }
}

#[derive(Debug)]
struct Bucket {
    key: u32,
    /// Number of score parts of its nodes.
    parts: u32,
    heap: BinaryHeap<Entry>,
}

impl Bucket {
    fn mean(&self, sum: f64, boost: f64) -> f64 {
        if boost == 0.0 {
            sum / f64::from(self.parts)
        } else {
            (sum + boost) / f64::from(self.parts + 1)
        }
    }
}

/// All heaps of a ranking.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    keys: Vec<Box<[Option<u32>]>>,
    numbers: FastMap<Box<[Option<u32>]>, u32>,
    buckets: Vec<Bucket>,
    by_key: FastMap<(u32, u32), usize>,
    /// Entries that wait for the first look, so that each heap is built at once.
    filling: Vec<Vec<Entry>>,
    /// Entries that were pushed since the heaps were filled.
    pushed: usize,
}

impl Buckets {
    /// The number of a combination of property values.
    pub(crate) fn key(&mut self, values: Vec<Option<u32>>) -> u32 {
        if let Some(number) = self.numbers.get(values.as_slice()) {
            return *number;
        }
        let number = self.keys.len() as u32;
        let values: Box<[Option<u32>]> = values.into();
        self.keys.push(values.clone());
        self.numbers.insert(values, number);
        number
    }

    pub(crate) fn keys(&self) -> &[Box<[Option<u32>]>] {
        &self.keys
    }

    fn bucket(&mut self, key: u32, parts: u32) -> usize {
        let buckets = &mut self.buckets;
        *self.by_key.entry((key, parts)).or_insert_with(|| {
            buckets.push(Bucket {
                key,
                parts,
                heap: BinaryHeap::new(),
            });
            buckets.len() - 1
        })
    }

    /// Adds a node while all nodes are judged for the first time.
    pub(crate) fn fill(&mut self, key: u32, parts: u32, entry: Entry) {
        let bucket = self.bucket(key, parts);
        if self.filling.len() <= bucket {
            self.filling.resize_with(bucket + 1, Vec::new);
        }
        self.filling[bucket].push(entry);
    }

    /// Whether most entries of `nodes` nodes are likely to be stale.
    pub(crate) fn is_worn(&self, nodes: usize) -> bool {
        self.pushed > nodes.max(1_024)
    }

    /// Drops all entries, so that nodes can be filled in again.
    pub(crate) fn empty(&mut self) {
        for bucket in &mut self.buckets {
            bucket.heap.clear();
        }
        self.pushed = 0;
    }

    /// Builds the heaps after [`Self::fill`].
    pub(crate) fn filled(&mut self) {
        for (bucket, entries) in self.filling.drain(..).enumerate() {
            // Empty so far, and keeps its room.
            let mut heap = std::mem::take(&mut self.buckets[bucket].heap).into_vec();
            heap.extend(entries);
            self.buckets[bucket].heap = BinaryHeap::from(heap);
        }
    }

    /// Adds a node that was judged again.
    pub(crate) fn push(&mut self, key: u32, parts: u32, entry: Entry) {
        let bucket = self.bucket(key, parts);
        self.buckets[bucket].heap.push(entry);
        self.pushed += 1;
    }

    /// The best nodes over all heaps, best first: (mean score, rank, position).
    ///
    /// `boost` is the spread boost of a key, or nothing where its nodes are out; `current` tells entries of the last
    /// judgement from older ones; `skip` passes nodes over that are scored elsewhere.
    pub(crate) fn top(
        &mut self,
        limit: usize,
        boost: impl Fn(u32) -> Option<f64>,
        current: impl Fn(&Entry) -> bool,
        skip: impl Fn(&Entry) -> bool,
    ) -> Vec<(f64, u64, u32)> {
        let mut skipped: Vec<(usize, Entry)> = Vec::new();
        let mut heads: Vec<(f64, u64, usize, f64)> = Vec::with_capacity(self.buckets.len());
        for at in 0..self.buckets.len() {
            let Some(boost) = boost(self.buckets[at].key) else {
                continue;
            };
            if let Some((mean, rank)) = self.head(at, boost, &current, &skip, &mut skipped) {
                heads.push((mean, rank, at, boost));
            }
        }
        let mut best = Vec::with_capacity(limit);
        let mut taken: Vec<(usize, Entry)> = Vec::with_capacity(limit);
        while best.len() < limit {
            let Some((place, (mean, rank, at, boost))) =
                heads
                    .iter()
                    .copied()
                    .enumerate()
                    .max_by(|(_, left), (_, right)| {
                        left.0.total_cmp(&right.0).then(left.1.cmp(&right.1))
                    })
            else {
                break;
            };
            let Some(entry) = self.buckets[at].heap.pop() else {
                break;
            };
            best.push((mean, rank, entry.position));
            taken.push((at, entry));
            match self.head(at, boost, &current, &skip, &mut skipped) {
                Some((mean, rank)) => heads[place] = (mean, rank, at, boost),
                None => {
                    heads.swap_remove(place);
                }
            }
        }
        for (at, entry) in taken.into_iter().chain(skipped) {
            self.buckets[at].heap.push(entry);
        }
        best
    }

    fn head(
        &mut self,
        at: usize,
        boost: f64,
        current: &impl Fn(&Entry) -> bool,
        skip: &impl Fn(&Entry) -> bool,
        skipped: &mut Vec<(usize, Entry)>,
    ) -> Option<(f64, u64)> {
        let bucket = &mut self.buckets[at];
        loop {
            let entry = bucket.heap.peek()?;
            if !current(entry) {
                bucket.heap.pop();
            } else if skip(entry) {
                skipped.push((at, *entry));
                bucket.heap.pop();
            } else {
                return Some((bucket.mean(entry.sum, boost), entry.rank));
            }
        }
    }
}
