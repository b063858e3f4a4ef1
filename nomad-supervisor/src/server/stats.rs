//! Use of resources by tasks: from their cgroups where they have one, else from `/proc`.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::task::Task;
use crate::sys::{proc, unix_ns};
use crate::types::{CpuStats, MemoryStats, PidStats, TaskStats};

/// Most processes listed for one task.
const MAX_PIDS: usize = 256;
/// After so many tasks others get a turn.
const BATCH: usize = 32;

/// Measures running tasks. Without cgroups the machine's processes are looked through once for all of them.
pub(super) async fn measure(tasks: &[Rc<Task>]) -> Vec<(String, TaskStats)> {
    let needs_sweep = tasks
        .iter()
        .any(|t| t.cgroup.as_ref().is_none_or(|c| c.is_foreign()));
    let sessions = if needs_sweep {
        proc::by_session()
    } else {
        BTreeMap::new()
    };
    let mut all = Vec::with_capacity(tasks.len());
    for (n, task) in tasks.iter().enumerate() {
        if n % BATCH == BATCH - 1 {
            tokio::task::yield_now().await;
        }
        if task.exit().is_none() {
            all.push((task.id().to_owned(), of_task(task, &sessions)));
        }
    }
    all
}

fn of_task(task: &Task, sessions: &BTreeMap<i32, Vec<PidStats>>) -> TaskStats {
    let own = task.cgroup.as_ref().filter(|c| !c.is_foreign());
    let mut pids = match own {
        Some(cgroup) => cgroup
            .pids()
            .unwrap_or_default()
            .into_iter()
            .filter_map(proc::pid_stats)
            .collect(),
        None => sessions.get(&task.pid()).cloned().unwrap_or_default(),
    };
    let cpu = own.and_then(|c| c.cpu());
    let memory = own.and_then(|c| c.memory());
    let rss_bytes = pids.iter().map(|p| p.rss_bytes).sum();
    let stats = TaskStats {
        at_unix_ns: unix_ns(),
        cpu: cpu.unwrap_or_else(|| CpuStats {
            user_ns: pids.iter().map(|p| p.user_ns).sum(),
            system_ns: pids.iter().map(|p| p.system_ns).sum(),
            ..CpuStats::default()
        }),
        memory: memory.unwrap_or(MemoryStats {
            rss_bytes,
            usage_bytes: rss_bytes,
            ..MemoryStats::default()
        }),
        cpu_from_cgroup: cpu.is_some(),
        memory_from_cgroup: memory.is_some(),
        pids: Vec::new(),
    };
    pids.truncate(MAX_PIDS);
    TaskStats { pids, ..stats }
}
