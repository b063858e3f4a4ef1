//! Names of tables, what a command changed, and the keys that can be watched.

use std::sync::Arc;

use nomad_core::alloc::Allocation;
use nomad_core::deployment::Deployment;
use nomad_core::eval::Evaluation;
use nomad_core::job::Job;
use nomad_core::node::Node;
use nomad_core::{AllocId, DeploymentId, EvalId, JobKey, NodeId};

use crate::variable::{VariableKey, VariableRow};

/// A table; each remembers the index of its last change.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[repr(u8)]
pub enum Table {
    Nodes,
    NodePools,
    Jobs,
    JobSummaries,
    JobVersions,
    JobSubmissions,
    Evals,
    Allocs,
    Deployments,
    ScalingPolicies,
    ScalingEvents,
    PeriodicLaunches,
    SchedulerConfig,
    Namespaces,
    ClusterMeta,
    Variables,
    RootKeys,
}

/// Number of tables.
pub const TABLE_COUNT: usize = Table::RootKeys as usize + 1;

/// A key whose change wakes those who watch it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum WatchKey {
    /// Anything in the table.
    Table(Table),
    Node(NodeId),
    /// Any allocation of the node.
    NodeAllocs(NodeId),
    Job(JobKey),
    /// Any allocation of the job.
    JobAllocs(JobKey),
    /// Any evaluation of the job.
    JobEvals(JobKey),
    /// Any deployment of the job.
    JobDeployments(JobKey),
    JobSummary(JobKey),
    Eval(EvalId),
    /// Any allocation that the evaluation made.
    EvalAllocs(EvalId),
    Alloc(AllocId),
    Deployment(DeploymentId),
    /// Any allocation of the deployment.
    DeploymentAllocs(DeploymentId),
    Variable(VariableKey),
    /// The event stream has something new.
    Events,
}

/// One changed row: before and after; absent before when created, absent after when deleted.
#[derive(Debug, Clone)]
pub struct Change<T> {
    pub old: Option<Arc<T>>,
    pub new: Option<Arc<T>>,
}

/// Everything that one command changed, in order.
#[derive(Debug, Clone, Default)]
pub struct ChangeSet {
    /// Index of the log entry.
    pub index: u64,
    pub nodes: Vec<Change<Node>>,
    pub jobs: Vec<Change<Job>>,
    pub evals: Vec<Change<Evaluation>>,
    pub allocs: Vec<Change<Allocation>>,
    pub deployments: Vec<Change<Deployment>>,
    pub variables: Vec<Change<VariableRow>>,
    /// Jobs whose summary changed.
    pub summaries: Vec<JobKey>,
    /// Every table touched, each once.
    pub tables: Vec<Table>,
}

impl ChangeSet {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    pub(crate) fn touch(&mut self, table: Table) {
        if !self.tables.contains(&table) {
            self.tables.push(table);
        }
    }

    /// Every key that this wakes.
    pub(crate) fn watch_keys(&self) -> Vec<WatchKey> {
        let mut keys: Vec<WatchKey> = self
            .tables
            .iter()
            .map(|table| WatchKey::Table(*table))
            .collect();
        for node in rows(&self.nodes) {
            keys.push(WatchKey::Node(node.id));
        }
        for job in rows(&self.jobs) {
            keys.push(WatchKey::Job(job.key()));
        }
        for eval in rows(&self.evals) {
            keys.push(WatchKey::Eval(eval.id));
            keys.push(WatchKey::JobEvals(eval.job_key()));
        }
        for alloc in rows(&self.allocs) {
            keys.push(WatchKey::Alloc(alloc.id));
            keys.push(WatchKey::NodeAllocs(alloc.node_id));
            keys.push(WatchKey::JobAllocs(alloc.job_key()));
            keys.extend(alloc.eval_id.map(WatchKey::EvalAllocs));
            keys.extend(alloc.deployment_id.map(WatchKey::DeploymentAllocs));
        }
        for deployment in rows(&self.deployments) {
            keys.push(WatchKey::Deployment(deployment.id));
            keys.push(WatchKey::JobDeployments(deployment.job_key()));
        }
        for variable in rows(&self.variables) {
            keys.push(WatchKey::Variable(variable.key.clone()));
        }
        keys.extend(self.summaries.iter().cloned().map(WatchKey::JobSummary));
        keys.sort();
        keys.dedup();
        keys
    }
}

/// The newest known row of each change.
fn rows<T>(changes: &[Change<T>]) -> impl Iterator<Item = &Arc<T>> {
    changes
        .iter()
        .filter_map(|change| change.new.as_ref().or(change.old.as_ref()))
}
