//! One task's cgroup: limits, killing, removing, statistics.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::types::{CpuStats, Limits, MemoryStats};

/// A task's cgroup by its absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskCgroup {
    path: PathBuf,
    foreign: bool,
}

impl TaskCgroup {
    /// A cgroup that exists. A foreign one is only joined.
    pub fn new(path: PathBuf, foreign: bool) -> Self {
        Self { path, foreign }
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it belongs to somebody else.
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// An open directory, to start processes in.
    pub fn open_dir(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(&self.path, flags, Mode::empty())?)
    }

    /// Writes limits. Returns in words what could not be written.
    pub fn limit(&self, limits: &Limits) -> Vec<String> {
        let files = [
            (
                "cpu.weight",
                limits.cpu_weight.map(|w| w.clamp(1, 10_000).to_string()),
            ),
            ("memory.max", limits.memory_max_bytes.map(|b| b.to_string())),
            ("memory.low", limits.memory_low_bytes.map(|b| b.to_string())),
            ("memory.oom.group", limits.oom_group.then(|| "1".to_owned())),
            ("cpuset.cpus", limits.cpuset_cpus.clone()),
            ("pids.max", limits.pids_max.map(|n| n.to_string())),
        ];
        files
            .into_iter()
            .filter_map(|(file, value)| {
                let error = fs::write(self.path.join(file), value?).err()?;
                Some(format!("{file} cannot be set: {error}"))
            })
            .collect()
    }

    /// Kills every process in it, also those that fork meanwhile. Kernels before 5.14 have no `cgroup.kill`; there
    /// the processes are signalled one by one until none is left.
    pub fn kill(&self) -> io::Result<()> {
        match fs::write(self.path.join("cgroup.kill"), "1") {
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.path.exists() => self.kill_each(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn kill_each(&self) -> io::Result<()> {
        const MAX_SWEEPS: usize = 50;
        for _ in 0..MAX_SWEEPS {
            let pids = self.pids()?;
            if pids.is_empty() {
                break;
            }
            for pid in pids.into_iter().filter_map(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        Ok(())
    }

    /// The processes in it.
    pub fn pids(&self) -> io::Result<Vec<i32>> {
        let text = fs::read_to_string(self.path.join("cgroup.procs"))?;
        Ok(text
            .lines()
            .filter_map(|l| l.parse().ok())
            .filter(|p| *p > 0)
            .collect())
    }

    /// Removes the directory. `Ok(false)` while processes are in it.
    pub fn remove(&self) -> io::Result<bool> {
        match fs::remove_dir(&self.path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// How many of its processes the kernel has killed for want of memory.
    pub fn oom_kills(&self) -> u64 {
        self.keyed("memory.events")
            .iter()
            .find(|(k, _)| k == "oom_kill")
            .map_or(0, |(_, v)| *v)
    }

    /// CPU use, or `None` where the file is missing.
    pub fn cpu(&self) -> Option<CpuStats> {
        let values = self.keyed("cpu.stat");
        let micros = |key: &str| values.iter().find(|(k, _)| k == key).map_or(0, |(_, v)| *v);
        (!values.is_empty()).then(|| CpuStats {
            user_ns: micros("user_usec") * 1_000,
            system_ns: micros("system_usec") * 1_000,
            throttled_periods: micros("nr_throttled"),
            throttled_ns: micros("throttled_usec") * 1_000,
        })
    }

    /// Memory use, or `None` without the memory controller.
    pub fn memory(&self) -> Option<MemoryStats> {
        let usage_bytes = self.number("memory.current")?;
        let values = self.keyed("memory.stat");
        let value = |key: &str| values.iter().find(|(k, _)| k == key).map_or(0, |(_, v)| *v);
        Some(MemoryStats {
            rss_bytes: value("anon"),
            cache_bytes: value("file"),
            swap_bytes: self.number("memory.swap.current").unwrap_or(0),
            usage_bytes,
            max_usage_bytes: self.number("memory.peak").unwrap_or(0),
        })
    }

    fn number(&self, file: &str) -> Option<u64> {
        fs::read_to_string(self.path.join(file))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    fn keyed(&self, file: &str) -> Vec<(String, u64)> {
        let text = fs::read_to_string(self.path.join(file)).unwrap_or_default();
        text.lines()
            .filter_map(|line| {
                let (key, value) = line.split_once(' ')?;
                Some((key.to_owned(), value.parse().ok()?))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let cgroup = TaskCgroup::new(tmp.path().to_owned(), false);
        assert_eq!(
            (cgroup.cpu(), cgroup.memory(), cgroup.oom_kills()),
            (None, None, 0)
        );
        let files = [
            (
                "cpu.stat",
                "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 4\nnr_throttled 2\nthrottled_usec 5\n",
            ),
            ("memory.current", "4096\n"),
            ("memory.stat", "anon 1000\nfile 2000\nkernel 5\n"),
            ("memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\n"),
            ("cgroup.procs", "12\n0\n34\n"),
        ];
        for (name, text) in files {
            fs::write(tmp.path().join(name), text).expect("write");
        }
        let cpu = cgroup.cpu().expect("cpu");
        assert_eq!(
            (
                cpu.user_ns,
                cpu.system_ns,
                cpu.throttled_periods,
                cpu.throttled_ns
            ),
            (20_000, 10_000, 2, 5_000)
        );
        let memory = cgroup.memory().expect("memory");
        assert_eq!(
            (memory.rss_bytes, memory.cache_bytes, memory.usage_bytes),
            (1000, 2000, 4096)
        );
        assert_eq!(cgroup.oom_kills(), 2);
        assert_eq!(cgroup.pids().expect("pids"), [12, 34]);
    }
}
