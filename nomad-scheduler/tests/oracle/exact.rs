//! Point 1: what must be equal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use nomad_core::ids::AllocId;
use nomad_core::memory_view::MemoryView;
use nomad_core::metric::AllocMetric;
use nomad_core::plan::DesiredUpdates;
use nomad_core::view::ClusterView;

use crate::recording::Step;
use crate::rules;
use crate::run::{Names, Ours};

/// Differences found, one line each.
pub(crate) struct Differences(pub(crate) Vec<String>);

/// Kinds of differences that follow from placing more or less than the reference.
const OF_PLACEMENT: [&str; 14] = [
    "placed names",
    "updated in place",
    "stops",
    "evictions",
    "queued",
    "failed groups",
    "failed though theirs did not",
    "coalesced",
    "constraint filtered",
    "class filtered",
    "dimension exhausted",
    "nodes",
    "class exhausted",
    "resources exhausted",
];

/// Whether a difference follows from placing more or less.
fn is_of_placement(difference: &str) -> bool {
    let kind = difference.split(':').next().unwrap_or_default();
    let kind = kind.split(" of ").next().unwrap_or_default();
    OF_PLACEMENT.contains(&kind) || kind == "created evaluations"
}

/// Takes out differences that a rule explains.
pub(crate) fn excuse(
    step: &Step,
    view: &MemoryView,
    ours: &Ours,
    differences: Vec<String>,
) -> Vec<String> {
    if differences
        .iter()
        .any(|difference| !is_of_placement(difference))
    {
        return differences;
    }
    let placed = ours
        .plan
        .node_allocation
        .values()
        .flatten()
        .filter(|alloc| view.alloc(alloc.id).is_none())
        .count();
    if rules::theirs_is_broken(step, view) || rules::theirs_counts_too_much(step, view, placed) {
        return differences
            .into_iter()
            .filter(|difference| !is_of_placement(difference))
            .collect();
    }
    differences
}

impl Differences {
    fn equal<T: PartialEq + Debug>(&mut self, what: &str, ours: &T, theirs: &T) {
        if ours != theirs {
            self.0
                .push(format!("{what}: ours {ours:?}, theirs {theirs:?}"));
        }
    }
}

pub(crate) fn compare(step: &Step, view: &MemoryView, ours: &Ours) -> Vec<String> {
    let mut found = Differences(Vec::new());
    let update = step.update();
    found.equal(
        "status",
        &(
            ours.writes.update.status,
            ours.writes.update.status_description.clone(),
        ),
        &update.map_or_else(Default::default, |update| {
            (update.status, update.status_description.clone())
        }),
    );
    let Some(theirs) = step.plan() else {
        if !ours.plan.is_no_op() {
            found.0.push("a plan where there was none".to_owned());
        }
        return found.0;
    };

    let desired = |map: Option<&BTreeMap<String, DesiredUpdates>>| map.cloned().unwrap_or_default();
    // Evictions depend on where a placement goes; all else in these counts does not.
    let without_evictions = |map: BTreeMap<String, DesiredUpdates>| {
        map.into_iter()
            .map(|(group, desired)| {
                let preemptions = 0;
                (
                    group,
                    DesiredUpdates {
                        preemptions,
                        ..desired
                    },
                )
            })
            .collect::<BTreeMap<_, _>>()
    };
    found.equal(
        "reconciled counts",
        &without_evictions(desired(
            ours.writes
                .update
                .plan_annotations
                .as_ref()
                .map(|a| &a.desired_tg_updates),
        )),
        &without_evictions(desired(
            theirs.annotations.as_ref().map(|a| &a.desired_tg_updates),
        )),
    );
    // Which placement evicts depends on the nodes that the others went to, so the sum is compared, and may be less.
    let evictions = |annotations: Option<&nomad_core::plan::PlanAnnotations>| -> u64 {
        annotations
            .iter()
            .flat_map(|annotations| annotations.desired_tg_updates.values())
            .map(|desired| desired.preemptions)
            .sum()
    };
    let own = evictions(ours.writes.update.plan_annotations.as_deref());
    let other = evictions(theirs.annotations.as_ref());
    if own > other {
        found
            .0
            .push(format!("evictions: ours {own}, theirs {other}"));
    }

    let mut our_names = Names::new();
    let mut our_rows = BTreeMap::new();
    for alloc in ours.plan.node_allocation.values().flatten() {
        if view.alloc(alloc.id).is_none() {
            our_names
                .entry(alloc.task_group.clone())
                .or_default()
                .push(alloc.name.clone());
        } else {
            our_rows.insert(alloc.id, row(alloc));
        }
    }
    let mut their_names = Names::new();
    let mut their_rows = BTreeMap::new();
    for alloc in theirs.rows() {
        if view.alloc(alloc.id).is_none() {
            their_names
                .entry(alloc.task_group.clone())
                .or_default()
                .push(alloc.name.clone());
        } else {
            their_rows.insert(alloc.id, row(alloc));
        }
    }
    for names in our_names.values_mut().chain(their_names.values_mut()) {
        names.sort();
    }
    found.equal("placed names", &our_names, &their_names);
    found.equal("updated in place", &our_rows, &their_rows);

    let our_stops: BTreeMap<AllocId, (String, String, String)> = ours
        .plan
        .node_update
        .values()
        .flatten()
        .map(|stop| {
            let client = stop
                .client_status
                .or_else(|| view.alloc(stop.alloc_id).map(|alloc| alloc.client_status))
                .unwrap_or_default();
            (
                stop.alloc_id,
                (
                    stop.desired_status.to_string(),
                    stop.desired_description.clone(),
                    client.to_string(),
                ),
            )
        })
        .collect();
    let their_stops: BTreeMap<AllocId, (String, String, String)> = theirs
        .stops()
        .map(|alloc| {
            let (status, text) = rules::stop(alloc);
            (alloc.id, (status, text, alloc.client_status.to_string()))
        })
        .collect();
    found.equal("stops", &our_stops, &their_stops);

    let states = |deployment: Option<&nomad_core::deployment::Deployment>| {
        deployment.map(|deployment| {
            let groups: Vec<_> = deployment
                .task_groups
                .iter()
                .map(|(name, state)| {
                    (
                        name.clone(),
                        state.desired_total,
                        state.desired_canaries,
                        state.auto_promote,
                        state.auto_revert,
                        state.progress_deadline,
                    )
                })
                .collect();
            (
                deployment.status,
                deployment.status_description.clone(),
                groups,
            )
        })
    };
    found.equal(
        "deployment",
        &states(ours.plan.deployment.as_ref()),
        &states(theirs.deployment.as_ref()),
    );
    let updates = |updates: &[nomad_core::deployment::DeploymentStatusUpdate]| {
        updates
            .iter()
            .map(|update| {
                (
                    update.deployment_id,
                    update.status,
                    update.status_description.clone(),
                )
            })
            .collect::<BTreeSet<_>>()
    };
    found.equal(
        "deployment updates",
        &updates(&ours.plan.deployment_updates),
        &updates(theirs.deployment_updates()),
    );
    if let Some(update) = update {
        evals(step, ours, update, &mut found);
    }
    found.0
}

fn row(alloc: &nomad_core::alloc::Allocation) -> (String, String, String, String) {
    (
        alloc.desired_status.to_string(),
        alloc.desired_description.clone(),
        alloc.client_status.to_string(),
        alloc
            .reschedule_tracker
            .as_ref()
            .map_or_else(String::new, |tracker| tracker.last_reschedule.clone()),
    )
}

fn evals(step: &Step, ours: &Ours, update: &nomad_core::eval::Evaluation, found: &mut Differences) {
    found.equal(
        "queued",
        &ours.writes.update.queued_allocations,
        &update.queued_allocations,
    );
    let names = |map: &BTreeMap<String, AllocMetric>| map.keys().cloned().collect::<Vec<_>>();
    found.equal(
        "failed groups",
        &names(&ours.writes.update.failed_tg_allocs),
        &names(&update.failed_tg_allocs),
    );
    for (group, own) in &ours.writes.update.failed_tg_allocs {
        if !update.failed_tg_allocs.contains_key(group) {
            found
                .0
                .push(format!("failed though theirs did not: {group} {own:?}"));
        }
    }
    for (group, theirs) in &update.failed_tg_allocs {
        let Some(own) = ours.writes.update.failed_tg_allocs.get(group) else {
            continue;
        };
        let key = |what: &str| format!("{what} of {group}");
        found.equal(
            &key("coalesced"),
            &own.coalesced_failures,
            &theirs.coalesced_failures,
        );
        found.equal(
            &key("constraint filtered"),
            &rules::without_use(&own.constraint_filtered),
            &rules::without_use(&theirs.constraint_filtered),
        );
        found.equal(
            &key("class filtered"),
            &own.class_filtered,
            &theirs.class_filtered,
        );
        found.equal(
            &key("dimension exhausted"),
            &own.dimension_exhausted,
            &theirs.dimension_exhausted,
        );
        found.equal(
            &key("nodes"),
            &(own.nodes_evaluated, own.nodes_filtered, own.nodes_exhausted),
            &(
                theirs.nodes_evaluated,
                theirs.nodes_filtered,
                theirs.nodes_exhausted,
            ),
        );
        found.equal(
            &key("class exhausted"),
            &own.class_exhausted,
            &theirs.class_exhausted,
        );
        found.equal(
            &key("resources exhausted"),
            &own.resources_exhausted,
            &theirs.resources_exhausted,
        );
    }
    let created = |evals: &[nomad_core::eval::Evaluation]| {
        let mut evals: Vec<_> = evals
            .iter()
            .map(|eval| {
                (
                    eval.status.as_str(),
                    eval.triggered_by.as_str(),
                    eval.status_description.clone(),
                    eval.node_id,
                    eval.escaped_computed_class,
                    !eval.failed_tg_allocs.is_empty(),
                )
            })
            .collect();
        evals.sort();
        evals
    };
    found.equal(
        "created evaluations",
        &created(&ours.writes.create),
        &created(step.created()),
    );
    found.equal(
        "reblocked",
        &ours.writes.reblock.is_some(),
        &!step.reblocked().is_empty(),
    );
}
