//! The whole way from sources to a job.

use std::sync::Arc;

use nomad_core::spec::Job;

use crate::diagnostic::{Diagnostic, Failure};
use crate::directory::{self, MAX_JOB_FILES};
use crate::expr::{Evaluator, Scope};
use crate::host::Host;
use crate::lint::Lint;
use crate::lower::body::Reader;
use crate::lower::{Places, lower_job};
use crate::source::{MAX_SOURCE_BYTES, Source, Sources, Span};
use crate::syntax;
use crate::syntax::ast::Body;
use crate::variables::{Given, Text, declare, resolve, resolve_locals};

/// How many variable files and `-var` flags are taken.
const MAX_GIVEN: usize = 1_000;

/// What is given beside the job file.
#[derive(Debug, Clone, Default)]
pub struct Options<'a> {
    /// `-var` flags, name and text, in their order.
    pub variables: Vec<(String, String)>,
    /// Variable files in their order; the API's `Variables` text is the last of them.
    pub variable_files: Vec<Source<'a>>,
    /// Whether values for undeclared variables are errors. The command line's default is yes, the API's is no.
    pub strict: bool,
    /// The directory in which `include` blocks find their files; without it, or where the host has no files, an
    /// `include` is a block that nobody knows.
    pub directory: Option<&'a str>,
    /// What to look for beside mistakes.
    pub lint: Option<Lint<'a>>,
}

/// What a job file gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The job, before any default that is not the parser's.
    pub job: Job,
    /// What is legal but surely not meant; only where [`Options::lint`] asks for it.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a job file.
///
/// # Errors
/// Every mistake that was found. After a syntax error the rest of the file is still read, block by block.
pub fn parse(
    source: Source<'_>,
    options: &Options<'_>,
    host: &dyn Host,
) -> Result<Parsed, Failure> {
    parse_all(&[source], options, host)
}

/// Reads files that make up one job: variables and locals are shared, and each file may hold a part of the job under
/// the same name.
///
/// # Errors
/// As [`parse`]; and where the files are more than [`MAX_JOB_FILES`] or longer than [`MAX_SOURCE_BYTES`] together.
pub fn parse_all(
    files: &[Source<'_>],
    options: &Options<'_>,
    host: &dyn Host,
) -> Result<Parsed, Failure> {
    let mut sources = Sources::default();
    let mut diagnostics = Vec::new();
    let total: usize = files.iter().map(|source| source.text.len()).sum();
    if files.len() > MAX_JOB_FILES || (files.len() > 1 && total > MAX_SOURCE_BYTES) {
        let detail = format!(
            "A job may have at most {MAX_JOB_FILES} files and {MAX_SOURCE_BYTES} bytes; these are {} and {total}.",
            files.len()
        );
        return Err(failure(vec![Diagnostic::error("Job too large", detail)]));
    }
    let files: Vec<u16> = files
        .iter()
        .map(|source| sources.add(source.name, source.text))
        .collect();
    let inputs = Inputs::read(&mut sources, options, host);
    let mut body = Body::default();
    for file in files {
        let (mut read, mut errors) = syntax::parse(&sources, file);
        body.attributes.append(&mut read.attributes);
        body.blocks.append(&mut read.blocks);
        body.properties.append(&mut read.properties);
        diagnostics.append(&mut errors);
    }
    if let (Some(directory), Some(files)) = (options.directory, host.files()) {
        let (expanded, mut errors) = directory::expand(&mut sources, body, directory, files);
        body = expanded;
        diagnostics.append(&mut errors);
    }
    let body = Arc::new(body);
    let syntax_errors = !diagnostics.is_empty();

    let evaluator = Evaluator::new(&sources, host);
    let declared = declare(&evaluator, &body);
    let (given, mut input_errors) = inputs.given(&sources);
    diagnostics.append(&mut input_errors);
    let variables = resolve(&evaluator, &declared, given, options.strict);
    let job = variables.and_then(|variables| {
        let scope = Scope::default().with("var", variables);
        let locals = resolve_locals(&evaluator, &body, &scope)?;
        let scope = scope.with("local", locals);
        if options.lint.is_some() {
            *evaluator.places.borrow_mut() = Some(Places::new(&body));
        }
        Ok(lower_job(
            Reader::new(&evaluator, &body, scope),
            syntax_errors,
        ))
    });
    diagnostics.append(&mut evaluator.take_diagnostics());
    let places = evaluator.places.take();
    match job {
        Ok(Some(job)) if diagnostics.is_empty() => {
            let warnings = match (&options.lint, places) {
                (Some(lint), Some(places)) => {
                    sorted(lint.run(&evaluator, &declared, &places, &job))
                }
                _ => Vec::new(),
            };
            Ok(Parsed { job, warnings })
        }
        _ => Err(failure(diagnostics)),
    }
}

/// The diagnostics in the order of the text.
fn failure(mut diagnostics: Vec<Diagnostic>) -> Failure {
    if diagnostics.is_empty() {
        diagnostics.push(Diagnostic::error(
            "Missing job block",
            "A job block is required.",
        ));
    }
    Failure {
        diagnostics: sorted(diagnostics),
    }
}

/// By place; what has none comes last.
fn sorted(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by_key(|diagnostic| {
        let range = diagnostic.range.as_ref();
        (
            range.is_none(),
            range.map(|range| (range.file.clone(), range.start.byte)),
        )
    });
    diagnostics.truncate(crate::diagnostic::MAX_DIAGNOSTICS);
    diagnostics
}

/// What was given from outside, as sources.
struct Inputs {
    environment: Vec<(String, String, u16)>,
    files: Vec<u16>,
    flags: Vec<(String, String, u16)>,
}

impl Inputs {
    fn read(sources: &mut Sources, options: &Options<'_>, host: &dyn Host) -> Self {
        let environment = host
            .variables()
            .into_iter()
            .take(MAX_GIVEN)
            .map(|(name, text)| {
                let file = sources.add(&format!("<value for var.{name} from environment>"), &text);
                (name, text, file)
            })
            .collect();
        let files = options
            .variable_files
            .iter()
            .take(MAX_GIVEN)
            .map(|source| sources.add(source.name, source.text))
            .collect();
        let flags = options
            .variables
            .iter()
            .take(MAX_GIVEN)
            .map(|(name, text)| {
                let file = sources.add(&format!("<value for var.{name} from arguments>"), text);
                (name.clone(), text.clone(), file)
            })
            .collect();
        Self {
            environment,
            files,
            flags,
        }
    }

    /// The values from weak to strong.
    fn given(self, sources: &Sources) -> (Vec<Given>, Vec<Diagnostic>) {
        let text = |raw: String, file: u16| Text {
            span: Span {
                file,
                start: 0,
                end: raw.len() as u32,
            },
            expr: syntax::parse_expression(sources, file),
            raw,
        };
        let mut given = Vec::new();
        let mut diagnostics = Vec::new();
        for (name, raw, file) in self.environment {
            given.push(Given::Environment(name, text(raw, file)));
        }
        for file in self.files {
            let (body, mut errors): (Body, _) = syntax::parse(sources, file);
            diagnostics.append(&mut errors);
            given.push(Given::File(body));
        }
        for (name, raw, file) in self.flags {
            given.push(Given::Flag(name, text(raw, file)));
        }
        (given, diagnostics)
    }
}
