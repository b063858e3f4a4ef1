//! Ids of scaling policies: a policy keeps its id from version to version.
//!
//! Source: jobspec.md §3.6, step 8.

use std::collections::BTreeMap;

use crate::ids::IdSource;
use crate::job::{Job, ScalingPolicy};

/// A policy's kind, group and task.
type Key = (String, String, Option<String>);

fn policies(job: &Job) -> impl Iterator<Item = (Key, &ScalingPolicy)> {
    job.task_groups.iter().flat_map(|group| {
        let own = group
            .scaling
            .iter()
            .map(|policy| ((policy.kind.clone(), group.name.clone(), None), policy));
        let tasks = group.tasks.iter().flat_map(|task| {
            task.scaling_policies.iter().map(|policy| {
                let key = (
                    policy.kind.clone(),
                    group.name.clone(),
                    Some(task.name.clone()),
                );
                (key, policy)
            })
        });
        own.chain(tasks)
    })
}

/// Gives every scaling policy of `job` the id of the policy of the same kind, group and task in `before`, or a fresh
/// one.
pub fn assign_scaling_ids(job: &mut Job, before: Option<&Job>, ids: &mut dyn IdSource) {
    let known: BTreeMap<Key, String> = before
        .into_iter()
        .flat_map(policies)
        .filter(|(_, policy)| !policy.id.is_empty())
        .map(|(key, policy)| (key, policy.id.clone()))
        .collect();
    let mut assign = |policy: &mut ScalingPolicy, group: &str, task: Option<&str>| {
        let key = (
            policy.kind.clone(),
            group.to_owned(),
            task.map(str::to_owned),
        );
        policy.id = known
            .get(&key)
            .cloned()
            .unwrap_or_else(|| ids.next_uuid().to_string());
    };
    for group in &mut job.task_groups {
        let name = group.name.clone();
        if let Some(policy) = &mut group.scaling {
            assign(policy, &name, None);
        }
        for task in &mut group.tasks {
            let task_name = task.name.clone();
            for policy in &mut task.scaling_policies {
                assign(policy, &name, Some(&task_name));
            }
        }
    }
}
