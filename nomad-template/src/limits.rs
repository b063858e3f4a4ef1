//! What a template may take: every bound of a rendering in one place.

/// Bounds of one rendering of one template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest source in bytes.
    pub max_source_bytes: usize,
    /// Longest output in bytes.
    pub max_output_bytes: usize,
    /// Largest single value in bytes.
    pub max_value_bytes: usize,
    /// Bytes of all values made during the rendering together.
    pub max_total_bytes: usize,
    /// Function calls and turns of loops together.
    pub max_steps: u64,
    /// Nesting of templates, blocks and parentheses at one moment.
    pub max_depth: usize,
    /// Time in milliseconds.
    pub max_time_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_source_bytes: 2 * 1024 * 1024,
            max_output_bytes: 16 * 1024 * 1024,
            max_value_bytes: 16 * 1024 * 1024,
            max_total_bytes: 256 * 1024 * 1024,
            max_steps: 5_000_000,
            max_depth: 500,
            max_time_ms: 10_000,
        }
    }
}
