//! Formatting.

/// Why a text was not formatted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("x")]
pub struct FormatError;

/// Formats.
pub fn format(text: &str) -> Result<String, FormatError> {
    Ok(text.to_owned())
}
