//! Blocking queries: answer when the result's index has passed the caller's, or the wait is over.
//!
//! Source: HTTP API reference, "Consistency and blocking".

use axum::body::Body;
use http::Response;
use nomad_state::{State, WatchKey};
use tokio::time::{Instant, timeout_at};

use super::answer::{self, Answer};
use super::{Call, RouteResult, read_headers};
use crate::error::ApiError;

/// Runs a read, again whenever a watched key changes while its index is not above the caller's.
pub(crate) async fn read<T>(
    call: &Call,
    keys: impl Fn() -> Vec<WatchKey>,
    run: impl Fn(&State) -> Result<Answer<T>, ApiError>,
) -> Result<Answer<T>, ApiError> {
    let backend = &call.backend;
    if !call.options.stale {
        backend.read_barrier().await?;
    }
    let wanted = call.options.index;
    if wanted == 0 {
        return run(&backend.state());
    }
    let deadline = Instant::now() + call.options.wait + jitter(call);
    loop {
        let watch = backend.watch(keys());
        let answer = run(&backend.state())?;
        if answer.index > wanted || timeout_at(deadline, watch).await.is_err() {
            return Ok(answer);
        }
    }
}

/// Up to a sixteenth of the wait, so that waits begun together do not end together.
fn jitter(call: &Call) -> std::time::Duration {
    let spread = call.options.wait / 16;
    let phase = (call.backend.now().0 / 1000).rem_euclid(1024) as u32;
    spread * phase / 1024
}

/// A read as JSON with its headers.
pub(crate) async fn read_json<T: serde::Serialize>(
    call: &Call,
    keys: impl Fn() -> Vec<WatchKey>,
    run: impl Fn(&State) -> Result<Answer<T>, ApiError>,
) -> RouteResult {
    let answer = read(call, keys, run).await?;
    with_headers(
        call,
        answer::json(&answer.value)?,
        answer.index,
        &answer.next_token,
    )
}

/// A read of one object that may be missing: 404 with the headers of a read.
pub(crate) async fn read_one<T: serde::Serialize>(
    call: &Call,
    missing: &str,
    keys: impl Fn() -> Vec<WatchKey>,
    run: impl Fn(&State) -> Result<Answer<Option<T>>, ApiError>,
) -> RouteResult {
    let answer = read(call, keys, run).await?;
    let response = match &answer.value {
        Some(value) => answer::json(value)?,
        None => answer::error(&ApiError::not_found(missing)),
    };
    with_headers(call, response, answer.index, "")
}

fn with_headers(
    call: &Call,
    mut response: Response<Body>,
    index: u64,
    next_token: &str,
) -> RouteResult {
    read_headers(&mut response, index, &call.backend.leadership(), next_token);
    Ok(response)
}
