//! Lists: filter, order, pages.
//!
//! Source: HTTP API reference, "Pagination" and "Filter expressions".

use serde::Serialize;

use crate::error::ApiError;
use crate::filter::Filter;
use crate::query::QueryOptions;

/// One page of rows, and the token of the next.
pub(crate) struct Page<T> {
    pub(crate) rows: Vec<T>,
    pub(crate) next_token: String,
}

/// Orders rows by key, filters them, and cuts a page.
///
/// `key` orders the list and is what `token` prints; a page starts at the first row whose key is not before the
/// token's (`parse` reads it back).
pub(crate) fn page<R: Serialize, K: Ord, T>(
    options: &QueryOptions,
    rows: impl Iterator<Item = R>,
    key: impl Fn(&R) -> K,
    parse: impl Fn(&str) -> Option<K>,
    token: impl Fn(&R) -> String,
    make: impl Fn(&R) -> T,
) -> Result<Page<T>, ApiError> {
    let filter = Filter::parse(&options.filter).map_err(|error| {
        ApiError::bad_request(format!(
            "failed to create result paginator: failed to read filter expression: {error}"
        ))
    })?;
    let mut rows: Vec<R> = rows.collect();
    rows.sort_by_cached_key(&key);
    if options.reverse {
        rows.reverse();
    }
    let start = parse(&options.next_token);
    let mut taken = Vec::new();
    for row in &rows {
        if let Some(start) = &start {
            let at = key(row);
            let before = if options.reverse {
                at > *start
            } else {
                at < *start
            };
            if before {
                continue;
            }
        }
        let fits = filter.matches(row).map_err(|error| {
            ApiError::bad_request(format!("failed to read result page: {error}"))
        })?;
        if !fits {
            continue;
        }
        if options.per_page > 0 && taken.len() == options.per_page {
            return Ok(Page {
                rows: taken,
                next_token: token(row),
            });
        }
        taken.push(make(row));
    }
    Ok(Page {
        rows: taken,
        next_token: String::new(),
    })
}

/// Whether an object's namespace is asked for.
pub(crate) fn in_namespace(options: &QueryOptions, namespace: &str) -> bool {
    options.namespace == "*" || options.namespace == namespace
}

/// Splits a token `createIndex.id`.
pub(crate) fn index_token(token: &str) -> Option<(u64, String)> {
    let (index, id) = token.split_once('.')?;
    Some((index.parse().ok()?, id.to_owned()))
}

/// Checks a prefix of UUIDs: an even number of hexadecimal digits.
pub(crate) fn uuid_prefix<'a>(table: &str, prefix: &'a str) -> Result<&'a str, ApiError> {
    let digits: String = prefix.chars().filter(|c| *c != '-').collect();
    if !digits.len().is_multiple_of(2) {
        return Err(ApiError::bad_request(format!(
            "{table} lookup failed: index error: Input (without hyphens) must be even length"
        )));
    }
    if let Some(bad) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
        return Err(ApiError::bad_request(format!(
            "{table} lookup failed: index error: Invalid UUID: encoding/hex: invalid byte: U+{:04X} {bad:?}",
            u32::from(bad)
        )));
    }
    Ok(prefix)
}

/// A whole UUID from a path.
pub(crate) fn uuid<T: std::str::FromStr>(table: &str, text: &str) -> Result<T, ApiError> {
    if text.len() != 36 {
        return Err(ApiError::bad_request(format!(
            "{table} lookup failed: index error: UUID must be 36 characters"
        )));
    }
    text.parse().map_err(|_| {
        ApiError::bad_request(format!(
            "{table} lookup failed: index error: Invalid UUID: {text}"
        ))
    })
}
