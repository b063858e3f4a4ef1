//! Constraints that what a job uses implies, so that it lands where that exists.
//!
//! Source: jobspec.md §4.5, "Implied constraints".

use std::collections::BTreeSet;

use super::constraint;
use crate::spec::{Constraint, Job, Service, Task, TaskGroup};

/// CNI plugins without which there is no bridge network.
const BRIDGE_PLUGINS: [&str; 5] = ["bridge", "firewall", "host-local", "loopback", "portmap"];

/// When a constraint is there already.
#[derive(Clone, Copy)]
enum Skip {
    /// Any constraint on the same left side will do, so that users can say otherwise.
    SameLeft,
    /// Only an identical one will do.
    Identical,
}

fn add_to(list: &mut Option<Vec<Constraint>>, skip: Skip, wanted: Constraint) {
    let there = list.iter().flatten().any(|existing| match skip {
        Skip::SameLeft => existing.ltarget == wanted.ltarget,
        Skip::Identical => *existing == wanted,
    });
    if !there {
        list.get_or_insert_default().push(wanted);
    }
}

/// A Consul partition is a place: groups and tasks that name one run only there.
pub(super) fn consul_partitions(job: &mut Job) {
    let on = |partition: &str| constraint("${attr.consul.partition}", "=", partition);
    for group in job.task_groups.iter_mut().flatten() {
        if let Some(consul) = group
            .consul
            .as_ref()
            .filter(|consul| !consul.partition.is_empty())
        {
            group
                .constraints
                .get_or_insert_default()
                .push(on(&consul.partition));
        }
        for task in group.tasks.iter_mut().flatten() {
            if let Some(consul) = task
                .consul
                .as_ref()
                .filter(|consul| !consul.partition.is_empty())
            {
                task.constraints
                    .get_or_insert_default()
                    .push(on(&consul.partition));
            }
        }
    }
}

/// Adds them all.
pub(super) fn add(job: &mut Job) {
    // A secret provider that one group uses is asked for by every group.
    let providers: BTreeSet<String> = job
        .task_groups
        .iter()
        .flatten()
        .flat_map(|group| group.tasks.iter().flatten())
        .flat_map(|task| task.secrets.iter().flatten())
        .map(|secret| secret.provider.clone())
        .collect();
    for group in job.task_groups.iter_mut().flatten() {
        for (skip, wanted) in of_group(group, &providers) {
            add_to(&mut group.constraints, skip, wanted);
        }
        for task in group.tasks.iter_mut().flatten() {
            if task.services.iter().flatten().any(uses_consul) {
                add_to(&mut task.constraints, Skip::SameLeft, consul_services());
            }
        }
    }
}

fn uses_consul(service: &Service) -> bool {
    service.provider == "consul"
}

fn consul_services() -> Constraint {
    constraint("${attr.consul.version}", "semver", ">= 1.8.0")
}

fn of_group(group: &TaskGroup, providers: &BTreeSet<String>) -> Vec<(Skip, Constraint)> {
    let tasks = || group.tasks.iter().flatten();
    let services = || group.services.iter().flatten();
    let mut wanted = Vec::new();

    if tasks().any(|task| task.vault.is_some()) {
        wanted.push((
            Skip::SameLeft,
            constraint("${attr.vault.version}", "semver", ">= 0.6.1"),
        ));
    }
    for provider in providers {
        let ltarget = format!("${{attr.plugins.secrets.{provider}.version}}");
        wanted.push((Skip::SameLeft, constraint(&ltarget, "is_set", "")));
    }
    let signals: BTreeSet<String> = tasks().flat_map(signals).collect();
    if !signals.is_empty() {
        let list = signals.into_iter().collect::<Vec<_>>().join(",");
        wanted.push((
            Skip::Identical,
            constraint("${attr.os.signals}", "set_contains", &list),
        ));
    }
    let task_services = || tasks().flat_map(|task| task.services.iter().flatten());
    let mut nomad_services = services()
        .chain(task_services())
        .filter(|service| service.provider == "nomad")
        .peekable();
    if nomad_services.peek().is_some() {
        wanted.push((
            Skip::Identical,
            constraint("${attr.nomad.service_discovery}", "=", "true"),
        ));
        if nomad_services.any(|service| {
            service
                .checks
                .as_ref()
                .is_some_and(|checks| !checks.is_empty())
        }) {
            wanted.push((
                Skip::Identical,
                constraint("${attr.nomad.version}", "semver", ">= 1.4.0"),
            ));
        }
    }
    if services().any(uses_consul) {
        wanted.push((Skip::SameLeft, consul_services()));
    }
    if group
        .networks
        .iter()
        .flatten()
        .any(|network| network.mode == "bridge")
    {
        for plugin in BRIDGE_PLUGINS {
            let ltarget = format!("${{attr.plugins.cni.version.{plugin}}}");
            wanted.push((Skip::SameLeft, constraint(&ltarget, "semver", ">= 0.4.0")));
        }
    }
    if services().any(has_transparent_proxy) {
        let plugin = "${attr.plugins.cni.version.consul-cni}";
        wanted.push((Skip::SameLeft, constraint(plugin, "semver", ">= 1.4.2")));
        wanted.push((
            Skip::SameLeft,
            constraint("${attr.nomad.version}", "semver", ">= 1.8.0-dev"),
        ));
    }
    if tasks().any(wants_numa) {
        wanted.push((
            Skip::Identical,
            constraint("${attr.nomad.version}", "semver", ">= 1.6.3-dev"),
        ));
        wanted.push((
            Skip::Identical,
            constraint("${attr.kernel.name}", "=", "linux"),
        ));
    }
    if tasks().any(|task| task.schedule.is_some()) {
        wanted.push((
            Skip::SameLeft,
            constraint("${attr.nomad.version}", "semver", ">= 1.8.0-dev"),
        ));
    }
    wanted
}

fn has_transparent_proxy(service: &Service) -> bool {
    let sidecar = service
        .connect
        .as_ref()
        .and_then(|connect| connect.sidecar_service.as_ref());
    sidecar
        .and_then(|sidecar| sidecar.proxy.as_ref())
        .is_some_and(|proxy| proxy.transparent_proxy.is_some())
}

fn wants_numa(task: &Task) -> bool {
    let numa = task
        .resources
        .as_ref()
        .and_then(|resources| resources.numa.as_ref());
    numa.is_some_and(|numa| matches!(numa.affinity.as_str(), "prefer" | "require"))
}

/// The signals that a task must be able to get.
fn signals(task: &Task) -> Vec<String> {
    let mut signals = Vec::new();
    if let Some(vault) = &task.vault
        && vault.change_mode.as_deref() == Some("signal")
    {
        signals.extend(vault.change_signal.clone());
    }
    if !task.kill_signal.is_empty() {
        signals.push(task.kill_signal.clone());
    }
    for template in task.templates.iter().flatten() {
        if template.change_mode.as_deref() == Some("signal") {
            signals.extend(template.change_signal.clone());
        }
    }
    signals.retain(|signal| !signal.is_empty());
    signals
}
