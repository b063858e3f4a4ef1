//! What survives a restart of the agent: allocations, the states of their tasks, handles, node meta, ids.
//!
//! Rows are MessagePack with named fields, so that fields can be added. A job version is stored once for all of its
//! allocations.

mod ids;
mod jobs;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use nomad_core::alloc::{AllocDeploymentStatus, AllocNetworkStatus, Allocation};
use nomad_core::task_state::TaskState;
use nomad_core::{AllocId, Uuid};
use nomad_drivers::TaskHandle;
use nomad_store::{Durability, KeyRange, KvBatch, KvStore, MAX_SCAN};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::machine::restart::RestartTracker;

pub use self::ids::{IdError, NodeIds};
pub use self::jobs::JobCache;

const ALLOCS: &str = "client_allocs";
const JOBS: &str = "client_jobs";
const TASKS: &str = "client_tasks";
const HANDLES: &str = "client_handles";
const META: &str = "client_meta";
/// The tables that the store must have.
pub const TABLES: [&str; 5] = [ALLOCS, JOBS, TASKS, HANDLES, META];

const NODE_META: &[u8] = b"node_meta";

/// Dynamic node meta; a null hides a static key.
pub type DynamicMeta = BTreeMap<String, Option<String>>;

/// A row cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The store failed.
    #[error("client state")]
    Store(#[from] nomad_store::StoreError),
    /// A row is damaged.
    #[error("client state: row of {what} cannot be decoded")]
    Decode {
        /// Which.
        what: String,
        /// The decoder's reason.
        source: rmp_serde::decode::Error,
    },
    /// A value cannot be written.
    #[error("client state: row of {what} cannot be encoded")]
    Encode {
        /// Which.
        what: String,
        /// The encoder's reason.
        source: rmp_serde::encode::Error,
    },
}

/// What is stored of an allocation beside what the servers sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllocRow {
    /// As the servers sent it, without its job.
    pub alloc: Allocation,
    /// Key of its job in the jobs table.
    pub job: Vec<u8>,
    /// Health, as decided here.
    pub health: Option<AllocDeploymentStatus>,
    /// Its own network.
    pub network: Option<AllocNetworkStatus>,
    /// Whether all hooks after its end have run.
    pub done: bool,
}

/// What is stored of a task at every event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskRow {
    /// Its state.
    pub state: TaskState,
    /// Its restarts.
    pub tracker: RestartTracker,
}

/// What is stored of a task when it starts and ends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HandleRow {
    /// To find its process again; `None` while there is none.
    pub handle: Option<TaskHandle>,
    /// The handle was noted before the start, and whether it came to the start is not known.
    pub starting: bool,
    /// Port map and address, if its driver made a network.
    pub network: Option<nomad_drivers::DriverNetwork>,
    /// Hooks that need not run again.
    pub hooks_done: BTreeSet<String>,
    /// Variables that hooks gave to the task, for commands run in it.
    pub hook_env: BTreeMap<String, String>,
}

/// A stored allocation with its job and tasks.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its row, with the job attached.
    pub row: AllocRow,
    /// Its tasks.
    pub tasks: BTreeMap<String, TaskRow>,
    /// Handles of its tasks.
    pub handles: BTreeMap<String, HandleRow>,
}

/// The client's tables.
#[derive(Clone)]
pub struct StateDb {
    kv: Arc<dyn KvStore>,
}

impl std::fmt::Debug for StateDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateDb").finish_non_exhaustive()
    }
}

impl StateDb {
    /// On a store that has [`TABLES`].
    pub fn new(kv: Arc<dyn KvStore>) -> Self {
        Self { kv }
    }

    /// Stores an allocation, and its job if that is new.
    pub fn put_alloc(&self, row: &AllocRow) -> Result<(), StateError> {
        let mut batch = KvBatch::new();
        if let Some(job) = &row.alloc.job {
            let key = jobs::key(job);
            if self.kv.get(JOBS, &key)?.is_none() {
                batch.put(
                    JOBS,
                    key,
                    encode(job.as_ref(), || format!("job {}", job.id))?,
                );
            }
        }
        let id = row.alloc.id;
        let what = || format!("allocation {id}");
        batch.put(ALLOCS, id.0.0.to_vec(), encode(row, what)?);
        Ok(self.kv.write(&batch, Durability::Buffered)?)
    }

    /// Stores a task.
    pub fn put_task(&self, alloc: AllocId, task: &str, row: &TaskRow) -> Result<(), StateError> {
        let value = encode(row, || format!("task {task:?} of allocation {alloc}"))?;
        Ok(self.kv.put(TASKS, &task_key(alloc, task), &value)?)
    }

    /// Stores a task whose process has ended, and in the same moment forgets how to find that process.
    pub fn put_ended_task(
        &self,
        alloc: AllocId,
        task: &str,
        row: &TaskRow,
    ) -> Result<(), StateError> {
        let key = task_key(alloc, task);
        let handle = HandleRow {
            handle: None,
            starting: false,
            network: None,
            ..self.handle(alloc, task)?.unwrap_or_default()
        };
        let mut batch = KvBatch::new();
        let what = || format!("task {task:?} of allocation {alloc}");
        batch.put(TASKS, key.clone(), encode(row, what)?);
        let what = || format!("handle of task {task:?} of allocation {alloc}");
        batch.put(HANDLES, key, encode(&handle, what)?);
        Ok(self.kv.write(&batch, Durability::Buffered)?)
    }

    /// Reads a task.
    pub fn task(&self, alloc: AllocId, task: &str) -> Result<Option<TaskRow>, StateError> {
        match self.kv.get(TASKS, &task_key(alloc, task))? {
            Some(bytes) => {
                decode(&bytes, || format!("task {task:?} of allocation {alloc}")).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Stores a task's handle.
    pub fn put_handle(
        &self,
        alloc: AllocId,
        task: &str,
        row: &HandleRow,
    ) -> Result<(), StateError> {
        let value = encode(row, || {
            format!("handle of task {task:?} of allocation {alloc}")
        })?;
        Ok(self.kv.put(HANDLES, &task_key(alloc, task), &value)?)
    }

    /// Reads a task's handle.
    pub fn handle(&self, alloc: AllocId, task: &str) -> Result<Option<HandleRow>, StateError> {
        match self.kv.get(HANDLES, &task_key(alloc, task))? {
            Some(bytes) => decode(&bytes, || {
                format!("handle of task {task:?} of allocation {alloc}")
            })
            .map(Some),
            None => Ok(None),
        }
    }

    /// Forgets an allocation and its tasks.
    pub fn delete_alloc(&self, alloc: AllocId) -> Result<(), StateError> {
        let mut batch = KvBatch::new();
        batch.delete(ALLOCS, alloc.0.0.to_vec());
        batch.delete_range(TASKS, KeyRange::prefix(&alloc.0.0));
        batch.delete_range(HANDLES, KeyRange::prefix(&alloc.0.0));
        Ok(self.kv.write(&batch, Durability::Buffered)?)
    }

    /// Forgets a job that no allocation has any more.
    pub fn delete_job(&self, key: &[u8]) -> Result<(), StateError> {
        Ok(self.kv.delete(JOBS, key)?)
    }

    /// All allocations. Damaged rows are told beside the good ones: one bad row must not keep the node from starting.
    pub fn load(
        &self,
        jobs: &JobCache,
    ) -> Result<(Vec<Stored>, Vec<(AllocId, StateError)>), StateError> {
        let mut found = Vec::new();
        let mut damaged = Vec::new();
        let mut used = BTreeSet::new();
        for (key, value) in self.rows(ALLOCS)? {
            let Ok(id) = <[u8; 16]>::try_from(key.as_ref()).map(|id| AllocId(Uuid(id))) else {
                continue;
            };
            match self.load_one(id, &value, jobs) {
                Ok(stored) => {
                    used.insert(stored.row.job.clone());
                    found.push(stored);
                }
                Err(error) => damaged.push((id, error)),
            }
        }
        for (key, _) in self.rows(JOBS)? {
            if !used.contains(key.as_ref()) {
                self.delete_job(&key)?;
            }
        }
        Ok((found, damaged))
    }

    fn load_one(&self, id: AllocId, value: &[u8], jobs: &JobCache) -> Result<Stored, StateError> {
        let mut row: AllocRow = decode(value, || format!("allocation {id}"))?;
        if let Some(bytes) = self.kv.get(JOBS, &row.job)? {
            let job = decode(&bytes, || format!("job of allocation {id}"))?;
            row.alloc.job = Some(jobs.intern(job));
        }
        Ok(Stored {
            row,
            tasks: self.of_tasks(TASKS, id)?,
            handles: self.of_tasks(HANDLES, id)?,
        })
    }

    fn of_tasks<T: DeserializeOwned>(
        &self,
        table: &str,
        id: AllocId,
    ) -> Result<BTreeMap<String, T>, StateError> {
        let mut rows = BTreeMap::new();
        for (key, value) in self.kv.scan(table, &KeyRange::prefix(&id.0.0), MAX_SCAN)? {
            let name = String::from_utf8_lossy(&key[16..]).into_owned();
            let row = decode(&value, || format!("task {name:?} of allocation {id}"))?;
            rows.insert(name, row);
        }
        Ok(rows)
    }

    fn rows(&self, table: &str) -> Result<Vec<(Bytes, Bytes)>, StateError> {
        let mut all = Vec::new();
        let mut range = KeyRange::all();
        loop {
            let page = self.kv.scan(table, &range, MAX_SCAN)?;
            let last = page.last().map(|(key, _)| key.clone());
            let full = page.len() >= MAX_SCAN;
            all.extend(page);
            match last {
                Some(last) if full => range = KeyRange::all().after(&last),
                _ => return Ok(all),
            }
        }
    }

    /// Dynamic node meta.
    pub fn node_meta(&self) -> Result<DynamicMeta, StateError> {
        match self.kv.get(META, NODE_META)? {
            Some(bytes) => decode(&bytes, || "node meta".to_owned()),
            None => Ok(DynamicMeta::new()),
        }
    }

    /// Stores dynamic node meta; it is on disk when this returns.
    pub fn put_node_meta(&self, meta: &DynamicMeta) -> Result<(), StateError> {
        let mut batch = KvBatch::new();
        batch.put(META, NODE_META, encode(meta, || "node meta".to_owned())?);
        Ok(self.kv.write(&batch, Durability::Synced)?)
    }
}

fn task_key(alloc: AllocId, task: &str) -> Vec<u8> {
    let mut key = alloc.0.0.to_vec();
    key.extend(task.as_bytes());
    key
}

fn encode<T: Serialize>(value: &T, what: impl Fn() -> String) -> Result<Vec<u8>, StateError> {
    rmp_serde::to_vec_named(value).map_err(|source| StateError::Encode {
        what: what(),
        source,
    })
}

fn decode<T: DeserializeOwned>(bytes: &[u8], what: impl Fn() -> String) -> Result<T, StateError> {
    rmp_serde::from_slice(bytes).map_err(|source| StateError::Decode {
        what: what(),
        source,
    })
}
