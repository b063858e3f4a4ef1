//! Functions on lists, sets, maps and objects.

use std::collections::{BTreeMap, BTreeSet};

use super::args::{ArgError, Args, Outcome, bad};
use crate::value::{Number, Type, Value, convert, unify};

/// A list where the values have a common type, else a tuple.
fn list_or_tuple(items: Vec<Value>) -> Value {
    let types: Vec<Type> = items.iter().map(Type::of).collect();
    if types.windows(2).all(|pair| pair[0] == pair[1]) {
        Value::list(items)
    } else {
        Value::tuple(items)
    }
}

/// All values as their common type.
fn unified(items: Vec<Value>) -> Result<Vec<Value>, ArgError> {
    let common = unify(&items.iter().map(Type::of).collect::<Vec<_>>())
        .ok_or_else(|| ArgError::from("all arguments must have the same type"))?;
    items
        .iter()
        .map(|item| convert(item, &common).map_err(|error| error.to_string().into()))
        .collect()
}

pub(super) fn chunklist(args: &Args<'_>) -> Outcome {
    let items = args.elements(0)?;
    let size = args.count(1)?;
    let chunks = if size == 0 {
        vec![Value::list(items.to_vec())]
    } else {
        items
            .chunks(size)
            .map(|chunk| Value::list(chunk.to_vec()))
            .collect()
    };
    Ok(Value::list(if items.is_empty() {
        Vec::new()
    } else {
        chunks
    }))
}

pub(super) fn coalesce(args: &Args<'_>) -> Outcome {
    let values = unified(args.values.clone())?;
    values
        .into_iter()
        .find(|value| !value.is_null())
        .ok_or_else(|| "no non-null arguments".into())
}

pub(super) fn coalescelist(args: &Args<'_>) -> Outcome {
    for (at, value) in args.values.iter().enumerate() {
        if value.is_null() {
            continue;
        }
        if value
            .elements()
            .ok_or_else(|| bad(at, "list or tuple required"))?
            .is_empty()
        {
            continue;
        }
        return Ok(value.clone());
    }
    Err("no non-null arguments".into())
}

pub(super) fn compact(args: &Args<'_>) -> Outcome {
    let items = args.elements(0)?;
    let kept = items
        .iter()
        .filter(|item| !item.is_null())
        .map(|item| convert(item, &Type::String).map_err(|error| bad(0, error.to_string())))
        .filter(|item| !matches!(item, Ok(text) if text.as_str() == Some("")))
        .collect::<Result<_, _>>()?;
    Ok(Value::list(kept))
}

pub(super) fn concat(args: &Args<'_>) -> Outcome {
    let mut items = Vec::new();
    let mut lists = true;
    for at in 0..args.len() {
        lists &= matches!(args.get(at), Value::List(_));
        items.extend_from_slice(args.elements(at)?);
        Args::check_elements(items.len())?;
    }
    if lists && let Ok(unified) = unified(items.clone()) {
        return Ok(Value::list(unified));
    }
    Ok(Value::tuple(items))
}

pub(super) fn contains(args: &Args<'_>) -> Outcome {
    let wanted = args.get(1);
    Ok(Value::Bool(
        args.elements(0)?.iter().any(|item| item == wanted),
    ))
}

pub(super) fn distinct(args: &Args<'_>) -> Outcome {
    let mut seen = BTreeSet::new();
    let kept = args
        .elements(0)?
        .iter()
        .filter(|item| seen.insert((*item).clone()))
        .cloned()
        .collect();
    Ok(Value::list(kept))
}

pub(super) fn element(args: &Args<'_>) -> Outcome {
    let items = args.elements(0)?;
    let at = args.int(1)?;
    if items.is_empty() {
        return Err("cannot use element function with an empty list".into());
    }
    if at < 0 {
        return Err(bad(1, "cannot use element function with a negative index"));
    }
    Ok(items[(at as u64 % items.len() as u64) as usize].clone())
}

pub(super) fn flatten(args: &Args<'_>) -> Outcome {
    fn into(items: &[Value], flat: &mut Vec<Value>) -> Result<(), ArgError> {
        for item in items {
            match item.elements() {
                Some(inner) => into(inner, flat)?,
                None => flat.push(item.clone()),
            }
            Args::check_elements(flat.len())?;
        }
        Ok(())
    }
    let mut flat = Vec::new();
    into(args.elements(0)?, &mut flat)?;
    Ok(Value::tuple(flat))
}

/// The element at a key; unlike Terraform's function of that name.
pub(super) fn index(args: &Args<'_>) -> Outcome {
    let key = args.get(1);
    let found = match args.get(0) {
        Value::List(items) | Value::Tuple(items) => args
            .int(1)
            .ok()
            .and_then(|at| items.get(usize::try_from(at).ok()?)),
        Value::Map(members) | Value::Object(members) => {
            key.as_str().and_then(|key| members.get(key))
        }
        _ => return Err(bad(0, "list, tuple, map or object required")),
    };
    found
        .cloned()
        .ok_or_else(|| "no element at the given key".into())
}

pub(super) fn keys(args: &Args<'_>) -> Outcome {
    let names = args
        .members(0)?
        .keys()
        .map(|name| Value::from(name.as_str()))
        .collect();
    Ok(if matches!(args.get(0), Value::Object(_)) {
        Value::tuple(names)
    } else {
        Value::list(names)
    })
}

pub(super) fn length(args: &Args<'_>) -> Outcome {
    let value = args.get(0);
    let count = value
        .elements()
        .map(<[Value]>::len)
        .or_else(|| value.members().map(BTreeMap::len));
    count
        .map(Value::from)
        .ok_or_else(|| bad(0, "collection required"))
}

pub(super) fn lookup(args: &Args<'_>) -> Outcome {
    let key = args.string(1)?;
    Ok(args.members(0)?.get(&*key).unwrap_or(args.get(2)).clone())
}

pub(super) fn merge(args: &Args<'_>) -> Outcome {
    let mut merged = BTreeMap::new();
    let mut maps = args.len() > 0;
    for (at, value) in args.values.iter().enumerate() {
        if value.is_null() {
            continue;
        }
        let members = value
            .members()
            .ok_or_else(|| bad(at, "map or object required"))?;
        maps &= matches!(value, Value::Map(_));
        merged.extend(
            members
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
    }
    Ok(if maps {
        Value::map(merged)
    } else {
        Value::object(merged)
    })
}

/// The most numbers that `range` makes, as in HCL.
const MAX_RANGE: usize = 1024;

pub(super) fn range(args: &Args<'_>) -> Outcome {
    let zero = Number::ZERO;
    let (start, limit) = match args.len() {
        1 => (zero.clone(), args.number(0)?),
        _ => (args.number(0)?, args.number(1)?),
    };
    let down = limit < start;
    let step = match args.len() {
        3 => args.number(2)?,
        _ if down => Number::from(-1_i64),
        _ => Number::from(1_i64),
    };
    if step.is_zero() {
        return Err(bad(2, "step must not be zero"));
    }
    if step.is_negative() != down && start != limit {
        return Err(bad(
            2,
            if down {
                "step must be negative here"
            } else {
                "step must be positive here"
            },
        ));
    }
    let mut items = Vec::new();
    let mut at = start;
    while if down { at > limit } else { at < limit } {
        if items.len() == MAX_RANGE {
            return Err(format!(
                "more than {MAX_RANGE} values were generated; either decrease the difference between start and end \
                 or use a smaller step"
            )
            .into());
        }
        items.push(Value::Number(at.clone()));
        at = at.add(&step).ok_or("the numbers are too far apart")?;
    }
    Ok(Value::list(items))
}

/// The arguments as sets of one element type.
fn sets(args: &Args<'_>) -> Result<Vec<BTreeSet<Value>>, ArgError> {
    let mut all = Vec::new();
    for at in 0..args.len() {
        all.push(args.elements(at)?.to_vec());
    }
    let common = unify(&all.iter().flatten().map(Type::of).collect::<Vec<_>>())
        .ok_or_else(|| ArgError::from("all sets must have the same element type"))?;
    all.iter()
        .map(|items| {
            items
                .iter()
                .map(|item| {
                    convert(item, &common).map_err(|error| ArgError::from(error.to_string()))
                })
                .collect()
        })
        .collect()
}

pub(super) fn setintersection(args: &Args<'_>) -> Outcome {
    let mut sets = sets(args)?.into_iter();
    let first = sets.next().unwrap_or_default();
    let common = sets.fold(first, |common, next| {
        common.intersection(&next).cloned().collect()
    });
    Ok(Value::set(common.into_iter().collect()))
}

pub(super) fn setunion(args: &Args<'_>) -> Outcome {
    let all: BTreeSet<Value> = sets(args)?.into_iter().flatten().collect();
    Ok(Value::set(all.into_iter().collect()))
}

pub(super) fn setproduct(args: &Args<'_>) -> Outcome {
    let mut product: Vec<Vec<Value>> = vec![Vec::new()];
    let mut ordered = false;
    for at in 0..args.len() {
        let items = args.elements(at)?;
        ordered |= !matches!(args.get(at), Value::Set(_));
        Args::check_elements(
            product
                .len()
                .saturating_mul(items.len())
                .saturating_mul(at + 1),
        )?;
        product = product
            .iter()
            .flat_map(|before| {
                items
                    .iter()
                    .map(|item| before.iter().cloned().chain([item.clone()]).collect())
            })
            .collect();
    }
    let rows = product.into_iter().map(list_or_tuple).collect();
    Ok(if ordered {
        Value::list(rows)
    } else {
        Value::set(rows)
    })
}

pub(super) fn slice(args: &Args<'_>) -> Outcome {
    let items = args.elements(0)?;
    if matches!(args.get(0), Value::Set(_)) {
        return Err(bad(
            0,
            "cannot slice a set, because its elements do not have indices",
        ));
    }
    let (start, end) = (args.count(1)?, args.count(2)?);
    if start > items.len() {
        return Err(bad(
            1,
            "start index must not be greater than the length of the list",
        ));
    }
    if end > items.len() {
        return Err(bad(
            2,
            "end index must not be greater than the length of the list",
        ));
    }
    if start > end {
        return Err(bad(1, "start index must not be greater than end index"));
    }
    let part = items[start..end].to_vec();
    Ok(if matches!(args.get(0), Value::Tuple(_)) {
        Value::tuple(part)
    } else {
        Value::list(part)
    })
}

pub(super) fn sort(args: &Args<'_>) -> Outcome {
    let mut items = args.strings(0)?;
    items.sort();
    Ok(Value::list(items.into_iter().map(Value::from).collect()))
}

pub(super) fn values(args: &Args<'_>) -> Outcome {
    let items = args.members(0)?.values().cloned().collect();
    Ok(if matches!(args.get(0), Value::Object(_)) {
        Value::tuple(items)
    } else {
        Value::list(items)
    })
}

pub(super) fn zipmap(args: &Args<'_>) -> Outcome {
    let names = args.strings(0)?;
    let items = args.elements(1)?;
    if names.len() != items.len() {
        return Err(format!(
            "number of keys ({}) does not match number of values ({})",
            names.len(),
            items.len()
        )
        .into());
    }
    let members = names.into_iter().zip(items.iter().cloned()).collect();
    Ok(if matches!(args.get(1), Value::Tuple(_)) {
        Value::object(members)
    } else {
        Value::map(members)
    })
}
