//! Host statistics, and gauges about the node and its tasks.

use std::sync::Arc;

use metrics::{Label, gauge};
use nomad_core::alloc::{AllocatedResources, ClientStatus};
use nomad_core::task_state::TaskRunState;

use super::{Client, Core};
use crate::host_stats::HostStats;
use crate::metrics::{RequestTimer, alloc_labels, node_labels};

impl Client {
    /// What the host uses now; rates are since the last call or collection.
    pub fn host_stats(&self) -> HostStats {
        let _timer = RequestTimer::new("nomad.client.client_stats.stats");
        self.core.host_stats()
    }
}

impl Core {
    fn host_stats(&self) -> HostStats {
        let now = self.shared.clock.now();
        let mhz = self.shared.ticks_per_percent;
        self.sampler.lock().sample(now, mhz)
    }
}

/// Sets the gauges every collection interval.
pub(super) async fn publish(core: Arc<Core>) {
    let config = &core.shared.config;
    let mut interval = tokio::time::interval(config.collection_interval);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let labels = core.gauge_labels();
        if config.publish_node_metrics {
            host_gauges(&core.host_stats(), &labels);
        }
        core.node_gauges(&labels);
        if config.publish_allocation_metrics {
            core.task_gauges().await;
        }
    }
}

impl Core {
    fn gauge_labels(&self) -> Vec<Label> {
        let node = self.node.load();
        let mut labels = node_labels(&self.shared);
        let registered = *self.registered.borrow();
        let status = if registered { "ready" } else { "initializing" };
        labels.push(Label::from_static_parts("node_status", status));
        labels.push(Label::from_static_parts(
            "node_scheduling_eligibility",
            node.scheduling_eligibility.as_str(),
        ));
        labels
    }

    fn node_gauges(&self, labels: &[Label]) {
        let set = |name: &'static str, value: f64| gauge!(name, labels.to_vec()).set(value);
        let mut counts = [0_u32; 4];
        let mut tasks = [0_u32; 3];
        let (mut cpu, mut memory, mut max_memory, mut disk) = (0, 0, 0, 0);
        for runner in self.shared.runners() {
            let status = runner.client_status();
            let index = match status {
                ClientStatus::Pending | ClientStatus::Unknown => 0,
                ClientStatus::Running => 1,
                _ => 2,
            };
            counts[index] += 1;
            for state in runner.task_states().values() {
                tasks[match state.state {
                    TaskRunState::Pending => 0,
                    TaskRunState::Running => 1,
                    TaskRunState::Dead => 2,
                }] += 1;
            }
            if status.is_terminal() {
                continue;
            }
            let given = sum(&runner.alloc().allocated_resources);
            cpu += given.0;
            memory += given.1;
            max_memory += given.2;
            disk += given.3;
        }
        set("nomad.client.allocations.pending", f64::from(counts[0]));
        set("nomad.client.allocations.running", f64::from(counts[1]));
        set("nomad.client.allocations.terminal", f64::from(counts[2]));
        set("nomad.client.allocations.blocked", 0.0);
        set("nomad.client.allocations.migrating", 0.0);
        set("nomad.client.tasks.pending", f64::from(tasks[0]));
        set("nomad.client.tasks.running", f64::from(tasks[1]));
        set("nomad.client.tasks.dead", f64::from(tasks[2]));
        let node = self.node.load();
        let (has, kept) = (&node.node_resources, &node.reserved_resources);
        for (name, used) in [
            ("nomad.client.allocated.cpu", cpu),
            ("nomad.client.allocated.memory", memory),
            ("nomad.client.allocated.max_memory", max_memory),
            ("nomad.client.allocated.disk", disk),
            (
                "nomad.client.unallocated.cpu",
                has.cpu.cpu_shares - kept.cpu.cpu_shares - cpu,
            ),
            (
                "nomad.client.unallocated.memory",
                has.memory.memory_mb - kept.memory.memory_mb - memory,
            ),
            (
                "nomad.client.unallocated.disk",
                has.disk.disk_mb - kept.disk.disk_mb - disk,
            ),
        ] {
            set(name, used as f64);
        }
    }

    async fn task_gauges(&self) {
        for runner in self.shared.runners() {
            if runner.is_terminal() {
                continue;
            }
            let alloc = runner.alloc();
            for (task, usage) in runner.usage("").await.tasks {
                let labels = alloc_labels(&self.shared.config, &alloc, &task);
                let set = |name: &'static str, value: f64| gauge!(name, labels.clone()).set(value);
                let given = alloc.allocated_resources.tasks.get(&task);
                let (cpu, memory) = given.map_or((0, (0, 0)), |given| {
                    (
                        given.cpu.cpu_shares,
                        (given.memory.memory_mb, given.memory.memory_max_mb),
                    )
                });
                let stats = &usage.resource_usage;
                set("nomad.client.allocs.cpu.allocated", cpu as f64);
                set("nomad.client.allocs.cpu.user", stats.cpu_stats.user_mode);
                set(
                    "nomad.client.allocs.cpu.system",
                    stats.cpu_stats.system_mode,
                );
                set(
                    "nomad.client.allocs.cpu.total_percent",
                    stats.cpu_stats.percent,
                );
                set(
                    "nomad.client.allocs.cpu.total_ticks",
                    stats.cpu_stats.total_ticks,
                );
                set(
                    "nomad.client.allocs.cpu.throttled_time",
                    stats.cpu_stats.throttled_time as f64,
                );
                set(
                    "nomad.client.allocs.cpu.throttled_periods",
                    stats.cpu_stats.throttled_periods as f64,
                );
                const MIB: f64 = 1_048_576.0;
                set(
                    "nomad.client.allocs.memory.allocated",
                    memory.0 as f64 * MIB,
                );
                if memory.1 > 0 {
                    set(
                        "nomad.client.allocs.memory.max_allocated",
                        memory.1 as f64 * MIB,
                    );
                }
                let measured = &stats.memory_stats;
                for (word, name, value) in [
                    ("RSS", "nomad.client.allocs.memory.rss", measured.rss),
                    ("Cache", "nomad.client.allocs.memory.cache", measured.cache),
                    ("Swap", "nomad.client.allocs.memory.swap", measured.swap),
                    ("Usage", "nomad.client.allocs.memory.usage", measured.usage),
                    (
                        "Max Usage",
                        "nomad.client.allocs.memory.max_usage",
                        measured.max_usage,
                    ),
                ] {
                    if measured.measured.iter().any(|known| known == word) {
                        set(name, value as f64);
                    }
                }
            }
        }
    }
}

/// MHz, MiB, MiB at most, MiB of disk.
fn sum(given: &AllocatedResources) -> (i64, i64, i64, i64) {
    let mut total = (0, 0, 0, given.shared.disk_mb);
    for task in given.tasks.values() {
        total.0 += task.cpu.cpu_shares;
        total.1 += task.memory.memory_mb;
        total.2 += task.memory.memory_max_mb.max(task.memory.memory_mb);
    }
    total
}

fn host_gauges(stats: &HostStats, labels: &[Label]) {
    let with = |name: &'static str, extra: Option<(&'static str, &str)>, value: f64| {
        let mut labels = labels.to_vec();
        if let Some((key, value)) = extra {
            labels.push(Label::new(key, value.to_owned()));
        }
        gauge!(name, labels).set(value);
    };
    let memory = &stats.memory;
    with("nomad.client.host.memory.total", None, memory.total as f64);
    with(
        "nomad.client.host.memory.available",
        None,
        memory.available as f64,
    );
    with("nomad.client.host.memory.used", None, memory.used as f64);
    with("nomad.client.host.memory.free", None, memory.free as f64);
    for cpu in &stats.cpu {
        let of = Some(("cpu", cpu.cpu.as_str()));
        with("nomad.client.host.cpu.total", of, cpu.total_percent);
        with("nomad.client.host.cpu.total_percent", of, cpu.total_percent);
        with("nomad.client.host.cpu.total_ticks", of, cpu.total_ticks);
        with("nomad.client.host.cpu.user", of, cpu.user);
        with("nomad.client.host.cpu.system", of, cpu.system);
        with("nomad.client.host.cpu.idle", of, cpu.idle);
    }
    for disk in &stats.disk_stats {
        let of = Some(("disk", disk.device.as_str()));
        with("nomad.client.host.disk.size", of, disk.size as f64);
        with("nomad.client.host.disk.used", of, disk.used as f64);
        with(
            "nomad.client.host.disk.available",
            of,
            disk.available as f64,
        );
        with("nomad.client.host.disk.used_percent", of, disk.used_percent);
        with(
            "nomad.client.host.disk.inodes_percent",
            of,
            disk.inodes_used_percent,
        );
    }
    with("nomad.client.uptime", None, stats.uptime as f64);
}
