//! Versions of jobs: reverting, stability, tags.

use nomad_core::JobKey;
use nomad_core::job::JobVersionTag;
use nomad_core::view::ClusterView as _;
use nomad_state::command::{JobStability, JobVersionTagUpdate};

use super::{RegisterJob, RegisterReply};
use crate::deployments::rollback::revertible;
use crate::error::ServerError;
use crate::server::Server;

impl Server {
    /// Makes an old version of a job the newest one again.
    pub async fn revert_job(
        &self,
        key: JobKey,
        version: u64,
        enforce_prior_version: Option<u64>,
    ) -> Result<RegisterReply, ServerError> {
        let current = self.job_or_error(&key)?;
        if let Some(expected) = enforce_prior_version
            && expected != current.version
        {
            let have = current.version;
            let reason = format!("Current job has version {have}; enforcing version {expected}");
            return Err(ServerError::refused(reason));
        }
        if version == current.version {
            return Err(ServerError::refused("can't revert to current version"));
        }
        let state = self.state();
        let old = state.job_version(&key, version).ok_or_else(|| {
            ServerError::refused(format!(
                "job {:?} in namespace {:?} at version {version} not found",
                &*key.id, &*key.namespace
            ))
        })?;
        let submission = state
            .job_submission(&key, version)
            .map(|stored| (**stored).clone());
        self.register_job(RegisterJob {
            job: revertible(old),
            submission,
            // Nobody else may have changed it meanwhile.
            enforce_index: Some(current.job_modify_index),
            ..RegisterJob::default()
        })
        .await
    }

    /// Says whether a version of a job is stable; gives the index of the write.
    pub async fn set_job_stability(
        &self,
        key: JobKey,
        version: u64,
        stable: bool,
    ) -> Result<u64, ServerError> {
        self.job_or_error(&key)?;
        if self.state().job_version(&key, version).is_none() {
            let reason = format!(
                "job {:?} in namespace {:?} at version {version} not found",
                &*key.id, &*key.namespace
            );
            return Err(ServerError::refused(reason));
        }
        Ok(self
            .write(JobStability {
                key,
                version,
                stable,
            })
            .await?
            .index)
    }

    /// Gives a version of a job a tag, or with no description takes the tag of that name away; gives the time of the
    /// tag and the index of the write.
    pub async fn tag_job_version(
        &self,
        key: JobKey,
        version: u64,
        name: String,
        description: Option<String>,
    ) -> Result<(nomad_core::Timestamp, u64), ServerError> {
        let now = self.inner.clock.now();
        let tag = description.map(|description| JobVersionTag {
            name: name.clone(),
            description,
            tagged_time: now,
        });
        self.job_or_error(&key)?;
        if tag.is_some() && self.state().job_version(&key, version).is_none() {
            let reason = format!("job {:?} version {version} not found", &*key.id);
            return Err(ServerError::refused(reason));
        }
        let applied = self
            .write(JobVersionTagUpdate {
                key,
                version,
                tag,
                name,
            })
            .await?;
        Ok((now, applied.index))
    }
}
