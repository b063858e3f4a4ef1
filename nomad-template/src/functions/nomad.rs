//! Nomad's own: Variables, services, the task's environment, files of its sandbox.

use std::sync::Arc;

use super::{Call, Entry, FuncError, time};
use crate::data::{Data, Query, Service, Variable, VariableMeta};
use crate::value::{Object, Record, Value, fmt};

pub(super) const TABLE: &[Entry] = &[
    ("nomadVar", "path", nomad_var),
    ("nomadVarExists", "path", |c| {
        let found = c.scope.query(variable_query(&c.str(0)?)?)?;
        Ok(matches!(found.as_deref(), Some(Data::Variable(Some(_)))).into())
    }),
    ("nomadVarList", "prefix?", |c| variables(c, false)),
    ("nomadVarListSafe", "prefix?", |c| variables(c, true)),
    ("nomadService", "name_or_count key? name?", nomad_service),
    ("nomadServices", "region?", nomad_services),
    ("env", "name", |c| {
        Ok(lookup(c, &c.str(0)?).unwrap_or_default().into())
    }),
    ("envOrDefault", "name default", |c| {
        match lookup(c, &c.str(0)?) {
            Some(value) if !value.is_empty() => Ok(value.into()),
            _ => Ok(c.get(1).clone()),
        }
    }),
    ("mustEnv", "name", |c| {
        let name = c.str(0)?;
        lookup(c, &name).map(Value::from).ok_or_else(|| {
            FuncError::new(format!("mustEnv: environment variable {name} is not set"))
        })
    }),
    ("sprig_env", "name", |c| {
        Ok(lookup(c, &c.str(0)?).unwrap_or_default().into())
    }),
    ("sprig_expandenv", "text", |c| {
        Ok(expand(c, &c.str(0)?).into())
    }),
    ("file", "path", |c| {
        let path = c.str(0)?;
        if path.is_empty() {
            return Ok("".into());
        }
        let bytes = c
            .scope
            .files
            .read(&path)
            .map_err(|error| FuncError::new(format!("file: {error}")))?;
        Ok(Value::from_bytes(bytes))
    }),
    // The evaluator does the work, for only it knows the templates that are defined.
    ("executeTemplate", "name value?", |_| Ok(Value::Nil)),
    ("plugin", "name args*", |_| {
        Err(FuncError::new("plugin: plugins are not supported"))
    }),
    ("writeToFile", "path args*", |_| {
        Err(FuncError::new(
            "writeToFile: not supported, use a template with a destination",
        ))
    }),
];

fn lookup(c: &Call<'_>, name: &str) -> Option<String> {
    c.scope.env.get(name).cloned()
}

/// Replaces `$NAME` and `${NAME}` by the task's environment.
fn expand(c: &Call<'_>, text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, tail) = if let Some(braced) = after.strip_prefix('{') {
            braced.split_once('}').unwrap_or((braced, ""))
        } else {
            let end = after
                .find(|ch: char| !(ch.is_ascii_alphanumeric() || ch == '_'))
                .unwrap_or(after.len());
            after.split_at(end)
        };
        out.push_str(&lookup(c, name).unwrap_or_default());
        rest = tail;
    }
    out + rest
}

/// `path`, `path@namespace` or `path@namespace.region`; a region other than the own is refused.
fn variable_query(text: &str) -> Result<Query, FuncError> {
    let (path, namespace) = place(text);
    if path.is_empty() {
        return Err(FuncError::new("a Variable needs a path"));
    }
    Ok(Query::Variable { path, namespace })
}

fn place(text: &str) -> (String, Option<String>) {
    let (path, at) = match text.split_once('@') {
        Some((path, at)) => (path, at.split('.').next().unwrap_or_default()),
        None => (text, ""),
    };
    let path = path.trim_matches('/');
    (path.to_owned(), (!at.is_empty()).then(|| at.to_owned()))
}

fn nomad_var(c: &Call<'_>) -> Result<Value, FuncError> {
    let query = variable_query(&c.str(0)?)?;
    match c.scope.query(query.clone())? {
        Some(data) if matches!(&*data, Data::Variable(Some(_))) => {
            Ok(Value::object(VarItems(data)))
        }
        Some(_) => {
            c.scope.waits_for(query);
            Ok(Value::Nil)
        }
        None => Ok(Value::Nil),
    }
}

fn variables(c: &Call<'_>, safe: bool) -> Result<Value, FuncError> {
    let (prefix, namespace) = if c.has(0) {
        place(&c.str(0)?)
    } else {
        (String::new(), None)
    };
    let query = Query::Variables { prefix, namespace };
    let data = c.scope.query(query.clone())?;
    let mut metas = match data.as_deref() {
        Some(Data::Variables(metas)) => metas.clone(),
        _ => Vec::new(),
    };
    if safe && metas.is_empty() && data.is_some() {
        // The safe form renders nothing until there is something.
        c.scope.waits_for(query);
    }
    metas.sort_by(|a, b| a.path.cmp(&b.path));
    let items = metas
        .iter()
        .map(|m| Value::object(VarMeta(m.clone())))
        .collect();
    Ok(Value::typed_list("[]*dependency.NomadVarMeta", items))
}

fn nomad_service(c: &Call<'_>) -> Result<Value, FuncError> {
    let (name, choose) = match c.args.len() {
        1 => (c.str(0)?, None),
        3 => {
            let count = match c.get(0) {
                Value::Int(n) => u64::try_from(*n).ok(),
                Value::Uint(n) => Some(*n),
                text => fmt::text(text).parse().ok(),
            };
            let count = count.filter(|n| *n > 0);
            let count =
                count.ok_or_else(|| FuncError::new("nomadService: the count must be positive"))?;
            (c.str(2)?, Some((count, c.str(1)?.into_owned())))
        }
        n => {
            return Err(FuncError::new(format!(
                "nomadService: expected 1 or 3 arguments, got {n}"
            )));
        }
    };
    let (full, region) = match name.split_once('@') {
        Some((full, region)) => (full, Some(region.to_owned())),
        None => (&*name, None),
    };
    if full.is_empty() {
        return Err(FuncError::new("nomadService: a service needs a name"));
    }
    let (tag, plain) = match full.rsplit_once('.') {
        Some((tag, plain)) if !tag.is_empty() => (Some(tag), plain),
        _ => (None, full),
    };
    let query = Query::Service {
        name: plain.to_owned(),
        region,
        choose,
    };
    let data = c.scope.query(query)?;
    let mut services: Vec<&Service> = match data.as_deref() {
        Some(Data::Service(services)) => services.iter().collect(),
        _ => Vec::new(),
    };
    services.retain(|s| tag.is_none_or(|tag| s.tags.iter().any(|t| t == tag)));
    services.sort_by(|a, b| (&a.node_id, &a.id).cmp(&(&b.node_id, &b.id)));
    let items = services.into_iter().map(service_value).collect();
    Ok(Value::typed_list("[]*dependency.NomadService", items))
}

fn sorted(tags: &[String]) -> Value {
    let mut tags = tags.to_vec();
    tags.sort();
    Value::strings(tags)
}

fn service_value(s: &Service) -> Value {
    Value::object(Record {
        go_type: "*dependency.NomadService",
        fields: vec![
            ("ID", s.id.as_str().into()),
            ("Name", s.name.as_str().into()),
            ("Node", s.node_id.as_str().into()),
            ("Address", s.address.as_str().into()),
            ("Port", Value::Int(i64::from(s.port))),
            ("Datacenter", s.datacenter.as_str().into()),
            ("Tags", sorted(&s.tags)),
            ("JobID", s.job_id.as_str().into()),
            ("AllocID", s.alloc_id.as_str().into()),
        ],
    })
}

fn nomad_services(c: &Call<'_>) -> Result<Value, FuncError> {
    let region = if c.has(0) {
        Some(c.str(0)?.trim_start_matches('@').to_owned())
    } else {
        None
    };
    let data = c.scope.query(Query::Services { region })?;
    let mut services = match data.as_deref() {
        Some(Data::Services(services)) => services.clone(),
        _ => Vec::new(),
    };
    services.sort_by(|a, b| a.name.cmp(&b.name));
    let items = services
        .iter()
        .map(|s| {
            Value::object(Record {
                go_type: "*dependency.NomadServicesSnippet",
                fields: vec![("Name", s.name.as_str().into()), ("Tags", sorted(&s.tags))],
            })
        })
        .collect();
    Ok(Value::typed_list(
        "[]*dependency.NomadServicesSnippet",
        items,
    ))
}

fn meta_fields(meta: &VariableMeta) -> Vec<(&'static str, Value)> {
    vec![
        ("Namespace", meta.namespace.as_str().into()),
        ("Path", meta.path.as_str().into()),
        ("CreateIndex", Value::Uint(meta.create_index)),
        ("ModifyIndex", Value::Uint(meta.modify_index)),
        ("CreateTime", time::from_ns(meta.create_time)),
        ("ModifyTime", time::from_ns(meta.modify_time)),
    ]
}

/// A Variable without its items. Prints as its path.
#[derive(Debug)]
struct VarMeta(VariableMeta);

impl Object for VarMeta {
    fn go_type(&self) -> &'static str {
        "*dependency.NomadVarMeta"
    }

    fn member(&self, name: &str, args: &[Value]) -> Result<Option<Value>, FuncError> {
        if name == "Key" {
            return Ok(Some(self.0.path.as_str().into()));
        }
        Record {
            go_type: "",
            fields: meta_fields(&self.0),
        }
        .member(name, args)
    }

    fn display(&self) -> String {
        self.0.path.clone()
    }

    fn plain(&self) -> Option<Value> {
        Record {
            go_type: "",
            fields: meta_fields(&self.0),
        }
        .plain()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// One item of a Variable: prints as its value, knows its key and where it belongs.
pub(crate) struct VarItem {
    parent: Arc<VarItems>,
    key: String,
}

impl VarItem {
    /// The item's text.
    pub(crate) fn value(&self) -> &str {
        let items = self.parent.variable().map(|variable| &variable.items);
        items
            .and_then(|items| items.get(&self.key))
            .map_or("", String::as_str)
    }
}

impl std::fmt::Debug for VarItem {
    /// Without the value, which is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VarItem")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Object for VarItem {
    fn go_type(&self) -> &'static str {
        "dependency.NomadVarItem"
    }

    fn member(&self, name: &str, args: &[Value]) -> Result<Option<Value>, FuncError> {
        let value = match name {
            "Key" => Some(self.key.as_str().into()),
            "Value" => Some(self.value().into()),
            "Parent" => Some(Value::Obj(Arc::clone(&self.parent) as Arc<dyn Object>)),
            "Metadata" => Some(self.parent.meta()),
            _ => None,
        };
        crate::value::object_no_args(name, args, value)
    }

    fn display(&self) -> String {
        self.value().to_owned()
    }

    fn truth(&self) -> bool {
        !self.value().is_empty()
    }

    fn plain(&self) -> Option<Value> {
        Some(self.value().into())
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The items of a Variable: a map with methods.
pub(crate) struct VarItems(Arc<Data>);

impl std::fmt::Debug for VarItems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The data's own `Debug` leaves the items out.
        f.debug_tuple("VarItems").field(&self.0).finish()
    }
}

impl VarItems {
    fn variable(&self) -> Option<&Variable> {
        match &*self.0 {
            Data::Variable(variable) => variable.as_ref(),
            _ => None,
        }
    }

    fn meta(&self) -> Value {
        let meta = self.variable().map(|variable| variable.meta.clone());
        Value::object(VarMeta(meta.unwrap_or_default()))
    }

    fn items(&self) -> impl Iterator<Item = (&str, &str)> {
        let items = self
            .variable()
            .into_iter()
            .flat_map(|variable| &variable.items);
        items.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    fn item(parent: &Arc<Self>, key: &str) -> Value {
        Value::object(VarItem {
            parent: Arc::clone(parent),
            key: key.to_owned(),
        })
    }
}

impl Object for VarItems {
    fn go_type(&self) -> &'static str {
        "*dependency.NomadVarItems"
    }

    fn kind(&self) -> &'static str {
        "map"
    }

    fn member(&self, name: &str, args: &[Value]) -> Result<Option<Value>, FuncError> {
        const TUPLE: &str = "struct { K string; V string }";
        let value = match name {
            "Keys" => Some(Value::strings(self.items().map(|(key, _)| key))),
            "Values" => Some(Value::strings(self.items().map(|(_, value)| value))),
            "Tuples" => {
                let tuples = self.items().map(|(key, value)| {
                    Value::object(Record {
                        go_type: TUPLE,
                        fields: vec![("K", key.into()), ("V", value.into())],
                    })
                });
                Some(Value::list(tuples.collect()))
            }
            "Metadata" | "Parent" => Some(self.meta()),
            _ => {
                let known = self.variable().is_some_and(|v| v.items.contains_key(name));
                known.then(|| Self::item(&Arc::new(Self(Arc::clone(&self.0))), name))
            }
        };
        crate::value::object_no_args(name, args, value)
    }

    fn display(&self) -> String {
        let items: Vec<String> = self.items().map(|(k, v)| format!("{k}:{v}")).collect();
        format!("map[{}]", items.join(" "))
    }

    fn truth(&self) -> bool {
        self.len() != Some(0)
    }

    fn len(&self) -> Option<usize> {
        Some(self.items().count())
    }

    fn depth(&self) -> u32 {
        2
    }

    fn plain(&self) -> Option<Value> {
        let parent = Arc::new(Self(Arc::clone(&self.0)));
        let entries = self
            .items()
            .map(|(key, _)| (Arc::from(key), Self::item(&parent, key)))
            .collect();
        Some(Value::typed_map("dependency.NomadVarItems", entries))
    }

    fn missing_key(&self) -> Option<Value> {
        Some(Value::str(""))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
