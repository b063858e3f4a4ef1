//! Groups: policies, disk, networks, scaling, volumes.

use std::collections::BTreeSet;

use serde_json::json;

use super::fields::{Flat, field_diffs, flatten, flatten_deep};
use super::objects::{each, object, pairs_by, primitive, set, strings};
use super::service::service_diffs;
use super::task::task_diff;
use super::types::{DiffType, ObjectDiff, TaskGroupDiff};
use crate::job::{Cni, Dns, NetworkResource, Port, ScalingPolicy, TaskGroup, VolumeRequest};

pub(super) fn group_diff(
    old: Option<&TaskGroup>,
    new: Option<&TaskGroup>,
    contextual: bool,
) -> TaskGroupDiff {
    let flat =
        |group: &TaskGroup| flatten(group, &["Name", "MaxRunDuration", "Volumes"], &["Meta"]);
    let fields = field_diffs(
        &old.map(flat).unwrap_or_default(),
        &new.map(flat).unwrap_or_default(),
        false,
    );

    let empty = TaskGroup::default();
    let (a, b) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
    let mut objects = set("Constraint", &a.constraints, &b.constraints, contextual);
    objects.extend(set("Affinity", &a.affinities, &b.affinities, contextual));
    objects.extend(primitive(
        "RestartPolicy",
        a.restart_policy.as_ref(),
        b.restart_policy.as_ref(),
        &[],
        contextual,
    ));
    objects.extend(primitive(
        "Migrate",
        a.migrate.as_ref(),
        b.migrate.as_ref(),
        &[],
        contextual,
    ));
    objects.extend(primitive(
        "ReschedulePolicy",
        a.reschedule_policy.as_ref(),
        b.reschedule_policy.as_ref(),
        &[],
        contextual,
    ));
    objects.extend(primitive(
        "EphemeralDisk",
        a.ephemeral_disk.as_ref(),
        b.ephemeral_disk.as_ref(),
        &[],
        contextual,
    ));
    objects.extend(primitive(
        "Consul",
        a.consul.as_ref(),
        b.consul.as_ref(),
        &[],
        contextual,
    ));
    objects.extend(primitive(
        "Update",
        a.update.as_ref(),
        b.update.as_ref(),
        &["Stagger"],
        contextual,
    ));
    objects.extend(primitive(
        "Disconnect",
        a.disconnect.as_ref(),
        b.disconnect.as_ref(),
        &[],
        contextual,
    ));
    objects.extend(network_diffs(&a.networks, &b.networks, contextual));
    objects.extend(scaling(a.scaling.as_ref(), b.scaling.as_ref(), contextual));
    objects.extend(service_diffs(&a.services, &b.services, contextual));
    let volumes = |group: &TaskGroup| group.volumes.values().cloned().collect::<Vec<_>>();
    objects.extend(each(
        pairs_by(&volumes(a), &volumes(b), |v| v.name.clone()),
        |old, new| volume(old, new, contextual),
    ));

    let tasks = pairs_by(&a.tasks, &b.tasks, |task| task.name.clone())
        .into_iter()
        .map(|(old, new)| task_diff(old, new, contextual))
        .collect();
    TaskGroupDiff {
        kind: DiffType::of(old.is_some(), new.is_some(), old != new),
        name: if new.is_some() {
            b.name.clone()
        } else {
            a.name.clone()
        },
        fields,
        objects,
        tasks,
        updates: std::collections::BTreeMap::new(),
    }
}

/// Networks have no identity: a changed one is deleted and added.
pub(super) fn network_diffs(
    old: &[NetworkResource],
    new: &[NetworkResource],
    contextual: bool,
) -> Vec<ObjectDiff> {
    let mut diffs: Vec<ObjectDiff> = old
        .iter()
        .filter(|network| !new.contains(network))
        .filter_map(|network| network_diff(Some(network), None, contextual))
        .chain(
            new.iter()
                .filter(|network| !old.contains(network))
                .filter_map(|network| network_diff(None, Some(network), contextual)),
        )
        .collect();
    ObjectDiff::sort(&mut diffs);
    diffs
}

fn network_diff(
    old: Option<&NetworkResource>,
    new: Option<&NetworkResource>,
    contextual: bool,
) -> Option<ObjectDiff> {
    let flat = |network: &NetworkResource| {
        Flat::from([
            ("Mode".to_owned(), network.mode.clone()),
            ("Hostname".to_owned(), network.hostname.clone()),
        ])
    };
    let ports = |network: Option<&NetworkResource>| {
        network
            .map(|network| {
                (
                    network.reserved_ports.clone(),
                    network.dynamic_ports.clone(),
                )
            })
            .unwrap_or_default()
    };
    let ((old_reserved, old_dynamic), (new_reserved, new_dynamic)) = (ports(old), ports(new));
    let mut objects = port_diffs("Static Port", &old_reserved, &new_reserved, contextual);
    objects.extend(port_diffs(
        "Dynamic Port",
        &old_dynamic,
        &new_dynamic,
        contextual,
    ));
    objects.extend(dns_diff(
        old.and_then(|n| n.dns.as_ref()),
        new.and_then(|n| n.dns.as_ref()),
        contextual,
    ));
    objects.extend(cni_diff(
        old.and_then(|n| n.cni.as_ref()),
        new.and_then(|n| n.cni.as_ref()),
        contextual,
    ));
    object("Network", old.map(flat), new.map(flat), objects, contextual)
}

fn port_diffs(name: &str, old: &[Port], new: &[Port], contextual: bool) -> Vec<ObjectDiff> {
    let fixed = name == "Static Port";
    let flat = |port: &Port| {
        let mut flat = Flat::from([
            ("Label".to_owned(), port.label.clone()),
            ("To".to_owned(), port.to.to_string()),
            ("HostNetwork".to_owned(), port.host_network.clone()),
        ]);
        if fixed {
            flat.insert("Value".to_owned(), port.value.to_string());
            flat.insert(
                "IgnoreCollision".to_owned(),
                port.ignore_collision.to_string(),
            );
        }
        flat
    };
    let (before, after): (BTreeSet<Flat>, BTreeSet<Flat>) = (
        old.iter().map(flat).collect(),
        new.iter().map(flat).collect(),
    );
    before
        .difference(&after)
        .filter_map(|port| object(name, Some(port.clone()), None, Vec::new(), contextual))
        .chain(
            after
                .difference(&before)
                .filter_map(|port| object(name, None, Some(port.clone()), Vec::new(), contextual)),
        )
        .collect()
}

fn dns_diff(old: Option<&Dns>, new: Option<&Dns>, contextual: bool) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let lists = |dns: Option<&Dns>| {
        dns.map(|dns| {
            [
                dns.servers.join(","),
                dns.searches.join(","),
                dns.options.join(","),
            ]
        })
    };
    let flat = |lists: [String; 3]| {
        let [servers, searches, options] = lists;
        Flat::from([
            ("Servers".to_owned(), servers),
            ("Searches".to_owned(), searches),
            ("Options".to_owned(), options),
        ])
    };
    object(
        "DNS",
        lists(old).map(flat),
        lists(new).map(flat),
        Vec::new(),
        contextual,
    )
}

fn cni_diff(old: Option<&Cni>, new: Option<&Cni>, contextual: bool) -> Option<ObjectDiff> {
    let flat = |cni: &Cni| flatten(cni, &[], &["Args"]);
    object(
        "CNIConfig",
        old.map(flat),
        new.map(flat),
        Vec::new(),
        contextual,
    )
}

fn scaling(
    old: Option<&ScalingPolicy>,
    new: Option<&ScalingPolicy>,
    contextual: bool,
) -> Option<ObjectDiff> {
    let hidden = [
        "ID",
        "Type",
        "CreateIndex",
        "ModifyIndex",
        "Target",
        "Policy",
    ];
    let flat = |policy: &ScalingPolicy| flatten(policy, &hidden, &[]);
    let deep = |policy: Option<&ScalingPolicy>| {
        policy
            .filter(|policy| !policy.policy.is_empty())
            .map(|policy| flatten_deep(&policy.policy))
    };
    let inner = object("Policy", deep(old), deep(new), Vec::new(), contextual);
    object(
        "Scaling",
        old.map(flat),
        new.map(flat),
        inner.into_iter().collect(),
        contextual,
    )
}

fn volume(
    old: Option<&VolumeRequest>,
    new: Option<&VolumeRequest>,
    contextual: bool,
) -> Option<ObjectDiff> {
    if old == new {
        return None;
    }
    let flat = |volume: &VolumeRequest| flatten(volume, &[], &[]);
    let options =
        |volume: Option<&VolumeRequest>| volume.and_then(|volume| volume.mount_options.clone());
    let (before, after) = (options(old), options(new));
    let option_flat = |options: &crate::job::VolumeMountOptions| {
        flatten(&json!({"FSType": options.fs_type}), &[], &[])
    };
    let flags = |options: Option<&crate::job::VolumeMountOptions>| {
        options.map(|o| o.mount_flags.clone()).unwrap_or_default()
    };
    let flag_diff = strings(
        "MountFlags",
        &flags(before.as_ref()),
        &flags(after.as_ref()),
        contextual,
    );
    let inner = object(
        "MountOptions",
        before.as_ref().map(option_flat),
        after.as_ref().map(option_flat),
        flag_diff.into_iter().collect(),
        contextual,
    );
    object(
        "Volume",
        old.map(flat),
        new.map(flat),
        inner.into_iter().collect(),
        contextual,
    )
}
