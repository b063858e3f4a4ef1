//! `/v1/jobs…` and `/v1/validate/job`.

use http::Method;
use nomad_core::job::Job;
use nomad_core::view::ClusterView;
use nomad_core::{JobKey, spec};
use nomad_state::{State, Table, WatchKey};

use super::answer::Answer;
use super::blocking::read_json;
use super::listing::{in_namespace, page};
use super::{Call, RouteResult, json, write_header};
use crate::backend::RegisterJob;
use crate::error::ApiError;
use crate::types::{
    JobListStub, JobPlanRequest, JobRegisterRequest, JobStatusesAlloc, JobStatusesHealth,
    JobStatusesJob, JobsParseRequest,
};

pub(super) async fn route(call: Call, rest: Option<&str>) -> RouteResult {
    match rest {
        None if *call.method() == Method::GET => list(call).await,
        None if call.is_write() => register(call, None).await,
        Some("parse") if call.is_write() => parse(call).await,
        Some("statuses") if matches!(*call.method(), Method::GET | Method::POST) => {
            statuses(call).await
        }
        None | Some("parse" | "statuses") => Err(ApiError::invalid_method()),
        _ => Err(ApiError::no_route()),
    }
}

const LIST_TABLES: [Table; 2] = [Table::Jobs, Table::JobSummaries];

async fn list(call: Call) -> RouteResult {
    let with_meta = call.query.flag("meta")?;
    let options = call.options.clone();
    read_json(
        &call,
        || LIST_TABLES.map(WatchKey::Table).to_vec(),
        |state| {
            let rows = state.jobs().filter(|job| {
                in_namespace(&options, &job.namespace) && job.id.starts_with(&options.prefix)
            });
            let page = page(
                &options,
                rows,
                |job| (job.namespace.to_string(), job.id.to_string()),
                |token| {
                    token
                        .split_once('.')
                        .map(|(ns, id)| (ns.to_owned(), id.to_owned()))
                },
                |job| format!("{}.{}", job.namespace, job.id),
                |job| JobListStub::new(job, state.job_summary(&job.key()).map(|s| &**s), with_meta),
            )?;
            Ok(Answer {
                index: state.max_index(&LIST_TABLES),
                value: page.rows,
                next_token: page.next_token,
            })
        },
    )
    .await
}

/// The namespace a job is meant for: query, body, job, default.
fn namespace_of(call: &Call, body: &str, job: &spec::Job) -> String {
    [
        call.query.text("namespace"),
        body,
        job.namespace.as_deref().unwrap_or(""),
    ]
    .into_iter()
    .find(|namespace| !namespace.is_empty())
    .unwrap_or(nomad_core::DEFAULT_NAMESPACE)
    .to_owned()
}

/// The region a job is meant for: `global` and nothing are the agent's own.
fn region_of(call: &Call, body: &str, job: &spec::Job) -> String {
    let wanted = [
        body,
        call.query.text("region"),
        job.region.as_deref().unwrap_or(""),
    ]
    .into_iter()
    .find(|region| !region.is_empty())
    .unwrap_or("global");
    if wanted == "global" {
        call.backend.identity().region.clone()
    } else {
        wanted.to_owned()
    }
}

/// Checks what every submitted job must have, and puts it into its namespace and region.
fn place(
    call: &Call,
    job: Option<spec::Job>,
    path_id: Option<&str>,
    namespace: &str,
    region: &str,
) -> Result<spec::Job, ApiError> {
    let mut job = job.ok_or_else(|| ApiError::bad_request("Job must be specified"))?;
    let id = job.id.clone().unwrap_or_default();
    if id.is_empty() {
        return Err(ApiError::bad_request("Job ID hasn't been provided"));
    }
    if path_id.is_some_and(|path_id| path_id != id) {
        return Err(ApiError::bad_request("Job ID does not match name"));
    }
    job.namespace = Some(namespace_of(call, namespace, &job));
    job.region = Some(region_of(call, region, &job));
    Ok(job)
}

/// Registers a job; `path_id` is the id in the path, where there is one.
pub(super) async fn register(mut call: Call, path_id: Option<&str>) -> RouteResult {
    let request: JobRegisterRequest = call.json().await?;
    let job = place(
        &call,
        request.job,
        path_id,
        &request.namespace,
        &request.region,
    )?;
    let groups = job.task_groups.as_deref().unwrap_or_default();
    if job.type_name() == "system" && groups.iter().any(|group| group.scaling.is_some()) {
        return Err(ApiError::bad_request(
            "Task groups with job type system do not support scaling blocks",
        ));
    }
    if !(0..=100).contains(&request.eval_priority) {
        return Err(ApiError::bad_request(
            "Eval priority must be between 1 and 100 inclusively",
        ));
    }
    let response = call
        .backend
        .register_job(RegisterJob {
            job,
            submission: request.submission,
            enforce_index: request.enforce_index.then_some(request.job_modify_index),
            preserve_counts: request.preserve_counts,
            preserve_resources: request.preserve_resources,
            eval_priority: request.eval_priority,
        })
        .await?;
    let mut answer = json(&response)?;
    write_header(&mut answer, response.meta.index);
    Ok(answer)
}

/// What a registration would do.
pub(super) async fn plan(mut call: Call, id: &str) -> RouteResult {
    call.expect_write()?;
    let request: JobPlanRequest = call.json().await?;
    let job = place(&call, request.job, None, &request.namespace, "")?;
    if job.id.as_deref() != Some(id) {
        return Err(ApiError::bad_request("Job ID does not match"));
    }
    let response = call
        .backend
        .plan_job(job, request.diff, request.explain)
        .await?;
    let mut answer = json(&response)?;
    write_header(&mut answer, response.index);
    Ok(answer)
}

async fn parse(mut call: Call) -> RouteResult {
    let request: JobsParseRequest = call.json().await?;
    if request.job_hcl.is_empty() {
        return Err(ApiError::bad_request("Job spec is empty"));
    }
    // Reading a hostile file takes time that other requests should not wait for.
    let parsed = tokio::task::spawn_blocking(move || {
        let mut job = crate::parse::parse(&request.job_hcl, &request.variables)?;
        if request.canonicalize {
            job.canonicalize();
        }
        Ok::<_, ApiError>(job)
    })
    .await
    .map_err(|_| ApiError::internal("job could not be parsed"))??;
    let mut value = serde_json::to_value(&parsed)
        .map_err(|error| ApiError::internal(format!("job cannot be written as JSON: {error}")))?;
    spec::json::sort_keys(&mut value);
    json(&value)
}

pub(super) async fn validate(mut call: Call) -> RouteResult {
    call.expect_write()?;
    let request: JobPlanRequest = call.json().await?;
    let mut job = request
        .job
        .ok_or_else(|| ApiError::bad_request("Job must be specified"))?;
    job.namespace = Some(namespace_of(&call, &request.namespace, &job));
    job.region = Some(region_of(&call, "", &job));
    json(&call.backend.validate_job(job).await?)
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct StatusesRequest {
    #[serde(alias = "Jobs")]
    jobs: Option<Vec<StatusesJob>>,
    #[serde(alias = "IncludeChildren")]
    include_children: bool,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct StatusesJob {
    #[serde(alias = "ID")]
    id: String,
    #[serde(alias = "Namespace")]
    namespace: String,
}

async fn statuses(mut call: Call) -> RouteResult {
    let body = call.bytes(super::MAX_BODY_BYTES).await?;
    let request: StatusesRequest = if body.is_empty() {
        StatusesRequest::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| ApiError::bad_request(error.to_string()))?
    };
    let include_children = request.include_children
        || call
            .query
            .flag("include_children")
            .map_err(|error| ApiError::bad_request(error.text))?;
    let wanted: Option<Vec<JobKey>> = request.jobs.map(|jobs| {
        let namespace = |job: &StatusesJob| {
            if job.namespace.is_empty() {
                "default".to_owned()
            } else {
                job.namespace.clone()
            }
        };
        jobs.iter()
            .map(|job| JobKey::new(namespace(job), job.id.as_str()))
            .collect()
    });
    if wanted.as_ref().is_some_and(Vec::is_empty) {
        return Err(ApiError::bad_request("no jobs in request"));
    }
    // Newest first is the standard here, so the meaning of `reverse` is turned around.
    let mut options = call.options.clone();
    options.reverse = !options.reverse;
    read_json(
        &call,
        || {
            [Table::Jobs, Table::Allocs, Table::Deployments]
                .map(WatchKey::Table)
                .to_vec()
        },
        |state| {
            let rows = state.jobs().filter(|job| {
                let named = wanted.as_ref().map_or_else(
                    || {
                        in_namespace(&options, &job.namespace)
                            && job.id.starts_with(&options.prefix)
                    },
                    |wanted| wanted.contains(&job.key()),
                );
                named && (include_children || job.parent_id.is_empty())
            });
            let page = page(
                &options,
                rows,
                |job| job.modify_index,
                |token| token.parse().ok(),
                |job| job.modify_index.to_string(),
                |job| status_of(state, job),
            )
            .map_err(|error| ApiError::internal(error.text))?;
            let index = page
                .rows
                .iter()
                .map(|(index, _)| *index)
                .max()
                .unwrap_or_else(|| state.table_index(Table::Jobs));
            let rows: Vec<_> = page.rows.into_iter().map(|(_, job)| job).collect();
            Ok(Answer {
                index,
                value: rows,
                next_token: page.next_token,
            })
        },
    )
    .await
}

fn status_of(state: &State, job: &Job) -> (u64, JobStatusesJob) {
    let key = job.key();
    let mut index = job.modify_index;
    let mut allocs = Vec::new();
    for alloc in state.allocs_of_job(&key) {
        index = index.max(alloc.modify_index);
        let health = alloc.deployment_status.clone().unwrap_or_default();
        allocs.push(JobStatusesAlloc {
            id: alloc.id.to_string(),
            group: alloc.task_group.clone(),
            client_status: alloc.client_status.to_string(),
            node_id: alloc.node_id.to_string(),
            deployment_status: JobStatusesHealth {
                canary: health.canary,
                healthy: health.healthy,
            },
            job_version: alloc.job_version,
            followup_eval_id: alloc
                .followup_eval_id
                .map(|id| id.to_string())
                .unwrap_or_default(),
            has_paused_task: alloc
                .task_states
                .values()
                .any(|task| !task.paused.is_empty()),
        });
    }
    let deployment = state.latest_deployment(&key);
    index = index.max(deployment.map_or(0, |deployment| deployment.modify_index));
    let parent = job.is_periodic() || job.is_parameterized();
    let children = parent.then(|| {
        state
            .job_children(&key)
            .map(|child| child.status.to_string())
            .collect()
    });
    let status = JobStatusesJob {
        id: job.id.to_string(),
        namespace: job.namespace.to_string(),
        name: job.name.clone(),
        job_type: job.job_type.to_string(),
        node_pool: job.node_pool.clone(),
        datacenters: job.datacenters.clone(),
        priority: job.priority,
        version: job.version,
        submit_time: job.submit_time,
        modify_index: job.modify_index,
        allocs,
        group_count_sum: job.total_count(),
        child_statuses: children,
        parent_id: job.parent_id.to_string(),
        latest_deployment: deployment.map(|deployment| (&**deployment).into()),
        stop: job.stop,
        is_pack: job.meta.contains_key("pack.name"),
        status: job.status.to_string(),
    };
    (index, status)
}
