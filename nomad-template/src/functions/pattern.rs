//! Patterns: Go's regular expressions on the `regex` crate, and the globs of the function denylist.

use super::FuncError;
use regex::Regex;

/// Largest compiled program of a regular expression in bytes.
const REGEX_SIZE_LIMIT: usize = 1024 * 1024;

/// Compiles a Go regular expression.
pub(crate) fn compile(pattern: &str) -> Result<Regex, FuncError> {
    regex::RegexBuilder::new(&from_go(pattern))
        .size_limit(REGEX_SIZE_LIMIT)
        .dfa_size_limit(REGEX_SIZE_LIMIT)
        .build()
        .map_err(|error| FuncError::new(format!("error parsing regexp: {error}")))
}

/// Rewrites what RE2 and the `regex` crate take differently: Perl classes are ASCII in Go, `\Q..\E`
/// quotes, brackets and set operators inside a class are plain, and a brace that repeats nothing is too.
fn from_go(pattern: &str) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut i = 0;
    let mut class_start: Option<usize> = None;
    while i < chars.len() {
        let c = chars[i];
        let next = chars.get(i + 1).copied();
        match (c, next) {
            ('\\', Some('Q')) if class_start.is_none() => {
                i += 2;
                while i < chars.len() && !(chars[i] == '\\' && chars.get(i + 1) == Some(&'E')) {
                    out.push_str(&regex::escape(&chars[i].to_string()));
                    i += 1;
                }
                i += 2;
                continue;
            }
            ('\\', Some(class @ ('d' | 'w' | 's' | 'D' | 'W' | 'S'))) => {
                out.push_str(ascii_class(class, class_start.is_some()));
                i += 2;
                continue;
            }
            ('\\', Some('b')) if class_start.is_none() => {
                out.push_str("(?-u:\\b)");
                i += 2;
                continue;
            }
            ('\\', Some('B')) if class_start.is_none() => {
                out.push_str("(?-u:\\B)");
                i += 2;
                continue;
            }
            ('\\', Some(escaped)) => {
                out.push(c);
                out.push(escaped);
                i += 2;
                continue;
            }
            ('[', _) if class_start.is_none() => {
                out.push('[');
                i += 1;
                if chars.get(i) == Some(&'^') {
                    out.push('^');
                    i += 1;
                }
                if chars.get(i) == Some(&']') {
                    out.push_str("\\]");
                    i += 1;
                }
                class_start = Some(i);
                continue;
            }
            ('[', Some(':')) => {
                // A named class such as [:alpha:].
                let end = (i..chars.len().saturating_sub(1))
                    .find(|&j| j > i + 1 && chars[j] == ':' && chars[j + 1] == ']');
                if let Some(end) = end {
                    out.extend(&chars[i..end + 2]);
                    i = end + 2;
                    continue;
                }
                out.push_str("\\[");
            }
            ('[', _) => out.push_str("\\["),
            (']', _) if class_start.is_some() => {
                class_start = None;
                out.push(']');
            }
            ('&' | '~', _) if class_start.is_some() => {
                out.push('\\');
                out.push(c);
            }
            ('-', Some('-')) if class_start.is_some() => out.push_str("\\-"),
            ('{', _) if class_start.is_none() && !repeats(&chars[i + 1..]) => out.push_str("\\{"),
            _ => out.push(c),
        }
        i += 1;
    }
    out
}

fn ascii_class(class: char, inside: bool) -> &'static str {
    match (class, inside) {
        ('d', false) => "[0-9]",
        ('d', true) => "0-9",
        ('D', false) => "[^0-9]",
        ('D', true) => r"\x00-/:-\x{10FFFF}",
        ('w', false) => "[0-9A-Za-z_]",
        ('w', true) => "0-9A-Za-z_",
        ('W', false) => "[^0-9A-Za-z_]",
        ('W', true) => r"\x00-/:-@\[-\^`\{-\x{10FFFF}",
        ('s', false) => r"[\t\n\f\r ]",
        ('s', true) => r"\t\n\f\r ",
        ('S', false) => r"[^\t\n\f\r ]",
        _ => r"\x00-\x08\x0B\x0E-\x1F!-\x{10FFFF}",
    }
}

/// Whether what follows an opening brace makes it a repetition: `n}`, `n,}` or `n,m}`.
fn repeats(rest: &[char]) -> bool {
    let text: String = rest.iter().take_while(|c| **c != '}').take(12).collect();
    let closed = rest.get(text.chars().count()) == Some(&'}');
    let digits = |s: &str| s.chars().all(|c| c.is_ascii_digit());
    closed
        && match text.split_once(',') {
            Some((least, most)) => !least.is_empty() && digits(least) && digits(most),
            None => !text.is_empty() && digits(&text),
        }
}

/// Whether `name` matches a glob of `*` and `?`.
pub(crate) fn glob(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let (mut g, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if g < glob.len() && (glob[g] == '?' || glob[g] == name[n]) && glob[g] != '*' {
            g += 1;
            n += 1;
        } else if g < glob.len() && glob[g] == '*' {
            star = Some((g, n));
            g += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            g = at + 1;
            n = from + 1;
        } else {
            return false;
        }
    }
    glob[g..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_patterns_mean_what_they_mean_in_go() {
        let matches = |pattern: &str, text: &str| compile(pattern).unwrap().is_match(text);
        assert!(matches(r"^\d+$", "12") && !matches(r"^\d+$", "١٢"));
        assert!(matches(r"^[\w.]+$", "a_b.c") && !matches(r"^\w$", "é"));
        assert!(matches(r"^[[:alpha:]-]+$", "a-b"));
        assert!(matches(r"^[[]$", "[") && matches(r"^[]a]+$", "]a"));
        assert!(matches(r"^\Qa.b{\E$", "a.b{") && matches("^{a}$", "{a}"));
        assert!(matches(r"^a{2,3}$", "aaa") && matches(r"^[a&&b]+$", "a&b"));
        assert!(matches(r"^[\S]$", "x") && !matches(r"^[\S]$", " ") && matches(r"[\W]", "-"));
        assert!(compile("(").is_err() && compile("(?=x)").is_err());
        assert!(compile("((((a{100}){100}){100}){100})").is_err());
    }

    #[test]
    fn globs() {
        assert!(glob("sprig_*", "sprig_env") && !glob("sprig_*", "env"));
        assert!(glob("*", "") && glob("a?c*", "abcd") && !glob("a?c", "ac"));
        assert!(glob("plugin", "plugin") && !glob("plugin", "plugins"));
    }
}
