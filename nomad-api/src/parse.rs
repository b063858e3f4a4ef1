//! Job files as the API reads them: no environment, no files, unknown variables ignored.

use nomad_core::spec;
use nomad_jobspec::{Host, Options, Source};

use crate::error::ApiError;

/// A server gives job files nothing of itself.
struct Nothing;

impl Host for Nothing {}

/// Parses a job file; the error carries every diagnostic.
pub(crate) fn parse(source: &str, variables: &str) -> Result<spec::Job, ApiError> {
    let mut options = Options::default();
    if !variables.is_empty() {
        options.variable_files.push(Source {
            name: "input.hcl",
            text: variables,
        });
    }
    nomad_jobspec::parse(
        Source {
            name: "input.hcl",
            text: source,
        },
        &options,
        &Nothing,
    )
    .map(|parsed| parsed.job)
    .map_err(|failure| ApiError::bad_request(failure.to_string()))
}
