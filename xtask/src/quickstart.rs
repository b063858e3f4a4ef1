//! `cargo xtask quickstart`: from a fresh checkout to a running job, and back with `--stop`.

use crate::http::Client;
use crate::workspace::Workspace;
use crate::{agent, proc, setup, ui};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const HTTP_PORT: u16 = 4646;
const JOB_FILE: &str = "examples/hello.nomad.hcl";
const JOB: &str = "hello";
/// A first build compiles RocksDB.
const BUILD_LIMIT: Duration = Duration::from_mins(90);
const READY_LIMIT: Duration = Duration::from_mins(1);
/// The job's first greeting comes at once; its way to the log file is short.
const LOG_LIMIT: Duration = Duration::from_secs(10);
/// How long an agent may take to stop its tasks and leave.
const LEAVE_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// The command.
pub(crate) fn run(args: &[String]) -> Result<bool> {
    let ws = Workspace::load()?;
    match args {
        [] => start(&ws),
        [flag] if flag == "--stop" => stop(&ws),
        _ => bail!("usage: cargo xtask quickstart [--stop]"),
    }
}

/// The agent that an earlier run started.
struct Running {
    pid: u32,
    start: u64,
}

impl Running {
    fn file(ws: &Workspace) -> PathBuf {
        ws.target.join("quickstart/agent.json")
    }

    fn find(ws: &Workspace) -> Option<Self> {
        let text = std::fs::read_to_string(Self::file(ws)).ok()?;
        let value: Value = serde_json::from_str(&text).ok()?;
        let (pid, start) = (
            u32::try_from(value["pid"].as_u64()?).ok()?,
            value["start"].as_u64()?,
        );
        proc::alive(pid, start).then_some(Self { pid, start })
    }
}

fn start(ws: &Workspace) -> Result<bool> {
    let whole = Instant::now();
    step("1/5", "system packages", || setup::ensure(ws))?;
    let binary = step("2/5", "release build of nomad", || build(ws))?;
    step("3/5", "dev agent", || start_agent(ws, &binary))?;

    println!("4/5 nomad job run {JOB_FILE}");
    let begun = Instant::now();
    if !nomad(ws, &binary)
        .args(["job", "run", JOB_FILE])
        .status()
        .context("run nomad job run")?
        .success()
    {
        bail!("the job did not start; see {}", ws.relative(&log_file(ws)));
    }
    println!("    took {}", ui::duration(begun.elapsed()));

    println!("5/5 what runs now");
    let begun = Instant::now();
    show(ws, &binary, &["job", "status", JOB])?;
    let alloc = allocation()?;
    let short = &alloc[..8.min(alloc.len())];
    println!("\n$ nomad alloc logs {short}");
    print!("{}", first_log_lines(ws, &binary, &alloc)?);
    println!("    took {}", ui::duration(begun.elapsed()));

    let bin = ws.relative(&binary);
    println!(
        "\nDone in {}. The agent keeps running; look around with",
        ui::duration(whole.elapsed())
    );
    println!("    {bin} alloc logs -f {short}        the greetings as they come");
    println!("    {bin} alloc status {short}         what happened to the task");
    println!("    {bin} node status                  the node it runs on");
    println!("    {bin} job run examples/batch.nomad.hcl");
    println!("    curl -s http://127.0.0.1:{HTTP_PORT}/v1/jobs");
    println!(
        "    less {}   what the agent says",
        ws.relative(&log_file(ws))
    );
    println!("and stop it, with all its tasks, with\n    cargo xtask quickstart --stop");
    Ok(true)
}

/// Does one step and says how long it took.
fn step<T>(number: &str, title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("{number} {title}");
    let begun = Instant::now();
    let done = work()?;
    println!("    took {}", ui::duration(begun.elapsed()));
    Ok(done)
}

fn build(ws: &Workspace) -> Result<PathBuf> {
    build_release(ws, &ws.target.join("quickstart/build.log"))
}

/// Builds the release binary; also what the benchmarks measure.
pub(crate) fn build_release(ws: &Workspace, log: &Path) -> Result<PathBuf> {
    let mut command = ws.cargo();
    command.args(["build", "--release", "-p", "nomad-cli"]);
    let done = ui::run_logged("cargo build --release", command, log, BUILD_LIMIT, false)?;
    if !done.success {
        print!("{}", ui::tail(&done.log, 25));
        bail!("the build failed; the whole log is {}", ws.relative(log));
    }
    Ok(ws.target.join("release/nomad"))
}

fn log_file(ws: &Workspace) -> PathBuf {
    ws.target.join("quickstart/agent.log")
}

/// Our binary, in an environment that points at no other cluster.
fn nomad(ws: &Workspace, binary: &Path) -> Command {
    let mut command = ws.command(binary);
    command.env_remove("NOMAD_SHARED");
    command
}

fn address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, HTTP_PORT))
}

fn start_agent(ws: &Workspace, binary: &Path) -> Result<()> {
    if let Some(running) = Running::find(ws) {
        if agent::node_ready(&mut Client::new(address())) {
            println!(
                "    the agent of an earlier run is still there (pid {})",
                running.pid
            );
            if newer(binary, &log_file(ws)) {
                println!(
                    "    it may be older than this build; `cargo xtask quickstart --stop` ends it"
                );
            }
            return Ok(());
        }
        bail!(
            "the agent of an earlier run (pid {}) does not answer; run `cargo xtask quickstart --stop`, then this again",
            running.pid
        );
    }
    if TcpStream::connect(address()).is_ok() {
        bail!(
            "port {HTTP_PORT} is taken by a program that is not ours; stop it, then run this again"
        );
    }
    let path = log_file(ws);
    let log = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    let mut child = nomad(ws, binary)
        .args(["agent", "-dev"])
        // Its own group, so that Ctrl-C at this terminal is not meant for it.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("share the agent's log")?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("start {}", binary.display()))?;
    let started = Instant::now();
    let start = proc::read(child.id()).map_or(0, |p| p.start);
    let note = json!({"pid": child.id(), "start": start}).to_string();
    File::create(Running::file(ws))
        .and_then(|mut f| f.write_all(note.as_bytes()))
        .context("note the agent's pid")?;
    let mut client = Client::new(address());
    while !agent::node_ready(&mut client) {
        let ended = child.try_wait().context("look at the agent")?;
        if ended.is_some() || started.elapsed() > READY_LIMIT {
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            print!("{}", ui::tail(&log, 15));
            let why = ended.map_or("is not ready in time".to_owned(), |status| {
                format!("ended at once ({status})")
            });
            bail!("the agent {why}; its log is {}", ws.relative(&path));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    println!(
        "    pid {}, node ready {} after its start",
        child.id(),
        ui::duration(started.elapsed())
    );
    Ok(())
}

/// Was `a` written after `b` was created?
fn newer(a: &Path, b: &Path) -> bool {
    let changed = |p: &Path| p.metadata().and_then(|m| m.modified());
    let created = |p: &Path| p.metadata().and_then(|m| m.created());
    matches!((changed(a), created(b)), (Ok(a), Ok(b)) if a > b)
}

fn show(ws: &Workspace, binary: &Path, args: &[&str]) -> Result<()> {
    println!("\n$ nomad {}", args.join(" "));
    let status = nomad(ws, binary)
        .args(args)
        .status()
        .with_context(|| format!("run nomad {}", args.join(" ")))?;
    if !status.success() {
        bail!("nomad {} failed ({status})", args.join(" "));
    }
    Ok(())
}

/// The id of a running allocation of the job.
fn allocation() -> Result<String> {
    let allocs = Client::new(address())
        .get(&format!("/v1/job/{JOB}/allocations"))?
        .json()?;
    let running = allocs
        .as_array()
        .and_then(|a| a.iter().find(|a| a["ClientStatus"] == "running"));
    let id = running.and_then(|a| a["ID"].as_str());
    Ok(id
        .context("the job has no running allocation; see `nomad job status hello`")?
        .to_owned())
}

fn first_log_lines(ws: &Workspace, binary: &Path, alloc: &str) -> Result<String> {
    let begun = Instant::now();
    loop {
        let out = nomad(ws, binary)
            .args(["alloc", "logs", alloc])
            .output()
            .context("run nomad alloc logs")?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        if out.status.success() && !text.is_empty() {
            return Ok(text.lines().take(5).flat_map(|l| [l, "\n"]).collect());
        }
        if begun.elapsed() > LOG_LIMIT {
            bail!(
                "no log line after {}: {}",
                ui::duration(LOG_LIMIT),
                String::from_utf8_lossy(&out.stderr).trim()
            );
        }
        std::thread::sleep(POLL);
    }
}

/// Ends the agent that quickstart started, and nothing else.
fn stop(ws: &Workspace) -> Result<bool> {
    let Some(running) = Running::find(ws) else {
        println!("no agent of quickstart is running");
        return Ok(true);
    };
    let begun = Instant::now();
    let before = proc::trees(&[running.pid]);
    for name in ["INT", "KILL"] {
        proc::signal(name, &[running.pid]);
        let deadline = Instant::now() + LEAVE_LIMIT;
        while Instant::now() < deadline && proc::alive(running.pid, running.start) {
            std::thread::sleep(POLL);
        }
    }
    let left: Vec<u32> = before
        .iter()
        .filter(|p| proc::alive(p.pid, p.start))
        .map(|p| p.pid)
        .collect();
    proc::signal("KILL", &left);
    if proc::alive(running.pid, running.start) {
        bail!(
            "pid {} does not end; see {}",
            running.pid,
            ws.relative(&log_file(ws))
        );
    }
    // The note is of no use any more; one that stays names a process that is gone.
    let _ = std::fs::remove_file(Running::file(ws));
    println!(
        "stopped the agent (pid {}) in {}",
        running.pid,
        ui::duration(begun.elapsed())
    );
    Ok(true)
}
