//! The engines: one trait, Go templates and Tera behind it.

#[cfg(test)]
mod fuzz;
pub(crate) mod go;
mod tera;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::data::{DataSource, FileSource, InterfaceAddr, NoData, NoFiles, Query};
use crate::functions::{Scope, ScopeParts};
use crate::limits::Limits;

pub use go::GoEngine;
pub use tera::TeraEngine;

/// Functions that are denied unless the client's configuration says otherwise.
pub const DEFAULT_DENYLIST: [&str; 3] = ["executeTemplate", "plugin", "writeToFile"];

/// Which language a template is written in: the `engine` of its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum EngineKind {
    /// Go's text/template with consul-template's functions.
    #[default]
    Go,
    /// Tera.
    Tera,
}

impl EngineKind {
    /// By its name in a job file; empty is Go.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "" | "go" => Some(Self::Go),
            "tera" => Some(Self::Tera),
            _ => None,
        }
    }

    /// The engine itself.
    pub fn engine(self) -> &'static dyn Engine {
        match self {
            Self::Go => &GoEngine,
            Self::Tera => &TeraEngine,
        }
    }
}

/// A template as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Name for messages.
    pub name: String,
    /// The text.
    pub text: String,
    /// Left delimiter, `{{` by default. Go only.
    pub left_delimiter: String,
    /// Right delimiter, `}}` by default. Go only.
    pub right_delimiter: String,
    /// Whether a key that a map does not have is an error.
    pub error_on_missing_key: bool,
}

impl Source {
    /// A template with the default delimiters.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            left_delimiter: "{{".to_owned(),
            right_delimiter: "}}".to_owned(),
            error_on_missing_key: false,
        }
    }
}

/// What a rendering may see of the world, and its bounds.
#[derive(Clone)]
pub struct RenderInput {
    /// Environment of the task with node attributes, for `env`.
    pub env: Arc<BTreeMap<String, String>>,
    /// Where Variables, services and the rest come from.
    pub data: Arc<dyn DataSource>,
    /// What `file` reads.
    pub files: Arc<dyn FileSource>,
    /// Addresses of the host, for `sockaddr`.
    pub interfaces: Arc<[InterfaceAddr]>,
    /// Now, in nanoseconds since 1970.
    pub now_ns: i64,
    /// Seed of the functions that draw random numbers.
    pub seed: u64,
    /// Functions that may not be called; globs such as `sprig_*`.
    pub denied: Arc<[String]>,
    /// Bounds.
    pub limits: Limits,
    /// Refuse what the reference refuses only because of Go's types: a Variable's item where a
    /// string is wanted, and sprig's functions of time and chance. Off: they work.
    pub strict: bool,
    /// Whether [`Limits::max_time_ms`] have passed since the rendering began.
    pub expired: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Default for RenderInput {
    /// Nothing to see, the default bounds and denylist, a clock that stands still.
    fn default() -> Self {
        Self {
            env: Arc::default(),
            data: Arc::new(NoData),
            files: Arc::new(NoFiles),
            interfaces: Arc::from([]),
            now_ns: 0,
            seed: 0,
            denied: DEFAULT_DENYLIST.map(str::to_owned).to_vec().into(),
            limits: Limits::default(),
            strict: false,
            expired: Arc::new(|| false),
        }
    }
}

impl RenderInput {
    fn scope(&self) -> Arc<Scope> {
        Arc::new(Scope::new(ScopeParts {
            env: Arc::clone(&self.env),
            data: Arc::clone(&self.data),
            files: Arc::clone(&self.files),
            interfaces: Arc::clone(&self.interfaces),
            now_ns: self.now_ns,
            seed: self.seed,
            denied: Arc::clone(&self.denied),
            limits: self.limits,
            strict_items: self.strict,
            expired: Arc::clone(&self.expired),
        }))
    }
}

/// What a rendering came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The text. Complete only if nothing is missing.
    pub output: Vec<u8>,
    /// Every query that was made.
    pub used: BTreeSet<Query>,
    /// Those whose answer the template cannot do without and does not have yet.
    pub missing: BTreeSet<Query>,
    /// Why the rendering stopped early while something was missing, which may be the cause.
    pub problem: Option<String>,
}

/// Why a template cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The text is longer than the limit.
    #[error("template {name}: the source is longer than {limit} bytes")]
    TooLong {
        /// Name of the template.
        name: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The text is no template; one line for each mistake.
    #[error("template: {name}: {message}")]
    Parse {
        /// Name of the template.
        name: String,
        /// What is wrong and where.
        message: String,
    },
    /// It failed while it was executed.
    #[error("template: {name}:{line}: {message}")]
    Exec {
        /// Name of the template.
        name: String,
        /// Line of the action, 0 if unknown.
        line: usize,
        /// What went wrong.
        message: String,
    },
}

/// A template language.
pub trait Engine: Send + Sync {
    /// Parses the text and checks it: syntax, names of functions and variables.
    ///
    /// # Errors
    /// [`TemplateError`] with every mistake that is found before execution.
    fn compile(&self, source: &Source, limits: &Limits)
    -> Result<Arc<dyn Compiled>, TemplateError>;
}

/// A template that is ready to be rendered, any number of times.
pub trait Compiled: Send + Sync {
    /// Renders with what is known now. Does not block, and ends within the limits.
    ///
    /// # Errors
    /// [`TemplateError::Exec`] if it fails although nothing is missing.
    fn render(&self, input: &RenderInput) -> Result<Rendered, TemplateError>;
}

/// Stack of the thread that parses and renders, in bytes. Only what is touched becomes memory.
const STACK_BYTES: usize = 32 * 1024 * 1024;

/// What a template's author reads when the engine itself fails; a defect of ours.
const PANICKED: &str = "the template engine failed";

/// Runs `work` on a stack that the deepest template within the limits cannot overflow, whatever
/// thread it is called from.
fn on_large_stack<T: Send>(
    name: &str,
    work: impl FnOnce() -> Result<T, TemplateError> + Send,
) -> Result<T, TemplateError> {
    let failed = |message: &str| TemplateError::Exec {
        name: name.to_owned(),
        line: 0,
        message: message.to_owned(),
    };
    std::thread::scope(|threads| {
        std::thread::Builder::new()
            .name("template".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(threads, work)
            .map_err(|error| failed(&format!("no thread to render on: {error}")))?
            .join()
            .unwrap_or_else(|_| Err(failed(PANICKED)))
    })
}

/// Makes the result of a rendering from its parts: a failure while something is missing is no failure yet.
fn conclude(
    scope: &Scope,
    result: Result<Vec<u8>, TemplateError>,
) -> Result<Rendered, TemplateError> {
    let (used, missing) = scope.queries();
    match result {
        Ok(output) => Ok(Rendered {
            output,
            used,
            missing,
            problem: None,
        }),
        Err(error) if !missing.is_empty() => Ok(Rendered {
            output: Vec::new(),
            used,
            missing,
            problem: Some(error.to_string()),
        }),
        Err(error) => Err(error),
    }
}
