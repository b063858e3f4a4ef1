//! The HTTP listener: connections counted per address, requests handed to the routes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::forward::{Api, Via};
use crate::telemetry::endpoints::Endpoint;

/// A client that does not send its request's head in this time is cut off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// The answer to one connection too many.
const TOO_MANY: &str = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    Your IP is issuing too many concurrent connections, please rate limit your calls\n";

/// Open connections.
const CONNECTIONS: &str = "nomad.nomad.agent.http.connections";

/// Connections per client address.
#[derive(Debug, Default)]
struct Connections(Mutex<BTreeMap<IpAddr, u32>>);

/// One counted connection.
struct Counted {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Connections {
    /// Counts a connection, unless its address has too many (`limit` 0 is none).
    fn count(self: &Arc<Self>, address: IpAddr, limit: u32) -> Option<Counted> {
        let mut counts = self.0.lock();
        let count = counts.entry(address).or_insert(0);
        if limit > 0 && *count >= limit {
            return None;
        }
        *count += 1;
        metrics::gauge!(CONNECTIONS).increment(1.0);
        Some(Counted {
            connections: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!(CONNECTIONS).decrement(1.0);
        let mut counts = self.connections.0.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Accepts connections until it is stopped.
pub(crate) async fn serve(
    listener: TcpListener,
    api: Arc<Api>,
    limit: u32,
    stop: CancellationToken,
) {
    let connections = Arc::new(Connections::default());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let api = Arc::clone(&api);
                let connections = Arc::clone(&connections);
                tokio::spawn(connection(stream, address, api, connections, limit));
            }
            Err(error) => {
                // Out of file descriptors, most likely: others must end before it makes sense to try again.
                tracing::warn!(%error, "connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(
    mut stream: TcpStream,
    address: SocketAddr,
    api: Arc<Api>,
    connections: Arc<Connections>,
    limit: u32,
) {
    let Some(_counted) = connections.count(address.ip(), limit) else {
        let _ = stream.write_all(TOO_MANY.as_bytes()).await;
        return;
    };
    let _ = stream.set_nodelay(true);
    speak(stream, api, Via::Http).await;
}

/// Speaks HTTP/1.1 on a byte stream until it ends.
pub(crate) async fn speak<I>(io: I, api: Arc<Api>, via: Via)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let api = Arc::clone(&api);
        async move {
            let timer = Endpoint::of(request.method(), request.uri()).map(Endpoint::begin);
            let answer = api.handle(request.map(Body::new), via).await;
            drop(timer);
            Ok::<_, Infallible>(answer)
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "HTTP connection ended early");
    }
}
