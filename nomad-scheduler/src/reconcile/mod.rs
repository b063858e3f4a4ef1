//! What a service or batch job wants against what it has: placements, stops, updates, deployments, evaluations.
//!
//! Pure bookkeeping: no node is chosen here. Groups are independent of each other apart from the deployment.
//!
//! Source: servers and scheduling reference, "Reconciler".

pub(crate) mod classify;
pub(crate) mod deployment;
pub(crate) mod follow_up;
mod group;
mod names;
mod reconnect;
pub(crate) mod reschedule;
mod stops;

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::alloc::{Allocation, ClientStatus};
use nomad_core::deployment::{Deployment, DeploymentStatus, DeploymentStatusUpdate};
use nomad_core::eval::Evaluation;
use nomad_core::ids::{AllocId, EvalId, IdSource};
use nomad_core::job::{Job, TaskGroup};
use nomad_core::plan::DesiredUpdates;
use nomad_core::time::Timestamp;
use nomad_core::view::ClusterView;

use self::classify::Tainted;

/// Allocations by id.
pub(crate) type AllocSet = BTreeMap<AllocId, Arc<Allocation>>;

/// Descriptions of stops, as the API shows them.
pub(crate) mod description {
    pub(crate) const NOT_NEEDED: &str = "alloc not needed due to job update";
    pub(crate) const RECONNECTED: &str = "alloc not needed due to disconnected client reconnect";
    pub(crate) const MIGRATING: &str = "alloc is being migrated";
    pub(crate) const UPDATING: &str = "alloc is being updated due to job update";
    pub(crate) const LOST: &str = "alloc is lost since its node is down";
    pub(crate) const UNKNOWN: &str = "alloc is unknown since its node is disconnected";
    pub(crate) const RESCHEDULED: &str = "alloc was rescheduled because it failed";
    pub(crate) const TAINTED: &str = "alloc not needed as node is tainted";
}

/// An allocation to place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) group: String,
    /// The allocation that it replaces.
    pub(crate) previous: Option<Arc<Allocation>>,
    /// Whether it replaces one that failed.
    pub(crate) reschedule: bool,
    pub(crate) canary: bool,
    /// Whether an older version of the job may have to be placed, because the newest waits for promotion.
    pub(crate) downgrade: bool,
    /// The lowest version that may be placed then.
    pub(crate) min_job_version: u64,
}

/// An allocation to stop.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    pub(crate) alloc: Arc<Allocation>,
    /// Set where the servers decide the client status too.
    pub(crate) client_status: Option<ClientStatus>,
    pub(crate) description: &'static str,
    pub(crate) follow_up: Option<EvalId>,
}

/// What can be done with an allocation of an older job version.
#[derive(Debug, Clone)]
pub(crate) enum Update {
    Ignore,
    Destructive,
    /// The row under the new version.
    InPlace(Arc<Allocation>),
}

/// Decides about updates; looks at nodes, which the reconciler does not.
pub(crate) trait Updater {
    fn update(&mut self, alloc: &Arc<Allocation>, group: &TaskGroup) -> Update;
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) place: Vec<Place>,
    /// Allocations that make way for their own successors, one by one.
    pub(crate) destructive: Vec<(Arc<Allocation>, Place)>,
    pub(crate) in_place: Vec<Arc<Allocation>>,
    pub(crate) stop: Vec<Stop>,
    /// Rows whose bookkeeping changes: follow-up evaluations, disconnects, reconnects.
    pub(crate) attribute_updates: AllocSet,
    /// A deployment that begins.
    pub(crate) deployment: Option<Deployment>,
    pub(crate) deployment_updates: Vec<DeploymentStatusUpdate>,
    pub(crate) desired: BTreeMap<String, DesiredUpdates>,
    pub(crate) follow_ups: Vec<Evaluation>,
}

/// The inputs of a reconciliation, and the deployment as it goes on.
pub(crate) struct Reconciler<'a> {
    pub(crate) eval: &'a Evaluation,
    /// Absent where the job is gone.
    pub(crate) job: Option<&'a Arc<Job>>,
    pub(crate) batch: bool,
    pub(crate) now: Timestamp,
    pub(crate) tainted: &'a Tainted,
    /// The deployment that counts: the latest of this version, or one that begins now.
    pub(crate) deployment: Option<Deployment>,
    old_deployment: Option<Deployment>,
    pub(crate) view: &'a dyn ClusterView,
    pub(crate) ids: &'a mut dyn IdSource,
    pub(crate) results: Results,
}

impl<'a> Reconciler<'a> {
    pub(crate) fn new(
        eval: &'a Evaluation,
        job: Option<&'a Arc<Job>>,
        batch: bool,
        now: Timestamp,
        tainted: &'a Tainted,
        view: &'a dyn ClusterView,
        ids: &'a mut dyn IdSource,
    ) -> Self {
        Self {
            eval,
            job,
            batch,
            now,
            tainted,
            deployment: view
                .latest_deployment(&eval.job_key())
                .map(|deployment| Deployment::clone(deployment)),
            old_deployment: None,
            view,
            ids,
            results: Results::default(),
        }
    }

    /// Compares and fills [`Self::results`].
    pub(crate) fn compute(&mut self, updater: &mut dyn Updater) {
        let mut groups: BTreeMap<String, AllocSet> = BTreeMap::new();
        for alloc in self.view.allocs_of_job(&self.eval.job_key()) {
            groups
                .entry(alloc.task_group.clone())
                .or_default()
                .insert(alloc.id, Arc::clone(alloc));
        }
        self.cancel_deployments();
        let Some(job) = self.job.filter(|job| !job.stopped()) else {
            for group in self.job.iter().flat_map(|job| &job.task_groups) {
                self.results.desired.entry(group.name.clone()).or_default();
            }
            for (name, set) in groups {
                let set: AllocSet = set
                    .into_iter()
                    .filter(|(_, alloc)| !alloc.terminal())
                    .collect();
                let stopped = self.stop_all(&set);
                self.results.desired.entry(name).or_default().stop = stopped;
            }
            return;
        };
        let mut complete = true;
        for group in &job.task_groups {
            let set = groups.remove(&group.name).unwrap_or_default();
            complete &= self.compute_group(&group.name, set, updater);
        }
        for (name, set) in groups {
            complete &= self.compute_group(&name, set, updater);
        }
        self.finish_deployment(complete);
    }

    fn desired(&mut self, group: &str) -> &mut DesiredUpdates {
        self.results.desired.entry(group.to_owned()).or_default()
    }

    fn is_paused(&self) -> bool {
        self.deployment.as_ref().is_some_and(|deployment| {
            matches!(
                deployment.status,
                DeploymentStatus::Paused
                    | DeploymentStatus::Pending
                    | DeploymentStatus::Initializing
            )
        })
    }

    fn is_failed(&self) -> bool {
        self.deployment
            .as_ref()
            .is_some_and(|deployment| deployment.status == DeploymentStatus::Failed)
    }
}
