//! The `nomad` command: parses arguments and hands over to one file per verb.
fn main() {}
