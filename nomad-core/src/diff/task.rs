//! Tasks.

use super::fields::{field_diffs, flatten, flatten_deep};
use super::group::network_diffs;
use super::objects::{each, object, pairs_by, pairs_by_place, primitive, set, strings};
use super::service::{identity_diff, service_diffs};
use super::types::{DiffType, ObjectDiff, TaskDiff};
use crate::job::{
    Action, ChangeScript, Numa, RequestedDevice, Resources, Schedule, Secret, Task, Template,
    VolumeMount, WaitConfig,
};

pub(super) fn task_diff(old: Option<&Task>, new: Option<&Task>, contextual: bool) -> TaskDiff {
    let flat = |task: &Task| flatten(task, &["Name", "Config"], &["Meta", "Env"]);
    let fields = field_diffs(
        &old.map(flat).unwrap_or_default(),
        &new.map(flat).unwrap_or_default(),
        false,
    );

    let empty = Task::default();
    let (a, b) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
    let mut objects = set("Constraint", &a.constraints, &b.constraints, contextual);
    objects.extend(set("Affinity", &a.affinities, &b.affinities, contextual));
    let config = |task: &Task| (!task.config.is_empty()).then(|| flatten_deep(&task.config));
    objects.extend(object(
        "Config",
        config(a),
        config(b),
        Vec::new(),
        contextual,
    ));
    objects.extend(resources(
        old.map(|task| &task.resources),
        new.map(|task| &task.resources),
        contextual,
    ));
    objects.extend(primitive(
        "LogConfig",
        a.log_config.as_ref(),
        b.log_config.as_ref(),
        &[],
        contextual,
    ));
    objects.extend(primitive(
        "DispatchPayload",
        a.dispatch_payload.as_ref(),
        b.dispatch_payload.as_ref(),
        &[],
        contextual,
    ));
    objects.extend(each(
        pairs_by(&a.artifacts, &b.artifacts, |artifact| {
            artifact.relative_dest.clone()
        }),
        |old, new| {
            let flat = |artifact: &crate::job::Artifact| {
                flatten(artifact, &[], &["GetterOptions", "GetterHeaders"])
            };
            object(
                "Artifact",
                old.map(flat),
                new.map(flat),
                Vec::new(),
                contextual,
            )
        },
    ));
    objects.extend(service_diffs(&a.services, &b.services, contextual));
    objects.extend(primitive(
        "Vault",
        a.vault.as_ref(),
        b.vault.as_ref(),
        &[],
        contextual,
    ));
    objects.extend(each(
        pairs_by(&a.secrets, &b.secrets, |secret| secret.name.clone()),
        |old, new| secret(old, new, contextual),
    ));
    objects.extend(primitive(
        "Consul",
        a.consul.as_ref(),
        b.consul.as_ref(),
        &[],
        contextual,
    ));
    objects.extend(each(
        pairs_by(&a.templates, &b.templates, |template| {
            template.dest_path.clone()
        }),
        |old, new| template(old, new, contextual),
    ));
    objects.extend(identity_diff(
        a.identity.as_ref(),
        b.identity.as_ref(),
        contextual,
    ));
    objects.extend(each(
        pairs_by(&a.identities, &b.identities, |identity| {
            identity.name.clone()
        }),
        |old, new| identity_diff(old, new, contextual),
    ));
    objects.extend(each(pairs_by_place(&a.actions, &b.actions), |old, new| {
        action(old, new, contextual)
    }));
    objects.extend(each(
        pairs_by_place(&a.volume_mounts, &b.volume_mounts),
        |old: Option<&VolumeMount>, new| primitive("VolumeMount", old, new, &[], contextual),
    ));
    objects.extend(schedule(
        a.schedule.as_ref(),
        b.schedule.as_ref(),
        contextual,
    ));
    TaskDiff {
        kind: DiffType::of(old.is_some(), new.is_some(), old != new),
        name: if new.is_some() {
            b.name.clone()
        } else {
            a.name.clone()
        },
        fields,
        objects,
        annotations: Vec::new(),
    }
}

fn resources(
    old: Option<&Resources>,
    new: Option<&Resources>,
    contextual: bool,
) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let empty = Resources::default();
    let (a, b) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
    let mut objects = network_diffs(&a.networks, &b.networks, contextual);
    objects.extend(each(
        pairs_by(&a.devices, &b.devices, |device| device.name.clone()),
        |old, new| device(old, new, contextual),
    ));
    objects.extend(numa(a.numa.as_ref(), b.numa.as_ref(), contextual));
    let flat = |resources: &Resources| flatten(resources, &[], &[]);
    object(
        "Resources",
        old.map(flat),
        new.map(flat),
        objects,
        contextual,
    )
}

fn device(
    old: Option<&RequestedDevice>,
    new: Option<&RequestedDevice>,
    contextual: bool,
) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let empty = RequestedDevice::default();
    let (a, b) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
    let mut objects = set("Constraint", &a.constraints, &b.constraints, contextual);
    objects.extend(set("Affinity", &a.affinities, &b.affinities, contextual));
    let flat = |device: &RequestedDevice| flatten(device, &[], &[]);
    object("Device", old.map(flat), new.map(flat), objects, contextual)
}

fn numa(old: Option<&Numa>, new: Option<&Numa>, contextual: bool) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let list = |numa: Option<&Numa>| numa.map(|numa| numa.devices.clone()).unwrap_or_default();
    let devices = strings("Devices", &list(old), &list(new), contextual);
    let flat = |numa: &Numa| flatten(numa, &[], &[]);
    object(
        "NUMA",
        old.map(flat),
        new.map(flat),
        devices.into_iter().collect(),
        contextual,
    )
}

fn secret(old: Option<&Secret>, new: Option<&Secret>, contextual: bool) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let config = |secret: Option<&Secret>| {
        secret
            .filter(|secret| !secret.config.is_empty())
            .map(|secret| flatten_deep(&secret.config))
    };
    let inner = object("Config", config(old), config(new), Vec::new(), contextual);
    let flat = |secret: &Secret| flatten(secret, &["Config"], &["Env"]);
    object(
        "Secret",
        old.map(flat),
        new.map(flat),
        inner.into_iter().collect(),
        contextual,
    )
}

/// The wait configuration is named like the template, as in the reference.
fn template(
    old: Option<&Template>,
    new: Option<&Template>,
    contextual: bool,
) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let wait = |template: Option<&Template>| template.and_then(|template| template.wait.clone());
    let script =
        |template: Option<&Template>| template.and_then(|template| template.change_script.clone());
    let (old_wait, new_wait): (Option<WaitConfig>, Option<WaitConfig>) = (wait(old), wait(new));
    let mut objects: Vec<ObjectDiff> = primitive(
        "Template",
        old_wait.as_ref(),
        new_wait.as_ref(),
        &[],
        contextual,
    )
    .into_iter()
    .collect();
    let (old_script, new_script) = (script(old), script(new));
    objects.extend(change_script(
        old_script.as_ref(),
        new_script.as_ref(),
        contextual,
    ));
    let flat = |template: &Template| flatten(template, &[], &[]);
    object(
        "Template",
        old.map(flat),
        new.map(flat),
        objects,
        contextual,
    )
}

fn change_script(
    old: Option<&ChangeScript>,
    new: Option<&ChangeScript>,
    contextual: bool,
) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let list = |script: Option<&ChangeScript>| {
        script.map(|script| script.args.clone()).unwrap_or_default()
    };
    let args = strings("Args", &list(old), &list(new), contextual);
    let flat = |script: &ChangeScript| flatten(script, &[], &[]);
    object(
        "ChangeScript",
        old.map(flat),
        new.map(flat),
        args.into_iter().collect(),
        contextual,
    )
}

fn action(old: Option<&Action>, new: Option<&Action>, contextual: bool) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let list =
        |action: Option<&Action>| action.map(|action| action.args.clone()).unwrap_or_default();
    let args = strings("Args", &list(old), &list(new), contextual);
    let flat = |action: &Action| flatten(action, &[], &[]);
    object(
        "Action",
        old.map(flat),
        new.map(flat),
        args.into_iter().collect(),
        contextual,
    )
}

fn schedule(
    old: Option<&Schedule>,
    new: Option<&Schedule>,
    contextual: bool,
) -> Option<ObjectDiff> {
    let cron = |schedule: Option<&Schedule>| schedule.and_then(|schedule| schedule.cron.clone());
    let (before, after) = (cron(old), cron(new));
    let inner = primitive("Cron", before.as_ref(), after.as_ref(), &[], contextual);
    let flat = |schedule: &Schedule| flatten(schedule, &[], &[]);
    object(
        "Schedule",
        old.map(flat),
        new.map(flat),
        inner.into_iter().collect(),
        contextual,
    )
}
