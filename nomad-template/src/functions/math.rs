//! Arithmetic on integers and floats, and the counting loop.

use super::{Call, Entry, FuncError};
use crate::value::{Object, Value};

pub(super) const TABLE: &[Entry] = &[
    ("add", "b a", |c| {
        arithmetic(c, |b, a| a.checked_add(b), |b, a| a + b)
    }),
    ("subtract", "b a", |c| {
        arithmetic(c, |b, a| a.checked_sub(b), |b, a| a - b)
    }),
    ("multiply", "b a", |c| {
        arithmetic(c, |b, a| a.checked_mul(b), |b, a| a * b)
    }),
    ("divide", "b a", |c| {
        if matches!(c.get(0), Value::Int(0) | Value::Uint(0))
            && !matches!(c.get(1), Value::Float(_))
        {
            return Err(FuncError::new("integer divide by zero"));
        }
        arithmetic(c, |b, a| a.checked_div(b), |b, a| a / b)
    }),
    ("modulo", "b a", |c| {
        if matches!(c.get(0), Value::Int(0) | Value::Uint(0)) {
            return Err(FuncError::new("integer divide by zero"));
        }
        if matches!(c.get(0), Value::Float(_)) || matches!(c.get(1), Value::Float(_)) {
            return Err(FuncError::new("modulo: unknown type for float64"));
        }
        arithmetic(c, |b, a| a.checked_rem(b), |b, a| a % b)
    }),
    ("minimum", "b a", |c| {
        arithmetic(c, |b, a| Some(a.min(b)), |b, a| a.min(b))
    }),
    ("maximum", "b a", |c| {
        arithmetic(c, |b, a| Some(a.max(b)), |b, a| a.max(b))
    }),
    ("loop", "from_or_to to?", looping),
];

/// The second argument with the first, as floats if either is one.
fn arithmetic(
    c: &Call<'_>,
    ints: fn(i128, i128) -> Option<i128>,
    floats: fn(f64, f64) -> f64,
) -> Result<Value, FuncError> {
    let number = |i: usize| match c.get(i) {
        Value::Int(n) => Ok(Number::Int(i128::from(*n))),
        Value::Uint(n) => Ok(Number::Int(i128::from(*n))),
        Value::Float(f) => Ok(Number::Float(*f)),
        other => Err(FuncError::new(format!(
            "{}: unknown type for {:?} ({})",
            c.name,
            crate::value::fmt::text(other),
            other.go_type()
        ))),
    };
    match (number(0)?, number(1)?) {
        (Number::Int(b), Number::Int(a)) => {
            // Go's integers wrap; ours say that they would.
            let result = ints(b, a).ok_or_else(|| FuncError::new("integer overflow"))?;
            i64::try_from(result)
                .map(Value::Int)
                .or_else(|_| u64::try_from(result).map(Value::Uint))
                .map_err(|_| FuncError::new("integer overflow"))
        }
        (b, a) => Ok(Value::Float(floats(b.float(), a.float()))),
    }
}

#[derive(Debug, Clone, Copy)]
enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    fn float(self) -> f64 {
        match self {
            Self::Int(n) => n as f64,
            Self::Float(f) => f,
        }
    }
}

fn looping(c: &Call<'_>) -> Result<Value, FuncError> {
    let bound = |i: usize| match c.get(i) {
        Value::Int(n) => Ok(*n),
        Value::Uint(n) => i64::try_from(*n).map_err(|_| FuncError::new("loop: number too large")),
        Value::Float(f) => Ok(*f as i64),
        other => match other.bytes().map(String::from_utf8_lossy) {
            Some(text) => text
                .trim()
                .parse()
                .map_err(|_| FuncError::new(format!("loop: {text:?} is not a number"))),
            None => Err(FuncError::new(format!(
                "loop: bad argument type: {}",
                other.go_type()
            ))),
        },
    };
    let range = if c.has(1) {
        IntRange {
            from: bound(0)?,
            to: bound(1)?,
        }
    } else {
        IntRange {
            from: 0,
            to: bound(0)?,
        }
    };
    Ok(Value::object(range))
}

/// A half-open range that is gone through without being built.
#[derive(Debug)]
pub(super) struct IntRange {
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Object for IntRange {
    fn go_type(&self) -> &'static str {
        "<-chan int64"
    }

    fn kind(&self) -> &'static str {
        "chan"
    }

    fn member(&self, _: &str, _: &[Value]) -> Result<Option<Value>, FuncError> {
        Ok(None)
    }

    fn display(&self) -> String {
        format!("loop {} {}", self.from, self.to)
    }

    fn len(&self) -> Option<usize> {
        Some(0)
    }

    fn int_range(&self) -> Option<(i64, i64)> {
        Some((self.from, self.to))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
