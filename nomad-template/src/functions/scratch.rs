//! The scratch: a place where a template keeps values while it is rendered.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Entry, FuncError};
use crate::value::{Object, Value, fmt};

pub(super) const TABLE: &[Entry] = &[("scratch", "", |c| Ok(Value::Obj(c.scope.scratch())))];

/// The values kept.
#[derive(Debug, Default)]
pub(crate) struct Scratch(Mutex<BTreeMap<Arc<str>, Value>>);

impl Object for Scratch {
    fn go_type(&self) -> &'static str {
        "*template.Scratch"
    }

    fn kind(&self) -> &'static str {
        "ptr"
    }

    fn member(&self, name: &str, args: &[Value]) -> Result<Option<Value>, FuncError> {
        let want = match name {
            "Key" | "Get" | "MapValues" => 1,
            "Set" | "SetX" => 2,
            "MapSet" | "MapSetX" => 3,
            _ => return Ok(None),
        };
        if args.len() != want {
            return Err(FuncError::new(format!(
                "wrong number of args for {name}: want {want} got {}",
                args.len()
            )));
        }
        let key = text(&args[0])?;
        let mut kept = self.0.lock();
        let nothing = || Value::str("");
        Ok(Some(match name {
            "Key" => kept.contains_key(&*key).into(),
            "Get" => kept.get(&*key).cloned().unwrap_or_default(),
            "Set" => {
                kept.insert(key, stored(&args[1])?);
                nothing()
            }
            "SetX" => {
                if !kept.contains_key(&*key) {
                    kept.insert(key, stored(&args[1])?);
                }
                nothing()
            }
            "MapValues" => match kept.get(&*key) {
                None => Value::list(Vec::new()),
                Some(Value::Map(map)) => Value::list(map.entries.values().cloned().collect()),
                Some(_) => return Err(not_a_map(&key)),
            },
            _ => {
                let mut entries = match kept.get(&*key) {
                    None => BTreeMap::new(),
                    Some(Value::Map(map)) => map.entries.clone(),
                    Some(_) => return Err(not_a_map(&key)),
                };
                let inner = text(&args[1])?;
                if name == "MapSet" || !entries.contains_key(&*inner) {
                    entries.insert(inner, stored(&args[2])?);
                }
                kept.insert(key, Value::map(entries));
                nothing()
            }
        }))
    }

    fn display(&self) -> String {
        "scratch".to_owned()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

fn not_a_map(key: &str) -> FuncError {
    FuncError::new(format!("scratch: {key:?} is not a map"))
}

fn text(value: &Value) -> Result<Arc<str>, FuncError> {
    match value.bytes() {
        Some(_) => Ok(fmt::text(value).into()),
        None => Err(FuncError::new(format!(
            "scratch: expected string, got {}",
            value.go_type()
        ))),
    }
}

/// The value, unless keeping it would let the scratch hold itself or nest too deep.
fn stored(value: &Value) -> Result<Value, FuncError> {
    if let Value::Obj(object) = value
        && object.as_any().is::<Scratch>()
    {
        return Err(FuncError::new("scratch: cannot hold a scratch"));
    }
    if value.depth() > crate::value::MAX_DEPTH {
        return Err(FuncError::new("scratch: the value nests too deep"));
    }
    Ok(value.clone())
}
