//! The server's own defaults.

use std::collections::BTreeMap;

use super::ServerDefaults;
use crate::spec::{Job, NetworkResource, Service, Task, TaskGroup, WorkloadIdentity};
use crate::time::Nanos;

/// Audience of the identity that every task has.
const DEFAULT_AUDIENCE: &str = "nomadproject.io";
/// Name of that identity.
const DEFAULT_IDENTITY: &str = "default";
/// How long a task has to end by itself where 0 was sent.
const KILL_TIMEOUT: Nanos = Nanos::secs(5);

impl Job {
    pub(super) fn canonicalize_on_server(&mut self, defaults: &ServerDefaults) {
        if self.namespace.as_deref().unwrap_or_default().is_empty() {
            self.namespace = Some("default".to_owned());
        }
        if self.priority.unwrap_or_default() == 0 {
            self.priority = Some(defaults.priority);
        }
        if self.datacenters.as_ref().is_none_or(Vec::is_empty) {
            self.datacenters = Some(vec!["*".to_owned()]);
        }
        if let Some(parameterized) = &mut self.parameterized_job
            && parameterized.payload.is_empty()
        {
            "optional".clone_into(&mut parameterized.payload);
        }
        let (namespace, id) = (
            self.namespace.clone().unwrap_or_default(),
            self.id.clone().unwrap_or_default(),
        );
        let name = self.name.clone().unwrap_or_default();
        for group in self.task_groups.iter_mut().flatten() {
            group.canonicalize_on_server(&namespace, &id, &name);
        }
    }
}

impl TaskGroup {
    fn canonicalize_on_server(&mut self, namespace: &str, job_id: &str, job_name: &str) {
        let group = self.name.clone().unwrap_or_default();
        let target = |task: Option<&str>| {
            let mut target = BTreeMap::from([
                ("Namespace".to_owned(), namespace.to_owned()),
                ("Job".to_owned(), job_id.to_owned()),
                ("Group".to_owned(), group.clone()),
            ]);
            target.extend(task.map(|task| ("Task".to_owned(), task.to_owned())));
            Some(target)
        };
        if let Some(scaling) = &mut self.scaling {
            scaling.target = target(None);
        }
        self.networks
            .iter_mut()
            .flatten()
            .for_each(default_host_network);
        for service in self.services.iter_mut().flatten() {
            service.canonicalize_on_server(job_name, &group, None);
        }
        for task in self.tasks.iter_mut().flatten() {
            for policy in task.scaling_policies.iter_mut().flatten() {
                policy.target = target(Some(&task.name));
            }
            task.canonicalize_on_server(job_name, &group);
        }
    }
}

fn default_host_network(network: &mut NetworkResource) {
    for port in network
        .reserved_ports
        .iter_mut()
        .chain(&mut network.dynamic_ports)
        .flatten()
    {
        if port.host_network.is_empty() {
            "default".clone_into(&mut port.host_network);
        }
    }
}

impl Task {
    fn canonicalize_on_server(&mut self, job_name: &str, group: &str) {
        if self.kill_timeout.unwrap_or_default().is_zero() {
            self.kill_timeout = Some(KILL_TIMEOUT);
        }
        if let Some(vault) = &mut self.vault {
            if vault.change_mode.as_deref().unwrap_or_default().is_empty() {
                vault.change_mode = Some("restart".to_owned());
            }
            vault
                .change_signal
                .iter_mut()
                .for_each(|signal| *signal = signal.to_uppercase());
        }
        for template in self.templates.iter_mut().flatten() {
            template
                .change_signal
                .iter_mut()
                .for_each(|signal| *signal = signal.to_uppercase());
        }
        let networks = self
            .resources
            .iter_mut()
            .flat_map(|resources| resources.networks.iter_mut().flatten());
        networks.for_each(default_host_network);
        for service in self.services.iter_mut().flatten() {
            service.canonicalize_on_server(job_name, group, Some(&self.name));
        }
        self.settle_identities();
    }

    /// The identity named default stands apart from the others and is there always; of several the last stays.
    fn settle_identities(&mut self) {
        let mut others = Vec::new();
        for identity in self.identities.take().unwrap_or_default() {
            if matches!(identity.name.as_str(), "" | DEFAULT_IDENTITY) {
                self.identity = Some(identity);
            } else {
                others.push(identity);
            }
        }
        for identity in &mut others {
            identity.change_signal = identity.change_signal.to_uppercase();
        }
        if !others.is_empty() {
            self.identities = Some(others);
        }
        let default: &mut WorkloadIdentity = self.identity.get_or_insert_default();
        DEFAULT_IDENTITY.clone_into(&mut default.name);
        default.audience = Some(vec![DEFAULT_AUDIENCE.to_owned()]);
        default.change_signal = default.change_signal.to_uppercase();
    }
}

impl Service {
    /// `task` is the owner of a task's service; a group's service counts as the task "group" in names.
    fn canonicalize_on_server(&mut self, job: &str, group: &str, task: Option<&str>) {
        let owner = task.unwrap_or("group");
        self.name = self
            .name
            .replace("${JOB}", job)
            .replace("${TASKGROUP}", group)
            .replace("${TASK}", owner)
            .replace("${BASE}", &format!("{job}-{group}-{owner}"));
        if let Some(task) = task {
            task.clone_into(&mut self.task_name);
        }
        for check in self.checks.iter_mut().flatten() {
            if check.name.is_empty() {
                check.name = format!("service: {:?} check", self.name);
            }
            if check.on_update.is_empty() {
                check.on_update.clone_from(&self.on_update);
            }
            if task.is_some() {
                check.task_name.clone_from(&self.task_name);
            }
        }
    }
}
