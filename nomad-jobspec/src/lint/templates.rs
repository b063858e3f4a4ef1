//! Calls of template functions that do not exist.

use super::{Check, template_text};
use crate::diagnostic::nearest;
use crate::source::Span;

/// Warns of calls in `template` blocks with `data`. Templates of another engine than Go's are passed over.
pub(super) fn unknown_functions(check: &Check<'_>, known: &[&str]) {
    if known.is_empty() {
        return;
    }
    for (_, template) in check.places.all("template") {
        let engine = check.text(template, "engine");
        if engine.is_some_and(|(engine, _)| !matches!(engine.as_str(), "" | "go")) {
            continue;
        }
        let Some((data, span)) = check.text(template, "data") else {
            continue;
        };
        let delimiter = |name| {
            check
                .text(template, name)
                .map_or_else(String::new, |it| it.0)
        };
        let (left, right) = (delimiter("left_delimiter"), delimiter("right_delimiter"));
        for name in template_text::calls(&data, &left, &right) {
            if known.contains(&name) {
                continue;
            }
            let hint = nearest(name, known.iter().copied())
                .map(|near| format!("Did you mean {near:?}?"))
                .unwrap_or_default();
            check.warn(
                place_of(check, span, name),
                "Unknown template function",
                format!("Templates have no function {name:?}, so rendering will fail."),
                &hint,
            );
        }
    }
}

/// Where a word stands within a place, or the place itself where the text was put together.
fn place_of(check: &Check<'_>, span: Span, word: &str) -> Span {
    let text = check.evaluator.sources.text(span.file);
    let (start, end) = (span.start as usize, span.end as usize);
    let inside = text.get(start..end).unwrap_or_default();
    let part_of_word = |c: Option<char>| c.is_some_and(|c| c == '_' || c.is_alphanumeric());
    let found = inside.match_indices(word).find(|(at, _)| {
        let before = inside[..*at].chars().next_back();
        !part_of_word(before)
            && !matches!(before, Some('.' | '$'))
            && !part_of_word(inside[at + word.len()..].chars().next())
    });
    match found {
        Some((at, _)) => Span {
            file: span.file,
            start: span.start + at as u32,
            end: span.start + (at + word.len()) as u32,
        },
        None => span,
    }
}
