//! What the routes need from the agent they run in.

use std::collections::BTreeMap;
use std::pin::Pin;

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use futures::Stream;
use http::{Request, Response};
use nomad_core::job::{Job, StringMap};
use nomad_core::node::{Eligibility, NodePool};
use nomad_core::scheduler_config::SchedulerConfiguration;
use nomad_core::{AllocId, DeploymentId, EvalId, JobKey, Nanos, NodeId, Timestamp, Uuid, spec};
use nomad_state::command::NamespaceRow;
use nomad_state::variable::{RootKeyRow, VariableKey, VariableOp, VariableOutcome, VariableRow};
use nomad_state::{EventRead, State, Watch, WatchKey};

use crate::error::ApiError;
use crate::types::*;

/// Answers of the backend.
pub type ApiResult<T> = Result<T, ApiError>;

/// Who this agent is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentIdentity {
    pub region: String,
    pub datacenter: String,
    /// Name of the agent.
    pub name: String,
    /// Whether a server runs in it.
    pub server: bool,
    /// Whether a client runs in it.
    pub client: bool,
    /// Headers added to every answer.
    pub response_headers: StringMap,
}

/// What this agent knows of the leader.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leadership {
    pub known_leader: bool,
    /// RPC address of the leader, or "".
    pub leader_addr: String,
    /// Milliseconds since the leader was heard of; 0 on the leader.
    pub last_contact_ms: u64,
}

/// A registration, as the routes decoded it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RegisterJob {
    pub job: spec::Job,
    pub submission: Option<JobSubmission>,
    /// 0: must not exist.
    pub enforce_index: Option<u64>,
    pub preserve_counts: bool,
    pub preserve_resources: bool,
    /// 0 is the job's own.
    pub eval_priority: i32,
}

/// A write of a Variable. Its items are secret: there is no `Debug`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct WriteVariable {
    pub key: VariableKey,
    pub op: VariableOp,
    pub items: BTreeMap<String, String>,
    /// The lock that is asked for, or held.
    pub lock: Option<LockRequest>,
}

/// A lock of a Variable, as a caller names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockRequest {
    /// Of the lock that the caller holds.
    pub id: Option<Uuid>,
    /// Zero is the default.
    pub ttl: Nanos,
    pub delay: Nanos,
}

/// What a write without more to say answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Index of the write.
    pub index: u64,
}

/// A stream of bytes that a body is made from.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, ApiError>> + Send>>;

/// The cluster and the node, as the routes see them.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Who this agent is.
    fn identity(&self) -> &AgentIdentity;

    /// The newest state that may be read.
    fn state(&self) -> State;

    /// Watches keys from now on.
    fn watch(&self, keys: Vec<WatchKey>) -> Watch;

    /// Where in the event stream a subscriber that asks for an index starts.
    fn events_start(&self, index: u64) -> u64;

    /// Events from a cursor on.
    fn events(&self, cursor: u64) -> EventRead;

    /// What this agent knows of the leader.
    fn leadership(&self) -> Leadership;

    /// Now.
    fn now(&self) -> Timestamp;

    /// Waits until a read sees every write that was answered before it.
    async fn read_barrier(&self) -> ApiResult<()>;

    // Jobs.

    async fn register_job(&self, request: RegisterJob) -> ApiResult<JobRegisterResponse>;
    /// Every error and warning of a job, as registering it would find them.
    async fn validate_job(&self, job: spec::Job) -> ApiResult<JobValidateResponse>;
    /// What registering a job would change; with its difference to the stored one, and with what each node says.
    async fn plan_job(
        &self,
        job: spec::Job,
        diff: bool,
        explain: bool,
    ) -> ApiResult<JobPlanResponse>;
    async fn deregister_job(
        &self,
        key: JobKey,
        purge: bool,
        eval_priority: i32,
        no_shutdown_delay: bool,
    ) -> ApiResult<JobDeregisterResponse>;
    async fn evaluate_job(
        &self,
        key: JobKey,
        force_reschedule: bool,
    ) -> ApiResult<JobRegisterResponse>;
    async fn revert_job(
        &self,
        key: JobKey,
        version: u64,
        enforce_prior_version: Option<u64>,
    ) -> ApiResult<JobRegisterResponse>;
    async fn set_job_stability(
        &self,
        key: JobKey,
        version: u64,
        stable: bool,
    ) -> ApiResult<Written>;
    /// A `None` tag removes the tag of that name.
    async fn tag_job_version(
        &self,
        key: JobKey,
        version: u64,
        name: String,
        description: Option<String>,
    ) -> ApiResult<Written>;
    async fn scale_job(
        &self,
        key: JobKey,
        request: ScalingRequest,
    ) -> ApiResult<JobRegisterResponse>;
    async fn dispatch_job(
        &self,
        key: JobKey,
        request: JobDispatchRequest,
        idempotency_token: String,
    ) -> ApiResult<JobDispatchResponse>;
    async fn force_periodic(&self, key: JobKey) -> ApiResult<PeriodicForceResponse>;
    /// What changed from one version of a job to another, as the API shows it.
    fn diff_jobs(
        &self,
        old: Option<&Job>,
        new: Option<&Job>,
        contextual: bool,
    ) -> ApiResult<serde_json::Value>;

    // Allocations, evaluations, deployments.

    async fn stop_alloc(
        &self,
        id: AllocId,
        no_shutdown_delay: bool,
        reschedule: bool,
    ) -> ApiResult<AllocStopResponse>;
    async fn delete_evals(&self, ids: Vec<EvalId>) -> ApiResult<Written>;
    async fn promote_deployment(
        &self,
        id: DeploymentId,
        groups: Option<Vec<String>>,
    ) -> ApiResult<DeploymentUpdateResponse>;
    async fn pause_deployment(
        &self,
        id: DeploymentId,
        pause: bool,
    ) -> ApiResult<DeploymentUpdateResponse>;
    async fn fail_deployment(&self, id: DeploymentId) -> ApiResult<DeploymentUpdateResponse>;
    async fn set_alloc_health(
        &self,
        id: DeploymentId,
        healthy: Vec<AllocId>,
        unhealthy: Vec<AllocId>,
    ) -> ApiResult<DeploymentUpdateResponse>;

    // Nodes.

    async fn set_eligibility(
        &self,
        id: NodeId,
        eligibility: Eligibility,
    ) -> ApiResult<NodeDrainResponse>;
    async fn drain_node(
        &self,
        id: NodeId,
        request: NodeDrainRequest,
    ) -> ApiResult<NodeDrainResponse>;
    async fn evaluate_node(&self, id: NodeId) -> ApiResult<NodeUpdateResponse>;
    async fn purge_node(&self, id: NodeId) -> ApiResult<NodeUpdateResponse>;
    async fn upsert_node_pool(&self, pool: NodePool) -> ApiResult<Written>;
    async fn delete_node_pool(&self, name: String) -> ApiResult<Written>;

    // Namespaces, Variables, the keyring.

    async fn upsert_namespace(&self, namespace: NamespaceRow) -> ApiResult<Written>;
    async fn delete_namespace(&self, name: String) -> ApiResult<Written>;
    /// The items of a Variable.
    async fn open_variable(&self, row: &VariableRow) -> ApiResult<BTreeMap<String, String>>;
    /// What became of the write, and its index.
    async fn write_variable(&self, request: WriteVariable) -> ApiResult<(VariableOutcome, u64)>;
    async fn renew_variable_lock(&self, key: VariableKey, id: Uuid) -> ApiResult<VariableOutcome>;
    /// A new key, active at once or published for a later time; `full` seals everything anew.
    async fn rotate_root_key(
        &self,
        full: bool,
        publish_time: Option<Timestamp>,
    ) -> ApiResult<(RootKeyRow, u64)>;
    async fn delete_root_key(&self, id: Uuid, force: bool) -> ApiResult<Written>;

    // The cluster.

    async fn set_scheduler_config(
        &self,
        config: SchedulerConfiguration,
        cas: Option<u64>,
    ) -> ApiResult<SchedulerSetResponse>;
    async fn garbage_collect(&self) -> ApiResult<()>;
    async fn reconcile_summaries(&self) -> ApiResult<()>;
    async fn members(&self) -> ApiResult<ServerMembersResponse>;
    async fn raft_configuration(&self) -> ApiResult<RaftConfiguration>;
    /// How the consensus group stands, as this server knows it.
    async fn autopilot_health(&self) -> ApiResult<AutopilotHealth>;
    /// A whole snapshot archive.
    async fn snapshot_save(&self) -> ApiResult<Bytes>;
    async fn snapshot_restore(&self, archive: Bytes) -> ApiResult<()>;

    // The agent.

    /// `config`, `member`, `stats` of this agent.
    fn agent_self(&self) -> serde_json::Value;
    fn health(&self) -> AgentHealth;
    /// Metrics of the last finished interval; `None` where the form is not enabled.
    fn metrics(&self, prometheus: bool) -> Option<Bytes>;
    /// Addresses of the servers that the client half talks to.
    fn client_servers(&self) -> Vec<String>;
    /// Log lines from now on at a level (`TRACE` to `ERROR`), each with its line end.
    fn monitor(&self, level: &str, json: bool) -> ApiResult<ByteStream>;
    /// Facts about the machine for support.
    fn host_data(&self) -> serde_json::Value;

    // The node.

    /// The client half, where there is one.
    fn node(&self) -> Option<&dyn NodeBackend>;
    /// Sends a request to the node's own agent and gives its answer, upgrades included.
    async fn proxy_to_node(&self, id: NodeId, request: Request<Body>) -> ApiResult<Response<Body>>;
}

/// Where reading a log or file starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Start,
    End,
}

/// Which of a task's two logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    Stdout,
    Stderr,
}

/// Frames of a log or file.
pub type FrameStream = Pin<Box<dyn Stream<Item = Result<StreamFrame, ApiError>> + Send>>;

/// A command that runs inside a task.
pub struct ExecSession {
    /// Input, and changes of the terminal's size.
    pub input: tokio::sync::mpsc::Sender<ExecInput>,
    /// Output until the command has ended.
    pub output: Pin<Box<dyn Stream<Item = ExecOutput> + Send>>,
}

/// What goes into a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecInput {
    Stdin(Bytes),
    StdinClosed,
    Resize { height: u16, width: u16 },
}

/// What comes out of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecOutput {
    Stdout(Bytes),
    Stderr(Bytes),
    StdoutClosed,
    StderrClosed,
    Exited { exit_code: i32 },
    Failed { error: String },
}

/// The client half of this agent.
#[async_trait]
pub trait NodeBackend: Send + Sync {
    /// The node's id.
    fn id(&self) -> NodeId;
    /// Whether the allocation is, or was lately, on this node.
    fn has_alloc(&self, id: AllocId) -> bool;
    async fn restart(&self, id: AllocId, request: AllocRestartRequest) -> ApiResult<()>;
    async fn signal(&self, id: AllocId, request: AllocSignalRequest) -> ApiResult<()>;
    async fn alloc_stats(&self, id: AllocId, task: &str) -> ApiResult<AllocResourceUsage>;
    async fn host_stats(&self) -> ApiResult<HostStats>;
    async fn collect(&self, id: Option<AllocId>) -> ApiResult<()>;
    async fn metadata(&self) -> ApiResult<NodeMetaResponse>;
    async fn set_metadata(&self, request: NodeMetaRequest) -> ApiResult<NodeMetaResponse>;
    async fn list_files(&self, id: AllocId, path: &str) -> ApiResult<Vec<AllocFileInfo>>;
    async fn stat_file(&self, id: AllocId, path: &str) -> ApiResult<AllocFileInfo>;
    /// `limit` of -1 is to the end.
    async fn read_file(
        &self,
        id: AllocId,
        path: &str,
        offset: i64,
        limit: i64,
    ) -> ApiResult<ByteStream>;
    async fn stream_file(
        &self,
        id: AllocId,
        path: &str,
        origin: Origin,
        offset: i64,
        follow: bool,
    ) -> ApiResult<FrameStream>;
    async fn logs(
        &self,
        id: AllocId,
        task: &str,
        kind: LogKind,
        origin: Origin,
        offset: i64,
        follow: bool,
    ) -> ApiResult<FrameStream>;
    async fn exec(
        &self,
        id: AllocId,
        task: &str,
        command: Vec<String>,
        tty: bool,
    ) -> ApiResult<ExecSession>;
    /// Results of an allocation's checks by id.
    async fn checks(&self, id: AllocId) -> ApiResult<serde_json::Value>;
}
