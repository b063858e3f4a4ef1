//! Defaults of task groups.

use super::{DEFAULT_WEIGHT, default};
use crate::spec::{
    EphemeralDisk, Job, MigrateStrategy, NetworkResource, ReschedulePolicy, RestartPolicy,
    ScalingPolicy, Spread, TaskGroup, UpdateStrategy,
};

/// Disk that an allocation gets where the job does not say, in MB.
const DEFAULT_DISK_MB: i64 = 300;

impl TaskGroup {
    /// Fills in the defaults; `job` is canonical but for its groups.
    pub(super) fn canonicalize(&mut self, job: &Job) {
        default(&mut self.name, "");
        if self.count.is_none() {
            self.count = Some(self.scaling.as_ref().and_then(|s| s.min).unwrap_or(1));
        }
        let count = self.count.unwrap_or(1);
        if let Some(scaling) = &mut self.scaling {
            scaling.canonicalize(Some(count));
        }
        self.ephemeral_disk.get_or_insert_default().canonicalize();
        if let Some(consul) = &mut self.consul {
            if consul.cluster.is_empty() {
                "default".clone_into(&mut consul.cluster);
            }
            if consul.namespace.is_empty()
                && let Some(namespace) = &job.consul_namespace
            {
                consul.namespace.clone_from(namespace);
            }
        }
        self.affinities
            .iter_mut()
            .flatten()
            .for_each(|a| default(&mut a.weight, DEFAULT_WEIGHT));
        self.spreads
            .iter_mut()
            .flatten()
            .for_each(Spread::canonicalize);
        self.networks
            .iter_mut()
            .flatten()
            .for_each(NetworkResource::canonicalize);
        self.merge_policies(job);
        if let Some(disconnect) = &mut self.disconnect {
            disconnect.canonicalize();
        }

        let mut services = self.services.take();
        services
            .iter_mut()
            .flatten()
            .for_each(|service| service.canonicalize(job, self, None));
        self.services = services;
        let mut tasks = self.tasks.take();
        tasks
            .iter_mut()
            .flatten()
            .for_each(|task| task.canonicalize(job, self));
        self.tasks = tasks;
    }

    /// Job policies overlaid by the group's, on top of the defaults of the job's type.
    fn merge_policies(&mut self, job: &Job) {
        let job_type = job.type_name();

        if job.update.is_some() || self.update.is_some() {
            let mut update = job.update.clone().unwrap_or_default();
            update.merge(self.update.as_ref().unwrap_or(&UpdateStrategy::default()));
            update.canonicalize();
            self.update = Some(update);
        }

        let mut restart = RestartPolicy::default_policy(job_type);
        restart.merge(
            self.restart_policy
                .as_ref()
                .unwrap_or(&RestartPolicy::default()),
        );
        self.restart_policy = Some(restart);

        let own = [job.reschedule.as_ref(), self.reschedule_policy.as_ref()];
        let mut reschedule = ReschedulePolicy::default_policy(job_type);
        for over in own.into_iter().flatten() {
            reschedule.get_or_insert_default().merge(over);
        }
        if let Some(policy) = &mut reschedule {
            policy.canonicalize_without_default();
        }
        self.reschedule_policy = reschedule;

        if job_type == "service" || job.migrate.is_some() || self.migrate.is_some() {
            let mut migrate = job.migrate.clone().unwrap_or_default();
            migrate.merge(self.migrate.as_ref().unwrap_or(&MigrateStrategy::default()));
            migrate.canonicalize();
            self.migrate = Some(migrate);
        }
    }
}

impl EphemeralDisk {
    fn canonicalize(&mut self) {
        default(&mut self.sticky, false);
        default(&mut self.migrate, false);
        default(&mut self.size_mb, DEFAULT_DISK_MB);
    }
}

impl ScalingPolicy {
    /// Fills in the defaults; a group's policy has the group's count as its least.
    pub(super) fn canonicalize(&mut self, count: Option<i64>) {
        default(&mut self.enabled, true);
        if self.min.is_none() {
            self.min = count;
        }
        if count.is_some() && self.policy_type.is_empty() {
            "horizontal".clone_into(&mut self.policy_type);
        }
    }
}

impl NetworkResource {
    /// A network without ports says so with `null`, not with an empty list.
    pub(super) fn canonicalize(&mut self) {
        for ports in [&mut self.reserved_ports, &mut self.dynamic_ports] {
            if ports.as_ref().is_some_and(Vec::is_empty) {
                *ports = None;
            }
        }
    }
}
