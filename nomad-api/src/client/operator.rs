//! Operators: scheduler, raft, snapshots, metrics.

use bytes::Bytes;
use http::Method;
use nomad_core::scheduler_config::SchedulerConfiguration;
use serde_json::{Value, json};

use super::stream::body_stream;
use super::{ByteStream, Client, ClientError, QueryOptions, collect};
use crate::types::{RaftConfiguration, SchedulerConfigurationResponse, SchedulerSetResponse};

impl Client {
    /// How the schedulers behave.
    pub async fn scheduler_config(&self) -> Result<SchedulerConfigurationResponse, ClientError> {
        Ok(self
            .get("/v1/operator/scheduler/configuration", &QueryOptions::new())
            .await?
            .0)
    }

    /// Sets how the schedulers behave; with `check_index` only if it was not changed since.
    pub async fn set_scheduler_config(
        &self,
        config: &SchedulerConfiguration,
        check_index: Option<u64>,
    ) -> Result<SchedulerSetResponse, ClientError> {
        let mut options = QueryOptions::new();
        if let Some(index) = check_index {
            options = options.param("cas", index.to_string());
        }
        self.put("/v1/operator/scheduler/configuration", config, &options)
            .await
    }

    /// Members of the consensus group.
    pub async fn raft_configuration(
        &self,
        options: &QueryOptions,
    ) -> Result<RaftConfiguration, ClientError> {
        Ok(self
            .get("/v1/operator/raft/configuration", options)
            .await?
            .0)
    }

    /// The state of the servers as an archive, and its `Digest` header.
    pub async fn snapshot_save(
        &self,
        options: &QueryOptions,
    ) -> Result<(ByteStream, String), ClientError> {
        let response = self
            .send(Method::GET, "/v1/operator/snapshot", options, Bytes::new())
            .await?;
        let digest = response
            .headers()
            .get("digest")
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
            .to_owned();
        Ok((body_stream(response), digest))
    }

    /// Replaces the state of the servers.
    pub async fn snapshot_restore(&self, archive: Bytes) -> Result<(), ClientError> {
        let response = self
            .send(
                Method::PUT,
                "/v1/operator/snapshot",
                &QueryOptions::new(),
                archive,
            )
            .await?;
        collect(response).await?;
        Ok(())
    }

    /// The agent's metrics as they are sent: JSON, or with `format=prometheus` text.
    pub async fn metrics(&self, options: &QueryOptions) -> Result<Bytes, ClientError> {
        let response = self
            .send(Method::GET, "/v1/metrics", options, Bytes::new())
            .await?;
        collect(response).await
    }

    /// The leader's address, "" if there is none.
    pub async fn leader(&self) -> Result<String, ClientError> {
        Ok(self.get("/v1/status/leader", &QueryOptions::new()).await?.0)
    }

    /// Collects garbage everywhere now.
    pub async fn system_gc(&self) -> Result<(), ClientError> {
        self.put::<_, Value>("/v1/system/gc", &json!({}), &QueryOptions::new())
            .await?;
        Ok(())
    }

    /// Counts job summaries anew.
    pub async fn reconcile_summaries(&self) -> Result<(), ClientError> {
        self.put::<_, Value>(
            "/v1/system/reconcile/summaries",
            &json!({}),
            &QueryOptions::new(),
        )
        .await?;
        Ok(())
    }
}
