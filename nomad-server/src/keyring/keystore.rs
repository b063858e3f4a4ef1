//! Key-encryption keys on disk: one file each, named by its id, readable by its owner alone.
//!
//! A file is written whole and under another name first, so a crash leaves either no key or all of it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nomad_core::Uuid;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::cipher::{KEY_BYTES, Key};

/// Ends the names of key files.
const EXTENSION: &str = "kek";

/// The keystore cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    #[error("keystore {}: cannot {action}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("keystore {}: this is no key of {KEY_BYTES} bytes named by a UUID", path.display())]
    Malformed { path: PathBuf },
    #[error(
        "keystore {}: others may read it (mode {mode:o}): make it readable by its owner alone",
        path.display()
    )]
    Open { path: PathBuf, mode: u32 },
}

/// The key-encryption keys of one server.
pub(super) struct Keystore {
    directory: Option<PathBuf>,
    keys: Mutex<BTreeMap<Uuid, Arc<Key>>>,
}

impl Keystore {
    /// Reads every key in a directory, which is made if it does not exist; without one, keys are kept in memory.
    pub(super) fn open(directory: Option<&Path>) -> Result<Self, KeystoreError> {
        let mut keys = BTreeMap::new();
        if let Some(directory) = directory {
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory);
            made.map_err(failed("make directory", directory))?;
            let entries = fs::read_dir(directory).map_err(failed("list", directory))?;
            for entry in entries {
                let path = entry.map_err(failed("list", directory))?.path();
                if path.extension().is_some_and(|end| end == EXTENSION) {
                    let (id, key) = read(&path)?;
                    keys.insert(id, Arc::new(key));
                }
            }
        }
        Ok(Self {
            directory: directory.map(Path::to_owned),
            keys: Mutex::new(keys),
        })
    }

    pub(super) fn get(&self, id: Uuid) -> Option<Arc<Key>> {
        self.keys.lock().get(&id).cloned()
    }

    /// The key that wraps new root keys; made when it is needed first.
    pub(super) fn wrapping(&self) -> Result<(Uuid, Arc<Key>), KeystoreError> {
        let mut keys = self.keys.lock();
        if let Some((id, key)) = keys.first_key_value() {
            return Ok((*id, Arc::clone(key)));
        }
        let id = Uuid::from_random(rand::random());
        let key = Arc::new(Key::random());
        self.write(id, &key)?;
        keys.insert(id, Arc::clone(&key));
        Ok((id, key))
    }

    /// Keeps a key that came from elsewhere.
    pub(super) fn add(&self, id: Uuid, key: Key) -> Result<(), KeystoreError> {
        let mut keys = self.keys.lock();
        if let Entry::Vacant(place) = keys.entry(id) {
            self.write(id, &key)?;
            place.insert(Arc::new(key));
        }
        Ok(())
    }

    fn write(&self, id: Uuid, key: &Key) -> Result<(), KeystoreError> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let path = directory.join(format!("{id}.{EXTENSION}"));
        let new = directory.join(format!("{id}.new"));
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new);
        let mut file = opened.map_err(failed("create", &new))?;
        file.write_all(&key.bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed("write", &new))?;
        fs::rename(&new, &path).map_err(failed("name", &path))?;
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(failed("sync", directory))
    }
}

fn read(path: &Path) -> Result<(Uuid, Key), KeystoreError> {
    let malformed = || KeystoreError::Malformed {
        path: path.to_owned(),
    };
    let name = path.file_stem().and_then(|stem| stem.to_str());
    let id = name
        .and_then(|stem| stem.parse().ok())
        .ok_or_else(malformed)?;
    let file = File::open(path).map_err(failed("open", path))?;
    let mode = file.metadata().map_err(failed("look at", path))?;
    let mode = mode.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(KeystoreError::Open { path, mode });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
    file.take(KEY_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed("read", path))?;
    let key = Key::read_whole(&bytes).ok_or_else(malformed)?;
    Ok((id, key))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeystoreError + use<> {
    let path = path.to_owned();
    move |source| KeystoreError::Io {
        action,
        path,
        source,
    }
}
