//! `/v1/deployments` and `/v1/deployment/…`.

use nomad_core::DeploymentId;
use nomad_core::view::ClusterView;
use nomad_state::{Table, WatchKey};

use super::answer::Answer;
use super::blocking::{read_json, read_one};
use super::listing::{in_namespace, index_token, page, uuid, uuid_prefix};
use super::{Call, RouteResult, json, write_header};
use crate::error::ApiError;
use crate::types::{
    AllocListStub, DeploymentAllocHealthRequest, DeploymentPauseRequest, DeploymentPromoteRequest,
    DeploymentUpdateResponse, StubFields,
};

pub(super) async fn list(call: Call) -> RouteResult {
    call.expect_get()?;
    let options = call.options.clone();
    uuid_prefix("deployment", &options.prefix)?;
    let by_id = !options.prefix.is_empty();
    read_json(
        &call,
        || vec![WatchKey::Table(Table::Deployments)],
        |state| {
            let rows = state
                .deployments_by_prefix(&options.prefix)
                .into_iter()
                .filter(|deployment| in_namespace(&options, &deployment.namespace));
            let page = page(
                &options,
                rows,
                |row| (if by_id { 0 } else { row.create_index }, row.id.to_string()),
                |token| {
                    if by_id {
                        (!token.is_empty()).then(|| (0, token.to_owned()))
                    } else {
                        index_token(token)
                    }
                },
                |row| {
                    if by_id {
                        row.id.to_string()
                    } else {
                        format!("{}.{}", row.create_index, row.id)
                    }
                },
                |row| (***row).clone(),
            )?;
            Ok(Answer {
                index: state.table_index(Table::Deployments),
                value: page.rows,
                next_token: page.next_token,
            })
        },
    )
    .await
}

pub(super) async fn route(call: Call, rest: &str) -> RouteResult {
    match rest.split_once('/') {
        None => one(call, rest).await,
        Some(("allocations", id)) => allocations(call, id).await,
        Some(("fail", id)) => fail(call, id).await,
        Some(("pause", id)) => pause(call, id).await,
        Some(("promote", id)) => promote(call, id).await,
        Some(("allocation-health", id)) => alloc_health(call, id).await,
        Some(("unblock", _)) => {
            call.expect_write()?;
            json(&DeploymentUpdateResponse::default())
        }
        Some(_) => Err(ApiError::no_route()),
    }
}

async fn one(call: Call, id: &str) -> RouteResult {
    call.expect_get()?;
    let id: DeploymentId = uuid("deployment", id)?;
    read_one(
        &call,
        "deployment not found",
        || vec![WatchKey::Deployment(id)],
        |state| {
            let row = state.deployment(id).map(|row| (**row).clone());
            let index = row.as_ref().map_or_else(
                || state.table_index(Table::Deployments),
                |row| row.modify_index,
            );
            Ok(Answer::new(index, row))
        },
    )
    .await
}

async fn allocations(call: Call, id: &str) -> RouteResult {
    call.expect_get()?;
    let id: DeploymentId = uuid("deployment", id)?;
    read_json(
        &call,
        || vec![WatchKey::DeploymentAllocs(id)],
        |state| {
            let stubs: Vec<_> = state
                .allocs_of_deployment(id)
                .map(|alloc| AllocListStub::new(alloc, StubFields::default()))
                .collect();
            Ok(Answer::new(state.table_index(Table::Allocs), stubs))
        },
    )
    .await
}

/// The deployment of the path, which the body must name too.
fn expect_same(path: &str, body: &str) -> Result<DeploymentId, ApiError> {
    if body.is_empty() {
        return Err(ApiError::bad_request("DeploymentID must be specified"));
    }
    if path != body {
        return Err(ApiError::bad_request("Deployment ID does not match"));
    }
    uuid("deployment", path)
}

fn written(response: &DeploymentUpdateResponse) -> RouteResult {
    let mut answer = json(response)?;
    write_header(&mut answer, response.index);
    Ok(answer)
}

async fn fail(call: Call, id: &str) -> RouteResult {
    call.expect_write()?;
    written(
        &call
            .backend
            .fail_deployment(uuid("deployment", id)?)
            .await?,
    )
}

async fn pause(mut call: Call, id: &str) -> RouteResult {
    call.expect_write()?;
    let request: DeploymentPauseRequest = call.json().await?;
    let id = expect_same(id, &request.deployment_id)?;
    written(&call.backend.pause_deployment(id, request.pause).await?)
}

async fn promote(mut call: Call, id: &str) -> RouteResult {
    call.expect_write()?;
    let request: DeploymentPromoteRequest = call.json().await?;
    let id = expect_same(id, &request.deployment_id)?;
    let groups = (!request.all).then_some(request.groups);
    written(&call.backend.promote_deployment(id, groups).await?)
}

async fn alloc_health(mut call: Call, id: &str) -> RouteResult {
    call.expect_write()?;
    let request: DeploymentAllocHealthRequest = call.json().await?;
    let id = expect_same(id, &request.deployment_id)?;
    let parse = |ids: &[String]| -> Result<Vec<_>, ApiError> {
        ids.iter()
            .map(|id| {
                id.parse()
                    .map_err(|_| ApiError::internal(format!("unknown alloc {id:?}")))
            })
            .collect()
    };
    let healthy = parse(&request.healthy_allocation_ids)?;
    let unhealthy = parse(&request.unhealthy_allocation_ids)?;
    if healthy.is_empty() && unhealthy.is_empty() {
        return Err(ApiError::internal(
            "must specify at least one healthy/unhealthy allocation ID",
        ));
    }
    written(
        &call
            .backend
            .set_alloc_health(id, healthy, unhealthy)
            .await?,
    )
}
