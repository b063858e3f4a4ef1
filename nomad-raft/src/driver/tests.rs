//! Whole servers in one process, over the network in memory.

mod cluster;
#[cfg(feature = "rocksdb")]
mod disk;
mod single;

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{ApplyError, Committed, PeerInfo, RaftConfig, SnapshotWrite, StateMachine};

/// A state machine that remembers everything it was given. Clones share the state.
#[derive(Clone, Default)]
struct Recorder {
    state: Arc<Mutex<Vec<(u64, Bytes)>>>,
    /// Length of each call of `apply`.
    batches: Arc<Mutex<Vec<usize>>>,
    restored: Arc<Mutex<Vec<usize>>>,
}

impl Recorder {
    fn data(&self) -> Vec<String> {
        self.state
            .lock()
            .iter()
            .map(|(_, data)| String::from_utf8(data.to_vec()).unwrap())
            .collect()
    }

    fn len(&self) -> usize {
        self.state.lock().len()
    }
}

struct Image(Vec<(u64, Bytes)>);

impl SnapshotWrite for Image {
    fn write_to(self, out: &mut dyn Write) -> std::io::Result<()> {
        for (index, data) in self.0 {
            out.write_all(&index.to_be_bytes())?;
            out.write_all(&(data.len() as u32).to_be_bytes())?;
            out.write_all(&data)?;
        }
        Ok(())
    }
}

impl StateMachine for Recorder {
    /// How many entries there are now.
    type Output = usize;
    type Snapshot = Image;

    fn apply(&mut self, entries: &[Committed], outputs: &mut Vec<usize>) -> Result<(), ApplyError> {
        self.batches.lock().push(entries.len());
        let mut state = self.state.lock();
        for entry in entries {
            if entry.data == "unknown" {
                return Err(ApplyError::new(
                    entry.index,
                    "command kind 999 is unknown; upgrade this server",
                ));
            }
            assert!(entry.data != "panic", "asked to panic");
            assert!(state.last().is_none_or(|(last, _)| *last < entry.index));
            state.push((entry.index, entry.data.clone()));
            outputs.push(state.len());
        }
        Ok(())
    }

    fn snapshot(&self) -> Image {
        Image(self.state.lock().clone())
    }

    fn restore(&mut self, reader: &mut dyn Read) -> Result<(), ApplyError> {
        let mut bytes = Vec::new();
        reader
            .read_to_end(&mut bytes)
            .map_err(|e| ApplyError::new(0, e.to_string()))?;
        let mut rest = &bytes[..];
        let mut state = Vec::new();
        while !rest.is_empty() {
            let (index, after) = rest.split_first_chunk::<8>().unwrap();
            let (len, after) = after.split_first_chunk::<4>().unwrap();
            let (data, after) = after.split_at(u32::from_be_bytes(*len) as usize);
            state.push((u64::from_be_bytes(*index), Bytes::copy_from_slice(data)));
            rest = after;
        }
        self.restored.lock().push(state.len());
        *self.state.lock() = state;
        Ok(())
    }
}

/// Quick elections, and snapshots only when asked for.
fn config(id: u64) -> RaftConfig {
    RaftConfig {
        election_timeout: Duration::from_millis(100),
        snapshot_threshold: u64::MAX,
        snapshot_interval: Duration::ZERO,
        timeout: Duration::from_secs(10),
        ..RaftConfig::new(id)
    }
}

fn info(id: u64) -> PeerInfo {
    PeerInfo {
        node_id: format!("id-{id}"),
        name: format!("server-{id}"),
        address: format!("127.0.0.1:{id}"),
    }
}
