//! Text replacement of `${name}`; what is not known stays as it was written.

/// Replaces every `${name}` for which `lookup` has a value. A name is made of letters, digits, `_ - . /`, or is
/// `env["..."]`; spaces around it are allowed.
pub(super) fn replace<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    if !text.contains("${") {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let body = &rest[at + 2..];
        let Some(end) = body.find('}') else {
            out.push_str(&rest[at..]);
            return out;
        };
        let name = body[..end].trim();
        match lookup(name).filter(|_| is_name(name)) {
            Some(value) => {
                out.push_str(value);
                rest = &body[end + 1..];
            }
            None => {
                // A later `${` within may still be one.
                out.push_str("${");
                rest = body;
            }
        }
    }
    out.push_str(rest);
    out
}

fn is_name(name: &str) -> bool {
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
    };
    match name.strip_prefix("env[\"") {
        Some(key) => key.strip_suffix("\"]").is_some_and(plain),
        None => plain(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> String {
        replace(text, |name| match name {
            "a" => Some("1"),
            "node.class" => Some("big"),
            "env[\"X\"]" => Some("x"),
            _ => None,
        })
    }

    #[test]
    fn known_names_are_replaced_and_others_stay() {
        for (text, wanted) in [
            ("plain", "plain"),
            ("${a}", "1"),
            ("<${a}${ a }>", "<11>"),
            ("${node.class}-${unknown}", "big-${unknown}"),
            ("${env[\"X\"]}", "x"),
            ("${", "${"),
            ("${a", "${a"),
            ("${}", "${}"),
            ("${${a}}", "${1}"),
            ("$a $${a}", "$a $1"),
        ] {
            assert_eq!(run(text), wanted, "{text}");
        }
    }
}
