//! What the RocksDB log and tables share: options for small memory, errors with paths, and proof that nothing
//! that was synced has gone missing.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use parking_lot::Mutex;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, ErrorKind, LogLevel, Options, WriteBatch, WriteOptions,
};

use crate::dir::DataDir;
use crate::types::Durability;
use crate::{Result, StoreError};

/// Name of the file that remembers how far the database was synced.
const SYNCED_FILE: &str = "nomad.synced";

/// Memory and file limits of one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RocksOptions {
    /// Bytes of recent writes per column family kept in memory before they go to a file.
    pub write_buffer_bytes: usize,
    /// Bytes of file blocks cached.
    pub block_cache_bytes: usize,
    /// Threads for flush and compaction.
    pub background_jobs: i32,
    /// Open files kept.
    pub open_files: i32,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self {
            write_buffer_bytes: 4 * 1024 * 1024,
            block_cache_bytes: 2 * 1024 * 1024,
            background_jobs: 2,
            open_files: 64,
        }
    }
}

/// Whether the files may be changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    ReadOnly,
    ReadWrite,
}

/// Opens the engine with these column families beside `default`.
fn open_engine(
    path: &Path,
    families: &[&str],
    options: RocksOptions,
    access: Access,
) -> Result<DB> {
    let mut db = Options::default();
    db.create_if_missing(true);
    db.create_missing_column_families(true);
    // A write cut off by a crash is dropped. The engine cannot tell that from damage further up in its newest
    // write-ahead log; `SyncMark` can.
    db.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    db.set_max_background_jobs(options.background_jobs);
    db.set_max_open_files(options.open_files);
    db.set_db_write_buffer_size(options.write_buffer_bytes * 2);
    db.set_max_total_wal_size(32 * 1024 * 1024);
    db.set_keep_log_file_num(2);
    db.set_max_log_file_size(1024 * 1024);
    db.set_log_level(LogLevel::Warn);
    db.set_stats_dump_period_sec(0);
    db.set_stats_persist_period_sec(0);
    db.set_skip_stats_update_on_db_open(true);
    db.set_max_manifest_file_size(1024 * 1024);

    let cache = Cache::new_lru_cache(options.block_cache_bytes);
    let family = |name: &str| {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&cache);
        table.set_block_size(16 * 1024);
        table.set_cache_index_and_filter_blocks(true);
        let mut cf = Options::default();
        cf.set_block_based_table_factory(&table);
        cf.set_write_buffer_size(options.write_buffer_bytes);
        cf.set_max_write_buffer_number(2);
        // Small arenas: an idle table must not hold half a megabyte.
        cf.set_arena_block_size(64 * 1024);
        cf.set_compression_type(DBCompressionType::Lz4);
        ColumnFamilyDescriptor::new(name, cf)
    };
    let descriptors = std::iter::once("default")
        .chain(families.iter().copied())
        .map(family);
    let opened = match access {
        Access::ReadOnly => DB::open_cf_descriptors_read_only(&db, path, descriptors, false),
        Access::ReadWrite => DB::open_cf_descriptors(&db, path, descriptors),
    };
    opened.map_err(|e| error(path, "open", &e))
}

/// Turns an error of the engine into one with a path and a way out.
pub(crate) fn error(path: &Path, op: &'static str, e: &rocksdb::Error) -> StoreError {
    match e.kind() {
        ErrorKind::Corruption => StoreError::Corrupt {
            path: path.to_path_buf(),
            place: format!("database files, on {op}"),
            what: e.to_string(),
        },
        ErrorKind::IOError => StoreError::Io {
            op,
            path: path.to_path_buf(),
            source: std::io::Error::other(e.to_string()),
        },
        _ => StoreError::Engine {
            path: path.to_path_buf(),
            what: format!("{op}: {e}"),
        },
    }
}

/// How far a database was synced, in a file beside it: the engine's count of writes.
///
/// The engine drops everything behind the first bad record of its write-ahead log, because that is what a crash in
/// the middle of a write looks like. This mark tells the two apart: what was synced must be there. The file itself
/// is not synced, so after a power cut it may be old (a weaker check), but it is never ahead of the data.
struct SyncMark {
    file: File,
    count: Mutex<u64>,
}

impl SyncMark {
    fn open(dir: &Path) -> Result<(Self, Option<u64>)> {
        let path = dir.join(SYNCED_FILE);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        let mut buf = [0; 12];
        // Too short or torn is as good as absent: then nothing is known.
        let known = file.read_exact_at(&mut buf, 0).is_ok();
        let (count, crc) = buf.split_at(8);
        let known = known && crc32fast::hash(count).to_be_bytes() == crc;
        let count = count.try_into().map(u64::from_be_bytes).unwrap_or_default();
        let known = known.then_some(count);
        let mark = Self {
            file,
            count: Mutex::new(known.unwrap_or_default()),
        };
        Ok((mark, known))
    }

    fn raise(&self, count: u64) {
        let mut current = self.count.lock();
        if count <= *current {
            return;
        }
        *current = count;
        let mut buf = [0; 12];
        buf[..8].copy_from_slice(&count.to_be_bytes());
        let crc = crc32fast::hash(&buf[..8]);
        buf[8..].copy_from_slice(&crc.to_be_bytes());
        if let Err(error) = self.file.write_all_at(&buf, 0) {
            // The data is safe; only the next check is weaker.
            tracing::warn!(%error, "cannot update {SYNCED_FILE}");
        }
    }
}

/// An open database in a locked directory.
pub(crate) struct Database {
    pub(crate) db: DB,
    mark: SyncMark,
    dir: DataDir,
}

/// Writes that were synced and are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost(pub(crate) u64);

impl Lost {
    pub(crate) fn what(self) -> String {
        format!(
            "the database ends {} writes too early; they were on disk when the server last ran",
            self.0
        )
    }
}

impl Database {
    /// Opens a database with these column families beside `default`, and says whether synced writes are missing. If
    /// they are, nothing is changed on disk, and the database should not be used.
    pub(crate) fn open(
        dir: DataDir,
        families: &[&str],
        options: RocksOptions,
    ) -> Result<(Self, Option<Lost>)> {
        let (mark, synced) = SyncMark::open(dir.path())?;
        let missing = |db: &DB| {
            let lost = synced?.checked_sub(db.latest_sequence_number())?;
            (lost > 0).then_some(Lost(lost))
        };
        // Opening for writing replaces the write-ahead log by what could be read of it. A damaged one must stay as it is,
        // so it is looked at first. What this cannot open at all is the second one's to explain.
        if synced.is_some()
            && let Ok(db) = open_engine(dir.path(), families, options, Access::ReadOnly)
            && let Some(lost) = missing(&db)
        {
            return Ok((Self { db, mark, dir }, Some(lost)));
        }
        let db = open_engine(dir.path(), families, options, Access::ReadWrite)?;
        let lost = missing(&db);
        Ok((Self { db, mark, dir }, lost))
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn family(&self, name: &str) -> Option<&ColumnFamily> {
        self.db.cf_handle(name)
    }

    /// Makes a closure that gives an engine error its path.
    pub(crate) fn fail(&self, op: &'static str) -> impl Fn(rocksdb::Error) -> StoreError {
        move |e| error(self.path(), op, &e)
    }

    pub(crate) fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        let synced = durability == Durability::Synced;
        // All that has these numbers, ours or another thread's, lies in the write-ahead log no later than our batch.
        let reached = self.db.latest_sequence_number() + batch.len() as u64;
        let mut options = WriteOptions::default();
        options.set_sync(synced);
        self.db
            .write_opt(batch, &options)
            .map_err(self.fail("write to"))?;
        if synced {
            self.mark.raise(reached);
        }
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<()> {
        let count = self.db.latest_sequence_number();
        self.db.flush_wal(true).map_err(self.fail("sync"))?;
        self.mark.raise(count);
        Ok(())
    }
}
