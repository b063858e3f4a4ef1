//! `operator api`: any request.

use std::io::Read;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::BodyExt;
use nomad_api::client::QueryOptions;
use rustix::fs::FileType;

use crate::command::Verb;
use crate::context::{Context, usage};

/// Largest body that is read from stdin.
const MAX_BODY_BYTES: u64 = 64 << 20;

/// Flags of `operator api`.
#[derive(Debug, Args)]
pub struct OperatorApi {
    /// Method; GET by default, POST where stdin is no terminal.
    #[arg(long = "X", value_name = "method")]
    pub method: Option<String>,
    /// Header of the request: "Name: value". May be given several times.
    #[arg(long = "H", value_name = "header")]
    pub header: Vec<String>,
    /// Filter expression.
    #[arg(long, value_name = "expression", default_value = "")]
    pub filter: String,
    /// Print a curl command instead of sending anything.
    #[arg(long)]
    pub dryrun: bool,
    /// Tell the request and the answer's head, on stderr.
    #[arg(long)]
    pub verbose: bool,
}

impl Verb for OperatorApi {
    const ARGUMENTS: &'static str = "<path>";
    const ARITY: (usize, usize) = (1, 1);
    const ABOUT: &'static str =
        "Sends a request to the API and prints the body of the answer. Stdin is the body.";

    async fn run(self, context: Context) -> Result<i32> {
        let body = stdin_body()?;
        let method = match (&self.method, &body) {
            (Some(method), _) => method.to_uppercase(),
            (None, Some(_)) => "POST".to_owned(),
            (None, None) => "GET".to_owned(),
        };
        let Ok(method) = Method::try_from(method.as_str()) else {
            return usage(format!("Invalid method {method:?}"));
        };
        let mut headers = HeaderMap::new();
        for header in &self.header {
            let parsed = header.split_once(':').and_then(|(name, value)| {
                let name: HeaderName = name.trim().parse().ok()?;
                Some((name, HeaderValue::try_from(value.trim()).ok()?))
            });
            let Some((name, value)) = parsed else {
                return usage(format!("Invalid header {header:?}: want Name: value"));
            };
            headers.append(name, value);
        }
        let path = path(context.arg(0), &context.config.address);
        if self.dryrun {
            context
                .ui
                .out(self.curl(&context, &method, &path, body.is_some()));
            return Ok(0);
        }
        let options = QueryOptions {
            filter: self.filter.clone(),
            ..QueryOptions::new()
        };
        if self.verbose {
            context
                .ui
                .err_bytes(format!("> {method} {path}\n").as_bytes());
        }
        let body = body.unwrap_or_default();
        let response = context
            .client
            .send_raw(method, &path, &options, body, &headers)
            .await
            .context("Error performing request")?;
        if self.verbose {
            let mut head = format!("< {}\n", response.status());
            for (name, value) in response.headers() {
                head.push_str(&format!("< {name}: {}\n", value.to_str().unwrap_or("?")));
            }
            context.ui.err_bytes(head.as_bytes());
        }
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.context("Error reading response")?;
            if let Some(data) = frame.data_ref() {
                context.ui.out_bytes(data);
            }
        }
        Ok(0)
    }
}

impl OperatorApi {
    fn curl(&self, context: &Context, method: &Method, path: &str, body: bool) -> String {
        let mut lines = vec!["curl".to_owned()];
        if *method != Method::GET {
            lines.push(format!("-X {method}"));
        }
        if body {
            lines.push("--data-binary @-".to_owned());
        }
        for header in &self.header {
            lines.push(format!("-H '{header}'"));
        }
        if !context.config.token.is_empty() {
            lines.push("-H \"X-Nomad-Token: ${NOMAD_TOKEN}\"".to_owned());
        }
        lines.push(format!("{}{path}", context.config.address));
        lines.join(" \\\n  ")
    }
}

/// The path with `/v1/` before it, of a path or a whole URL.
fn path(text: &str, address: &str) -> String {
    let text = text.strip_prefix(address).unwrap_or(text);
    let text = text.trim_start_matches('/');
    if text.starts_with("v1/") {
        format!("/{text}")
    } else {
        format!("/v1/{text}")
    }
}

/// What stdin holds, unless it is a terminal or another device.
fn stdin_body() -> Result<Option<Bytes>> {
    let stdin = std::io::stdin();
    let kind = rustix::fs::fstat(&stdin).map_or(FileType::CharacterDevice, |stat| {
        FileType::from_raw_mode(stat.st_mode)
    });
    if kind == FileType::CharacterDevice {
        return Ok(None);
    }
    let mut body = Vec::new();
    stdin
        .lock()
        .take(MAX_BODY_BYTES)
        .read_to_end(&mut body)
        .context("Error reading stdin")?;
    Ok(Some(body.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_may_be_short_or_whole() {
        for text in ["jobs", "/v1/jobs", "v1/jobs", "http://x:1/v1/jobs"] {
            assert_eq!(path(text, "http://x:1"), "/v1/jobs");
        }
    }
}
