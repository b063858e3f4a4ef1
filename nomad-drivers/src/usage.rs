//! Use of resources as the API shows it.

use std::collections::BTreeMap;

use nomad_core::Timestamp;
use nomad_supervisor::{PidStats, TaskStats};
use serde::{Deserialize, Serialize};

/// Memory. All figures in bytes; only those named in `measured` mean anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MemoryStats {
    /// Resident set.
    #[serde(rename = "RSS")]
    pub rss: u64,
    /// Page cache.
    pub cache: u64,
    /// Swap.
    pub swap: u64,
    /// Mapped files.
    pub mapped_file: u64,
    /// All that is charged.
    pub usage: u64,
    /// Highest usage.
    pub max_usage: u64,
    /// Kernel memory.
    pub kernel_usage: u64,
    /// Highest kernel memory.
    pub kernel_max_usage: u64,
    /// Names of the figures that are measured.
    pub measured: Vec<String>,
}

/// CPU. Only what is named in `measured` means anything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CpuStats {
    /// Percent of a core, in the kernel.
    pub system_mode: f64,
    /// Percent of a core, in user mode.
    pub user_mode: f64,
    /// MHz.
    pub total_ticks: f64,
    /// Periods in which it was throttled.
    pub throttled_periods: u64,
    /// For how long, nanoseconds.
    pub throttled_time: u64,
    /// Percent of a core.
    pub percent: f64,
    /// Names of the figures that are measured.
    pub measured: Vec<String>,
}

/// Memory and CPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ResourceUsage {
    /// Memory.
    pub memory_stats: MemoryStats,
    /// CPU.
    pub cpu_stats: CpuStats,
    /// Devices; `None` where there are none.
    pub device_stats: Option<Vec<serde_json::Value>>,
}

/// One task's use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskResourceUsage {
    /// Of the whole task.
    pub resource_usage: ResourceUsage,
    /// When it was measured, nanoseconds since 1970.
    pub timestamp: Timestamp,
    /// Of each process.
    pub pids: BTreeMap<String, ResourceUsage>,
}

/// An earlier measurement, to compute percentages from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    at_unix_ns: i64,
    whole: (u64, u64),
    pids: Vec<PidStats>,
}

impl Sample {
    /// Turns a measurement into usage since this one, and takes its place. The first gives 0 percent.
    pub(crate) fn advance(
        &mut self,
        stats: TaskStats,
        ticks_per_percent: f64,
    ) -> TaskResourceUsage {
        let elapsed_ns = (stats.at_unix_ns - self.at_unix_ns).max(0) as f64;
        let first = self.at_unix_ns == 0;
        let percent = |now: u64, before: u64| {
            if first || elapsed_ns == 0.0 {
                0.0
            } else {
                now.saturating_sub(before) as f64 * 100.0 / elapsed_ns
            }
        };
        let cpu = |user: u64, system: u64, before: (u64, u64), throttled: Option<(u64, u64)>| {
            let (user, system) = (percent(user, before.0), percent(system, before.1));
            let measured: &[&str] = match throttled {
                Some(_) => &[
                    "System Mode",
                    "User Mode",
                    "Throttled Periods",
                    "Throttled Time",
                    "Percent",
                ],
                None => &["System Mode", "User Mode", "Percent"],
            };
            CpuStats {
                system_mode: system,
                user_mode: user,
                total_ticks: (user + system) * ticks_per_percent,
                throttled_periods: throttled.map_or(0, |t| t.0),
                throttled_time: throttled.map_or(0, |t| t.1),
                percent: user + system,
                measured: names(measured),
            }
        };
        let whole = (stats.cpu.user_ns, stats.cpu.system_ns);
        let throttled = stats
            .cpu_from_cgroup
            .then_some((stats.cpu.throttled_periods, stats.cpu.throttled_ns));
        let memory = if stats.memory_from_cgroup {
            MemoryStats {
                rss: stats.memory.rss_bytes,
                cache: stats.memory.cache_bytes,
                swap: stats.memory.swap_bytes,
                usage: stats.memory.usage_bytes,
                max_usage: stats.memory.max_usage_bytes,
                measured: names(&["Cache", "RSS", "Swap", "Usage"]),
                ..MemoryStats::default()
            }
        } else {
            resident(stats.memory.rss_bytes)
        };
        let pids = stats.pids.iter().map(|pid| {
            let before = self
                .pids
                .iter()
                .find(|p| p.pid == pid.pid)
                .map_or((0, 0), |p| (p.user_ns, p.system_ns));
            let usage = ResourceUsage {
                memory_stats: resident(pid.rss_bytes),
                cpu_stats: cpu(pid.user_ns, pid.system_ns, before, None),
                device_stats: None,
            };
            (pid.pid.to_string(), usage)
        });
        let usage = TaskResourceUsage {
            resource_usage: ResourceUsage {
                memory_stats: memory,
                cpu_stats: cpu(whole.0, whole.1, self.whole, throttled),
                device_stats: None,
            },
            timestamp: Timestamp(stats.at_unix_ns),
            pids: pids.collect(),
        };
        *self = Self {
            at_unix_ns: stats.at_unix_ns,
            whole,
            pids: stats.pids,
        };
        usage
    }
}

fn resident(rss: u64) -> MemoryStats {
    MemoryStats {
        rss,
        measured: names(&["RSS", "Swap"]),
        ..MemoryStats::default()
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_come_from_two_measurements() {
        let mut sample = Sample::default();
        let pid = PidStats {
            pid: 7,
            user_ns: 1_000,
            system_ns: 0,
            rss_bytes: 4096,
        };
        let mut stats = TaskStats {
            at_unix_ns: 1_000_000_000,
            pids: vec![pid],
            ..TaskStats::default()
        };
        stats.cpu.user_ns = 500_000_000;
        stats.memory.rss_bytes = 4096;
        let first = sample.advance(stats.clone(), 24.0);
        assert_eq!(first.resource_usage.cpu_stats.percent, 0.0);
        stats.at_unix_ns += 1_000_000_000;
        stats.cpu.user_ns += 250_000_000;
        stats.cpu.system_ns += 250_000_000;
        stats.pids[0].user_ns += 100_000_000;
        let second = sample.advance(stats, 24.0);
        let cpu = &second.resource_usage.cpu_stats;
        assert_eq!(
            (cpu.user_mode, cpu.system_mode, cpu.percent, cpu.total_ticks),
            (25.0, 25.0, 50.0, 1200.0)
        );
        assert_eq!(cpu.measured, ["System Mode", "User Mode", "Percent"]);
        assert_eq!(second.pids["7"].cpu_stats.percent, 10.0);
        assert_eq!(second.resource_usage.memory_stats.measured, ["RSS", "Swap"]);
    }
}
