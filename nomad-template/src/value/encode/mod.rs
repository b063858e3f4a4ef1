//! Values to and from JSON, YAML and TOML, byte for byte as the Go libraries write them.

pub(crate) mod json;
pub(crate) mod toml;
pub(crate) mod yaml_read;
pub(crate) mod yaml_write;

#[cfg(test)]
mod tests;
