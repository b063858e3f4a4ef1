//! Answers: JSON, empty, errors, redirects.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::error::ApiError;

/// A value with the index it was read at.
pub(crate) struct Answer<T> {
    pub(crate) index: u64,
    pub(crate) value: T,
    /// Where the next page starts, or "".
    pub(crate) next_token: String,
}

impl<T> Answer<T> {
    pub(crate) fn new(index: u64, value: T) -> Self {
        Self {
            index,
            value,
            next_token: String::new(),
        }
    }
}

/// 200 with a JSON body.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<Response<Body>, ApiError> {
    let bytes = serde_json::to_vec(value).map_err(|error| {
        ApiError::internal(format!("answer cannot be written as JSON: {error}"))
    })?;
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

/// 200 with a JSON value.
pub(crate) fn json_value(value: &serde_json::Value) -> Result<Response<Body>, ApiError> {
    json(value)
}

/// 200 without body or content type.
pub(crate) fn empty() -> Response<Body> {
    Response::new(Body::empty())
}

/// An error as plain text.
pub(crate) fn error(error: &ApiError) -> Response<Body> {
    let mut response = Response::new(Body::from(error.text.clone()));
    *response.status_mut() = error.status;
    if !error.text.is_empty() {
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
    }
    if let Some(secs) = error.retry_after_secs {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, secs.into());
    }
    response
}

/// 307 to another path, with the query string.
pub(crate) fn redirect(path: &str, query: Option<&str>) -> Response<Body> {
    let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut response = empty();
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    if let Ok(target) = HeaderValue::try_from(target) {
        response.headers_mut().insert(header::LOCATION, target);
    }
    response
}

/// The same JSON with an indent of four and a line end; anything else as it is.
pub(crate) async fn prettify(response: Response<Body>) -> Response<Body> {
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == b"application/json");
    if !is_json {
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(&bytes) else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    let mut pretty = Vec::with_capacity(bytes.len() * 2);
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut pretty, formatter);
    if value.serialize(&mut serializer).is_err() {
        return Response::from_parts(parts, Body::from(bytes));
    }
    pretty.push(b'\n');
    Response::from_parts(parts, Body::from(pretty))
}
