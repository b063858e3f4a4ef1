//! Which jobs have to be looked at when a node changes.
//!
//! Source: servers and scheduling reference, "Who creates evals".

use std::collections::BTreeMap;

use nomad_core::eval::{EvalTrigger, Evaluation};
use nomad_core::job::{Job, JobType};
use nomad_core::node::{ALL_NODE_POOL, DEFAULT_NODE_POOL, Node};
use nomad_core::view::ClusterView;
use nomad_core::{JobKey, Timestamp, Uuid};
use nomad_state::State;

/// One evaluation for each job that runs on the node, and for each system job that may.
pub fn for_node(
    state: &State,
    node: &Node,
    now: Timestamp,
    mut fresh: impl FnMut() -> Uuid,
) -> Vec<Evaluation> {
    let mut jobs: BTreeMap<JobKey, (JobType, i32, u64)> = BTreeMap::new();
    for alloc in state.allocs_of_node(node.id) {
        let Some(job) = &alloc.job else { continue };
        let done = match job.job_type {
            JobType::Service => alloc.server_terminal() && alloc.client_terminal(),
            JobType::Batch => alloc.terminal(),
            JobType::Sysbatch => true,
            JobType::System | JobType::Core => false,
        };
        if !done {
            jobs.entry(alloc.job_key())
                .or_insert((job.job_type, job.priority, job.modify_index));
        }
    }
    let system = state
        .jobs()
        .filter(|job| job.job_type == JobType::System && !job.stopped() && may_run_on(job, node));
    for job in system {
        jobs.entry(job.key())
            .or_insert((job.job_type, job.priority, job.modify_index));
    }
    jobs.into_iter()
        .map(|(key, (job_type, priority, _))| Evaluation {
            id: fresh().into(),
            namespace: key.namespace,
            job_id: key.id,
            job_type,
            priority,
            triggered_by: EvalTrigger::NodeUpdate,
            node_id: Some(node.id),
            node_modify_index: node.modify_index,
            create_time: now,
            modify_time: now,
            ..Evaluation::default()
        })
        .collect()
}

/// Whether pool and datacenter of a node fit a job.
fn may_run_on(job: &Job, node: &Node) -> bool {
    let pool = if job.node_pool.is_empty() {
        DEFAULT_NODE_POOL
    } else {
        &job.node_pool
    };
    (pool == ALL_NODE_POOL || pool == node.node_pool)
        && job
            .datacenters
            .iter()
            .any(|pattern| glob(pattern, &node.datacenter))
}

/// Whether a text matches a pattern in which `*` stands for anything.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, expected) in [
            ("dc1", "dc1", true),
            ("dc1", "dc12", false),
            ("*", "", true),
            ("*", "dc1", true),
            ("us-*", "us-east", true),
            ("us-*-1", "us-east-1", true),
            ("us-*-1", "us-east-2", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
