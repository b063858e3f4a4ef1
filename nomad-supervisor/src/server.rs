//! The supervisor process: start-up, the accept loop, and its end.

mod adopt;
mod conn;
mod exec;
mod keep;
mod plan;
mod process;
mod pump;
mod start;
mod state;
mod stats;
mod task;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::process::{Resource, Rlimit};
use tokio::net::UnixListener;

use crate::fdstore::FdStore;
use crate::journal::JournalFile;
use crate::sys::proc;
use crate::{JOURNAL_NAME, LOCK_NAME};
use state::Supervisor;

/// How long a new supervisor waits for one that is about to end.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
/// How long a supervisor without tasks and clients lives by default.
const DEFAULT_IDLE_EXIT: Duration = Duration::from_mins(1);

/// Settings of a supervisor.
#[derive(Debug, Clone)]
pub struct SupervisorConfig {
    /// State directory: the socket, the journal and the lock lie in it. It is made if it is missing.
    pub dir: PathBuf,
    /// How long it lives without a running task and without a client.
    pub idle_exit: Duration,
}

impl SupervisorConfig {
    /// Settings for a directory, the rest by default.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            idle_exit: DEFAULT_IDLE_EXIT,
        }
    }
}

/// Why a supervisor could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another one serves this directory.
    #[error("a supervisor already serves {}", dir.display())]
    AlreadyRunning {
        /// The state directory.
        dir: PathBuf,
    },
    /// A file or a socket failed.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// Runs the supervisor until it is told to end or has nothing left to do. Blocks the calling thread.
///
/// Messages go to `tracing`; the caller installs a subscriber if it wants them.
///
/// # Errors
/// When the directory cannot be used or another supervisor serves it.
pub fn run(config: SupervisorConfig) -> Result<(), RunError> {
    let dir = &config.dir;
    let fail = |action, path: &Path| {
        let path = path.to_owned();
        move |source| RunError::Io {
            action,
            path,
            source,
        }
    };
    std::fs::create_dir_all(dir).map_err(fail("create directory", dir))?;
    // Our own session: what ends the agent's process group or terminal is not meant for us.
    let _ = rustix::process::setsid();
    let _lock = lock(dir)?;
    let task_nofile = raise_file_limit();
    let journal_path = dir.join(JOURNAL_NAME);
    let (journal, records) =
        JournalFile::open(&journal_path).map_err(fail("open journal", &journal_path))?;
    let (store, held) = match FdStore::open(dir) {
        Ok((store, held)) => (Some(store), held),
        Err(error) => {
            tracing::error!(%error, "there is no descriptor store: our death may lose what tasks say last");
            (None, BTreeMap::new())
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(fail("build the runtime for", dir))?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let supervisor = Supervisor::new(journal, store, proc::boot_id(), task_nofile);
        adopt::adopt_all(&supervisor, records, held);
        let listener = bind(dir).map_err(fail("listen in", dir))?;
        tracing::info!(dir = %dir.display(), tasks = supervisor.running(), "supervisor ready");
        serve(&supervisor, &listener, config.idle_exit).await;
        Ok(())
    })
}

async fn serve(supervisor: &Rc<Supervisor>, listener: &UnixListener, idle_exit: Duration) {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if is_trusted(&stream) => {
                    tokio::task::spawn_local(conn::serve(Rc::clone(supervisor), stream));
                }
                Ok(_) => tracing::warn!("a connection of another user was refused"),
                Err(error) => {
                    // Out of file descriptors, most likely: give others time to close some.
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            () = supervisor.shutdown_requested() => return,
            () = idle(supervisor, idle_exit) => {
                tracing::info!("nothing to do: the supervisor ends");
                if let Some(store) = &supervisor.store {
                    store.quit();
                }
                return;
            }
        }
    }
}

/// Ends when there has been neither a running task nor a client for so long.
async fn idle(supervisor: &Rc<Supervisor>, after: Duration) {
    loop {
        let changed = supervisor.changed.notified();
        if !supervisor.is_idle() {
            changed.await;
        } else if tokio::time::timeout(after, changed).await.is_err() && supervisor.is_idle() {
            return;
        }
    }
}

/// Root and our own user may give orders; the socket's mode says the same.
fn is_trusted(stream: &tokio::net::UnixStream) -> bool {
    stream
        .peer_cred()
        .is_ok_and(|c| c.uid() == 0 || c.uid() == rustix::process::geteuid().as_raw())
}

fn lock(dir: &Path) -> Result<File, RunError> {
    let path = dir.join(LOCK_NAME);
    let fail = |action| {
        let path = path.clone();
        move |source| RunError::Io {
            action,
            path,
            source,
        }
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(fail("open lock"))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(RunError::AlreadyRunning {
                    dir: dir.to_owned(),
                });
            }
            Err(e) => return Err(fail("lock")(e.into())),
        }
    }
}

/// Each task costs a handful of descriptors. Tasks themselves get the limit that we were started with.
fn raise_file_limit() -> Rlimit {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    if let Err(error) = rustix::process::setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    ) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    limit
}

fn bind(dir: &Path) -> io::Result<UnixListener> {
    let address = crate::wire::SocketAddress::in_dir(dir)?;
    match std::fs::remove_file(address.path()) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    // Nobody else may connect, not even between bind and chmod.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(address.path());
    rustix::process::umask(before);
    let listener = listener?;
    std::fs::set_permissions(address.path(), std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
