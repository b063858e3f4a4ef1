//! Variables, their locks, and the keyring.

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::options::encode;
use super::{Client, ClientError, QueryOptions, collect, decode};
use crate::types::{
    QueryMeta, RootKeyMeta, RotateKeyResponse, Variable, VariableLock, VariableMetadata,
};

/// What became of a write of a Variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VariableWrite<T = Variable> {
    /// Done.
    Done(T),
    /// Something else is stored, or somebody else holds the lock; all zeros where it is not told.
    Conflict(Variable),
}

fn path_of(path: &str) -> String {
    let parts: Vec<String> = path.split('/').map(encode).collect();
    format!("/v1/var/{}", parts.join("/"))
}

impl Client {
    /// Variables without their items.
    pub async fn variables(
        &self,
        options: &QueryOptions,
    ) -> Result<(Vec<VariableMetadata>, QueryMeta), ClientError> {
        self.get("/v1/vars", options).await
    }

    /// One Variable.
    pub async fn variable(
        &self,
        path: &str,
        options: &QueryOptions,
    ) -> Result<(Variable, QueryMeta), ClientError> {
        self.get(&path_of(path), options).await
    }

    /// Writes a Variable; with `cas` only if its modify index is that, 0 being "must not exist".
    pub async fn put_variable(
        &self,
        variable: &Variable,
        cas: Option<u64>,
        options: &QueryOptions,
    ) -> Result<VariableWrite, ClientError> {
        let options = with_cas(options, cas);
        self.variable_write(Method::PUT, variable, &options).await
    }

    /// Deletes a Variable; fine if there is none.
    pub async fn delete_variable(
        &self,
        path: &str,
        cas: Option<u64>,
        options: &QueryOptions,
    ) -> Result<VariableWrite<()>, ClientError> {
        let options = with_cas(options, cas);
        let path = path_of(path);
        let sent = self
            .send_raw(
                Method::DELETE,
                &path,
                &options,
                Bytes::new(),
                &HeaderMap::new(),
            )
            .await?;
        let written = conflict_or::<Value>(&path, sent).await?;
        Ok(match written {
            VariableWrite::Done(_) => VariableWrite::Done(()),
            VariableWrite::Conflict(stored) => VariableWrite::Conflict(stored),
        })
    }

    /// Takes the lock of a Variable and writes its items; the answer holds the lock's id.
    pub async fn acquire_variable_lock(
        &self,
        variable: &Variable,
        options: &QueryOptions,
    ) -> Result<VariableWrite, ClientError> {
        let options = options.clone().param("lock-acquire", "");
        self.variable_write(Method::PUT, variable, &options).await
    }

    /// Gives the lock of a Variable back.
    pub async fn release_variable_lock(
        &self,
        path: &str,
        id: &str,
        options: &QueryOptions,
    ) -> Result<VariableWrite, ClientError> {
        let options = options.clone().param("lock-release", "");
        self.variable_write(Method::PUT, &holding(path, id), &options)
            .await
    }

    /// Says that the holder of a lock lives.
    pub async fn renew_variable_lock(
        &self,
        path: &str,
        id: &str,
        options: &QueryOptions,
    ) -> Result<VariableMetadata, ClientError> {
        let options = options.clone().param("lock-renew", "");
        self.put(&path_of(path), &holding(path, id), &options).await
    }

    async fn variable_write(
        &self,
        method: Method,
        variable: &Variable,
        options: &QueryOptions,
    ) -> Result<VariableWrite, ClientError> {
        let path = path_of(&variable.path);
        let body = serde_json::to_vec(variable).map_err(|source| ClientError::Encode { source })?;
        let sent = self
            .send_raw(method, &path, options, body.into(), &HeaderMap::new())
            .await?;
        conflict_or(&path, sent).await
    }

    /// The keys of the keyring.
    pub async fn root_keys(
        &self,
        options: &QueryOptions,
    ) -> Result<(Vec<RootKeyMeta>, QueryMeta), ClientError> {
        self.get("/v1/operator/keyring/keys", options).await
    }

    /// Makes a new key the active one. `full` seals everything under older keys anew; with `publish_time` (nanoseconds
    /// since 1970) the key is told now and becomes active then.
    pub async fn rotate_root_key(
        &self,
        full: bool,
        publish_time: Option<i64>,
    ) -> Result<RotateKeyResponse, ClientError> {
        let mut options = QueryOptions::new();
        if full {
            options = options.param("full", "true");
        }
        if let Some(at) = publish_time {
            options = options.param("publish_time", at.to_string());
        }
        self.put("/v1/operator/keyring/rotate", &json!(null), &options)
            .await
    }

    /// Deletes a key; one in use only with `force`.
    pub async fn delete_root_key(&self, id: &str, force: bool) -> Result<(), ClientError> {
        let mut options = QueryOptions::new();
        if force {
            options = options.param("force", "true");
        }
        let path = format!("/v1/operator/keyring/key/{}", encode(id));
        self.delete::<Value>(&path, &options).await?;
        Ok(())
    }
}

fn with_cas(options: &QueryOptions, cas: Option<u64>) -> QueryOptions {
    let options = options.clone();
    match cas {
        Some(index) => options.param("cas", index.to_string()),
        None => options,
    }
}

fn holding(path: &str, id: &str) -> Variable {
    Variable {
        path: path.to_owned(),
        lock: Some(VariableLock {
            id: id.to_owned(),
            ..VariableLock::default()
        }),
        ..Variable::default()
    }
}

/// A conflict is an answer with a body of its own; any other status that is not 2xx is an error.
async fn conflict_or<T: serde::de::DeserializeOwned>(
    path: &str,
    response: Response<Incoming>,
) -> Result<VariableWrite<T>, ClientError> {
    let status = response.status();
    let bytes = collect(response).await?;
    if status.is_success() {
        return Ok(VariableWrite::Done(decode(path, &bytes)?));
    }
    match serde_json::from_slice(&bytes) {
        Ok(stored) if status == http::StatusCode::CONFLICT => Ok(VariableWrite::Conflict(stored)),
        _ => Err(ClientError::Status {
            status: status.as_u16(),
            body: String::from_utf8_lossy(&bytes).trim().to_owned(),
        }),
    }
}
