//! The bytes of one log record: header, context, data and a checksum that also covers the index.

use std::path::Path;

use bytes::{Buf, BufMut, Bytes};

use crate::types::{EntryKind, LogEntry, MAX_ENTRY_BYTES};
use crate::{Result, StoreError};

/// Format number of a record; the first byte.
const FORMAT: u8 = 1;
/// Format, kind, term, context length.
const HEADER: usize = 1 + 1 + 8 + 4;
/// The trailing checksum.
const CRC: usize = 4;

/// Encodes an entry into `out`, which is cleared first.
pub(super) fn encode(entry: &LogEntry, out: &mut Vec<u8>) -> Result<()> {
    if entry.size() > MAX_ENTRY_BYTES {
        return Err(StoreError::TooLarge {
            what: "log entry",
            size: entry.size(),
            limit: MAX_ENTRY_BYTES,
        });
    }
    out.clear();
    out.reserve(HEADER + entry.context.len() + entry.data.len() + CRC);
    out.put_u8(FORMAT);
    out.put_u8(entry.kind as u8);
    out.put_u64(entry.term);
    out.put_u32(entry.context.len() as u32);
    out.extend_from_slice(&entry.context);
    out.extend_from_slice(&entry.data);
    let crc = checksum(entry.index, out);
    out.put_u32(crc);
    Ok(())
}

/// Decodes the record stored under `index`.
pub(super) fn decode(path: &Path, index: u64, mut record: Bytes) -> Result<LogEntry> {
    let bad = |what: String| StoreError::CorruptLog {
        path: path.to_path_buf(),
        index,
        what,
    };
    if record.len() < HEADER + CRC {
        return Err(bad(format!(
            "record of {} bytes is too short",
            record.len()
        )));
    }
    let body = record.len() - CRC;
    let stored = (&record[body..]).get_u32();
    let found = checksum(index, &record[..body]);
    if stored != found {
        return Err(bad(format!(
            "checksum is {found:08x}, the record says {stored:08x}"
        )));
    }
    record.truncate(body);
    let format = record.get_u8();
    if format != FORMAT {
        return Err(StoreError::UnsupportedFormat {
            path: path.to_path_buf(),
            found: u32::from(format),
            supported: u32::from(FORMAT),
        });
    }
    let kind = record.get_u8();
    let kind =
        EntryKind::from_u8(kind).ok_or_else(|| bad(format!("entry kind {kind} is unknown")))?;
    let term = record.get_u64();
    let context_len = record.get_u32() as usize;
    if context_len > record.len() {
        return Err(bad("context is longer than the record".into()));
    }
    let context = record.split_to(context_len);
    Ok(LogEntry {
        index,
        term,
        kind,
        data: record,
        context,
    })
}

fn checksum(index: u64, body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&index.to_be_bytes());
    crc.update(body);
    crc.finalize()
}
