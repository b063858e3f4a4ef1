//! [`State`]: an immutable snapshot and its read accessors.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::Vector;
use nomad_core::alloc::Allocation;
use nomad_core::deployment::Deployment;
use nomad_core::eval::Evaluation;
use nomad_core::ids::Uuid;
use nomad_core::job::{Job, JobStatus, ScalingPolicy};
use nomad_core::node::{Node, NodePool};
use nomad_core::scheduler_config::SchedulerConfiguration;
use nomad_core::summary::JobSummary;
use nomad_core::view::ClusterView;
use nomad_core::{AllocId, DeploymentId, EvalId, JobKey, NodeId, Timestamp};

use crate::command::{JobSubmission, NamespaceRow, ScalingEvent};
use crate::namespace::NamespaceUse;
use crate::table::Table;
use crate::tables::Tables;
use crate::variable::{RootKeyRow, RootKeyState, VariableKey, VariableRow};

/// A snapshot of the cluster. Cloning copies a pointer; it never changes.
#[derive(Debug, Clone)]
pub struct State(pub(crate) Arc<Tables>);

impl Default for State {
    fn default() -> Self {
        Self(Arc::new(Tables::default()))
    }
}

impl State {
    /// Index of the last applied log entry.
    pub fn last_index(&self) -> u64 {
        self.0.index
    }

    /// Index of a table's last change; 0 if it never changed.
    pub fn table_index(&self, table: Table) -> u64 {
        self.0.table_index[table as usize]
    }

    /// Highest index of some tables.
    pub fn max_index(&self, tables: &[Table]) -> u64 {
        tables
            .iter()
            .map(|table| self.table_index(*table))
            .max()
            .unwrap_or(0)
    }

    // Nodes.

    /// All nodes by id.
    pub fn all_nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.0.nodes.values()
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.0.nodes.len()
    }

    /// Nodes whose id starts with the hexadecimal prefix.
    pub fn nodes_by_prefix(&self, prefix: &str) -> Vec<&Arc<Node>> {
        uuid_range(prefix).map_or_else(Vec::new, |(low, high)| {
            self.0
                .nodes
                .range(NodeId(low)..=NodeId(high))
                .map(|(_, n)| n)
                .collect()
        })
    }

    /// All node pools by name.
    pub fn node_pools(&self) -> impl Iterator<Item = &Arc<NodePool>> {
        self.0.node_pools.values()
    }

    // Jobs.

    /// Newest versions of all jobs by namespace and id.
    pub fn jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.0.jobs.values()
    }

    /// Number of jobs.
    pub fn job_count(&self) -> usize {
        self.0.jobs.len()
    }

    /// Kept versions of a job, newest first.
    pub fn job_versions(&self, key: &JobKey) -> Option<&Vector<Arc<Job>>> {
        self.0.job_versions.get(key)
    }

    /// Summary of a job.
    pub fn job_summary(&self, key: &JobKey) -> Option<&Arc<JobSummary>> {
        self.0.job_summaries.get(key)
    }

    /// The text that a job version was made from.
    pub fn job_submission(&self, key: &JobKey, version: u64) -> Option<&Arc<JobSubmission>> {
        self.0.job_submissions.get(&(key.clone(), version))
    }

    /// Children of a periodic or parameterized job.
    pub fn job_children(&self, key: &JobKey) -> impl Iterator<Item = &Arc<Job>> {
        self.0
            .job_children
            .get(key)
            .into_iter()
            .flatten()
            .filter_map(|child| self.0.jobs.get(child))
    }

    /// When a periodic job was last launched.
    pub fn periodic_launch(&self, key: &JobKey) -> Option<Timestamp> {
        self.0.periodic_launches.get(key).copied()
    }

    // Evaluations.

    /// All evaluations by id.
    pub fn evals(&self) -> impl Iterator<Item = &Arc<Evaluation>> {
        self.0.evals.values()
    }

    /// One evaluation.
    pub fn eval(&self, id: EvalId) -> Option<&Arc<Evaluation>> {
        self.0.evals.get(&id)
    }

    /// Evaluations whose id starts with the hexadecimal prefix.
    pub fn evals_by_prefix(&self, prefix: &str) -> Vec<&Arc<Evaluation>> {
        uuid_range(prefix).map_or_else(Vec::new, |(low, high)| {
            self.0
                .evals
                .range(EvalId(low)..=EvalId(high))
                .map(|(_, e)| e)
                .collect()
        })
    }

    /// Evaluations of a job by id.
    pub fn evals_of_job(&self, key: &JobKey) -> impl Iterator<Item = &Arc<Evaluation>> {
        self.0
            .evals_by_job
            .get(key)
            .into_iter()
            .flat_map(|evals| evals.values())
    }

    // Allocations.

    /// All allocations by id.
    pub fn allocs(&self) -> impl Iterator<Item = &Arc<Allocation>> {
        self.0.allocs.values()
    }

    /// Number of allocations, ended ones too.
    pub fn alloc_count(&self) -> usize {
        self.0.allocs.len()
    }

    /// Allocations whose id starts with the hexadecimal prefix.
    pub fn allocs_by_prefix(&self, prefix: &str) -> Vec<&Arc<Allocation>> {
        uuid_range(prefix).map_or_else(Vec::new, |(low, high)| {
            self.0
                .allocs
                .range(AllocId(low)..=AllocId(high))
                .map(|(_, a)| a)
                .collect()
        })
    }

    /// Allocations that an evaluation made.
    pub fn allocs_of_eval(&self, eval: EvalId) -> impl Iterator<Item = &Arc<Allocation>> {
        self.0
            .allocs_by_eval
            .get(&eval)
            .into_iter()
            .flatten()
            .filter_map(|id| self.0.allocs.get(id))
    }

    /// Allocations of a deployment.
    pub fn allocs_of_deployment(
        &self,
        deployment: DeploymentId,
    ) -> impl Iterator<Item = &Arc<Allocation>> {
        self.0
            .allocs_by_deployment
            .get(&deployment)
            .into_iter()
            .flatten()
            .filter_map(|id| self.0.allocs.get(id))
    }

    // Deployments.

    /// All deployments by id.
    pub fn deployments(&self) -> impl Iterator<Item = &Arc<Deployment>> {
        self.0.deployments.values()
    }

    /// Deployments whose id starts with the hexadecimal prefix.
    pub fn deployments_by_prefix(&self, prefix: &str) -> Vec<&Arc<Deployment>> {
        uuid_range(prefix).map_or_else(Vec::new, |(low, high)| {
            self.0
                .deployments
                .range(DeploymentId(low)..=DeploymentId(high))
                .map(|(_, d)| d)
                .collect()
        })
    }

    /// Deployments of a job, oldest first.
    pub fn deployments_of_job(
        &self,
        key: &JobKey,
    ) -> impl DoubleEndedIterator<Item = &Arc<Deployment>> {
        self.0
            .deployments_by_job
            .get(key)
            .into_iter()
            .flat_map(|deployments| deployments.values())
    }

    // Scaling, namespaces, the cluster itself.

    /// All scaling policies by id.
    pub fn scaling_policies(&self) -> impl Iterator<Item = &Arc<ScalingPolicy>> {
        self.0.scaling_policies.values()
    }

    /// Scaling events of a job per group, newest first.
    pub fn scaling_events(
        &self,
        key: &JobKey,
    ) -> impl Iterator<Item = (&String, &Vector<Arc<ScalingEvent>>)> {
        self.0
            .scaling_events
            .get(key)
            .into_iter()
            .flat_map(|groups| groups.iter())
    }

    /// All namespaces by name.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<NamespaceRow>> {
        self.0.namespaces.values()
    }

    /// One namespace.
    pub fn namespace(&self, name: &str) -> Option<&Arc<NamespaceRow>> {
        self.0.namespaces.get(name)
    }

    /// What keeps a namespace from being deleted.
    pub fn namespace_use(&self, name: &str) -> Option<NamespaceUse> {
        let tables = &self.0;
        let mut jobs = tables.jobs.values();
        let mut allocs = tables.allocs.values();
        if jobs.any(|job| &*job.namespace == name && job.status != JobStatus::Dead) {
            Some(NamespaceUse::Jobs)
        } else if allocs.any(|alloc| &*alloc.namespace == name && !alloc.terminal()) {
            Some(NamespaceUse::Allocations)
        } else if self.variables_in(name, "").next().is_some() {
            Some(NamespaceUse::Variables)
        } else {
            None
        }
    }

    // Variables and their keys.

    /// All Variables by namespace and path.
    pub fn variables(&self) -> impl Iterator<Item = &Arc<VariableRow>> {
        self.0.variables.values()
    }

    /// Variables of a namespace whose path starts with a prefix, by path.
    pub fn variables_in(
        &self,
        namespace: &str,
        prefix: &str,
    ) -> impl Iterator<Item = &Arc<VariableRow>> {
        let (namespace, prefix) = (namespace.to_owned(), prefix.to_owned());
        self.0
            .variables
            .range(VariableKey::new(namespace.as_str(), prefix.as_str())..)
            .map(|(_, row)| row)
            .take_while(move |row| {
                row.key.namespace == namespace && row.key.path.starts_with(&prefix)
            })
    }

    /// One Variable.
    pub fn variable(&self, key: &VariableKey) -> Option<&Arc<VariableRow>> {
        self.0.variables.get(key)
    }

    /// All root keys by id.
    pub fn root_keys(&self) -> impl Iterator<Item = &Arc<RootKeyRow>> {
        self.0.root_keys.values()
    }

    /// One root key.
    pub fn root_key(&self, id: Uuid) -> Option<&Arc<RootKeyRow>> {
        self.0.root_keys.get(&id)
    }

    /// The key that seals everything new.
    pub fn active_root_key(&self) -> Option<&Arc<RootKeyRow>> {
        self.root_keys()
            .find(|key| key.state == RootKeyState::Active)
    }

    /// The cluster's id, once a leader has given it one.
    pub fn cluster_id(&self) -> Option<&str> {
        self.0.cluster_id.as_deref()
    }

    /// Ids of job versions that some allocation still points to, for the snapshot writer.
    pub(crate) fn distinct_jobs(&self) -> Vec<Arc<Job>> {
        let mut seen = BTreeSet::new();
        let versions = self.0.job_versions.values().flatten();
        let placed = self
            .0
            .allocs
            .values()
            .filter_map(|alloc| alloc.job.as_ref());
        let newest = self.0.jobs.values();
        versions
            .chain(newest)
            .chain(placed)
            .filter(|job| seen.insert(Arc::as_ptr(job)))
            .cloned()
            .collect()
    }
}

impl ClusterView for State {
    fn index(&self) -> u64 {
        self.0.index
    }

    fn nodes(&self) -> Box<dyn Iterator<Item = &Arc<Node>> + '_> {
        Box::new(self.0.nodes.values())
    }

    fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.0.nodes.get(&id)
    }

    fn node_pool(&self, name: &str) -> Option<&Arc<NodePool>> {
        self.0.node_pools.get(name)
    }

    fn job(&self, key: &JobKey) -> Option<&Arc<Job>> {
        self.0.jobs.get(key)
    }

    fn job_version(&self, key: &JobKey, version: u64) -> Option<&Arc<Job>> {
        self.0
            .job_versions
            .get(key)?
            .iter()
            .find(|job| job.version == version)
    }

    fn allocs_of_job(&self, key: &JobKey) -> Box<dyn Iterator<Item = &Arc<Allocation>> + '_> {
        Box::new(
            self.0
                .allocs_by_job
                .get(key)
                .into_iter()
                .flat_map(|allocs| allocs.values()),
        )
    }

    fn allocs_of_node(&self, node: NodeId) -> Box<dyn Iterator<Item = &Arc<Allocation>> + '_> {
        Box::new(
            self.0
                .allocs_by_node
                .get(&node)
                .into_iter()
                .flat_map(|allocs| allocs.values()),
        )
    }

    fn alloc(&self, id: AllocId) -> Option<&Arc<Allocation>> {
        self.0.allocs.get(&id)
    }

    fn latest_deployment(&self, key: &JobKey) -> Option<&Arc<Deployment>> {
        self.0
            .deployments_by_job
            .get(key)?
            .get_max()
            .map(|(_, deployment)| deployment)
    }

    fn deployments_of_job(&self, key: &JobKey) -> Box<dyn Iterator<Item = &Arc<Deployment>> + '_> {
        Box::new(
            self.0
                .deployments_by_job
                .get(key)
                .into_iter()
                .flat_map(|deployments| deployments.values()),
        )
    }

    fn deployment(&self, id: DeploymentId) -> Option<&Arc<Deployment>> {
        self.0.deployments.get(&id)
    }

    fn scheduler_config(&self) -> &SchedulerConfiguration {
        &self.0.scheduler_config
    }
}

/// Lowest and highest UUID that start with the prefix (dashes are where a UUID has them); `None` if no UUID can.
fn uuid_range(prefix: &str) -> Option<(Uuid, Uuid)> {
    if prefix.len() > 36 {
        return None;
    }
    let fill = |digit: char| -> Option<Uuid> {
        let text: String = (0..36)
            .map(|at| match prefix.as_bytes().get(at) {
                Some(byte) => char::from(*byte),
                None if matches!(at, 8 | 13 | 18 | 23) => '-',
                None => digit,
            })
            .collect();
        text.parse().ok()
    };
    Some((fill('0')?, fill('f')?))
}

#[cfg(test)]
mod tests {
    use super::uuid_range;

    #[test]
    fn prefixes_become_ranges() {
        let (low, high) = uuid_range("51f72d6d-0").unwrap();
        assert_eq!(low.to_string(), "51f72d6d-0000-0000-0000-000000000000");
        assert_eq!(high.to_string(), "51f72d6d-0fff-ffff-ffff-ffffffffffff");
        assert!(uuid_range("xyz").is_none());
        assert!(uuid_range("51f72d6d0").is_none());
        assert!(uuid_range("").is_some());
    }
}
