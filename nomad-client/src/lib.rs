//! The node's half: fingerprints, allocation and task runners, and their hooks.
