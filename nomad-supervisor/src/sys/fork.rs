//! A second process of this program that goes its own way, without the cost of loading the program again.
#![expect(
    unsafe_code,
    reason = "fork, _exit and the process's own title have no safe wrapper"
)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::process::{Pid, WaitOptions};

/// The word of our command line that names the mode, and what stands there in the second process.
const TITLES: (&[u8], &[u8]) = (b"supervisor", b"fdstore");

/// Runs `work` in a process that is nobody's child and in a session of its own. Of our descriptors it has only the
/// standard ones and `keep`.
pub(crate) fn detached(keep: &OwnedFd, work: impl FnOnce()) -> io::Result<()> {
    // SAFETY: the child uses only its copy of this thread's memory, plain system calls and the allocator, which the C
    // library hands over to the child in good order; it never returns from here.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let _ = rustix::process::setsid();
            // SAFETY: as above. Its parent ends at once, so that nobody has to collect it.
            if unsafe { libc::fork() } == 0 {
                close_all_but(keep.as_raw_fd());
                retitle();
                work();
            }
            // SAFETY: ends this process without running what the parent has registered for its own end.
            unsafe { libc::_exit(0) }
        }
        pid => {
            let pid = Pid::from_raw(pid);
            // Nobody else collects it; if it is gone already, all the better.
            let _ = rustix::process::waitpid(pid, WaitOptions::empty());
            Ok(())
        }
    }
}

fn close_all_but(keep: RawFd) {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let open: Vec<RawFd> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2 && *fd != keep)
        .collect();
    for fd in open {
        // SAFETY: this process has only this thread, which uses none of them; the one of the listing is closed already.
        unsafe { libc::close(fd) };
    }
}

/// Shows what this process is in lists of processes, as it was not started by a command line of its own.
fn retitle() {
    let _ = rustix::thread::set_name(c"fdstore");
    let Some((start, length)) = argument_memory() else {
        return;
    };
    let Ok(line) = std::fs::read("/proc/self/cmdline") else {
        return;
    };
    let words = line.split(|byte| *byte == 0);
    let mut title = words
        .map(|word| if word == TITLES.0 { TITLES.1 } else { word })
        .collect::<Vec<_>>()
        .join(&0);
    title.resize(length, 0);
    // SAFETY: this is where the kernel has put our arguments: `length` writable bytes, which nobody reads in this process
    // any more.
    unsafe { std::ptr::copy_nonoverlapping(title.as_ptr(), start as *mut u8, length) };
}

/// Fields 48 and 49 of `/proc/self/stat`.
fn argument_memory() -> Option<(usize, usize)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let start: usize = fields.nth(48 - 3)?.parse().ok()?;
    let end: usize = fields.next()?.parse().ok()?;
    (start != 0)
        .then(|| end.checked_sub(start))?
        .map(|length| (start, length))
}
