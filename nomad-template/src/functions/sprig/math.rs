//! sprig's numbers: everything is made an integer, or a float in the functions that say so.

use crate::functions::{Call, Entry, FuncError};
use crate::value::{Value, fmt};

pub(super) const TABLE: &[Entry] = &[
    ("sprig_atoi", "text", |c| {
        Ok(Value::Int(c.str(0)?.parse().unwrap_or(0)))
    }),
    ("sprig_int", "value", |c| Ok(Value::Int(to_int(c.get(0))))),
    ("sprig_int64", "value", |c| Ok(Value::Int(to_int(c.get(0))))),
    ("sprig_float64", "value", |c| {
        Ok(Value::Float(to_float(c.get(0))))
    }),
    ("sprig_toDecimal", "octal", |c| {
        let text = fmt::text(c.get(0));
        Ok(Value::Int(i64::from_str_radix(&text, 8).unwrap_or(0)))
    }),
    ("sprig_add1", "n", |c| int(to_int(c.get(0)).checked_add(1))),
    ("sprig_add", "numbers*", |c| fold(c, 0, i64::checked_add)),
    ("sprig_mul", "a numbers*", |c| fold(c, 1, i64::checked_mul)),
    ("sprig_sub", "a b", |c| {
        int(to_int(c.get(0)).checked_sub(to_int(c.get(1))))
    }),
    ("sprig_div", "a b", |c| divided(c, i64::checked_div)),
    ("sprig_mod", "a b", |c| divided(c, i64::checked_rem)),
    ("sprig_max", "a numbers*", max),
    ("sprig_biggest", "a numbers*", max),
    ("sprig_min", "a numbers*", |c| {
        Ok(Value::Int(c.args.iter().map(to_int).min().unwrap_or(0)))
    }),
    ("sprig_maxf", "a numbers*", |c| {
        Ok(c.args
            .iter()
            .map(to_float)
            .fold(f64::NEG_INFINITY, f64::max)
            .into())
    }),
    ("sprig_minf", "a numbers*", |c| {
        Ok(c.args
            .iter()
            .map(to_float)
            .fold(f64::INFINITY, f64::min)
            .into())
    }),
    ("sprig_addf", "numbers*", |c| {
        Ok(rounded_12(c.args.iter().map(to_float).sum()).into())
    }),
    ("sprig_add1f", "n", |c| {
        Ok(rounded_12(to_float(c.get(0)) + 1.0).into())
    }),
    ("sprig_subf", "a numbers*", |c| {
        let rest: f64 = c.args[1..].iter().map(to_float).sum();
        Ok(rounded_12(to_float(c.get(0)) - rest).into())
    }),
    ("sprig_mulf", "a numbers*", |c| {
        Ok(rounded_12(c.args.iter().map(to_float).product()).into())
    }),
    ("sprig_divf", "a numbers*", |c| {
        let first = to_float(c.get(0));
        Ok(rounded_12(c.args[1..].iter().map(to_float).fold(first, |a, b| a / b)).into())
    }),
    ("sprig_ceil", "n", |c| Ok(to_float(c.get(0)).ceil().into())),
    ("sprig_floor", "n", |c| {
        Ok(to_float(c.get(0)).floor().into())
    }),
    ("sprig_round", "n places at?", |c| {
        let (n, places) = (to_float(c.get(0)), to_int(c.get(1)).clamp(-300, 300) as i32);
        let at = if c.has(2) { to_float(c.get(2)) } else { 0.5 };
        let scale = 10_f64.powi(places);
        let digit = scale * n;
        let whole = if digit.fract() >= at {
            digit.ceil()
        } else {
            digit.floor()
        };
        Ok((whole / scale).into())
    }),
    ("sprig_until", "count", |c| {
        let count = c.int(0)?;
        until(0, count, if count < 0 { -1 } else { 1 })
    }),
    ("sprig_untilStep", "start stop step", |c| {
        until(c.int(0)?, c.int(1)?, c.int(2)?)
    }),
    ("sprig_seq", "numbers*", seq),
    ("sprig_randInt", "least most", |c| {
        let (least, most) = (c.int(0)?, c.int(1)?);
        let span = most.checked_sub(least).filter(|span| *span > 0);
        let span = span.ok_or_else(|| FuncError::new("the range is empty"))?;
        Ok(Value::Int(least + (c.scope.random() % span as u64) as i64))
    }),
];

/// Longest list of numbers that is made.
const MAX_NUMBERS: u64 = 1_000_000;

/// What `cast.ToInt64` makes of a value: zero of what is no number.
pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Bool(b) => i64::from(*b),
        Value::Int(n) => *n,
        Value::Uint(n) => *n as i64,
        Value::Float(f) => *f as i64,
        other => {
            let Some(bytes) = other.bytes() else {
                return 0;
            };
            let text = String::from_utf8_lossy(bytes);
            let plain = text.trim_start_matches('0');
            let plain = if plain.is_empty() && !text.is_empty() {
                "0"
            } else {
                plain
            };
            plain.parse().unwrap_or(0)
        }
    }
}

/// What `cast.ToFloat64` makes of a value: zero of what is no number.
pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Bool(b) => f64::from(u8::from(*b)),
        Value::Int(n) => *n as f64,
        Value::Uint(n) => *n as f64,
        Value::Float(f) => *f,
        other => other
            .bytes()
            .and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok())
            .unwrap_or(0.0),
    }
}

fn int(result: Option<i64>) -> Result<Value, FuncError> {
    result
        .map(Value::Int)
        .ok_or_else(|| FuncError::new("integer overflow"))
}

fn fold(c: &Call<'_>, from: i64, by: fn(i64, i64) -> Option<i64>) -> Result<Value, FuncError> {
    int(c.args.iter().map(to_int).try_fold(from, by))
}

fn divided(c: &Call<'_>, by: fn(i64, i64) -> Option<i64>) -> Result<Value, FuncError> {
    let divisor = to_int(c.get(1));
    if divisor == 0 {
        return Err(FuncError::new("integer divide by zero"));
    }
    int(by(to_int(c.get(0)), divisor))
}

fn max(c: &Call<'_>) -> Result<Value, FuncError> {
    Ok(Value::Int(c.args.iter().map(to_int).max().unwrap_or(0)))
}

/// Twelve decimals: hides that 0.1 + 0.2 is not 0.3, as sprig's decimals do.
fn rounded_12(f: f64) -> f64 {
    format!("{f:.12}").parse().unwrap_or(f)
}

fn until(start: i64, stop: i64, step: i64) -> Result<Value, FuncError> {
    let mut numbers = Vec::new();
    let forward = stop >= start;
    if step == 0 || forward != (step > 0) {
        return Ok(Value::typed_list("[]int", numbers));
    }
    if stop.abs_diff(start) / step.unsigned_abs() >= MAX_NUMBERS {
        return Err(FuncError::new(format!("more than {MAX_NUMBERS} numbers")));
    }
    let mut at = start;
    while if forward { at < stop } else { at > stop } {
        numbers.push(Value::Int(at));
        let Some(next) = at.checked_add(step) else {
            break;
        };
        at = next;
    }
    Ok(Value::typed_list("[]int", numbers))
}

/// Like the shell's `seq`: text with spaces between the numbers.
fn seq(c: &Call<'_>) -> Result<Value, FuncError> {
    let ints: Result<Vec<i64>, FuncError> = (0..c.args.len()).map(|i| c.int(i)).collect();
    let ints = ints?;
    let toward = |from: i64, to: i64| if to < from { -1 } else { 1 };
    let (from, to, step) = match ints[..] {
        [to] => (1, to, toward(1, to)),
        [from, to] => (from, to, toward(from, to)),
        [from, step, to] => {
            if step == 0 || toward(from, to) != step.signum() {
                return Ok("".into());
            }
            (from, to, step)
        }
        _ => return Ok("".into()),
    };
    let stop = to.saturating_add(step.signum());
    match until(from, stop, step)? {
        Value::List(list) => {
            let texts: Vec<String> = list.items.iter().map(fmt::text).collect();
            Ok(texts.join(" ").into())
        }
        _ => Ok("".into()),
    }
}
