//! A cluster view held in plain maps: for tests and benchmarks, and to simulate a cluster from a list of objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::alloc::Allocation;
use crate::deployment::Deployment;
use crate::ids::{AllocId, DeploymentId, JobKey, NodeId};
use crate::job::Job;
use crate::node::{Node, NodePool};
use crate::scheduler_config::SchedulerConfiguration;
use crate::view::ClusterView;

/// A view of whatever was put into it.
#[derive(Debug, Clone, Default)]
pub struct MemoryView {
    /// Index that the view claims to stand at.
    pub index: u64,
    /// Scheduler configuration.
    pub config: SchedulerConfiguration,
    nodes: BTreeMap<NodeId, Arc<Node>>,
    pools: BTreeMap<String, Arc<NodePool>>,
    jobs: BTreeMap<JobKey, BTreeMap<u64, Arc<Job>>>,
    allocs: BTreeMap<AllocId, Arc<Allocation>>,
    by_job: BTreeMap<JobKey, BTreeMap<AllocId, Arc<Allocation>>>,
    by_node: BTreeMap<NodeId, BTreeMap<AllocId, Arc<Allocation>>>,
    deployments: BTreeMap<DeploymentId, Arc<Deployment>>,
}

impl MemoryView {
    /// Adds or replaces a node.
    pub fn put_node(&mut self, node: Node) {
        self.nodes.insert(node.id, Arc::new(node));
    }

    /// Removes a node.
    pub fn remove_node(&mut self, id: NodeId) {
        self.nodes.remove(&id);
    }

    /// Adds or replaces a node pool.
    pub fn put_pool(&mut self, pool: NodePool) {
        self.pools.insert(pool.name.clone(), Arc::new(pool));
    }

    /// Adds a job version.
    pub fn put_job(&mut self, job: Job) -> Arc<Job> {
        let job = Arc::new(job);
        self.jobs
            .entry(job.key())
            .or_default()
            .insert(job.version, Arc::clone(&job));
        job
    }

    /// Adds or replaces an allocation; its job is attached from the versions put in before where it is absent.
    pub fn put_alloc(&mut self, mut alloc: Allocation) {
        if alloc.job.is_none() {
            alloc.job = self
                .job_version(&alloc.job_key(), alloc.job_version)
                .cloned();
        }
        let alloc = Arc::new(alloc);
        if let Some(old) = self.allocs.insert(alloc.id, Arc::clone(&alloc))
            && old.node_id != alloc.node_id
            && let Some(allocs) = self.by_node.get_mut(&old.node_id)
        {
            allocs.remove(&old.id);
        }
        self.by_job
            .entry(alloc.job_key())
            .or_default()
            .insert(alloc.id, Arc::clone(&alloc));
        self.by_node
            .entry(alloc.node_id)
            .or_default()
            .insert(alloc.id, alloc);
    }

    /// Adds or replaces a deployment.
    pub fn put_deployment(&mut self, deployment: Deployment) {
        self.deployments.insert(deployment.id, Arc::new(deployment));
    }
}

impl ClusterView for MemoryView {
    fn index(&self) -> u64 {
        self.index
    }

    fn nodes(&self) -> Box<dyn Iterator<Item = &Arc<Node>> + '_> {
        Box::new(self.nodes.values())
    }

    fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.nodes.get(&id)
    }

    fn node_pool(&self, name: &str) -> Option<&Arc<NodePool>> {
        self.pools.get(name)
    }

    fn job(&self, key: &JobKey) -> Option<&Arc<Job>> {
        self.jobs.get(key)?.values().next_back()
    }

    fn job_version(&self, key: &JobKey, version: u64) -> Option<&Arc<Job>> {
        self.jobs.get(key)?.get(&version)
    }

    fn allocs_of_job(&self, key: &JobKey) -> Box<dyn Iterator<Item = &Arc<Allocation>> + '_> {
        Box::new(self.by_job.get(key).into_iter().flat_map(BTreeMap::values))
    }

    fn allocs_of_node(&self, node: NodeId) -> Box<dyn Iterator<Item = &Arc<Allocation>> + '_> {
        Box::new(
            self.by_node
                .get(&node)
                .into_iter()
                .flat_map(BTreeMap::values),
        )
    }

    fn alloc(&self, id: AllocId) -> Option<&Arc<Allocation>> {
        self.allocs.get(&id)
    }

    fn latest_deployment(&self, key: &JobKey) -> Option<&Arc<Deployment>> {
        self.deployments_of_job(key)
            .max_by_key(|deployment| deployment.create_index)
    }

    fn deployments_of_job(&self, key: &JobKey) -> Box<dyn Iterator<Item = &Arc<Deployment>> + '_> {
        let key = key.clone();
        Box::new(
            self.deployments
                .values()
                .filter(move |deployment| deployment.job_key() == key),
        )
    }

    fn deployment(&self, id: DeploymentId) -> Option<&Arc<Deployment>> {
        self.deployments.get(&id)
    }

    fn scheduler_config(&self) -> &SchedulerConfiguration {
        &self.config
    }
}
