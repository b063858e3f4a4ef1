//! The agent as the routes see it: [`nomad_api::backend::Backend`] over the server and client halves.

mod diff;
mod errors;
mod gauges;
mod jobs;
mod node;
mod servers;
mod snapshot;
mod support;
mod variables;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use nomad_api::backend::{
    AgentIdentity, ApiResult, Backend, ByteStream, Leadership, NodeBackend, RegisterJob,
    WriteVariable, Written,
};
use nomad_api::error::ApiError;
use nomad_api::types::*;
use nomad_core::job::Job;
use nomad_core::node::{Eligibility, NodePool};
use nomad_core::scheduler_config::SchedulerConfiguration;
use nomad_core::view::ClusterView;
use nomad_core::{AllocId, Clock, DeploymentId, EvalId, JobKey, NodeId, Timestamp, Uuid, spec};
use nomad_server::{Server, SharedIds, ops};
use nomad_state::command::NamespaceRow;
use nomad_state::variable::{RootKeyRow, VariableKey, VariableOutcome, VariableRow};
use nomad_state::{EventRead, State, Store, Watch, WatchKey};

use self::errors::api_error;
use self::jobs::{registered, text};
pub(crate) use self::node::LocalNode;
use crate::clock::SystemClock;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::telemetry::metrics::Metrics;

/// Who acts when access control is off, in what is kept of an action.
const ACLS_DISABLED: &str = "acls-disabled";

/// The server half with what its writes need.
#[derive(Clone)]
pub(crate) struct ServerHalf {
    pub(crate) server: Server,
    pub(crate) ids: SharedIds,
    /// What jobs get where they say nothing.
    pub(crate) defaults: Arc<spec::ServerDefaults>,
    pub(crate) max_source_bytes: u64,
}

impl ServerHalf {
    pub(crate) fn state(&self) -> State {
        self.server.state()
    }
}

/// Everything the routes can reach.
pub(crate) struct AgentBackend {
    pub(crate) identity: AgentIdentity,
    pub(crate) config: Arc<Config>,
    /// The server half; an agent without one hands on what only servers know before it gets here.
    pub(crate) server: Option<ServerHalf>,
    /// What an agent without a server knows of the cluster: nothing.
    pub(crate) nothing: Store,
    pub(crate) node: Option<LocalNode>,
    pub(crate) metrics: Metrics,
    pub(crate) addresses: Addresses,
    /// What is known of the servers beyond consensus.
    pub(crate) cluster: Cluster,
    pub(crate) started: Timestamp,
}

/// Addresses that others are told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Addresses {
    pub(crate) http: String,
    pub(crate) rpc: String,
    pub(crate) serf: String,
}

#[async_trait]
impl Backend for AgentBackend {
    fn identity(&self) -> &AgentIdentity {
        &self.identity
    }

    fn state(&self) -> State {
        match &self.server {
            Some(half) => half.state(),
            None => self.nothing.snapshot(),
        }
    }

    fn watch(&self, keys: Vec<WatchKey>) -> Watch {
        match &self.server {
            Some(half) => half.server.watch(keys),
            None => self.nothing.watch(keys),
        }
    }

    fn events_start(&self, index: u64) -> u64 {
        match &self.server {
            Some(half) => half.server.events_start(index),
            None => self.nothing.events_start(index),
        }
    }

    fn events(&self, cursor: u64) -> EventRead {
        match &self.server {
            Some(half) => half.server.events(cursor),
            None => self.nothing.events(cursor),
        }
    }

    fn leadership(&self) -> Leadership {
        let leader_addr = self
            .server
            .as_ref()
            .and_then(|half| half.server.leader_address())
            .unwrap_or_default();
        Leadership {
            known_leader: !leader_addr.is_empty(),
            leader_addr,
            last_contact_ms: 0,
        }
    }

    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    async fn read_barrier(&self) -> ApiResult<()> {
        self.server()?
            .server
            .read_barrier()
            .await
            .map_err(api_error)
    }

    async fn register_job(&self, request: RegisterJob) -> ApiResult<JobRegisterResponse> {
        self.server()?.register_job(request).await
    }

    async fn validate_job(&self, job: spec::Job) -> ApiResult<JobValidateResponse> {
        self.server()?.validate_job(job)
    }

    async fn plan_job(
        &self,
        job: spec::Job,
        diff: bool,
        explain: bool,
    ) -> ApiResult<JobPlanResponse> {
        self.server()?.plan_job(job, diff, explain).await
    }

    async fn deregister_job(
        &self,
        key: JobKey,
        purge: bool,
        eval_priority: i32,
        no_shutdown_delay: bool,
    ) -> ApiResult<JobDeregisterResponse> {
        let reply = self
            .server()?
            .server
            .deregister_job(key, purge, eval_priority, no_shutdown_delay)
            .await
            .map_err(api_error)?;
        Ok(JobDeregisterResponse {
            eval_id: text(reply.eval_id),
            eval_create_index: reply.eval_create_index,
            job_modify_index: reply.job_modify_index,
            meta: QueryMeta {
                index: reply.index,
                ..QueryMeta::default()
            },
            ..JobDeregisterResponse::default()
        })
    }

    async fn evaluate_job(
        &self,
        key: JobKey,
        force_reschedule: bool,
    ) -> ApiResult<JobRegisterResponse> {
        let reply = self
            .server()?
            .server
            .evaluate_job(key, force_reschedule)
            .await
            .map_err(api_error)?;
        Ok(registered(&reply))
    }

    async fn revert_job(
        &self,
        key: JobKey,
        version: u64,
        enforce_prior_version: Option<u64>,
    ) -> ApiResult<JobRegisterResponse> {
        let server = &self.server()?.server;
        let reply = server
            .revert_job(key, version, enforce_prior_version)
            .await
            .map_err(api_error)?;
        Ok(registered(&reply))
    }

    async fn set_job_stability(
        &self,
        key: JobKey,
        version: u64,
        stable: bool,
    ) -> ApiResult<Written> {
        let index = self
            .server()?
            .server
            .set_job_stability(key, version, stable)
            .await
            .map_err(api_error)?;
        Ok(Written { index })
    }

    async fn tag_job_version(
        &self,
        key: JobKey,
        version: u64,
        name: String,
        description: Option<String>,
    ) -> ApiResult<Written> {
        let server = &self.server()?.server;
        let (_, index) = server
            .tag_job_version(key, version, name, description)
            .await
            .map_err(api_error)?;
        Ok(Written { index })
    }

    async fn scale_job(
        &self,
        key: JobKey,
        request: ScalingRequest,
    ) -> ApiResult<JobRegisterResponse> {
        let request = ops::ScaleJob {
            group: request.target.get("Group").cloned().unwrap_or_default(),
            count: request.count,
            message: request.message,
            error: request.error,
            meta: request.meta,
            enforce_index: request.job_modify_index,
        };
        let reply = self
            .server()?
            .server
            .scale_job(key, request)
            .await
            .map_err(api_error)?;
        let mut response = registered(&reply);
        response.meta.known_leader = self.leadership().known_leader;
        Ok(response)
    }

    async fn dispatch_job(
        &self,
        key: JobKey,
        request: JobDispatchRequest,
        idempotency_token: String,
    ) -> ApiResult<JobDispatchResponse> {
        let request = ops::DispatchJob {
            payload: request.payload,
            meta: request.meta,
            id_prefix: request.id_prefix_template,
            priority: request.priority,
            idempotency_token,
        };
        let reply = self
            .server()?
            .server
            .dispatch_job(key, request)
            .await
            .map_err(api_error)?;
        Ok(JobDispatchResponse {
            dispatched_job_id: reply.dispatched_job_id.to_string(),
            eval_id: text(reply.eval_id),
            eval_create_index: reply.eval_create_index,
            job_create_index: reply.job_create_index,
            index: reply.index,
        })
    }

    async fn force_periodic(&self, key: JobKey) -> ApiResult<PeriodicForceResponse> {
        let (eval_id, index) = self
            .server()?
            .server
            .force_periodic(key)
            .await
            .map_err(api_error)?;
        Ok(PeriodicForceResponse {
            eval_id: text(eval_id),
            eval_create_index: index,
            index,
        })
    }

    fn diff_jobs(
        &self,
        old: Option<&Job>,
        new: Option<&Job>,
        contextual: bool,
    ) -> ApiResult<serde_json::Value> {
        diff::diff(old, new, contextual)
    }

    async fn stop_alloc(
        &self,
        id: AllocId,
        no_shutdown_delay: bool,
        reschedule: bool,
    ) -> ApiResult<AllocStopResponse> {
        let server = &self.server()?.server;
        let (eval_id, index) = server
            .stop_alloc(id, no_shutdown_delay, reschedule)
            .await
            .map_err(api_error)?;
        Ok(AllocStopResponse {
            eval_id: eval_id.to_string(),
            index,
        })
    }

    async fn delete_evals(&self, ids: Vec<EvalId>) -> ApiResult<Written> {
        Ok(Written {
            index: self
                .server()?
                .server
                .delete_evals(ids)
                .await
                .map_err(api_error)?,
        })
    }

    async fn promote_deployment(
        &self,
        id: DeploymentId,
        groups: Option<Vec<String>>,
    ) -> ApiResult<DeploymentUpdateResponse> {
        self.server()?
            .server
            .promote_deployment(id, groups)
            .await
            .map(deployment_updated)
            .map_err(api_error)
    }

    async fn pause_deployment(
        &self,
        id: DeploymentId,
        pause: bool,
    ) -> ApiResult<DeploymentUpdateResponse> {
        self.server()?
            .server
            .pause_deployment(id, pause)
            .await
            .map(deployment_updated)
            .map_err(api_error)
    }

    async fn fail_deployment(&self, id: DeploymentId) -> ApiResult<DeploymentUpdateResponse> {
        self.server()?
            .server
            .fail_deployment(id)
            .await
            .map(deployment_updated)
            .map_err(api_error)
    }

    async fn set_alloc_health(
        &self,
        id: DeploymentId,
        healthy: Vec<AllocId>,
        unhealthy: Vec<AllocId>,
    ) -> ApiResult<DeploymentUpdateResponse> {
        self.server()?
            .server
            .set_alloc_health(id, healthy, unhealthy)
            .await
            .map(deployment_updated)
            .map_err(api_error)
    }

    async fn set_eligibility(
        &self,
        id: NodeId,
        eligibility: Eligibility,
    ) -> ApiResult<NodeDrainResponse> {
        self.server()?
            .server
            .set_eligibility(id, eligibility)
            .await
            .map(drained)
            .map_err(api_error)
    }

    async fn drain_node(
        &self,
        id: NodeId,
        request: NodeDrainRequest,
    ) -> ApiResult<NodeDrainResponse> {
        let request = ops::DrainNode {
            spec: request.drain_spec.map(|spec| ops::DrainSpec {
                deadline: spec.deadline,
                ignore_system_jobs: spec.ignore_system_jobs,
            }),
            mark_eligible: request.mark_eligible,
            meta: request.meta,
            accessor_id: ACLS_DISABLED.to_owned(),
        };
        self.server()?
            .server
            .drain_node(id, request)
            .await
            .map(drained)
            .map_err(api_error)
    }

    async fn evaluate_node(&self, id: NodeId) -> ApiResult<NodeUpdateResponse> {
        self.server()?
            .server
            .evaluate_node(id)
            .await
            .map(|reply| self.node_updated(id, &reply))
            .map_err(api_error)
    }

    async fn purge_node(&self, id: NodeId) -> ApiResult<NodeUpdateResponse> {
        self.server()?
            .server
            .purge_node(id)
            .await
            .map(|reply| self.node_updated(id, &reply))
            .map_err(api_error)
    }

    async fn upsert_node_pool(&self, pool: NodePool) -> ApiResult<Written> {
        Ok(Written {
            index: self
                .server()?
                .server
                .upsert_node_pool(pool)
                .await
                .map_err(api_error)?,
        })
    }

    async fn delete_node_pool(&self, name: String) -> ApiResult<Written> {
        Ok(Written {
            index: self
                .server()?
                .server
                .delete_node_pool(name)
                .await
                .map_err(api_error)?,
        })
    }

    async fn upsert_namespace(&self, namespace: NamespaceRow) -> ApiResult<Written> {
        self.server()?.upsert_namespace(namespace).await
    }

    async fn delete_namespace(&self, name: String) -> ApiResult<Written> {
        self.server()?.delete_namespace(name).await
    }

    async fn open_variable(&self, row: &VariableRow) -> ApiResult<BTreeMap<String, String>> {
        self.server()?.open_variable(row).await
    }

    async fn write_variable(&self, request: WriteVariable) -> ApiResult<(VariableOutcome, u64)> {
        self.server()?.write_variable(request).await
    }

    async fn renew_variable_lock(&self, key: VariableKey, id: Uuid) -> ApiResult<VariableOutcome> {
        self.server()?.renew_variable_lock(key, id).await
    }

    async fn rotate_root_key(
        &self,
        full: bool,
        publish_time: Option<Timestamp>,
    ) -> ApiResult<(RootKeyRow, u64)> {
        self.server()?.rotate_root_key(full, publish_time).await
    }

    async fn delete_root_key(&self, id: Uuid, force: bool) -> ApiResult<Written> {
        self.server()?.delete_root_key(id, force).await
    }

    async fn set_scheduler_config(
        &self,
        config: SchedulerConfiguration,
        cas: Option<u64>,
    ) -> ApiResult<SchedulerSetResponse> {
        let (updated, index) = self
            .server()?
            .server
            .set_scheduler_config(config, cas)
            .await
            .map_err(api_error)?;
        Ok(SchedulerSetResponse { updated, index })
    }

    async fn garbage_collect(&self) -> ApiResult<()> {
        self.server()?
            .server
            .collect_garbage()
            .await
            .map_err(api_error)
    }

    async fn reconcile_summaries(&self) -> ApiResult<()> {
        self.server()?
            .server
            .reconcile_summaries()
            .await
            .map(|_| ())
            .map_err(api_error)
    }

    async fn members(&self) -> ApiResult<ServerMembersResponse> {
        servers::members(self).await
    }

    async fn raft_configuration(&self) -> ApiResult<RaftConfiguration> {
        servers::raft_configuration(self).await
    }

    async fn autopilot_health(&self) -> ApiResult<AutopilotHealth> {
        servers::autopilot_health(self).await
    }

    async fn snapshot_save(&self) -> ApiResult<Bytes> {
        snapshot::save(self.server()?).await
    }

    async fn snapshot_restore(&self, archive: Bytes) -> ApiResult<()> {
        snapshot::restore(self.server()?, archive).await
    }

    fn agent_self(&self) -> serde_json::Value {
        support::agent_self(self)
    }

    fn health(&self) -> AgentHealth {
        support::health(self)
    }

    fn metrics(&self, prometheus: bool) -> Option<Bytes> {
        gauges::publish(self);
        match prometheus {
            true if self.config.telemetry.prometheus_metrics => {
                Some(Bytes::from(self.metrics.to_prometheus()))
            }
            true => None,
            false => Some(Bytes::from(self.metrics.to_json())),
        }
    }

    fn client_servers(&self) -> Vec<String> {
        match &self.node {
            Some(node) => node.0.servers(),
            None => vec![self.addresses.rpc.clone()],
        }
    }

    fn monitor(&self, level: &str, json: bool) -> ApiResult<ByteStream> {
        support::monitor(level, json)
    }

    fn host_data(&self) -> serde_json::Value {
        support::host_data()
    }

    fn node(&self) -> Option<&dyn NodeBackend> {
        self.node.as_ref().map(|node| node as &dyn NodeBackend)
    }

    async fn proxy_to_node(&self, id: NodeId, request: Request<Body>) -> ApiResult<Response<Body>> {
        let tunnel = self
            .server()?
            .server
            .open_tunnel(id)
            .await
            .map_err(|error| match error {
                nomad_server::ServerError::NoPath => ApiError::not_found("No path to node"),
                other => api_error(other),
            })?;
        crate::proxy::send(tunnel, request).await
    }
}

fn deployment_updated(reply: ops::DeploymentReply) -> DeploymentUpdateResponse {
    DeploymentUpdateResponse {
        eval_id: text(reply.eval_id),
        eval_create_index: reply.eval_create_index,
        deployment_modify_index: reply.deployment_modify_index,
        reverted_job_version: reply.reverted_job_version,
        index: reply.index,
    }
}

fn drained(reply: ops::NodeReply) -> NodeDrainResponse {
    NodeDrainResponse {
        node_modify_index: reply.node_modify_index,
        eval_ids: reply.eval_ids.iter().map(ToString::to_string).collect(),
        eval_create_index: reply.eval_create_index,
        index: reply.index,
    }
}

impl AgentBackend {
    /// The server half.
    pub(crate) fn server(&self) -> ApiResult<&ServerHalf> {
        self.server
            .as_ref()
            .ok_or_else(|| ApiError::internal("this agent runs no server"))
    }

    /// The answer to a change of a node, with what a node wants to know of the cluster.
    fn node_updated(&self, id: NodeId, reply: &ops::NodeReply) -> NodeUpdateResponse {
        let state = self.state();
        let rpc = &self.addresses.rpc;
        NodeUpdateResponse {
            eval_ids: reply.eval_ids.iter().map(ToString::to_string).collect(),
            eval_create_index: reply.eval_create_index,
            node_modify_index: reply.node_modify_index,
            features: Some(serde_json::json!(0)),
            leader_rpc_addr: self.leadership().leader_addr,
            num_nodes: state.all_nodes().count() as u64,
            servers: vec![serde_json::json!({
                "RPCAdvertiseAddr": rpc, "Datacenter": self.identity.datacenter,
                "RPCMajorVersion": 0, "RPCMinorVersion": 0,
            })],
            scheduling_eligibility: state
                .node(id)
                .map(|node| node.scheduling_eligibility.to_string())
                .unwrap_or_default(),
            meta: QueryMeta {
                index: reply.index,
                ..QueryMeta::default()
            },
            ..NodeUpdateResponse::default()
        }
    }
}
