//! Namespaces and scaling policies.

use nomad_core::job::ScalingPolicy;
use serde_json::Value;

use super::options::encode;
use super::{Client, ClientError, QueryOptions};
use crate::types::{NamespaceInfo, QueryMeta, ScalingPolicyListStub};

type Read<T> = Result<(T, QueryMeta), ClientError>;

impl Client {
    /// Namespaces.
    pub async fn namespaces(&self, options: &QueryOptions) -> Read<Vec<NamespaceInfo>> {
        self.get("/v1/namespaces", options).await
    }

    /// One namespace.
    pub async fn namespace(&self, name: &str, options: &QueryOptions) -> Read<NamespaceInfo> {
        self.get(&format!("/v1/namespace/{}", encode(name)), options)
            .await
    }

    /// Makes or changes a namespace.
    pub async fn apply_namespace(&self, namespace: &NamespaceInfo) -> Result<(), ClientError> {
        let path = format!("/v1/namespace/{}", encode(&namespace.name));
        self.put::<_, Value>(&path, namespace, &QueryOptions::new())
            .await?;
        Ok(())
    }

    /// Deletes a namespace.
    pub async fn delete_namespace(&self, name: &str) -> Result<(), ClientError> {
        let path = format!("/v1/namespace/{}", encode(name));
        self.delete::<Value>(&path, &QueryOptions::new()).await?;
        Ok(())
    }

    /// Scaling policies; `job` and `type` are parameters of the route.
    pub async fn scaling_policies(
        &self,
        options: &QueryOptions,
    ) -> Read<Vec<ScalingPolicyListStub>> {
        self.get("/v1/scaling/policies", options).await
    }

    /// One scaling policy.
    pub async fn scaling_policy(&self, id: &str, options: &QueryOptions) -> Read<ScalingPolicy> {
        self.get(&format!("/v1/scaling/policy/{}", encode(id)), options)
            .await
    }
}
