//! Taking over what the servers want: new allocations, changed ones, removed ones.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nomad_core::AllocId;
use nomad_core::alloc::{Allocation, ClientStatus};

use super::{Client, Core};
use crate::machine::alloc::{Event, KillReason};
use crate::runner::AllocRunner;

/// Allocations as the servers sent them, jobs attached.
#[derive(Debug, Clone, Default)]
pub struct Assignment {
    /// Whether these are all that the node has.
    pub full: bool,
    /// New or changed ones.
    pub allocs: Vec<Allocation>,
    /// Whether they come with the begin of a connection, when the servers may have been told less than they say.
    pub resync: bool,
    /// Those that the servers no longer know.
    pub removed: Vec<AllocId>,
}

impl Client {
    /// Takes over allocations as if a server had sent them.
    pub fn assign(&self, assignment: Assignment) {
        self.core.assign(assignment);
    }
}

impl Core {
    pub(crate) fn assign(self: &Arc<Self>, assignment: Assignment) {
        let Assignment {
            full,
            resync,
            allocs,
            mut removed,
        } = assignment;
        if full {
            let sent: BTreeSet<AllocId> = allocs.iter().map(|alloc| alloc.id).collect();
            let known: Vec<AllocId> = self.shared.allocs.lock().keys().copied().collect();
            removed.extend(known.into_iter().filter(|id| !sent.contains(id)));
        }
        if resync {
            for alloc in &allocs {
                self.tell_again(alloc);
            }
        }
        for alloc in allocs {
            match self.shared.runner(&alloc.id) {
                Some(runner) => self.update(&runner, alloc),
                None => self.add(alloc),
            }
        }
        for id in removed {
            self.remove(id);
        }
        if !self.shared.servers_contacted.swap(true, Ordering::AcqRel) {
            for runner in self.shared.runners() {
                runner.dispatch(Event::ServersContacted);
            }
        }
    }

    fn add(self: &Arc<Self>, alloc: Allocation) {
        // It ended here before, and its directory may be long gone.
        if alloc.client_terminal() {
            return;
        }
        let id = alloc.id;
        self.watch_disconnect(&alloc);
        match AllocRunner::new(&self.shared, alloc, self.shared.clock.now()) {
            Ok(runner) => {
                if self.shared.contacted() {
                    runner.dispatch(Event::ServersContacted);
                }
                self.shared.allocs.lock().insert(id, runner.clone());
                runner.begin();
            }
            Err(error) => {
                tracing::error!(alloc = %id, %error, "allocation cannot be run");
                self.fail_alloc(id, &error.to_string());
            }
        }
    }

    fn update(self: &Arc<Self>, runner: &Arc<AllocRunner>, alloc: Allocation) {
        let known = runner.alloc();
        if alloc.alloc_modify_index <= known.alloc_modify_index {
            return;
        }
        self.watch_disconnect(&alloc);
        let reconnected = alloc.client_status == ClientStatus::Unknown && !alloc.server_terminal();
        runner.dispatch(Event::Update(Box::new(alloc)));
        if reconnected {
            runner.dispatch(Event::Reconnected);
        }
    }

    /// Reports an allocation once more that has ended here, and of which the servers do not know that: theirs may come
    /// from a snapshot.
    fn tell_again(&self, theirs: &Allocation) {
        let Some(runner) = self.shared.runner(&theirs.id) else {
            return;
        };
        let ours = runner.client_update();
        if ours.client_status.is_terminal() && !theirs.client_terminal() {
            self.shared.reporter.push(ours);
        }
    }

    /// Ends an allocation and removes all that is left of it.
    pub(super) fn remove(self: &Arc<Self>, id: AllocId) {
        self.heartbeats.lock().forget(&id);
        let Some(runner) = self.shared.allocs.lock().remove(&id) else {
            return;
        };
        let core = self.clone();
        tokio::spawn(async move {
            core.end_and_destroy(&runner).await;
            // What is still to be reported is of no interest any more.
            core.shared.reporter.with(|outbox| outbox.forget(&id));
        });
    }

    pub(super) async fn end_and_destroy(&self, runner: &Arc<AllocRunner>) {
        if !runner.is_done() {
            runner.dispatch(Event::Kill(KillReason::Destroy));
            runner.wait_done().await;
        }
        self.gc.lock().remove(&runner.id());
        runner.destroy().await;
        let key = crate::state::AllocRow::of((*runner.alloc()).clone()).job;
        // This runner still holds the job; others decide.
        let others = self
            .shared
            .runners()
            .iter()
            .any(|other| crate::state::AllocRow::of((*other.alloc()).clone()).job == key);
        if !others && let Err(error) = self.shared.db.delete_job(&key) {
            tracing::warn!(%error, "a job that is no longer needed cannot be removed");
        }
    }

    /// Kills the processes of all tasks at once.
    pub(super) async fn kill_tasks(&self) {
        let tasks = self.supervisor.list().await.unwrap_or_default();
        let kill = |id: String| async move {
            // One that is gone already need not be killed.
            let _ = self.supervisor.kill(&id, None, Some(Duration::ZERO)).await;
        };
        futures::future::join_all(tasks.into_iter().map(|task| kill(task.handle.id))).await;
    }

    /// Ends and removes everything.
    pub(super) async fn destroy_all(&self) {
        let runners = self.shared.runners();
        for runner in &runners {
            runner.dispatch(Event::Kill(KillReason::Destroy));
        }
        futures::future::join_all(runners.iter().map(|runner| self.end_and_destroy(runner))).await;
    }

    pub(super) fn watch_disconnect(&self, alloc: &Allocation) {
        let span = alloc
            .group()
            .and_then(|group| group.disconnect.as_ref())
            .and_then(|disconnect| disconnect.stop_on_client_after);
        let mut heartbeats = self.heartbeats.lock();
        match span {
            Some(span) if span.is_set() && !alloc.terminal() => heartbeats.watch(alloc.id, span),
            _ => return,
        }
        drop(heartbeats);
        self.heartbeats_changed.notify_one();
    }
}

/// Ends allocations whose servers were not heard of for too long.
pub(super) async fn stop_when_disconnected(core: Arc<Core>) {
    loop {
        let now = core.shared.clock.now();
        let expired = core.heartbeats.lock().expired(now);
        for id in expired {
            tracing::warn!(alloc = %id, "stopped because its servers were not heard of for too long");
            core.remove(id);
        }
        let next = core.heartbeats.lock().next_deadline();
        let changed = core.heartbeats_changed.notified();
        match next {
            Some(at) => {
                let wait = at.since(core.shared.clock.now()).to_std();
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = changed => {}
                }
            }
            None => changed.await,
        }
    }
}
