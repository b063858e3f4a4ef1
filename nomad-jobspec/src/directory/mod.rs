//! A job in more than one file: the files of a directory, `include`d files, one job written in several places.
//!
//! Beyond Nomad, and only where the host offers files: on a server an `include` is a block that nobody knows.

mod include;
mod substitute;

use crate::diagnostic::{Diagnostic, Failure};
use crate::host::Files;
use crate::source::MAX_SOURCE_BYTES;

pub(crate) use self::include::expand;

/// How many job files a directory may have.
pub const MAX_JOB_FILES: usize = 500;
/// The files of a directory that are read.
pub const JOB_FILE_PATTERN: &str = "*.nomad.hcl";

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFile {
    /// Its path below the directory.
    pub name: String,
    /// Its whole text.
    pub text: String,
}

/// The job files that stand right in a directory, sorted by name: `*.nomad.hcl`, at most [`MAX_JOB_FILES`] with at
/// most [`MAX_SOURCE_BYTES`] together.
///
/// # Errors
/// The directory cannot be read, has no job file, or more than is allowed; a file is not UTF-8.
pub fn read_directory(files: &dyn Files, directory: &str) -> Result<Vec<JobFile>, Failure> {
    let fail = |summary: &str, detail: String| Failure {
        diagnostics: vec![Diagnostic::error(summary, detail)],
    };
    let mut names = files
        .glob(directory, JOB_FILE_PATTERN)
        .map_err(|error| fail("Unreadable directory", error.to_string()))?;
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Err(fail(
            "No job files",
            format!("There is no {JOB_FILE_PATTERN} file in {directory}."),
        ));
    }
    if names.len() > MAX_JOB_FILES {
        return Err(fail(
            "Too many job files",
            format!(
                "There are {} job files in {directory}; at most {MAX_JOB_FILES} are read.",
                names.len()
            ),
        ));
    }
    let mut left = MAX_SOURCE_BYTES;
    let mut read = Vec::with_capacity(names.len());
    for name in names {
        let bytes = files
            .read_below(directory, &name, left)
            .map_err(|error| fail("Unreadable job file", error.to_string()))?;
        left -= bytes.len().min(left);
        let text = String::from_utf8(bytes)
            .map_err(|_| fail("Unreadable job file", format!("{name} is not UTF-8 text.")))?;
        read.push(JobFile { name, text });
    }
    Ok(read)
}
