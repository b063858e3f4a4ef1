//! Allocations down: everything once, then what the servers change, in parts, as soon as the stream is free.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use nomad_core::alloc::Allocation;
use nomad_core::job::Job;
use nomad_core::view::ClusterView as _;
use nomad_core::{AllocId, NodeId};
use nomad_proto::limits::ALLOCS_PART_BYTES;
use nomad_proto::node::{AllocRow, Allocs, JobRow, NodeDown, node_down};
use nomad_proto::pack;
use nomad_state::State;

use super::down;
use crate::node::registry::{Inbox, Pending};
use crate::server::Inner;

/// Pushes until the stream is closed.
pub(super) async fn push_allocs(inner: Arc<Inner>, node: NodeId, inbox: Arc<Inbox>) {
    let mut told: HashMap<AllocId, u64> = HashMap::new();
    let closed = inbox.closed.clone();
    let work = async {
        loop {
            // Room first: what changes while the stream is full goes with the next message.
            let Ok(room) = inbox.down.reserve().await else {
                return;
            };
            let pending = inbox.take().await;
            let state = inner.store.snapshot();
            let mut parts = tell(&state, node, pending, &mut told).into_iter();
            let Some(first) = parts.next() else { continue };
            room.send(Ok(first));
            for part in parts {
                if inbox.down.send(Ok(part)).await.is_err() {
                    return;
                }
            }
        }
    };
    tokio::select! {
        () = closed.cancelled() => {}
        () = work => {}
    }
}

/// The messages that bring a node up to date; `told` is what it knows.
fn tell(
    state: &State,
    node: NodeId,
    pending: Pending,
    told: &mut HashMap<AllocId, u64>,
) -> Vec<NodeDown> {
    let mut parts = Parts::new(state.last_index());
    match pending {
        Pending::All => {
            parts.full = true;
            told.clear();
            for alloc in state.allocs_of_node(node) {
                told.insert(alloc.id, alloc.alloc_modify_index);
                parts.add(alloc);
            }
        }
        Pending::Some(ids) => add_changed(state, node, &ids, told, &mut parts),
    }
    parts.finish()
}

fn add_changed(
    state: &State,
    node: NodeId,
    ids: &BTreeSet<AllocId>,
    told: &mut HashMap<AllocId, u64>,
    parts: &mut Parts,
) {
    for id in ids {
        match state.alloc(*id).filter(|alloc| alloc.node_id == node) {
            Some(alloc) => {
                let known = told.insert(*id, alloc.alloc_modify_index);
                if known != Some(alloc.alloc_modify_index) {
                    parts.add(alloc);
                }
            }
            None => {
                if told.remove(id).is_some() {
                    parts.removed.push(id.to_string());
                }
            }
        }
    }
}

/// A set of allocations that is cut into parts.
struct Parts {
    full: bool,
    index: u64,
    done: Vec<Allocs>,
    current: Allocs,
    size: usize,
    /// Position of each job version within the current part.
    jobs: HashMap<*const Job, u32>,
    removed: Vec<String>,
}

impl Parts {
    fn new(index: u64) -> Self {
        Self {
            full: false,
            index,
            done: Vec::new(),
            current: Allocs::default(),
            size: 0,
            jobs: HashMap::new(),
            removed: Vec::new(),
        }
    }

    fn add(&mut self, alloc: &Arc<Allocation>) {
        let Some(job) = &alloc.job else {
            tracing::error!(alloc = %alloc.id, "allocation without a job cannot be sent");
            return;
        };
        let Ok(row) = pack(&**alloc) else {
            tracing::error!(alloc = %alloc.id, "allocation cannot be encoded");
            return;
        };
        if self.size > 0 && self.size + row.len() > ALLOCS_PART_BYTES {
            self.cut();
        }
        let Some(position) = self.job(job) else {
            return;
        };
        self.size += row.len();
        self.current.allocs.push(AllocRow {
            alloc: row,
            job: position,
        });
    }

    fn job(&mut self, job: &Arc<Job>) -> Option<u32> {
        let pointer = Arc::as_ptr(job);
        if let Some(position) = self.jobs.get(&pointer) {
            return Some(*position);
        }
        let Ok(row): Result<Bytes, _> = pack(&**job) else {
            tracing::error!(job = %job.id, "job cannot be encoded");
            return None;
        };
        self.size += row.len();
        let position = self.current.jobs.len() as u32;
        self.current.jobs.push(JobRow { job: row });
        self.jobs.insert(pointer, position);
        Some(position)
    }

    fn cut(&mut self) {
        self.done.push(std::mem::take(&mut self.current));
        self.jobs.clear();
        self.size = 0;
    }

    fn finish(mut self) -> Vec<NodeDown> {
        self.current.removed = std::mem::take(&mut self.removed);
        let empty = self.current.allocs.is_empty() && self.current.removed.is_empty();
        if !empty || (self.full && self.done.is_empty()) {
            self.cut();
        }
        let count = self.done.len();
        let (full, index) = (self.full, self.index);
        self.done
            .into_iter()
            .enumerate()
            .map(|(at, part)| Allocs {
                full,
                index,
                last: at + 1 == count,
                ..part
            })
            .map(|part| down(node_down::Message::Allocs(part)))
            .collect()
    }
}
