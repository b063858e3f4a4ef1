//! `format` and `formatlist`: text with verbs, as HCL has them.
//!
//! A verb is `%`, flags (` `, `+`, `-`, `#`, `0`), width, `.precision`, `[argument]`, letter.

use super::args::{ArgError, Args, Outcome, bad};
use super::string::characters;
use crate::value::{Number, Type, Value, convert, to_json_text};

/// The widest field and the most digits that a verb may ask for.
const MAX_WIDTH: usize = 100_000;

#[derive(Debug, Default)]
struct Verb {
    letter: char,
    space: bool,
    plus: bool,
    minus: bool,
    sharp: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

pub(super) fn format(args: &Args<'_>) -> Outcome {
    let pattern = args.string(0)?;
    Ok(render(&pattern, &args.values[1..], 1)?.into())
}

pub(super) fn formatlist(args: &Args<'_>) -> Outcome {
    let pattern = args.string(0)?;
    let mut length = None;
    for (at, value) in args.values.iter().enumerate().skip(1) {
        if let Some(items) = value.elements() {
            if length.is_some_and(|length| length != items.len()) {
                return Err(bad(
                    at,
                    format!(
                        "argument {at} has length {}, which is inconsistent with the lists before",
                        items.len()
                    ),
                ));
            }
            length = Some(items.len());
        }
    }
    let count = length.unwrap_or(1);
    let mut results = Vec::with_capacity(count);
    let mut total = 0;
    for row in 0..count {
        let values: Vec<Value> = args.values[1..]
            .iter()
            .map(|value| {
                value
                    .elements()
                    .map_or_else(|| value.clone(), |items| items[row].clone())
            })
            .collect();
        let text = render(&pattern, &values, 1)?;
        total += text.len();
        Args::check_text(total)?;
        results.push(Value::from(text));
    }
    Ok(Value::list(results))
}

/// `first` is the number of the argument that `values` starts with, for messages.
fn render(pattern: &str, values: &[Value], first: usize) -> Result<String, ArgError> {
    let mut result = String::new();
    let mut rest = pattern;
    let mut next = 0;
    let mut used = 0;
    while let Some(at) = rest.find('%') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            result.push('%');
            rest = after;
            continue;
        }
        let (verb, argument, after) = parse_verb(rest)?;
        rest = after;
        let index = argument.map_or(next, |number| number - 1);
        next = index + 1;
        used = used.max(next);
        let Some(value) = values.get(index) else {
            return Err(format!(
                "not enough arguments for \"%{}\": need index {} but have {} total",
                verb.letter,
                index + 1,
                values.len()
            )
            .into());
        };
        append(&mut result, &verb, value).map_err(|message| bad(first + index, message))?;
        Args::check_text(result.len())?;
    }
    result.push_str(rest);
    if used < values.len() {
        return Err(bad(
            first + used,
            format!("too many arguments; only {used} used by format string"),
        ));
    }
    Ok(result)
}

/// The verb after a `%`, the number of the argument that it names, and what follows.
fn parse_verb(text: &str) -> Result<(Verb, Option<usize>, &str), ArgError> {
    let mut verb = Verb::default();
    let mut rest = text;
    while let Some(flag) = rest.chars().next() {
        match flag {
            ' ' => verb.space = true,
            '+' => verb.plus = true,
            '-' => verb.minus = true,
            '#' => verb.sharp = true,
            '0' => verb.zero = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    let number = |rest: &mut &str| -> Result<Option<usize>, ArgError> {
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, after) = rest.split_at(length);
        *rest = after;
        if digits.is_empty() {
            return Ok(None);
        }
        match digits.parse() {
            Ok(value) if value <= MAX_WIDTH => Ok(Some(value)),
            _ => Err(format!("width or precision {digits} is larger than {MAX_WIDTH}").into()),
        }
    };
    verb.width = number(&mut rest)?;
    if let Some(after) = rest.strip_prefix('.') {
        rest = after;
        verb.precision = Some(number(&mut rest)?.unwrap_or(0));
    }
    let mut argument = None;
    if let Some(after) = rest.strip_prefix('[') {
        rest = after;
        argument = number(&mut rest)?.filter(|number| *number > 0);
        let Some(after) = rest.strip_prefix(']').filter(|_| argument.is_some()) else {
            return Err(
                "unrecognized format sequence: an argument number such as [1] is expected".into(),
            );
        };
        rest = after;
    }
    let Some(letter) = rest.chars().next() else {
        return Err("unexpected end of format string: a verb letter must follow %".into());
    };
    verb.letter = letter;
    if !matches!(
        letter,
        'v' | 't' | 'b' | 'd' | 'o' | 'x' | 'X' | 'e' | 'E' | 'f' | 'g' | 'G' | 's' | 'q'
    ) {
        return Err(format!("unsupported format verb {letter:?}").into());
    }
    Ok((verb, argument, &rest[letter.len_utf8()..]))
}

fn append(result: &mut String, verb: &Verb, value: &Value) -> Result<(), String> {
    if value.is_null() && verb.letter != 'v' {
        return Err(format!(
            "unsupported value for {:?}: null value cannot be formatted",
            format!("%{}", verb.letter)
        ));
    }
    let as_number = || match convert(value, &Type::Number) {
        Ok(Value::Number(number)) => Ok(number),
        Err(error) => Err(format!(
            "unsupported value for \"%{}\": {error}",
            verb.letter
        )),
        Ok(_) => Err("a number is required".to_owned()),
    };
    let as_string = || match convert(value, &Type::String) {
        Ok(Value::String(text)) => Ok(text.as_ref().to_owned()),
        Err(error) => Err(format!(
            "unsupported value for \"%{}\": {error}",
            verb.letter
        )),
        Ok(_) => Err("string required".to_owned()),
    };
    let text = match verb.letter {
        'v' => match value {
            Value::String(text) if !verb.sharp => pad(verb, text.as_ref().to_owned()),
            Value::Number(number) if !verb.sharp => pad(verb, general(number, None, 'e')),
            _ => pad(verb, to_json_text(value)),
        },
        't' => match convert(value, &Type::Bool) {
            Ok(Value::Bool(value)) => pad(verb, value.to_string()),
            _ => return Err("unsupported value for \"%t\": a bool is required".to_owned()),
        },
        'b' | 'd' | 'o' => integer(verb, &as_number()?)?,
        'x' | 'X' => match value {
            Value::Number(number) => integer(verb, number)?,
            _ => hexadecimal(verb, &as_string()?),
        },
        'e' | 'E' | 'f' | 'g' | 'G' => float(verb, &as_number()?),
        's' => {
            let text = as_string()?;
            pad(verb, cut(verb, &text))
        }
        _ => {
            let text = as_string()?;
            pad(verb, to_json_text(&Value::from(cut(verb, &text))))
        }
    };
    result.push_str(&text);
    Ok(())
}

/// At most as many characters as the precision says.
fn cut(verb: &Verb, text: &str) -> String {
    match verb.precision {
        Some(precision) => characters(text).into_iter().take(precision).collect(),
        None => text.to_owned(),
    }
}

fn pad(verb: &Verb, text: String) -> String {
    let missing = verb
        .width
        .unwrap_or(0)
        .saturating_sub(characters(&text).len());
    match (missing, verb.minus) {
        (0, _) => text,
        (_, true) => text + &" ".repeat(missing),
        (_, false) if verb.zero => "0".repeat(missing) + &text,
        (_, false) => " ".repeat(missing) + &text,
    }
}

/// With the sign that the flags ask for, padded behind the sign by zeros or before it by blanks.
fn signed(verb: &Verb, negative: bool, digits: &str) -> String {
    let sign = match (negative, verb.plus, verb.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        _ => "",
    };
    if verb.zero && !verb.minus {
        let missing = verb
            .width
            .unwrap_or(0)
            .saturating_sub(sign.len() + digits.len());
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    pad(
        &Verb {
            zero: false,
            ..Verb {
                width: verb.width,
                minus: verb.minus,
                ..Verb::default()
            }
        },
        format!("{sign}{digits}"),
    )
}

fn integer(verb: &Verb, number: &Number) -> Result<String, String> {
    let Some(magnitude) = number.integer() else {
        return Err(format!(
            "unsupported value for \"%{}\": an integer is required",
            verb.letter
        ));
    };
    let (base, prefix) = match verb.letter {
        'b' => (2, "0b"),
        'o' => (8, "0"),
        'x' => (16, "0x"),
        'X' => (16, "0X"),
        _ => (10, ""),
    };
    let mut digits = magnitude.to_base(base);
    if verb.letter == 'X' {
        digits.make_ascii_uppercase();
    }
    if verb.sharp {
        digits.insert_str(0, prefix);
    }
    Ok(signed(verb, number.is_negative(), &digits))
}

fn hexadecimal(verb: &Verb, text: &str) -> String {
    use std::fmt::Write as _;
    let digits = text.bytes().fold(String::new(), |mut digits, byte| {
        let _ = if verb.letter == 'X' {
            write!(digits, "{byte:02X}")
        } else {
            write!(digits, "{byte:02x}")
        };
        digits
    });
    pad(verb, digits)
}

fn float(verb: &Verb, number: &Number) -> String {
    let magnitude = number.abs();
    let digits = match verb.letter {
        'f' => magnitude.to_fixed(verb.precision.unwrap_or(6)),
        'e' => exponential(&magnitude, Some(verb.precision.unwrap_or(6)), 'e'),
        'E' => exponential(&magnitude, Some(verb.precision.unwrap_or(6)), 'E'),
        'g' => general(&magnitude, verb.precision, 'e'),
        _ => general(&magnitude, verb.precision, 'E'),
    };
    signed(verb, number.is_negative(), &digits)
}

/// Significant digits, rounded to `count` where given, and the exponent of the first of them.
fn significant(number: &Number, count: Option<usize>) -> (String, i32) {
    if number.is_zero() {
        return ("0".repeat(count.unwrap_or(1).max(1)), 0);
    }
    let plain = number.abs().to_string();
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let all = format!("{whole}{fraction}");
    let zeros = all.len() - all.trim_start_matches('0').len();
    let mut exponent = whole.len() as i32 - 1 - zeros as i32;
    let mut digits = all.trim_start_matches('0').trim_end_matches('0').to_owned();
    if let Some(count) = count {
        let count = count.max(1);
        if digits.len() > count {
            // Rounded as a fixed number: 0.digits to so many places.
            let rounded = Number::parse(&format!("0.{digits}"))
                .unwrap_or(Number::ZERO)
                .to_fixed(count);
            let rounded = rounded.replace('.', "");
            if rounded.starts_with('1') {
                exponent += 1;
                digits = rounded[..count].to_owned();
            } else {
                digits = rounded[1..].to_owned();
            }
        } else {
            digits.push_str(&"0".repeat(count - digits.len()));
        }
    }
    (digits, exponent)
}

/// `d.ddde±dd`.
fn exponential(number: &Number, precision: Option<usize>, letter: char) -> String {
    let (digits, exponent) = significant(number, precision.map(|precision| precision + 1));
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if number.is_negative() { "-" } else { "" };
    let direction = if exponent < 0 { '-' } else { '+' };
    format!(
        "{sign}{first}{point}{rest}{letter}{direction}{:02}",
        exponent.abs()
    )
}

/// Plain or exponential, whichever is usual for the size; no trailing zeros.
fn general(number: &Number, precision: Option<usize>, letter: char) -> String {
    let (digits, exponent) = significant(number, precision);
    let threshold = match precision {
        None => 6,
        Some(precision) => {
            let precision = precision.max(1) as i32;
            if precision > digits.len() as i32 && digits.len() as i32 > exponent {
                digits.len() as i32
            } else {
                precision
            }
        }
    };
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    if exponent < -4 || exponent >= threshold.max(1) {
        return exponential(&rounded(number, precision), Some(digits.len() - 1), letter);
    }
    let sign = if number.is_negative() { "-" } else { "" };
    let places = (digits.len() as i32 - 1 - exponent).max(0) as usize;
    format!(
        "{sign}{}",
        rounded(&number.abs(), precision).to_fixed(places)
    )
}

/// The number with so many significant digits.
fn rounded(number: &Number, precision: Option<usize>) -> Number {
    let Some(precision) = precision else {
        return number.clone();
    };
    let (digits, exponent) = significant(number, Some(precision));
    let sign = if number.is_negative() { "-" } else { "" };
    let (first, rest) = digits.split_at(1);
    let fraction = if rest.is_empty() {
        String::new()
    } else {
        format!(".{rest}")
    };
    Number::parse(&format!("{sign}{first}{fraction}e{exponent}")).unwrap_or(Number::ZERO)
}
