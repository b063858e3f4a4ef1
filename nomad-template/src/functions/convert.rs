//! From text to values and back: numbers, JSON, YAML, TOML, base64.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

use super::{Call, Entry, FuncError};
use crate::value::encode::{json, toml, yaml_read, yaml_write};
use crate::value::{Value, fmt};

pub(super) const TABLE: &[Entry] = &[
    ("parseBool", "text", |c| match &*c.str(0)? {
        "" => Ok(false.into()),
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true.into()),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false.into()),
        text => Err(invalid("parseBool", "ParseBool", text)),
    }),
    ("parseFloat", "text", |c| {
        let text = c.str(0)?;
        if text.is_empty() {
            return Ok(0.0.into());
        }
        let f = go_float(&text).ok_or_else(|| invalid("parseFloat", "ParseFloat", &text))?;
        Ok(f.into())
    }),
    ("parseInt", "text", |c| {
        let text = c.str(0)?;
        if text.is_empty() {
            return Ok(Value::Int(0));
        }
        let n = text
            .parse()
            .map_err(|_| invalid("parseInt", "ParseInt", &text))?;
        Ok(Value::Int(n))
    }),
    ("parseUint", "text", |c| {
        let text = c.str(0)?;
        if text.is_empty() {
            return Ok(Value::Uint(0));
        }
        let n = text
            .parse()
            .map_err(|_| invalid("parseUint", "ParseUint", &text))?;
        Ok(if text.starts_with('+') {
            return Err(invalid("parseUint", "ParseUint", &text));
        } else {
            Value::Uint(n)
        })
    }),
    ("parseJSON", "text", |c| match &*c.str(0)? {
        "" => Ok(Value::map([].into())),
        text => json::read(text),
    }),
    ("parseYAML", "text", |c| match &*c.str(0)? {
        "" => Ok(Value::map([].into())),
        text => yaml_read::read(text),
    }),
    ("toJSON", "value", |c| to_json(c, true, None)),
    ("toJSONPretty", "value", |c| to_json(c, true, Some("  "))),
    ("toUnescapedJSON", "value", |c| to_json(c, false, None)),
    ("toUnescapedJSONPretty", "value", |c| {
        to_json(c, false, Some("  "))
    }),
    ("toYAML", "value", |c| {
        Ok(yaml_write::write(c.get(0))?.into())
    }),
    ("toTOML", "value", |c| Ok(toml::write(c.get(0))?.into())),
    ("base64Encode", "text", |c| {
        Ok(BASE64_STANDARD.encode(c.bytes(0)?).into())
    }),
    ("base64Decode", "text", |c| {
        decode64(&c.bytes(0)?, &alphabet::STANDARD)
    }),
    ("base64URLEncode", "text", |c| {
        Ok(BASE64_URL_SAFE.encode(c.bytes(0)?).into())
    }),
    ("base64URLDecode", "text", |c| {
        decode64(&c.bytes(0)?, &alphabet::URL_SAFE)
    }),
];

fn invalid(name: &str, go: &str, text: &str) -> FuncError {
    FuncError::new(format!(
        "{name}: strconv.{go}: parsing {text:?}: invalid syntax"
    ))
}

/// `strconv.ParseFloat` but for hexadecimal floats.
pub(super) fn go_float(text: &str) -> Option<f64> {
    let plain =
        !text.is_empty() && text.trim() == text && !text.to_ascii_lowercase().contains("infinityx");
    plain.then(|| text.parse().ok()).flatten()
}

pub(super) fn to_json(c: &Call<'_>, html: bool, indent: Option<&str>) -> Result<Value, FuncError> {
    Ok(json::write(c.get(0), json::Style { html, indent })?.into())
}

/// Decodes base64; line breaks are skipped as in Go.
pub(super) fn decode64(text: &[u8], alphabet: &alphabet::Alphabet) -> Result<Value, FuncError> {
    let text: Vec<u8> = text
        .iter()
        .copied()
        .filter(|b| !matches!(b, b'\r' | b'\n'))
        .collect();
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true);
    let decoded = GeneralPurpose::new(alphabet, config)
        .decode(&text)
        .map_err(|error| FuncError::new(format!("illegal base64 data: {error}")))?;
    Ok(Value::from_bytes(decoded))
}

/// What sprig's `toString` makes of any value.
pub(super) fn to_text(value: &Value) -> String {
    fmt::text(value)
}
