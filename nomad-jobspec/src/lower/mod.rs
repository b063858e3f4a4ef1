//! From the tree to the job: one function for each block, one file for each family of blocks.
//!
//! Each function asks its body for the attributes and blocks that jobspec.md §1 lists; the body reports whatever else
//! is there. What the reference's parser fills in by itself (§3.4) is filled in here too; all other defaults are left
//! to `Job::canonicalize`.

pub(crate) mod body;
mod connect;
mod constraint;
mod dynamic;
mod free_form;
mod gateway;
mod group;
mod job;
mod network;
mod places;
mod policy;
mod resources;
mod service;
mod task;
mod template;
mod values;
mod vault;

pub(crate) use self::constraint::constraint;
pub(crate) use self::job::lower_job;
pub(crate) use self::places::{Place, Places};

use self::body::Reader;

/// All blocks of a type, each turned into a value; `None` where there are none.
fn all<'e, T>(
    reader: &Reader<'e>,
    name: &'static str,
    lower: fn(Reader<'e>) -> T,
) -> Option<Vec<T>> {
    collect(reader.blocks(name, &[]), lower)
}

/// All blocks of a type with one label.
fn labelled<'e, T>(
    reader: &Reader<'e>,
    name: &'static str,
    lower: fn(Reader<'e>) -> T,
) -> Option<Vec<T>> {
    collect(reader.blocks(name, &["name"]), lower)
}

fn collect<'e, T>(blocks: Vec<Reader<'e>>, lower: fn(Reader<'e>) -> T) -> Option<Vec<T>> {
    if blocks.is_empty() {
        None
    } else {
        Some(blocks.into_iter().map(lower).collect())
    }
}

/// The only block of a type.
fn one<'e, T>(reader: &Reader<'e>, name: &'static str, lower: fn(Reader<'e>) -> T) -> Option<T> {
    reader.block(name).map(lower)
}
