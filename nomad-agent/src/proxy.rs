//! Sending a request on over a byte stream to another agent, upgrades included.

use axum::body::Body;
use http::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use nomad_api::error::ApiError;
use tokio::io::{AsyncRead, AsyncWrite};

/// Speaks one request on the stream and gives the answer.
pub(crate) async fn send<I>(io: I, mut request: Request<Body>) -> Result<Response<Body>, ApiError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |error: hyper::Error| {
        ApiError::internal(format!("failed to reach the other agent: {error}"))
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
        .await
        .map_err(failed)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "forwarded connection ended early");
        }
    });
    // The other end knows only paths, and HTTP/1.1 wants a host.
    if let Some(path) = request.uri().path_and_query().cloned()
        && let Ok(uri) = http::Uri::builder().path_and_query(path).build()
    {
        *request.uri_mut() = uri;
    }
    if !request.headers().contains_key(header::HOST) {
        request
            .headers_mut()
            .insert(header::HOST, header::HeaderValue::from_static("agent"));
    }
    let here = hyper::upgrade::on(&mut request);
    let mut response = sender.send_request(request).await.map_err(failed)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let there = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            if let (Ok(here), Ok(there)) = (here.await, there.await) {
                let (mut here, mut there) = (TokioIo::new(here), TokioIo::new(there));
                // Either side may close first; both are done then.
                let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
            }
        });
    }
    Ok(response.map(Body::new))
}
