//! The stream against a small server of the test's own.
