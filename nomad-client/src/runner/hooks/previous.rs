//! Waits for the allocations that this one replaces or preempted, and takes over the data of the one it replaces.

use std::sync::Arc;

use nomad_core::AllocId;

use super::super::AllocRunner;
use crate::dir::move_disk;

pub(super) async fn run(runner: &Arc<AllocRunner>) -> Result<(), String> {
    let alloc = runner.alloc();
    for id in &alloc.preempted_allocations {
        wait_for(runner, id).await;
    }
    let Some(previous) = alloc.previous_allocation else {
        return Ok(());
    };
    wait_for(runner, &previous).await;
    let group = alloc.group();
    let keeps = group
        .and_then(|group| group.ephemeral_disk.as_ref())
        .is_some_and(|disk| disk.sticky || disk.migrate);
    let Some(before) = runner.shared.runner(&previous).filter(|_| keeps) else {
        return Ok(());
    };
    let tasks: Vec<String> = group
        .map(|group| group.tasks.iter().map(|task| task.name.clone()).collect())
        .unwrap_or_default();
    let (from, to) = (before.dir().clone(), runner.dir.clone());
    let moved = tokio::task::spawn_blocking(move || {
        move_disk(&from, &to, &tasks).or_else(|error| {
            tracing::warn!(%error, "data of the previous allocation is lost");
            to.destroy().and_then(|()| to.build())
        })
    });
    match moved.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Returns when an allocation of this node has no process any more.
async fn wait_for(runner: &Arc<AllocRunner>, id: &AllocId) {
    let Some(other) = runner.shared.runner(id) else {
        return;
    };
    // Its data and its ports are only free when its tasks are cleaned up.
    other.wait_done().await;
}
