//! Short commands that hand their work to a test target: `sim`, `codegen`, and `env` for building by hand.

use crate::workspace::Workspace;
use crate::{setup, test};
use anyhow::{Context, Result, bail};

/// `cargo xtask env`: shell lines that make a build by hand share artifacts with ours.
pub(crate) fn env(args: &[String]) -> Result<bool> {
    if let Some(arg) = args.first() {
        bail!("env takes no argument, got `{arg}`");
    }
    for (key, value) in Workspace::load()?.build_environment() {
        println!("export {key}='{value}'");
    }
    Ok(true)
}

/// `cargo xtask sim --seed N`: replays one simulated history and shows what happened in it.
pub(crate) fn sim(args: &[String]) -> Result<bool> {
    let seed = match args {
        [flag, seed] if flag == "--seed" => seed.as_str(),
        [both] if both.starts_with("--seed=") => &both["--seed=".len()..],
        _ => bail!("usage: cargo xtask sim --seed N"),
    };
    let seed: u64 = seed
        .parse()
        .with_context(|| format!("`{seed}` is not a seed: a whole number is expected"))?;
    let ws = Workspace::load()?;
    let targets = test::suite_targets(&ws, "sim");
    if targets.is_empty() {
        bail!("no simulation yet: no crate has a test target `sim`");
    }
    setup::ensure(&ws)?;
    let mut command = ws.cargo();
    command.args(["test", "--workspace"]);
    for target in &targets {
        command.args(["--test", target]);
    }
    command
        .args(["--", "--nocapture"])
        .env("NOMAD_SIM_SEED", seed.to_string());
    Ok(command.status().context("run cargo test")?.success())
}

/// `cargo xtask codegen [--check]`: the test that compares generated code with its sources, or lets it rewrite them.
pub(crate) fn codegen(args: &[String]) -> Result<bool> {
    let check = match args {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => bail!("usage: cargo xtask codegen [--check]"),
    };
    let ws = Workspace::load()?;
    if test::suite_targets(&ws, "codegen").is_empty() {
        bail!("nomad-proto has no test target `codegen`");
    }
    let mut command = ws.cargo();
    command.args(["test", "-p", "nomad-proto", "--test", "codegen"]);
    if !check {
        command.env("NOMAD_CODEGEN", "write");
    }
    Ok(command.status().context("run cargo test")?.success())
}
