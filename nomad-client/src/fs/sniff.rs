//! Guesses what a file is from its first bytes.
//!
//! Source: the MIME Sniffing standard, as far as it is about files that tasks leave behind.

/// Bytes that are looked at.
pub(super) const SNIFF_BYTES: usize = 512;

const MAGIC: [(&[u8], &str); 18] = [
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\xfe\xff", "text/plain; charset=utf-16be"),
    (b"\xff\xfe", "text/plain; charset=utf-16le"),
    (b"\xef\xbb\xbf", "text/plain; charset=utf-8"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b\x08", "application/x-gzip"),
    (b"Rar!\x1a\x07\x00", "application/x-rar-compressed"),
    (b"\x00asm", "application/wasm"),
    (b"OggS\x00", "application/ogg"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
];

const MARKUP: [&str; 17] = [
    "<!doctype html",
    "<html",
    "<head",
    "<script",
    "<iframe",
    "<h1",
    "<div",
    "<font",
    "<table",
    "<a",
    "<style",
    "<title",
    "<b",
    "<body",
    "<br",
    "<p",
    "<!--",
];

/// The type of content that begins so.
pub(super) fn content_type(start: &[u8]) -> &'static str {
    let start = &start[..start.len().min(SNIFF_BYTES)];
    let text_start = start
        .iter()
        .position(|byte| !matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' '))
        .map_or(&start[..0], |at| &start[at..]);
    let lower: String =
        String::from_utf8_lossy(&text_start[..text_start.len().min(16)]).to_ascii_lowercase();
    let is_markup = MARKUP.iter().any(|tag| {
        lower.strip_prefix(tag).is_some_and(|rest| {
            *tag == "<!--" || matches!(rest.as_bytes().first(), Some(b' ' | b'>'))
        })
    });
    if is_markup {
        return "text/html; charset=utf-8";
    }
    if lower.starts_with("<?xml") {
        return "text/xml; charset=utf-8";
    }
    if let Some((_, kind)) = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
        return kind;
    }
    let binary = |byte: &u8| matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f);
    if start.iter().any(binary) {
        "application/octet-stream"
    } else {
        "text/plain; charset=utf-8"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_files_are_recognized() {
        for (start, wanted) in [
            (&b"hello\n"[..], "text/plain; charset=utf-8"),
            (b"", "text/plain; charset=utf-8"),
            (b"\n <!DOCTYPE HTML><x>", "text/html; charset=utf-8"),
            (b"<b>x", "text/html; charset=utf-8"),
            (b"<bx>", "text/plain; charset=utf-8"),
            (b"{\"a\": 1}", "text/plain; charset=utf-8"),
            (b"\x7fELF\x02\x01\x01\x00", "application/octet-stream"),
            (b"\x1f\x8b\x08\x00", "application/x-gzip"),
            (b"<?xml version", "text/xml; charset=utf-8"),
        ] {
            assert_eq!(content_type(start), wanted, "{start:?}");
        }
    }
}
