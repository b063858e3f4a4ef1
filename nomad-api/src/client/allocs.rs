//! Allocations.

use std::sync::Arc;

use nomad_core::alloc::Allocation;
use nomad_core::job::Job;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::options::encode;
use super::{Client, ClientError, QueryOptions};
use crate::types::{
    AllocListStub, AllocResourceUsage, AllocRestartRequest, AllocSignalRequest, AllocStopResponse,
    QueryMeta,
};

type Read<T> = Result<(T, QueryMeta), ClientError>;

/// An allocation with its job, which its stored row only names.
#[derive(Deserialize)]
struct WithJob {
    #[serde(flatten)]
    alloc: Allocation,
    #[serde(rename = "Job", default)]
    job: Option<Arc<Job>>,
}

impl Client {
    /// Allocations.
    pub async fn allocations(&self, options: &QueryOptions) -> Read<Vec<AllocListStub>> {
        self.get("/v1/allocations", options).await
    }

    /// One allocation, with its job.
    pub async fn allocation(&self, id: &str, options: &QueryOptions) -> Read<Allocation> {
        let path = format!("/v1/allocation/{}", encode(id));
        let (found, meta) = self.get::<WithJob>(&path, options).await?;
        let mut alloc = found.alloc;
        if let Some(job) = &found.job {
            alloc.job_version = job.version;
        }
        alloc.job = found.job;
        Ok((alloc, meta))
    }

    /// Stops an allocation and has it replaced.
    pub async fn stop_allocation(
        &self,
        id: &str,
        no_shutdown_delay: bool,
        reschedule: bool,
        options: &QueryOptions,
    ) -> Result<AllocStopResponse, ClientError> {
        let options = options
            .clone()
            .param("no_shutdown_delay", no_shutdown_delay.to_string())
            .param("reschedule", reschedule.to_string());
        let path = format!("/v1/allocation/{}/stop", encode(id));
        self.put(&path, &json!({}), &options).await
    }

    /// Restarts tasks in place.
    pub async fn restart_allocation(
        &self,
        id: &str,
        request: &AllocRestartRequest,
        options: &QueryOptions,
    ) -> Result<(), ClientError> {
        self.on_client(id, "restart", request, options).await
    }

    /// Sends a signal to tasks.
    pub async fn signal_allocation(
        &self,
        id: &str,
        request: &AllocSignalRequest,
        options: &QueryOptions,
    ) -> Result<(), ClientError> {
        self.on_client(id, "signal", request, options).await
    }

    async fn on_client<B: Serialize>(
        &self,
        id: &str,
        what: &str,
        body: &B,
        options: &QueryOptions,
    ) -> Result<(), ClientError> {
        let path = format!("/v1/client/allocation/{}/{what}", encode(id));
        self.put::<B, Value>(&path, body, options).await?;
        Ok(())
    }

    /// Resources that an allocation uses.
    pub async fn allocation_stats(
        &self,
        id: &str,
        options: &QueryOptions,
    ) -> Result<AllocResourceUsage, ClientError> {
        let path = format!("/v1/client/allocation/{}/stats", encode(id));
        Ok(self.get(&path, options).await?.0)
    }

    /// Results of an allocation's service checks, by check id.
    pub async fn allocation_checks(
        &self,
        id: &str,
        options: &QueryOptions,
    ) -> Result<serde_json::Map<String, Value>, ClientError> {
        let path = format!("/v1/client/allocation/{}/checks", encode(id));
        let (checks, _) = self.get::<Option<_>>(&path, options).await?;
        Ok(checks.unwrap_or_default())
    }

    /// Removes what a stopped allocation left on its node.
    pub async fn collect_allocation(&self, id: &str) -> Result<(), ClientError> {
        let path = format!("/v1/client/allocation/{}/gc", encode(id));
        self.get::<Value>(&path, &QueryOptions::new()).await?;
        Ok(())
    }
}
