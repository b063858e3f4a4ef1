//! Snapshots as files of one directory: `<index>-<term>.snap`, both as sixteen hex digits.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    ForeignSink, KEPT, OwnSink, SnapshotInfo, SnapshotReader, SnapshotSink, SnapshotStore, Stage,
};
use crate::dir::{DataDir, sync_dir};
use crate::types::{LogPosition, SnapshotMeta};
use crate::{Result, StoreError};

const SUFFIX: &str = ".snap";
const PARTIAL: &str = ".partial";
/// Buffer for reading and writing.
const BUFFER: usize = 128 * 1024;

/// Snapshots in a directory of their own.
#[derive(Debug)]
pub struct FileSnapshots {
    dir: DataDir,
    next_partial: AtomicU64,
}

impl FileSnapshots {
    /// Opens the directory, creating it when it is missing, and removes what an interrupted write left.
    pub fn open(path: &Path) -> Result<Self> {
        let dir = DataDir::open(path, "snapshot")?;
        for name in names(path)? {
            if name.ends_with(PARTIAL) {
                let partial = path.join(name);
                std::fs::remove_file(&partial).map_err(StoreError::io("remove", &partial))?;
            }
        }
        Ok(Self {
            dir,
            next_partial: AtomicU64::new(0),
        })
    }

    fn stage(&self) -> Result<Box<FileStage>> {
        let n = self.next_partial.fetch_add(1, Ordering::Relaxed);
        let partial = self.dir.path().join(format!("{n}{PARTIAL}"));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&partial)
            .map_err(StoreError::io("create", &partial))?;
        Ok(Box::new(FileStage {
            out: BufWriter::with_capacity(BUFFER, file),
            partial,
            dir: self.dir.path().to_path_buf(),
            published: false,
        }))
    }
}

fn names(dir: &Path) -> Result<Vec<String>> {
    std::fs::read_dir(dir)
        .and_then(|entries| {
            entries
                .map(|e| Ok(e?.file_name().to_string_lossy().into_owned()))
                .collect()
        })
        .map_err(StoreError::io("list", dir))
}

fn file_name(position: LogPosition) -> String {
    format!("{:016x}-{:016x}{SUFFIX}", position.index, position.term)
}

fn parse_name(name: &str) -> Option<LogPosition> {
    let (index, term) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    Some(LogPosition {
        index: u64::from_str_radix(index, 16).ok()?,
        term: u64::from_str_radix(term, 16).ok()?,
    })
}

/// Positions of all snapshot files, newest first.
fn positions(dir: &Path) -> Result<Vec<LogPosition>> {
    let mut found: Vec<LogPosition> = names(dir)?.iter().filter_map(|n| parse_name(n)).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

struct FileStage {
    out: BufWriter<File>,
    partial: PathBuf,
    dir: PathBuf,
    published: bool,
}

impl Write for FileStage {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.out.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Stage for FileStage {
    fn reader(&mut self) -> Result<Box<dyn Read + '_>> {
        self.out
            .flush()
            .and_then(|()| self.out.get_mut().seek(SeekFrom::Start(0)))
            .map_err(StoreError::io("read back", &self.partial))?;
        Ok(Box::new(BufReader::with_capacity(
            BUFFER,
            self.out.get_mut(),
        )))
    }

    fn publish(mut self: Box<Self>, meta: SnapshotMeta) -> Result<SnapshotInfo> {
        self.out
            .flush()
            .and_then(|()| self.out.get_ref().sync_all())
            .map_err(StoreError::io("sync", &self.partial))?;
        let bytes = self
            .out
            .get_ref()
            .metadata()
            .map_err(StoreError::io("stat", &self.partial))?
            .len();
        let path = self.dir.join(file_name(meta.position()));
        std::fs::rename(&self.partial, &path).map_err(StoreError::io("rename", &self.partial))?;
        self.published = true;
        sync_dir(&path)?;
        for old in positions(&self.dir)?.into_iter().skip(KEPT) {
            let old = self.dir.join(file_name(old));
            std::fs::remove_file(&old).map_err(StoreError::io("remove", &old))?;
        }
        Ok(SnapshotInfo { meta, bytes })
    }
}

impl Drop for FileStage {
    fn drop(&mut self) {
        if !self.published {
            // Best effort: the next open removes it otherwise.
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

impl SnapshotStore for FileSnapshots {
    fn create(&self, meta: &SnapshotMeta) -> Result<Box<dyn SnapshotSink>> {
        let stage = self.stage()?;
        let path = stage.partial.clone();
        Ok(OwnSink::new(stage, meta, &path)?)
    }

    fn receive(&self) -> Result<Box<dyn SnapshotSink>> {
        let stage = self.stage()?;
        let path = stage.partial.clone();
        Ok(Box::new(ForeignSink { stage, path }))
    }

    fn list(&self) -> Result<Vec<SnapshotInfo>> {
        let mut found = Vec::new();
        for position in positions(self.dir.path())? {
            let path = self.dir.path().join(file_name(position));
            let file = match File::open(&path) {
                Ok(file) => file,
                // Removed by a newer snapshot since it was listed.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(StoreError::io("open", &path)(e)),
            };
            let bytes = file
                .metadata()
                .map_err(StoreError::io("stat", &path))?
                .len();
            match SnapshotReader::new(file, &path) {
                Ok(reader) => found.push(SnapshotInfo {
                    meta: reader.meta().clone(),
                    bytes,
                }),
                Err(error) => {
                    tracing::warn!(%error, "snapshot file is not usable and is passed over");
                }
            }
        }
        Ok(found)
    }

    fn open(&self, position: LogPosition) -> Result<Box<dyn Read + Send>> {
        let path = self.dir.path().join(file_name(position));
        match File::open(&path) {
            Ok(file) => Ok(Box::new(BufReader::with_capacity(BUFFER, file))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(StoreError::NoSnapshot {
                index: position.index,
                term: position.term,
            }),
            Err(e) => Err(StoreError::io("open", &path)(e)),
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}
