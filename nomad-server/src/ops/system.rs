//! The cluster as a whole: scheduler configuration, summaries, snapshots.

use std::io::{Read as _, Write};
use std::path::Path;

use bytes::Bytes;
use nomad_core::scheduler_config::SchedulerConfiguration;
use nomad_raft::SnapshotMeta;
use nomad_state::command::{ReconcileJobSummaries, SchedulerConfigSet, SnapshotChunk};
use nomad_state::{MAX_CHUNK_BYTES, MAX_RESTORE_BYTES, Reply, State};
use nomad_store::{SnapshotReader, SnapshotWriter};

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

    /// Puts a snapshot that [`snapshot_save`](Self::snapshot_save) wrote in place of the state; gives the index. It is
    /// checked as a whole before anything is written.
    ///
    /// # Errors
    /// It is damaged, too large, or was written by a newer program: nothing changes then. So it is when leadership is
    /// lost before the last part is committed.
    pub async fn snapshot_restore(&self, archive: Bytes) -> Result<u64, ServerError> {
        self.inner.wait_for_leader().await?;
        let read = tokio::task::spawn_blocking(move || read_archive(&archive));
        let content = read
            .await
            .map_err(|error| ServerError::internal(error.to_string()))??;
        let id = self.inner.ids.fresh::<nomad_core::Uuid>().to_string();
        let count = content.len().div_ceil(MAX_CHUNK_BYTES);
        let mut index = 0;
        for (number, data) in content.chunks(MAX_CHUNK_BYTES).enumerate() {
            let chunk = SnapshotChunk {
                id: id.clone(),
                number: u32::try_from(number)
                    .map_err(|_| ServerError::refused("the snapshot is too large"))?,
                last: number + 1 == count,
                data: data.to_vec().into(),
            };
            index = self.write(chunk).await?.index;
        }
        tracing::warn!(
            index,
            bytes = content.len(),
            "state restored from a snapshot"
        );
        Ok(index)
    }
}

/// The content of an archive, every byte checked.
fn read_archive(archive: &[u8]) -> Result<Vec<u8>, ServerError> {
    let broken = |error: &dyn std::error::Error| ServerError::refused(chain(error));
    let mut reader =
        SnapshotReader::new(archive, Path::new("archive")).map_err(|error| broken(&error))?;
    let mut content = Vec::new();
    reader
        .by_ref()
        .take(MAX_RESTORE_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(|error| broken(&error))?;
    if content.len() as u64 > MAX_RESTORE_BYTES {
        return Err(ServerError::refused(format!(
            "the snapshot has more than {MAX_RESTORE_BYTES} bytes"
        )));
    }
    reader.finish().map_err(|error| broken(&error))?;
    State::load(&mut content.as_slice()).map_err(|error| broken(&error))?;
    Ok(content)
}
