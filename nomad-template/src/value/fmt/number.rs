//! Numbers as Go's `strconv` writes them.

/// Sign, decimal digits without leading or trailing zeros, and the place of the decimal point.
struct Digits {
    negative: bool,
    digits: String,
    /// The value is `0.digits x 10^point`.
    point: i32,
}

/// The shortest digits that read back as `f`. `None` for infinities and NaN.
fn shortest(f: f64) -> Option<Digits> {
    if !f.is_finite() {
        return None;
    }
    digits_of(&format!("{f:e}"))
}

/// `f` rounded to so many significant digits.
fn rounded(f: f64, significant: usize) -> Option<Digits> {
    if !f.is_finite() {
        return None;
    }
    digits_of(&format!("{f:.*e}", significant.saturating_sub(1)))
}

fn digits_of(scientific: &str) -> Option<Digits> {
    let (mantissa, exponent) = scientific.split_once('e')?;
    let negative = mantissa.starts_with('-');
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let exponent: i32 = exponent.parse().ok()?;
    Some(Digits {
        negative,
        digits,
        point: exponent + 1,
    })
}

fn not_finite(f: f64) -> String {
    if f.is_nan() {
        "NaN".to_owned()
    } else if f > 0.0 {
        "+Inf".to_owned()
    } else {
        "-Inf".to_owned()
    }
}

/// Shortest output gets an exponent when it is at least this. Source: `strconv.FormatFloat`.
const SHORTEST_LIMIT: i32 = 6;

/// `%v` and `%g`: shortest digits, with an exponent below 1e-4 and from [`SHORTEST_LIMIT`] digits on.
pub(crate) fn float_g(f: f64) -> String {
    float_g_prec(f, None)
}

/// `%g` with an optional precision.
pub(super) fn float_g_prec(f: f64, precision: Option<usize>) -> String {
    let digits = match precision {
        None => shortest(f),
        Some(p) => rounded(f, p.max(1)).map(|mut d| {
            let kept = d.digits.trim_end_matches('0').len().max(1);
            d.digits.truncate(kept);
            d
        }),
    };
    let Some(d) = digits else {
        return not_finite(f);
    };
    let exponent = d.point - 1;
    let limit = match precision {
        None => SHORTEST_LIMIT,
        Some(p) => {
            let p = p.max(1) as i32;
            if p > d.digits.len() as i32 && d.digits.len() as i32 >= d.point {
                d.digits.len() as i32
            } else {
                p
            }
        }
    };
    if f != 0.0 && (exponent < -4 || exponent >= limit) {
        scientific(&d, 'e', 2)
    } else {
        positional(&d)
    }
}

/// `%e` with a precision, or shortest.
pub(crate) fn float_e(f: f64, precision: Option<usize>) -> String {
    let digits = match precision {
        None => shortest(f),
        Some(p) => rounded(f, p + 1),
    };
    digits.map_or_else(|| not_finite(f), |d| scientific(&d, 'e', 2))
}

/// `%f` with a precision, or shortest.
pub(crate) fn float_f(f: f64, precision: Option<usize>) -> String {
    if !f.is_finite() {
        return not_finite(f);
    }
    match precision {
        Some(p) => format!("{f:.p$}"),
        None => shortest(f).map_or_else(|| not_finite(f), |d| positional(&d)),
    }
}

/// As `encoding/json` writes it. `None` for infinities and NaN, which JSON cannot hold.
pub(crate) fn float_json(f: f64) -> Option<String> {
    let d = shortest(f)?;
    let size = f.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        Some(scientific(&d, 'e', 1))
    } else {
        Some(positional(&d))
    }
}

fn scientific(d: &Digits, mark: char, exponent_digits: usize) -> String {
    let mut out = String::new();
    if d.negative {
        out.push('-');
    }
    let (first, rest) = d.digits.split_at(1);
    out.push_str(first);
    if !rest.is_empty() {
        out.push('.');
        out.push_str(rest);
    }
    let exponent = d.point - 1;
    let sign = if exponent < 0 { '-' } else { '+' };
    out.push(mark);
    out.push(sign);
    push!(out, "{:0exponent_digits$}", exponent.unsigned_abs());
    out
}

fn positional(d: &Digits) -> String {
    let mut out = String::new();
    if d.negative {
        out.push('-');
    }
    let len = d.digits.len() as i32;
    if d.point <= 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', d.point.unsigned_abs() as usize));
        out.push_str(&d.digits);
    } else if d.point >= len {
        out.push_str(&d.digits);
        out.extend(std::iter::repeat_n('0', (d.point - len) as usize));
    } else {
        let (whole, part) = d.digits.split_at(d.point as usize);
        out.push_str(whole);
        out.push('.');
        out.push_str(part);
    }
    out
}
