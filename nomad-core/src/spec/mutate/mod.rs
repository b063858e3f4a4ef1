//! What the server adds to a submitted job before it validates it, in this order: its own defaults, Vault and Consul
//! clusters, Connect tasks, exposed checks, implied constraints, the node pool, implicit identities.
//!
//! The job must be canonical (stage A). Pure: what the server's configuration says comes in [`ServerDefaults`], fresh
//! ids from an [`IdSource`]. The first failure ends it, as it does in the reference.
//!
//! Source: jobspec.md §4.4, §4.5.

mod canonicalize;
mod connect;
mod expose;
mod gateway;
mod identities;
mod implied;
mod scaling;

pub use self::scaling::assign_scaling_ids;
use super::{Constraint, Job, WorkloadIdentity};
use crate::ids::IdSource;

/// What the server's configuration contributes.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerDefaults {
    /// Priority of a job that sends 0.
    pub priority: i64,
    /// Node pool of jobs that name none; the namespace's default.
    pub node_pool: String,
    /// The identity of Consul services that have none, if the server is configured to give one.
    pub consul_service_identity: Option<WorkloadIdentity>,
    /// The identity for Consul of tasks that use it, if configured.
    pub consul_task_identity: Option<WorkloadIdentity>,
    /// The identity for Vault of tasks that use it, if configured.
    pub vault_identity: Option<WorkloadIdentity>,
}

impl Default for ServerDefaults {
    fn default() -> Self {
        Self {
            priority: super::canonicalize::DEFAULT_PRIORITY,
            node_pool: "default".to_owned(),
            consul_service_identity: None,
            consul_task_identity: None,
            vault_identity: None,
        }
    }
}

/// Why the server cannot complete a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MutateError {
    /// A Connect block cannot be completed.
    #[error("group {group:?}: service {service:?}: {reason}")]
    Connect {
        /// The group's name.
        group: String,
        /// The service's name.
        service: String,
        /// What is missing.
        reason: String,
    },
}

impl Job {
    /// Completes the job as the server does.
    ///
    /// # Errors
    /// See [`MutateError`].
    pub fn mutate(
        &mut self,
        defaults: &ServerDefaults,
        ids: &mut dyn IdSource,
    ) -> Result<(), MutateError> {
        self.canonicalize_on_server(defaults);
        implied::consul_partitions(self);
        connect::inject(self, ids)?;
        expose::expose_checks(self, ids)?;
        implied::add(self);
        if self.node_pool.as_deref().unwrap_or_default().is_empty() {
            self.node_pool = Some(defaults.node_pool.clone());
        }
        identities::add(self, defaults);
        Ok(())
    }
}

/// A constraint of the three parts.
fn constraint(ltarget: &str, operand: &str, rtarget: &str) -> Constraint {
    Constraint {
        ltarget: ltarget.to_owned(),
        operand: operand.to_owned(),
        rtarget: rtarget.to_owned(),
    }
}

/// Six hexadecimal digits that were not used before.
fn suffix(ids: &mut dyn IdSource) -> String {
    ids.next_uuid().short().chars().take(6).collect()
}
