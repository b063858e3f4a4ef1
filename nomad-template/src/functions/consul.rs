//! Consul's and Vault's functions: asked of the data source, which may have neither.

use super::{Call, Entry, FuncError};
use crate::data::{Data, Query};
use crate::value::encode::json::from_tera;
use crate::value::{Value, fmt};

pub(super) const TABLE: &[Entry] = &[
    ("key", "path", |c| ask(c, Missing::Waits)),
    ("keyOrDefault", "path default", |c| {
        let query = Query::Consul {
            function: "key",
            args: vec![c.str(0)?.into_owned()],
        };
        match c.scope.query(query)?.as_deref() {
            Some(Data::Json(Some(found))) => Ok(from_tera(found)),
            _ => Ok(c.get(1).clone()),
        }
    }),
    ("keyExists", "path", |c| {
        let query = Query::Consul {
            function: "key",
            args: vec![c.str(0)?.into_owned()],
        };
        let found = c.scope.query(query)?;
        Ok(matches!(found.as_deref(), Some(Data::Json(Some(_)))).into())
    }),
    ("keyExistsGet", "path", |c| ask(c, Missing::Empty)),
    ("ls", "path", |c| ask(c, Missing::Empty)),
    ("safeLs", "path", |c| ask(c, Missing::Waits)),
    ("safels", "path", |c| ask(c, Missing::Waits)),
    ("tree", "path", |c| ask(c, Missing::Empty)),
    ("safeTree", "path", |c| ask(c, Missing::Waits)),
    ("safetree", "path", |c| ask(c, Missing::Waits)),
    ("service", "name filter*", |c| ask(c, Missing::Empty)),
    ("services", "datacenter*", |c| ask(c, Missing::Empty)),
    ("connect", "name filter*", |c| ask(c, Missing::Empty)),
    ("node", "name*", |c| ask(c, Missing::Empty)),
    ("nodes", "datacenter*", |c| ask(c, Missing::Empty)),
    ("datacenters", "ignore*", |c| ask(c, Missing::Empty)),
    ("partitions", "", |c| ask(c, Missing::Empty)),
    ("peerings", "partition*", |c| ask(c, Missing::Empty)),
    ("exportedServices", "partition*", |c| ask(c, Missing::Empty)),
    ("importedServices", "partition*", |c| ask(c, Missing::Empty)),
    ("caRoots", "", |c| ask(c, Missing::Empty)),
    ("caLeaf", "name", |c| ask(c, Missing::Waits)),
    ("secret", "path pairs*", |c| vault(c, Missing::Waits)),
    ("secrets", "path", |c| vault(c, Missing::Empty)),
    ("pkiCert", "path pairs*", |c| vault(c, Missing::Waits)),
];

/// What a function does when there is no such thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// The rendering waits until there is.
    Waits,
    /// It yields an empty value.
    Empty,
}

fn texts(c: &Call<'_>) -> Vec<String> {
    c.args.iter().map(fmt::text).collect()
}

fn ask(c: &Call<'_>, missing: Missing) -> Result<Value, FuncError> {
    let query = Query::Consul {
        function: c.name,
        args: texts(c),
    };
    answer(c, query, missing)
}

fn vault(c: &Call<'_>, missing: Missing) -> Result<Value, FuncError> {
    let query = Query::Vault {
        function: c.name,
        args: texts(c),
    };
    answer(c, query, missing)
}

fn answer(c: &Call<'_>, query: Query, missing: Missing) -> Result<Value, FuncError> {
    match c.scope.query(query.clone())?.as_deref() {
        Some(Data::Json(Some(found))) => Ok(from_tera(found)),
        Some(_) if missing == Missing::Waits => {
            c.scope.waits_for(query);
            Ok(Value::Nil)
        }
        _ => Ok(Value::Nil),
    }
}
