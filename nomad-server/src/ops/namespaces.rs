//! Namespaces.
//!
//! Source: HTTP API reference, "Namespaces".

use nomad_core::DEFAULT_NAMESPACE;
use nomad_state::ApplyError;
use nomad_state::command::{NamespaceDelete, NamespaceRow, NamespaceUpsert};
use nomad_state::namespace::NamespaceUse;

use super::pools::{MAX_DESCRIPTION, is_name, one_error};
use crate::error::ServerError;
use crate::server::Server;

impl Server {
    /// Writes a namespace; gives the index of the write.
    pub async fn upsert_namespace(&self, namespace: NamespaceRow) -> Result<u64, ServerError> {
        let name = &namespace.name;
        let refused = |reason: String| Err(ServerError::Refused { reason });
        if !is_name(name, &['-']) {
            return refused(format!(
                "Invalid namespace {name:?}: invalid name {name:?}. Must match regex ^[a-zA-Z0-9-]{{1,128}}$"
            ));
        }
        if namespace.description.len() > MAX_DESCRIPTION {
            return refused(format!(
                "Invalid namespace {name:?}: description longer than {MAX_DESCRIPTION}"
            ));
        }
        if !namespace.quota.is_empty() {
            let quota = &namespace.quota;
            return refused(format!(
                "namespace {name:?} using non-existent quota {quota:?}"
            ));
        }
        // What needs another edition is refused, not kept without effect.
        for (block, what, feature) in [
            (
                &namespace.node_pool_configuration,
                "node pool",
                "Node Pools Governance",
            ),
            (
                &namespace.vault_configuration,
                "vault",
                "Multiple Vault Clusters",
            ),
            (
                &namespace.consul_configuration,
                "consul",
                "Multiple Consul Clusters",
            ),
        ] {
            if block.is_some() {
                return refused(format!(
                    "Invalid namespace {name:?}: invalid {what} configuration: {feature} is unlicensed."
                ));
            }
        }
        let namespaces = vec![namespace];
        Ok(self.write(NamespaceUpsert { namespaces }).await?.index)
    }

    /// Deletes a namespace that nothing uses; gives the index of the write.
    pub async fn delete_namespace(&self, name: String) -> Result<u64, ServerError> {
        if name == DEFAULT_NAMESPACE {
            return Err(ServerError::refused("can not delete default namespace"));
        }
        let names = vec![name];
        match self.write(NamespaceDelete { names }).await {
            Ok(applied) => Ok(applied.index),
            Err(ServerError::State(ApplyError::NamespaceInUse { name, used })) => {
                Err(self.in_use(&name, used))
            }
            Err(error) => Err(error),
        }
    }

    fn in_use(&self, name: &str, used: NamespaceUse) -> ServerError {
        let region = &self.inner.config.region;
        let what = used.as_str();
        one_error(&format!("namespace {name:?} {what} in regions: [{region}]"))
    }
}
