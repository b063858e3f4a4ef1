//! Whether a list of version comparisons can hold for any version.

/// A version without its pre-release: up to so many parts of numbers.
const PARTS: usize = 6;

type Version = [u64; PARTS];

/// A bound and whether it is itself allowed.
type Bound = (Version, bool);

/// The versions that satisfy some comparisons.
#[derive(Debug, Default)]
pub(super) struct Interval {
    least: Option<Bound>,
    most: Option<Bound>,
    not: Vec<Version>,
}

impl Interval {
    /// Takes more comparisons, separated by commas. `false`: one of them is beyond what is understood here, such as a
    /// pre-release, and nothing can be said.
    pub(super) fn narrow(&mut self, list: &str) -> bool {
        list.split(',').all(|part| self.comparison(part.trim()))
    }

    fn comparison(&mut self, text: &str) -> bool {
        let digits = text
            .find(|c: char| c.is_ascii_digit() || c == 'v')
            .unwrap_or(text.len());
        let (operator, number) = (text[..digits].trim(), text[digits..].trim());
        let Some((version, parts)) = parse(number) else {
            return false;
        };
        match operator {
            "" | "=" => {
                self.at_least((version, true));
                self.at_most((version, true));
            }
            "!=" => self.not.push(version),
            ">" => self.at_least((version, false)),
            ">=" => self.at_least((version, true)),
            "<" => self.at_most((version, false)),
            "<=" => self.at_most((version, true)),
            "~>" => {
                let mut next = version;
                let at = parts.saturating_sub(2);
                next[at] = next[at].saturating_add(1);
                next[at + 1..].fill(0);
                self.at_least((version, true));
                self.at_most((next, false));
            }
            _ => return false,
        }
        true
    }

    fn at_least(&mut self, bound: Bound) {
        let stronger = |old: Bound| bound.0 > old.0 || (bound.0 == old.0 && !bound.1);
        if self.least.is_none_or(stronger) {
            self.least = Some(bound);
        }
    }

    fn at_most(&mut self, bound: Bound) {
        let stronger = |old: Bound| bound.0 < old.0 || (bound.0 == old.0 && !bound.1);
        if self.most.is_none_or(stronger) {
            self.most = Some(bound);
        }
    }

    /// Whether no version is left.
    pub(super) fn is_empty(&self) -> bool {
        let (Some(least), Some(most)) = (self.least, self.most) else {
            return false;
        };
        least.0 > most.0
            || (least.0 == most.0 && (!least.1 || !most.1 || self.not.contains(&least.0)))
    }
}

/// The numbers of a version, and how many there are.
fn parse(text: &str) -> Option<(Version, usize)> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut version = [0; PARTS];
    let mut parts = 0;
    for part in text.split('.') {
        *version.get_mut(parts)? = part.parse().ok()?;
        parts += 1;
    }
    Some((version, parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_no_version_satisfies_are_seen() {
        for (list, empty) in [
            (">= 1.0, < 2.0", false),
            (">= 2.0, < 1.0", true),
            ("> 1.0, < 1.0", true),
            (">= 1.0, <= 1.0", false),
            ("= 1.0, != 1.0", true),
            ("~> 1.2.0, >= 1.3", true),
            ("~> 1.2, >= 1.3", false),
            ("~> 2, < 2.5", false),
            (">= 1.0-beta, < 0.5", false),
            ("", false),
        ] {
            let mut interval = Interval::default();
            let understood = interval.narrow(list);
            assert_eq!(understood && interval.is_empty(), empty, "{list}");
        }
    }
}
