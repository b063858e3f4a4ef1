//! Starting a process: straight into its cgroup, with a pidfd, and held back until the journal knows it.
//!
//! `std::process::Command` can neither start a process inside a cgroup (moving it later takes a lock that costs tens of
//! milliseconds on many kernels) nor hold it back before `exec`, so this calls `clone3` itself. Between `clone3` and
//! `execve` the child calls only system calls: it allocates nothing, takes no lock and never returns.
#![expect(
    unsafe_code,
    reason = "clone3, fork, sigaction and execve have no safe wrapper"
)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;
use rustix::process::{Gid, Pid, PidfdFlags, Uid, WaitId, WaitIdOptions};
use rustix::thread::LinkNameSpaceType;

/// `CLONE_PIDFD` and `CLONE_INTO_CGROUP` of `clone3(2)`.
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Highest signal number.
const MAX_SIGNAL: libc::c_int = 64;

/// A process about to be started, everything in the form the kernel takes.
pub(crate) struct Plan<'a> {
    pub(crate) path: CString,
    /// With the program's own name first.
    pub(crate) argv: Vec<CString>,
    pub(crate) envp: Vec<CString>,
    pub(crate) cwd: CString,
    pub(crate) stdio: [BorrowedFd<'a>; 3],
    /// Make standard input the controlling terminal.
    pub(crate) tty: bool,
    pub(crate) credentials: Option<Identity>,
    pub(crate) rlimits: Vec<(u32, libc::rlimit)>,
    /// Text for `/proc/self/oom_score_adj`.
    pub(crate) oom_score_adj: Option<String>,
    /// Open `cgroup.procs` files of further cgroups to enter.
    pub(crate) join: Vec<BorrowedFd<'a>>,
    /// An open network namespace to enter.
    pub(crate) network_namespace: Option<BorrowedFd<'a>>,
    /// An open cgroup directory.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
}

/// Ids in the kernel's form.
pub(crate) struct Identity {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    pub(crate) groups: Vec<Gid>,
}

/// A process that waits to be released.
pub(crate) struct Held {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    go: OwnedFd,
    /// The other end of what holds it: has a byte in it from the moment of the release on, whoever looks at it and whenever.
    pub(crate) gate: OwnedFd,
    /// Closes when the program runs; else tells what went wrong.
    pub(crate) report: OwnedFd,
}

impl Held {
    /// Lets the process run its program. What comes of it is told by [`Held::report`].
    pub(crate) fn release(&self) -> io::Result<()> {
        rustix::io::write(&self.go, b"g")?;
        Ok(())
    }

    /// Ends the process, which has not run its program, and collects it.
    pub(crate) fn abandon(self) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
        let _ = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
    }
}

/// The step at which a child failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Step {
    Session = 1,
    Terminal,
    Stdio,
    Cgroup,
    Network,
    Rlimit,
    OomScore,
    Groups,
    Group,
    User,
    Directory,
    Exec,
}

/// Reads what a child wrote to its report pipe: a step and an errno. `None` for an empty report, which is success.
pub(crate) fn parse_report(report: &[u8]) -> Option<(&'static str, io::Error)> {
    let (&step, errno) = report.split_first()?;
    let errno = errno
        .try_into()
        .map(i32::from_ne_bytes)
        .unwrap_or(libc::EIO);
    let what = match step {
        s if s == Step::Session as u8 => "make a session",
        s if s == Step::Terminal as u8 => "take the terminal",
        s if s == Step::Stdio as u8 => "connect standard streams",
        s if s == Step::Cgroup as u8 => "enter the cgroup",
        s if s == Step::Network as u8 => "enter the network namespace",
        s if s == Step::Rlimit as u8 => "set resource limits",
        s if s == Step::OomScore as u8 => "set oom_score_adj",
        s if s == Step::Groups as u8 => "set groups",
        s if s == Step::Group as u8 => "set the group",
        s if s == Step::User as u8 => "set the user",
        s if s == Step::Directory as u8 => "enter the working directory",
        _ => "execute the program",
    };
    Some((what, io::Error::from_raw_os_error(errno)))
}

/// Starts the process and holds it.
pub(crate) fn spawn(plan: &Plan<'_>) -> io::Result<Held> {
    let (go_read, go_write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let (report_read, report_write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&report_read, true)?;
    let argv = pointers(&plan.argv);
    let envp = pointers(&plan.envp);
    // The fallback for kernels and sandboxes without CLONE_INTO_CGROUP.
    let procs = match plan.cgroup {
        Some(dir) => Some(rustix::fs::openat(
            dir,
            c"cgroup.procs",
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )?),
        None => None,
    };
    let child = Child {
        plan,
        argv: &argv,
        envp: &envp,
        go_read: go_read.as_raw_fd(),
        go_write: go_write.as_raw_fd(),
        report: report_write.as_raw_fd(),
        procs: None,
    };
    let (pid, pidfd) = match clone_process(plan.cgroup.map(|d| d.as_raw_fd()), &child) {
        Ok(started) => started,
        Err(_) => fork_process(&Child {
            procs: procs.as_ref().map(AsFd::as_fd),
            ..child
        })?,
    };
    Ok(Held {
        pid,
        pidfd,
        go: go_write,
        gate: go_read,
        report: report_read,
    })
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|s| s.as_ptr())
        .chain([ptr::null()])
        .collect()
}

fn clone_process(cgroup: Option<RawFd>, child: &Child<'_>) -> io::Result<(i32, OwnedFd)> {
    /// `struct clone_args` with the fields up to `cgroup`.
    #[repr(C)]
    #[derive(Default)]
    struct CloneArgs {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }
    let mut pidfd: libc::c_int = -1;
    let mut args = CloneArgs {
        flags: CLONE_PIDFD,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(fd) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = fd as u64;
    }
    // SAFETY: `args` is laid out as the kernel says and its size is given; without CLONE_VM the child has a copy of
    // our memory, and it goes straight to `Child::run`, which makes only system calls and never returns.
    let rc = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match rc {
        -1 => Err(io::Error::last_os_error()),
        0 => child.run(),
        pid => {
            // SAFETY: the kernel has just made this descriptor for us (CLONE_PIDFD), close-on-exec.
            Ok((pid as i32, unsafe { OwnedFd::from_raw_fd(pidfd) }))
        }
    }
}

fn fork_process(child: &Child<'_>) -> io::Result<(i32, OwnedFd)> {
    // SAFETY: as for clone3 above.
    let pid = match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => child.run(),
        pid => pid,
    };
    let target = Pid::from_raw(pid).ok_or_else(|| io::Error::other("fork returned no pid"))?;
    // The child waits to be released and nobody else collects it, so the pid is still its own.
    Ok((
        pid,
        rustix::process::pidfd_open(target, PidfdFlags::empty())?,
    ))
}

/// What the child needs, borrowed from the parent's memory of which it has a copy.
struct Child<'a> {
    plan: &'a Plan<'a>,
    argv: &'a [*const libc::c_char],
    envp: &'a [*const libc::c_char],
    go_read: RawFd,
    go_write: RawFd,
    report: RawFd,
    procs: Option<BorrowedFd<'a>>,
}

impl Child<'_> {
    /// In the child: wait, set up, execute.
    fn run(&self) -> ! {
        self.wait_for_release();
        let (step, errno) = self.set_up_and_exec();
        let errno = errno.raw_os_error().to_ne_bytes();
        let report = [step as u8, errno[0], errno[1], errno[2], errno[3]];
        // SAFETY: writes five bytes of the stack to an open pipe and ends this process.
        unsafe {
            libc::write(self.report, report.as_ptr().cast(), report.len());
            libc::_exit(127)
        }
    }

    /// Looks at the byte of the release without taking it: it tells a later supervisor that this process was released.
    fn wait_for_release(&self) {
        let mut gate = libc::pollfd {
            fd: self.go_read,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: these descriptors are this process's own copies; `gate` is a local.
        unsafe {
            // Else our own copy of the write end would keep the pipe open after the supervisor's death.
            libc::close(self.go_write);
            loop {
                let n = libc::poll(&raw mut gate, 1, -1);
                if n == 1 && gate.revents & libc::POLLIN != 0 {
                    return;
                }
                if n >= 0 || *libc::__errno_location() != libc::EINTR {
                    libc::_exit(127);
                }
            }
        }
    }

    fn set_up_and_exec(&self) -> (Step, rustix::io::Errno) {
        let plan = self.plan;
        reset_signals();
        if let Err(e) = rustix::process::setsid() {
            return (Step::Session, e);
        }
        if plan.tty
            && let Err(e) = rustix::process::ioctl_tiocsctty(plan.stdio[0])
        {
            return (Step::Terminal, e);
        }
        for (target, fd) in (0..).zip(&plan.stdio) {
            // SAFETY: duplicates an open descriptor over 0, 1 or 2, which nothing in this process owns any more.
            if unsafe { libc::dup2(fd.as_raw_fd(), target) } < 0 {
                return (Step::Stdio, last_errno());
            }
        }
        for procs in self.procs.iter().chain(&plan.join) {
            if let Err(e) = rustix::io::write(procs, b"0") {
                return (Step::Cgroup, e);
            }
        }
        if let Some(namespace) = plan.network_namespace {
            let kind = Some(LinkNameSpaceType::Network);
            if let Err(e) = rustix::thread::move_into_link_name_space(namespace, kind) {
                return (Step::Network, e);
            }
        }
        for (resource, limit) in &plan.rlimits {
            // SAFETY: reads a struct of ours.
            if unsafe { libc::setrlimit(*resource as _, limit) } < 0 {
                return (Step::Rlimit, last_errno());
            }
        }
        if let Some(score) = &plan.oom_score_adj
            && let Err(e) = write_oom_score(score.as_bytes())
        {
            return (Step::OomScore, e);
        }
        if let Some(identity) = &plan.credentials {
            if let Err(e) = rustix::thread::set_thread_groups(&identity.groups) {
                return (Step::Groups, e);
            }
            let (gid, uid) = (identity.gid, identity.uid);
            if let Err(e) = rustix::thread::set_thread_res_gid(gid, gid, gid) {
                return (Step::Group, e);
            }
            if let Err(e) = rustix::thread::set_thread_res_uid(uid, uid, uid) {
                return (Step::User, e);
            }
        }
        if let Err(e) = rustix::process::chdir(plan.cwd.as_c_str()) {
            return (Step::Directory, e);
        }
        let path: &CStr = &plan.path;
        // SAFETY: all three point to null-terminated data of the parent's, of which this process has a copy.
        unsafe { libc::execve(path.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr()) };
        (Step::Exec, last_errno())
    }
}

/// Rust programs ignore SIGPIPE, and an agent may have been started with others ignored: a task starts with defaults.
fn reset_signals() {
    // SAFETY: zeroed is a valid sigaction (SIG_DFL, no flags); all pointers are to locals.
    unsafe {
        let default: libc::sigaction = std::mem::zeroed();
        for signal in 1..=MAX_SIGNAL {
            libc::sigaction(signal, &raw const default, ptr::null_mut());
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

fn write_oom_score(score: &[u8]) -> rustix::io::Result<()> {
    let file = rustix::fs::open(
        c"/proc/self/oom_score_adj",
        OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    rustix::io::write(&file, score).map(|_| ())
}

fn last_errno() -> rustix::io::Errno {
    // SAFETY: reads this thread's errno.
    rustix::io::Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}
