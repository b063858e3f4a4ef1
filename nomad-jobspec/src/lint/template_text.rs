//! The words of a Go template that are function calls.

/// Words of the template language itself.
const KEYWORDS: [&str; 13] = [
    "if", "else", "end", "range", "with", "define", "template", "block", "break", "continue",
    "nil", "true", "false",
];

/// Functions that Go's templates have by themselves.
const BUILTINS: [&str; 19] = [
    "and", "or", "not", "call", "html", "index", "slice", "js", "len", "print", "printf",
    "println", "urlquery", "eq", "ne", "lt", "le", "gt", "ge",
];

/// The functions that a template calls, each once, in the order of their first call.
pub(super) fn calls<'t>(text: &'t str, left: &str, right: &str) -> Vec<&'t str> {
    let (left, right) = (
        if left.is_empty() { "{{" } else { left },
        if right.is_empty() { "}}" } else { right },
    );
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(left) {
        rest = &rest[at + left.len()..];
        let body = rest.strip_prefix('-').unwrap_or(rest).trim_start();
        if body.starts_with("/*") {
            let Some(end) = body.find("*/") else {
                return found;
            };
            rest = &body[end + 2..];
            continue;
        }
        rest = action(rest, right, &mut found);
    }
    found
}

/// Reads an action up to its closing delimiter, and gives what follows.
fn action<'t>(text: &'t str, right: &str, found: &mut Vec<&'t str>) -> &'t str {
    let mut rest = text;
    // Whether the next word would be a field or a variable.
    let mut member = false;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(right) {
            return after;
        }
        let taken = match c {
            '"' => quoted(rest, '"'),
            '\'' => quoted(rest, '\''),
            '`' => rest[1..].find('`').map_or(rest.len(), |end| end + 2),
            c if c == '_' || c.is_alphabetic() => {
                let end = rest
                    .find(|c: char| !(c == '_' || c.is_alphanumeric()))
                    .unwrap_or(rest.len());
                let word = &rest[..end];
                let known = KEYWORDS.contains(&word) || BUILTINS.contains(&word);
                if !member && !known && !found.contains(&word) {
                    found.push(word);
                }
                end
            }
            // Numbers such as 1e5 or 0x1F have letters.
            c if c.is_ascii_digit() => rest
                .find(|c: char| !(c == '_' || c == '.' || c.is_ascii_alphanumeric()))
                .unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        member = matches!(c, '.' | '$');
        rest = &rest[taken..];
    }
    rest
}

/// The length of a quoted text with its escapes; one that is not closed ends with its line.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => return at,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_and_nothing_else() {
        for (text, expected) in [
            ("{{ env \"HOME\" }} key", vec!["env"]),
            (
                "{{- range $i, $x := nomadService \"a b\" }}{{ .Name | toUpper }}{{ end -}}",
                vec!["nomadService", "toUpper"],
            ),
            (
                "{{/* foo */}}{{ with $d := key `x y` }}{{ $d.bar }}{{ end }}",
                vec!["key"],
            ),
            (
                "{{ if eq .A \"b\" }}{{ (len .B) }}{{ else if ge 1e5 2 }}{{ end }}",
                vec![],
            ),
            ("{{ frobnicate 1 }}{{ frobnicate 2 }}", vec!["frobnicate"]),
            ("{{ \"a \\\" b\" | x }}", vec!["x"]),
            ("{{ open", vec!["open"]),
            ("no template", vec![]),
        ] {
            assert_eq!(calls(text, "", ""), expected, "{text}");
        }
        assert_eq!(calls("[[ a ]] {{ b }}", "[[", "]]"), ["a"]);
    }
}
