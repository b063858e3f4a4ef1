//! One group: the steps of a reconciliation in their order.
//!
//! Source: servers and scheduling reference, "Service/batch: per-group order of work".

use std::collections::BTreeSet;
use std::sync::Arc;

use nomad_core::alloc::{Allocation, ClientStatus};
use nomad_core::deployment::DeploymentState;
use nomad_core::ids::AllocId;
use nomad_core::job::{Job, TaskGroup};
use nomad_core::time::{Nanos, Timestamp};

use super::classify::{classify, disconnect, last_unknown, lost_after};
use super::deployment::{begin_group, rolls};
use super::names::{Names, indexes};
use super::reschedule::Moment;
use super::stops::Surplus;
use super::{AllocSet, Place, Reconciler, Update, Updater, description};

/// Least time that a client gets to kill a task, added to `stop_on_client_after`.
const MIN_KILL_TIMEOUT: Nanos = Nanos::secs(5);

fn union(into: &mut AllocSet, more: AllocSet) {
    into.extend(more);
}

fn subtract(from: &mut AllocSet, less: &AllocSet) {
    from.retain(|id, _| !less.contains_key(id));
}

fn older(alloc: &Allocation, job: &Job) -> bool {
    alloc.job_version < job.version
        || alloc
            .job
            .as_ref()
            .is_some_and(|own| own.create_index < job.create_index)
}

/// Untainted allocations by what an update does to them.
#[derive(Default)]
struct Updates {
    ignore: usize,
    in_place: Vec<Arc<Allocation>>,
    destructive: AllocSet,
}

impl Reconciler<'_> {
    /// Reconciles one group; says whether nothing is left to do for its deployment.
    pub(super) fn compute_group(
        &mut self,
        name: &str,
        mut all: AllocSet,
        updater: &mut dyn Updater,
    ) -> bool {
        let Some(job) = self.job else {
            return true;
        };
        self.desired(name);
        let batch = self.batch;
        all.retain(|_, alloc| {
            !alloc.server_terminal() || (batch && !alloc.desired_transition.should_reschedule())
        });
        let Some(group) = job.group(name).filter(|group| group.count > 0) else {
            all.retain(|_, alloc| !alloc.terminal());
            let stopped = self.stop_all(&all);
            self.desired(name).stop = stopped;
            return true;
        };

        let existing = self
            .deployment
            .as_ref()
            .and_then(|deployment| deployment.task_groups.get(name))
            .cloned();
        let had_deployment = existing.is_some();
        let mut state = existing.unwrap_or_else(|| begin_group(group.update.as_ref()));

        if batch {
            let before = all.len();
            all.retain(|_, alloc| !(alloc.terminal() && older(alloc, job)));
            self.desired(name).ignore += (before - all.len()) as u64;
        }

        let canaries = self.settle_canaries(name, &mut all);
        let mut classes = classify(&all, self.tainted, self.now);
        self.desired(name).ignore += classes.ignore.len() as u64;

        let current = self.deployment.clone();
        let moment = Moment {
            batch,
            now: self.now,
            eval: self.eval.id,
            deployment: current.as_ref(),
        };
        let mut split = moment.split(std::mem::take(&mut classes.untainted), false);
        if batch {
            // Stopped batch allocations are told apart by the same rules.
            let migrating = moment.split(std::mem::take(&mut classes.migrate), false);
            classes.migrate = migrating.untainted;
            union(&mut split.now, migrating.now);
            split.later.extend(migrating.later);
        }
        let mut untainted = split.untainted;
        let mut migrate = classes.migrate;
        let mut lost = classes.lost;

        if !classes.reconnecting.is_empty() {
            let decided = self.decide_reconnects(&classes.reconnecting, &all);
            self.desired(name).stop += decided.stopped.len() as u64;
            self.desired(name).reconnect += decided.kept.len() as u64;
            for set in [&mut untainted, &mut migrate, &mut lost, &mut split.now] {
                subtract(set, &decided.stopped);
            }
            union(&mut untainted, decided.kept);
        }
        union(&mut lost, classes.expiring);

        let mut disconnected_now: BTreeSet<AllocId> = BTreeSet::new();
        if !classes.disconnecting.is_empty() {
            self.disconnect(&classes.disconnecting);
            self.desired(name).disconnect += classes.disconnecting.len() as u64;
            let away = moment.split(classes.disconnecting, true);
            disconnected_now.extend(away.now.keys());
            union(&mut untainted, away.untainted);
            union(&mut split.now, away.now);
            split.later.extend(away.later);
        }

        let (lost_later, wait_for_client) = self.delayed_losses(&lost);
        let follow_ups = self.lost_later(&lost_later);
        self.reschedule_later(&split.later);
        let reschedule = split.now;
        let any_later = !split.later.is_empty();

        let mut taken = indexes(&untainted);
        for set in [&migrate, &reschedule, &lost] {
            taken.extend(indexes(set));
        }
        let mut names = Names::new(&job.id, name, group.count, taken);

        let canarying = state.desired_canaries != 0 && !state.promoted;
        let stopped = self.stop_surplus(
            Surplus {
                count: group.count,
                untainted: &untainted,
                migrate: &mut migrate,
                lost: &lost,
                canaries: &canaries,
                canarying,
                promoted: state.promoted,
                follow_ups: &follow_ups,
            },
            &mut names,
        );
        self.desired(name).stop += stopped.len() as u64;
        untainted.retain(|id, _| !stopped.contains(id));

        let updates = self.split_updates(&untainted, group, updater);
        {
            let desired = self.desired(name);
            desired.ignore += updates.ignore as u64;
            desired.in_place_update += updates.in_place.len() as u64;
        }
        let in_place = updates.in_place.len();
        let destructive = updates.destructive;
        if !had_deployment {
            state.desired_total += (destructive.len() + in_place) as i64;
        }
        self.results.in_place.extend(updates.in_place);

        if canarying {
            subtract(&mut untainted, &canaries);
        }

        let update = group.update.as_ref();
        let wants_canaries = rolls(update)
            && !destructive.is_empty()
            && update.is_some_and(|update| (canaries.len() as i64) < update.canary)
            && !state.promoted;
        if wants_canaries {
            state.desired_canaries = update.map_or(0, |update| update.canary);
        }
        if wants_canaries && !self.is_paused() && !self.is_failed() {
            let missing = (state.desired_canaries - canaries.len() as i64).max(0) as usize;
            self.desired(name).canary += missing as u64;
            for name_of in names.next_canaries(missing, &canaries, &destructive) {
                self.results.place.push(Place {
                    name: name_of,
                    group: name.to_owned(),
                    canary: true,
                    ..Place::default()
                });
            }
        }
        // With canaries asked for but not promoted, the old version stays as it is.
        let canarying = state.desired_canaries != 0 && !state.promoted;

        let limit = self.update_limit(group, &untainted, &destructive, &migrate, canarying);
        let mut place = if wait_for_client {
            Vec::new()
        } else {
            self.placements(
                group,
                name,
                &mut names,
                &untainted,
                &migrate,
                &reschedule,
                &lost,
                canarying,
            )
        };
        if !had_deployment {
            state.desired_total += place.len() as i64;
        }

        let ready = !self.is_paused() && !self.is_failed() && !canarying;
        let placed = place.len();
        let limit = self.replace(
            name,
            ready,
            std::mem::take(&mut place),
            &reschedule,
            &disconnected_now,
            &lost,
            limit,
        );
        if ready {
            self.update_destructively(name, &destructive, limit);
        } else {
            self.desired(name).ignore += destructive.len() as u64;
        }
        self.migrate(name, &migrate, canarying);
        self.truncate(name, group.count);

        let spec_changes = !destructive.is_empty() || in_place > 0;
        let version_known = all.values().any(|alloc| !older_or_newer(alloc, job));
        if !had_deployment
            && rolls(update)
            && state.desired_total != 0
            && (!version_known || spec_changes)
        {
            self.begin_deployment(name, state.clone());
        }
        let busy = !destructive.is_empty()
            || in_place > 0
            || placed > 0
            || !migrate.is_empty()
            || !reschedule.is_empty()
            || any_later
            || wants_canaries;
        !busy && self.is_group_done(name)
    }

    /// Stops canaries that are not needed any more; takes out those of the current deployment that are fine.
    fn settle_canaries(&mut self, name: &str, all: &mut AllocSet) -> AllocSet {
        let mut unneeded: BTreeSet<AllocId> = BTreeSet::new();
        let mut unpromoted = |states: &std::collections::BTreeMap<String, DeploymentState>| {
            for state in states.values().filter(|state| !state.promoted) {
                unneeded.extend(&state.placed_canaries);
            }
        };
        if let Some(old) = &self.old_deployment {
            unpromoted(&old.task_groups);
        }
        if self.is_failed()
            && let Some(failed) = &self.deployment
        {
            unpromoted(&failed.task_groups);
        }
        let stop: AllocSet = all
            .iter()
            .filter(|(id, _)| unneeded.contains(*id))
            .map(|(id, alloc)| (*id, Arc::clone(alloc)))
            .collect();
        for alloc in stop.values() {
            self.mark_stop(alloc, None, description::NOT_NEEDED, None);
        }
        self.desired(name).stop += stop.len() as u64;
        subtract(all, &stop);

        let Some(deployment) = &self.deployment else {
            return AllocSet::new();
        };
        let placed: BTreeSet<AllocId> = deployment
            .task_groups
            .values()
            .flat_map(|state| state.placed_canaries.iter().copied())
            .collect();
        let canaries: AllocSet = all
            .iter()
            .filter(|(id, _)| placed.contains(*id))
            .map(|(id, alloc)| (*id, Arc::clone(alloc)))
            .collect();
        let classes = classify(&canaries, self.tainted, self.now);
        for alloc in classes.migrate.values() {
            self.mark_stop(alloc, None, description::MIGRATING, None);
        }
        for alloc in classes.lost.values() {
            self.mark_stop(alloc, Some(ClientStatus::Lost), description::LOST, None);
        }
        subtract(all, &classes.migrate);
        subtract(all, &classes.lost);
        classes.untainted
    }

    /// Lost allocations whose client stops them only after a while: when that is, and whether any is still waited for.
    fn delayed_losses(&self, lost: &AllocSet) -> (Vec<(AllocId, Timestamp)>, bool) {
        let mut later = Vec::new();
        let mut waiting = false;
        for alloc in lost.values() {
            let Some(span) = disconnect(alloc).and_then(|block| block.stop_on_client_after) else {
                continue;
            };
            let first_lost = alloc
                .alloc_states
                .iter()
                .find(|state| state.field == 0 && state.value == "lost")
                .map(|state| state.time)
                .or_else(|| last_unknown(alloc).filter(|_| lost_after(alloc).is_set()));
            let kill = alloc
                .group()
                .into_iter()
                .flat_map(|group| &group.tasks)
                .map(|task| task.kill_timeout)
                .max()
                .unwrap_or_default()
                .max(MIN_KILL_TIMEOUT);
            let at = first_lost.unwrap_or(self.now) + span + kill;
            if at > self.now {
                waiting = true;
                later.push((alloc.id, at));
            }
        }
        (later, waiting)
    }

    fn split_updates(
        &mut self,
        untainted: &AllocSet,
        group: &TaskGroup,
        updater: &mut dyn Updater,
    ) -> Updates {
        let mut updates = Updates::default();
        for (id, alloc) in untainted {
            match updater.update(alloc, group) {
                Update::Ignore => updates.ignore += 1,
                Update::Destructive => {
                    updates.destructive.insert(*id, Arc::clone(alloc));
                }
                Update::InPlace(row) => updates.in_place.push(row),
            }
        }
        updates
    }

    /// How many placements and updates may be made at once.
    fn update_limit(
        &self,
        group: &TaskGroup,
        untainted: &AllocSet,
        destructive: &AllocSet,
        migrate: &AllocSet,
        canarying: bool,
    ) -> i64 {
        let Some(update) = group
            .update
            .as_ref()
            .filter(|update| update.max_parallel != 0)
        else {
            return group.count;
        };
        if destructive.is_empty() && migrate.is_empty() {
            return group.count;
        }
        let Some(deployment) = &self.deployment else {
            return update.max_parallel;
        };
        if self.is_paused() || self.is_failed() || canarying {
            return 0;
        }
        let members: Vec<_> = untainted
            .values()
            .filter(|alloc| alloc.deployment_id == Some(deployment.id))
            .collect();
        if members.iter().any(|alloc| alloc.is_unhealthy()) {
            return 0;
        }
        let unsettled = members.iter().filter(|alloc| !alloc.is_healthy()).count() as i64;
        (update.max_parallel - unsettled).max(0)
    }

    #[expect(clippy::too_many_arguments, reason = "the sets of one step, used once")]
    fn placements(
        &self,
        group: &TaskGroup,
        name: &str,
        names: &mut Names,
        untainted: &AllocSet,
        migrate: &AllocSet,
        reschedule: &AllocSet,
        lost: &AllocSet,
        canarying: bool,
    ) -> Vec<Place> {
        let successor = |alloc: &Arc<Allocation>, reschedule: bool| Place {
            name: alloc.name.clone(),
            group: name.to_owned(),
            canary: alloc.is_canary(),
            downgrade: canarying && !alloc.is_canary(),
            min_job_version: alloc.job_version,
            previous: Some(Arc::clone(alloc)),
            reschedule,
        };
        let mut place: Vec<Place> = reschedule
            .values()
            .map(|alloc| successor(alloc, true))
            .collect();
        let mut existing = (untainted.len() + migrate.len() + reschedule.len()) as i64;
        for alloc in lost.values() {
            if existing >= group.count {
                break;
            }
            existing += 1;
            place.push(successor(alloc, false));
        }
        let missing = usize::try_from(group.count - existing).unwrap_or(0);
        for name_of in names.next(missing) {
            place.push(Place {
                name: name_of,
                group: name.to_owned(),
                downgrade: canarying,
                ..Place::default()
            });
        }
        place
    }

    /// Takes over what may be placed now and stops failed predecessors; says what is left of the limit.
    #[expect(clippy::too_many_arguments, reason = "the sets of one step, used once")]
    fn replace(
        &mut self,
        name: &str,
        ready: bool,
        mut place: Vec<Place>,
        reschedule: &AllocSet,
        disconnected: &BTreeSet<AllocId>,
        lost: &AllocSet,
        limit: i64,
    ) -> i64 {
        // What is only out of sight is not stopped for its replacement.
        let ended = |alloc: &Allocation| {
            alloc.client_status != ClientStatus::Unknown && !disconnected.contains(&alloc.id)
        };
        if ready {
            self.desired(name).place += place.len() as u64;
            let left = (limit - place.len() as i64).max(0);
            for alloc in reschedule.values() {
                if ended(alloc) {
                    self.mark_stop(alloc, None, description::RESCHEDULED, None);
                    self.desired(name).stop += 1;
                }
            }
            self.results.place.append(&mut place);
            return left;
        }
        // A prefix of the list, as the original takes it.
        let allowed = lost.len().min(place.len());
        self.desired(name).place += allowed as u64;
        let rest = place.split_off(allowed);
        self.results.place.append(&mut place);
        if reschedule.is_empty() {
            return limit;
        }
        for one in rest {
            let Some(previous) = one.previous.clone().filter(|_| one.reschedule) else {
                continue;
            };
            let of_failed = self.is_failed()
                && self
                    .deployment
                    .as_ref()
                    .is_some_and(|deployment| previous.deployment_id == Some(deployment.id));
            if of_failed {
                continue;
            }
            self.results.place.push(one);
            self.desired(name).place += 1;
            if ended(&previous) {
                self.mark_stop(&previous, None, description::RESCHEDULED, None);
                self.desired(name).stop += 1;
            }
        }
        limit
    }

    fn update_destructively(&mut self, name: &str, destructive: &AllocSet, limit: i64) {
        let now = destructive.len().min(usize::try_from(limit).unwrap_or(0));
        let mut ordered: Vec<&Arc<Allocation>> = destructive.values().collect();
        ordered.sort_by_key(|alloc| (alloc.index(), alloc.id));
        let desired = self.desired(name);
        desired.destructive_update += now as u64;
        desired.ignore += (destructive.len() - now) as u64;
        for alloc in ordered.into_iter().take(now) {
            self.results.destructive.push((
                Arc::clone(alloc),
                Place {
                    name: alloc.name.clone(),
                    group: name.to_owned(),
                    previous: Some(Arc::clone(alloc)),
                    ..Place::default()
                },
            ));
        }
    }

    fn migrate(&mut self, name: &str, migrate: &AllocSet, canarying: bool) {
        self.desired(name).migrate += migrate.len() as u64;
        for alloc in migrate.values() {
            self.mark_stop(alloc, None, description::MIGRATING, None);
            let transition = &alloc.desired_transition;
            if self.batch
                && (transition.should_reschedule()
                    || transition.should_disable_migration_placement())
            {
                continue;
            }
            self.results.place.push(Place {
                name: alloc.name.clone(),
                group: name.to_owned(),
                canary: alloc.is_canary(),
                downgrade: canarying && !alloc.is_canary(),
                min_job_version: alloc.job_version,
                previous: Some(Arc::clone(alloc)),
                reschedule: false,
            });
        }
    }

    /// A group never places more than its count at once, canaries included.
    fn truncate(&mut self, name: &str, count: i64) {
        let count = usize::try_from(count).unwrap_or(0);
        let mut seen = 0;
        self.results.place.retain(|place| {
            if place.group != name {
                return true;
            }
            seen += 1;
            seen <= count
        });
        if seen > count {
            self.desired(name).place = count as u64;
        }
    }

    fn is_group_done(&self, name: &str) -> bool {
        self.deployment
            .as_ref()
            .and_then(|deployment| deployment.task_groups.get(name))
            .is_some_and(|state| {
                state.healthy_allocs >= state.desired_total.max(state.desired_canaries)
                    && (state.desired_canaries == 0 || state.promoted)
            })
    }
}

fn older_or_newer(alloc: &Allocation, job: &Job) -> bool {
    alloc.job_version != job.version
        || alloc
            .job
            .as_ref()
            .is_some_and(|own| own.create_index != job.create_index)
}
