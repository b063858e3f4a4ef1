//! The data directory: who holds it, and the ids kept in it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use nomad_core::Uuid;
use rustix::fs::{FlockOperation, flock};

use crate::config::Config;

/// Attempts to remove the temporary directory of a `-dev` agent.
const REMOVE_ATTEMPTS: u32 = 50;
/// Pause between two of them.
const REMOVE_PAUSE: Duration = Duration::from_millis(20);

/// Where an agent keeps its data.
#[derive(Debug)]
pub(crate) struct DataDirs {
    pub(crate) server: PathBuf,
    pub(crate) client_state: PathBuf,
    pub(crate) alloc: PathBuf,
    /// Removed at the end: `-dev` keeps nothing.
    temporary: Option<PathBuf>,
    /// Held while the agent runs, so that no second one uses the directory.
    _lock: File,
}

impl DataDirs {
    /// Makes and locks the directories that the configuration names; `-dev` gets a fresh temporary one.
    pub(crate) fn open(config: &Config) -> anyhow::Result<Self> {
        let temporary = if config.dev && config.data_dir.is_none() {
            Some(fresh_temporary()?)
        } else {
            None
        };
        let root = match (&temporary, &config.data_dir, &config.client.state_dir) {
            (Some(root), _, _) | (None, Some(root), _) | (None, None, Some(root)) => root.clone(),
            (None, None, None) => bail!("data_dir is not set"),
        };
        make(&root, 0o755)?;
        let lock = lock(&root)?;
        let or =
            |given: &Option<PathBuf>, name: &str| given.clone().unwrap_or_else(|| root.join(name));
        let dirs = Self {
            server: or(&config.server.data_dir, "server"),
            client_state: or(&config.client.state_dir, "client"),
            alloc: or(&config.client.alloc_dir, "alloc"),
            temporary,
            _lock: lock,
        };
        if config.server.enabled {
            make(&dirs.server, 0o700)?;
        }
        if config.client.enabled {
            make(&dirs.client_state, 0o700)?;
            make(&dirs.alloc, 0o711)?;
        }
        Ok(dirs)
    }

    /// The server's id: made once, kept in its directory.
    pub(crate) fn server_id(&self) -> anyhow::Result<Uuid> {
        let path = self.server.join("node-id");
        match fs::read_to_string(&path) {
            Ok(text) => text
                .trim()
                .to_ascii_lowercase()
                .parse()
                .with_context(|| format!("read server id in {}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let id = Uuid::from_random(rand::random());
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
                    .with_context(|| format!("create {}", path.display()))?;
                writeln!(file, "{id}")
                    .and_then(|()| file.sync_all())
                    .with_context(|| format!("write {}", path.display()))?;
                Ok(id)
            }
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }
}

/// Removes what a `-dev` agent kept, however it ends.
impl Drop for DataDirs {
    fn drop(&mut self) {
        let Some(root) = &self.temporary else { return };
        // The store's own threads may still write a file while we empty its directory.
        for attempt in 1..=REMOVE_ATTEMPTS {
            match fs::remove_dir_all(root) {
                Ok(()) => return,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
                Err(error) if attempt == REMOVE_ATTEMPTS => {
                    tracing::warn!(path = %root.display(), %error, "temporary data directory could not be removed");
                }
                Err(_) => std::thread::sleep(REMOVE_PAUSE),
            }
        }
    }
}

fn fresh_temporary() -> anyhow::Result<PathBuf> {
    let path = std::env::temp_dir().join(format!(
        "nomad-dev-{}",
        Uuid::from_random(rand::random()).short()
    ));
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .with_context(|| format!("create temporary data directory {}", path.display()))?;
    // Tasks run as other users below it.
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o711))
        .with_context(|| format!("open up {}", path.display()))?;
    Ok(path)
}

fn make(path: &Path, mode: u32) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .with_context(|| format!("create directory {}", path.display()))
}

fn lock(root: &Path) -> anyhow::Result<File> {
    let path = root.join("agent.lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("open {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let holder = fs::read_to_string(&path).unwrap_or_default();
        let holder = holder.trim();
        bail!(
            "data directory {} is used by another agent{}: stop it, or give this one another data_dir",
            root.display(),
            if holder.is_empty() {
                String::new()
            } else {
                format!(" (pid {holder})")
            }
        );
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .context("write pid into lock file")?;
    Ok(file)
}
