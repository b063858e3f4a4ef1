//! What a pidfd can tell and do: exit status, also of processes that are not children, and signals to groups.
#![expect(
    unsafe_code,
    reason = "PIDFD_GET_INFO and the flags of pidfd_send_signal have no safe wrapper"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

use crate::sys::proc;
use crate::types::ExitStatus;

/// `PIDFD_SIGNAL_PROCESS_GROUP` (Linux 6.9).
const SIGNAL_PROCESS_GROUP: libc::c_uint = 1 << 2;
/// `_IOWR(0xFF, 11, struct pidfd_info)` with the first published size, 64 bytes (Linux 6.13).
const PIDFD_GET_INFO: libc::c_ulong = 0xC040_FF0B;
/// `PIDFD_INFO_EXIT` (Linux 6.15): the exit status is kept for as long as a pidfd of the process is open.
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// The first published layout of `struct pidfd_info`.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroupid: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// What is known of the end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It runs.
    No,
    /// It has ended thus.
    Status(ExitStatus),
    /// It has ended, or is about to be collected by its parent; the status may still become known.
    Unknown,
}

/// Opens a pidfd for the process that has this pid and this start time; `None` if there is none (any more).
pub(crate) fn open(pid: i32, start_time_ticks: u64) -> io::Result<Option<OwnedFd>> {
    let Some(target) = Pid::from_raw(pid) else {
        return Ok(None);
    };
    let fd = match rustix::process::pidfd_open(target, PidfdFlags::empty()) {
        Ok(fd) => fd,
        Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    // Read after the pidfd is open: if the time matches now, the pidfd names that very process.
    match proc::stat(pid) {
        Ok(stat) if stat.start_time_ticks == start_time_ticks => Ok(Some(fd)),
        Ok(_) => Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(libc::ESRCH) => {
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// Whether the process has not ended yet.
pub(crate) fn alive(pidfd: BorrowedFd<'_>) -> bool {
    !await_end(pidfd, Duration::ZERO)
}

/// Blocks until the process has ended, at most so long. Whether it has.
pub(crate) fn await_end(pidfd: BorrowedFd<'_>, limit: Duration) -> bool {
    let mut poll = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let limit = Timespec::try_from(limit).unwrap_or_default();
    rustix::event::poll(&mut poll, Some(&limit)).is_ok_and(|ready| ready > 0)
}

/// Collects the process if it is a child of ours and has ended, else asks the kernel what became of it.
pub(crate) fn reap(pidfd: BorrowedFd<'_>, pid: i32, start_time_ticks: u64) -> Ended {
    match rustix::process::waitid(
        WaitId::PidFd(pidfd),
        WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
    ) {
        Ok(None) => Ended::No,
        Ok(Some(status)) => {
            Ended::Status(match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => ExitStatus::Exited { code: code & 0xff },
                (None, Some(signal)) => ExitStatus::Signaled {
                    signal,
                    core_dumped: status.dumped(),
                },
                (None, None) => ExitStatus::Lost,
            })
        }
        Err(_) => reap_foreign(pidfd, pid, start_time_ticks),
    }
}

fn reap_foreign(pidfd: BorrowedFd<'_>, pid: i32, start_time_ticks: u64) -> Ended {
    if let Some(status) = exit_info(pidfd) {
        return Ended::Status(status);
    }
    match proc::stat(pid) {
        Ok(stat) if stat.start_time_ticks == start_time_ticks => match stat.state {
            // A zombie shows its status to those who may trace it and 0 to others, so 0 alone proves nothing.
            'Z' if stat.exit_code != 0 || proc::may_trace(pid) => {
                Ended::Status(ExitStatus::from_wait_status(stat.exit_code))
            }
            'Z' | 'X' | 'x' => Ended::Unknown,
            _ => Ended::No,
        },
        _ => Ended::Unknown,
    }
}

/// The exit status that the kernel keeps for holders of a pidfd once the process has been collected.
pub(crate) fn exit_info(pidfd: impl AsFd) -> Option<ExitStatus> {
    let mut info = PidfdInfo {
        mask: PIDFD_INFO_EXIT,
        ..PidfdInfo::default()
    };
    // SAFETY: the request's size field says 64 bytes, which is the size of the struct pointed to.
    let rc = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    (rc == 0 && info.mask & PIDFD_INFO_EXIT != 0)
        .then(|| ExitStatus::from_wait_status(info.exit_code))
}

/// Whether this kernel has [`exit_info`]: Linux 6.15 and later.
pub(crate) fn has_exit_info() -> bool {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|n| n.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(15))
}

/// Sends a signal to the process itself. `false` if it is gone.
pub(crate) fn signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<bool> {
    send(pidfd, signal, 0)
}

/// Sends a signal to the process group that the process leads, also when the leader is gone but others are left.
/// `false` if nobody is left.
pub(crate) fn signal_group(
    pidfd: BorrowedFd<'_>,
    pid: i32,
    signal: i32,
    leader_alive: bool,
) -> io::Result<bool> {
    match send(pidfd, signal, SIGNAL_PROCESS_GROUP) {
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) && leader_alive => {
            let (Some(group), Some(signal)) = (
                Pid::from_raw(pid),
                rustix::process::Signal::from_named_raw(signal),
            ) else {
                return Err(e);
            };
            match rustix::process::kill_process_group(group, signal) {
                Ok(()) => Ok(true),
                Err(rustix::io::Errno::SRCH) => Ok(false),
                Err(e) => Err(e.into()),
            }
        }
        other => other,
    }
}

fn send(pidfd: BorrowedFd<'_>, signal: i32, flags: libc::c_uint) -> io::Result<bool> {
    // SAFETY: the system call takes a file descriptor that is open, a number, a null pointer and flags.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            flags,
        )
    };
    if rc == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ESRCH) {
        Ok(false)
    } else {
        Err(error)
    }
}
