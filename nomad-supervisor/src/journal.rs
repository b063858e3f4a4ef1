//! What a new supervisor must know of the tasks of the one before it: records, their encoding, and the file.
//!
//! The file is not synced: it need only survive processes, not the machine, since no task does.

mod file;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use file::JournalFile;

use crate::types::{CgroupSpec, KillSpec, LogSpec, TaskExit};

/// First bytes of the file; the last digit is the format's number.
const MAGIC: &[u8; 8] = b"NSUPJRN1";
/// Length and checksum in front of each record.
const HEADER_BYTES: usize = 8;
/// Largest record accepted.
const MAX_RECORD_BYTES: usize = 64 << 10;

/// A task as the journal knows it. Its environment and arguments are not kept: they may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskRecord {
    pub(crate) id: String,
    pub(crate) pid: i32,
    pub(crate) start_time_ticks: u64,
    /// Which boot of the machine the pid belongs to.
    pub(crate) boot_id: String,
    pub(crate) started_unix_ns: i64,
    pub(crate) logs: Option<LogSpec>,
    /// The cgroup's absolute path and whether it is foreign.
    pub(crate) cgroup: Option<(PathBuf, CgroupSpec)>,
    pub(crate) kill: KillSpec,
    pub(crate) warnings: Vec<String>,
    pub(crate) exit: Option<TaskExit>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Record {
    /// A process exists for the task; it runs its program only after this is written.
    Started(Box<TaskRecord>),
    Exited {
        id: String,
        exit: TaskExit,
    },
    Removed {
        id: String,
    },
}

/// The tasks that a journal's bytes leave, and how many of the bytes are good. Whatever follows the first damaged
/// record is a torn end and is ignored.
pub(crate) fn replay(bytes: &[u8]) -> (BTreeMap<String, TaskRecord>, usize) {
    let mut tasks = BTreeMap::new();
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        return (tasks, 0);
    };
    while let Some((record, tail)) = next_record(rest) {
        rest = tail;
        match record {
            Record::Started(task) => {
                tasks.insert(task.id.clone(), *task);
            }
            Record::Exited { id, exit } => {
                if let Some(task) = tasks.get_mut(&id) {
                    task.exit = Some(exit);
                }
            }
            Record::Removed { id } => {
                tasks.remove(&id);
            }
        }
    }
    (tasks, bytes.len() - rest.len())
}

fn next_record(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
    let length = u32::from_be_bytes(header[..4].try_into().ok()?) as usize;
    let checksum = u32::from_be_bytes(header[4..].try_into().ok()?);
    if length > MAX_RECORD_BYTES {
        return None;
    }
    let (body, rest) = rest.split_at_checked(length)?;
    if crc32(body) != checksum {
        return None;
    }
    Some((rmp_serde::from_slice(body).ok()?, rest))
}

/// Appends the record's bytes. A record that is too large is refused.
pub(crate) fn encode(record: &Record, into: &mut Vec<u8>) -> Result<(), String> {
    let body = rmp_serde::to_vec_named(record).map_err(|e| e.to_string())?;
    if body.len() > MAX_RECORD_BYTES {
        return Err(format!(
            "journal record of {} bytes is over the limit of {MAX_RECORD_BYTES}",
            body.len()
        ));
    }
    into.extend_from_slice(&(body.len() as u32).to_be_bytes());
    into.extend_from_slice(&crc32(&body).to_be_bytes());
    into.extend_from_slice(&body);
    Ok(())
}

/// CRC-32 (IEEE 802.3), bit by bit: records are small and few.
fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xEDB8_8320;
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| {
            (c >> 1) ^ if c & 1 == 1 { POLYNOMIAL } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::ExitStatus;

    pub(super) fn task(n: u8) -> TaskRecord {
        TaskRecord {
            id: format!("alloc-{n}/web/0000000{n}"),
            pid: i32::from(n) + 2,
            start_time_ticks: 99 + u64::from(n),
            boot_id: "b".into(),
            started_unix_ns: 5,
            logs: Some(LogSpec {
                dir: "/l".into(),
                task: "web".into(),
                max_files: 10,
                max_file_size: 10 << 20,
            }),
            cgroup: Some((
                "/sys/fs/cgroup/x".into(),
                CgroupSpec {
                    path: "x".into(),
                    foreign: false,
                },
            )),
            kill: KillSpec::default(),
            warnings: vec!["w".into()],
            exit: None,
        }
    }

    fn exit(code: i32) -> TaskExit {
        TaskExit {
            status: ExitStatus::Exited { code },
            oom_killed: false,
            at_unix_ns: 7,
        }
    }

    fn record() -> impl Strategy<Value = Record> {
        let id = |n: u8| task(n).id;
        prop_oneof![
            (0_u8..5).prop_map(|n| Record::Started(Box::new(task(n)))),
            (0_u8..5, 0..3).prop_map(move |(n, code)| Record::Exited {
                id: id(n),
                exit: exit(code)
            }),
            (0_u8..5).prop_map(move |n| Record::Removed { id: id(n) }),
        ]
    }

    fn bytes_of(records: &[Record]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for record in records {
            encode(record, &mut bytes).expect("encodes");
        }
        bytes
    }

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_foreign_file_is_empty() {
        assert_eq!(replay(b"something else entirely").1, 0);
        assert_eq!(replay(b"").1, 0);
    }

    proptest! {
        /// Cutting the journal anywhere gives what the whole records before the cut give.
        #[test]
        fn a_torn_end_is_ignored(records in prop::collection::vec(record(), 0..12), cut in any::<prop::sample::Index>()) {
            let bytes = bytes_of(&records);
            let cut = MAGIC.len() + cut.index(bytes.len() - MAGIC.len() + 1);
            let (tasks, good) = replay(&bytes[..cut]);
            prop_assert!(good <= cut);
            let whole = (0..=records.len()).rev().find(|n| bytes_of(&records[..*n]).len() <= cut).expect("at least none");
            let expected = bytes_of(&records[..whole]);
            prop_assert_eq!(good, expected.len());
            prop_assert_eq!(tasks, replay(&expected).0);
        }

        /// A damaged byte costs at most the records from there on, and never panics.
        #[test]
        fn damage_is_noticed(records in prop::collection::vec(record(), 1..8), at in any::<prop::sample::Index>(), flip in 1_u8..) {
            let mut bytes = bytes_of(&records);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let (_, good) = replay(&bytes);
            prop_assert!(good <= at);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut file = MAGIC.to_vec();
            file.extend(bytes);
            replay(&file);
        }
    }
}
