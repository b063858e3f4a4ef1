//! The functions that text/template itself has.

use std::cmp::Ordering;

use crate::functions::{FuncError, Scope};
use crate::value::{Map, STRING_MAP, Value, fmt};

const NAMES: [&str; 19] = [
    "and", "or", "not", "call", "html", "index", "slice", "js", "len", "print", "printf",
    "println", "urlquery", "eq", "ge", "gt", "le", "lt", "ne",
];

/// Whether text/template has a function of this name.
pub(super) fn is_builtin(name: &str) -> bool {
    NAMES.contains(&name)
}

/// What a map of this Go type yields for a key it does not have.
pub(super) fn zero_of(go_type: &str) -> Value {
    if go_type == STRING_MAP {
        Value::str("")
    } else {
        Value::Nil
    }
}

/// Calls a function of text/template.
pub(super) fn call(name: &str, args: &[Value], scope: &Scope) -> Result<Value, FuncError> {
    let want = |least: usize, most: usize| {
        if args.len() < least || args.len() > most {
            let want = if least == most {
                format!("{least}")
            } else {
                format!("at least {least}")
            };
            return Err(FuncError::new(format!(
                "wrong number of args for {name}: want {want} got {}",
                args.len()
            )));
        }
        Ok(())
    };
    match name {
        "not" => {
            want(1, 1)?;
            Ok((!args[0].truth()).into())
        }
        "len" => {
            want(1, 1)?;
            let len = args[0].len();
            let len =
                len.ok_or_else(|| FuncError::new(format!("len of type {}", args[0].go_type())))?;
            Ok(Value::Int(len as i64))
        }
        "index" => {
            want(1, usize::MAX)?;
            args[1..]
                .iter()
                .try_fold(args[0].clone(), |value, at| index(&value, at))
        }
        "slice" => {
            want(1, 4)?;
            slice(args)
        }
        "print" => Ok(fmt::sprint(args).into()),
        "println" => Ok(fmt::sprintln(args).into()),
        "printf" => {
            want(1, usize::MAX)?;
            match args[0].bytes() {
                Some(format) => {
                    Ok(fmt::sprintf(&String::from_utf8_lossy(format), &args[1..]).into())
                }
                None => Err(FuncError::new(format!(
                    "wrong type for value; expected string; got {}",
                    args[0].go_type()
                ))),
            }
        }
        "html" => Ok(gotmpl::html_escape(&escaper_text(args, scope)?).into()),
        "js" => Ok(gotmpl::js_escape(&escaper_text(args, scope)?).into()),
        "urlquery" => Ok(gotmpl::url_encode(&escaper_text(args, scope)?).into()),
        "call" => Err(FuncError::new("call: not a function")),
        "eq" => {
            want(2, usize::MAX)?;
            for other in &args[1..] {
                if equal(&args[0], other)? {
                    return Ok(true.into());
                }
            }
            Ok(false.into())
        }
        "ne" => {
            want(2, 2)?;
            Ok((!equal(&args[0], &args[1])?).into())
        }
        "lt" | "le" | "gt" | "ge" => {
            want(2, 2)?;
            let order = order(&args[0], &args[1])?;
            Ok(match name {
                "lt" => order == Ordering::Less,
                "le" => order != Ordering::Greater,
                "gt" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }
            .into())
        }
        _ => Err(FuncError::new(format!("function {name:?} not defined"))),
    }
}

/// All arguments as one text, which the escapers may lengthen six times.
fn escaper_text(args: &[Value], scope: &Scope) -> Result<String, FuncError> {
    let text = match args {
        [Value::Nil] => "<no value>".to_owned(),
        args => fmt::sprint(args),
    };
    if text.len() > scope.limits.max_value_bytes / 6 {
        return Err(FuncError::new("the text is too long to be escaped"));
    }
    Ok(text)
}

fn index(value: &Value, at: &Value) -> Result<Value, FuncError> {
    let number = || match at {
        Value::Int(n) => Ok(*n),
        Value::Uint(n) => i64::try_from(*n).map_err(|_| FuncError::new("index out of range")),
        Value::Nil => Err(FuncError::new("cannot index slice/array with nil")),
        other => Err(FuncError::new(format!(
            "cannot index slice/array with type {}",
            other.go_type()
        ))),
    };
    let out_of_range = |n: i64| FuncError::new(format!("index out of range: {n}"));
    let place = |n: i64, len: usize| usize::try_from(n).ok().filter(|i| *i < len);
    match value.plain() {
        Value::List(list) => {
            let n = number()?;
            place(n, list.items.len())
                .map(|i| list.items[i].clone())
                .ok_or_else(|| out_of_range(n))
        }
        Value::Map(map) => Ok(entry(&map, at)?),
        Value::Nil => Err(FuncError::new("index of untyped nil")),
        other => match other.bytes() {
            Some(bytes) => {
                let n = number()?;
                place(n, bytes.len())
                    .map(|i| Value::Uint(u64::from(bytes[i])))
                    .ok_or_else(|| out_of_range(n))
            }
            None => Err(FuncError::new(format!(
                "can't index item of type {}",
                other.go_type()
            ))),
        },
    }
}

fn entry(map: &Map, at: &Value) -> Result<Value, FuncError> {
    // Maps that Go keys by number, such as byPort's, have text keys here.
    let key = match at {
        Value::Int(_) | Value::Uint(_) => fmt::text(at),
        other => match other.bytes() {
            Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            None => {
                return Err(FuncError::new(format!(
                    "value has type {}; should be string",
                    other.go_type()
                )));
            }
        },
    };
    let found = map.entries.get(key.as_str()).cloned();
    Ok(found.unwrap_or_else(|| zero_of(map.go_type)))
}

fn slice(args: &[Value]) -> Result<Value, FuncError> {
    let mut at = [0_usize; 3];
    let len = args[0]
        .len()
        .ok_or_else(|| FuncError::new(format!("can't slice item of type {}", args[0].go_type())))?;
    for (i, arg) in args[1..].iter().enumerate() {
        let n = match arg {
            Value::Int(n) => usize::try_from(*n).ok(),
            Value::Uint(n) => usize::try_from(*n).ok(),
            other => {
                return Err(FuncError::new(format!(
                    "cannot index slice/array with type {}",
                    other.go_type()
                )));
            }
        };
        let n = n.filter(|n| *n <= len);
        at[i] =
            n.ok_or_else(|| FuncError::new(format!("index out of range: {}", fmt::text(arg))))?;
    }
    let from = at[0];
    let to = if args.len() > 2 { at[1] } else { len };
    if from > to || args.len() == 4 && to > at[2] {
        return Err(FuncError::new(format!(
            "invalid slice index: {from} > {to}"
        )));
    }
    match &args[0] {
        Value::List(list) => Ok(Value::typed_list(
            list.go_type,
            list.items[from..to].to_vec(),
        )),
        other => match other.bytes() {
            Some(_) if args.len() == 4 => Err(FuncError::new("cannot 3-index slice a string")),
            Some(bytes) => Ok(Value::from_bytes(bytes[from..to].to_vec())),
            None => Err(FuncError::new(format!(
                "can't slice item of type {}",
                other.go_type()
            ))),
        },
    }
}

fn incompatible() -> FuncError {
    FuncError::new("incompatible types for comparison")
}

fn equal(a: &Value, b: &Value) -> Result<bool, FuncError> {
    match (a, b) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::Int(a), Value::Uint(b)) | (Value::Uint(b), Value::Int(a)) => {
            Ok(u64::try_from(*a).is_ok_and(|a| a == *b))
        }
        (Value::List(_), Value::List(_)) | (Value::Map(_), Value::Map(_)) => Err(FuncError::new(
            format!("non-comparable type {}", a.go_type()),
        )),
        (Value::Obj(_), Value::Obj(_)) => Ok(a.deep_equal(b)),
        (Value::Obj(object), other) | (other, Value::Obj(object)) => match object.plain() {
            // An item of a Variable compares as its text.
            Some(Value::Str(text)) => equal(&Value::Str(text), other),
            _ => Err(incompatible()),
        },
        (a, b) if a.kind() == b.kind() => Ok(a.deep_equal(b)),
        _ => Err(incompatible()),
    }
}

fn order(a: &Value, b: &Value) -> Result<Ordering, FuncError> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(a.cmp(b)),
        (Value::Uint(a), Value::Uint(b)) => Ok(a.cmp(b)),
        (Value::Int(a), Value::Uint(b)) => Ok(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Uint(a), Value::Int(b)) => Ok(i128::from(*a).cmp(&i128::from(*b))),
        // NaN is neither less nor greater; Go's lt says false and le says false too.
        (Value::Float(a), Value::Float(b)) => a
            .partial_cmp(b)
            .ok_or_else(|| FuncError::new("cannot compare NaN")),
        (Value::Obj(object), other) => match object.plain() {
            Some(Value::Str(text)) => order(&Value::Str(text), other),
            _ => Err(FuncError::new("invalid type for comparison")),
        },
        (other, Value::Obj(object)) => match object.plain() {
            Some(Value::Str(text)) => order(other, &Value::Str(text)),
            _ => Err(FuncError::new("invalid type for comparison")),
        },
        (a, b) => match (a.bytes(), b.bytes()) {
            (Some(a), Some(b)) => Ok(a.cmp(b)),
            _ if a.kind() == b.kind() => Err(FuncError::new("invalid type for comparison")),
            _ => Err(incompatible()),
        },
    }
}
