//! The `nomad` command: finds the verb, parses its flags, and hands over to one file per verb.
//!
//! Layer 4. Invariants:
//! - a verb talks to the agent through `nomad_api::Client` only;
//! - output goes to stdout and errors to stderr, through [`ui::Ui`]; what is printed is made by plain functions;
//! - nothing panics on what users type or servers answer: every failure is one clear line and an exit code.
//!
//! Not here: how an agent runs (`nomad-agent`), how job files are read (`nomad-jobspec`).

#![expect(
    unreachable_pub,
    reason = "nothing outside a program can reach its items; pub says what leaves a module"
)]

mod argv;
mod command;
mod commands;
mod context;
mod format;
mod help;
mod job_file;
mod job_host;
mod monitor;
mod registry;
mod resolve;
mod spec_file;
mod terminal;
mod ui;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let args: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    std::process::exit(command::main(&args));
}
