//! Gauges that follow from what the agent holds; they are set when somebody looks.

use metrics::gauge;
use nomad_core::job::Job;
use nomad_state::State;

use super::{AgentBackend, ServerHalf};

/// Sets them all.
pub(super) fn publish(backend: &AgentBackend) {
    if let Some(half) = &backend.server {
        let state = half.state();
        jobs(&state);
        consensus(half, &state);
    }
    process();
}

fn jobs(state: &State) {
    let mut by_status = [0_u64; 3];
    for job in state.jobs() {
        by_status[job.status as usize] += 1;
        summary(state, job);
    }
    for (name, count) in ["pending", "running", "dead"].into_iter().zip(by_status) {
        gauge!(format!("nomad.nomad.job_status.{name}")).set(count as f64);
    }
}

fn summary(state: &State, job: &Job) {
    let Some(summary) = state.job_summary(&job.key()) else {
        return;
    };
    let mut labels = vec![
        ("job", job.id.to_string()),
        ("namespace", job.namespace.to_string()),
    ];
    for (marker, name) in [("/dispatch-", "dispatch_id"), ("/periodic-", "periodic_id")] {
        if let Some((parent, child)) = job.id.as_str().split_once(marker) {
            labels.push(("parent_id", parent.to_owned()));
            labels.push((name, child.to_owned()));
        }
    }
    for (group, counts) in &summary.summary {
        let mut labels = labels.clone();
        labels.push(("task_group", group.clone()));
        for (name, value) in [
            ("queued", counts.queued),
            ("complete", counts.complete),
            ("failed", counts.failed),
            ("running", counts.running),
            ("starting", counts.starting),
            ("lost", counts.lost),
            ("unknown", counts.unknown),
        ] {
            gauge!(format!("nomad.nomad.job_summary.{name}"), &labels).set(value as f64);
        }
    }
}

fn consensus(half: &ServerHalf, state: &State) {
    let index = state.last_index() as f64;
    gauge!("nomad.raft.appliedIndex").set(index);
    gauge!("nomad.raft.lastIndex").set(index);
    gauge!("nomad.state.snapshotIndex").set(index);
    let servers = half.server.known_servers().len();
    gauge!("nomad.raft.peers").set(servers as f64);
    let healthy = half.server.leader_address().is_some();
    gauge!("nomad.nomad.autopilot.healthy").set(f64::from(u8::from(healthy)));
    let tolerance = if healthy {
        servers.saturating_sub(1) / 2
    } else {
        0
    };
    gauge!("nomad.nomad.autopilot.failure_tolerance").set(tolerance as f64);
}

/// What the process uses. The names are those that dashboards know from a runtime with garbage collection; ours has
/// none, so the gauges of that are absent. Tasks of the async runtime stand for its threads of execution.
fn process() {
    // Pages, in the order of proc(5): size, resident.
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = statm.split_whitespace().map(|n| n.parse().unwrap_or(0.0));
    let page = rustix::param::page_size() as f64;
    gauge!("nomad.runtime.sys_bytes").set(pages.next().unwrap_or(0.0) * page);
    gauge!("nomad.runtime.alloc_bytes").set(pages.next().unwrap_or(0.0) * page);
    let tasks = tokio::runtime::Handle::try_current()
        .map_or(0, |runtime| runtime.metrics().num_alive_tasks());
    gauge!("nomad.runtime.num_goroutines").set(tasks as f64);
}
