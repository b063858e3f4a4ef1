//! Stage A of canonicalization: every nullable scalar gets its default, job policies reach the groups, restart
//! policies merge. Pure; it runs before the server sees the job.
//!
//! Source: jobspec.md §4.1 to §4.3, recorded answers of `/v1/jobs/parse` with and without `Canonicalize`.

mod group;
mod policy;
mod service;
mod task;

use super::{Job, Multiregion, MultiregionStrategy, Periodic, Spread, UpdateStrategy};

/// The region that stands for "wherever the agent is".
pub(crate) const DEFAULT_REGION: &str = "global";
/// The namespace of jobs that name none.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";
/// Priority of jobs that set none.
pub(crate) const DEFAULT_PRIORITY: i64 = 50;
/// Weight of an affinity or spread that sets none.
pub(crate) const DEFAULT_WEIGHT: i8 = 50;

/// Sets `field` unless it is set already.
fn default<T>(field: &mut Option<T>, value: impl Into<T>) {
    if field.is_none() {
        *field = Some(value.into());
    }
}

impl Job {
    /// Fills in every default that does not depend on the server. Doing it twice changes nothing more.
    pub fn canonicalize(&mut self) {
        default(&mut self.id, "");
        if self.name.is_none() {
            self.name = self.id.clone();
        }
        default(&mut self.parent_id, "");
        default(&mut self.namespace, DEFAULT_NAMESPACE);
        default(&mut self.priority, DEFAULT_PRIORITY);
        default(&mut self.stop, false);
        default(&mut self.region, DEFAULT_REGION);
        default(&mut self.node_pool, "");
        default(&mut self.job_type, "service");
        default(&mut self.all_at_once, false);
        default(&mut self.consul_namespace, "");
        default(&mut self.vault_namespace, "");
        default(&mut self.nomad_token_id, "");
        default(&mut self.status, "");
        default(&mut self.status_description, "");
        default(&mut self.stable, false);
        default(&mut self.version, 0_u64);
        default(&mut self.create_index, 0_u64);
        default(&mut self.modify_index, 0_u64);
        default(&mut self.job_modify_index, 0_u64);

        if let Some(periodic) = &mut self.periodic {
            periodic.canonicalize();
        }
        if let Some(multiregion) = &mut self.multiregion {
            multiregion.canonicalize();
        }
        // A batch job that was read from the API carries an update policy of zeros; sent back it still means none.
        if !self.has_deployments() && self.update.as_ref().is_some_and(UpdateStrategy::is_zero) {
            self.update = None;
        }
        if self.update.is_some() || self.has_deployments() {
            self.update.get_or_insert_default().canonicalize_job();
        }
        self.affinities
            .iter_mut()
            .flatten()
            .for_each(|a| default(&mut a.weight, DEFAULT_WEIGHT));
        self.spreads
            .iter_mut()
            .flatten()
            .for_each(Spread::canonicalize);

        let mut groups = self.task_groups.take();
        groups
            .iter_mut()
            .flatten()
            .for_each(|group| group.canonicalize(self));
        self.task_groups = groups;
        if let Some(ui) = &mut self.ui
            && ui.links.as_ref().is_some_and(Vec::is_empty)
        {
            ui.links = None;
        }
    }

    /// The job type, `service` where it is not said.
    pub fn type_name(&self) -> &str {
        self.job_type.as_deref().unwrap_or("service")
    }

    /// Whether jobs of this type have an update policy by default.
    fn has_deployments(&self) -> bool {
        matches!(self.type_name(), "service" | "system")
    }
}

impl Periodic {
    fn canonicalize(&mut self) {
        default(&mut self.enabled, true);
        default(&mut self.spec, "");
        default(&mut self.specs, Vec::new());
        default(&mut self.spec_type, "cron");
        default(&mut self.prohibit_overlap, false);
        if self.time_zone.as_deref().unwrap_or_default().is_empty() {
            self.time_zone = Some("UTC".to_owned());
        }
    }
}

impl Multiregion {
    fn canonicalize(&mut self) {
        let strategy = self.strategy.get_or_insert_default();
        let MultiregionStrategy {
            max_parallel,
            on_failure,
        } = strategy;
        default(max_parallel, 0);
        default(on_failure, "");
        for region in self.regions.get_or_insert_default() {
            default(&mut region.count, 1);
            default(&mut region.datacenters, Vec::new());
            default(&mut region.meta, std::collections::BTreeMap::new());
        }
    }
}

impl Spread {
    fn canonicalize(&mut self) {
        default(&mut self.weight, DEFAULT_WEIGHT);
    }
}
