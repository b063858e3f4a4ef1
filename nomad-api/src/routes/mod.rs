//! Routes: paths to typed calls. One file per family; this one finds the family and writes answers.
//!
//! Paths are matched on their percent-decoded form, because job ids may contain `/`; that is why there is no router
//! library here. Source: HTTP API reference, "Transport, paths, methods".

mod agent;
mod alloc;
mod answer;
mod blocking;
mod client;
mod deployment;
mod eval;
mod event;
mod exec;
mod fuzzy;
mod job;
mod jobs;
mod keyring;
mod listing;
mod misc;
mod namespace;
mod node;
mod node_pool;
mod operator;
mod search;
mod variable;

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::backend::{Backend, Leadership};
use crate::error::ApiError;
use crate::query::{Query, QueryOptions, percent_decode};

use self::answer::{empty, json, json_value};

/// Largest body of a request: far above the largest job, small enough to hold in memory.
pub const MAX_BODY_BYTES: usize = 64 << 20;
/// Largest snapshot archive that is taken.
pub const MAX_SNAPSHOT_BYTES: usize = 4 << 30;

/// Where what others look for without knowing us is.
const WELL_KNOWN: &str = "/.well-known/";

/// What a route handler gives back.
pub(crate) type RouteResult = Result<Response<Body>, ApiError>;

/// One request on its way through the routes.
pub(crate) struct Call {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) query: Query,
    pub(crate) options: QueryOptions,
    pub(crate) parts: Parts,
    /// Behind a lock only so that a call may be shared between threads; nobody waits for it.
    pub(crate) body: parking_lot::Mutex<Body>,
}

impl Call {
    pub(crate) fn method(&self) -> &Method {
        &self.parts.method
    }

    /// GET, or else 405.
    pub(crate) fn expect_get(&self) -> Result<(), ApiError> {
        if *self.method() == Method::GET {
            Ok(())
        } else {
            Err(ApiError::invalid_method())
        }
    }

    /// PUT or POST, or else 405.
    pub(crate) fn expect_write(&self) -> Result<(), ApiError> {
        if self.is_write() {
            Ok(())
        } else {
            Err(ApiError::invalid_method())
        }
    }

    pub(crate) fn is_write(&self) -> bool {
        matches!(*self.method(), Method::PUT | Method::POST)
    }

    /// The body's bytes.
    pub(crate) async fn bytes(&mut self, limit: usize) -> Result<Bytes, ApiError> {
        let body = std::mem::take(self.body.get_mut());
        axum::body::to_bytes(body, limit).await.map_err(|_| {
            ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("Request body could not be read, or is larger than {limit} bytes"),
            )
        })
    }

    /// The body as JSON, read as Go reads it: keys in any case, unknown keys ignored, only the first value.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        let bytes = self.bytes(MAX_BODY_BYTES).await?;
        decode(&bytes)
    }

    /// As [`json`](Self::json), but no body at all is the default.
    pub(crate) async fn json_or_default<T: DeserializeOwned + Default>(
        &mut self,
    ) -> Result<T, ApiError> {
        let bytes = self.bytes(MAX_BODY_BYTES).await?;
        if bytes.is_empty() {
            Ok(T::default())
        } else {
            decode(&bytes)
        }
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.is_empty() {
        return Err(ApiError::bad_request("Request body is empty"));
    }
    nomad_core::spec::decode(bytes, MAX_BODY_BYTES)
        .map_err(|error| ApiError::bad_request(error.to_string()))
}

/// An error as an answer, for requests that never get to a route.
pub fn error_response(error: &ApiError) -> Response<Body> {
    answer::error(error)
}

/// Answers one request.
pub async fn handle(backend: Arc<dyn Backend>, request: Request<Body>) -> Response<Body> {
    let headers = backend.identity().response_headers.clone();
    let pretty = request
        .uri()
        .query()
        .map(Query::parse)
        .is_some_and(|query| query.get("pretty").is_some_and(|value| value != "0"));
    let mut response = match dispatch(backend, request).await {
        Ok(response) => response,
        Err(error) => answer::error(&error),
    };
    if pretty {
        response = answer::prettify(response).await;
    }
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (
            header::HeaderName::try_from(name),
            header::HeaderValue::try_from(value),
        ) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

async fn dispatch(backend: Arc<dyn Backend>, request: Request<Body>) -> RouteResult {
    let (parts, body) = request.into_parts();
    let raw_path = parts.uri.path().to_owned();
    let query = Query::parse(parts.uri.query().unwrap_or(""));
    if raw_path == "/" {
        return Ok(answer::redirect("/ui/", parts.uri.query()));
    }
    let path = match raw_path.strip_prefix("/v1/") {
        Some(path) => percent_decode(path, false),
        None if raw_path.starts_with(WELL_KNOWN) => raw_path,
        None => return Err(ApiError::no_route()),
    };
    let options = query.options()?;
    let region = backend.identity().region.clone();
    if !options.region.is_empty() && options.region != region && options.region != "global" {
        return Err(ApiError::bad_request("No path to region"));
    }
    let call = Call {
        backend,
        query,
        options,
        parts,
        body: parking_lot::Mutex::new(body),
    };
    match path.strip_prefix(WELL_KNOWN) {
        Some(name) => keyring::well_known(call, name).await,
        None => route(call, &path).await,
    }
}

async fn route(call: Call, path: &str) -> RouteResult {
    let (family, rest) = path
        .split_once('/')
        .map_or((path, None), |(family, rest)| (family, Some(rest)));
    match (family, rest) {
        ("jobs", rest) => jobs::route(call, rest).await,
        ("job", Some(rest)) if !rest.is_empty() => job::route(call, rest).await,
        ("validate", Some("job")) => jobs::validate(call).await,
        ("allocations", None) => alloc::list(call).await,
        ("allocation", Some(rest)) => alloc::route(call, rest).await,
        ("evaluations", rest) => eval::collection(call, rest).await,
        ("evaluation", Some(rest)) => eval::route(call, rest).await,
        ("deployments", None) => deployment::list(call).await,
        ("deployment", Some(rest)) => deployment::route(call, rest).await,
        ("nodes", None) => node::list(call).await,
        ("node", Some(rest)) => node::route(call, rest).await,
        ("client", Some(rest)) => client::route(call, rest).await,
        ("agent", Some(rest)) => agent::route(call, rest).await,
        ("operator", Some(rest)) => operator::route(call, rest).await,
        ("event", Some(rest)) => event::route(call, rest).await,
        ("system", Some(rest)) => misc::system(call, rest).await,
        ("status", Some(rest)) => misc::status(call, rest).await,
        ("regions", None) => misc::regions(call).await,
        ("metrics", None) => misc::metrics(call).await,
        ("search", rest) => search::route(call, rest).await,
        ("namespaces" | "namespace", rest) => namespace::route(call, family, rest).await,
        ("vars", None) => variable::list(call).await,
        ("var", rest) => variable::route(call, rest.unwrap_or("")).await,
        ("quotas" | "quota" | "quota-usages" | "recommendations" | "recommendation", _)
        | ("sentinel", Some(_)) => Err(ApiError::other_edition()),
        ("scaling", Some(rest)) => misc::scaling(call, rest).await,
        ("service", Some(rest)) => misc::service(call, rest).await,
        ("services", None) => misc::services(call).await,
        ("volumes" | "plugins", None) => misc::not_yet_lists(call).await,
        _ => Err(ApiError::no_route()),
    }
}

/// Headers of a read.
pub(crate) fn read_headers(
    response: &mut Response<Body>,
    index: u64,
    leadership: &Leadership,
    next_token: &str,
) {
    let headers = response.headers_mut();
    headers.insert("x-nomad-index", index.into());
    headers.insert("x-nomad-lastcontact", leadership.last_contact_ms.into());
    headers.insert(
        "x-nomad-knownleader",
        header::HeaderValue::from_static(if leadership.known_leader {
            "true"
        } else {
            "false"
        }),
    );
    if let Ok(token) = header::HeaderValue::try_from(next_token)
        && !next_token.is_empty()
    {
        headers.insert("x-nomad-nexttoken", token);
    }
}

/// Header of a write.
pub(crate) fn write_header(response: &mut Response<Body>, index: u64) {
    response.headers_mut().insert("x-nomad-index", index.into());
}
