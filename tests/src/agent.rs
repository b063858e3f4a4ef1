//! One agent in a folder of its own.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;

use crate::http::{self, Response};
use crate::process;
use crate::wait::until;

/// Ports of agents: below those that the kernel gives away and those that tasks get.
const PORTS: std::ops::Range<u16> = 10_000..19_000;

/// The program under test: `NOMAD_BIN`, else what a build by hand leaves. Without either it says that it skips.
pub fn binary() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("NOMAD_BIN") {
        return Some(PathBuf::from(path));
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/nomad");
    if let Ok(path) = built.canonicalize() {
        return Some(path);
    }
    skip("no binary nomad: build it, or name one in NOMAD_BIN");
    None
}

#[expect(
    clippy::print_stdout,
    reason = "the runner of suites counts these lines"
)]
fn skip(reason: &str) {
    println!("skipped: {reason}");
}

/// What an agent is told beyond its ports and folder.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// More configuration, as HCL.
    pub config: String,
    /// `-dev`: data in a temporary folder of its own.
    pub dev: bool,
    pub role: Role,
}

/// Which halves an agent has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// Server and client, a cluster of its own.
    #[default]
    Both,
    /// A server; `bootstrap_expect` and whom to join are in [`Options::config`].
    Server,
    /// A client; its servers are in [`Options::config`].
    Client,
}

/// The blocks of a role.
fn halves(role: Role) -> String {
    let server = match role {
        Role::Both => "server {\n  enabled = true\n  bootstrap_expect = 1\n}\n",
        Role::Server => "server {\n  enabled = true\n}\n",
        Role::Client => "",
    };
    // Neither a full disk nor many allocations may make the client clear away what a test still reads.
    let client = match role {
        Role::Server => "",
        Role::Both | Role::Client => {
            "client {\n  enabled = true\n  network_interface = \"lo\"\n  gc_max_allocs = 10000\n  gc_disk_usage_threshold = 100\n  gc_inode_usage_threshold = 100\n}\n"
        }
    };
    format!("{server}{client}")
}

/// An agent that is stopped and cleared away when dropped.
#[derive(Debug)]
pub struct Agent {
    binary: PathBuf,
    dir: tempfile::TempDir,
    /// `dir` without symbolic links, as other processes see it.
    root: PathBuf,
    dev: bool,
    role: Role,
    pub http_port: u16,
    pub rpc_port: u16,
    pub serf_port: u16,
    child: Option<Child>,
}

impl Agent {
    /// Starts an agent with a data directory, and waits until its node is ready.
    pub fn start(binary: &Path) -> Self {
        Self::with(binary, &Options::default())
    }

    /// Starts an agent, and waits until its node is ready.
    pub fn with(binary: &Path, options: &Options) -> Self {
        let mut agent = Self::prepare(binary, options).expect("folder of the agent");
        agent.run();
        agent.wait_ready();
        agent
    }

    /// Writes the configuration but starts nothing.
    pub fn prepare(binary: &Path, options: &Options) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("nt")
            .tempdir()
            .context("create folder")?;
        let root = dir.path().canonicalize().context("resolve folder")?;
        let [http, rpc, serf] = free_ports()?;
        let data_dir = if options.dev {
            String::new()
        } else {
            format!(
                "data_dir = \"{}\"\n{}",
                root.join("data").display(),
                halves(options.role)
            )
        };
        let config = format!(
            "bind_addr = \"127.0.0.1\"\nlog_level = \"DEBUG\"\ndisable_update_check = true\nadvertise {{\n  http = \"127.0.0.1\"\n  rpc = \"127.0.0.1\"\n  serf = \"127.0.0.1\"\n}}\n{data_dir}ports {{\n  http = {http}\n  rpc = {rpc}\n  serf = {serf}\n}}\nplugin \"raw_exec\" {{\n  config {{\n    enabled = true\n  }}\n}}\n{}",
            options.config
        );
        let named = options
            .config
            .lines()
            .any(|line| line.starts_with("name ="));
        let config = if named {
            config
        } else {
            format!("name = \"it\"\n{config}")
        };
        fs::write(root.join("agent.hcl"), config).context("write configuration")?;
        Ok(Self {
            binary: binary.to_owned(),
            dir,
            root,
            dev: options.dev,
            role: options.role,
            http_port: http,
            rpc_port: rpc,
            serf_port: serf,
            child: None,
        })
    }

    /// The folder with `agent.hcl`, `agent.log` and `data`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that the agent keeps its data in, unless it is a `-dev` agent.
    pub fn data_dir(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The command that runs this agent, for a look at its end.
    pub fn command(&self) -> Command {
        let mut command = command(&self.binary, &self.root);
        command.arg("agent");
        if self.dev {
            command.arg("-dev");
        }
        command.arg("-config").arg(self.root.join("agent.hcl"));
        command
    }

    /// A command line of the program that talks to this agent.
    pub fn cli(&self, args: &[&str]) -> std::process::Output {
        let mut command = command(&self.binary, &self.root);
        command
            .args(args)
            .env("NOMAD_ADDR", format!("http://127.0.0.1:{}", self.http_port));
        command.stdin(Stdio::null()).output().expect("run program")
    }

    /// Starts the process; its output is added to the log.
    pub fn run(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.root.join("agent.log"))
            .expect("open log");
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share log"))
            .stderr(log);
        self.child = Some(command.spawn().expect("start agent"));
    }

    /// Waits until the API says that the node of this agent is ready, or of a server that it knows a leader.
    pub fn wait_ready(&mut self) {
        let log = self.root.join("agent.log");
        until("a ready node", || {
            if let Some(status) = self.ended() {
                panic!("agent ended ({status}); it wrote:\n{}", tail(&log));
            }
            if self.role == Role::Server {
                let leader = self.get("/v1/status/leader").ok()?.json().ok()?;
                return (leader != "").then_some(());
            }
            (self.node()?["Status"] == "ready").then_some(())
        });
    }

    /// The id of this agent's node.
    pub fn node_id(&self) -> Option<String> {
        let about = self.get("/v1/agent/self").ok()?.json().ok()?;
        about["stats"]["client"]["node_id"]
            .as_str()
            .map(str::to_owned)
    }

    /// This agent's node as the servers know it.
    pub fn node(&self) -> Option<Value> {
        let id = self.node_id()?;
        self.get(&format!("/v1/node/{id}")).ok()?.json().ok()
    }

    /// How the process ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().expect("look at the agent")
    }

    /// The agent's process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the agent was started").id()
    }

    /// Ends the agent's process at once; what it started lives on.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that has ended already cannot be killed, and need not be.
            let _ = child.kill();
            child.wait().expect("reap agent");
        }
    }

    /// Sends the agent a signal and waits for its end; gives the exit code, or minus the number of the signal.
    pub fn signal(&mut self, signal: Signal) -> i32 {
        process::signal(self.pid(), signal);
        let status = until("the agent ends after a signal", || self.ended());
        self.child = None;
        status
            .code()
            .unwrap_or_else(|| -status.signal().unwrap_or_default())
    }

    /// The node's supervisor.
    pub fn supervisor(&self) -> Option<u32> {
        process::supervisors(&self.data_dir().join("client"))
            .first()
            .copied()
    }

    pub fn get(&self, path: &str) -> Result<Response> {
        http::request(self.http_port, "GET", path, b"")
    }

    pub fn put(&self, path: &str, body: &Value) -> Result<Response> {
        http::request(self.http_port, "PUT", path, body.to_string().as_bytes())
    }

    /// An answer 200 as JSON.
    #[track_caller]
    pub fn json(&self, path: &str) -> Value {
        self.get(path)
            .and_then(|response| response.json())
            .unwrap_or_else(|error| panic!("GET {path}: {error:#}"))
    }

    /// Registers a job, which must succeed; gives the answer.
    #[track_caller]
    pub fn register(&self, job: &Value) -> Value {
        self.put("/v1/jobs", job)
            .and_then(|response| response.json())
            .unwrap_or_else(|error| panic!("register {}: {error:#}", job["Job"]["ID"]))
    }

    /// Stops a job; `query` is for instance `?purge=true`.
    #[track_caller]
    pub fn stop_job(&self, id: &str, query: &str) {
        let path = format!("/v1/job/{id}{query}");
        http::request(self.http_port, "DELETE", &path, b"")
            .and_then(|response| response.json())
            .unwrap_or_else(|error| panic!("DELETE {path}: {error:#}"));
    }

    /// All allocations of a job, newest last.
    #[track_caller]
    pub fn allocs(&self, job: &str) -> Vec<Value> {
        let Value::Array(mut allocs) = self.json(&format!("/v1/job/{job}/allocations?all=true"))
        else {
            panic!("allocations of {job} are no list");
        };
        allocs.sort_by_key(|alloc| alloc["CreateIndex"].as_u64());
        allocs
    }

    /// Waits until exactly `count` allocations of a job are wanted and in this status; gives them.
    #[track_caller]
    pub fn wait_allocs(&self, job: &str, status: &str, count: usize) -> Vec<Value> {
        until(
            &format!("{count} allocations of {job} are {status}"),
            || {
                let mut allocs = self.allocs(job);
                allocs.retain(|alloc| {
                    alloc["ClientStatus"] == status && alloc["DesiredStatus"] == "run"
                });
                (allocs.len() == count).then_some(allocs)
            },
        )
    }

    /// Waits until the allocation has one of these statuses; gives it.
    #[track_caller]
    pub fn wait_alloc(&self, id: &str, statuses: &[&str]) -> Value {
        until(
            &format!("allocation {id} is {}", statuses.join(" or ")),
            || {
                let alloc = self.json(&format!("/v1/allocation/{id}"));
                let status = alloc["ClientStatus"].as_str()?;
                statuses.contains(&status).then_some(alloc)
            },
        )
    }

    /// What a task has written so far, from the first byte that is kept.
    #[track_caller]
    pub fn logs(&self, alloc: &Value, task: &str, stream: &str) -> String {
        let id = text(alloc, "ID");
        let path =
            format!("/v1/client/fs/logs/{id}?task={task}&type={stream}&plain=true&origin=start");
        match self.get(&path) {
            Ok(response) if response.status == 200 => response.text(),
            other => panic!("GET {path}: {other:?}"),
        }
    }

    /// Waits until a task has written a line that starts so; gives the rest of it.
    #[track_caller]
    pub fn wait_line(&self, alloc: &Value, task: &str, start: &str) -> String {
        until(&format!("{task} writes {start:?}"), || {
            let text = self.logs(alloc, task, "stdout");
            text.split_inclusive('\n')
                .filter_map(|line| line.strip_suffix('\n'))
                .find_map(|line| line.strip_prefix(start))
                .map(str::to_owned)
        })
    }

    /// The end of the agent's log.
    pub fn log_tail(&self) -> String {
        tail(&self.root.join("agent.log"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            report(&self.log_tail());
        }
        if self.dev && self.child.is_some() {
            // Only the agent knows where its temporary folder is, so it must clear it itself.
            process::signal(self.pid(), Signal::INT);
            for _ in 0..600 {
                if !matches!(self.child.as_mut().map(Child::try_wait), Some(Ok(None))) {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
        self.kill();
        for pid in process::supervisors(&self.data_dir().join("client")) {
            process::signal(pid, Signal::KILL);
        }
        process::end_tasks(self.dir.path());
        process::unmount_below(&self.root);
    }
}

#[expect(clippy::print_stderr, reason = "a failed test shows its agent's log")]
fn report(log: &str) {
    eprintln!("--- end of the agent's log ---\n{log}\n---");
}

/// A text field.
#[track_caller]
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field]
        .as_str()
        .unwrap_or_else(|| panic!("no text {field} in {value}"))
}

fn command(binary: &Path, root: &Path) -> Command {
    let mut command = Command::new(binary);
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("NOMAD_") {
            command.env_remove(key);
        }
    }
    command.current_dir(root).env("TMPDIR", root);
    command
}

fn tail(path: &Path) -> String {
    const LINES: usize = 60;
    let log = fs::read(path).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

fn free_ports() -> Result<[u16; 3]> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = PORTS.end - PORTS.start;
    let offset = (std::process::id() % u32::from(span)) as u16;
    let mut ports = [0; 3];
    let mut found = 0;
    for _ in 0..span {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + (offset + step % span) % span;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            ports[found] = port;
            found += 1;
            if found == ports.len() {
                return Ok(ports);
            }
        }
    }
    bail!("no three free ports in {PORTS:?}")
}
