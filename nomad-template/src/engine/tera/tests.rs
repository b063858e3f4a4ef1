//! Tera templates, friendly and hostile.
