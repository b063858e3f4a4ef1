//! The supervisor's side of the store.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Mode;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::{Fds, Held, Kind, SOCKET_NAME, holder, receive, send};
use crate::sys::fork;
use crate::wire::SocketAddress;

/// A store that takes longer to take or give a message is taken for dead.
const PATIENCE: Duration = Duration::from_secs(2);
/// Connections that may wait: that of a dead supervisor and that of its successor.
const BACKLOG: i32 = 4;

/// The connection to the store's process.
pub(crate) struct FdStore {
    dir: PathBuf,
    socket: RefCell<OwnedFd>,
}

impl FdStore {
    /// Finds the store of an earlier supervisor, and gives what it holds; else starts one, which holds nothing.
    pub(crate) fn open(dir: &Path) -> io::Result<(Self, BTreeMap<String, Held>)> {
        let (socket, held) = match connect(dir).and_then(|socket| Ok((list(&socket)?, socket))) {
            Ok((held, socket)) => (socket, held),
            Err(_) => (start(dir)?, BTreeMap::new()),
        };
        let store = Self {
            dir: dir.to_owned(),
            socket: RefCell::new(socket),
        };
        Ok((store, held))
    }

    /// Starts the store's process anew after it died; it holds nothing then.
    pub(crate) fn restart(&self) -> io::Result<()> {
        *self.socket.borrow_mut() = start(&self.dir)?;
        Ok(())
    }

    /// Has descriptors held in place of what was held under this id. They are safe when this returns.
    pub(crate) fn put(&self, id: &str, fds: Fds<'_>) -> io::Result<()> {
        send(&self.socket.borrow(), Kind::Put, id, fds)
    }

    /// Lets go of a task's descriptors.
    pub(crate) fn release(&self, id: &str) {
        // A store that is gone holds nothing.
        let _ = send(&self.socket.borrow(), Kind::Drop, id, Fds::default());
    }

    /// Ends the store's process.
    pub(crate) fn quit(&self) {
        let _ = send(&self.socket.borrow(), Kind::Quit, "", Fds::default());
    }
}

fn socket() -> io::Result<OwnedFd> {
    let kind = (AddressFamily::UNIX, SocketType::SEQPACKET);
    Ok(rustix::net::socket_with(
        kind.0,
        kind.1,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

fn connect(dir: &Path) -> io::Result<OwnedFd> {
    let address = SocketAddress::named(dir, SOCKET_NAME)?;
    let socket = socket()?;
    for direction in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&socket, direction, Some(PATIENCE))?;
    }
    rustix::net::connect(&socket, &SocketAddrUnix::new(address.path())?)?;
    Ok(socket)
}

fn list(socket: &OwnedFd) -> io::Result<BTreeMap<String, Held>> {
    send(socket, Kind::List, "", Fds::default())?;
    let mut all = BTreeMap::new();
    loop {
        let message = receive(socket)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        match message.kind {
            Kind::Item => all.insert(message.id, message.held),
            _ => return Ok(all),
        };
    }
}

/// Starts the process and connects to it.
fn start(dir: &Path) -> io::Result<OwnedFd> {
    let address = SocketAddress::named(dir, SOCKET_NAME)?;
    match std::fs::remove_file(address.path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = socket()?;
    // Nobody else may connect, not even between bind and chmod.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = rustix::net::bind(&listener, &SocketAddrUnix::new(address.path())?);
    rustix::process::umask(before);
    bound?;
    rustix::net::listen(&listener, BACKLOG)?;
    fork::detached(&listener, || holder::serve(&listener, dir))?;
    connect(dir)
}
