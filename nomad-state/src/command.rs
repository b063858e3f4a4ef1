//! Commands: what lies in the log. Each has a number that is never reused, a version, and a MessagePack body.

use std::collections::BTreeMap;

use nomad_core::alloc::{AllocClientUpdate, Allocation, DesiredTransition};
use nomad_core::deployment::{Deployment, DeploymentStatusUpdate};
use nomad_core::eval::Evaluation;
use nomad_core::job::{Job, JobVersionTag, StringMap};
use nomad_core::node::{
    DrainMetadata, DrainStrategy, Eligibility, Node, NodeEvent, NodePool, NodeStatus,
};
use nomad_core::plan::{AllocPreemption, AllocStop};
use nomad_core::scheduler_config::SchedulerConfiguration;
use nomad_core::{AllocId, DeploymentId, EvalId, JobKey, NodeId, Timestamp, Uuid};
use nomad_core::{Nanos, wire};
use serde::{Deserialize, Serialize};

pub use crate::namespace::{NamespaceCapabilities, NamespaceRow};
use crate::variable::{
    RekeyedVariable, RootKeyRow, RootKeyState, SealedItems, VariableKey, VariableLock, VariableOp,
};

/// Job versions kept where the server configures nothing else.
pub const DEFAULT_TRACKED_VERSIONS: usize = 6;
/// Scaling events kept per group.
pub const MAX_SCALING_EVENTS: usize = 20;

/// A log entry could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Shorter than its header.
    #[error("log entry of {len} bytes is shorter than its 4 byte header")]
    Short { len: usize },
    /// Written by a newer program.
    #[error(
        "log entry has command kind {kind} version {version}, which this program does not know: upgrade it"
    )]
    Unknown { kind: u16, version: u16 },
    /// The body is not what the kind says.
    #[error("log entry of command kind {kind} version {version} has a malformed body")]
    Body {
        kind: u16,
        version: u16,
        #[source]
        source: rmp_serde::decode::Error,
    },
}

macro_rules! commands {
    ($($(#[$doc:meta])* $kind:literal $name:ident $({ $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })?,)*) => {
        /// A change of state, with every id and time that applying it needs.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Command {
            $($(#[$doc])* $name($name),)*
        }

        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
            #[serde(default)]
            pub struct $name { $($($(#[$field_doc])* pub $field: $type,)*)? }

            impl From<$name> for Command {
                fn from(command: $name) -> Self {
                    Self::$name(command)
                }
            }
        )*

        impl Command {
            /// The number in the log.
            pub fn kind(&self) -> u16 {
                match self { $(Self::$name(_) => $kind,)* }
            }

            /// The type's name, for logs and metrics.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name),)* }
            }

            fn body(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
                match self { $(Self::$name(command) => rmp_serde::to_vec_named(command),)* }
            }

            fn from_body(kind: u16, version: u16, body: &[u8]) -> Result<Self, CommandError> {
                let malformed = |source| CommandError::Body { kind, version, source };
                match kind {
                    $($kind => Ok(Self::$name(rmp_serde::from_slice(body).map_err(malformed)?)),)*
                    _ => Err(CommandError::Unknown { kind, version }),
                }
            }
        }
    };
}

commands! {
    /// A node registers, or registers again with other attributes.
    1 NodeRegister {
        /// Whole row; what the servers own of it (status, eligibility, drain, events, indexes) is kept.
        node: Node,
        now: Timestamp,
    },
    /// Nodes are forgotten.
    2 NodeDeregister { ids: Vec<NodeId> },
    /// A node's status changes.
    3 NodeStatusUpdate { id: NodeId, status: NodeStatus, description: String, event: Option<NodeEvent>, evals: Vec<Evaluation>, now: Timestamp },
    /// An operator allows or forbids new work on a node.
    4 NodeEligibilityUpdate { id: NodeId, eligibility: Option<Eligibility>, event: Option<NodeEvent>, evals: Vec<Evaluation>, now: Timestamp },
    /// A drain is set, changed or taken back.
    5 NodeDrainUpdate {
        id: NodeId,
        strategy: Option<DrainStrategy>,
        mark_eligible: bool,
        last_drain: Option<DrainMetadata>,
        event: Option<NodeEvent>,
        evals: Vec<Evaluation>,
        now: Timestamp,
    },
    /// Events are attached to nodes.
    6 NodeEventsUpsert { events: BTreeMap<NodeId, Vec<NodeEvent>> },
    /// A job is registered or updated.
    10 JobRegister {
        /// Canonical and validated; version and indexes are decided by apply.
        job: Job,
        submission: Option<JobSubmission>,
        eval: Option<Evaluation>,
        /// 0: must not exist; otherwise must be its JobModifyIndex.
        enforce_index: Option<u64>,
        /// Existing counts win over the submitted ones.
        preserve_counts: bool,
        /// Existing task resources win over the submitted ones.
        preserve_resources: bool,
        /// Versions kept; 0 is [`DEFAULT_TRACKED_VERSIONS`].
        tracked_versions: usize,
        now: Timestamp,
    },
    /// A job is stopped or purged.
    11 JobDeregister { key: JobKey, purge: bool, eval: Option<Evaluation>, no_shutdown_delay: bool, now: Timestamp },
    /// A job version is found stable, or not.
    12 JobStability { key: JobKey, version: u64, stable: bool },
    /// A job version gets a tag, or loses one.
    13 JobVersionTagUpdate { key: JobKey, version: u64, tag: Option<JobVersionTag>, name: String },
    /// Summaries are counted anew.
    14 ReconcileJobSummaries { },
    /// Periodic jobs were launched.
    15 PeriodicLaunches { launches: Vec<(JobKey, Timestamp)> },
    /// Something happened to a group's scaling.
    16 ScalingEventRegister { key: JobKey, group: String, event: ScalingEvent },
    /// Evaluations are written.
    20 EvalUpsert { evals: Vec<Evaluation>, now: Timestamp },
    /// Evaluations and allocations are collected.
    21 EvalDelete { evals: Vec<EvalId>, allocs: Vec<AllocId> },
    /// Clients report.
    30 AllocClientUpdates { updates: Vec<AllocClientUpdate>, evals: Vec<Evaluation>, now: Timestamp },
    /// The servers want allocations moved, replaced or stopped.
    31 AllocTransitions { transitions: BTreeMap<AllocId, DesiredTransition>, evals: Vec<Evaluation>, now: Timestamp },
    /// Plans are committed.
    32 PlanResults { plans: Vec<AppliedPlan>, now: Timestamp },
    /// A deployment's status changes, perhaps with a job to revert to.
    40 DeploymentStatusChange { update: DeploymentStatusUpdate, job: Option<Job>, eval: Option<Evaluation>, now: Timestamp },
    /// Canaries are promoted.
    41 DeploymentPromote { id: DeploymentId, groups: Option<Vec<String>>, eval: Option<Evaluation>, now: Timestamp },
    /// Somebody says which allocations of a deployment are healthy.
    42 DeploymentAllocHealth {
        id: DeploymentId,
        healthy: Vec<AllocId>,
        unhealthy: Vec<AllocId>,
        update: Option<DeploymentStatusUpdate>,
        job: Option<Job>,
        eval: Option<Evaluation>,
        now: Timestamp,
    },
    /// Deployments are collected.
    43 DeploymentDelete { ids: Vec<DeploymentId> },
    /// Jobs are collected.
    44 JobDelete { keys: Vec<JobKey> },
    /// Operators change how schedulers behave.
    50 SchedulerConfigSet { config: SchedulerConfiguration, cas: Option<u64> },
    /// Node pools are written.
    51 NodePoolUpsert { pools: Vec<NodePool> },
    /// Node pools are deleted.
    52 NodePoolDelete { names: Vec<String> },
    /// Namespaces are written.
    53 NamespaceUpsert { namespaces: Vec<NamespaceRow> },
    /// Namespaces are deleted.
    54 NamespaceDelete { names: Vec<String> },
    /// The cluster gets its id, once.
    60 ClusterMetadata { cluster_id: String },
    /// A Variable is written, deleted, locked or unlocked.
    70 VariableApply {
        op: VariableOp,
        key: VariableKey,
        /// What a write stores.
        items: SealedItems,
        /// The lock that is taken, or that its holder names.
        lock: Option<VariableLock>,
        now: Timestamp,
    },
    /// Variables are sealed anew with the active key; nothing else of them changes.
    71 VariableRekey { rows: Vec<RekeyedVariable> },
    /// A root key is added.
    72 RootKeyUpsert {
        key: RootKeyRow,
        /// Only if there is none at all.
        first: bool,
        /// Everything under older keys is to be sealed anew.
        rekey: bool,
    },
    /// A root key goes into another state.
    73 RootKeyStateSet { id: Uuid, state: RootKeyState },
    /// A root key is deleted.
    74 RootKeyDelete { id: Uuid, force: bool },
    /// A part of a snapshot that an operator puts in place of the state; the last one makes it so.
    61 SnapshotChunk {
        /// Tells one restore from another.
        id: String,
        /// Counts from 0; the first one begins the restore anew.
        number: u32,
        last: bool,
        /// At most [`MAX_CHUNK_BYTES`](crate::MAX_CHUNK_BYTES).
        data: serde_bytes::ByteBuf,
    },
}

/// Version of every body so far; a changed meaning gets a new number, added fields do not.
const COMMAND_VERSION: u16 = 1;

impl Command {
    /// As it lies in the log: kind and version (both u16, big-endian), then the body as MessagePack with named fields.
    ///
    /// # Panics
    /// Never for values that can be built: every type here has a MessagePack form.
    pub fn encode(&self) -> Vec<u8> {
        let body = self
            .body()
            .expect("commands are plain data and always encode");
        let mut bytes = Vec::with_capacity(4 + body.len());
        bytes.extend_from_slice(&self.kind().to_be_bytes());
        bytes.extend_from_slice(&COMMAND_VERSION.to_be_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, CommandError> {
        let [k0, k1, v0, v1, body @ ..] = bytes else {
            return Err(CommandError::Short { len: bytes.len() });
        };
        let (kind, version) = (
            u16::from_be_bytes([*k0, *k1]),
            u16::from_be_bytes([*v0, *v1]),
        );
        if version != COMMAND_VERSION {
            return Err(CommandError::Unknown { kind, version });
        }
        Self::from_body(kind, version, body)
    }
}

/// One plan as it was committed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AppliedPlan {
    pub eval_id: EvalId,
    /// The job version that the placements run; it is in the state already.
    pub job: Option<JobRef>,
    pub stops: Vec<AllocStop>,
    /// New and updated rows, without their job.
    pub allocations: Vec<Allocation>,
    pub preemptions: Vec<AllocPreemption>,
    pub deployment: Option<Deployment>,
    pub deployment_updates: Vec<DeploymentStatusUpdate>,
    /// Evaluations of the jobs whose allocations made room.
    pub preemption_evals: Vec<Evaluation>,
    /// The evaluation's own result, where the plan is its last word.
    pub evals: Vec<Evaluation>,
}

/// A job version by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JobRef {
    pub key: JobKey,
    pub version: u64,
}

/// The text a job was made from, kept per version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobSubmission {
    pub source: String,
    /// `hcl2`, `json` or `hcl1`.
    pub format: String,
    #[serde(with = "wire::null_default")]
    pub variable_flags: StringMap,
    pub variables: String,
    pub namespace: String,
    #[serde(rename = "JobID")]
    pub job_id: String,
    pub version: u64,
    pub job_modify_index: u64,
}

/// Something that happened to a group's scaling.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ScalingEvent {
    pub time: Timestamp,
    pub count: Option<i64>,
    pub previous_count: i64,
    pub message: String,
    pub error: bool,
    #[serde(with = "wire::null_default")]
    pub meta: serde_json::Map<String, serde_json::Value>,
    #[serde(rename = "EvalID")]
    pub eval_id: Option<EvalId>,
    pub create_index: u64,
}

/// How long after its placement an allocation's group must show progress.
pub(crate) fn progress_by(from: Timestamp, deadline: Nanos) -> Timestamp {
    if deadline.is_zero() {
        Timestamp::ZERO
    } else {
        from + deadline
    }
}
