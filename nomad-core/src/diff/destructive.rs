//! Whether a new version needs new allocations, or old ones can be brought up to it in place.
//!
//! Source: jobspec.md §7.1 and §7.2.

use serde_json::Value;

use crate::job::{Job, NetworkResource, Port, Service, Task, TaskGroup};

/// What a new version of a job asks of a group's running allocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing: the specification is the same.
    None,
    /// To go on under the new version.
    InPlace,
    /// To be replaced; why, in words.
    Destructive(String),
}

impl Change {
    /// Whether new allocations are needed.
    pub const fn is_destructive(&self) -> bool {
        matches!(self, Self::Destructive(_))
    }
}

/// What `new` asks of allocations that run the group `group` of `old`.
///
/// The same specification is told by the same `JobModifyIndex`. A group that one side lacks is a destructive change.
pub fn group_change(old: &Job, new: &Job, group: &str) -> Change {
    if old.job_modify_index == new.job_modify_index {
        return Change::None;
    }
    let (Some(a), Some(b)) = (old.group(group), new.group(group)) else {
        return Change::Destructive("task group added or removed".to_owned());
    };
    match group_reason(a, b).or_else(|| tasks_reason(old, new, a, b)) {
        Some(reason) => Change::Destructive(reason),
        None => Change::InPlace,
    }
}

fn group_reason(a: &TaskGroup, b: &TaskGroup) -> Option<String> {
    let checks = [
        (a.tasks.len() != b.tasks.len(), "number of tasks"),
        (a.ephemeral_disk != b.ephemeral_disk, "ephemeral disk"),
        (networks_differ(&a.networks, &b.networks), "network"),
        (
            consul_differs(a.consul.as_ref(), b.consul.as_ref()),
            "consul",
        ),
        (a.volumes != b.volumes, "volume request"),
        (
            render_templates(a.restart_policy.as_ref())
                != render_templates(b.restart_policy.as_ref()),
            "group restart render_templates",
        ),
    ];
    let simple = checks
        .into_iter()
        .find(|(differs, _)| *differs)
        .map(|(_, what)| format!("{what} changed"));
    simple.or_else(|| connect_reason(&a.services, &b.services))
}

fn render_templates(policy: Option<&crate::job::RestartPolicy>) -> bool {
    policy.is_some_and(|policy| policy.render_templates)
}

/// Only two blocks can differ: a block that comes or goes changes nothing for a running allocation.
fn consul_differs(a: Option<&crate::job::Consul>, b: Option<&crate::job::Consul>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.cluster != b.cluster || a.partition != b.partition,
        _ => false,
    }
}

fn networks_differ(a: &[NetworkResource], b: &[NetworkResource]) -> bool {
    a.len() != b.len() || a.iter().zip(b).any(|(a, b)| network_differs(a, b))
}

fn network_differs(a: &NetworkResource, b: &NetworkResource) -> bool {
    a.mode != b.mode
        || a.mbits != b.mbits
        || a.hostname != b.hostname
        || a.dns != b.dns
        || a.cni != b.cni
        || ports_differ(&a.reserved_ports, &b.reserved_ports, true)
        || ports_differ(&a.dynamic_ports, &b.dynamic_ports, false)
}

/// In order; the number of a dynamic port is the scheduler's.
fn ports_differ(a: &[Port], b: &[Port], fixed: bool) -> bool {
    a.len() != b.len()
        || a.iter().zip(b).any(|(a, b)| {
            a.label != b.label
                || a.to != b.to
                || a.host_network != b.host_network
                || (fixed && a.value != b.value)
        })
}

/// Connect is judged only where the new service of a name that both have uses it.
fn connect_reason(a: &[Service], b: &[Service]) -> Option<String> {
    b.iter().find_map(|new| {
        let connect = new.connect.as_ref()?;
        let old = a.iter().find(|old| old.name == new.name)?;
        let reason =
            |what: &str| Some(format!("connect of service {:?}: {what} changed", new.name));
        let Some(before) = &old.connect else {
            return Some(format!("connect of service {:?} added", new.name));
        };
        for (pointer, what) in [
            ("/Native", "native"),
            ("/Gateway", "gateway"),
            ("/SidecarTask", "sidecar task"),
            ("/SidecarService/Port", "sidecar port"),
        ] {
            if member(before, pointer) != member(connect, pointer) {
                return reason(what);
            }
        }
        if old.port_label != new.port_label {
            return reason("service port");
        }
        if old.cluster != new.cluster {
            return reason("cluster");
        }
        None
    })
}

/// A member of a document; one that is absent is null.
fn member<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

fn tasks_reason(old: &Job, new: &Job, a: &TaskGroup, b: &TaskGroup) -> Option<String> {
    a.tasks.iter().find_map(|before| {
        let Some(after) = b.task(&before.name) else {
            return Some(format!("task {:?} removed or renamed", before.name));
        };
        let what = task_difference(before, after).or_else(|| {
            let meta =
                |job: &Job, group: &TaskGroup| job.combined_task_meta(&group.name, &before.name);
            (meta(old, a) != meta(new, b)).then_some("meta")
        })?;
        Some(format!("task {:?} {what} changed", before.name))
    })
}

fn task_difference(a: &Task, b: &Task) -> Option<&'static str> {
    let (ra, rb) = (&a.resources, &b.resources);
    let logs_disabled = |task: &Task| task.log_config.as_ref().is_some_and(|logs| logs.disabled);
    let checks = [
        (a.driver != b.driver, "driver"),
        (a.user != b.user, "user"),
        (a.config != b.config, "config"),
        (a.env != b.env, "env"),
        (a.artifacts != b.artifacts, "artifacts"),
        (a.vault != b.vault, "vault"),
        (a.secrets != b.secrets, "secrets"),
        (
            consul_differs(a.consul.as_ref(), b.consul.as_ref()),
            "consul",
        ),
        (a.templates != b.templates, "templates"),
        (
            a.csi_plugin_config != b.csi_plugin_config,
            "csi plugin config",
        ),
        (a.volume_mounts != b.volume_mounts, "volume mounts"),
        (networks_differ(&ra.networks, &rb.networks), "networks"),
        (ra.cpu != rb.cpu, "cpu"),
        (ra.cores != rb.cores, "cores"),
        (ra.memory_mb != rb.memory_mb, "memory"),
        (ra.memory_max_mb != rb.memory_max_mb, "memory max"),
        (ra.devices != rb.devices, "devices"),
        (ra.numa != rb.numa, "numa"),
        (ra.secrets_mb != rb.secrets_mb, "secrets size"),
        (
            a.identity != b.identity || a.identities != b.identities,
            "identities",
        ),
        (
            render_templates(a.restart_policy.as_ref())
                != render_templates(b.restart_policy.as_ref()),
            "restart render_templates",
        ),
        (logs_disabled(a) != logs_disabled(b), "logs disabled"),
    ];
    checks
        .into_iter()
        .find(|(differs, _)| *differs)
        .map(|(_, what)| what)
}
