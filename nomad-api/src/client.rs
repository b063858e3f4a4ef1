//! A typed client of the HTTP API.
//!
//! [`Client`] speaks HTTP/1.1 over TCP or a unix socket, keeps connections open, and adds region, namespace and token
//! to every request. Reads give the value and its [`QueryMeta`]; handing the index of one answer to the next read
//! ([`QueryOptions::after`]) makes it wait for a change. Families of routes have a file each.
//!
//! TLS is not spoken: an `https://` address is refused when the client is made.

mod agent;
mod allocs;
mod config;
mod connect;
mod deployments;
mod error;
mod evals;
mod exec;
mod jobs;
mod namespaces;
mod nodes;
mod operator;
mod options;
mod stream;
mod system;
mod variables;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Transport;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::config::Config;
pub use self::error::ClientError;
pub use self::exec::{ExecConnection, ExecEvent, ExecRequest, ExecSender};
pub use self::jobs::StopOptions;
pub use self::options::QueryOptions;
pub use self::stream::{ByteStream, FrameStream, LogRequest, LogSource};
pub use self::system::Event;
pub use self::variables::VariableWrite;

use self::connect::{Connector, Target};
use crate::types::QueryMeta;

/// Largest answer that is read whole; streams are not limited.
pub const MAX_ANSWER_BYTES: usize = 256 << 20;

/// Talks to an agent's HTTP API. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    target: Target,
    transport: Transport<Connector, Full<Bytes>>,
}

impl Client {
    /// A client of the agent at the configured address. Nothing is connected yet.
    ///
    /// # Errors
    /// The address is no `http://host:port` and no `unix:///path`.
    pub fn new(config: Config) -> Result<Self, ClientError> {
        let target = Target::parse(&config.address)?;
        let transport = Transport::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .build(Connector::new(target.clone()));
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                target,
                transport,
            }),
        })
    }

    /// What it was made with.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Reads `path` (with its `/v1`), typed.
    ///
    /// # Errors
    /// The agent cannot be reached, answers another status than 2xx, or something that is no `T`.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        options: &QueryOptions,
    ) -> Result<(T, QueryMeta), ClientError> {
        let response = self.send(Method::GET, path, options, Bytes::new()).await?;
        let meta = query_meta(response.headers());
        let bytes = collect(response).await?;
        Ok((decode(path, &bytes)?, meta))
    }

    /// Writes a JSON body to `path`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn put<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        options: &QueryOptions,
    ) -> Result<T, ClientError> {
        self.write(Method::PUT, path, body, options).await
    }

    /// As [`put`](Self::put) with another method.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn write<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
        options: &QueryOptions,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|source| ClientError::Encode { source })?;
        let response = self.send(method, path, options, body.into()).await?;
        decode(path, &collect(response).await?)
    }

    /// Deletes `path`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        options: &QueryOptions,
    ) -> Result<T, ClientError> {
        let response = self
            .send(Method::DELETE, path, options, Bytes::new())
            .await?;
        decode(path, &collect(response).await?)
    }

    /// Sends any request; the answer's body streams. Any status that is not 2xx is an error.
    ///
    /// # Errors
    /// The agent cannot be reached, or answers an error.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        options: &QueryOptions,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let response = self
            .send_raw(method, path, options, body, &HeaderMap::new())
            .await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let bytes = collect(response).await.unwrap_or_default();
        Err(ClientError::Status {
            status,
            body: String::from_utf8_lossy(&bytes).trim().to_owned(),
        })
    }

    /// Sends any request and gives back the answer whatever its status is.
    ///
    /// # Errors
    /// The agent cannot be reached, or the path or a header cannot be sent.
    pub async fn send_raw(
        &self,
        method: Method,
        path: &str,
        options: &QueryOptions,
        body: Bytes,
        headers: &HeaderMap,
    ) -> Result<Response<Incoming>, ClientError> {
        let uri = self.inner.target.uri(path, &options.query(self.config()));
        let mut request = Request::builder().method(method).uri(&uri);
        if let Some(map) = request.headers_mut() {
            self.auth_headers(map)?;
            map.extend(headers.clone());
        }
        let request = request
            .body(Full::new(body))
            .map_err(|_| ClientError::Path {
                path: path.to_owned(),
            })?;
        self.inner
            .transport
            .request(request)
            .await
            .map_err(|source| ClientError::Connect {
                method_path: uri,
                cause: error::innermost(&source),
            })
    }

    /// The headers that say who asks.
    fn auth_headers(&self, map: &mut HeaderMap) -> Result<(), ClientError> {
        let config = self.config();
        if !config.token.is_empty() {
            let mut value = HeaderValue::try_from(&config.token).map_err(|_| ClientError::Token)?;
            value.set_sensitive(true);
            map.insert("x-nomad-token", value);
        }
        if let Some((user, password)) = &config.basic_auth {
            use base64::Engine as _;
            let pair = base64::prelude::BASE64_STANDARD.encode(format!("{user}:{password}"));
            let mut value =
                HeaderValue::try_from(format!("Basic {pair}")).map_err(|_| ClientError::Token)?;
            value.set_sensitive(true);
            map.insert(header::AUTHORIZATION, value);
        }
        Ok(())
    }
}

/// The whole body, bounded.
async fn collect(response: Response<Incoming>) -> Result<Bytes, ClientError> {
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ClientError::TooLarge {
            limit: MAX_ANSWER_BYTES,
        }),
        Err(error) => Err(ClientError::Body {
            cause: error.to_string(),
        }),
    }
}

/// An empty body reads as null, because some writes answer nothing.
fn decode<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, ClientError> {
    let bytes = if bytes.is_empty() { b"null" } else { bytes };
    serde_json::from_slice(bytes).map_err(|source| ClientError::Decode {
        path: path.to_owned(),
        source,
    })
}

fn query_meta(headers: &HeaderMap) -> QueryMeta {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    };
    QueryMeta {
        index: text("x-nomad-index").parse().unwrap_or(0),
        last_contact: text("x-nomad-lastcontact")
            .parse::<i64>()
            .unwrap_or(0)
            .saturating_mul(1_000_000),
        known_leader: text("x-nomad-knownleader") == "true",
        next_token: text("x-nomad-nexttoken").to_owned(),
    }
}
