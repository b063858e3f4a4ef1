//! The cluster as a whole: scheduler configuration, summaries, snapshots.

use std::io::Write;
use std::path::Path;

use nomad_core::scheduler_config::SchedulerConfiguration;
use nomad_raft::SnapshotMeta;
use nomad_state::Reply;
use nomad_state::command::{ReconcileJobSummaries, SchedulerConfigSet};
use nomad_store::SnapshotWriter;

use crate::error::ServerError;
use crate::fsm::chain;
use crate::server::Server;

impl Server {
    /// Changes how schedulers behave, if its ModifyIndex is `cas`; gives whether it did, and the index.
    pub async fn set_scheduler_config(
        &self,
        config: SchedulerConfiguration,
        cas: Option<u64>,
    ) -> Result<(bool, u64), ServerError> {
        let applied = self.write(SchedulerConfigSet { config, cas }).await?;
        Ok((applied.reply == Reply::Set(true), applied.index))
    }

    /// Collects everything that may go, whatever its age.
    pub async fn collect_garbage(&self) -> Result<(), ServerError> {
        self.inner.wait_for_leader().await?.collect_garbage().await
    }

    /// Counts all job summaries anew.
    pub async fn reconcile_summaries(&self) -> Result<u64, ServerError> {
        Ok(self.write(ReconcileJobSummaries {}).await?.index)
    }

    /// Writes a snapshot of everything that was committed before the call; gives its index.
    pub async fn snapshot_save<W: Write + Send + 'static>(
        &self,
        out: W,
    ) -> Result<(W, u64), ServerError> {
        self.read_barrier().await?;
        let status = self.consensus().await?;
        let state = self.state();
        let meta = SnapshotMeta {
            index: state.last_index(),
            term: status.leadership.term,
            membership: status.membership,
        };
        let index = meta.index;
        let written = tokio::task::spawn_blocking(move || {
            let failed = |error: &dyn std::error::Error| {
                ServerError::internal(format!("cannot write the snapshot: {}", chain(error)))
            };
            let mut writer = SnapshotWriter::new(out, &meta, Path::new("snapshot"))
                .map_err(|error| failed(&error))?;
            state.save(&mut writer).map_err(|error| failed(&error))?;
            writer.finish().map_err(|error| failed(&error))
        });
        let out = written
            .await
            .map_err(|error| ServerError::internal(error.to_string()))??;
        Ok((out, index))
    }
}
