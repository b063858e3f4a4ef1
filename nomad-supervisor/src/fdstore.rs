//! The node's file descriptor store: one small process that holds what the death of the supervisor must not close.
//!
//! What a task wrote into its FIFO is gone when nobody has the FIFO open any more, and the exit status of a process that
//! is not a child is only told to those who hold a pidfd from before its end. So whatever the supervisor needs of a
//! running task lies in this second process, too. It does nothing but hold: the supervisor hands descriptors over as it
//! starts a task and takes them back by name; a supervisor that comes after a dead one asks for all of them.
//!
//! A message that was sent is held, also when the sender dies in the next moment: the kernel keeps descriptors under way.
//! One supervisor talks at a time (its lock says so), and the next one is only heard when the last word of the one
//! before it was read.

mod holder;
mod store;

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

pub(crate) use store::FdStore;

use crate::types::MAX_ID_BYTES;

/// Name of the socket in the state directory.
pub(crate) const SOCKET_NAME: &str = "fdstore.sock";
/// Descriptors per task: one of each [`Held`] field.
const MAX_FDS: usize = 4;

/// What is held of one task.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) pidfd: Option<OwnedFd>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
    /// The read end of the pipe that holds the process back while it is being started: with a byte in it the process was
    /// released, without one it never ran its program and never will.
    pub(crate) gate: Option<OwnedFd>,
}

/// The same, borrowed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fds<'a> {
    pub(crate) pidfd: Option<BorrowedFd<'a>>,
    pub(crate) stdout: Option<BorrowedFd<'a>>,
    pub(crate) stderr: Option<BorrowedFd<'a>>,
    pub(crate) gate: Option<BorrowedFd<'a>>,
}

impl Held {
    fn as_fds(&self) -> Fds<'_> {
        Fds {
            pidfd: self.pidfd.as_ref().map(AsFd::as_fd),
            stdout: self.stdout.as_ref().map(AsFd::as_fd),
            stderr: self.stderr.as_ref().map(AsFd::as_fd),
            gate: self.gate.as_ref().map(AsFd::as_fd),
        }
    }
}

/// What a message is for; its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// To the store: hold these in place of what was held under this name.
    Put = b'P',
    /// To the store: let go of this name.
    Drop = b'D',
    /// To the store: tell everything.
    List = b'L',
    /// To the store: let go of everything and end.
    Quit = b'Q',
    /// From the store: one name of the list.
    Item = b'I',
    /// From the store: the list is complete.
    End = b'E',
}

/// One message: kind, a bit for each descriptor that comes with it, task id.
struct Message {
    kind: Kind,
    id: String,
    held: Held,
}

fn send(socket: &OwnedFd, kind: Kind, id: &str, fds: Fds<'_>) -> io::Result<()> {
    let all = [fds.pidfd, fds.stdout, fds.stderr, fds.gate];
    let mask = (0..MAX_FDS).fold(0, |mask, at| mask | (u8::from(all[at].is_some()) << at));
    let given: Vec<BorrowedFd<'_>> = all.into_iter().flatten().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !given.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&given)) {
        return Err(io::Error::other("descriptors do not fit"));
    }
    let head = [kind as u8, mask];
    let parts = [IoSlice::new(&head), IoSlice::new(id.as_bytes())];
    loop {
        match rustix::net::sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The next message; `None` when the other side is gone.
fn receive(socket: &OwnedFd) -> io::Result<Option<Message>> {
    let mut body = [0_u8; 2 + MAX_ID_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut parts = [IoSliceMut::new(&mut body)];
        match rustix::net::recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => break received,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let mut fds = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten();
    let bad = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "message of the descriptor store",
        )
    };
    let [kind, mask, id @ ..] = &body[..received.bytes] else {
        // Nothing at all is the end of the connection.
        return if received.bytes == 0 {
            Ok(None)
        } else {
            Err(bad())
        };
    };
    let kinds = [
        Kind::Put,
        Kind::Drop,
        Kind::List,
        Kind::Quit,
        Kind::Item,
        Kind::End,
    ];
    let kind = kinds
        .into_iter()
        .find(|k| *k as u8 == *kind)
        .ok_or_else(bad)?;
    let mut next = |at: u8| {
        if mask & (1 << at) == 0 {
            None
        } else {
            fds.next()
        }
    };
    let held = Held {
        pidfd: next(0),
        stdout: next(1),
        stderr: next(2),
        gate: next(3),
    };
    let id = std::str::from_utf8(id).map_err(|_| bad())?.to_owned();
    Ok(Some(Message { kind, id, held }))
}
