//! Whether two tokens of a line stand apart.

use super::token::{Item, Kind};

/// The tokens of one cell with the blanks between them.
pub(super) fn join(items: &[Item<'_>]) -> String {
    let mut text = String::new();
    for (at, item) in items.iter().enumerate() {
        if at > 0
            && apart(
                at.checked_sub(2).map(|before| &items[before]),
                &items[at - 1],
                item,
            )
        {
            text.push(' ');
        }
        text.push_str(item.text);
    }
    text
}

/// Whether a blank stands between `left` and `right`; `before` is what stands before `left`.
fn apart(before: Option<&Item<'_>>, left: &Item<'_>, right: &Item<'_>) -> bool {
    let closes = |item: &Item<'_>| item.brackets() < 0;
    if left.kind == Kind::Comment || right.kind == Kind::Comment {
        return true;
    }
    match (left.text, right.text) {
        _ if right.kind == Kind::Symbol && right.text == "(" && left.kind == Kind::Identifier => {
            false
        }
        ("." | "::", _) | (_, "." | "," | "..." | "::") => false,
        (",", _) => true,
        // An index or splat belongs to what it is taken of.
        (_, "[")
            if left.kind == Kind::Identifier && !is_keyword(left.text)
                || (closes(left) && left.kind == Kind::Symbol && right.text == "[") =>
        {
            false
        }
        ("!", _) => false,
        ("-", _) if is_unary(before) => false,
        ("{", "}") => false,
        ("{", _) | (_, "}") => true,
        _ if left.brackets() > 0 || closes(right) => false,
        // `.*` and `[*]`.
        _ => true,
    }
}

/// Words of `for` expressions, after which a bracket opens a new value.
fn is_keyword(word: &str) -> bool {
    matches!(word, "for" | "in" | "if")
}

/// Whether a minus after `before` is a sign.
fn is_unary(before: Option<&Item<'_>>) -> bool {
    match before {
        None => true,
        Some(item) => item.kind == Kind::Symbol && item.brackets() >= 0 && item.text != ".",
    }
}
