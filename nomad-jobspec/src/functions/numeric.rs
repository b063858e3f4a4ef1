//! Functions on numbers.

use super::args::{Args, Outcome, bad};
use crate::value::{Nat, Number, Value};

pub(super) fn abs(args: &Args<'_>) -> Outcome {
    Ok(args.number(0)?.abs().into())
}

pub(super) fn ceil(args: &Args<'_>) -> Outcome {
    Ok(args.number(0)?.ceil().into())
}

pub(super) fn floor(args: &Args<'_>) -> Outcome {
    Ok(args.number(0)?.floor().into())
}

fn float(value: f64) -> Outcome {
    Number::from_f64(value)
        .map(Value::Number)
        .ok_or_else(|| "the result is not a finite number".into())
}

pub(super) fn log(args: &Args<'_>) -> Outcome {
    float(args.number(0)?.to_f64().ln() / args.number(1)?.to_f64().ln())
}

pub(super) fn pow(args: &Args<'_>) -> Outcome {
    float(args.number(0)?.to_f64().powf(args.number(1)?.to_f64()))
}

pub(super) fn max(args: &Args<'_>) -> Outcome {
    pick(args, |best, next| next > best)
}

pub(super) fn min(args: &Args<'_>) -> Outcome {
    pick(args, |best, next| next < best)
}

fn pick(args: &Args<'_>, better: fn(&Number, &Number) -> bool) -> Outcome {
    let mut best = args.number(0)?;
    for at in 1..args.len() {
        let next = args.number(at)?;
        if better(&best, &next) {
            best = next;
        }
    }
    Ok(best.into())
}

pub(super) fn parseint(args: &Args<'_>) -> Outcome {
    let text = args.string(0)?;
    let base = args.int(1)?;
    if !(2..=62).contains(&base) {
        return Err(bad(
            1,
            "base must be a whole number between 2 and 62 inclusive",
        ));
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    if digits.len() > 500 {
        return Err(bad(0, "has more than 500 digits"));
    }
    let value = Nat::from_base(digits, base as u32)
        .ok_or_else(|| bad(0, format!("cannot parse {text:?} as a base {base} integer")))?;
    Ok(Number::new(negative, value, 0).into())
}

pub(super) fn signum(args: &Args<'_>) -> Outcome {
    let number = args.number(0)?;
    let sign = if number.is_zero() {
        0
    } else if number.is_negative() {
        -1
    } else {
        1
    };
    Ok(Number::from(i64::from(sign)).into())
}
