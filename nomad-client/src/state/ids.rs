//! The node's id and its secret: random once, then kept.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nomad_core::{NodeId, Uuid};

/// The id's file in the state directory.
const ID_FILE: &str = "client-id";
/// The secret's file in the state directory.
const SECRET_FILE: &str = "secret-id";

/// Id and secret of a node.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeIds {
    /// The node's id.
    pub id: NodeId,
    /// By which the node proves to the servers that it is itself.
    pub secret: String,
}

impl std::fmt::Debug for NodeIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeIds")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// An id cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum IdError {
    /// The file cannot be read or written.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} does not hold a UUID; restore it, or remove it to give the node a new identity", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

impl NodeIds {
    /// Fresh ones that are not kept.
    pub fn random() -> Self {
        Self {
            id: NodeId(random()),
            secret: random().to_string(),
        }
    }

    /// Those of a state directory, made there if it has none. Only the agent's user can read the files.
    pub fn load(state_dir: &Path) -> Result<Self, IdError> {
        Ok(Self {
            id: NodeId(read_or_make(&state_dir.join(ID_FILE))?),
            secret: read_or_make(&state_dir.join(SECRET_FILE))?.to_string(),
        })
    }
}

/// A random UUID.
pub(crate) fn random() -> Uuid {
    Uuid::from_random(rand::random())
}

fn read_or_make(path: &Path) -> Result<Uuid, IdError> {
    let failed = |action: &'static str| {
        move |source| IdError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    };
    match fs::read_to_string(path) {
        Ok(text) => {
            let text = text.trim().to_lowercase();
            text.parse().map_err(|_| IdError::Malformed {
                path: path.to_owned(),
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = random();
            // Whole or not at all: written beside, then moved into place.
            let beside = path.with_extension("new");
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(&beside)
                .map_err(failed("create"))?;
            write!(file, "{id}").map_err(failed("write"))?;
            file.sync_all().map_err(failed("write"))?;
            fs::rename(&beside, path).map_err(failed("create"))?;
            Ok(id)
        }
        Err(error) => Err(failed("read")(error)),
    }
}
