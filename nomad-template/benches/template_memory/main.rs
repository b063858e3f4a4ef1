//! What an in-memory connection costs: heap, resident memory, throughput and latency of four designs.
//!
//! `cargo bench -p nomad-template --bench template_memory` prints tables and writes
//! `template-memory.svg` and `template-memory.json` into `benches/results` (elsewhere with
//! `NOMAD_BENCH_OUT=DIR`). With `-- --quick` or `NOMAD_BENCH_QUICK=1` it takes less than a
//! minute and writes below the target directory instead.
//!
//! Every memory figure is taken in a process of its own (this program starts itself again),
//! so that no figure carries what an earlier one left behind.

#![expect(clippy::print_stdout, reason = "tables are what this program is for")]

mod allocator;
mod designs;
mod fixed;
mod memory;
mod picture;
mod report;
mod speed;

use std::path::PathBuf;

use anyhow::Context;

#[global_allocator]
static HEAP: allocator::Counting = allocator::Counting;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == memory::CHILD_ARG) {
        return memory::run_child(&args[1..]);
    }
    if !args.iter().any(|arg| arg == "--bench") {
        println!("template_memory: skipped: runs under `cargo bench` only");
        return Ok(());
    }
    let quick = args.iter().any(|arg| arg == "--quick")
        || std::env::var_os("NOMAD_BENCH_QUICK").is_some_and(|value| !value.is_empty());
    let out = out_dir(quick);
    std::fs::create_dir_all(&out).with_context(|| format!("create {}", out.display()))?;

    let memory = memory::measure_all()?;
    let speed = speed::measure_all(quick)?;
    speed::criterion_suite(quick, &out);
    let report = report::Report::new(quick, memory, speed);
    println!("{report}");
    let json = serde_json::to_string_pretty(&report.to_json())?;
    std::fs::write(out.join("template-memory.json"), json + "\n")?;
    std::fs::write(out.join("template-memory.svg"), picture::draw(&report))?;
    println!("written to {}", out.display());
    anyhow::ensure!(report.bars_hold(), "a bar is missed");
    Ok(())
}

fn out_dir(quick: bool) -> PathBuf {
    match std::env::var_os("NOMAD_BENCH_OUT") {
        Some(dir) => dir.into(),
        None if quick => PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("template-memory"),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/results"),
    }
}
