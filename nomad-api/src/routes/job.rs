//! `/v1/job/:id…`. Ids may contain `/`, so what is asked is found at the end of the path.

use http::Method;
use nomad_core::job::Job;
use nomad_core::view::ClusterView;
use nomad_core::{JobKey, Timestamp};
use nomad_state::{State, Table, WatchKey};

use super::answer::Answer;
use super::blocking::{read, read_json, read_one};
use super::{Call, RouteResult, exec, jobs, json, read_headers, write_header};
use crate::error::ApiError;
use crate::types::{
    AllocListStub, JobAction, JobDeregisterResponse, JobDispatchRequest, JobDispatchResponse,
    JobEvaluateRequest, JobRegisterResponse, JobRevertRequest, JobScaleStatus, JobStabilityRequest,
    JobTagRequest, JobTagResponse, JobVersionsResponse, QueryMeta, ScalingRequest, StubFields,
    TaskGroupScaleStatus, WriteMeta,
};

/// What may stand behind an id.
const SUFFIXES: [&str; 18] = [
    "/dispatch/payload",
    "/periodic/force",
    "/evaluate",
    "/allocations",
    "/evaluations",
    "/deployments",
    "/deployment",
    "/summary",
    "/versions",
    "/revert",
    "/stable",
    "/plan",
    "/dispatch",
    "/scale",
    "/services",
    "/submission",
    "/actions",
    "/action",
];

pub(super) async fn route(call: Call, rest: &str) -> RouteResult {
    if rest.ends_with("/tag") && rest.contains("/versions/") {
        return tag(call, rest).await;
    }
    let suffix = SUFFIXES
        .iter()
        .find(|suffix| rest.len() > suffix.len() && rest.ends_with(*suffix));
    let id = suffix
        .map_or(rest, |suffix| &rest[..rest.len() - suffix.len()])
        .to_owned();
    let key = JobKey::new(call.options.namespace.as_str(), id.as_str());
    match suffix.copied() {
        None => one(call, key).await,
        Some("/dispatch/payload") => dispatch_payload(call, key).await,
        Some("/periodic/force") => periodic_force(call, key).await,
        Some("/evaluate") => evaluate(call, key).await,
        Some("/allocations") => allocations(call, key).await,
        Some("/evaluations") => evaluations(call, key).await,
        Some("/deployments") => deployments(call, key).await,
        Some("/deployment") => deployment(call, key).await,
        Some("/summary") => summary(call, key).await,
        Some("/versions") => versions(call, key).await,
        Some("/revert") => revert(call, key).await,
        Some("/stable") => stable(call, key).await,
        Some("/plan") => jobs::plan(call, &id).await,
        Some("/dispatch") => dispatch(call, key).await,
        Some("/scale") => scale(call, key).await,
        Some("/services") => services(call, key).await,
        Some("/submission") => submission(call, key).await,
        Some("/actions") => actions(call, key).await,
        Some(_) => exec::job_action(call, key).await,
    }
}

/// Watches of a job's row.
fn row(key: &JobKey) -> Vec<WatchKey> {
    vec![WatchKey::Job(key.clone())]
}

/// The index of a single read: the row's, or the table's if there is none.
fn row_index(state: &State, job: Option<&Job>) -> u64 {
    job.map_or_else(|| state.table_index(Table::Jobs), |job| job.modify_index)
}

async fn one(call: Call, key: JobKey) -> RouteResult {
    match *call.method() {
        Method::GET => {
            read_one(
                &call,
                "job not found",
                || row(&key),
                |state| {
                    let job = state.job(&key).map(|job| Job::clone(job));
                    Ok(Answer::new(row_index(state, job.as_ref()), job))
                },
            )
            .await
        }
        Method::PUT | Method::POST => jobs::register(call, Some(&key.id)).await,
        Method::DELETE => deregister(call, key).await,
        _ => Err(ApiError::invalid_method()),
    }
}

async fn deregister(call: Call, key: JobKey) -> RouteResult {
    let purge = call.query.flag("purge")?;
    call.query.flag("global")?;
    let no_shutdown_delay = call.query.flag("no_shutdown_delay")?;
    let priority = match call.query.text("eval_priority") {
        "" => 0,
        text => text
            .parse()
            .ok()
            // Clients that have nothing to say of it send 0.
            .filter(|priority| (0..=100).contains(priority))
            .ok_or_else(|| {
                ApiError::bad_request("Eval priority must be between 1 and 100 inclusively")
            })?,
    };
    // A job that nobody knows is no error; nothing is written for it.
    let response = if call.backend.state().job(&key).is_none() {
        JobDeregisterResponse::default()
    } else {
        call.backend
            .deregister_job(key, purge, priority, no_shutdown_delay)
            .await?
    };
    let mut answer = json(&response)?;
    write_header(&mut answer, response.meta.index);
    Ok(answer)
}

fn written(response: &JobRegisterResponse) -> RouteResult {
    let mut answer = json(response)?;
    write_header(&mut answer, response.meta.index);
    Ok(answer)
}

async fn evaluate(mut call: Call, key: JobKey) -> RouteResult {
    call.expect_write()?;
    let request: JobEvaluateRequest = call.json_or_default().await?;
    if !request.job_id.is_empty() && *key.id != *request.job_id {
        return Err(ApiError::bad_request("JobID not same as job name"));
    }
    written(
        &call
            .backend
            .evaluate_job(key, request.eval_options.force_reschedule)
            .await?,
    )
}

async fn allocations(call: Call, key: JobKey) -> RouteResult {
    call.expect_get()?;
    let all = call
        .query
        .get("all")
        .and_then(crate::query::go_bool)
        .unwrap_or(false);
    read_json(
        &call,
        || vec![WatchKey::JobAllocs(key.clone())],
        |state| {
            let incarnation = state.job(&key).map_or(0, |job| job.create_index);
            let stubs: Vec<_> = state
                .allocs_of_job(&key)
                .filter(|alloc| all || alloc.create_index >= incarnation)
                .map(|alloc| AllocListStub::new(alloc, StubFields::default()))
                .collect();
            Ok(Answer::new(state.table_index(Table::Allocs), stubs))
        },
    )
    .await
}

async fn evaluations(call: Call, key: JobKey) -> RouteResult {
    call.expect_get()?;
    read_json(
        &call,
        || vec![WatchKey::JobEvals(key.clone())],
        |state| {
            let mut evals: Vec<_> = state
                .evals_of_job(&key)
                .map(|eval| (**eval).clone())
                .collect();
            evals.sort_by_key(|eval| std::cmp::Reverse(eval.create_index));
            Ok(Answer::new(state.table_index(Table::Evals), evals))
        },
    )
    .await
}

async fn deployments(call: Call, key: JobKey) -> RouteResult {
    call.expect_get()?;
    let all = call
        .query
        .get("all")
        .and_then(crate::query::go_bool)
        .unwrap_or(false);
    read_json(
        &call,
        || vec![WatchKey::JobDeployments(key.clone())],
        |state| {
            let incarnation = state.job(&key).map_or(0, |job| job.create_index);
            let rows: Vec<_> = state
                .deployments_of_job(&key)
                .filter(|deployment| all || deployment.job_create_index >= incarnation)
                .map(|deployment| (**deployment).clone())
                .collect();
            Ok(Answer::new(state.table_index(Table::Deployments), rows))
        },
    )
    .await
}

async fn deployment(call: Call, key: JobKey) -> RouteResult {
    call.expect_get()?;
    read_json(
        &call,
        || vec![WatchKey::JobDeployments(key.clone())],
        |state| {
            let latest = state
                .latest_deployment(&key)
                .map(|deployment| (**deployment).clone());
            Ok(Answer::new(state.table_index(Table::Deployments), latest))
        },
    )
    .await
}

async fn summary(call: Call, key: JobKey) -> RouteResult {
    read_one(
        &call,
        "job not found",
        || vec![WatchKey::JobSummary(key.clone())],
        |state| {
            let summary = state.job_summary(&key).map(|summary| (**summary).clone());
            let index = summary.as_ref().map_or_else(
                || state.table_index(Table::JobSummaries),
                |summary| summary.modify_index,
            );
            Ok(Answer::new(index, summary))
        },
    )
    .await
}

/// Which version the others are compared with.
enum DiffBase {
    /// Each with the next older one.
    Next,
    Tag(String),
    Version(u64),
}

async fn versions(call: Call, key: JobKey) -> RouteResult {
    let diffs = call.query.flag("diffs")?;
    let base = match (call.query.text("diff_tag"), call.query.text("diff_version")) {
        ("", "") => DiffBase::Next,
        ("", version) => DiffBase::Version(version.parse().map_err(|_| {
            ApiError::internal(format!(
                "Failed to parse value of \"diff_version\" ({version}) as a uint64: strconv.ParseUint: parsing {version:?}: invalid syntax"
            ))
        })?),
        (tag, _) => DiffBase::Tag(tag.to_owned()),
    };
    let answer = read(
        &call,
        || row(&key),
        |state| {
            let versions: Option<Vec<Job>> = state
                .job_versions(&key)
                .map(|versions| versions.iter().map(|job| Job::clone(job)).collect());
            Ok(Answer::new(
                row_index(state, state.job(&key).map(|job| &**job)),
                versions,
            ))
        },
    )
    .await?;
    let leadership = call.backend.leadership();
    let mut response = match answer.value {
        None => super::answer::error(&ApiError::not_found("job versions not found")),
        Some(versions) => {
            let diffs = if diffs {
                diff_versions(&call, &versions, &base)?
            } else {
                Vec::new()
            };
            let meta = QueryMeta {
                index: answer.index,
                known_leader: leadership.known_leader,
                last_contact: leadership.last_contact_ms as i64 * 1_000_000,
                ..QueryMeta::default()
            };
            json(&JobVersionsResponse {
                versions,
                diffs,
                meta,
            })?
        }
    };
    read_headers(&mut response, answer.index, &leadership, "");
    Ok(response)
}

fn diff_versions(
    call: &Call,
    versions: &[Job],
    base: &DiffBase,
) -> Result<Vec<serde_json::Value>, ApiError> {
    let fixed = match base {
        DiffBase::Next => {
            return versions
                .windows(2)
                .map(|pair| call.backend.diff_jobs(Some(&pair[1]), Some(&pair[0]), true))
                .collect();
        }
        DiffBase::Version(version) => versions
            .iter()
            .find(|job| job.version == *version)
            .ok_or_else(|| ApiError::internal(format!("version {version} not found")))?,
        DiffBase::Tag(tag) => versions
            .iter()
            .find(|job| {
                job.version_tag
                    .as_ref()
                    .is_some_and(|held| held.name == *tag)
            })
            .ok_or_else(|| ApiError::internal(format!("tag {tag:?} not found")))?,
    };
    versions
        .iter()
        .map(|job| call.backend.diff_jobs(Some(fixed), Some(job), true))
        .collect()
}

async fn tag(mut call: Call, rest: &str) -> RouteResult {
    let segments: Vec<&str> = rest.split('/').collect();
    let [id, "versions", name, "tag"] = segments[..] else {
        return Err(ApiError::not_found("invalid job tag endpoint"));
    };
    let key = JobKey::new(call.options.namespace.as_str(), id);
    if *call.method() == Method::DELETE {
        let written = call
            .backend
            .tag_job_version(key, 0, name.to_owned(), None)
            .await?;
        let meta = QueryMeta {
            index: written.index,
            ..QueryMeta::default()
        };
        return json(&JobTagResponse {
            meta,
            ..JobTagResponse::default()
        });
    }
    call.expect_write()?;
    let request: JobTagRequest = call.json().await?;
    let job = call
        .backend
        .state()
        .job(&key)
        .cloned()
        .ok_or_else(|| ApiError::internal(format!("job {id:?} not found")))?;
    if request.latest && request.version != 0 {
        return Err(ApiError::internal(format!(
            "version must be zero when tagging latest, got: {}",
            request.version
        )));
    }
    let version = if request.latest {
        job.version
    } else {
        request.version
    };
    if call.backend.state().job_version(&key, version).is_none() {
        return Err(ApiError::internal(format!(
            "job {id:?} version {version} not found"
        )));
    }
    let written = call
        .backend
        .tag_job_version(
            key.clone(),
            version,
            name.to_owned(),
            Some(request.description.clone()),
        )
        .await?;
    let tagged_time = call
        .backend
        .state()
        .job_version(&key, version)
        .and_then(|job| job.version_tag.as_ref().map(|tag| tag.tagged_time))
        .unwrap_or(Timestamp::ZERO);
    json(&JobTagResponse {
        name: name.to_owned(),
        description: request.description,
        tagged_time,
        meta: QueryMeta {
            index: written.index,
            ..QueryMeta::default()
        },
    })
}

/// A body that must name the job of the path.
fn expect_job(key: &JobKey, body: &str) -> Result<(), ApiError> {
    if body.is_empty() {
        return Err(ApiError::bad_request("JobID must be specified"));
    }
    if *key.id != *body {
        return Err(ApiError::bad_request("Job ID does not match"));
    }
    Ok(())
}

async fn revert(mut call: Call, key: JobKey) -> RouteResult {
    call.expect_write()?;
    let request: JobRevertRequest = call.json().await?;
    expect_job(&key, &request.job_id)?;
    let response = call
        .backend
        .revert_job(key, request.job_version, request.enforce_prior_version)
        .await?;
    let mut answer = json(&response)?;
    read_headers(
        &mut answer,
        response.meta.index,
        &crate::backend::Leadership::default(),
        "",
    );
    Ok(answer)
}

async fn stable(mut call: Call, key: JobKey) -> RouteResult {
    call.expect_write()?;
    let request: JobStabilityRequest = call.json().await?;
    expect_job(&key, &request.job_id)?;
    let written = call
        .backend
        .set_job_stability(key, request.job_version, request.stable)
        .await?;
    let mut answer = json(&WriteMeta {
        index: written.index,
    })?;
    write_header(&mut answer, written.index);
    Ok(answer)
}

async fn dispatch(mut call: Call, key: JobKey) -> RouteResult {
    call.expect_write()?;
    let request: JobDispatchRequest = call.json().await?;
    if !request.job_id.is_empty() && *key.id != *request.job_id {
        return Err(ApiError::bad_request("Job ID does not match"));
    }
    dispatched(call, key, request).await
}

async fn dispatch_payload(mut call: Call, key: JobKey) -> RouteResult {
    call.expect_write()?;
    let payload = call.bytes(super::MAX_BODY_BYTES).await?.to_vec();
    dispatched(
        call,
        key,
        JobDispatchRequest {
            payload,
            ..JobDispatchRequest::default()
        },
    )
    .await
}

async fn dispatched(call: Call, key: JobKey, request: JobDispatchRequest) -> RouteResult {
    let token = call.query.text("idempotency_token").to_owned();
    let response: JobDispatchResponse = call.backend.dispatch_job(key, request, token).await?;
    let mut answer = json(&response)?;
    write_header(&mut answer, response.index);
    Ok(answer)
}

async fn periodic_force(call: Call, key: JobKey) -> RouteResult {
    call.expect_write()?;
    let response = call.backend.force_periodic(key).await?;
    let mut answer = json(&response)?;
    write_header(&mut answer, response.index);
    Ok(answer)
}

async fn scale(mut call: Call, key: JobKey) -> RouteResult {
    if *call.method() == Method::GET {
        return scale_status(call, key).await;
    }
    call.expect_write()?;
    let request: ScalingRequest = call.json().await?;
    let names = |target: &str, wanted: &str| {
        request
            .target
            .get(target)
            .is_some_and(|named| !named.is_empty() && named != wanted)
    };
    if names("Job", &key.id) {
        return Err(ApiError::bad_request("job ID in payload did not match URL"));
    }
    if request.target.get("Group").is_none_or(String::is_empty) {
        return Err(ApiError::bad_request(
            "missing task group name for scaling action",
        ));
    }
    written(&call.backend.scale_job(key, request).await?)
}

async fn scale_status(call: Call, key: JobKey) -> RouteResult {
    let keys = || {
        vec![
            WatchKey::Job(key.clone()),
            WatchKey::JobAllocs(key.clone()),
            WatchKey::Table(Table::ScalingEvents),
        ]
    };
    read_one(&call, "job not found", keys, |state| {
        let Some(job) = state.job(&key) else {
            return Ok(Answer::new(state.table_index(Table::Jobs), None));
        };
        let mut index = job.modify_index;
        let mut status = JobScaleStatus {
            job_id: job.id.to_string(),
            namespace: job.namespace.to_string(),
            job_create_index: job.create_index,
            job_modify_index: job.job_modify_index,
            job_stopped: job.stop,
            ..JobScaleStatus::default()
        };
        for group in &job.task_groups {
            let one = TaskGroupScaleStatus {
                desired: group.count,
                ..TaskGroupScaleStatus::default()
            };
            status.task_groups.insert(group.name.clone(), one);
        }
        for alloc in state.allocs_of_job(&key) {
            index = index.max(alloc.modify_index);
            if alloc.terminal() || alloc.is_canary() {
                continue;
            }
            let Some(group) = status.task_groups.get_mut(&alloc.task_group) else {
                continue;
            };
            group.placed += 1;
            group.running +=
                i64::from(alloc.client_status == nomad_core::alloc::ClientStatus::Running);
            group.healthy += i64::from(alloc.is_healthy());
            group.unhealthy += i64::from(alloc.is_unhealthy());
        }
        for (group, events) in state.scaling_events(&key) {
            if let Some(group) = status.task_groups.get_mut(group) {
                group.events = events
                    .iter()
                    .filter_map(|event| serde_json::to_value(&**event).ok())
                    .collect();
            }
            index = index.max(
                events
                    .iter()
                    .map(|event| event.create_index)
                    .max()
                    .unwrap_or(0),
            );
        }
        Ok(Answer::new(index, Some(status)))
    })
    .await
}

async fn services(call: Call, key: JobKey) -> RouteResult {
    call.expect_get()?;
    read_one(
        &call,
        "job not found",
        || vec![WatchKey::Table(Table::Allocs)],
        |state| {
            let job = state.job(&key);
            let rows = job.map(|_| crate::services::all(state, |alloc| alloc.job_key() == key));
            Ok(Answer::new(row_index(state, job.map(|job| &**job)), rows))
        },
    )
    .await
}

async fn submission(call: Call, key: JobKey) -> RouteResult {
    let version =
        call.query.text("version").parse().map_err(|_| {
            ApiError::bad_request("Unable to parse job submission version parameter")
        })?;
    read_one(
        &call,
        "job source not found",
        || row(&key),
        |state| {
            let submission = state
                .job_submission(&key, version)
                .map(|submission| (**submission).clone());
            let index = submission
                .as_ref()
                .map_or(0, |submission| submission.job_modify_index);
            Ok(Answer::new(index, submission))
        },
    )
    .await
}

async fn actions(call: Call, key: JobKey) -> RouteResult {
    call.expect_get()?;
    let state = call.backend.state();
    let job = state
        .job(&key)
        .ok_or_else(|| ApiError::internal(format!("Unknown job {:?}", key.id.as_str())))?;
    let mut actions = Vec::new();
    for group in &job.task_groups {
        for task in &group.tasks {
            actions.extend(task.actions.iter().map(|action| JobAction {
                name: action.name.clone(),
                command: action.command.clone(),
                args: action.args.clone(),
                task_name: task.name.clone(),
                task_group_name: group.name.clone(),
            }));
        }
    }
    let mut answer = json(&actions)?;
    read_headers(&mut answer, 0, &crate::backend::Leadership::default(), "");
    Ok(answer)
}
