//! Deployments.

use nomad_core::deployment::Deployment;
use serde_json::json;

use super::options::encode;
use super::{Client, ClientError, QueryOptions};
use crate::types::{AllocListStub, DeploymentPauseRequest, DeploymentUpdateResponse, QueryMeta};

type Read<T> = Result<(T, QueryMeta), ClientError>;

impl Client {
    /// Deployments.
    pub async fn deployments(&self, options: &QueryOptions) -> Read<Vec<Deployment>> {
        self.get("/v1/deployments", options).await
    }

    /// One deployment.
    pub async fn deployment(&self, id: &str, options: &QueryOptions) -> Read<Deployment> {
        self.get(&format!("/v1/deployment/{}", encode(id)), options)
            .await
    }

    /// Allocations of a deployment.
    pub async fn deployment_allocations(
        &self,
        id: &str,
        options: &QueryOptions,
    ) -> Read<Vec<AllocListStub>> {
        let path = format!("/v1/deployment/allocations/{}", encode(id));
        self.get(&path, options).await
    }

    /// Marks a deployment failed.
    pub async fn fail_deployment(
        &self,
        id: &str,
        options: &QueryOptions,
    ) -> Result<DeploymentUpdateResponse, ClientError> {
        let path = format!("/v1/deployment/fail/{}", encode(id));
        self.put(&path, &json!({}), options).await
    }

    /// Pauses or resumes a deployment.
    pub async fn pause_deployment(
        &self,
        request: &DeploymentPauseRequest,
        options: &QueryOptions,
    ) -> Result<DeploymentUpdateResponse, ClientError> {
        let path = format!("/v1/deployment/pause/{}", encode(&request.deployment_id));
        self.put(&path, request, options).await
    }

    /// Lets a federated deployment go on.
    pub async fn unblock_deployment(
        &self,
        id: &str,
        options: &QueryOptions,
    ) -> Result<DeploymentUpdateResponse, ClientError> {
        let path = format!("/v1/deployment/unblock/{}", encode(id));
        self.put(&path, &json!({"DeploymentID": id}), options).await
    }
}
