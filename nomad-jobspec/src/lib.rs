//! Job files: HCL2 text in, a [`Job`] as it is submitted out, or every mistake with its place.
//!
//! Layer 1: depends on nomad-core alone. It knows no cluster, no clock, no files, no environment: what a job file may
//! ask of the world comes through the caller's [`Host`].
//!
//! - [`parse`] reads a job file, HCL or HCL-JSON, with variables from files, flags and the environment.
//! - [`parse_all`] reads files that make up one job, such as [`read_directory`] finds; `include`d files belong to it.
//! - [`Lint`] asks for warnings of what is legal but surely not meant.
//! - [`Failure`] tells every mistake of one run: place, source line, what was expected, a hint; as text and as JSON.
//! - [`print`] writes a job as a file that reads back as the same job.
//! - [`format`] writes a file the canonical way, and keeps its comments.
//!
//! Invariants: any input gives an answer, in bounded time, memory and depth; nothing panics. Where a reference
//! (`${attr.kernel.name}`) can be resolved only on the client, its text is kept as it was written.
//!
//! Not here: defaults (`Job::canonicalize`), validation and conversion to the stored shape, all in nomad-core.
//!
//! Source: jobspec.md (language and blocks), the HCL native syntax and JSON specifications.

mod diagnostic;
mod directory;
mod expr;
mod fmt;
mod functions;
mod host;
mod lint;
mod lower;
mod parse;
mod print;
mod source;
mod syntax;
mod value;
mod variables;

pub use nomad_core::spec::Job;

pub use self::diagnostic::{Diagnostic, Failure, MAX_DIAGNOSTICS, Severity};
pub use self::directory::{JOB_FILE_PATTERN, JobFile, MAX_JOB_FILES, read_directory};
pub use self::fmt::{FormatError, format};
pub use self::host::{Files, Host, HostError, Isolated};
pub use self::lint::Lint;
pub use self::parse::{Options, Parsed, parse, parse_all};
pub use self::print::{PrintError, print};
pub use self::source::{MAX_SOURCE_BYTES, Position, Range, Source};

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct ReadmeExamples;
