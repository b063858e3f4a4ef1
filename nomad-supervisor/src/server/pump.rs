//! Keeps one stream of a task flowing into its files.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use super::state::Supervisor;
use crate::logs::{Moved, Stream};
use crate::sys::watch;
use crate::types::Event;

/// How long an unfinished line may wait at the end of a file for its rest.
const LINE_PATIENCE: Duration = Duration::from_millis(100);
/// How long output waits in the FIFO for a disk that refuses it, before it is thrown away to let the task go on.
const DISK_PATIENCE: Duration = Duration::from_secs(5);
/// Pause between attempts to write to such a disk.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// Time between two reports of the same trouble.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Trouble with writing, since it began.
struct Trouble {
    since: Instant,
    reported: Option<Instant>,
    dropped: u64,
}

/// Runs until it is aborted.
pub(super) async fn pump(supervisor: Rc<Supervisor>, id: Rc<str>, stream: Rc<RefCell<Stream>>) {
    let fifo = stream.borrow().fifo();
    let fifo = match watch::watch(fifo, Interest::READABLE) {
        Ok(fifo) => fifo,
        Err(error) => {
            tracing::error!(%id, %error, "a FIFO cannot be watched");
            return;
        }
    };
    let mut trouble: Option<Trouble> = None;
    let mut flush = false;
    loop {
        let moved = stream
            .borrow_mut()
            .step(&mut supervisor.scratch.borrow_mut(), flush);
        flush = false;
        match moved {
            Ok(Moved::Some(n)) => {
                if n > 0 {
                    trouble = None;
                }
                // One busy task must not hold up the others.
                tokio::task::yield_now().await;
            }
            Ok(Moved::Empty) => {
                if !readable(&fifo).await {
                    return;
                }
            }
            Ok(Moved::Partial) => {
                match tokio::time::timeout(LINE_PATIENCE, readable(&fifo)).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(_) => flush = true,
                }
            }
            Err(error) => {
                let trouble = trouble.get_or_insert_with(Trouble::new);
                trouble.handle(&supervisor, &id, &mut stream.borrow_mut(), &error);
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

impl Trouble {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            reported: None,
            dropped: 0,
        }
    }

    /// Throws output away when it has waited long enough, and tells about it now and then.
    fn handle(
        &mut self,
        supervisor: &Supervisor,
        id: &str,
        stream: &mut Stream,
        error: &std::io::Error,
    ) {
        let now = Instant::now();
        if now - self.since >= DISK_PATIENCE {
            self.dropped += stream
                .discard(&mut supervisor.scratch.borrow_mut())
                .unwrap_or(0);
        }
        if self.reported.is_none_or(|at| now - at >= REPORT_INTERVAL) {
            self.reported = Some(now);
            let message = error.to_string();
            let dropped_bytes = std::mem::take(&mut self.dropped);
            tracing::warn!(%id, stream = stream.kind.as_str(), message, dropped_bytes, "output cannot be written");
            supervisor.emit(Event::LogError {
                id: id.to_owned(),
                stream: stream.kind,
                message,
                dropped_bytes,
            });
        }
    }
}

/// Waits for bytes. The readiness is cleared before they are taken, so none that come later go unnoticed.
async fn readable(fifo: &AsyncFd<Rc<OwnedFd>>) -> bool {
    match fifo.readable().await {
        Ok(mut ready) => {
            ready.clear_ready();
            true
        }
        Err(_) => false,
    }
}
