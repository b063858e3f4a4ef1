//! Harness and tests of the whole program.
