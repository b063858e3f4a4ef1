//! `fmt.Sprintf` over values: flags, width, precision, argument indexes and Go's error markers.

use super::number::{float_e, float_f, float_g_prec};
use super::{MAX_TEXT, Style, Value, quote_with, text, write};

/// Widest field and largest precision; larger ones count as this.
const MAX_WIDTH: usize = 65_535;

#[derive(Debug, Clone, Copy, Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

struct Printer<'a> {
    format: std::iter::Peekable<std::str::Chars<'a>>,
    args: &'a [Value],
    next: usize,
    reordered: bool,
    out: String,
}

/// `fmt.Sprintf`.
pub(crate) fn sprintf(format: &str, args: &[Value]) -> String {
    let mut printer = Printer {
        format: format.chars().peekable(),
        args,
        next: 0,
        reordered: false,
        out: String::new(),
    };
    printer.run();
    printer.out
}

impl Printer<'_> {
    fn run(&mut self) {
        while let Some(c) = self.format.next() {
            if self.out.len() > MAX_TEXT {
                return;
            }
            if c == '%' {
                self.directive();
            } else {
                self.out.push(c);
            }
        }
        if !self.reordered && self.next < self.args.len() {
            self.out.push_str("%!(EXTRA ");
            for i in self.next..self.args.len() {
                if i > self.next {
                    self.out.push_str(", ");
                }
                let described = describe(&self.args[i]);
                self.out.push_str(&described);
            }
            self.out.push(')');
        }
    }

    fn directive(&mut self) {
        let mut spec = Spec::default();
        self.flags(&mut spec);
        let mut good = self.index();
        if self.format.next_if_eq(&'*').is_some() {
            match self.int_arg() {
                Some(n) => {
                    spec.minus |= n < 0;
                    spec.width = Some((n.unsigned_abs() as usize).min(MAX_WIDTH));
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
        } else {
            spec.width = self.digits();
        }
        if self.format.next_if_eq(&'.').is_some() {
            good &= self.index();
            if self.format.next_if_eq(&'*').is_some() {
                match self.int_arg() {
                    Some(n) if n >= 0 => spec.precision = Some((n as usize).min(MAX_WIDTH)),
                    _ => self.out.push_str("%!(BADPREC)"),
                }
            } else {
                spec.precision = Some(self.digits().unwrap_or(0));
            }
        }
        good &= self.index();
        let Some(verb) = self.format.next() else {
            self.out.push_str("%!(NOVERB)");
            return;
        };
        if verb == '%' {
            self.out.push('%');
        } else if !good {
            push!(self.out, "%!{verb}(BADINDEX)");
        } else if let Some(arg) = self.args.get(self.next) {
            self.next += 1;
            let printed = one(verb, spec, arg);
            self.out.push_str(&printed);
        } else {
            push!(self.out, "%!{verb}(MISSING)");
        }
    }

    fn flags(&mut self, spec: &mut Spec) {
        while let Some(c) = self
            .format
            .next_if(|c| matches!(c, '-' | '+' | '#' | ' ' | '0'))
        {
            match c {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                _ => spec.zero = true,
            }
        }
    }

    /// An `[n]`, if there is one. False if it is malformed or out of range.
    fn index(&mut self) -> bool {
        if self.format.next_if_eq(&'[').is_none() {
            return true;
        }
        self.reordered = true;
        let n = self.digits();
        let closed = self.format.next_if_eq(&']').is_some();
        if !closed {
            while self.format.next_if(|c| *c != ']').is_some() {}
            self.format.next();
        }
        match n {
            Some(n) if closed && n >= 1 && n <= self.args.len() => {
                self.next = n - 1;
                true
            }
            _ => false,
        }
    }

    fn digits(&mut self) -> Option<usize> {
        let mut n: Option<usize> = None;
        while let Some(c) = self.format.next_if(char::is_ascii_digit) {
            let digit = c as usize - '0' as usize;
            n = Some(
                n.unwrap_or(0)
                    .saturating_mul(10)
                    .saturating_add(digit)
                    .min(MAX_WIDTH),
            );
        }
        n
    }

    fn int_arg(&mut self) -> Option<i64> {
        let arg = self.args.get(self.next)?;
        self.next += 1;
        match arg {
            Value::Int(n) => Some(*n),
            Value::Uint(n) => i64::try_from(*n).ok(),
            _ => None,
        }
    }
}

/// `type=value` as in Go's error markers.
fn describe(value: &Value) -> String {
    match value {
        Value::Nil => "<nil>".to_owned(),
        other => format!("{}={}", other.go_type(), text(other)),
    }
}

fn bad_verb(verb: char, value: &Value) -> String {
    format!("%!{verb}({})", describe(value))
}

fn one(verb: char, spec: Spec, value: &Value) -> String {
    match verb {
        'T' => return pad(spec, value.go_type().to_owned()),
        'v' => {
            let style = Style {
                names: spec.plus,
                syntax: spec.sharp,
            };
            return match value {
                Value::Int(_) | Value::Uint(_) if !spec.sharp => integer('d', spec, value),
                Value::Float(f) => pad_number(spec, sign(spec, float_g_prec(*f, spec.precision))),
                _ => {
                    let mut out = String::new();
                    write(&mut out, value, style);
                    pad(spec, out)
                }
            };
        }
        _ => {}
    }
    match value {
        Value::Nil => format!("%!{verb}(<nil>)"),
        Value::List(list) => elements(verb, spec, "[", &list.items, "]"),
        Value::Map(map) => {
            let texts: Vec<String> = map
                .entries
                .iter()
                .map(|(k, v)| {
                    format!(
                        "{}:{}",
                        one(verb, spec, &Value::Str(k.clone())),
                        one(verb, spec, v)
                    )
                })
                .collect();
            format!("map[{}]", texts.join(" "))
        }
        Value::Obj(object) => match object.plain() {
            Some(plain) if object.kind() != "struct" => one(verb, spec, &plain),
            _ if matches!(verb, 's' | 'q' | 'x' | 'X') => {
                one(verb, spec, &Value::from(object.display()))
            }
            _ => bad_verb(verb, value),
        },
        Value::Bool(b) if verb == 't' => pad(spec, b.to_string()),
        Value::Str(_) | Value::Bytes(_) => string(verb, spec, value),
        Value::Int(_) | Value::Uint(_) => integer(verb, spec, value),
        Value::Float(f) => float(verb, spec, *f, value),
        Value::Bool(_) => bad_verb(verb, value),
    }
}

fn elements(verb: char, spec: Spec, open: &str, items: &[Value], close: &str) -> String {
    let mut out = String::from(open);
    for (i, item) in items.iter().enumerate() {
        if out.len() > MAX_TEXT {
            break;
        }
        if i > 0 {
            out.push(' ');
        }
        out.push_str(&one(verb, spec, item));
    }
    out + close
}

fn string(verb: char, spec: Spec, value: &Value) -> String {
    let full = text(value);
    let cut = |text: String| match spec.precision {
        Some(p) => text.chars().take(p).collect(),
        None => text,
    };
    match verb {
        's' => pad(spec, cut(full)),
        'q' => {
            let full = cut(full);
            if spec.sharp
                && !full.contains('`')
                && !full.chars().any(|c| c.is_control() && c != '\t')
            {
                pad(spec, format!("`{full}`"))
            } else {
                pad(spec, quote_with(&full, '"', spec.plus))
            }
        }
        'x' | 'X' => {
            let bytes = value.bytes().unwrap_or_default();
            let bytes = &bytes[..spec.precision.unwrap_or(bytes.len()).min(bytes.len())];
            let mut out = String::new();
            for (i, byte) in bytes.iter().enumerate() {
                if spec.space && i > 0 {
                    out.push(' ');
                }
                if spec.sharp && (i == 0 || spec.space) {
                    out.push('0');
                    out.push(verb);
                }
                if verb == 'x' {
                    push!(out, "{byte:02x}");
                } else {
                    push!(out, "{byte:02X}");
                }
            }
            pad(spec, out)
        }
        _ => bad_verb(verb, value),
    }
}

fn integer(verb: char, spec: Spec, value: &Value) -> String {
    let (negative, size) = match value {
        Value::Int(n) => (*n < 0, n.unsigned_abs()),
        Value::Uint(n) => (false, *n),
        _ => return bad_verb(verb, value),
    };
    let rune = || {
        u32::try_from(size)
            .ok()
            .filter(|_| !negative)
            .and_then(char::from_u32)
    };
    let (mut digits, prefix) = match verb {
        'd' => (size.to_string(), ""),
        'b' => (format!("{size:b}"), "0b"),
        'o' => (format!("{size:o}"), "0"),
        'O' => (format!("{size:o}"), "0o"),
        'x' => (format!("{size:x}"), "0x"),
        'X' => (format!("{size:X}"), "0X"),
        'c' => return pad(spec, rune().unwrap_or('\u{fffd}').to_string()),
        'q' => {
            let c = rune().unwrap_or('\u{fffd}');
            return pad(spec, quote_with(&c.to_string(), '\'', spec.plus));
        }
        'U' => {
            let mut out = format!("U+{size:04X}");
            if spec.sharp
                && let Some(c) = rune()
            {
                push!(out, " '{c}'");
            }
            return pad(spec, out);
        }
        _ => return bad_verb(verb, value),
    };
    let signed = negative || spec.plus || spec.space;
    if let Some(precision) = spec.precision {
        if precision == 0 && size == 0 {
            return pad(
                Spec {
                    zero: false,
                    ..spec
                },
                String::new(),
            );
        }
        digits = "0".repeat(precision.saturating_sub(digits.len())) + &digits;
    } else if spec.zero && !spec.minus {
        let width = spec.width.unwrap_or(0).saturating_sub(usize::from(signed));
        digits = "0".repeat(width.saturating_sub(digits.len())) + &digits;
    }
    if spec.sharp && verb != 'd' || verb == 'O' {
        digits = format!("{prefix}{digits}");
    }
    let mark = if negative {
        "-"
    } else if spec.plus {
        "+"
    } else if spec.space {
        " "
    } else {
        ""
    };
    pad(
        Spec {
            zero: false,
            ..spec
        },
        format!("{mark}{digits}"),
    )
}

fn float(verb: char, spec: Spec, f: f64, value: &Value) -> String {
    let printed = match verb {
        'f' | 'F' => float_f(f, Some(spec.precision.unwrap_or(6))),
        'e' => float_e(f, Some(spec.precision.unwrap_or(6))),
        'E' => float_e(f, Some(spec.precision.unwrap_or(6))).to_uppercase(),
        'g' => float_g_prec(f, spec.precision),
        'G' => float_g_prec(f, spec.precision).to_uppercase(),
        _ => return bad_verb(verb, value),
    };
    pad_number(spec, sign(spec, printed))
}

fn sign(spec: Spec, printed: String) -> String {
    let bare = printed.strip_prefix('+').unwrap_or(&printed);
    if bare.starts_with('-') {
        bare.to_owned()
    } else if spec.plus {
        format!("+{bare}")
    } else if spec.space {
        format!(" {bare}")
    } else {
        printed
    }
}

/// Pads with zeros behind the sign if asked, else with spaces.
fn pad_number(spec: Spec, printed: String) -> String {
    let width = spec.width.unwrap_or(0);
    let finite = printed.ends_with(|c: char| c.is_ascii_digit());
    if spec.zero && !spec.minus && finite && printed.len() < width {
        let sign_len = usize::from(printed.starts_with(['-', '+', ' ']));
        let (mark, digits) = printed.split_at(sign_len);
        return format!("{mark}{}{digits}", "0".repeat(width - printed.len()));
    }
    pad(
        Spec {
            zero: false,
            ..spec
        },
        printed,
    )
}

fn pad(spec: Spec, printed: String) -> String {
    let missing = spec
        .width
        .unwrap_or(0)
        .saturating_sub(printed.chars().count());
    if missing == 0 {
        printed
    } else if spec.minus {
        printed + &" ".repeat(missing)
    } else if spec.zero {
        "0".repeat(missing) + &printed
    } else {
        " ".repeat(missing) + &printed
    }
}
