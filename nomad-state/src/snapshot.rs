//! Snapshots: the whole state as a stream of records, written from a pointer copy while the server goes on.
//!
//! A record is its kind (u8), its length (u32, big-endian) and a MessagePack body. Jobs come first, each distinct job
//! once with a number; versions and allocations refer to those numbers. The header (magic, format, checksum) around
//! the stream is `nomad-store`'s.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use nomad_core::alloc::Allocation;
use nomad_core::deployment::Deployment;
use nomad_core::eval::Evaluation;
use nomad_core::job::{Job, ScalingPolicy};
use nomad_core::node::{Node, NodePool};
use nomad_core::scheduler_config::SchedulerConfiguration;
use nomad_core::summary::JobSummary;
use nomad_core::{JobKey, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::apply::Restoring;
use crate::command::{JobSubmission, NamespaceRow, ScalingEvent};
use crate::state::State;
use crate::table::{TABLE_COUNT, Table};
use crate::tables::{Tables, Txn};
use crate::variable::{RootKeyRow, VariableRow};

/// Largest record that is read: far above the largest job, far below what would hurt.
pub(crate) const MAX_RECORD_BYTES: u32 = 64 << 20;

/// A snapshot cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("snapshot stream failed")]
    Io(#[from] io::Error),
    #[error("snapshot record of kind {kind} cannot be written")]
    Encode {
        kind: u8,
        #[source]
        source: rmp_serde::encode::Error,
    },
    #[error("snapshot record {record} of kind {kind} is malformed")]
    Decode {
        kind: u8,
        record: u64,
        #[source]
        source: rmp_serde::decode::Error,
    },
    #[error("snapshot record {record} has unknown kind {kind}: it was written by a newer program")]
    UnknownKind { kind: u8, record: u64 },
    #[error("snapshot record {record} of {len} bytes is over the limit of {MAX_RECORD_BYTES}")]
    TooLarge { record: u64, len: u32 },
    #[error("snapshot record {record} names job {number}, which was not written before it")]
    UnknownJob { record: u64, number: u32 },
    #[error("snapshot ends after record {record} without its end record")]
    Truncated { record: u64 },
}

macro_rules! kinds {
    ($($name:ident = $value:literal),* $(,)?) => { $(const $name: u8 = $value;)* };
}

kinds! {
    META = 1, JOB = 2, VERSIONS = 3, SUMMARY = 4, SUBMISSION = 5, NODE = 6, NODE_POOL = 7, EVAL = 8, ALLOC = 9,
    DEPLOYMENT = 10, SCALING_POLICY = 11, SCALING_EVENTS = 12, PERIODIC_LAUNCH = 13, SCHEDULER_CONFIG = 14,
    NAMESPACE = 15, VARIABLE = 16, ROOT_KEY = 17, RESTORING = 18, END = 255,
}

#[derive(Serialize, Deserialize)]
struct Meta {
    index: u64,
    table_index: BTreeMap<Table, u64>,
    cluster_id: Option<String>,
    #[serde(default)]
    index_offset: u64,
}

/// A chunk of a snapshot that is coming in.
#[derive(Serialize, Deserialize)]
struct Chunk {
    id: String,
    #[serde(with = "serde_bytes")]
    data: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Versions {
    key: JobKey,
    /// Number of the newest row; absent when only versions are left.
    newest: Option<u32>,
    versions: Vec<u32>,
}

pub(crate) const TABLES: [Table; TABLE_COUNT] = [
    Table::Nodes,
    Table::NodePools,
    Table::Jobs,
    Table::JobSummaries,
    Table::JobVersions,
    Table::JobSubmissions,
    Table::Evals,
    Table::Allocs,
    Table::Deployments,
    Table::ScalingPolicies,
    Table::ScalingEvents,
    Table::PeriodicLaunches,
    Table::SchedulerConfig,
    Table::Namespaces,
    Table::ClusterMeta,
    Table::Variables,
    Table::RootKeys,
];

struct Writer<'a>(&'a mut dyn Write);

impl Writer<'_> {
    fn record(&mut self, kind: u8, body: &impl Serialize) -> Result<(), SnapshotError> {
        let body = rmp_serde::to_vec_named(body)
            .map_err(|source| SnapshotError::Encode { kind, source })?;
        self.0.write_all(&[kind])?;
        self.0.write_all(&(body.len() as u32).to_be_bytes())?;
        self.0.write_all(&body)?;
        Ok(())
    }
}

pub(crate) fn save(state: &State, writer: &mut dyn Write) -> Result<(), SnapshotError> {
    let tables = &*state.0;
    let mut out = Writer(writer);
    out.record(
        META,
        &Meta {
            index: tables.index,
            table_index: TABLES
                .iter()
                .map(|table| (*table, state.table_index(*table)))
                .collect(),
            cluster_id: tables.cluster_id.as_deref().map(str::to_owned),
            index_offset: tables.index_offset,
        },
    )?;
    let jobs = state.distinct_jobs();
    let numbers: BTreeMap<*const Job, u32> = jobs
        .iter()
        .enumerate()
        .map(|(number, job)| (Arc::as_ptr(job), number as u32))
        .collect();
    for job in &jobs {
        out.record(JOB, &**job)?;
    }
    for (key, versions) in &tables.job_versions {
        let newest = tables.jobs.get(key).map(|job| numbers[&Arc::as_ptr(job)]);
        let versions = versions
            .iter()
            .map(|job| numbers[&Arc::as_ptr(job)])
            .collect();
        out.record(
            VERSIONS,
            &Versions {
                key: key.clone(),
                newest,
                versions,
            },
        )?;
    }
    for summary in tables.job_summaries.values() {
        out.record(SUMMARY, &**summary)?;
    }
    for ((key, version), submission) in &tables.job_submissions {
        out.record(SUBMISSION, &(key, version, &**submission))?;
    }
    for node in tables.nodes.values() {
        out.record(NODE, &**node)?;
    }
    for pool in tables.node_pools.values() {
        out.record(NODE_POOL, &**pool)?;
    }
    for eval in tables.evals.values() {
        out.record(EVAL, &**eval)?;
    }
    for alloc in tables.allocs.values() {
        let number = alloc.job.as_ref().map(|job| numbers[&Arc::as_ptr(job)]);
        out.record(ALLOC, &(number, &**alloc))?;
    }
    for deployment in tables.deployments.values() {
        out.record(DEPLOYMENT, &**deployment)?;
    }
    for policy in tables.scaling_policies.values() {
        out.record(SCALING_POLICY, &**policy)?;
    }
    for (key, groups) in &tables.scaling_events {
        for (group, events) in groups {
            let events: Vec<&ScalingEvent> = events.iter().map(|event| &**event).collect();
            out.record(SCALING_EVENTS, &(key, group, events))?;
        }
    }
    for (key, at) in &tables.periodic_launches {
        out.record(PERIODIC_LAUNCH, &(key, at))?;
    }
    out.record(SCHEDULER_CONFIG, &*tables.scheduler_config)?;
    for namespace in tables.namespaces.values() {
        out.record(NAMESPACE, &**namespace)?;
    }
    for variable in tables.variables.values() {
        out.record(VARIABLE, &**variable)?;
    }
    for key in tables.root_keys.values() {
        out.record(ROOT_KEY, &**key)?;
    }
    if let Some(restoring) = &tables.restoring {
        for chunk in &restoring.chunks {
            out.record(
                RESTORING,
                &Chunk {
                    id: restoring.id.clone(),
                    data: chunk.to_vec(),
                },
            )?;
        }
    }
    out.record(END, &())
}

struct Reader<'a> {
    from: &'a mut dyn Read,
    record: u64,
    kind: u8,
}

impl Reader<'_> {
    /// The next record's body.
    fn next(&mut self) -> Result<Vec<u8>, SnapshotError> {
        self.record += 1;
        let mut head = [0; 5];
        self.fill(&mut head)?;
        self.kind = head[0];
        let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        if len > MAX_RECORD_BYTES {
            return Err(SnapshotError::TooLarge {
                record: self.record,
                len,
            });
        }
        let mut body = vec![0; len as usize];
        self.fill(&mut body)?;
        Ok(body)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), SnapshotError> {
        self.from
            .read_exact(bytes)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => SnapshotError::Truncated {
                    record: self.record - 1,
                },
                _ => SnapshotError::Io(error),
            })
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, SnapshotError> {
        rmp_serde::from_slice(body).map_err(|source| SnapshotError::Decode {
            kind: self.kind,
            record: self.record,
            source,
        })
    }
}

pub(crate) fn load(from: &mut dyn Read) -> Result<State, SnapshotError> {
    let mut reader = Reader {
        from,
        record: 0,
        kind: 0,
    };
    let mut txn = Txn::new(Tables::default(), 0);
    let mut meta = None;
    let mut jobs: Vec<Arc<Job>> = Vec::new();
    loop {
        let body = reader.next()?;
        let job_at = |number: u32| {
            jobs.get(number as usize)
                .cloned()
                .ok_or(SnapshotError::UnknownJob {
                    record: reader.record,
                    number,
                })
        };
        match reader.kind {
            META => meta = Some(reader.decode::<Meta>(&body)?),
            JOB => jobs.push(Arc::new(reader.decode(&body)?)),
            VERSIONS => {
                let row: Versions = reader.decode(&body)?;
                let versions = row
                    .versions
                    .into_iter()
                    .map(job_at)
                    .collect::<Result<_, _>>()?;
                if let Some(newest) = row.newest {
                    txn.put_job(job_at(newest)?);
                }
                txn.tables.job_versions.insert(row.key, versions);
            }
            SUMMARY => {
                let row: JobSummary = reader.decode(&body)?;
                let key = JobKey::new(row.namespace.clone(), row.job_id.clone());
                txn.tables.job_summaries.insert(key, Arc::new(row));
            }
            SUBMISSION => {
                let (key, version, row): (JobKey, u64, JobSubmission) = reader.decode(&body)?;
                txn.tables
                    .job_submissions
                    .insert((key, version), Arc::new(row));
            }
            NODE => txn.put_node(reader.decode::<Node>(&body)?),
            NODE_POOL => {
                let row: NodePool = reader.decode(&body)?;
                txn.tables
                    .node_pools
                    .insert(row.name.clone(), Arc::new(row));
            }
            EVAL => txn.put_eval(reader.decode::<Evaluation>(&body)?),
            ALLOC => {
                let (number, mut row): (Option<u32>, Allocation) = reader.decode(&body)?;
                row.job = number.map(job_at).transpose()?;
                txn.put_alloc(row);
            }
            DEPLOYMENT => txn.put_deployment(reader.decode::<Deployment>(&body)?),
            SCALING_POLICY => {
                let row: ScalingPolicy = reader.decode(&body)?;
                txn.tables
                    .scaling_policies
                    .insert(row.id.clone(), Arc::new(row));
            }
            SCALING_EVENTS => {
                let (key, group, events): (JobKey, String, Vec<ScalingEvent>) =
                    reader.decode(&body)?;
                let events = events.into_iter().map(Arc::new).collect();
                txn.tables
                    .scaling_events
                    .entry(key)
                    .or_default()
                    .insert(group, events);
            }
            PERIODIC_LAUNCH => {
                let (key, at): (JobKey, Timestamp) = reader.decode(&body)?;
                txn.tables.periodic_launches.insert(key, at);
            }
            SCHEDULER_CONFIG => {
                txn.tables.scheduler_config =
                    Arc::new(reader.decode::<SchedulerConfiguration>(&body)?);
            }
            NAMESPACE => {
                let row: NamespaceRow = reader.decode(&body)?;
                txn.tables
                    .namespaces
                    .insert(row.name.clone(), Arc::new(row));
            }
            VARIABLE => {
                let row: VariableRow = reader.decode(&body)?;
                txn.tables.variables.insert(row.key.clone(), Arc::new(row));
            }
            ROOT_KEY => {
                let row: RootKeyRow = reader.decode(&body)?;
                txn.tables.root_keys.insert(row.id, Arc::new(row));
            }
            RESTORING => {
                let chunk: Chunk = reader.decode(&body)?;
                let restoring = txn.tables.restoring.get_or_insert_with(|| Restoring {
                    id: chunk.id,
                    ..Restoring::default()
                });
                restoring.bytes += chunk.data.len() as u64;
                restoring.chunks.push_back(Arc::from(chunk.data));
            }
            END => break,
            kind => {
                return Err(SnapshotError::UnknownKind {
                    kind,
                    record: reader.record,
                });
            }
        }
        // The record of changes is of no use here and would hold every row twice.
        txn.changes = crate::table::ChangeSet::default();
    }
    let meta = meta.ok_or(SnapshotError::Truncated {
        record: reader.record,
    })?;
    let mut tables = txn.tables;
    tables.index = meta.index;
    tables.index_offset = meta.index_offset;
    tables.table_index = [0; TABLE_COUNT];
    for (table, index) in meta.table_index {
        tables.table_index[table as usize] = index;
    }
    tables.cluster_id = meta.cluster_id.map(Arc::from);
    Ok(State(Arc::new(tables)))
}
