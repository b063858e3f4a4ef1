//! The tables themselves: persistent maps with their secondary indexes, kept consistent by `put` and `remove`.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet, Vector};
use nomad_core::alloc::Allocation;
use nomad_core::deployment::Deployment;
use nomad_core::eval::Evaluation;
use nomad_core::job::{Job, ScalingPolicy};
use nomad_core::node::{DEFAULT_IDENTITY_TTL, Node, NodePool};
use nomad_core::scheduler_config::SchedulerConfiguration;
use nomad_core::summary::JobSummary;
use nomad_core::{AllocId, DeploymentId, EvalId, JobKey, NodeId, Timestamp, Uuid};

use crate::apply::Restoring;
use crate::command::{JobSubmission, NamespaceRow, ScalingEvent};
use crate::table::{Change, ChangeSet, TABLE_COUNT, Table};
use crate::variable::{RootKeyRow, VariableKey, VariableRow};

/// Allocations by id, as secondary indexes hold them.
pub(crate) type AllocIndex = OrdMap<AllocId, Arc<Allocation>>;

/// All tables. Cloning copies pointers.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    /// Index of the last applied entry, `index_offset` added.
    pub(crate) index: u64,
    pub(crate) table_index: [u64; TABLE_COUNT],
    pub(crate) nodes: OrdMap<NodeId, Arc<Node>>,
    pub(crate) node_pools: OrdMap<String, Arc<NodePool>>,
    pub(crate) jobs: OrdMap<JobKey, Arc<Job>>,
    /// Kept versions, newest first.
    pub(crate) job_versions: OrdMap<JobKey, Vector<Arc<Job>>>,
    pub(crate) job_summaries: OrdMap<JobKey, Arc<JobSummary>>,
    pub(crate) job_submissions: OrdMap<(JobKey, u64), Arc<JobSubmission>>,
    /// Children of periodic and parameterized jobs.
    pub(crate) job_children: OrdMap<JobKey, OrdSet<JobKey>>,
    pub(crate) evals: OrdMap<EvalId, Arc<Evaluation>>,
    pub(crate) evals_by_job: OrdMap<JobKey, OrdMap<EvalId, Arc<Evaluation>>>,
    pub(crate) allocs: AllocIndex,
    pub(crate) allocs_by_node: OrdMap<NodeId, AllocIndex>,
    pub(crate) allocs_by_job: OrdMap<JobKey, AllocIndex>,
    pub(crate) allocs_by_eval: OrdMap<EvalId, OrdSet<AllocId>>,
    pub(crate) allocs_by_deployment: OrdMap<DeploymentId, OrdSet<AllocId>>,
    pub(crate) deployments: OrdMap<DeploymentId, Arc<Deployment>>,
    /// By create index, so that the last is the newest.
    pub(crate) deployments_by_job: OrdMap<JobKey, OrdMap<(u64, DeploymentId), Arc<Deployment>>>,
    pub(crate) scaling_policies: OrdMap<String, Arc<ScalingPolicy>>,
    /// Newest first, per group.
    pub(crate) scaling_events: OrdMap<JobKey, OrdMap<String, Vector<Arc<ScalingEvent>>>>,
    pub(crate) periodic_launches: OrdMap<JobKey, Timestamp>,
    pub(crate) scheduler_config: Arc<SchedulerConfiguration>,
    pub(crate) namespaces: OrdMap<String, Arc<NamespaceRow>>,
    pub(crate) cluster_id: Option<Arc<str>>,
    pub(crate) variables: OrdMap<VariableKey, Arc<VariableRow>>,
    pub(crate) root_keys: OrdMap<Uuid, Arc<RootKeyRow>>,
    /// What indexes are ahead of the log's since a snapshot of a longer log was restored.
    pub(crate) index_offset: u64,
    /// A snapshot that is coming in, in chunks.
    pub(crate) restoring: Option<Restoring>,
}

impl Default for Tables {
    fn default() -> Self {
        let built_in = |name: &str, description: &str| {
            let pool = NodePool {
                name: name.to_owned(),
                description: description.to_owned(),
                node_identity_ttl: DEFAULT_IDENTITY_TTL,
                ..NodePool::default()
            };
            (name.to_owned(), Arc::new(pool))
        };
        let namespace = NamespaceRow::built_in();
        Self {
            index: 0,
            table_index: [0; TABLE_COUNT],
            nodes: OrdMap::new(),
            node_pools: OrdMap::from_iter([
                built_in("all", "Node pool with all nodes in the cluster."),
                built_in("default", "Default node pool."),
            ]),
            jobs: OrdMap::new(),
            job_versions: OrdMap::new(),
            job_summaries: OrdMap::new(),
            job_submissions: OrdMap::new(),
            job_children: OrdMap::new(),
            evals: OrdMap::new(),
            evals_by_job: OrdMap::new(),
            allocs: OrdMap::new(),
            allocs_by_node: OrdMap::new(),
            allocs_by_job: OrdMap::new(),
            allocs_by_eval: OrdMap::new(),
            allocs_by_deployment: OrdMap::new(),
            deployments: OrdMap::new(),
            deployments_by_job: OrdMap::new(),
            scaling_policies: OrdMap::new(),
            scaling_events: OrdMap::new(),
            periodic_launches: OrdMap::new(),
            scheduler_config: Arc::new(SchedulerConfiguration::default()),
            namespaces: OrdMap::from_iter([(namespace.name.clone(), Arc::new(namespace))]),
            cluster_id: None,
            variables: OrdMap::new(),
            root_keys: OrdMap::new(),
            index_offset: 0,
            restoring: None,
        }
    }
}

/// A write in progress: tables to change, and the record of what changed.
#[derive(Debug)]
pub(crate) struct Txn {
    pub(crate) tables: Tables,
    pub(crate) index: u64,
    pub(crate) changes: ChangeSet,
}

impl Txn {
    pub(crate) fn new(tables: Tables, index: u64) -> Self {
        Self {
            tables,
            index,
            changes: ChangeSet {
                index,
                ..ChangeSet::default()
            },
        }
    }

    /// Notes that a table changed.
    pub(crate) fn touch(&mut self, table: Table) {
        self.tables.table_index[table as usize] = self.index;
        self.changes.touch(table);
    }

    pub(crate) fn put_node(&mut self, node: Node) {
        let new = Arc::new(node);
        let old = self.tables.nodes.insert(new.id, Arc::clone(&new));
        self.touch(Table::Nodes);
        self.changes.nodes.push(Change {
            old,
            new: Some(new),
        });
    }

    pub(crate) fn remove_node(&mut self, id: NodeId) -> Option<Arc<Node>> {
        let old = self.tables.nodes.remove(&id)?;
        self.touch(Table::Nodes);
        self.changes.nodes.push(Change {
            old: Some(Arc::clone(&old)),
            new: None,
        });
        Some(old)
    }

    /// Puts the newest row of a job; versions are kept apart.
    pub(crate) fn put_job(&mut self, job: Arc<Job>) {
        let key = job.key();
        let old = self.tables.jobs.insert(key.clone(), Arc::clone(&job));
        if !job.parent_id.is_empty() {
            let parent = JobKey::new(key.namespace.clone(), job.parent_id.clone());
            self.tables
                .job_children
                .entry(parent)
                .or_default()
                .insert(key);
        }
        self.touch(Table::Jobs);
        self.changes.jobs.push(Change {
            old,
            new: Some(job),
        });
    }

    pub(crate) fn remove_job(&mut self, key: &JobKey) -> Option<Arc<Job>> {
        let old = self.tables.jobs.remove(key)?;
        if !old.parent_id.is_empty() {
            let parent = JobKey::new(key.namespace.clone(), old.parent_id.clone());
            if let Some(children) = self.tables.job_children.get_mut(&parent) {
                children.remove(key);
            }
        }
        self.touch(Table::Jobs);
        self.changes.jobs.push(Change {
            old: Some(Arc::clone(&old)),
            new: None,
        });
        Some(old)
    }

    pub(crate) fn put_summary(&mut self, mut summary: JobSummary) {
        let key = JobKey::new(summary.namespace.clone(), summary.job_id.clone());
        match self.tables.job_summaries.get(&key) {
            Some(old) => {
                summary.create_index = old.create_index;
                summary.modify_index = old.modify_index;
                if **old == summary {
                    return;
                }
            }
            None => summary.create_index = self.index,
        }
        summary.modify_index = self.index;
        self.tables
            .job_summaries
            .insert(key.clone(), Arc::new(summary));
        self.touch(Table::JobSummaries);
        if !self.changes.summaries.contains(&key) {
            self.changes.summaries.push(key);
        }
    }

    pub(crate) fn put_eval(&mut self, eval: Evaluation) {
        let new = Arc::new(eval);
        self.tables
            .evals_by_job
            .entry(new.job_key())
            .or_default()
            .insert(new.id, Arc::clone(&new));
        let old = self.tables.evals.insert(new.id, Arc::clone(&new));
        self.touch(Table::Evals);
        self.changes.evals.push(Change {
            old,
            new: Some(new),
        });
    }

    pub(crate) fn remove_eval(&mut self, id: EvalId) {
        let Some(old) = self.tables.evals.remove(&id) else {
            return;
        };
        let key = old.job_key();
        if let Some(evals) = self.tables.evals_by_job.get_mut(&key) {
            evals.remove(&id);
            if evals.is_empty() {
                self.tables.evals_by_job.remove(&key);
            }
        }
        self.touch(Table::Evals);
        self.changes.evals.push(Change {
            old: Some(old),
            new: None,
        });
    }

    pub(crate) fn put_alloc(&mut self, alloc: Allocation) -> Arc<Allocation> {
        let new = Arc::new(alloc);
        let tables = &mut self.tables;
        let old = tables.allocs.insert(new.id, Arc::clone(&new));
        if let Some(old) = &old {
            unindex_alloc(tables, old, &new);
        }
        tables
            .allocs_by_node
            .entry(new.node_id)
            .or_default()
            .insert(new.id, Arc::clone(&new));
        tables
            .allocs_by_job
            .entry(new.job_key())
            .or_default()
            .insert(new.id, Arc::clone(&new));
        if let Some(eval) = new.eval_id {
            tables
                .allocs_by_eval
                .entry(eval)
                .or_default()
                .insert(new.id);
        }
        if let Some(deployment) = new.deployment_id {
            tables
                .allocs_by_deployment
                .entry(deployment)
                .or_default()
                .insert(new.id);
        }
        self.touch(Table::Allocs);
        self.changes.allocs.push(Change {
            old,
            new: Some(Arc::clone(&new)),
        });
        new
    }

    pub(crate) fn remove_alloc(&mut self, id: AllocId) {
        let Some(old) = self.tables.allocs.remove(&id) else {
            return;
        };
        let tables = &mut self.tables;
        if let Some(allocs) = tables.allocs_by_node.get_mut(&old.node_id) {
            allocs.remove(&id);
            if allocs.is_empty() {
                tables.allocs_by_node.remove(&old.node_id);
            }
        }
        let key = old.job_key();
        if let Some(allocs) = tables.allocs_by_job.get_mut(&key) {
            allocs.remove(&id);
            if allocs.is_empty() {
                tables.allocs_by_job.remove(&key);
            }
        }
        forget_alloc(&mut tables.allocs_by_eval, old.eval_id, id);
        forget_alloc(&mut tables.allocs_by_deployment, old.deployment_id, id);
        self.touch(Table::Allocs);
        self.changes.allocs.push(Change {
            old: Some(old),
            new: None,
        });
    }

    pub(crate) fn put_deployment(&mut self, deployment: Deployment) {
        let new = Arc::new(deployment);
        let place = (new.create_index, new.id);
        self.tables
            .deployments_by_job
            .entry(new.job_key())
            .or_default()
            .insert(place, Arc::clone(&new));
        let old = self.tables.deployments.insert(new.id, Arc::clone(&new));
        self.touch(Table::Deployments);
        self.changes.deployments.push(Change {
            old,
            new: Some(new),
        });
    }

    pub(crate) fn remove_deployment(&mut self, id: DeploymentId) {
        let Some(old) = self.tables.deployments.remove(&id) else {
            return;
        };
        let key = old.job_key();
        if let Some(deployments) = self.tables.deployments_by_job.get_mut(&key) {
            deployments.remove(&(old.create_index, id));
            if deployments.is_empty() {
                self.tables.deployments_by_job.remove(&key);
            }
        }
        self.touch(Table::Deployments);
        self.changes.deployments.push(Change {
            old: Some(old),
            new: None,
        });
    }
}

/// Takes `old` out of the indexes that `new` no longer belongs to.
fn unindex_alloc(tables: &mut Tables, old: &Allocation, new: &Allocation) {
    if old.node_id != new.node_id
        && let Some(allocs) = tables.allocs_by_node.get_mut(&old.node_id)
    {
        allocs.remove(&old.id);
    }
    if old.eval_id != new.eval_id {
        forget_alloc(&mut tables.allocs_by_eval, old.eval_id, old.id);
    }
    if old.deployment_id != new.deployment_id {
        forget_alloc(&mut tables.allocs_by_deployment, old.deployment_id, old.id);
    }
}

fn forget_alloc<K: Ord + Copy>(
    index: &mut OrdMap<K, OrdSet<AllocId>>,
    key: Option<K>,
    id: AllocId,
) {
    let Some(key) = key else { return };
    if let Some(ids) = index.get_mut(&key) {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(&key);
        }
    }
}
