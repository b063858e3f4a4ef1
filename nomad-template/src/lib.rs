//! Template rendering: engines, runner and the in-memory connection by which a runner talks to its agent.
//!
//! Layer L2: above nomad-core, below the client. What is here:
//!
//! - [`bufconn`]: [`BufferedConn`], an in-memory connection that holds no buffer while idle.
//! - [`engine`]: the [`Engine`] trait with Go's text/template and Tera behind it.

/// `write!` into a `String`, which cannot fail.
macro_rules! push {
    ($out:expr, $($arg:tt)*) => {{
        use std::fmt::Write as _;
        let _ = write!($out, $($arg)*);
    }};
}

pub mod bufconn;
pub mod data;
pub mod engine;
mod functions;
mod limits;
pub mod runner;
pub mod sandbox;
mod value;
pub mod watch;

pub use bufconn::{BufferPool, BufferedConn, ConnConfig, Dialer, Listener};
pub use data::{Answer, Data, DataSource, Query};
pub use engine::{Engine, EngineKind, RenderInput, Rendered, Source, TemplateError};
pub use functions::names as function_names;
pub use limits::Limits;
