//! Development commands of this workspace: `cargo xtask help` lists them.
//!
//! Outside the layers: nothing depends on this crate, and it depends on none of ours. It drives cargo and the built
//! binary from the outside, as a person would. It knows no library of the program, so it builds in seconds and its
//! checks cannot share a mistake with what they check.
#![expect(
    clippy::print_stdout,
    reason = "a command line program talks on stdout"
)]

mod agent;
mod bench;
mod forward;
mod http;
mod picture;
mod proc;
mod quickstart;
mod setup;
mod test;
mod tidy;
mod ui;
mod workspace;

use anyhow::{Result, bail};
use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask COMMAND

  quickstart            install what is missing, build, start a dev agent, run a first job
  quickstart --stop     stop that agent
  test [NAME...]        every check, or the named ones (`cargo xtask test --list`)
  tidy                  layering, banned calls, file sizes and other house rules
  bench [NAME...] [--against PATH]
                        benchmarks (`cargo xtask bench --list`)
  sim --seed N          one simulated cluster history, replayable
  codegen [--check]     rewrite generated code from its .proto files, or check that it is current
  picture               draw the README's picture from what the binary prints
  setup                 install the system packages that a build needs
  env                   print the environment for building by hand: eval \"$(cargo xtask env)\"
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(err) => {
            println!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one command; `Ok(false)` means that it did its work and found failures.
fn run(args: &[String]) -> Result<bool> {
    let Some((command, rest)) = args.split_first() else {
        println!("{HELP}");
        return Ok(false);
    };
    match command.as_str() {
        "help" | "-h" | "--help" => {
            println!("{HELP}");
            Ok(true)
        }
        "quickstart" => quickstart::run(rest),
        "test" => test::run(rest),
        "tidy" => tidy::run(rest),
        "bench" => bench::run(rest),
        "sim" => forward::sim(rest),
        "codegen" => forward::codegen(rest),
        "picture" => picture::run(rest),
        "setup" => setup::run(rest),
        "env" => forward::env(rest),
        other => bail!("no command `{other}`; `cargo xtask help` lists them"),
    }
}
