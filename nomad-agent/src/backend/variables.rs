//! Variables, the keyring and namespaces, as the routes see them.

use std::collections::BTreeMap;

use nomad_api::backend::{ApiResult, WriteVariable, Written};
use nomad_api::error::ApiError;
use nomad_core::{Timestamp, Uuid};
use nomad_server::keyring::Items;
use nomad_server::{ServerError, ops};
use nomad_state::command::NamespaceRow;
use nomad_state::variable::{RootKeyRow, VariableKey, VariableOutcome, VariableRow};

use super::ServerHalf;
use super::errors::api_error;

impl ServerHalf {
    pub(super) async fn upsert_namespace(&self, namespace: NamespaceRow) -> ApiResult<Written> {
        let index = self.server.upsert_namespace(namespace).await;
        Ok(Written {
            index: index.map_err(api_error)?,
        })
    }

    pub(super) async fn delete_namespace(&self, name: String) -> ApiResult<Written> {
        let index = self.server.delete_namespace(name).await;
        Ok(Written {
            index: index.map_err(api_error)?,
        })
    }

    pub(super) async fn open_variable(
        &self,
        row: &VariableRow,
    ) -> ApiResult<BTreeMap<String, String>> {
        let items = self.server.open_variable(&self.state(), row).await;
        Ok(items.map_err(api_error)?.0)
    }

    pub(super) async fn write_variable(
        &self,
        request: WriteVariable,
    ) -> ApiResult<(VariableOutcome, u64)> {
        let request = ops::WriteVariable {
            key: request.key,
            op: request.op,
            items: Items(request.items),
            lock: request.lock.map(|lock| ops::LockRequest {
                id: lock.id,
                ttl: lock.ttl,
                delay: lock.delay,
            }),
        };
        let reply = self.server.write_variable(request).await;
        let reply = reply.map_err(variable_error)?;
        Ok((reply.outcome, reply.index))
    }

    pub(super) async fn renew_variable_lock(
        &self,
        key: VariableKey,
        id: Uuid,
    ) -> ApiResult<VariableOutcome> {
        let outcome = self.server.renew_lock(key, id).await;
        outcome.map_err(variable_error)
    }

    pub(super) async fn rotate_root_key(
        &self,
        full: bool,
        publish_time: Option<Timestamp>,
    ) -> ApiResult<(RootKeyRow, u64)> {
        let rotated = self.server.rotate_root_key(full, publish_time).await;
        rotated.map_err(api_error)
    }

    pub(super) async fn delete_root_key(&self, id: Uuid, force: bool) -> ApiResult<Written> {
        let index = self.server.delete_root_key(id, force).await;
        Ok(Written {
            index: index.map_err(api_error)?,
        })
    }
}

/// What the servers refuse of Variables carries the words that clients know it by.
fn variable_error(error: ServerError) -> ApiError {
    match error {
        ServerError::BadRequest { reason } => {
            ApiError::bad_request(format!("RPC Error:: 400,{reason}"))
        }
        other => api_error(other),
    }
}
