//! Finding what ran before the agent was restarted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nomad_core::alloc::{AllocClientUpdate, ClientStatus};
use tokio::task::JoinSet;

use super::Core;
use crate::machine::disconnect::HeartbeatStop;
use crate::runner::AllocRunner;
use crate::state::StateError;

impl Core {
    /// Makes a runner for every stored allocation. A bad row fails its allocation, not the node.
    pub(super) async fn restore(self: &Arc<Self>) -> Result<(), StateError> {
        let (stored, damaged) = self.shared.db.load(&self.shared.jobs)?;
        let now = self.shared.clock.now();
        for (id, error) in damaged {
            tracing::error!(alloc = %id, %error, "stored allocation cannot be read and has failed");
            self.fail_alloc(id, "the client's record of the allocation cannot be read");
            self.shared.db.delete_alloc(id)?;
        }
        if !stored.is_empty() {
            *self.heartbeats.lock() = HeartbeatStop::new(now, true);
        }
        let known: BTreeSet<String> = stored
            .iter()
            .flat_map(|one| one.handles.values())
            .filter_map(|row| Some(row.handle.as_ref()?.task_id.clone()))
            .collect();
        // Before any task is started: the cgroups and FIFOs of a task's next run have the same names.
        self.end_strangers(&known).await;
        for one in stored {
            let id = one.row.alloc.id;
            let alloc = one.row.alloc.clone();
            match AllocRunner::restore(&self.shared, one, now) {
                Ok(runner) => {
                    self.watch_disconnect(&alloc);
                    self.shared.allocs.lock().insert(id, runner);
                }
                Err(error) => {
                    tracing::error!(alloc = %id, %error, "stored allocation has failed");
                    self.fail_alloc(id, &error.to_string());
                    self.shared.db.delete_alloc(id)?;
                }
            }
        }
        Ok(())
    }

    /// Ends what no stored task owns: the last runs of tasks whose end was stored, and allocations that were removed.
    async fn end_strangers(&self, known: &BTreeSet<String>) {
        let tasks = match self.supervisor.list().await {
            Ok(tasks) => tasks,
            Err(error) => {
                tracing::warn!(%error, "the supervisor's tasks cannot be listed");
                return;
            }
        };
        let mut ending = JoinSet::new();
        for task in tasks {
            let id = task.handle.id;
            if known.contains(&id) {
                continue;
            }
            if task.exit.is_none() {
                tracing::warn!(task = id, "a process that no allocation owns is ended");
            }
            let supervisor = self.supervisor.clone();
            ending.spawn(async move {
                let ended = supervisor.kill(&id, None, Some(Duration::ZERO)).await;
                let removed = match ended {
                    Ok(_) => supervisor.remove(&id).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = removed {
                    tracing::warn!(task = id, %error, "it cannot be removed");
                }
            });
        }
        ending.join_all().await;
    }

    /// Reports an allocation that cannot be run.
    pub(super) fn fail_alloc(&self, id: nomad_core::AllocId, why: &str) {
        self.shared.reporter.push(AllocClientUpdate {
            id,
            client_status: ClientStatus::Failed,
            client_description: why.to_owned(),
            modify_time: self.shared.clock.now(),
            ..AllocClientUpdate::default()
        });
    }
}
