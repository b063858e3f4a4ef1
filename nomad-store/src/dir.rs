//! A data directory: who holds it, and which format it has.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::{Result, StoreError};

/// Name of the lock file in every data directory.
const LOCK_FILE: &str = "nomad.lock";
/// Name of the header file in every data directory.
const HEADER_FILE: &str = "nomad.format";
/// First word of the header file.
const MAGIC: &str = "NOMAD-STORE";
/// Newest directory format that this program reads and the one it writes.
const FORMAT: u32 = 1;
/// Longest header or lock file that is read.
const MAX_SMALL_FILE: u64 = 512;

/// A directory held by this process. Dropping it lets go.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the directory when it is missing, locks it and checks or writes its header.
    pub(crate) fn open(path: &Path, kind: &'static str) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(StoreError::io("create directory", path))?;
        let lock = lock(path)?;
        let dir = Self {
            path: path.to_path_buf(),
            _lock: lock,
        };
        dir.check_header(kind)?;
        Ok(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn check_header(&self, kind: &'static str) -> Result<()> {
        let path = self.path.join(HEADER_FILE);
        let not_ours = |what: String| StoreError::NotOurs {
            path: self.path.clone(),
            kind,
            what,
        };
        match read_small(&path) {
            Ok(text) => {
                let mut words = text.split_whitespace();
                if words.next() != Some(MAGIC) {
                    return Err(not_ours(format!(
                        "{HEADER_FILE} does not begin with {MAGIC}"
                    )));
                }
                let (format, found_kind, crc) = (words.next(), words.next(), words.next());
                let (Some(format), Some(found_kind), Some(crc)) = (format, found_kind, crc) else {
                    return Err(not_ours(format!("{HEADER_FILE} is cut off")));
                };
                if crc != header_crc(format, found_kind) {
                    return Err(StoreError::Corrupt {
                        path,
                        place: "header".into(),
                        what: "checksum does not match".into(),
                    });
                }
                let format: u32 = format
                    .parse()
                    .map_err(|_| not_ours(format!("{format:?} is not a format number")))?;
                if format > FORMAT {
                    return Err(StoreError::UnsupportedFormat {
                        path: self.path.clone(),
                        found: format,
                        supported: FORMAT,
                    });
                }
                if found_kind != kind_word(kind) {
                    return Err(not_ours(format!("it holds a {found_kind}")));
                }
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if let Some(other) = self.first_foreign_file()? {
                    return Err(not_ours(format!(
                        "it has no {HEADER_FILE} but holds {other:?}"
                    )));
                }
                let format = FORMAT.to_string();
                let kind = kind_word(kind);
                let crc = header_crc(&format, &kind);
                write_durably(&path, format!("{MAGIC} {format} {kind} {crc}\n").as_bytes())
            }
            Err(error) => Err(StoreError::io("read", &path)(error)),
        }
    }

    /// The name of a file that is not ours, in a directory without a header.
    fn first_foreign_file(&self) -> Result<Option<String>> {
        let entries = std::fs::read_dir(&self.path).map_err(StoreError::io("list", &self.path))?;
        for entry in entries {
            let entry = entry.map_err(StoreError::io("list", &self.path))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != LOCK_FILE && !name.starts_with(HEADER_FILE) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

fn kind_word(kind: &str) -> String {
    kind.replace(' ', "-")
}

fn header_crc(format: &str, kind: &str) -> String {
    format!(
        "{:08x}",
        crc32fast::hash(format!("{format} {kind}").as_bytes())
    )
}

fn lock(dir: &Path) -> Result<File> {
    let path = dir.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(StoreError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = read_small(&path).unwrap_or_default();
            let holder = holder.trim();
            return Err(StoreError::Locked {
                path: dir.to_path_buf(),
                holder: if holder.is_empty() {
                    "another process".into()
                } else {
                    holder.into()
                },
            });
        }
        Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &path)(error)),
    }
    let program = std::env::args_os()
        .next()
        .and_then(|arg| Some(Path::new(&arg).file_name()?.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "unknown program".into());
    let text = format!("process {} ({program})\n", std::process::id());
    file.set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| file.write_all(text.as_bytes()))
        .map_err(StoreError::io("write", &path))?;
    Ok(file)
}

fn read_small(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(MAX_SMALL_FILE)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// Writes a file so that it is either there with this content or not at all, also after a power cut.
pub(crate) fn write_durably(path: &Path, content: &[u8]) -> Result<()> {
    let temp = path.with_extension("format-new");
    let mut file = File::create(&temp).map_err(StoreError::io("create", &temp))?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(StoreError::io("write", &temp))?;
    std::fs::rename(&temp, path).map_err(StoreError::io("rename", &temp))?;
    sync_dir(path)
}

/// Makes the names in the directory that contains `path` durable.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(StoreError::io("sync directory", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_opener_is_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(dir.path(), "log").unwrap();
        let error = DataDir::open(dir.path(), "log").unwrap_err().to_string();
        assert!(
            error.contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        assert!(error.contains(&dir.path().display().to_string()), "{error}");
        drop(held);
        DataDir::open(dir.path(), "log").unwrap();
    }

    #[test]
    fn foreign_directories_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("photo.jpg"), b"x").unwrap();
        let error = DataDir::open(dir.path(), "log").unwrap_err().to_string();
        assert!(error.contains("photo.jpg"), "{error}");
    }

    #[test]
    fn header_names_kind_and_format() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataDir::open(dir.path(), "kv store").unwrap());
        let error = DataDir::open(dir.path(), "log").unwrap_err().to_string();
        assert!(error.contains("kv-store"), "{error}");

        let header = dir.path().join(HEADER_FILE);
        std::fs::write(
            &header,
            format!("{MAGIC} 9 log {}\n", header_crc("9", "log")),
        )
        .unwrap();
        let error = DataDir::open(dir.path(), "log").unwrap_err();
        assert!(
            matches!(error, StoreError::UnsupportedFormat { found: 9, .. }),
            "{error}"
        );

        std::fs::write(&header, format!("{MAGIC} 1 log 00000000\n")).unwrap();
        assert!(
            DataDir::open(dir.path(), "log")
                .unwrap_err()
                .is_corruption()
        );
        std::fs::write(&header, "").unwrap();
        DataDir::open(dir.path(), "log").unwrap_err();
    }
}
