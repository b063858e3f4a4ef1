//! Requests, answers and list stubs of the API; objects themselves are `nomad-core`'s.

mod agent;
mod alloc;
mod client;
mod deployment;
mod eval;
mod job;
mod namespace;
mod node;
mod operator;
mod search;
mod variable;

pub use self::agent::*;
pub use self::alloc::*;
pub use self::client::*;
pub use self::deployment::*;
pub use self::eval::*;
pub use self::job::*;
pub use self::namespace::*;
pub use self::node::*;
pub use self::operator::*;
pub use self::search::*;
pub use self::variable::*;

use serde::{Deserialize, Serialize};

/// Meta of a read, as some bodies repeat it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct QueryMeta {
    pub index: u64,
    /// Nanoseconds.
    pub last_contact: i64,
    pub known_leader: bool,
    pub next_token: String,
}

/// Only the index of a write.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WriteMeta {
    pub index: u64,
}
