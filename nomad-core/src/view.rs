//! The read-only view of a cluster that scheduling sees; met by the state store and by tests.

use std::sync::Arc;

use crate::alloc::Allocation;
use crate::deployment::Deployment;
use crate::ids::{AllocId, DeploymentId, JobKey, NodeId};
use crate::job::Job;
use crate::node::{Node, NodePool};
use crate::scheduler_config::SchedulerConfiguration;

/// A consistent snapshot of the cluster. Cheap to hold; never changes.
pub trait ClusterView {
    /// Index of the last change that it contains.
    fn index(&self) -> u64;

    /// Every node, by id.
    fn nodes(&self) -> Box<dyn Iterator<Item = &Arc<Node>> + '_>;

    /// One node.
    fn node(&self, id: NodeId) -> Option<&Arc<Node>>;

    /// A node pool; `all` and `default` always exist.
    fn node_pool(&self, name: &str) -> Option<&Arc<NodePool>>;

    /// The newest version of a job.
    fn job(&self, key: &JobKey) -> Option<&Arc<Job>>;

    /// One kept version of a job.
    fn job_version(&self, key: &JobKey, version: u64) -> Option<&Arc<Job>>;

    /// Every allocation of a job, by id, of every version, ended ones too.
    fn allocs_of_job(&self, key: &JobKey) -> Box<dyn Iterator<Item = &Arc<Allocation>> + '_>;

    /// Every allocation of a node, by id, ended ones too.
    fn allocs_of_node(&self, node: NodeId) -> Box<dyn Iterator<Item = &Arc<Allocation>> + '_>;

    /// One allocation.
    fn alloc(&self, id: AllocId) -> Option<&Arc<Allocation>>;

    /// The newest deployment of a job (by create index).
    fn latest_deployment(&self, key: &JobKey) -> Option<&Arc<Deployment>>;

    /// Every kept deployment of a job; views without a history give the newest.
    fn deployments_of_job(&self, key: &JobKey) -> Box<dyn Iterator<Item = &Arc<Deployment>> + '_> {
        Box::new(self.latest_deployment(key).into_iter())
    }

    /// One deployment.
    fn deployment(&self, id: DeploymentId) -> Option<&Arc<Deployment>>;

    /// How the cluster's schedulers behave.
    fn scheduler_config(&self) -> &SchedulerConfiguration;

    /// Whether a CSI volume could be claimed as a group asks; `Err` is the filter reason.
    ///
    /// Views without CSI volumes keep the default: no volume exists.
    fn csi_volume(&self, _namespace: &str, _id: &str) -> Option<CsiVolumeView> {
        None
    }

    /// Ids of dynamic host volumes that a sticky group already claimed.
    fn host_volume_claims(&self, _key: &JobKey, _group: &str) -> Vec<String> {
        Vec::new()
    }

    /// A dynamic host volume's state as scheduling needs it.
    fn host_volume(&self, _namespace: &str, _id: &str) -> Option<HostVolumeView> {
        None
    }
}

/// What scheduling reads of a CSI volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CsiVolumeView {
    pub plugin_id: String,
    pub schedulable: bool,
    pub access_mode: String,
    /// Live claims.
    pub readers: Vec<AllocId>,
    /// Live claims.
    pub writers: Vec<AllocId>,
    /// Segments of the topologies it can be reached from; empty is everywhere.
    pub topologies: Vec<std::collections::BTreeMap<String, String>>,
}

/// What scheduling reads of a dynamic host volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostVolumeView {
    pub ready: bool,
    pub access_modes: Vec<String>,
    /// Live claims.
    pub claims: Vec<AllocId>,
}
