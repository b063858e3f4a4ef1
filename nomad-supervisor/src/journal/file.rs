//! The journal's file: append, and write anew when most of it is history.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{MAGIC, Record, TaskRecord, encode, replay};

/// Below this size the file is never written anew, in bytes.
const MIN_COMPACT_BYTES: u64 = 256 << 10;
/// The file is written anew when it is so many times as large as what it holds.
const COMPACT_FACTOR: u64 = 4;
/// A journal larger than this is not ours, in bytes.
const MAX_JOURNAL_BYTES: u64 = 256 << 20;

/// The open journal.
pub(crate) struct JournalFile {
    path: PathBuf,
    file: File,
    size: u64,
    /// Size after it was last written anew.
    base: u64,
}

impl JournalFile {
    /// Reads the journal and writes it anew with only what still counts.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, BTreeMap<String, TaskRecord>)> {
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(file) => {
                file.take(MAX_JOURNAL_BYTES).read_to_end(&mut bytes)?;
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        let (tasks, good) = replay(&bytes);
        if good < bytes.len() {
            tracing::warn!(
                good,
                ignored = bytes.len() - good,
                "the end of the journal is damaged and is ignored"
            );
        }
        let (file, size) = write_anew(path, tasks.values())?;
        Ok((
            Self {
                path: path.to_owned(),
                file,
                size,
                base: size,
            },
            tasks,
        ))
    }

    /// Appends a record, in one write.
    pub(crate) fn append(&mut self, record: &Record) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(512);
        encode(record, &mut bytes).map_err(io::Error::other)?;
        if let Err(e) = self.file.write_all(&bytes) {
            // A half-written record would hide all later ones.
            let _ = self
                .file
                .set_len(self.size)
                .and_then(|()| self.file.seek(io::SeekFrom::Start(self.size)));
            return Err(e);
        }
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Whether most of the file is history.
    pub(crate) fn wants_compaction(&self) -> bool {
        self.size > MIN_COMPACT_BYTES.max(self.base * COMPACT_FACTOR)
    }

    /// Writes the file anew with these tasks.
    pub(crate) fn compact<'a>(
        &mut self,
        tasks: impl Iterator<Item = &'a TaskRecord>,
    ) -> io::Result<()> {
        let (file, size) = write_anew(&self.path, tasks)?;
        (self.file, self.size, self.base) = (file, size, size);
        Ok(())
    }
}

fn write_anew<'a>(
    path: &Path,
    tasks: impl Iterator<Item = &'a TaskRecord>,
) -> io::Result<(File, u64)> {
    let mut bytes = MAGIC.to_vec();
    for task in tasks {
        encode(&Record::Started(Box::new(task.clone())), &mut bytes).map_err(io::Error::other)?;
    }
    let draft = path.with_extension("journal.new");
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(&bytes)?;
    fs::rename(&draft, path)?;
    Ok((file, bytes.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::super::tests::task;
    use super::*;

    #[test]
    fn records_survive_reopening_torn_ends_and_compaction() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let path = tmp.path().join("j");
        let (mut journal, tasks) = JournalFile::open(&path).expect("open");
        assert!(tasks.is_empty());
        for n in 0..3 {
            journal
                .append(&Record::Started(Box::new(task(n))))
                .expect("append");
        }
        journal
            .append(&Record::Removed { id: task(1).id })
            .expect("append");
        OpenOptions::new()
            .append(true)
            .open(&path)
            .expect("open")
            .write_all(b"\0\0\0\x30torn")
            .expect("write");

        let (mut journal, tasks) = JournalFile::open(&path).expect("open");
        assert_eq!(tasks.into_values().collect::<Vec<_>>(), [task(0), task(2)]);
        while !journal.wants_compaction() {
            journal
                .append(&Record::Started(Box::new(task(4))))
                .expect("append");
        }
        journal.compact([task(4)].iter()).expect("compact");
        journal
            .append(&Record::Started(Box::new(task(3))))
            .expect("append");
        assert!(!journal.wants_compaction());
        let (_, tasks) = JournalFile::open(&path).expect("open");
        assert_eq!(tasks.into_values().collect::<Vec<_>>(), [task(3), task(4)]);
    }
}
