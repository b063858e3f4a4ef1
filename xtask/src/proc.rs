//! Processes as `/proc` shows them: who descends from whom, what memory and time they take, and how to end them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// One process at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// Name of the executable, cut at 15 bytes by the kernel.
    pub(crate) comm: String,
    /// Clock ticks after boot; with the pid it names a process for good.
    pub(crate) start: u64,
    /// User and system time so far, in clock ticks (100 a second on Linux).
    pub(crate) cpu_ticks: u64,
    pub(crate) zombie: bool,
}

/// Every process that we may see.
pub(crate) fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .filter_map(read)
        .collect()
}

/// One process, if it lives.
pub(crate) fn read(pid: u32) -> Option<Process> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(pid, &String::from_utf8_lossy(&stat))
}

fn parse_stat(pid: u32, stat: &str) -> Option<Process> {
    // The name may hold anything, also brackets and blanks: the last `)` ends it.
    let (head, rest) = stat.rsplit_once(')')?;
    let (_, comm) = head.split_once('(')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |i: usize| fields.get(i)?.parse::<u64>().ok();
    Some(Process {
        pid,
        comm: comm.to_owned(),
        zombie: *fields.first()? == "Z",
        parent: fields.get(1)?.parse().ok()?,
        cpu_ticks: number(11)? + number(12)?,
        start: number(19)?,
    })
}

/// `roots` and everything that descends from them.
pub(crate) fn trees(roots: &[u32]) -> Vec<Process> {
    descendants(all(), roots)
}

fn descendants(all: Vec<Process>, roots: &[u32]) -> Vec<Process> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for p in &all {
        children.entry(p.parent).or_default().push(p.pid);
    }
    let mut wanted = BTreeSet::new();
    let mut queue = roots.to_vec();
    while let Some(pid) = queue.pop() {
        if wanted.insert(pid) {
            queue.extend(children.get(&pid).into_iter().flatten());
        }
    }
    all.into_iter()
        .filter(|p| wanted.contains(&p.pid))
        .collect()
}

/// Processes whose environment holds `entry` (`NAME=value`). Survivors of a killed parent are found this way too.
pub(crate) fn with_environment(entry: &str) -> Vec<u32> {
    all()
        .into_iter()
        .map(|p| p.pid)
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|env| env.split(|b| *b == 0).any(|v| v == entry.as_bytes()))
        })
        .collect()
}

/// Proportional set size in KiB: private memory whole, shared memory by its share.
pub(crate) fn pss_kib(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Does the process that had this pid and start time still run?
pub(crate) fn alive(pid: u32, start: u64) -> bool {
    read(pid).is_some_and(|p| p.start == start && !p.zombie)
}

/// Sends a signal (`INT`, `TERM`, `KILL`) to processes that we started.
pub(crate) fn signal(name: &str, pids: &[u32]) {
    if pids.is_empty() {
        return;
    }
    // The shell's own kill: there is a shell on every system, and no unsafe code here.
    let mut command = Command::new("sh");
    command.args(["-c", "kill -s \"$@\" 2>/dev/null", "sh", name]);
    command.args(pids.iter().map(ToString::to_string));
    // It fails when one of them ended by itself, which is what was wanted.
    let _ = command.status();
}

/// Ends a process that we started and all that it started.
pub(crate) fn kill_tree(pid: u32) {
    let pids: Vec<u32> = trees(&[pid]).iter().map(|p| p.pid).collect();
    signal("KILL", &pids);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_with_a_hostile_name() {
        let line = "7 (a) b) (c) S 3 7 7 0 -1 4194304 1 2 3 4 50 25 8 9 20 0 1 0 777 1 1";
        let p = parse_stat(7, line).expect("well formed");
        assert_eq!(
            (p.comm.as_str(), p.parent, p.cpu_ticks, p.start),
            ("a) b) (c", 3, 75, 777)
        );
        assert!(parse_stat(7, "7 (x").is_none());
    }

    #[test]
    fn descendants_are_found_through_generations() {
        let p = |pid, parent| Process {
            pid,
            parent,
            comm: String::new(),
            start: 0,
            cpu_ticks: 0,
            zombie: false,
        };
        let found = descendants(vec![p(2, 1), p(3, 2), p(4, 3), p(5, 1)], &[2]);
        assert_eq!(found.iter().map(|p| p.pid).collect::<Vec<_>>(), [2, 3, 4]);
    }

    #[test]
    fn we_see_ourselves() {
        let me = read(std::process::id()).expect("we run");
        assert!(alive(me.pid, me.start));
        assert!(!alive(me.pid, me.start + 1));
        assert!(pss_kib(me.pid).is_some_and(|kib| kib > 100));
    }
}
