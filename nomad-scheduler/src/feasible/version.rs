//! Versions and version constraints: the loose form of `version` and the strict one of `semver`.
//!
//! Source: job specification reference, "Constraints and affinities".

use std::cmp::Ordering;

/// Longest version that is looked at, in bytes.
const MAX_LEN: usize = 256;

/// A version: numeric segments, a pre-release and build metadata (which never orders).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    segments: Vec<u64>,
    /// How many segments were written.
    written: usize,
    pre: String,
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty()
        && text.split('.').all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'~')
        })
}

impl Version {
    /// Reads `v1.2`, `1.2.3-beta1`, `1.2.3+meta`; missing segments count as zero.
    pub(crate) fn loose(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > MAX_LEN {
            return None;
        }
        let text = text.strip_prefix('v').unwrap_or(text);
        let (rest, build) = match text.split_once('+') {
            Some((rest, build)) => (rest, Some(build)),
            None => (text, None),
        };
        if build.is_some_and(|build| !is_identifier(build)) {
            return None;
        }
        let numeric = rest
            .bytes()
            .take_while(|b| b.is_ascii_digit() || *b == b'.')
            .count();
        let (mut number, mut pre) = rest.split_at(numeric);
        if let Some(stripped) = number.strip_suffix('.') {
            // `1.beta`: not a version; `1.2.` neither.
            let _ = stripped;
            return None;
        }
        if let Some(after) = pre.strip_prefix('-') {
            pre = after;
            if !is_identifier(pre) {
                return None;
            }
        } else if !pre.is_empty()
            && (!pre.as_bytes()[0].is_ascii_alphabetic() || !is_identifier(pre))
        {
            return None;
        }
        number = number.trim();
        let mut segments = Vec::new();
        for part in number.split('.') {
            segments.push(part.parse().ok()?);
        }
        let written = segments.len();
        while segments.len() < 3 {
            segments.push(0);
        }
        Some(Self {
            segments,
            written,
            pre: pre.to_owned(),
        })
    }

    /// Reads strict semantic versions: exactly three segments.
    pub(crate) fn semver(text: &str) -> Option<Self> {
        let version = Self::loose(text)?;
        let bare = text.trim().trim_start_matches('v');
        let strict_pre = !version.pre.contains('~')
            && (version.pre.is_empty() || bare.contains('-'))
            && version.pre.split('.').all(|part| {
                !(part.len() > 1
                    && part.starts_with('0')
                    && part.bytes().all(|b| b.is_ascii_digit()))
            });
        (version.written == 3 && strict_pre).then_some(version)
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.numbers(other)
            .then_with(|| pre_order(&self.pre, &other.pre))
    }

    fn numbers(&self, other: &Self) -> Ordering {
        let length = self.segments.len().max(other.segments.len());
        let at = |version: &Self, index: usize| version.segments.get(index).copied().unwrap_or(0);
        (0..length)
            .map(|index| at(self, index).cmp(&at(other, index)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

fn pre_order(left: &str, right: &str) -> Ordering {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Equal,
    NotEqual,
    Greater,
    Less,
    AtLeast,
    AtMost,
    /// `~>`: at least this, with all but the last written segment equal.
    Pessimistic,
}

/// A list of conditions that must all hold.
#[derive(Debug, Clone)]
pub(crate) struct Requirement {
    parts: Vec<(Op, Version)>,
    strict: bool,
}

impl Requirement {
    /// Reads `>= 1.2, < 2`. `strict` reads semantic versions, which have no `~>`.
    pub(crate) fn parse(text: &str, strict: bool) -> Option<Self> {
        let mut parts = Vec::new();
        for part in text.split(',') {
            let part = part.trim();
            let length = part
                .bytes()
                .take_while(|b| matches!(b, b'=' | b'!' | b'<' | b'>' | b'~'))
                .count();
            let (op, version) = part.split_at(length);
            let op = match op {
                "" | "=" => Op::Equal,
                "!=" => Op::NotEqual,
                ">" => Op::Greater,
                "<" => Op::Less,
                ">=" => Op::AtLeast,
                "<=" => Op::AtMost,
                "~>" if !strict => Op::Pessimistic,
                _ => return None,
            };
            let version = if strict {
                let loose = Version::loose(version)?;
                Version::semver(version).or(loose.pre.is_empty().then_some(loose))?
            } else {
                Version::loose(version)?
            };
            parts.push((op, version));
        }
        Some(Self { parts, strict })
    }

    /// Whether a version, as text, meets it; texts that are no versions never do.
    pub(crate) fn is_met_by(&self, text: &str) -> bool {
        let version = if self.strict {
            Version::semver(text)
        } else {
            Version::loose(text)
        };
        version.is_some_and(|version| {
            self.parts
                .iter()
                .all(|(op, wanted)| self.holds(*op, &version, wanted))
        })
    }

    fn holds(&self, op: Op, version: &Version, wanted: &Version) -> bool {
        let order = version.compare(wanted);
        let pre_allowed = self.strict
            || match (version.pre.is_empty(), wanted.pre.is_empty()) {
                (true, true) => true,
                // A pre-release only counts against one of the same numbers.
                (false, false) => version.numbers(wanted).is_eq(),
                (false, true) => false,
                (true, false) => op != Op::Pessimistic || version.segments.len() >= wanted.written,
            };
        match op {
            Op::Equal => order.is_eq(),
            Op::NotEqual => order.is_ne(),
            Op::Greater => pre_allowed && order.is_gt(),
            Op::Less => pre_allowed && order.is_lt(),
            Op::AtLeast => pre_allowed && order.is_ge(),
            Op::AtMost => pre_allowed && order.is_le(),
            Op::Pessimistic => {
                let fixed = wanted.written.saturating_sub(1);
                pre_allowed
                    && order.is_ge()
                    && (0..fixed)
                        .all(|index| version.segments.get(index) == wanted.segments.get(index))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loose_versions() {
        for (version, wanted, met) in [
            ("1.2.3", ">= 1.0, < 1.4", true),
            ("1.4.0", ">= 1.0, < 1.4", false),
            ("v0.5.0", ">= 0.5", true),
            ("1.2", "= 1.2.0", true),
            ("1.7.1", "~> 1.2", true),
            ("2.0.0", "~> 1.2", false),
            ("1.2.9", "~> 1.2.3", true),
            ("1.3.0", "~> 1.2.3", false),
            ("1.7.0-beta", ">= 1.6", false),
            ("1.7.0-beta", ">= 1.7.0-alpha", true),
            ("1.8.0", ">= 1.7.0-alpha", true),
            ("1.7.0-beta", "!= 1.7.0", true),
            ("1.10", "> 1.9", true),
            ("20.10.7", ">= 20.0", true),
            ("unknown", ">= 0", false),
            ("1.2.3+build", "= 1.2.3", true),
        ] {
            let requirement = Requirement::parse(wanted, false).unwrap();
            assert_eq!(requirement.is_met_by(version), met, "{version} {wanted}");
        }
        assert!(Requirement::parse("nonsense 1", false).is_none());
    }

    #[test]
    fn strict_versions() {
        for (version, wanted, met) in [
            ("1.7.0-beta", ">= 1.6.0", true),
            ("1.7.0-beta", ">= 1.7.0", false),
            ("1.7", ">= 1.6.0", false),
            ("1.7.0-rc.10", "> 1.7.0-rc.9", true),
        ] {
            let requirement = Requirement::parse(wanted, true).unwrap();
            assert_eq!(requirement.is_met_by(version), met, "{version} {wanted}");
        }
        assert!(Requirement::parse("~> 1.2.0", true).is_none());
    }
}
