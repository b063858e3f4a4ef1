//! Places what a service or batch job needs, one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::alloc::{AllocDeploymentStatus, Allocation, ClientStatus, RescheduleTracker};
use nomad_core::deployment::Deployment;
use nomad_core::ids::{DeploymentId, IdSource};
use nomad_core::job::{Job, TaskGroup};
use nomad_core::metric::AllocMetric;
use nomad_core::plan::Plan;

use crate::explain::PlacementExplanation;
use crate::plan_parts::{index_of, preempt, stop, withdraw_stop};
use crate::rank::{self, Wanted};
use crate::reconcile::{Place, Results, Stop, description, reschedule};
use crate::schedule::Input;
use crate::stack::{Selected, Stack, may_preempt};

/// A plan in the making.
pub(super) struct Build<'s, 'a> {
    input: &'s Input<'a>,
    job: &'s Arc<Job>,
    stack: Stack<'a>,
    plan: Plan,
    failed: BTreeMap<String, AllocMetric>,
    queued: BTreeMap<String, i64>,
    pub(super) preemptions: BTreeMap<String, u64>,
    deployment: Option<Deployment>,
    ids: &'s mut dyn IdSource,
}

/// What a finished build leaves.
pub(super) struct Built<'a> {
    pub(super) plan: Plan,
    pub(super) stack: Stack<'a>,
    pub(super) failed: BTreeMap<String, AllocMetric>,
    pub(super) queued: BTreeMap<String, i64>,
    pub(super) deployment: Option<Deployment>,
}

impl<'s, 'a> Build<'s, 'a> {
    pub(super) fn new(
        input: &'s Input<'a>,
        job: &'s Arc<Job>,
        stack: Stack<'a>,
        plan: Plan,
        deployment: Option<Deployment>,
        ids: &'s mut dyn IdSource,
    ) -> Self {
        Self {
            input,
            job,
            stack,
            plan,
            failed: BTreeMap::new(),
            queued: BTreeMap::new(),
            preemptions: BTreeMap::new(),
            deployment,
            ids,
        }
    }

    pub(super) fn finish(self) -> Built<'a> {
        Built {
            plan: self.plan,
            stack: self.stack,
            failed: self.failed,
            queued: self.queued,
            deployment: self.deployment,
        }
    }

    /// Judges all nodes for each of the placements by itself, as if it came first.
    pub(super) fn explain(&mut self, results: &Results, limit: usize) -> Vec<PlacementExplanation> {
        let destructive = results
            .destructive
            .iter()
            .map(|(old, place)| (place, Some(old)));
        let others = results.place.iter().map(|place| (place, None));
        let mut explained = Vec::new();
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, replaced) in destructive.chain(others) {
            let seen = seen.entry(&place.group).or_default();
            *seen += 1;
            if *seen > limit {
                continue;
            }
            let (job, _) = self.version_for(place);
            let Some(group) = job.group(&place.group) else {
                continue;
            };
            if let Some(old) = replaced {
                self.stack.proposed.remove(old);
            }
            let wanted = self.wanted(place, group, &job);
            let may = may_preempt(self.input.view, job.job_type);
            let nodes = self.stack.explain(&job, &place.group, &wanted, may);
            if let Some(old) = replaced {
                self.stack.proposed.restore(old);
            }
            explained.push(PlacementExplanation {
                name: place.name.clone(),
                group: place.group.clone(),
                nodes,
            });
        }
        explained
    }

    pub(super) fn place_all(&mut self, results: Results) {
        let Results {
            place, destructive, ..
        } = results;
        if place.is_empty() && destructive.is_empty() {
            for group in &self.job.task_groups {
                self.queued.insert(group.name.clone(), 0);
            }
            return;
        }
        for one in destructive
            .iter()
            .map(|(_, place)| place)
            .chain(place.iter())
        {
            *self.queued.entry(one.group.clone()).or_default() += 1;
        }
        for (old, place) in destructive {
            self.place(&place, Some(&old));
        }
        for one in place {
            self.place(&one, None);
        }
    }

    /// Places one allocation; `replaced` makes way for it, or stays if there is no room.
    fn place(&mut self, place: &Place, replaced: Option<&Arc<Allocation>>) {
        let (job, deployment) = self.version_for(place);
        let Some(group) = job.group(&place.group) else {
            return;
        };
        if let Some(metric) = self.failed.get_mut(&place.group) {
            metric.coalesced_failures += 1;
            rank::exhaust_resources(metric, group);
            self.keep_failed(place);
            return;
        }
        if let Some(old) = replaced {
            stop(
                &mut self.plan,
                &Stop {
                    alloc: Arc::clone(old),
                    client_status: None,
                    description: description::UPDATING,
                    follow_up: None,
                },
            );
            self.stack.proposed.remove(old);
        }
        let wanted = self.wanted(place, group, &job);
        let may = may_preempt(self.input.view, job.job_type);
        match self.stack.select(&job, &place.group, &wanted, may) {
            Ok(selected) => self.add(place, &job, deployment, selected),
            Err(mut metric) => {
                if let Some(old) = replaced {
                    withdraw_stop(&mut self.plan, old);
                    self.stack.proposed.restore(old);
                }
                rank::exhaust_resources(&mut metric, group);
                self.failed.insert(place.group.clone(), *metric);
                self.keep_failed(place);
            }
        }
    }

    /// A failed allocation that finds no new place is not stopped; a mark makes later evaluations try again.
    fn keep_failed(&mut self, place: &Place) {
        let Some(previous) = place.previous.as_ref().filter(|_| place.reschedule) else {
            return;
        };
        withdraw_stop(&mut self.plan, previous);
        self.stack.proposed.restore(previous);
        let mut row = Allocation::clone(previous);
        row.reschedule_tracker = Some(RescheduleTracker {
            last_reschedule: reschedule::NO_PLACEMENT.to_owned(),
            ..row.reschedule_tracker.unwrap_or_default()
        });
        self.plan
            .node_allocation
            .entry(row.node_id)
            .or_default()
            .push(Arc::new(row));
    }

    fn wanted(&mut self, place: &Place, group: &TaskGroup, job: &Arc<Job>) -> Wanted {
        let mut wanted = Wanted {
            index: index_of(&place.name),
            ..Wanted::default()
        };
        let Some(previous) = &place.previous else {
            return wanted;
        };
        if previous.client_status == ClientStatus::Failed {
            wanted.penalty.insert(previous.node_id);
        }
        if let Some(tracker) = &previous.reschedule_tracker {
            wanted
                .penalty
                .extend(tracker.events.iter().filter_map(|event| event.prev_node_id));
        }
        let keeps_data = group
            .ephemeral_disk
            .as_ref()
            .is_some_and(|disk| disk.sticky || disk.migrate);
        if keeps_data && self.stack.is_candidate(job, previous.node_id) {
            wanted.preferred = Some(previous.node_id);
        }
        wanted
    }

    fn add(
        &mut self,
        place: &Place,
        job: &Arc<Job>,
        deployment: Option<DeploymentId>,
        selected: Selected,
    ) {
        let node = Arc::clone(self.stack.proposed.columns.row(selected.slot));
        let mut alloc = Allocation {
            id: self.ids.next_uuid().into(),
            namespace: job.namespace.clone(),
            eval_id: Some(self.input.eval.id),
            name: place.name.clone(),
            node_id: node.id,
            node_name: node.name.clone(),
            job_id: job.id.clone(),
            job: Some(Arc::clone(job)),
            job_version: job.version,
            task_group: place.group.clone(),
            allocated_resources: selected.resources,
            metrics: Some(Arc::new(selected.metric)),
            deployment_id: deployment,
            ..Allocation::default()
        };
        if let Some(previous) = &place.previous {
            alloc.previous_allocation = Some(previous.id);
            if place.reschedule {
                alloc.reschedule_tracker = Some(reschedule::tracker(previous, self.input.now));
            }
        }
        if place.canary
            && self
                .deployment
                .as_ref()
                .is_some_and(|deployment| deployment.task_groups.contains_key(&place.group))
        {
            // The state notes it among the deployment's canaries.
            alloc.deployment_status = Some(AllocDeploymentStatus {
                canary: true,
                ..AllocDeploymentStatus::default()
            });
        }
        preempt(&mut self.plan, &mut alloc, &selected.preempted);
        for victim in &selected.preempted {
            self.stack.evict(victim);
        }
        if !selected.preempted.is_empty() {
            *self.preemptions.entry(place.group.clone()).or_default() +=
                selected.preempted.len() as u64;
        }
        let alloc = Arc::new(alloc);
        self.stack.proposed.place(&alloc);
        self.plan
            .node_allocation
            .entry(node.id)
            .or_default()
            .push(alloc);
    }

    /// The job version that a placement runs, and the deployment that it belongs to.
    fn version_for(&self, place: &Place) -> (Arc<Job>, Option<DeploymentId>) {
        let current = self
            .deployment
            .as_ref()
            .filter(|deployment| deployment.active())
            .map(|deployment| deployment.id);
        if place.downgrade
            && let Some((job, deployment)) = self.downgraded(place)
        {
            return (job, deployment);
        }
        (Arc::clone(self.job), current)
    }

    /// The newest version that was promoted or never had canaries.
    fn downgraded(&self, place: &Place) -> Option<(Arc<Job>, Option<DeploymentId>)> {
        let key = self.job.key();
        let mut deployments: Vec<_> = self
            .input
            .view
            .deployments_of_job(&key)
            .filter(|deployment| deployment.job_create_index == self.job.create_index)
            .collect();
        deployments.sort_by_key(|deployment| std::cmp::Reverse(deployment.job_version));
        for deployment in deployments {
            let Some(state) = deployment.task_groups.get(&place.group) else {
                continue;
            };
            if (state.promoted || state.desired_canaries == 0)
                && let Some(job) = self.input.view.job_version(&key, deployment.job_version)
                && job.version >= place.min_job_version
                && job.group(&place.group).is_some()
            {
                return Some((Arc::clone(job), Some(deployment.id)));
            }
        }
        // Versions without an update strategy have no deployment.
        let job = self.input.view.job_version(&key, place.min_job_version)?;
        let group = job.group(&place.group)?;
        group
            .update
            .as_ref()
            .is_none_or(|update| update.max_parallel == 0)
            .then(|| (Arc::clone(job), None))
    }
}
