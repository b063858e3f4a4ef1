//! Evaluating filter expressions on an object's JSON.

use serde_json::Value;

use super::{EachNames, Expr, FilterError, Op, Selector};

/// Fields whose content is a map: a missing key there is no error.
const MAPS: [&str; 24] = [
    "Meta",
    "Attributes",
    "Links",
    "Env",
    "Drivers",
    "HostVolumes",
    "HostNetworks",
    "TaskStates",
    "Tasks",
    "TaskLifecycles",
    "CanaryMeta",
    "Config",
    "Volumes",
    "Details",
    "Scores",
    "NodesAvailable",
    "ClassFiltered",
    "ConstraintFiltered",
    "ClassExhausted",
    "DimensionExhausted",
    "FailedTGAllocs",
    "QueuedAllocations",
    "TaskGroupsMap",
    "ClassEligibility",
];

/// What a selector found.
enum Found<'a> {
    Value(&'a Value),
    /// A map without that key.
    MissingKey,
}

/// Names bound by `any` and `all`, innermost last.
type Scope<'a> = Vec<(String, Value)>;

pub(super) fn matches(expr: &Expr, object: &Value) -> Result<bool, FilterError> {
    run(expr, object, &mut Vec::new())
}

fn run(expr: &Expr, object: &Value, scope: &mut Scope<'_>) -> Result<bool, FilterError> {
    match expr {
        Expr::And(left, right) => Ok(run(left, object, scope)? && run(right, object, scope)?),
        Expr::Or(left, right) => Ok(run(left, object, scope)? || run(right, object, scope)?),
        Expr::Not(inner) => Ok(!run(inner, object, scope)?),
        Expr::Match {
            selector,
            op,
            value,
        } => compare(&find(selector, object, scope)?, selector, op, value),
        Expr::Each {
            all,
            selector,
            names,
            body,
        } => each(*all, selector, names, body, object, scope),
    }
}

fn each(
    all: bool,
    selector: &Selector,
    names: &EachNames,
    body: &Expr,
    object: &Value,
    scope: &mut Scope<'_>,
) -> Result<bool, FilterError> {
    let items: Vec<(Value, Value)> = match find(selector, object, scope)? {
        Found::Value(Value::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(at, item)| (Value::from(at), item.clone()))
            .collect(),
        Found::Value(Value::Object(map)) => map
            .iter()
            .map(|(key, item)| (Value::from(key.as_str()), item.clone()))
            .collect(),
        Found::Value(Value::Null) | Found::MissingKey => Vec::new(),
        Found::Value(_) => {
            return Err(FilterError::Mismatch {
                what: format!("{} is no list or map", selector.text),
            });
        }
    };
    let is_map = matches!(
        find(selector, object, scope)?,
        Found::Value(Value::Object(_))
    );
    for (key, item) in items {
        let depth = scope.len();
        if names.single {
            let bound = if is_map { key } else { item };
            scope.extend(names.value.clone().map(|name| (name, bound)));
        } else {
            scope.extend(names.key.clone().map(|name| (name, key)));
            scope.extend(names.value.clone().map(|name| (name, item)));
        }
        let result = run(body, object, scope);
        scope.truncate(depth);
        if result? != all {
            return Ok(!all);
        }
    }
    Ok(all)
}

fn find<'a>(
    selector: &Selector,
    object: &'a Value,
    scope: &'a Scope<'_>,
) -> Result<Found<'a>, FilterError> {
    let bound = scope
        .iter()
        .rev()
        .find(|(name, _)| *name == selector.path[0]);
    let (mut value, path) = match bound {
        Some((_, value)) => (value, &selector.path[1..]),
        None => (object, &selector.path[..]),
    };
    let mut in_map = false;
    for part in path {
        let next = match value {
            Value::Object(map) => map.get(part),
            Value::Array(items) => part.parse::<usize>().ok().and_then(|at| items.get(at)),
            // An absent struct or map has no fields, but asking is no mistake.
            Value::Null => return Ok(Found::MissingKey),
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None if in_map => return Ok(Found::MissingKey),
            None => {
                return Err(FilterError::NoField {
                    selector: selector.text.clone(),
                    field: part.clone(),
                });
            }
        }
        in_map = MAPS.contains(&part.as_str());
    }
    Ok(Found::Value(value))
}

fn compare(
    found: &Found<'_>,
    selector: &Selector,
    op: &Op,
    wanted: &str,
) -> Result<bool, FilterError> {
    let value = match found {
        Found::Value(value) => *value,
        Found::MissingKey => {
            return Ok(matches!(
                op,
                Op::NotEqual | Op::NotIn | Op::Empty | Op::Nil | Op::NotMatches(_)
            ));
        }
    };
    match op {
        Op::Equal => equal(value, selector, wanted),
        Op::NotEqual => equal(value, selector, wanted).map(|equal| !equal),
        Op::In => contains(value, selector, wanted),
        Op::NotIn => contains(value, selector, wanted).map(|contains| !contains),
        Op::Empty => Ok(is_empty(value)),
        Op::NotEmpty => Ok(!is_empty(value)),
        Op::Nil => Ok(value.is_null()),
        Op::NotNil => Ok(!value.is_null()),
        Op::Matches(pattern) => text(value, selector).map(|text| pattern.0.is_match(&text)),
        Op::NotMatches(pattern) => text(value, selector).map(|text| !pattern.0.is_match(&text)),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn equal(value: &Value, selector: &Selector, wanted: &str) -> Result<bool, FilterError> {
    let mismatch = |kind: &str| FilterError::Mismatch {
        what: format!("{} is a {kind}, which {wanted:?} is not", selector.text),
    };
    match value {
        Value::String(text) => Ok(text == wanted),
        Value::Bool(value) => crate::query::go_bool(wanted)
            .map(|wanted| *value == wanted)
            .ok_or_else(|| mismatch("bool")),
        Value::Number(number) => match (number.as_i64(), wanted.parse::<i64>()) {
            (Some(value), Ok(wanted)) => Ok(value == wanted),
            _ => wanted
                .parse::<f64>()
                .map(|wanted| number.as_f64() == Some(wanted))
                .map_err(|_| mismatch("number")),
        },
        Value::Null => Ok(wanted.is_empty()),
        Value::Array(_) | Value::Object(_) => Err(mismatch("list or map")),
    }
}

fn contains(value: &Value, selector: &Selector, wanted: &str) -> Result<bool, FilterError> {
    match value {
        Value::String(text) => Ok(text.contains(wanted)),
        Value::Object(map) => Ok(map.contains_key(wanted)),
        Value::Null => Ok(false),
        Value::Array(items) => {
            for item in items {
                if !matches!(item, Value::Array(_) | Value::Object(_))
                    && equal(item, selector, wanted)?
                {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Err(FilterError::Mismatch {
            what: format!("{} cannot contain anything", selector.text),
        }),
    }
}

fn text(value: &Value, selector: &Selector) -> Result<String, FilterError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok(String::new()),
        _ => Err(FilterError::Mismatch {
            what: format!("{} is no text", selector.text),
        }),
    }
}
