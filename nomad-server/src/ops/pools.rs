//! Node pools.
//!
//! Source: HTTP API reference, "Node pools".

use nomad_core::job::JobStatus;
use nomad_core::node::{ALL_NODE_POOL, DEFAULT_IDENTITY_TTL, DEFAULT_NODE_POOL, NodePool};
use nomad_core::view::ClusterView as _;
use nomad_state::command::{NodePoolDelete, NodePoolUpsert};

use crate::error::ServerError;
use crate::server::Server;

/// Longest name of a pool or namespace, in bytes.
const MAX_NAME: usize = 128;
/// Longest description, in bytes.
pub(super) const MAX_DESCRIPTION: usize = 256;

impl Server {
    /// Writes a node pool; gives the index of the write.
    pub async fn upsert_node_pool(&self, mut pool: NodePool) -> Result<u64, ServerError> {
        let name = &pool.name;
        if is_builtin(name) {
            let reason = format!("modifying node pool {name:?} is not allowed");
            return Err(ServerError::BadRequest { reason });
        }
        if !is_name(name, &['-', '_']) {
            let reason = format!(
                "invalid node pool {name:?}: invalid name {name:?}, must match regex ^[a-zA-Z0-9-_]{{1,128}}$"
            );
            return Err(ServerError::BadRequest { reason });
        }
        if pool.description.len() > MAX_DESCRIPTION {
            let reason =
                format!("invalid node pool {name:?}: description longer than {MAX_DESCRIPTION}");
            return Err(ServerError::BadRequest { reason });
        }
        if pool.scheduler_configuration.is_some() {
            return Err(ServerError::refused(
                "Feature \"Node Pools Governance\" is unlicensed",
            ));
        }
        if pool.node_identity_ttl.is_zero() {
            pool.node_identity_ttl = DEFAULT_IDENTITY_TTL;
        }
        Ok(self
            .write(NodePoolUpsert { pools: vec![pool] })
            .await?
            .index)
    }

    /// Deletes a node pool that nothing uses; gives the index of the write.
    pub async fn delete_node_pool(&self, name: String) -> Result<u64, ServerError> {
        if is_builtin(&name) {
            let reason = format!("deleting node pool {name:?} is not allowed");
            return Err(ServerError::Refused { reason });
        }
        let state = self.state();
        if state.node_pool(&name).is_none() {
            return Err(ServerError::refused(format!("node pool {name} not found")));
        }
        let region = &self.inner.config.region;
        let uses =
            |job: &nomad_core::job::Job| job.node_pool == name && job.status != JobStatus::Dead;
        if state.jobs().any(|job| uses(job)) {
            let reason = format!("node pool {name:?} has non-terminal jobs in regions: [{region}]");
            return Err(one_error(&reason));
        }
        if state.all_nodes().any(|node| node.node_pool == name) {
            let reason = format!("node pool {name:?} has nodes in regions: [{region}]");
            return Err(one_error(&reason));
        }
        Ok(self
            .write(NodePoolDelete { names: vec![name] })
            .await?
            .index)
    }
}

fn is_builtin(pool: &str) -> bool {
    pool == ALL_NODE_POOL || pool == DEFAULT_NODE_POOL
}

pub(super) fn is_name(name: &str, extra: &[char]) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || extra.contains(&c))
}

/// One mistake in the layout of several.
pub(super) fn one_error(reason: &str) -> ServerError {
    ServerError::Refused {
        reason: format!("1 error occurred:\n\t* {reason}\n\n"),
    }
}
