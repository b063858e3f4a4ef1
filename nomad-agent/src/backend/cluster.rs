//! Writing what concerns the cluster as a whole.

use std::collections::BTreeMap;

use nomad_api::backend::ApiResult;
use nomad_core::alloc::Allocation;
use nomad_core::job::JobStatus;
use nomad_core::node::NodeStatus;
use nomad_core::view::ClusterView;
use nomad_state::{State, command};

use super::ServerHalf;

/// Ids in one log entry at most.
const MAX_IDS_PER_ENTRY: usize = 7281;

impl ServerHalf {
    /// Collects everything that has ended and that nothing needs any more, whatever its age.
    pub(super) async fn garbage_collect(&self) -> ApiResult<()> {
        let garbage = Garbage::find(&self.state());
        for keys in garbage.jobs.chunks(2048) {
            self.propose(command::JobDelete {
                keys: keys.to_vec(),
            })
            .await?;
        }
        for allocs in garbage.allocs.chunks(MAX_IDS_PER_ENTRY) {
            self.propose(command::EvalDelete {
                evals: Vec::new(),
                allocs: allocs.to_vec(),
            })
            .await?;
        }
        for evals in garbage.evals.chunks(MAX_IDS_PER_ENTRY) {
            self.propose(command::EvalDelete {
                evals: evals.to_vec(),
                allocs: Vec::new(),
            })
            .await?;
        }
        for ids in garbage.deployments.chunks(MAX_IDS_PER_ENTRY) {
            self.propose(command::DeploymentDelete { ids: ids.to_vec() })
                .await?;
        }
        for ids in garbage.nodes.chunks(MAX_IDS_PER_ENTRY) {
            self.propose(command::NodeDeregister { ids: ids.to_vec() })
                .await?;
        }
        Ok(())
    }
}

/// What nothing refers to any more.
#[derive(Debug, Default)]
struct Garbage {
    jobs: Vec<nomad_core::JobKey>,
    evals: Vec<nomad_core::EvalId>,
    allocs: Vec<nomad_core::AllocId>,
    deployments: Vec<nomad_core::DeploymentId>,
    nodes: Vec<nomad_core::NodeId>,
}

impl Garbage {
    /// Source: servers and scheduling reference, "Core jobs".
    fn find(state: &State) -> Self {
        let mut found = Self::default();
        for job in state.jobs() {
            let key = job.key();
            let launcher = job.is_periodic() || job.is_parameterized();
            let ended = job.status == JobStatus::Dead
                && (job.stop || (job.job_type.is_batch_like() && !launcher));
            let tagged = state.job_versions(&key).is_some_and(|versions| {
                versions.iter().any(|version| version.version_tag.is_some())
            });
            let open = state
                .allocs_of_job(&key)
                .any(|alloc| !collectable(state, alloc))
                || state.evals_of_job(&key).any(|eval| !eval.terminal());
            if ended && !tagged && !open {
                found.jobs.push(key);
            }
        }
        let gone = |key: &nomad_core::JobKey| state.job(key).is_none() || found.jobs.contains(key);
        let mut by_eval: BTreeMap<_, bool> = BTreeMap::new();
        for alloc in state.allocs() {
            let batch_runs = alloc
                .job
                .as_ref()
                .is_some_and(|job| job.job_type.is_batch_like())
                && state
                    .job(&alloc.job_key())
                    .is_some_and(|job| job.status != JobStatus::Dead);
            let collect = collectable(state, alloc) && (gone(&alloc.job_key()) || !batch_runs);
            if collect {
                found.allocs.push(alloc.id);
            }
            if let Some(eval) = alloc.eval_id {
                *by_eval.entry(eval).or_insert(true) &= collect;
            }
        }
        found.evals = state
            .evals()
            .filter(|eval| eval.terminal() && by_eval.get(&eval.id).copied().unwrap_or(true))
            .map(|eval| eval.id)
            .collect();
        found.deployments = state
            .deployments()
            .filter(|row| {
                !row.active()
                    && state
                        .allocs_of_deployment(row.id)
                        .all(|alloc| alloc.terminal())
            })
            .map(|row| row.id)
            .collect();
        found.nodes = state
            .all_nodes()
            .filter(|node| node.status == NodeStatus::Down)
            .filter(|node| state.allocs_of_node(node.id).all(|alloc| alloc.terminal()))
            .map(|node| node.id)
            .collect();
        found
    }
}

/// Whether an allocation has ended and will not be replaced on its account.
fn collectable(state: &State, alloc: &Allocation) -> bool {
    use nomad_core::alloc::ClientStatus;
    if !alloc.terminal() || alloc.client_status == ClientStatus::Running {
        return false;
    }
    let job = state.job(&alloc.job_key());
    if job.is_none_or(|job| job.stop || job.status == JobStatus::Dead) || alloc.server_terminal() {
        return true;
    }
    if alloc.client_status != ClientStatus::Failed || alloc.next_allocation.is_some() {
        return true;
    }
    let policy = alloc
        .group()
        .and_then(|group| group.reschedule_policy.as_ref());
    policy.is_none_or(|policy| !policy.unlimited && policy.attempts == 0)
}
