//! Measurements under the names that dashboards for Nomad know.
//!
//! Names are whole and have dots, as in the JSON of `/v1/metrics`; times are in milliseconds.

use std::time::{Duration, Instant};

use metrics::{Label, counter, histogram};
use nomad_core::alloc::{Allocation, ClientStatus};

use crate::config::ClientConfig;
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

/// Labels of an allocation and one of its tasks: names, where a child job comes from, meta if that is wanted.
pub(crate) fn alloc_labels(config: &ClientConfig, alloc: &Allocation, task: &str) -> Vec<Label> {
    let mut labels = vec![
        Label::new("task_group", alloc.task_group.clone()),
        Label::new("alloc_id", alloc.id.to_string()),
        Label::new("task", task.to_owned()),
        Label::new("namespace", alloc.namespace.to_string()),
    ];
    let Some(job) = &alloc.job else {
        return labels;
    };
    labels.push(Label::new("job", job.name.clone()));
    for (marker, name) in [("/dispatch-", "dispatch_id"), ("/periodic-", "periodic_id")] {
        if let Some((parent, child)) = job.name.split_once(marker) {
            labels.push(Label::new("parent_id", parent.to_owned()));
            labels.push(Label::new(name, child.to_owned()));
        }
    }
    if config.include_alloc_metadata_in_metrics {
        let allowed = &config.allowed_metadata_keys_in_metrics;
        for (key, value) in job.combined_task_meta(&alloc.task_group, task) {
            if allowed.is_empty() || allowed.contains(&key) {
                labels.push(Label::new(key.replace('-', "_"), value));
            }
        }
    }
    labels
}

/// Measures how long a request of a user takes, from here to its drop.
pub(crate) struct RequestTimer {
    name: &'static str,
    begun: Instant,
}

impl RequestTimer {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            begun: Instant::now(),
        }
    }
}

impl Drop for RequestTimer {
    fn drop(&mut self) {
        histogram!(self.name).record(millis(self.begun.elapsed()));
    }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// Counts a change of an allocation's status.
pub(crate) fn alloc_status(config: &ClientConfig, alloc: &Allocation, status: ClientStatus) {
    let name = match status {
        ClientStatus::Running => "nomad.client.allocs.running",
        ClientStatus::Complete => "nomad.client.allocs.complete",
        ClientStatus::Failed => "nomad.client.allocs.failed",
        _ => return,
    };
    for task in alloc.allocated_resources.tasks.keys() {
        counter!(name, alloc_labels(config, alloc, task)).increment(1);
    }
}

/// Counts a restart of a task.
pub(crate) fn restarted(config: &ClientConfig, alloc: &Allocation, task: &str) {
    counter!(
        "nomad.client.allocs.restart",
        alloc_labels(config, alloc, task)
    )
    .increment(1);
}

/// Counts a task that the kernel killed for want of memory.
pub(crate) fn oom_killed(config: &ClientConfig, alloc: &Allocation, task: &str) {
    counter!(
        "nomad.client.allocs.oom_killed",
        alloc_labels(config, alloc, task)
    )
    .increment(1);
}

/// Notes how long a hook of an allocation took and whether it succeeded.
pub(crate) fn alloc_hook(
    shared: &Shared,
    alloc: &Allocation,
    hook: &'static str,
    took: Duration,
    ok: bool,
) {
    let labels = hook_labels(shared, alloc, hook);
    histogram!("nomad.client.alloc_hook.prerun.elapsed", labels.clone()).record(millis(took));
    let name = if ok {
        "nomad.client.alloc_hook.prerun.success"
    } else {
        "nomad.client.alloc_hook.prerun.failed"
    };
    counter!(name, labels).increment(1);
}

/// Notes how long a hook of a task took and whether it succeeded.
pub(crate) fn task_hook(
    shared: &Shared,
    alloc: &Allocation,
    hook: &'static str,
    took: Duration,
    ok: bool,
) {
    let labels = hook_labels(shared, alloc, hook);
    histogram!("nomad.client.task_hook.prestart.elapsed", labels.clone()).record(millis(took));
    let name = if ok {
        "nomad.client.task_hook.prestart.success"
    } else {
        "nomad.client.task_hook.prestart.failed"
    };
    counter!(name, labels).increment(1);
}

fn hook_labels(shared: &Shared, alloc: &Allocation, hook: &'static str) -> Vec<Label> {
    let mut labels = node_labels(shared);
    labels.push(Label::new("namespace", alloc.namespace.to_string()));
    labels.push(Label::from_static_parts("hook_name", hook));
    labels
}
