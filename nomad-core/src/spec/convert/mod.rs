//! From the submission to the stored shape: every scalar concrete, fields that the server does not keep dropped.
//!
//! The job should be canonical and admitted; what is still unset becomes zero. The only failures are words that the
//! stored shape has no value for, which validation refuses by the same names.
//!
//! Source: jobspec.md §4.1 "conversion", §1.

mod group;
mod service;
mod task;

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Affinity, Constraint, Job, Periodic, Spread};
use crate::job;
use crate::time::Timestamp;

/// A word that stands where only certain words may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {field}: {value:?}")]
pub struct ConvertError {
    /// Which field, in words.
    pub field: &'static str,
    /// What it says.
    pub value: String,
}

impl ConvertError {
    fn new(field: &'static str, value: &str) -> Self {
        Self {
            field,
            value: value.chars().take(128).collect(),
        }
    }
}

/// The scalar, or zero.
fn concrete<T: Default + Clone>(field: &Option<T>) -> T {
    field.clone().unwrap_or_default()
}

/// A free-form map with its keys sorted.
fn any_map(map: Option<BTreeMap<String, Value>>) -> job::AnyMap {
    map.unwrap_or_default().into_iter().collect()
}

fn constraints(list: Option<Vec<Constraint>>) -> Vec<job::Constraint> {
    list.unwrap_or_default()
        .into_iter()
        .map(|c| job::Constraint {
            ltarget: c.ltarget,
            rtarget: c.rtarget,
            operand: c.operand,
        })
        .collect()
}

fn affinities(list: Option<Vec<Affinity>>) -> Vec<job::Affinity> {
    list.unwrap_or_default()
        .into_iter()
        .map(|a| job::Affinity {
            ltarget: a.ltarget,
            rtarget: a.rtarget,
            operand: a.operand,
            weight: a.weight.unwrap_or_default(),
        })
        .collect()
}

fn spreads(list: Option<Vec<Spread>>) -> Vec<job::Spread> {
    list.unwrap_or_default()
        .into_iter()
        .map(|s| job::Spread {
            attribute: s.attribute,
            weight: s.weight.unwrap_or_default(),
            spread_target: s
                .targets
                .unwrap_or_default()
                .into_iter()
                .map(|t| job::SpreadTarget {
                    value: t.value,
                    percent: t.percent,
                })
                .collect(),
        })
        .collect()
}

fn job_type(text: &str) -> Result<job::JobType, ConvertError> {
    Ok(match text {
        "service" | "" => job::JobType::Service,
        "batch" => job::JobType::Batch,
        "system" => job::JobType::System,
        "sysbatch" => job::JobType::Sysbatch,
        "_core" => job::JobType::Core,
        other => return Err(ConvertError::new("job type", other)),
    })
}

fn periodic(periodic: Periodic) -> job::Periodic {
    job::Periodic {
        enabled: concrete(&periodic.enabled),
        spec: concrete(&periodic.spec),
        specs: periodic.specs.unwrap_or_default(),
        spec_type: concrete(&periodic.spec_type),
        prohibit_overlap: concrete(&periodic.prohibit_overlap),
        time_zone: concrete(&periodic.time_zone),
    }
}

impl Job {
    /// The job as the cluster stores it.
    ///
    /// What the server sets itself (status, stability, indexes, times, registrant) starts at zero, apart from the
    /// version, which is kept as sent. Policies of the job that have reached its groups are dropped.
    ///
    /// # Errors
    /// A word that the stored shape has no value for: see [`ConvertError`].
    pub fn into_job(self) -> Result<job::Job, ConvertError> {
        let namespace = concrete(&self.namespace);
        let groups = self
            .task_groups
            .unwrap_or_default()
            .into_iter()
            .map(|group| group.into_group(&namespace))
            .collect::<Result<_, _>>()?;
        // Of the job's own update strategy only these two are kept, and only where updates are rolling.
        let update = self
            .update
            .filter(|update| update.max_parallel.unwrap_or_default() > 0)
            .map(|update| job::UpdateStrategy {
                stagger: concrete(&update.stagger),
                max_parallel: concrete(&update.max_parallel),
                ..job::UpdateStrategy::default()
            })
            .unwrap_or_default();
        Ok(job::Job {
            stop: concrete(&self.stop),
            region: concrete(&self.region),
            namespace: namespace.into(),
            id: concrete(&self.id).into(),
            parent_id: concrete(&self.parent_id).into(),
            name: concrete(&self.name),
            job_type: job_type(self.job_type.as_deref().unwrap_or_default())?,
            priority: i32::try_from(concrete(&self.priority)).unwrap_or(i32::MAX),
            all_at_once: concrete(&self.all_at_once),
            datacenters: self.datacenters.unwrap_or_default(),
            node_pool: concrete(&self.node_pool),
            constraints: constraints(self.constraints),
            affinities: affinities(self.affinities),
            spreads: spreads(self.spreads),
            task_groups: groups,
            update,
            multiregion: self
                .multiregion
                .and_then(|multiregion| serde_json::to_value(multiregion).ok()),
            periodic: self.periodic.map(periodic),
            parameterized_job: self
                .parameterized_job
                .map(|parameterized| job::Parameterized {
                    payload: parameterized.payload,
                    meta_required: parameterized.meta_required.unwrap_or_default(),
                    meta_optional: parameterized.meta_optional.unwrap_or_default(),
                }),
            payload: self.payload.map(|payload| payload.0).unwrap_or_default(),
            meta: self.meta.unwrap_or_default(),
            consul_namespace: String::new(),
            vault_namespace: concrete(&self.vault_namespace),
            version: concrete(&self.version),
            ui: self.ui.map(|ui| job::JobUi {
                description: ui.description,
                links: ui
                    .links
                    .unwrap_or_default()
                    .into_iter()
                    .map(|link| job::JobUiLink {
                        label: link.label,
                        url: link.url,
                    })
                    .collect(),
            }),
            version_tag: self.version_tag.map(|tag| job::JobVersionTag {
                name: tag.name,
                description: tag.description,
                tagged_time: Timestamp(tag.tagged_time),
            }),
            ..job::Job::default()
        })
    }

    /// A stored job in the shape of a submission, as for registering an earlier version again.
    pub fn from_stored(stored: &job::Job) -> Self {
        // The two shapes have the same keys, so their JSON leads from one to the other.
        let value = serde_json::to_value(stored).unwrap_or_default();
        serde_json::from_value(value).unwrap_or_default()
    }
}

impl TryFrom<Job> for job::Job {
    type Error = ConvertError;

    fn try_from(job: Job) -> Result<Self, ConvertError> {
        job.into_job()
    }
}
