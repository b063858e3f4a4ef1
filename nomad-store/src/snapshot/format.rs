//! The bytes of a snapshot file.
//!
//! ```text
//! magic "NOMADSNP"   8 bytes
//! format             u32          numbers are big-endian
//! header length      u32          at most 1 MiB
//! header             MessagePack  SnapshotMeta: index, term, members
//! header checksum    u32          CRC-32 of all before
//! chunk*             u32 length (1 byte to 1 MiB), u32 CRC-32 of the bytes, the bytes
//! end                u32 zero
//! length             u64          bytes of all chunks together
//! digest             32 bytes     SHA-256 of the header and all chunk bytes
//! ```
//!
//! Chunks are checked before their bytes are handed on; the digest proves that all of them came, in order.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::SnapshotInfo;
use crate::types::SnapshotMeta;
use crate::{Result, StoreError};

/// First bytes of a snapshot file.
pub const MAGIC: [u8; 8] = *b"NOMADSNP";
/// Newest format that this program reads and the one it writes.
pub const FORMAT: u32 = 1;
/// Largest header.
const MAX_HEADER: u32 = 1024 * 1024;
/// Largest chunk that is read.
const MAX_CHUNK: u32 = 1024 * 1024;
/// Size of the chunks that are written.
const CHUNK: usize = 64 * 1024;

/// Writes a snapshot: state bytes go in by `Write`, and [`SnapshotWriter::finish`] ends it. Without that the file
/// is incomplete and every reader says so.
pub struct SnapshotWriter<W> {
    out: W,
    path: PathBuf,
    chunk: Vec<u8>,
    digest: Sha256,
    length: u64,
}

impl<W: Write> SnapshotWriter<W> {
    /// Writes the header. `path` is for messages.
    pub fn new(mut out: W, meta: &SnapshotMeta, path: &Path) -> Result<Self> {
        let body = rmp_serde::to_vec_named(meta).expect("plain data in memory");
        if body.len() as u64 > u64::from(MAX_HEADER) {
            return Err(StoreError::TooLarge {
                what: "snapshot header",
                size: body.len() as u64,
                limit: u64::from(MAX_HEADER),
            });
        }
        let mut header = Vec::with_capacity(body.len() + 20);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&FORMAT.to_be_bytes());
        header.extend_from_slice(&(body.len() as u32).to_be_bytes());
        header.extend_from_slice(&body);
        let crc = crc32fast::hash(&header);
        header.extend_from_slice(&crc.to_be_bytes());
        out.write_all(&header)
            .map_err(StoreError::io("write", path))?;
        let mut digest = Sha256::new();
        digest.update(&header);
        Ok(Self {
            out,
            path: path.to_path_buf(),
            chunk: Vec::with_capacity(CHUNK),
            digest,
            length: 0,
        })
    }

    fn write_chunk(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        self.out
            .write_all(&(self.chunk.len() as u32).to_be_bytes())?;
        self.out
            .write_all(&crc32fast::hash(&self.chunk).to_be_bytes())?;
        self.out.write_all(&self.chunk)?;
        self.digest.update(&self.chunk);
        self.length += self.chunk.len() as u64;
        self.chunk.clear();
        Ok(())
    }

    fn write_end(&mut self) -> io::Result<()> {
        self.write_chunk()?;
        self.out.write_all(&0u32.to_be_bytes())?;
        self.out.write_all(&self.length.to_be_bytes())?;
        let digest = std::mem::take(&mut self.digest).finalize();
        self.out.write_all(&digest)?;
        self.out.flush()
    }

    /// Writes the end and gives the inner writer back.
    pub fn finish(mut self) -> Result<W> {
        self.write_end()
            .map_err(StoreError::io("write", &self.path))?;
        Ok(self.out)
    }
}

impl<W: Write> Write for SnapshotWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let take = buf.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&buf[..take]);
        if self.chunk.len() == CHUNK {
            self.write_chunk()?;
        }
        Ok(take)
    }

    /// Chunks go out when they are full or at the end, so that the file does not depend on how often this is called.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a snapshot: state bytes come out by `Read`, every one of them checked. The end of the file is reported
/// only after the digest has matched; anything else is an error.
pub struct SnapshotReader<R> {
    input: R,
    path: PathBuf,
    meta: SnapshotMeta,
    chunk: Vec<u8>,
    at: usize,
    digest: Sha256,
    length: u64,
    /// Bytes of the file read so far.
    offset: u64,
    done: bool,
}

impl<R: Read> SnapshotReader<R> {
    /// Reads and checks the header. `path` is for messages.
    pub fn new(input: R, path: &Path) -> Result<Self> {
        let mut reader = Self {
            input,
            path: path.to_path_buf(),
            meta: SnapshotMeta::default(),
            chunk: Vec::new(),
            at: 0,
            digest: Sha256::new(),
            length: 0,
            offset: 0,
            done: false,
        };
        reader.read_header()?;
        Ok(reader)
    }

    /// What the snapshot contains.
    pub fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    fn bad(&self, what: impl Into<String>) -> StoreError {
        StoreError::Corrupt {
            path: self.path.clone(),
            place: format!("snapshot offset {}", self.offset),
            what: what.into(),
        }
    }

    fn fill(&mut self, buf: &mut [u8]) -> Result<()> {
        match self.input.read_exact(buf) {
            Ok(()) => {
                self.offset += buf.len() as u64;
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.bad("the file ends too early"))
            }
            Err(e) => Err(StoreError::io("read", &self.path)(e)),
        }
    }

    fn read_u32(&mut self) -> Result<u32> {
        let mut buf = [0; 4];
        self.fill(&mut buf)?;
        Ok(u32::from_be_bytes(buf))
    }

    fn read_header(&mut self) -> Result<()> {
        let mut start = [0; 16];
        let magic = &mut start[..8];
        self.fill(magic)?;
        if *magic != MAGIC {
            return Err(StoreError::NotOurs {
                path: self.path.clone(),
                kind: "snapshot",
                what: format!("it begins with {:?}", String::from_utf8_lossy(magic)),
            });
        }
        self.fill(&mut start[8..])?;
        let format = u32::from_be_bytes([start[8], start[9], start[10], start[11]]);
        if format != FORMAT {
            return Err(StoreError::UnsupportedFormat {
                path: self.path.clone(),
                found: format,
                supported: FORMAT,
            });
        }
        let length = u32::from_be_bytes([start[12], start[13], start[14], start[15]]);
        if length > MAX_HEADER {
            return Err(self.bad(format!("header length {length} is above {MAX_HEADER}")));
        }
        let mut header = start.to_vec();
        header.resize(16 + length as usize, 0);
        self.fill(&mut header[16..])?;
        let crc = self.read_u32()?;
        if crc != crc32fast::hash(&header) {
            return Err(self.bad("header checksum does not match"));
        }
        self.meta =
            rmp_serde::from_slice(&header[16..]).map_err(|e| self.bad(format!("header: {e}")))?;
        self.digest.update(&header);
        self.digest.update(crc.to_be_bytes());
        Ok(())
    }

    /// Reads the next chunk into the buffer, or the end.
    fn next_chunk(&mut self) -> Result<()> {
        self.at = 0;
        self.chunk.clear();
        let length = self.read_u32()?;
        if length == 0 {
            return self.read_end();
        }
        if length > MAX_CHUNK {
            return Err(self.bad(format!("chunk length {length} is above {MAX_CHUNK}")));
        }
        let crc = self.read_u32()?;
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.resize(length as usize, 0);
        self.fill(&mut chunk)?;
        if crc32fast::hash(&chunk) != crc {
            return Err(self.bad("chunk checksum does not match"));
        }
        self.digest.update(&chunk);
        self.length += u64::from(length);
        self.chunk = chunk;
        Ok(())
    }

    fn read_end(&mut self) -> Result<()> {
        let mut length = [0; 8];
        self.fill(&mut length)?;
        let mut digest = [0; 32];
        self.fill(&mut digest)?;
        if u64::from_be_bytes(length) != self.length {
            return Err(self.bad(format!(
                "has {} bytes of state, its end says {}",
                self.length,
                u64::from_be_bytes(length)
            )));
        }
        if std::mem::take(&mut self.digest).finalize()[..] != digest {
            return Err(self.bad("digest does not match"));
        }
        self.done = true;
        Ok(())
    }

    /// Reads what is left and checks the end. The result is the size of the whole file.
    pub fn finish(mut self) -> Result<u64> {
        while !self.done {
            self.next_chunk()?;
        }
        Ok(self.offset)
    }
}

impl<R: Read> Read for SnapshotReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() && !self.done && !buf.is_empty() {
            self.next_chunk()?;
        }
        let n = buf.len().min(self.chunk.len() - self.at);
        buf[..n].copy_from_slice(&self.chunk[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// Reads and checks a whole snapshot without using its state.
pub fn inspect(input: impl Read, path: &Path) -> Result<SnapshotInfo> {
    let reader = SnapshotReader::new(input, path)?;
    let meta = reader.meta().clone();
    let bytes = reader.finish()?;
    Ok(SnapshotInfo { meta, bytes })
}
