//! The process that holds. It has one connection at a time and waits for its next message; nothing else wakes it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::SocketFlags;

use super::{Fds, Held, Kind, SOCKET_NAME, receive, send};

/// While there is no supervisor: how often it looks whether one could still find it, in seconds.
const LOOK_SECONDS: i64 = 5;

/// Serves until it holds nothing and nobody is connected, or its socket is gone with the state directory.
pub(super) fn serve(listener: &OwnedFd, dir: &Path) {
    let own = inode(dir);
    let mut held = BTreeMap::new();
    while let Some(socket) = accept(listener, dir, own) {
        if !is_trusted(&socket) {
            continue;
        }
        if !converse(&socket, &mut held) || held.is_empty() {
            return;
        }
    }
}

/// By which it is known whether our socket is still the one that a supervisor finds.
fn inode(dir: &Path) -> Option<u64> {
    Some(dir.join(SOCKET_NAME).symlink_metadata().ok()?.ino())
}

fn accept(listener: &OwnedFd, dir: &Path, own: Option<u64>) -> Option<OwnedFd> {
    let tick = Timespec {
        tv_sec: LOOK_SECONDS,
        tv_nsec: 0,
    };
    loop {
        let mut poll = [PollFd::new(listener, PollFlags::IN)];
        match rustix::event::poll(&mut poll, Some(&tick)) {
            // Nobody will ask for anything again.
            Ok(0) if inode(dir) != own => return None,
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => return None,
        }
        match rustix::net::accept_with(listener, SocketFlags::CLOEXEC) {
            Ok(socket) => return Some(socket),
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    }
}

/// What is held gives power over tasks.
fn is_trusted(socket: &OwnedFd) -> bool {
    rustix::net::sockopt::socket_peercred(socket)
        .is_ok_and(|peer| peer.uid.is_root() || peer.uid == rustix::process::geteuid())
}

/// Serves one supervisor to its end. Whether to go on.
fn converse(socket: &OwnedFd, held: &mut BTreeMap<String, Held>) -> bool {
    while let Ok(Some(message)) = receive(socket) {
        match message.kind {
            Kind::Put => {
                held.insert(message.id, message.held);
            }
            Kind::Drop => {
                held.remove(&message.id);
            }
            Kind::List => {
                let told = held
                    .iter()
                    .try_for_each(|(id, held)| send(socket, Kind::Item, id, held.as_fds()))
                    .and_then(|()| send(socket, Kind::End, "", Fds::default()));
                if told.is_err() {
                    return true;
                }
            }
            Kind::Quit => return false,
            Kind::Item | Kind::End => {}
        }
    }
    true
}
