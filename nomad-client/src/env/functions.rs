//! Functions that a driver's configuration may call.

use serde_json::Value;

use super::value::{number, to_bool, to_number, to_text};

/// Calls a function by name.
pub(super) fn call(name: &str, args: Vec<Value>) -> Result<Value, String> {
    let fail = |what: &str| Err(format!("{name}: {what}"));
    let text = |index: usize| -> Result<String, String> {
        args.get(index)
            .and_then(to_text)
            .ok_or_else(|| format!("{name}: argument {} must be a string", index + 1))
    };
    let num = |index: usize| -> Result<f64, String> {
        args.get(index)
            .and_then(to_number)
            .ok_or_else(|| format!("{name}: argument {} must be a number", index + 1))
    };
    let wanted = match name {
        "abs" | "int" | "length" | "lower" | "upper" | "strlen" | "reverse" | "jsonencode"
        | "jsondecode" | "not" => Some(1),
        "substr" => Some(3),
        "hasindex" => Some(2),
        "coalesce" | "concat" | "max" | "min" => None,
        _ => return Err(format!("there is no function named \"{name}\"")),
    };
    if let Some(wanted) = wanted.filter(|wanted| *wanted != args.len()) {
        return fail(&format!("takes {wanted} arguments, not {}", args.len()));
    }
    Ok(match name {
        "abs" => number(num(0)?.abs()),
        "int" => number(num(0)?.trunc()),
        "not" => match args.first().and_then(to_bool) {
            Some(flag) => Value::Bool(!flag),
            None => return fail("argument 1 must be true or false"),
        },
        "lower" => Value::String(text(0)?.to_lowercase()),
        "upper" => Value::String(text(0)?.to_uppercase()),
        "strlen" => Value::from(text(0)?.chars().count()),
        "length" => match &args[0] {
            Value::Array(list) => Value::from(list.len()),
            Value::Object(map) => Value::from(map.len()),
            _ => return fail("argument 1 must be a list or a map"),
        },
        "reverse" => match &args[0] {
            Value::String(text) => Value::String(text.chars().rev().collect()),
            Value::Array(list) => Value::Array(list.iter().rev().cloned().collect()),
            _ => return fail("argument 1 must be a string or a list"),
        },
        "substr" => substr(&text(0)?, num(1)?, num(2)?),
        "coalesce" => match args.iter().find(|value| !value.is_null()) {
            Some(value) => value.clone(),
            None => return fail("all arguments are null"),
        },
        "concat" => {
            let mut all = Vec::new();
            for value in args {
                match value {
                    Value::Array(list) => all.extend(list),
                    _ => return fail("all arguments must be lists"),
                }
            }
            Value::Array(all)
        }
        "max" | "min" => {
            let mut best = num(0)?;
            for index in 1..args.len() {
                let n = num(index)?;
                best = if name == "max" {
                    best.max(n)
                } else {
                    best.min(n)
                };
            }
            number(best)
        }
        "hasindex" => Value::Bool(match (&args[0], &args[1]) {
            (Value::Array(list), index) => {
                to_number(index).is_some_and(|n| n >= 0.0 && n < list.len() as f64)
            }
            (Value::Object(map), index) => to_text(index).is_some_and(|key| map.contains_key(&key)),
            _ => false,
        }),
        "jsonencode" => Value::String(args[0].to_string()),
        "jsondecode" => match serde_json::from_str(&text(0)?) {
            Ok(value) => value,
            Err(error) => return fail(&error.to_string()),
        },
        _ => return fail("is not built"),
    })
}

/// `length` -1 is to the end; a negative offset counts from the end.
fn substr(text: &str, offset: f64, length: f64) -> Value {
    let count = text.chars().count() as f64;
    let start = if offset < 0.0 { count + offset } else { offset };
    let start = start.clamp(0.0, count) as usize;
    let rest = text.chars().skip(start);
    Value::String(if length < 0.0 {
        rest.collect()
    } else {
        rest.take(length as usize).collect()
    })
}
