//! base64, JSON, URLs.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::args::{Args, Outcome, bad};
use crate::value::{from_json, to_json_text};

pub(super) fn base64encode(args: &Args<'_>) -> Outcome {
    Ok(BASE64_STANDARD.encode(args.string(0)?.as_bytes()).into())
}

pub(super) fn base64decode(args: &Args<'_>) -> Outcome {
    let text = args.string(0)?;
    let bytes = BASE64_STANDARD
        .decode(text.as_bytes())
        .map_err(|_| bad(0, "failed to decode base64 data"))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        bad(
            0,
            "the result of decoding the provided string is not valid UTF-8",
        )
    })?;
    Ok(text.into())
}

pub(super) fn jsonencode(args: &Args<'_>) -> Outcome {
    let text = to_json_text(args.get(0));
    Args::check_text(text.len())?;
    Ok(text.into())
}

pub(super) fn jsondecode(args: &Args<'_>) -> Outcome {
    let text = args.string(0)?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| bad(0, error.to_string()))?;
    Ok(from_json(&value))
}

pub(super) fn urlencode(args: &Args<'_>) -> Outcome {
    use std::fmt::Write as _;
    let text = args.string(0)?;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte))
            }
            b' ' => encoded.push('+'),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    Ok(encoded.into())
}
