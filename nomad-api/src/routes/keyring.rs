//! `/v1/operator/keyring/…` and the public keys at `/.well-known/jwks.json`.
//!
//! Source: HTTP API reference, "Operator and system" and "Status, regions, metrics, well-known".

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{HeaderValue, Method, StatusCode, header};
use nomad_core::{Timestamp, Uuid};
use nomad_state::variable::{RootKeyRow, RootKeyState};
use nomad_state::{Table, WatchKey};
use serde_json::json;

use super::answer::Answer;
use super::blocking::read_json;
use super::{Call, RouteResult, write_header};
use crate::error::ApiError;
use crate::types::{RootKeyMeta, RotateKeyResponse, WriteMeta};

/// How long others may keep the public keys: a new one is told long before it signs.
const MAX_AGE: &str = "max-age=300";

pub(super) async fn route(call: Call, rest: &str) -> RouteResult {
    match (rest.split_once('/'), rest) {
        (None, "keys") => list(call).await,
        (None, "rotate") => rotate(call).await,
        (Some(("key", id)), _) => delete(call, id).await,
        _ => Err(ApiError::no_route()),
    }
}

async fn list(call: Call) -> RouteResult {
    call.expect_get()?;
    read_json(
        &call,
        || vec![WatchKey::Table(Table::RootKeys)],
        |state| {
            let keys: Vec<RootKeyMeta> = state.root_keys().map(|key| meta(key)).collect();
            Ok(Answer::new(state.table_index(Table::RootKeys).max(1), keys))
        },
    )
    .await
}

async fn rotate(call: Call) -> RouteResult {
    call.expect_write()?;
    let full = call.query.get("full").is_some();
    let publish_time = match call.query.text("publish_time") {
        "" => None,
        text => Some(text.parse().map(Timestamp).map_err(|_| {
            ApiError::bad_request(format!("invalid publish_time {text:?}: want nanoseconds"))
        })?),
    };
    match call.query.text("algo") {
        "" | "aes256-gcm" => {}
        other => {
            return Err(ApiError::internal(format!(
                "invalid encryption algorithm {other:?}: want aes256-gcm"
            )));
        }
    }
    let rotated = call.backend.rotate_root_key(full, publish_time).await?;
    let (key, index) = rotated;
    let mut response = super::json(&RotateKeyResponse {
        key: meta(&key),
        index,
    })?;
    write_header(&mut response, index);
    Ok(response)
}

async fn delete(call: Call, id: &str) -> RouteResult {
    if *call.method() != Method::DELETE {
        return Err(ApiError::invalid_method());
    }
    let force = call
        .query
        .flag("force")
        .map_err(|_| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid force parameter"))?;
    let id: Uuid = id
        .parse()
        .map_err(|_| ApiError::internal("root key not found"))?;
    let index = call.backend.delete_root_key(id, force).await?.index;
    let mut response = super::json(&WriteMeta { index })?;
    write_header(&mut response, index);
    Ok(response)
}

pub(super) async fn well_known(call: Call, name: &str) -> RouteResult {
    match name {
        "jwks.json" => jwks(call).await,
        "openid-configuration" => Err(ApiError::not_found("OIDC Discovery endpoint disabled")),
        _ => Err(ApiError::no_route()),
    }
}

async fn jwks(call: Call) -> RouteResult {
    call.expect_get()?;
    let answered = read_json(
        &call,
        || vec![WatchKey::Table(Table::RootKeys)],
        |state| {
            let keys: Vec<_> = state
                .root_keys()
                .filter(|key| key.state != RootKeyState::Deprecated && !key.rsa_modulus.is_empty())
                .map(|key| {
                    json!({
                        "alg": "RS256",
                        "e": BASE64_URL_SAFE_NO_PAD.encode(&key.rsa_exponent),
                        "kid": key.id,
                        "kty": "RSA",
                        "n": BASE64_URL_SAFE_NO_PAD.encode(&key.rsa_modulus),
                        "use": "sig",
                    })
                })
                .collect();
            let index = state.table_index(Table::RootKeys).max(1);
            Ok(Answer::new(index, json!({"keys": keys})))
        },
    );
    let mut response = answered.await?;
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static(MAX_AGE));
    Ok(response)
}

fn meta(key: &RootKeyRow) -> RootKeyMeta {
    let state = match key.state {
        RootKeyState::Inactive => "inactive",
        RootKeyState::Active => "active",
        RootKeyState::Rekeying => "rekeying",
        RootKeyState::Prepublished => "prepublished",
        RootKeyState::Deprecated => "deprecated",
    };
    RootKeyMeta {
        key_id: key.id.to_string(),
        algorithm: "aes256-gcm".to_owned(),
        create_time: key.create_time.0,
        create_index: key.create_index,
        modify_index: key.modify_index,
        state: state.to_owned(),
        publish_time: key.publish_time.0,
    }
}
