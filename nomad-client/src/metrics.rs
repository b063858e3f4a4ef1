//! Measurements under the names that dashboards for Nomad know.
//!
//! Names are given without the prefix `nomad.` and with dots, as the recorder of the agent expects them.

use std::time::Duration;

use metrics::{Label, counter, histogram};
use nomad_core::alloc::{Allocation, ClientStatus};

use crate::runner::Shared;

/// Labels of the node that client metrics carry.
pub(crate) fn node_labels(shared: &Shared) -> Vec<Label> {
    let node = shared.node.load();
    let class = if node.class.is_empty() {
        "none"
    } else {
        &node.class
    };
    vec![
        Label::new("node_id", node.id.clone()),
        Label::new("datacenter", node.datacenter.clone()),
        Label::new("node_class", class.to_owned()),
        Label::new("node_pool", node.pool.clone()),
    ]
}

/// Labels of an allocation and one of its tasks.
pub(crate) fn alloc_labels(alloc: &Allocation, task: &str) -> Vec<Label> {
    let job = alloc.job.as_ref().map(|job| job.name.clone());
    vec![
        Label::new("job", job.unwrap_or_default()),
        Label::new("task_group", alloc.task_group.clone()),
        Label::new("alloc_id", alloc.id.to_string()),
        Label::new("task", task.to_owned()),
        Label::new("namespace", alloc.namespace.to_string()),
    ]
}

/// Counts a change of an allocation's status.
pub(crate) fn alloc_status(alloc: &Allocation, status: ClientStatus) {
    let name = match status {
        ClientStatus::Running => "client.allocs.running",
        ClientStatus::Complete => "client.allocs.complete",
        ClientStatus::Failed => "client.allocs.failed",
        _ => return,
    };
    for task in alloc.allocated_resources.tasks.keys() {
        counter!(name, alloc_labels(alloc, task)).increment(1);
    }
}

/// Counts a restart of a task.
pub(crate) fn restarted(alloc: &Allocation, task: &str) {
    counter!("client.allocs.restart", alloc_labels(alloc, task)).increment(1);
}

/// Counts a task that the kernel killed for want of memory.
pub(crate) fn oom_killed(alloc: &Allocation, task: &str) {
    counter!("client.allocs.oom_killed", alloc_labels(alloc, task)).increment(1);
}

/// Notes how long a hook took and whether it succeeded.
pub(crate) fn task_hook(
    shared: &Shared,
    alloc: &Allocation,
    hook: &'static str,
    took: Duration,
    ok: bool,
) {
    let mut labels = node_labels(shared);
    labels.push(Label::new("namespace", alloc.namespace.to_string()));
    labels.push(Label::from_static_parts("hook_name", hook));
    histogram!("client.task_hook.prestart.elapsed", labels.clone())
        .record(took.as_secs_f64() * 1000.0);
    let name = if ok {
        "client.task_hook.prestart.success"
    } else {
        "client.task_hook.prestart.failed"
    };
    counter!(name, labels).increment(1);
}
