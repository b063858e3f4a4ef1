//! Empty heredocs, which hcl-edit does not see: it looks for the closing marker only behind a line of text.

use std::borrow::Cow;

use super::scan::{Token, scan};

/// The text with `""` and blanks in the place of each empty heredoc, so that every other place stays the same.
pub(super) fn without_empty(text: &str) -> Cow<'_, str> {
    if !may_have_empty(text) {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.as_bytes().to_vec();
    for pair in scan(text).windows(2) {
        let [start, end] = pair else { continue };
        if start.token == Token::HeredocStart && end.token == Token::HeredocEnd {
            bytes[start.start..end.end].fill(b' ');
            bytes[start.start..start.start + 2].fill(b'"');
        }
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Longer markers are not looked for: the time for a line must not depend on its length.
const MAX_LINE: usize = 256;

/// Whether some line that ends like the start of a heredoc is followed by one that looks like its end.
fn may_have_empty(text: &str) -> bool {
    let line = |bytes: &[u8]| bytes.iter().take(MAX_LINE).position(|byte| *byte == b'\n');
    text.match_indices("<<").any(|(at, _)| {
        let rest = &text.as_bytes()[at + 2..];
        let Some(end) = line(rest) else {
            return false;
        };
        let (marker, next) = (rest[..end].trim_ascii(), &rest[end + 1..]);
        let marker = marker.strip_prefix(b"-").unwrap_or(marker);
        let end = line(next).unwrap_or(next.len().min(MAX_LINE));
        next[..end].trim_ascii() == marker
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_heredocs_become_empty_texts() {
        for (text, expected) in [
            ("a = <<A\nA\n", "a = \"\"   \n"),
            ("a = <<-A\n  A\nb = 1\n", "a = \"\"      \nb = 1\n"),
            ("a = <<A\nx\nA\n", "a = <<A\nx\nA\n"),
            ("a = <<B\n<<A\nA\nB\n", "a = <<B\n<<A\nA\nB\n"),
            ("# <<A\nA\n", "# <<A\nA\n"),
        ] {
            assert_eq!(without_empty(text), expected);
        }
    }
}
