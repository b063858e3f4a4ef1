//! Blanks out comments and strings of Rust source, so that rules look at code only; finds code that only tests see.

/// `source` with the inside of comments, strings and character literals as blanks; lines and columns stay.
pub(super) fn code(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut i = 0;
    while i < bytes.len() {
        let end = match bytes[i] {
            b'/' if bytes.get(i + 1) == Some(&b'/') => line_end(bytes, i),
            b'/' if bytes.get(i + 1) == Some(&b'*') => block_comment_end(bytes, i),
            b'"' => string_end(bytes, i),
            b'r' if starts_word(bytes, i) => match raw_string_end(bytes, i) {
                Some(end) => end,
                None => i,
            },
            b'\'' => char_end(bytes, i),
            _ => i,
        };
        if end > i {
            for b in &mut out[i..end] {
                if *b != b'\n' {
                    *b = b' ';
                }
            }
            i = end;
        } else {
            i += 1;
        }
    }
    // Only whole literals and comments were blanked, each from an ASCII mark to an ASCII mark.
    String::from_utf8_lossy(&out).into_owned()
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    bytes[from..]
        .iter()
        .position(|b| *b == b'\n')
        .map_or(bytes.len(), |n| from + n)
}

fn block_comment_end(bytes: &[u8], from: usize) -> usize {
    let (mut depth, mut i) = (0, from);
    while i < bytes.len() {
        match (bytes[i], bytes.get(i + 1)) {
            (b'/', Some(b'*')) => {
                depth += 1;
                i += 2;
            }
            (b'*', Some(b'/')) => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut i = from + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

/// Is `r` here the start of a word, or after the `b` or `c` of a byte or C string?
fn starts_word(bytes: &[u8], at: usize) -> bool {
    let word = |i: usize| bytes[i].is_ascii_alphanumeric() || bytes[i] == b'_';
    match at {
        0 => true,
        _ if !word(at - 1) => true,
        1 => matches!(bytes[0], b'b' | b'c'),
        _ => matches!(bytes[at - 1], b'b' | b'c') && !word(at - 2),
    }
}

fn raw_string_end(bytes: &[u8], from: usize) -> Option<usize> {
    let hashes = bytes[from + 1..].iter().take_while(|b| **b == b'#').count();
    if bytes.get(from + 1 + hashes) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.extend(std::iter::repeat_n(b'#', hashes));
    let body = from + 2 + hashes;
    let found = bytes[body..].windows(close.len()).position(|w| w == close);
    Some(found.map_or(bytes.len(), |n| body + n + close.len()))
}

/// End of a character literal; `from` itself if this is a lifetime.
fn char_end(bytes: &[u8], from: usize) -> usize {
    if bytes.get(from + 1) == Some(&b'\\') {
        // The escaped character itself may be a quote.
        let rest = bytes.get(from + 3..).unwrap_or_default();
        return rest
            .iter()
            .position(|b| *b == b'\'')
            .map_or(from, |n| from + 3 + n + 1);
    }
    // One character, of up to four bytes.
    let width = match bytes.get(from + 1) {
        Some(b) if *b < 0x80 => 1,
        Some(b) if *b >= 0xf0 => 4,
        Some(b) if *b >= 0xe0 => 3,
        _ => 2,
    };
    if bytes.get(from + 1 + width) == Some(&b'\'') {
        from + width + 2
    } else {
        from
    }
}

/// For each line of masked code: is it inside an item marked `#[cfg(test)]`?
pub(super) fn test_lines(code: &str) -> Vec<bool> {
    let mut marked = vec![false; code.lines().count()];
    let mut from = 0;
    while let Some(at) = code[from..].find("#[cfg(").map(|n| from + n) {
        let Some(close) = code[at..].find(']').map(|n| at + n) else {
            break;
        };
        from = close;
        let words = code[at..close].split(|c: char| !c.is_alphanumeric() && c != '_');
        let negated = code[at..close].contains("not(test");
        if negated || !words.into_iter().any(|w| w == "test") {
            continue;
        }
        let end = item_end(code, close + 1);
        let first = code[..at].matches('\n').count();
        let last = code[..end].matches('\n').count();
        for line in marked.iter_mut().take(last + 1).skip(first) {
            *line = true;
        }
        from = end;
    }
    marked
}

/// End of the item that starts at `from`: its `;`, or the brace that closes it.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0;
    for (i, b) in code.bytes().enumerate().skip(from) {
        match b {
            b';' if depth == 0 => return i,
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth <= 0 {
                    return i;
                }
            }
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_go() {
        let source =
            "a // x\nb /* y /* z */ */ c \"d\\\"e\" f r#\"g\"h\"# i b\"j\" 'k' '\\'' 'l: loop é\n";
        let masked = code(source);
        assert_eq!(
            masked.split_whitespace().collect::<Vec<_>>(),
            ["a", "b", "c", "f", "i", "b", "'l:", "loop", "é"]
        );
        assert_eq!(masked.len(), source.len());
        assert_eq!(code("r#type var\"s\" x"), "r#type var    x");
        assert_eq!(code("'é' x"), "     x");
    }

    #[test]
    fn broken_source_does_no_harm() {
        for source in ["\"open", "/* open", "r##\"open", "'", "'\\", "b'\\", "\"\\"] {
            assert_eq!(code(source).len(), source.len(), "{source}");
        }
    }

    #[test]
    fn test_code_is_found() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { if x { } }\n}\nfn c() {}\n#[cfg(not(test))]\nfn d() {}\n#[cfg(test)]\nmod e;\nfn f() {}\n";
        let lines = test_lines(source);
        let marked: Vec<usize> = (1..=lines.len()).filter(|n| lines[n - 1]).collect();
        assert_eq!(marked, [2, 3, 4, 5, 9, 10]);
    }
}
