//! Apply: one command, one transaction, the same result on every server.

mod alloc;
mod config;
mod deployment;
mod eval;
mod job;
mod job_status;
mod node;
mod plan;
mod restore;
mod summary;
mod variable;

use std::sync::Arc;

use nomad_core::{AllocId, DeploymentId, JobKey, NodeId};

use crate::command::Command;
use crate::namespace::NamespaceUse;
use crate::table::ChangeSet;
use crate::tables::Txn;
use crate::variable::VariableOutcome;

pub(crate) use self::restore::Restoring;
pub use self::restore::{MAX_CHUNK_BYTES, MAX_RESTORE_BYTES};

/// A command that was applied.
#[derive(Debug, Clone)]
pub struct Applied {
    /// Index of its log entry.
    pub index: u64,
    /// What it changed.
    pub changes: Arc<ChangeSet>,
    /// What the proposer wants to know beyond that.
    pub reply: Reply,
}

/// What a proposer wants to know beyond the index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reply {
    #[default]
    Done,
    /// A job was registered: its version and the index to answer with (of its last change if nothing changed).
    JobRegistered {
        version: u64,
        job_modify_index: u64,
        changed: bool,
    },
    /// Whether a compare-and-set took place.
    Set(bool),
    /// What became of a write of a Variable.
    Variable(VariableOutcome),
    /// The whole state was replaced by a snapshot.
    Restored,
}

/// A command does not fit the state. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// A batch without commands.
    #[error("no command")]
    Empty,
    #[error("node not found")]
    NodeNotFound { id: NodeId },
    #[error("job not found")]
    JobNotFound { key: JobKey },
    #[error("job version not found")]
    JobVersionNotFound { key: JobKey, version: u64 },
    #[error("alloc not found")]
    AllocNotFound { id: AllocId },
    #[error("deployment not found")]
    DeploymentNotFound { id: DeploymentId },
    /// The deployment has ended.
    #[error("deployment {id} has terminal status {status:?}")]
    DeploymentTerminal { id: DeploymentId, status: String },
    /// Some groups cannot be promoted.
    #[error("{}", reasons.join("\n"))]
    NotPromotable { reasons: Vec<String> },
    /// Compare-and-set on the job's index failed.
    #[error("Enforcing job modify index {expected}: {reason}")]
    EnforceIndex { expected: u64, reason: String },
    /// Something is in the namespace.
    #[error("namespace {name:?} {}", used.as_str())]
    NamespaceInUse { name: String, used: NamespaceUse },
    #[error("namespace {name:?} does not exist")]
    NamespaceNotFound { name: String },
    #[error("node pool {name:?} not found")]
    NodePoolNotFound { name: String },
    #[error("{reason}")]
    Refused { reason: String },
}

/// Applies a command within a transaction.
pub(crate) fn apply(txn: &mut Txn, command: &Command) -> Result<Reply, ApplyError> {
    let done = |result: Result<(), ApplyError>| result.map(|()| Reply::Done);
    match command {
        Command::NodeRegister(c) => done(node::register(txn, c)),
        Command::NodeDeregister(c) => done(node::deregister(txn, c)),
        Command::NodeStatusUpdate(c) => done(node::status(txn, c)),
        Command::NodeEligibilityUpdate(c) => done(node::eligibility(txn, c)),
        Command::NodeDrainUpdate(c) => done(node::drain(txn, c)),
        Command::NodeEventsUpsert(c) => done(node::events(txn, c)),
        Command::JobRegister(c) => job::register(txn, c),
        Command::JobDeregister(c) => done(job::deregister(txn, c)),
        Command::JobStability(c) => done(job::stability(txn, c)),
        Command::JobVersionTagUpdate(c) => done(job::version_tag(txn, c)),
        Command::ReconcileJobSummaries(_) => done(summary::reconcile(txn)),
        Command::PeriodicLaunches(c) => done(job::periodic_launches(txn, c)),
        Command::ScalingEventRegister(c) => done(job::scaling_event(txn, c)),
        Command::EvalUpsert(c) => done(eval::upsert_all(txn, &c.evals)),
        Command::EvalDelete(c) => done(eval::delete(txn, c)),
        Command::AllocClientUpdates(c) => done(alloc::client_updates(txn, c)),
        Command::AllocTransitions(c) => done(alloc::transitions(txn, c)),
        Command::PlanResults(c) => done(plan::results(txn, c)),
        Command::DeploymentStatusChange(c) => done(deployment::status_change(txn, c)),
        Command::DeploymentPromote(c) => done(deployment::promote(txn, c)),
        Command::DeploymentAllocHealth(c) => done(deployment::alloc_health(txn, c)),
        Command::DeploymentDelete(c) => done(deployment::delete(txn, c)),
        Command::JobDelete(c) => done(job::delete(txn, c)),
        Command::SchedulerConfigSet(c) => config::scheduler_config(txn, c),
        Command::NodePoolUpsert(c) => done(config::node_pool_upsert(txn, c)),
        Command::NodePoolDelete(c) => done(config::node_pool_delete(txn, c)),
        Command::NamespaceUpsert(c) => done(config::namespace_upsert(txn, c)),
        Command::NamespaceDelete(c) => done(config::namespace_delete(txn, c)),
        Command::ClusterMetadata(c) => done(config::cluster_metadata(txn, c)),
        Command::VariableApply(c) => variable::variable(txn, c),
        Command::VariableRekey(c) => {
            variable::rekey(txn, c);
            Ok(Reply::Done)
        }
        Command::RootKeyUpsert(c) => {
            variable::root_key_upsert(txn, c);
            Ok(Reply::Done)
        }
        Command::RootKeyStateSet(c) => done(variable::root_key_state(txn, c)),
        Command::RootKeyDelete(c) => done(variable::root_key_delete(txn, c)),
        Command::SnapshotChunk(c) => restore::chunk(txn, c),
    }
}
