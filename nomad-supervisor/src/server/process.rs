//! From a plan to a running program, with a word in between for whoever must know the process first.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::task::end_of;
use crate::sys::proc;
use crate::sys::spawn::{self, Held, Plan};
use crate::wire::{ErrorKind, Refusal};

/// A process whose program runs.
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) start_time_ticks: u64,
    pub(super) pidfd: Rc<OwnedFd>,
}

/// Why there is none. Nothing of it is left then.
pub(super) enum Failure {
    /// We could not do our part.
    Refused(Refusal),
    /// The child could not do its part: what, and why.
    Child(&'static str, io::Error),
}

/// An error of ours as a refusal.
pub(super) fn internal(what: &str, error: &io::Error) -> Refusal {
    Refusal::new(ErrorKind::Internal, format!("{what}: {error}"))
}

/// Starts a process and holds it until `note` has taken it and its start time down; then waits until its program runs.
/// Others are served meanwhile.
pub(super) async fn run(
    plan: &Plan<'_>,
    note: impl FnOnce(&Held, u64) -> Result<(), Refusal>,
) -> Result<Process, Failure> {
    let held = spawn::spawn(plan).map_err(|e| Failure::Refused(internal("start a process", &e)))?;
    let (process, mut report) = match prepare(&held, note) {
        Ok(prepared) => prepared,
        Err(refusal) => {
            held.abandon();
            return Err(Failure::Refused(refusal));
        }
    };
    if let Err(error) = held.release() {
        held.abandon();
        return Err(Failure::Refused(internal("release the process", &error)));
    }
    // Closes the other descriptors of the start.
    drop(held);
    let mut text = Vec::new();
    if let Err(error) = report.read_to_end(&mut text).await {
        tracing::warn!(pid = process.pid, %error, "whether the program runs was not learnt");
    }
    match spawn::parse_report(&text) {
        None => Ok(process),
        Some((what, error)) => {
            end_of(&process.pidfd, process.pid, process.start_time_ticks).await;
            Err(Failure::Child(what, error))
        }
    }
}

fn prepare(
    held: &Held,
    note: impl FnOnce(&Held, u64) -> Result<(), Refusal>,
) -> Result<(Process, pipe::Receiver), Refusal> {
    let stat =
        proc::stat(held.pid).map_err(|e| internal("read the start time of the process", &e))?;
    let pidfd = held
        .pidfd
        .try_clone()
        .map_err(|e| internal("duplicate a pidfd", &e))?;
    let report = held
        .report
        .try_clone()
        .and_then(pipe::Receiver::from_owned_fd);
    let report = report.map_err(|e| internal("watch the process", &e))?;
    note(held, stat.start_time_ticks)?;
    let process = Process {
        pid: held.pid,
        start_time_ticks: stat.start_time_ticks,
        pidfd: Rc::new(pidfd),
    };
    Ok((process, report))
}
