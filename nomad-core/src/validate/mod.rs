//! Validation of jobs: every rule, every mistake in one answer, warnings apart.
//!
//! A job is validated in the shape of a submission, canonical and completed by the server
//! ([`crate::spec::Job::mutate`]), because only there can a word that means nothing still be told. Pure: what the
//! cluster knows comes in [`Rules`].
//!
//! Source: jobspec.md §5; recorded answers of `/v1/validate/job`.

mod admit;
mod connect;
mod constraint;
mod cron;
mod dispatch;
mod errors;
mod gateway;
mod group;
mod identity;
mod job;
mod network;
mod policy;
mod resources;
mod service;
mod task;
mod template;
#[cfg(test)]
mod tests;
mod update;
mod volume;
mod warnings;

pub use self::admit::{AdmissionError, Admitted, admit};
pub use self::cron::cron_error;
pub use self::dispatch::{DispatchError, MAX_PAYLOAD_BYTES, check_dispatch};
pub use self::errors::Messages;
pub use self::update::{UpdateError, check_update};

use crate::spec::Job;

/// What the server's configuration and state say about jobs.
pub struct Rules<'a> {
    /// `job_max_priority`.
    pub max_priority: i64,
    /// `job_max_count`; 0 for no limit.
    pub max_count: i64,
    /// Whether tasks may use more memory than they reserve.
    pub memory_oversubscription: bool,
    /// Whether the server has a Vault.
    pub vault_enabled: bool,
    /// The job's namespace, or `None` where there is no such namespace.
    pub namespace: Option<NamespaceRules<'a>>,
    /// Whether the job's node pool exists.
    pub node_pool_exists: bool,
    /// Whether a name is that of a time zone.
    pub is_time_zone: &'a dyn Fn(&str) -> bool,
}

/// What a namespace allows. An empty list of what is enabled enables all; what is disabled is disabled anyway.
#[derive(Debug, Clone, Copy, Default)]
pub struct NamespaceRules<'a> {
    /// Drivers that may be used.
    pub enabled_drivers: &'a [String],
    /// Drivers that may not be used.
    pub disabled_drivers: &'a [String],
    /// Network modes that groups may use.
    pub enabled_network_modes: &'a [String],
    /// Network modes that groups may not use.
    pub disabled_network_modes: &'a [String],
}

impl Default for Rules<'_> {
    fn default() -> Self {
        Self {
            max_priority: 100,
            max_count: 50_000,
            memory_oversubscription: false,
            vault_enabled: false,
            namespace: Some(NamespaceRules::default()),
            node_pool_exists: true,
            is_time_zone: &|_| true,
        }
    }
}

/// What validation found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Why the job is refused; none if it is not.
    pub errors: Messages,
    /// What its writer should know anyway.
    pub warnings: Messages,
}

/// Checks a job that the server has completed.
pub fn validate(job: &Job, rules: &Rules<'_>) -> Report {
    let mut errors = Messages::new();
    // These stop at their own first finding.
    for finding in [
        connect::first_error(job),
        connect::expose_error(job),
        vault_error(job, rules),
        consul_error(job),
    ] {
        errors.require(finding.is_none(), || finding.unwrap_or_default());
    }
    errors.append(namespace_errors(job, rules));
    errors.require(rules.node_pool_exists, || {
        format!(
            "job {:?} is in nonexistent node pool {:?}",
            text(job.id.as_ref()),
            text(job.node_pool.as_ref())
        )
    });
    errors.append(job::errors(job, rules));
    if let Some(error) = numa_error(job) {
        errors.add(error);
    }
    if tasks(job).any(|task| task.schedule.is_some()) {
        errors.add("task schedules require Nomad Enterprise");
    }
    Report {
        errors,
        warnings: warnings::warnings(job, rules),
    }
}

/// The text of an optional field.
fn text(field: Option<&String>) -> &str {
    field.map_or("", String::as_str)
}

fn tasks(job: &Job) -> impl Iterator<Item = &crate::spec::Task> {
    job.task_groups
        .iter()
        .flatten()
        .flat_map(|group| group.tasks.iter().flatten())
}

fn vault_error(job: &Job, rules: &Rules<'_>) -> Option<String> {
    tasks(job)
        .filter_map(|task| task.vault.as_ref())
        .find_map(|vault| {
            if !rules.vault_enabled {
                return Some(format!(
                    "Vault {:?} not enabled but used in the job",
                    vault.cluster
                ));
            }
            if vault.cluster != "default" {
                return Some(format!(
                    "Vault cluster {:?} requires Nomad Enterprise",
                    vault.cluster
                ));
            }
            if !text(vault.namespace.as_ref()).is_empty() {
                return Some("Vault namespaces require Nomad Enterprise".to_owned());
            }
            None
        })
}

fn consul_error(job: &Job) -> Option<String> {
    for group in job.task_groups.iter().flatten() {
        let group_consul = group.consul.as_ref();
        let name = text(group.name.as_ref());
        if let Some(consul) = group_consul.filter(|consul| consul.cluster != "default") {
            return Some(format!(
                "group {name:?}: Consul cluster {:?} requires Nomad Enterprise",
                consul.cluster
            ));
        }
        for task in group.tasks.iter().flatten() {
            let Some(consul) = &task.consul else { continue };
            if consul.cluster != "default" {
                return Some(format!(
                    "task {:?}: Consul cluster {:?} requires Nomad Enterprise",
                    task.name, consul.cluster
                ));
            }
            if let Some(outer) = group_consul
                && !consul.partition.is_empty()
                && !outer.partition.is_empty()
                && consul.partition != outer.partition
            {
                return Some(format!(
                    "task.consul.partition {:?} of task {:?} must match group.consul.partition {:?} if both are set",
                    consul.partition, task.name, outer.partition
                ));
            }
        }
        let services = group.services.iter().chain(
            group
                .tasks
                .iter()
                .flatten()
                .filter_map(|task| task.services.as_ref()),
        );
        for service in services.flatten() {
            if service.provider == "consul" && !matches!(service.cluster.as_str(), "" | "default") {
                return Some(format!(
                    "service {:?}: Consul cluster {:?} requires Nomad Enterprise",
                    service.name, service.cluster
                ));
            }
        }
    }
    None
}

fn numa_error(job: &Job) -> Option<String> {
    let wanted = tasks(job)
        .filter_map(|task| task.resources.as_ref()?.numa.as_ref())
        .any(|numa| matches!(numa.affinity.as_str(), "prefer" | "require"));
    wanted.then(|| "numa scheduling requires Nomad Enterprise".to_owned())
}

fn namespace_errors(job: &Job, rules: &Rules<'_>) -> Messages {
    let mut errors = Messages::new();
    let Some(namespace) = &rules.namespace else {
        errors.add(format!(
            "job {:?} is in nonexistent namespace {:?}",
            text(job.id.as_ref()),
            text(job.namespace.as_ref())
        ));
        return errors;
    };
    let allowed = |enabled: &[String], disabled: &[String], word: &str| {
        (enabled.is_empty() || enabled.iter().any(|item| item == word))
            && !disabled.iter().any(|item| item == word)
    };
    let mut drivers: Vec<&str> = tasks(job)
        .map(|task| task.driver.as_str())
        .filter(|driver| {
            !driver.is_empty()
                && !allowed(
                    namespace.enabled_drivers,
                    namespace.disabled_drivers,
                    driver,
                )
        })
        .collect();
    drivers.sort_unstable();
    drivers.dedup();
    if !drivers.is_empty() {
        errors.add(format!(
            "used task drivers {drivers:?} are not allowed in namespace {:?}",
            text(job.namespace.as_ref())
        ));
    }
    let mut modes: Vec<&str> = job
        .task_groups
        .iter()
        .flatten()
        .flat_map(|group| group.networks.iter().flatten())
        .map(|network| {
            if network.mode.is_empty() {
                "host"
            } else {
                network.mode.as_str()
            }
        })
        .filter(|mode| {
            !allowed(
                namespace.enabled_network_modes,
                namespace.disabled_network_modes,
                mode,
            )
        })
        .collect();
    modes.sort_unstable();
    modes.dedup();
    if !modes.is_empty() {
        errors.add(format!(
            "used group network modes {modes:?} are not allowed in namespace {:?}",
            text(job.namespace.as_ref())
        ));
    }
    errors
}
