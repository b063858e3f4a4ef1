//! Nodes and node pools.

use nomad_core::job::Job;
use nomad_core::node::{Node, NodePool};
use serde::Deserialize;
use serde_json::{Value, json};

use super::options::encode;
use super::{Client, ClientError, QueryOptions};
use crate::types::{
    AllocListStub, HostStats, JobListStub, NodeDrainRequest, NodeDrainResponse,
    NodeEligibilityRequest, NodeListStub, NodeMetaRequest, NodeMetaResponse, NodeUpdateResponse,
    QueryMeta,
};

type Read<T> = Result<(T, QueryMeta), ClientError>;

fn pool_path(name: &str, rest: &str) -> String {
    format!("/v1/node/pool/{}{rest}", encode(name))
}

/// A node's allocations come whole; the job inside each is decoded apart.
#[derive(Deserialize)]
struct AllocOfNode {
    #[serde(flatten)]
    stub: AllocListStub,
    #[serde(rename = "Job", default)]
    job: Option<Job>,
}

impl Client {
    /// Nodes.
    pub async fn nodes(&self, options: &QueryOptions) -> Read<Vec<NodeListStub>> {
        self.get("/v1/nodes", options).await
    }

    /// One node.
    pub async fn node(&self, id: &str, options: &QueryOptions) -> Read<Node> {
        self.get(&format!("/v1/node/{}", encode(id)), options).await
    }

    /// Allocations of a node, as list stubs.
    pub async fn node_allocations(
        &self,
        id: &str,
        options: &QueryOptions,
    ) -> Read<Vec<AllocListStub>> {
        let path = format!("/v1/node/{}/allocations", encode(id));
        let (rows, meta) = self.get::<Vec<AllocOfNode>>(&path, options).await?;
        let stubs = rows.into_iter().map(|row| {
            let mut stub = row.stub;
            if let Some(job) = row.job {
                stub.job_version = job.version;
                stub.job_type = job.job_type.to_string();
            }
            stub
        });
        Ok((stubs.collect(), meta))
    }

    /// Sets or takes back a drain.
    pub async fn drain_node(
        &self,
        request: &NodeDrainRequest,
        options: &QueryOptions,
    ) -> Result<NodeDrainResponse, ClientError> {
        let path = format!("/v1/node/{}/drain", encode(&request.node_id));
        self.put(&path, request, options).await
    }

    /// Lets new work go to a node, or not.
    pub async fn set_node_eligibility(
        &self,
        request: &NodeEligibilityRequest,
        options: &QueryOptions,
    ) -> Result<NodeUpdateResponse, ClientError> {
        let path = format!("/v1/node/{}/eligibility", encode(&request.node_id));
        self.put(&path, request, options).await
    }

    /// Forgets a node.
    pub async fn purge_node(&self, id: &str) -> Result<NodeUpdateResponse, ClientError> {
        let path = format!("/v1/node/{}/purge", encode(id));
        self.put(&path, &json!({}), &QueryOptions::new()).await
    }

    /// Memory, processors and disks of a node; "" is the agent's own.
    pub async fn node_stats(&self, id: &str) -> Result<HostStats, ClientError> {
        let options = of_node(id);
        Ok(self.get("/v1/client/stats", &options).await?.0)
    }

    /// Metadata of a node; "" is the agent's own.
    pub async fn node_meta(&self, id: &str) -> Result<NodeMetaResponse, ClientError> {
        Ok(self.get("/v1/client/metadata", &of_node(id)).await?.0)
    }

    /// Changes dynamic metadata of a node.
    pub async fn set_node_meta(
        &self,
        request: &NodeMetaRequest,
    ) -> Result<NodeMetaResponse, ClientError> {
        let options = of_node(&request.node_id);
        self.write(http::Method::POST, "/v1/client/metadata", request, &options)
            .await
    }

    /// Node pools.
    pub async fn node_pools(&self, options: &QueryOptions) -> Read<Vec<NodePool>> {
        self.get("/v1/node/pools", options).await
    }

    /// One node pool.
    pub async fn node_pool(&self, name: &str, options: &QueryOptions) -> Read<NodePool> {
        self.get(&pool_path(name, ""), options).await
    }

    /// Makes or changes a node pool.
    pub async fn apply_node_pool(&self, pool: &NodePool) -> Result<(), ClientError> {
        self.put::<_, Value>("/v1/node/pools", pool, &QueryOptions::new())
            .await?;
        Ok(())
    }

    /// Deletes a node pool.
    pub async fn delete_node_pool(&self, name: &str) -> Result<(), ClientError> {
        self.delete::<Value>(&pool_path(name, ""), &QueryOptions::new())
            .await?;
        Ok(())
    }

    /// Nodes of a pool.
    pub async fn node_pool_nodes(
        &self,
        name: &str,
        options: &QueryOptions,
    ) -> Read<Vec<NodeListStub>> {
        self.get(&pool_path(name, "/nodes"), options).await
    }

    /// Jobs of a pool.
    pub async fn node_pool_jobs(
        &self,
        name: &str,
        options: &QueryOptions,
    ) -> Read<Vec<JobListStub>> {
        self.get(&pool_path(name, "/jobs"), options).await
    }
}

fn of_node(id: &str) -> QueryOptions {
    if id.is_empty() {
        QueryOptions::new()
    } else {
        QueryOptions::new().param("node_id", id)
    }
}
