//! Semantic versions and constraints as the library that sprig uses reads them.

use std::cmp::Ordering;

use crate::functions::{Entry, FuncError};
use crate::value::{Object, Value};

pub(super) const TABLE: &[Entry] = &[
    ("sprig_semver", "version", |c| {
        let text = c.str(0)?;
        let version =
            Version::parse(&text).ok_or_else(|| FuncError::new("Invalid Semantic Version"))?;
        Ok(Value::object(version))
    }),
    ("sprig_semverCompare", "constraint version", |c| {
        let (constraint, version) = (c.str(0)?, c.str(1)?);
        let version =
            Version::parse(&version).ok_or_else(|| FuncError::new("Invalid Semantic Version"))?;
        satisfies(&constraint, &version)
            .map(Value::Bool)
            .ok_or_else(|| FuncError::new(format!("improper constraint: {constraint}")))
    }),
];

/// A version; parts that were not written are zero.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    numbers: [u64; 3],
    /// How many of the numbers were written.
    written: usize,
    pre: String,
    build: String,
    original: String,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix('v').unwrap_or(text);
        let (body, build) = body.split_once('+').unwrap_or((body, ""));
        let (core, pre) = body.split_once('-').unwrap_or((body, ""));
        let mut numbers = [0; 3];
        let mut written = 0;
        for part in core.split('.') {
            *numbers.get_mut(written)? = part.parse().ok().filter(|_| !part.starts_with('+'))?;
            written += 1;
        }
        let identifier = |s: &str| {
            s.split('.')
                .all(|p| !p.is_empty() && p.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
        };
        let good = (pre.is_empty() || identifier(pre)) && (build.is_empty() || identifier(build));
        good.then(|| Self {
            numbers,
            written,
            pre: pre.to_owned(),
            build: build.to_owned(),
            original: text.to_owned(),
        })
    }

    fn order(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| {
            match (self.pre.as_str(), other.pre.as_str()) {
                ("", "") => Ordering::Equal,
                ("", _) => Ordering::Greater,
                (_, "") => Ordering::Less,
                (a, b) => pre_order(a, b),
            }
        })
    }

    fn text(&self) -> String {
        let [major, minor, patch] = self.numbers;
        let mut text = format!("{major}.{minor}.{patch}");
        if !self.pre.is_empty() {
            text.push('-');
            text.push_str(&self.pre);
        }
        if !self.build.is_empty() {
            text.push('+');
            text.push_str(&self.build);
        }
        text
    }
}

fn pre_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Whether any alternative of the constraint (`a, b || c`) holds. `None` if it is malformed.
fn satisfies(constraint: &str, version: &Version) -> Option<bool> {
    let mut any = false;
    for alternative in constraint.split("||") {
        let mut all = true;
        let spaced = hyphen_range(alternative);
        let mut terms = spaced
            .split([',', ' '])
            .filter(|t| !t.is_empty())
            .peekable();
        let mut seen = false;
        while let Some(term) = terms.next() {
            let mut term = term.to_owned();
            // An operator may stand apart from its version.
            if term.chars().all(|c| "=!<>~^".contains(c)) {
                term.push_str(terms.next()?);
            }
            all &= holds(&term, version)?;
            seen = true;
        }
        if !seen {
            return None;
        }
        any |= all;
    }
    Some(any)
}

/// `1.2 - 2.3` as two terms.
fn hyphen_range(text: &str) -> String {
    match text.split_once(" - ") {
        Some((from, to)) => format!(">={},<={}", from.trim(), to.trim()),
        None => text.to_owned(),
    }
}

fn holds(term: &str, version: &Version) -> Option<bool> {
    let at = term
        .find(|c: char| !"=!<>~^".contains(c))
        .unwrap_or(term.len());
    let (operator, wanted) = term.split_at(at);
    let wanted = wanted.trim_start_matches('v');
    let parts: Vec<&str> = wanted.split(['-', '+']).next()?.split('.').collect();
    let wild = parts.iter().position(|p| matches!(*p, "x" | "X" | "*"));
    let (want, exact) = match wild {
        Some(0) => {
            // Any version but a pre-release.
            return Some(match operator {
                "!=" | "<" | ">" => false,
                _ => version.pre.is_empty(),
            });
        }
        Some(at) => (Version::parse(&parts[..at].join("."))?, false),
        None => {
            let want = Version::parse(wanted)?;
            let exact = want.written == 3;
            (want, exact)
        }
    };
    if !version.pre.is_empty() && want.pre.is_empty() {
        // Pre-releases only match constraints that name one.
        return Some(false);
    }
    let order = version.order(&want);
    let same_so_far = version.numbers[..want.written] == want.numbers[..want.written];
    Some(match operator {
        "" | "=" if exact => order == Ordering::Equal,
        "" | "=" => same_so_far,
        "!=" if exact => order != Ordering::Equal,
        "!=" => !same_so_far,
        ">" if exact => order == Ordering::Greater,
        ">" => order == Ordering::Greater && !same_so_far,
        ">=" | "=>" => order != Ordering::Less,
        "<" => order == Ordering::Less,
        "<=" | "=<" if exact => order != Ordering::Greater,
        "<=" | "=<" => order != Ordering::Greater || same_so_far,
        "~" | "~>" => {
            let fixed = want.written.clamp(1, 2);
            order != Ordering::Less && version.numbers[..fixed] == want.numbers[..fixed]
        }
        "^" => {
            let first = want.numbers[..want.written].iter().position(|n| *n != 0);
            let fixed = first.map_or(want.written, |at| at + 1);
            order != Ordering::Less && version.numbers[..fixed] == want.numbers[..fixed]
        }
        _ => return None,
    })
}

impl Object for Version {
    fn go_type(&self) -> &'static str {
        "*semver.Version"
    }

    fn member(&self, name: &str, args: &[Value]) -> Result<Option<Value>, FuncError> {
        let value = match name {
            "Major" => Some(Value::Uint(self.numbers[0])),
            "Minor" => Some(Value::Uint(self.numbers[1])),
            "Patch" => Some(Value::Uint(self.numbers[2])),
            "Prerelease" => Some(self.pre.as_str().into()),
            "Metadata" => Some(self.build.as_str().into()),
            "Original" => Some(self.original.as_str().into()),
            "String" => Some(self.text().into()),
            "Compare" => {
                let other = args.first().and_then(|arg| match arg {
                    Value::Obj(object) => object.as_any().downcast_ref::<Self>(),
                    _ => None,
                });
                let other = other.ok_or_else(|| FuncError::new("Compare: want a version"))?;
                return Ok(Some(Value::Int(self.order(other) as i64)));
            }
            _ => None,
        };
        crate::value::object_no_args(name, args, value)
    }

    fn display(&self) -> String {
        self.text()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints() {
        let holds = |constraint: &str, version: &str| {
            satisfies(constraint, &Version::parse(version).unwrap())
        };
        for (constraint, version, want) in [
            ("^1.2.0", "1.3.0", true),
            ("^1.2.0", "2.0.0", false),
            ("^0.2.3", "0.3.0", false),
            ("~1.2", "1.2.9", true),
            ("~1.2", "1.3.0", false),
            (">= 1.2, < 2", "1.9.9", true),
            (">=1.2 <2 || 3.x", "3.4.0", true),
            ("1.2.x", "1.2.7", true),
            ("1.2 - 1.4", "1.5.0", false),
            ("1.2 - 1.4", "1.4.5", true),
            ("*", "1.0.0-rc1", false),
            (">1.0.0-0", "1.0.0-rc1", true),
            ("!=1.2.3", "1.2.3", false),
        ] {
            assert_eq!(
                holds(constraint, version),
                Some(want),
                "{constraint} {version}"
            );
        }
        assert_eq!(holds(">", "1.0.0"), None);
        assert!(Version::parse("1.2.3.4").is_none() && Version::parse("a").is_none());
    }
}
