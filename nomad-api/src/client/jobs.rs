//! Jobs.

use http::Method;
use nomad_core::deployment::Deployment;
use nomad_core::eval::Evaluation;
use nomad_core::job::Job;
use nomad_core::spec;
use nomad_core::summary::JobSummary;
use serde_json::{Value, json};

use super::options::encode;
use super::{Client, ClientError, QueryOptions};
use crate::types::{
    AllocListStub, DeploymentUpdateResponse, JobAction, JobDeregisterResponse, JobDispatchRequest,
    JobDispatchResponse, JobEvaluateRequest, JobListStub, JobPlanRequest, JobPlanResponse,
    JobRegisterRequest, JobRegisterResponse, JobRevertRequest, JobScaleStatus, JobSubmission,
    JobTagRequest, JobTagResponse, JobValidateResponse, JobVersionsResponse, JobsParseRequest,
    PeriodicForceResponse, QueryMeta, ScalingRequest, WriteMeta,
};

type Read<T> = Result<(T, QueryMeta), ClientError>;

fn path(job: &str, rest: &str) -> String {
    format!("/v1/job/{}{rest}", encode(job))
}

/// How a job is stopped.
#[derive(Debug, Clone, Copy, Default)]
pub struct StopOptions {
    /// Remove the job from the state at once.
    pub purge: bool,
    /// In every region of a federated job.
    pub global: bool,
    /// Stop tasks without their shutdown delay.
    pub no_shutdown_delay: bool,
    /// Priority of the evaluation, 1 to 100; 0 is the job's.
    pub eval_priority: i32,
}

impl Client {
    /// The path of a job's route, for requests that are not typed.
    pub fn job_path(&self, id: &str, rest: &str) -> String {
        path(id, rest)
    }

    /// Jobs, by id.
    pub async fn jobs(&self, options: &QueryOptions) -> Read<Vec<JobListStub>> {
        self.get("/v1/jobs", options).await
    }

    /// One job.
    pub async fn job(&self, id: &str, options: &QueryOptions) -> Read<Job> {
        self.get(&path(id, ""), options).await
    }

    /// Registers a job or a new version of it.
    pub async fn register_job(
        &self,
        request: &JobRegisterRequest,
        options: &QueryOptions,
    ) -> Result<JobRegisterResponse, ClientError> {
        self.put("/v1/jobs", request, options).await
    }

    /// Stops a job.
    pub async fn deregister_job(
        &self,
        id: &str,
        stop: StopOptions,
        options: &QueryOptions,
    ) -> Result<JobDeregisterResponse, ClientError> {
        let mut options = options
            .clone()
            .param("purge", stop.purge.to_string())
            .param("global", stop.global.to_string())
            .param("no_shutdown_delay", stop.no_shutdown_delay.to_string());
        if stop.eval_priority != 0 {
            options = options.param("eval_priority", stop.eval_priority.to_string());
        }
        self.delete(&path(id, ""), &options).await
    }

    /// What registering a job would do.
    pub async fn plan_job(
        &self,
        id: &str,
        request: &JobPlanRequest,
        options: &QueryOptions,
    ) -> Result<JobPlanResponse, ClientError> {
        self.put(&path(id, "/plan"), request, options).await
    }

    /// Whether a job could be registered.
    pub async fn validate_job(
        &self,
        job: &spec::Job,
        options: &QueryOptions,
    ) -> Result<JobValidateResponse, ClientError> {
        let body = json!({"Job": job, "Namespace": options.namespace, "Region": options.region});
        self.put("/v1/validate/job", &body, options).await
    }

    /// Reads a job file on the server.
    pub async fn parse_job(&self, request: &JobsParseRequest) -> Result<spec::Job, ClientError> {
        self.write(
            Method::POST,
            "/v1/jobs/parse",
            request,
            &QueryOptions::new(),
        )
        .await
    }

    /// Allocations of a job; `all` also shows those of an earlier job of the same id.
    pub async fn job_allocations(
        &self,
        id: &str,
        all: bool,
        options: &QueryOptions,
    ) -> Read<Vec<AllocListStub>> {
        let options = options.clone().param("all", all.to_string());
        self.get(&path(id, "/allocations"), &options).await
    }

    /// Evaluations of a job, newest first.
    pub async fn job_evaluations(&self, id: &str, options: &QueryOptions) -> Read<Vec<Evaluation>> {
        self.get(&path(id, "/evaluations"), options).await
    }

    /// Deployments of a job.
    pub async fn job_deployments(
        &self,
        id: &str,
        all: bool,
        options: &QueryOptions,
    ) -> Read<Vec<Deployment>> {
        let options = options.clone().param("all", all.to_string());
        self.get(&path(id, "/deployments"), &options).await
    }

    /// The latest deployment of a job, if it has one.
    pub async fn job_latest_deployment(
        &self,
        id: &str,
        options: &QueryOptions,
    ) -> Read<Option<Deployment>> {
        self.get(&path(id, "/deployment"), options).await
    }

    /// Counts of a job's allocations.
    pub async fn job_summary(&self, id: &str, options: &QueryOptions) -> Read<JobSummary> {
        self.get(&path(id, "/summary"), options).await
    }

    /// Kept versions of a job. `params` of the options may ask for diffs.
    pub async fn job_versions(
        &self,
        id: &str,
        options: &QueryOptions,
    ) -> Result<JobVersionsResponse, ClientError> {
        Ok(self.get(&path(id, "/versions"), options).await?.0)
    }

    /// The text that a version was made from.
    pub async fn job_submission(
        &self,
        id: &str,
        version: u64,
        options: &QueryOptions,
    ) -> Read<JobSubmission> {
        let options = options.clone().param("version", version.to_string());
        self.get(&path(id, "/submission"), &options).await
    }

    /// Actions of a job's tasks.
    pub async fn job_actions(&self, id: &str, options: &QueryOptions) -> Read<Vec<JobAction>> {
        let (actions, meta) = self
            .get::<Option<_>>(&path(id, "/actions"), options)
            .await?;
        Ok((actions.unwrap_or_default(), meta))
    }

    /// Makes an evaluation of a job.
    pub async fn evaluate_job(
        &self,
        request: &JobEvaluateRequest,
        options: &QueryOptions,
    ) -> Result<JobRegisterResponse, ClientError> {
        self.put(&path(&request.job_id, "/evaluate"), request, options)
            .await
    }

    /// Goes back to an earlier version.
    pub async fn revert_job(
        &self,
        request: &JobRevertRequest,
        options: &QueryOptions,
    ) -> Result<JobRegisterResponse, ClientError> {
        self.put(&path(&request.job_id, "/revert"), request, options)
            .await
    }

    /// Launches a parameterized job.
    pub async fn dispatch_job(
        &self,
        request: &JobDispatchRequest,
        idempotency_token: &str,
        options: &QueryOptions,
    ) -> Result<JobDispatchResponse, ClientError> {
        let mut options = options.clone();
        if !idempotency_token.is_empty() {
            options = options.param("idempotency_token", idempotency_token);
        }
        self.put(&path(&request.job_id, "/dispatch"), request, &options)
            .await
    }

    /// Launches a periodic job now.
    pub async fn force_periodic(
        &self,
        id: &str,
        options: &QueryOptions,
    ) -> Result<PeriodicForceResponse, ClientError> {
        self.put(&path(id, "/periodic/force"), &json!({}), options)
            .await
    }

    /// Changes the count of a group.
    pub async fn scale_job(
        &self,
        id: &str,
        request: &ScalingRequest,
        options: &QueryOptions,
    ) -> Result<JobRegisterResponse, ClientError> {
        self.put(&path(id, "/scale"), request, options).await
    }

    /// Scale and scaling events of a job's groups.
    pub async fn job_scale_status(&self, id: &str, options: &QueryOptions) -> Read<JobScaleStatus> {
        self.get(&path(id, "/scale"), options).await
    }

    /// Names a version of a job.
    pub async fn tag_job(
        &self,
        id: &str,
        name: &str,
        request: &JobTagRequest,
        options: &QueryOptions,
    ) -> Result<JobTagResponse, ClientError> {
        let path = path(id, &format!("/versions/{}/tag", encode(name)));
        self.put(&path, request, options).await
    }

    /// Takes a name away from a version of a job.
    pub async fn untag_job(
        &self,
        id: &str,
        name: &str,
        options: &QueryOptions,
    ) -> Result<Value, ClientError> {
        let path = path(id, &format!("/versions/{}/tag", encode(name)));
        self.delete(&path, options).await
    }

    /// Marks a version stable or not.
    pub async fn set_job_stability(
        &self,
        id: &str,
        version: u64,
        stable: bool,
    ) -> Result<WriteMeta, ClientError> {
        let body = json!({"JobID": id, "JobVersion": version, "Stable": stable});
        self.put(&path(id, "/stable"), &body, &QueryOptions::new())
            .await
    }

    /// Promotes the canaries of a deployment; no groups means all.
    pub async fn promote_deployment(
        &self,
        deployment: &str,
        groups: &[String],
        options: &QueryOptions,
    ) -> Result<DeploymentUpdateResponse, ClientError> {
        let body = json!({"DeploymentID": deployment, "All": groups.is_empty(), "Groups": groups});
        let path = format!("/v1/deployment/promote/{}", encode(deployment));
        self.put(&path, &body, options).await
    }
}
