//! The few facts we read from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use crate::types::PidStats;

/// Parts of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: char,
    pub(crate) ppid: i32,
    pub(crate) session: i32,
    pub(crate) utime_ticks: u64,
    pub(crate) stime_ticks: u64,
    pub(crate) start_time_ticks: u64,
    pub(crate) rss_pages: u64,
    /// Field 52: the status word of a zombie, 0 for those who may not see it.
    pub(crate) exit_code: i32,
}

/// Reads `/proc/PID/stat`.
pub(crate) fn stat(pid: i32) -> io::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unreadable /proc/PID/stat"))
}

/// The name in the second field may hold spaces and brackets, so fields count from the last bracket.
fn parse_stat(text: &str) -> Option<Stat> {
    let rest = text.get(text.rfind(')')? + 1..)?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // fields[0] is field 3 of proc(5).
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Stat {
        state: field(3)?.chars().next()?,
        ppid: field(4)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        utime_ticks: field(14)?.parse().ok()?,
        stime_ticks: field(15)?.parse().ok()?,
        start_time_ticks: field(22)?.parse().ok()?,
        rss_pages: field(24)?.parse::<i64>().ok()?.max(0) as u64,
        exit_code: field(52).and_then(|f| f.parse().ok()).unwrap_or(0),
    })
}

/// Whether the kernel shows us all of `/proc/PID/stat`: these links ask for the same permission.
pub(crate) fn may_trace(pid: i32) -> bool {
    fs::read_link(format!("/proc/{pid}/ns/user")).is_ok()
}

/// The identity of this boot of the machine, or an empty string where the kernel does not tell.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|s| s.trim().to_owned())
        .unwrap_or_default()
}

/// CPU time and memory of one process; `None` if it is gone.
pub(crate) fn pid_stats(pid: i32) -> Option<PidStats> {
    stat(pid).ok().map(|s| to_pid_stats(pid, &s))
}

fn to_pid_stats(pid: i32, stat: &Stat) -> PidStats {
    let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    PidStats {
        pid,
        user_ns: stat.utime_ticks * tick_ns,
        system_ns: stat.stime_ticks * tick_ns,
        rss_bytes: stat.rss_pages * rustix::param::page_size() as u64,
    }
}

/// All processes of the machine by session, in one sweep.
pub(crate) fn by_session() -> BTreeMap<i32, Vec<PidStats>> {
    let mut sessions: BTreeMap<i32, Vec<PidStats>> = BTreeMap::new();
    let Ok(entries) = fs::read_dir("/proc") else {
        return sessions;
    };
    for pid in entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok())
    {
        if let Ok(stat) = stat(pid) {
            sessions
                .entry(stat.session)
                .or_default()
                .push(to_pid_stats(pid, &stat));
        }
    }
    sessions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_ourselves_names_our_parent() {
        let pid = std::process::id() as i32;
        let stat = stat(pid).expect("own stat");
        assert_eq!(stat.ppid as u32, std::os::unix::process::parent_id());
        assert!(stat.start_time_ticks > 0 && stat.rss_pages > 0);
    }

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let tail = (4..=52)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(" ");
        let stat = parse_stat(&format!("7 (a) b (c)) S {tail}\n")).expect("parses");
        assert_eq!(
            (
                stat.state,
                stat.ppid,
                stat.session,
                stat.start_time_ticks,
                stat.exit_code
            ),
            ('S', 4, 6, 22, 52)
        );
        assert_eq!(parse_stat("7 (x) S 1 2"), None);
        assert_eq!(parse_stat(""), None);
    }
}
