//! What the host uses: memory, processors, disks.
//!
//! Source: client and drivers reference, section 1.9; HTTP API reference, appendix A.4 "HostStats".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nomad_core::Timestamp;
use serde::Serialize;

use crate::fingerprint::{disk_usage, meminfo, mounts};

/// File systems without a disk of their own.
const REAL_DISKS: &str = "/dev/";

/// What the host uses, in the shape of the API.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostStats {
    /// Memory.
    pub memory: HostMemory,
    /// Each processor.
    #[serde(rename = "CPU")]
    pub cpu: Vec<HostCpu>,
    /// Each disk.
    pub disk_stats: Vec<HostDisk>,
    /// The disk of the allocation directories.
    pub alloc_dir_stats: HostDisk,
    /// No devices are measured.
    pub device_stats: Option<Vec<serde_json::Value>>,
    /// Seconds since the machine was started.
    pub uptime: u64,
    /// MHz used by all.
    #[serde(rename = "CPUTicksConsumed")]
    pub cpu_ticks_consumed: f64,
    /// When it was measured.
    pub timestamp: Timestamp,
}

/// Memory of the host, bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostMemory {
    pub total: u64,
    pub available: u64,
    pub used: u64,
    pub free: u64,
}

/// One processor: percent of its time since the last measurement.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostCpu {
    #[serde(rename = "CPU")]
    pub cpu: String,
    pub user: f64,
    pub system: f64,
    pub idle: f64,
    pub total_percent: f64,
    /// MHz.
    pub total_ticks: f64,
}

/// One disk, bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostDisk {
    pub device: String,
    pub mountpoint: String,
    pub size: u64,
    pub used: u64,
    pub available: u64,
    pub used_percent: f64,
    pub inodes_used_percent: f64,
}

/// Times of a processor since the machine was started, in the kernel's unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Times {
    user: u64,
    system: u64,
    idle: u64,
    total: u64,
}

/// Remembers the last measurement, since rates need two.
#[derive(Debug)]
pub(crate) struct HostSampler {
    alloc_dir: PathBuf,
    last: BTreeMap<String, Times>,
}

impl HostSampler {
    pub(crate) fn new(alloc_dir: &Path) -> Self {
        Self {
            alloc_dir: alloc_dir.to_owned(),
            last: parse_stat(&read("/proc/stat")).into_iter().collect(),
        }
    }

    /// Measures. `mhz_per_percent` is what one percent of a processor stands for.
    pub(crate) fn sample(&mut self, now: Timestamp, mhz_per_percent: f64) -> HostStats {
        let memory = memory(&read("/proc/meminfo"));
        let times = parse_stat(&read("/proc/stat"));
        let mut cpu = Vec::with_capacity(times.len());
        for (name, now) in &times {
            let before = self.last.get(name).copied().unwrap_or_default();
            cpu.push(rates(name, before, *now, mhz_per_percent));
        }
        self.last = times.into_iter().collect();
        HostStats {
            cpu_ticks_consumed: cpu.iter().map(|cpu| cpu.total_ticks).sum(),
            memory,
            cpu,
            disk_stats: disks(),
            alloc_dir_stats: holder(&self.alloc_dir),
            device_stats: None,
            uptime: read("/proc/uptime")
                .split('.')
                .next()
                .and_then(|secs| secs.parse().ok())
                .unwrap_or(0),
            timestamp: now,
        }
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn memory(text: &str) -> HostMemory {
    let field = |name: &str| u64::try_from(meminfo(text, name)).unwrap_or(0);
    let (total, free) = (field("MemTotal"), field("MemFree"));
    let kept = field("Buffers") + field("Cached") + field("SReclaimable");
    HostMemory {
        total,
        available: field("MemAvailable"),
        used: total.saturating_sub(free).saturating_sub(kept),
        free,
    }
}

/// The lines `cpuN` of `/proc/stat`.
fn parse_stat(text: &str) -> Vec<(String, Times)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let name = fields.next()?;
            let number = name.strip_prefix("cpu")?;
            if number.is_empty() {
                return None;
            }
            // user nice system idle iowait irq softirq steal; guests are in user already.
            let t: Vec<u64> = fields.take(8).filter_map(|n| n.parse().ok()).collect();
            let at = |index: usize| t.get(index).copied().unwrap_or(0);
            let times = Times {
                user: at(0) + at(1),
                system: at(2) + at(5) + at(6),
                idle: at(3) + at(4),
                total: t.iter().sum(),
            };
            Some((name.to_owned(), times))
        })
        .collect()
}

fn rates(name: &str, before: Times, now: Times, mhz_per_percent: f64) -> HostCpu {
    let span = now.total.saturating_sub(before.total);
    let percent = |now: u64, before: u64| {
        if span == 0 {
            0.0
        } else {
            now.saturating_sub(before) as f64 / span as f64 * 100.0
        }
    };
    let idle = percent(now.idle, before.idle);
    let total_percent = if span == 0 { 0.0 } else { 100.0 - idle };
    HostCpu {
        cpu: name.to_owned(),
        user: percent(now.user, before.user),
        system: percent(now.system, before.system),
        idle,
        total_percent,
        total_ticks: total_percent * mhz_per_percent,
    }
}

/// Each disk once, at the first place where it is mounted.
fn disks() -> Vec<HostDisk> {
    let mut seen = std::collections::BTreeSet::new();
    mounts()
        .into_iter()
        .filter(|mount| mount.source.starts_with(REAL_DISKS) && mount.kind != "squashfs")
        .filter(|mount| seen.insert(mount.source.clone()))
        .map(|mount| disk(Path::new(&mount.point), &mount.source, &mount.point))
        .collect()
}

/// The disk that holds a path: the mount nearest above it.
fn holder(path: &Path) -> HostDisk {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mounts = mounts();
    // Of two mounts at one place the later one is seen.
    let nearest = mounts
        .iter()
        .filter(|mount| real.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.len());
    nearest.map_or_else(
        || disk(path, "", ""),
        |mount| disk(path, &mount.source, &mount.point),
    )
}

fn disk(path: &Path, device: &str, mountpoint: &str) -> HostDisk {
    let usage = disk_usage(path).unwrap_or_default();
    HostDisk {
        device: device.to_owned(),
        mountpoint: mountpoint.to_owned(),
        size: usage.size,
        used: usage.used,
        available: usage.available,
        used_percent: usage.used_percent,
        inodes_used_percent: usage.inodes_used_percent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_of_a_path_is_the_mount_above_it() {
        let here = holder(&std::env::temp_dir());
        assert!(!here.device.is_empty() && !here.mountpoint.is_empty());
        assert!(
            std::env::temp_dir().starts_with(&here.mountpoint),
            "{}",
            here.mountpoint
        );
        assert_eq!(holder(Path::new("/proc/self")).mountpoint, "/proc");
    }

    #[test]
    fn rates_come_from_two_measurements() {
        let before = parse_stat("cpu  9 9 9 9\ncpu0 100 0 50 850 0 0 0 0 0 0\n");
        let now = parse_stat("cpu  9 9 9 9\ncpu0 130 0 60 910 0 0 0 0 0 0\nintr 5\n");
        assert_eq!(before.len(), 1);
        let cpu = rates("cpu0", before[0].1, now[0].1, 25.0);
        assert_eq!((cpu.user, cpu.system, cpu.idle), (30.0, 10.0, 60.0));
        assert_eq!((cpu.total_percent, cpu.total_ticks), (40.0, 1000.0));
    }

    #[test]
    fn this_machine_is_measured() {
        let mut sampler = HostSampler::new(Path::new("/tmp"));
        let stats = sampler.sample(Timestamp(1), 20.0);
        assert!(stats.memory.total > stats.memory.free);
        assert!(!stats.cpu.is_empty());
        assert!(stats.alloc_dir_stats.size > 0);
        assert!(stats.uptime > 0);
        let json = serde_json::to_value(&stats).unwrap();
        for key in [
            "AllocDirStats",
            "CPU",
            "CPUTicksConsumed",
            "DeviceStats",
            "DiskStats",
            "Memory",
            "Timestamp",
            "Uptime",
        ] {
            assert!(json.get(key).is_some(), "{key}");
        }
    }
}
