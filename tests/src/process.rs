//! Processes of one agent: its tasks are known by their environment, its supervisor by its command line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal; a process that is gone already is fine.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended meanwhile, which is what most callers want.
        let _ = kill_process(pid, signal);
    }
}

/// Is there such a process, other than as a zombie?
pub fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| {
            stat.rsplit_once(')')
                .map(|(_, rest)| rest.trim().starts_with('Z'))
        })
        .is_some_and(|zombie| !zombie)
}

/// The most memory that a process has used so far, in KiB.
///
/// # Panics
/// There is no such process.
pub fn peak_memory_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok());
    number.expect("the kernel tells the peak")
}

/// The processes of an allocation: its tasks and what they started.
///
/// # Panics
/// This is not an allocation as the API gives it.
pub fn of_alloc(alloc: &serde_json::Value) -> Vec<u32> {
    let id = alloc["ID"].as_str().expect("allocations have ids");
    let entry = format!("NOMAD_ALLOC_ID={id}");
    pids(|pid| {
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else {
            return false;
        };
        environment
            .split(|byte| *byte == 0)
            .any(|have| have == entry.as_bytes())
    })
}

/// The supervisors that keep their state in this folder: one, or two for a moment while the second finds out.
pub fn supervisors(state_dir: &Path) -> Vec<u32> {
    let tail = format!("supervisor\0--dir\0{}\0", state_dir.display());
    pids(|pid| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(tail.as_bytes()))
    })
}

fn pids(choose: impl Fn(u32) -> bool) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<u32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| choose(*pid))
        .collect();
    found.sort_unstable();
    found
}

/// Ends every task below `root` for good, and takes away its cgroups.
pub(crate) fn end_tasks(root: &Path) {
    let prefix = format!("NOMAD_ALLOC_DIR={}/", root.display());
    let ours = || {
        pids(|pid| {
            fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                environment
                    .split(|byte| *byte == 0)
                    .any(|have| have.starts_with(prefix.as_bytes()))
            })
        })
    };
    let mut groups = BTreeSet::new();
    for _ in 0..500 {
        let left = ours();
        if left.is_empty() {
            break;
        }
        for pid in left {
            groups.extend(cgroups(pid));
            signal(pid, Signal::KILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    for group in groups {
        // One with another's process in it stays, as it should.
        let _ = fs::remove_dir(group);
    }
}

fn cgroups(pid: u32) -> Vec<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split(':').nth(2))
        .filter(|path| path.contains("nomad.slice/"))
        .flat_map(|path| {
            ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
                .map(|mount| PathBuf::from(format!("{mount}{path}")))
        })
        .collect()
}

/// Unmounts what is mounted below `root`.
pub(crate) fn unmount_below(root: &Path) {
    let prefix = format!("{}/", root.display());
    let text = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|path| path.starts_with(&prefix))
        .collect();
    for path in mounts.into_iter().rev() {
        // What cannot be unmounted shows when its folder is removed.
        let _ = rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH);
    }
}
