//! Which allocation and which task a command means.

use anyhow::{Context as _, Result, bail};
use nomad_api::client::QueryOptions;
use nomad_core::alloc::Allocation;

use crate::context::Context;
use crate::format::short_id;
use crate::resolve;

/// The allocation of an id or prefix; or, for a job, one of its running ones (the newest of any, if none runs).
pub async fn find(context: &Context, text: &str, is_job: bool, group: &str) -> Result<Allocation> {
    if !is_job {
        let stub = resolve::alloc(context, text).await?;
        return whole(context, &stub.id).await;
    }
    let job = resolve::job(context, text).await?;
    let (mut allocs, _) = context
        .client
        .job_allocations(&job.id, false, &context.in_namespace(&job.namespace))
        .await
        .context("Error querying job allocations")?;
    if !group.is_empty() {
        allocs.retain(|alloc| alloc.task_group == group);
    }
    allocs.sort_by_key(|alloc| {
        std::cmp::Reverse((alloc.client_status == "running", alloc.create_index))
    });
    match allocs.first() {
        Some(alloc) => whole(context, &alloc.id).await,
        None if group.is_empty() => bail!("No allocations found for job {:?}", job.id),
        None => bail!(
            "No allocations found for task group {group:?} of job {:?}",
            job.id
        ),
    }
}

/// The whole allocation of a whole id.
pub async fn whole(context: &Context, id: &str) -> Result<Allocation> {
    Ok(context
        .client
        .allocation(id, &QueryOptions::new())
        .await
        .context("Error querying allocation")?
        .0)
}

/// The task that is meant: the one that was named, or the only one.
pub fn task(alloc: &Allocation, given: &str, verbose: bool) -> Result<String> {
    let id = short_id(&alloc.id.to_string(), verbose);
    let Some(group) = alloc.group() else {
        bail!(
            "Failed to validate task: Allocation {id:?} has no task group {:?}",
            alloc.task_group
        );
    };
    if !given.is_empty() {
        if group.task(given).is_none() {
            bail!(
                "Failed to validate task: Could not find task named: {given}, found:\n{}",
                list(group.tasks.iter().map(|task| task.name.as_str()))
            );
        }
        return Ok(given.to_owned());
    }
    match group.tasks.as_slice() {
        [] => bail!("Failed to validate task: Allocation {id:?} has no tasks"),
        [task] => Ok(task.name.clone()),
        tasks => bail!(
            "Failed to validate task: Allocation {id:?} is running the following tasks:\n{}\n\nPlease specify the task.",
            list(tasks.iter().map(|task| task.name.as_str()))
        ),
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names
        .map(|name| format!("  * {name}"))
        .collect::<Vec<_>>()
        .join("\n")
}
