//! sprig's lists.

use crate::functions::args::items;
use crate::functions::{Call, Entry, FuncError};
use crate::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("sprig_list", "items*", |c| Ok(Value::list(c.args.to_vec()))),
    ("sprig_tuple", "items*", |c| {
        Ok(Value::list(c.args.to_vec()))
    }),
    ("sprig_first", "list", first),
    ("sprig_mustFirst", "list", first),
    ("sprig_last", "list", last),
    ("sprig_mustLast", "list", last),
    ("sprig_rest", "list", rest),
    ("sprig_mustRest", "list", rest),
    ("sprig_initial", "list", initial),
    ("sprig_mustInitial", "list", initial),
    ("sprig_append", "list item", append),
    ("sprig_mustAppend", "list item", append),
    ("sprig_push", "list item", append),
    ("sprig_mustPush", "list item", append),
    ("sprig_prepend", "list item", prepend),
    ("sprig_mustPrepend", "list item", prepend),
    ("sprig_reverse", "list", reverse),
    ("sprig_mustReverse", "list", reverse),
    ("sprig_uniq", "list", uniq),
    ("sprig_mustUniq", "list", uniq),
    ("sprig_compact", "list", compact),
    ("sprig_mustCompact", "list", compact),
    ("sprig_without", "list items*", without),
    ("sprig_mustWithout", "list items*", without),
    ("sprig_has", "item list", has),
    ("sprig_mustHas", "item list", has),
    ("sprig_slice", "list indexes*", slice),
    ("sprig_mustSlice", "list indexes*", slice),
    ("sprig_concat", "lists*", |c| {
        let mut all = Vec::new();
        for i in 0..c.args.len() {
            all.extend(c.list(i)?);
        }
        Ok(Value::list(all))
    }),
    ("sprig_chunk", "size list", chunk),
    ("sprig_mustChunk", "size list", chunk),
    ("sprig_shuffle", "text", |c| {
        let mut chars: Vec<char> = c.str(0)?.chars().collect();
        for i in (1..chars.len()).rev() {
            chars.swap(i, (c.scope.random() % (i as u64 + 1)) as usize);
        }
        Ok(chars.into_iter().collect::<String>().into())
    }),
];

fn first(c: &Call<'_>) -> Result<Value, FuncError> {
    Ok(c.list(0)?.into_iter().next().unwrap_or_default())
}

fn last(c: &Call<'_>) -> Result<Value, FuncError> {
    Ok(c.list(0)?.pop().unwrap_or_default())
}

fn rest(c: &Call<'_>) -> Result<Value, FuncError> {
    let list = c.list(0)?;
    if list.is_empty() {
        return Ok(Value::Nil);
    }
    Ok(Value::list(list[1..].to_vec()))
}

fn initial(c: &Call<'_>) -> Result<Value, FuncError> {
    let mut list = c.list(0)?;
    if list.pop().is_none() {
        return Ok(Value::Nil);
    }
    Ok(Value::list(list))
}

fn append(c: &Call<'_>) -> Result<Value, FuncError> {
    let mut list = c.list(0)?;
    list.push(c.get(1).clone());
    Ok(Value::list(list))
}

fn prepend(c: &Call<'_>) -> Result<Value, FuncError> {
    let mut list = vec![c.get(1).clone()];
    list.extend(c.list(0)?);
    Ok(Value::list(list))
}

fn reverse(c: &Call<'_>) -> Result<Value, FuncError> {
    let mut list = c.list(0)?;
    list.reverse();
    Ok(Value::list(list))
}

/// Longest list that is compared pairwise.
const MAX_PAIRWISE: usize = 20_000;

fn uniq(c: &Call<'_>) -> Result<Value, FuncError> {
    let list = c.list(0)?;
    if list.len() > MAX_PAIRWISE {
        return Err(FuncError::new(format!(
            "the list has more than {MAX_PAIRWISE} items"
        )));
    }
    let mut kept: Vec<Value> = Vec::new();
    for item in list {
        c.scope.tick()?;
        if !kept.iter().any(|own| own.deep_equal(&item)) {
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

fn compact(c: &Call<'_>) -> Result<Value, FuncError> {
    Ok(Value::list(
        c.list(0)?.into_iter().filter(Value::truth).collect(),
    ))
}

fn without(c: &Call<'_>) -> Result<Value, FuncError> {
    let list = c.list(0)?.into_iter();
    let kept = list.filter(|item| !c.args[1..].iter().any(|omit| omit.deep_equal(item)));
    Ok(Value::list(kept.collect()))
}

fn has(c: &Call<'_>) -> Result<Value, FuncError> {
    if matches!(c.get(1), Value::Nil) {
        return Ok(false.into());
    }
    let list = items(c.get(1)).ok_or_else(|| FuncError::new("cannot find in what is no list"))?;
    Ok(list.iter().any(|item| item.deep_equal(c.get(0))).into())
}

fn slice(c: &Call<'_>) -> Result<Value, FuncError> {
    let list = c.list(0)?;
    let from = if c.has(1) { c.count(1)? } else { 0 };
    let to = if c.has(2) { c.count(2)? } else { list.len() };
    if from > to || to > list.len() {
        return Err(FuncError::new("slice bounds out of range"));
    }
    Ok(Value::list(list[from..to].to_vec()))
}

fn chunk(c: &Call<'_>) -> Result<Value, FuncError> {
    let size = c.count(0)?;
    if size == 0 {
        return Err(FuncError::new("the size of a chunk must be positive"));
    }
    let list = c.list(1)?;
    let chunks = list.chunks(size).map(|chunk| Value::list(chunk.to_vec()));
    Ok(Value::typed_list("[][]interface {}", chunks.collect()))
}
