//! What a job's writer should know although the job is good.
//!
//! Source: jobspec.md §5.11; recorded answers of `/v1/validate/job`.

use super::errors::Messages;
use super::{Rules, text};
use crate::spec::{Job, Service, Task, TaskGroup, WorkloadIdentity};

pub(super) fn warnings(job: &Job, rules: &Rules<'_>) -> Messages {
    let mut warnings = Messages::new();
    let groups = job.task_groups.as_deref().unwrap_or_default();
    for group in groups {
        warnings.nest(
            &format!("Group {:?} has warnings", text(group.name.as_ref())),
            &self::group(group),
        );
    }
    if let Some(periodic) = &job.periodic
        && !text(periodic.spec.as_ref()).is_empty()
    {
        warnings
            .add("cron is deprecated and may be removed in a future release. Use crons instead");
    }
    let promotes = |group: &&TaskGroup| {
        group
            .update
            .as_ref()
            .is_some_and(|update| update.auto_promote.unwrap_or_default())
    };
    let canaries = |group: &&TaskGroup| {
        group
            .update
            .as_ref()
            .is_some_and(|update| update.canary.unwrap_or_default() > 0)
    };
    let with_canaries = groups.iter().filter(canaries).count();
    let promoted = groups.iter().filter(canaries).filter(promotes).count();
    if promoted > 0 && promoted < with_canaries {
        warnings.add("auto_promote must be true for all groups to enable automatic promotion");
    }
    for group in groups {
        if lacks_shutdown_delay(group) {
            warnings.add(format!(
                "group {:?} defines services, but neither the group nor any of its tasks have shutdown_delay set",
                text(group.name.as_ref())
            ));
        }
    }
    for group in groups {
        for task in group.tasks.iter().flatten() {
            let most = task
                .resources
                .as_ref()
                .and_then(|resources| resources.memory_max_mb)
                .unwrap_or_default();
            if most != 0 && !rules.memory_oversubscription {
                warnings.add(format!(
                    "Memory oversubscription is not enabled; Task \"{}.{}\" memory_max value will be ignored. Update \
                     the Scheduler Configuration to allow oversubscription.",
                    text(group.name.as_ref()),
                    task.name
                ));
            }
        }
    }
    warnings
}

fn lacks_shutdown_delay(group: &TaskGroup) -> bool {
    let tasks = group.tasks.as_deref().unwrap_or_default();
    let has =
        |services: Option<&Vec<Service>>| services.is_some_and(|services| !services.is_empty());
    let services =
        has(group.services.as_ref()) || tasks.iter().any(|task| has(task.services.as_ref()));
    services
        && group.shutdown_delay.unwrap_or_default().is_zero()
        && tasks.iter().all(|task| task.shutdown_delay.is_zero())
}

fn group(group: &TaskGroup) -> Messages {
    let mut warnings = Messages::new();
    let count = group.count.unwrap_or_default();
    if let Some(parallel) = group.update.as_ref().and_then(|update| update.max_parallel)
        && parallel > count
        && count > 1
    {
        warnings.add(format!(
            "Update max parallel count is greater than task group count ({parallel} > {count}). A destructive change \
             would result in the simultaneous replacement of all allocations."
        ));
    }
    if group
        .networks
        .iter()
        .flatten()
        .any(|network| network.mbits.unwrap_or_default() > 0)
    {
        warnings.add("mbits has been deprecated as of Nomad 0.12.0. Please remove mbits from the network block");
    }
    for service in group.services.iter().flatten() {
        warnings.nest(
            &format!("Service {:?} has warnings", service.name),
            &self::service(service),
        );
    }
    for task in group.tasks.iter().flatten() {
        warnings.nest(
            &format!("Task {:?} has warnings", task.name),
            &self::task(task),
        );
    }
    warnings
}

fn service(service: &Service) -> Messages {
    let mut warnings = Messages::new();
    if let Some(identity) = &service.identity {
        warnings.append(self::identity(identity));
    }
    warnings
}

fn task(task: &Task) -> Messages {
    let mut warnings = Messages::new();
    if let Some(resources) = &task.resources {
        if resources.iops.unwrap_or_default() != 0 {
            warnings.add("IOPS has been deprecated as of Nomad 0.9.0. Please remove IOPS from resource block.");
        }
        let networks = resources.networks.as_deref().unwrap_or_default();
        if !networks.is_empty() {
            warnings.add("task network resources have been deprecated as of Nomad 0.12.0. Please configure networking via group network block.");
        }
        if networks
            .iter()
            .any(|network| network.mbits.unwrap_or_default() > 0)
        {
            warnings.add("mbits has been deprecated as of Nomad 0.12.0. Please remove mbits from the network block");
        }
    }
    for (at, template) in task.templates.iter().flatten().enumerate() {
        if !template.vault_grace.unwrap_or_default().is_zero() {
            warnings.add(format!(
                "Template[{at}] VaultGrace has been deprecated as of Nomad 0.11 and ignored since Vault 0.5. Please \
                 remove VaultGrace / vault_grace from template block."
            ));
        }
    }
    for identity in task.identities.iter().flatten() {
        warnings.nest(
            &format!("Identity[{}] has warnings", identity.name),
            &self::identity(identity),
        );
        if identity.name.starts_with("vault_") && task.vault.is_none() {
            warnings.add(format!(
                "Task has a Vault identity called {} but no vault block",
                identity.name
            ));
        }
    }
    for service in task.services.iter().flatten() {
        warnings.nest(
            &format!("Service {:?} has warnings", service.name),
            &self::service(service),
        );
    }
    warnings
}

fn identity(identity: &WorkloadIdentity) -> Messages {
    let mut warnings = Messages::new();
    match identity.audience.as_ref().map_or(0, Vec::len) {
        0 => warnings.add("identities without an audience are insecure"),
        1 => {}
        _ => warnings.add(
            "while multiple audiences is allowed, it is more secure to use 1 audience per identity",
        ),
    }
    if identity.ttl.is_zero() {
        warnings.add("identities without an expiration are insecure");
    }
    if identity.env && !identity.change_mode.is_empty() && identity.change_mode != "restart" {
        warnings.add(format!(
            "using env=true without change_mode=\"restart\" may result in task not getting updated identity; change_mode is {:?}",
            identity.change_mode
        ));
    }
    warnings
}
