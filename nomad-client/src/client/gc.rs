//! Removing ended allocations from disk before it is full.

use std::sync::Arc;

use nomad_core::AllocId;
use tokio::sync::broadcast::error::RecvError;

use super::{Client, Core};
use crate::fingerprint::disk_usage;
use crate::machine::gc::Usage;
use crate::metrics::RequestTimer;

/// Notes ends, and removes the oldest while a limit is exceeded.
pub(super) async fn run(core: Arc<Core>) {
    let mut ended = core.shared.ended.subscribe();
    // Ends from before this loop.
    core.note_ended();
    let mut interval = tokio::time::interval(core.shared.config.gc_interval);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            end = ended.recv() => match end {
                Ok(id) => {
                    core.heartbeats.lock().forget(&id);
                    core.gc.lock().ended(id, core.shared.clock.now());
                }
                Err(RecvError::Lagged(_)) => core.note_ended(),
                Err(RecvError::Closed) => return,
            },
            _ = interval.tick() => {}
        }
        core.collect_garbage().await;
    }
}

impl Core {
    fn note_ended(&self) {
        let now = self.shared.clock.now();
        for runner in self.shared.runners() {
            if runner.is_done() {
                self.gc.lock().ended(runner.id(), now);
            }
        }
    }

    /// Removes what the limits ask for.
    async fn collect_garbage(self: &Arc<Self>) {
        loop {
            let disk = disk_usage(&self.shared.config.alloc_dir).unwrap_or_default();
            let usage = Usage {
                allocs: self.shared.allocs.lock().len(),
                disk_percent: disk.used_percent,
                inode_percent: disk.inodes_used_percent,
            };
            let mut batch = Vec::new();
            {
                let mut queue = self.gc.lock();
                let mut usage = usage;
                for _ in 0..self.shared.config.gc_parallel_destroys.max(1) {
                    let Some((id, why)) = queue.next(&self.shared.config.gc, &usage) else {
                        break;
                    };
                    tracing::info!(alloc = %id, why, "ended allocation is removed");
                    usage.allocs = usage.allocs.saturating_sub(1);
                    batch.push(id);
                }
            }
            if batch.is_empty() {
                return;
            }
            futures::future::join_all(batch.into_iter().map(|id| self.collect(id))).await;
        }
    }

    /// Removes an ended allocation. Whether there was one.
    async fn collect(self: &Arc<Self>, id: AllocId) -> bool {
        let runner = {
            let mut allocs = self.shared.allocs.lock();
            match allocs.get(&id) {
                Some(runner) if runner.is_done() => allocs.remove(&id),
                _ => None,
            }
        };
        match runner {
            Some(runner) => {
                self.end_and_destroy(&runner).await;
                true
            }
            None => false,
        }
    }
}

impl Client {
    /// Removes an ended allocation from this node. Whether there was one that has ended.
    pub async fn gc(&self, id: AllocId) -> bool {
        let _timer = RequestTimer::new("nomad.client.allocations.garbage_collect");
        self.core.gc.lock().remove(&id);
        self.core.collect(id).await
    }

    /// Removes all ended allocations; how many.
    pub async fn gc_all(&self) -> usize {
        let _timer = RequestTimer::new("nomad.client.allocations.garbage_collect_all");
        self.core.note_ended();
        let mut count = 0;
        loop {
            let Some(id) = self.core.gc.lock().pop() else {
                return count;
            };
            count += usize::from(self.core.collect(id).await);
        }
    }
}
