//! The agent itself.

use serde_json::{Value, json};

use super::{Client, ClientError, FrameStream, QueryOptions};
use crate::types::{AgentHealth, ServerMembersResponse};

impl Client {
    /// Configuration, statistics and identity of the agent.
    pub async fn agent_self(&self) -> Result<Value, ClientError> {
        Ok(self.get("/v1/agent/self", &QueryOptions::new()).await?.0)
    }

    /// Servers that the agent knows.
    pub async fn agent_members(&self) -> Result<ServerMembersResponse, ClientError> {
        Ok(self.get("/v1/agent/members", &QueryOptions::new()).await?.0)
    }

    /// Whether the agent is well. An unwell agent answers an error status with the same body.
    pub async fn agent_health(&self) -> Result<AgentHealth, ClientError> {
        Ok(self.get("/v1/agent/health", &QueryOptions::new()).await?.0)
    }

    /// Addresses of the servers that a client agent talks to.
    pub async fn agent_servers(&self) -> Result<Vec<String>, ClientError> {
        Ok(self.get("/v1/agent/servers", &QueryOptions::new()).await?.0)
    }

    /// Sets the servers that a client agent talks to.
    pub async fn set_agent_servers(&self, servers: &[String]) -> Result<(), ClientError> {
        let options = servers.iter().fold(QueryOptions::new(), |options, server| {
            options.param("address", server)
        });
        self.put::<_, Value>("/v1/agent/servers", &json!({}), &options)
            .await?;
        Ok(())
    }

    /// The agent's log from now on; `params` of the options choose level and node.
    pub async fn monitor(&self, options: &QueryOptions) -> Result<FrameStream, ClientError> {
        self.frames("/v1/agent/monitor", options).await
    }
}
