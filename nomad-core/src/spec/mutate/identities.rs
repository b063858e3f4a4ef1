//! Identities that services and tasks get because they use Consul or Vault.

use super::{ServerDefaults, constraint};
use crate::spec::{Job, Service, Task, TaskGroup, WorkloadIdentity};

/// Adds them, and asks for clients that can sign what they are given.
pub(super) fn add(job: &mut Job, defaults: &ServerDefaults) {
    for group in job.task_groups.iter_mut().flatten() {
        let group_consul = group.consul.is_some();
        for service in group.services.iter_mut().flatten() {
            service_identity(service, None, defaults);
        }
        for task in group.tasks.iter_mut().flatten() {
            let name = task.name.clone();
            for service in task.services.iter_mut().flatten() {
                service_identity(service, Some(&name), defaults);
            }
            consul_identity(task, group_consul, defaults);
            vault_identity(task, defaults);
        }
        if has_identity(group) {
            let wanted = constraint("${attr.nomad.version}", "semver", ">= 1.7.0-a");
            group.constraints.get_or_insert_default().push(wanted);
        }
    }
}

/// Whether a service or task has an identity beside the default one.
fn has_identity(group: &TaskGroup) -> bool {
    let tasks = || group.tasks.iter().flatten();
    let services = group
        .services
        .iter()
        .flatten()
        .chain(tasks().flat_map(|task| task.services.iter().flatten()));
    let mut services = services;
    services.any(|service| service.identity.is_some())
        || tasks().any(|task| {
            task.identities
                .as_ref()
                .is_some_and(|identities| !identities.is_empty())
        })
}

/// A Consul service's identity, its own or the server's, is named after the service.
fn service_identity(service: &mut Service, task: Option<&str>, defaults: &ServerDefaults) {
    if service.provider != "consul" {
        return;
    }
    if service.identity.is_none() {
        service
            .identity
            .clone_from(&defaults.consul_service_identity);
    }
    if let Some(identity) = &mut service.identity {
        let (name, port) = (&service.name, &service.port_label);
        identity.name = match task {
            Some(task) => format!("consul-service_{task}-{name}-{port}"),
            None => format!("consul-service_{name}-{port}"),
        };
        identity.service_name.clone_from(name);
    }
}

/// Adds an identity unless the task has one of that name.
fn add_to(task: &mut Task, name: String, template: &WorkloadIdentity) {
    let identities = task.identities.get_or_insert_default();
    if identities.iter().all(|identity| identity.name != name) {
        identities.push(WorkloadIdentity {
            name,
            ..template.clone()
        });
    }
}

fn consul_identity(task: &mut Task, group_consul: bool, defaults: &ServerDefaults) {
    let Some(template) = &defaults.consul_task_identity else {
        return;
    };
    if task.consul.is_none() && !group_consul {
        return;
    }
    let cluster = task
        .consul
        .as_ref()
        .map_or("default", |consul| &consul.cluster)
        .to_owned();
    add_to(task, format!("consul_{cluster}"), template);
}

fn vault_identity(task: &mut Task, defaults: &ServerDefaults) {
    if let (Some(template), Some(vault)) = (&defaults.vault_identity, &task.vault) {
        let name = format!("vault_{}", vault.cluster);
        add_to(task, name, template);
    }
}
