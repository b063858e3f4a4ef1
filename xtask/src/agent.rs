//! A dev agent of our own for a check or a measurement: fresh folder, its own ports if wanted, and nothing left behind.

use crate::http::Client;
use crate::proc::{self, Process};
use crate::ui;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Time for an agent to leave after SIGINT; a dev agent stops its tasks first.
const LEAVE_LIMIT: Duration = Duration::from_secs(15);
/// Between two looks at an agent that is starting.
const POLL: Duration = Duration::from_millis(2);
/// The environment entry by which we know what descends from our agent.
const MARK: &str = "XTASK_AGENT";

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A folder that goes away with its owner. Its path is short, so that sockets fit into it.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Result<Self> {
        let n = COUNTER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("nx{}-{n}", std::process::id()));
        std::fs::create_dir(&dir).with_context(|| format!("create {}", dir.display()))?;
        Ok(Self(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A mount that outlived its task keeps a folder; the system clears it with the rest of its temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Which ports the agent listens on.
#[derive(Clone, Copy)]
pub(crate) enum Ports {
    /// 4646 to 4648, which recordings expect.
    Default,
    /// Three that are free now.
    Free,
}

/// A running `nomad agent -dev`. Dropping it stops it and all its tasks.
pub(crate) struct Agent {
    child: Child,
    addr: SocketAddr,
    dir: TempDir,
    mark: String,
    started: Instant,
}

impl Agent {
    /// Starts `binary agent -dev`, with `config` files if any, in a fresh folder.
    pub(crate) fn start(binary: &Path, config: &[PathBuf], ports: Ports) -> Result<Self> {
        let dir = TempDir::new()?;
        let mut extra = String::from(
            "disable_update_check = true\nplugin \"raw_exec\" {\n  config {\n    enabled = true\n  }\n}\n",
        );
        let http = match ports {
            Ports::Default => {
                for port in [4646, 4647, 4648] {
                    if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                        bail!(
                            "port {port} is taken by another program; stop it (`cargo xtask quickstart --stop` if it is that agent)"
                        );
                    }
                }
                4646
            }
            Ports::Free => {
                let [http, rpc, serf] = free_ports()?;
                let ports = [("http", http), ("rpc", rpc), ("serf", serf)];
                extra.push_str("ports {\n");
                extra.extend(ports.map(|(name, port)| format!("  {name} = {port}\n")));
                extra.push_str("}\n");
                http
            }
        };
        let file = dir.path().join("xtask.hcl");
        std::fs::write(&file, extra).with_context(|| format!("write {}", file.display()))?;
        let log = File::create(dir.path().join("agent.log")).context("create the agent's log")?;
        let mark = dir.path().display().to_string();
        let mut command = Command::new(binary);
        command.args(["agent", "-dev"]);
        for path in config.iter().chain([&file]) {
            command.arg("-config").arg(path);
        }
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("NOMAD_") {
                command.env_remove(key);
            }
        }
        command
            .env(MARK, &mark)
            .env("TMPDIR", dir.path())
            .current_dir(dir.path());
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share the agent's log")?)
            .stderr(log);
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        Ok(Self {
            child,
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, http)),
            dir,
            mark,
            started,
        })
    }

    /// Waits until the API says that the node is ready; returns the time since the start of the program.
    pub(crate) fn wait_ready(&mut self, limit: Duration) -> Result<Duration> {
        let mut client = self.client();
        loop {
            if node_ready(&mut client) {
                return Ok(self.started.elapsed());
            }
            if let Some(status) = self.child.try_wait().context("look at the agent")? {
                bail!(
                    "the agent ended before it was ready ({status}); it wrote:\n{}",
                    ui::tail(&self.log(), 8)
                );
            }
            if self.started.elapsed() > limit {
                bail!(
                    "no ready node after {}; the agent wrote:\n{}",
                    ui::duration(limit),
                    ui::tail(&self.log(), 8)
                );
            }
            std::thread::sleep(POLL);
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.addr)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What the agent has written so far.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(self.dir.path().join("agent.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The agent, its supervisor, helpers and tasks, also those whose parent has died.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let mut roots = proc::with_environment(&format!("{MARK}={}", self.mark));
        roots.push(self.child.id());
        proc::trees(&roots)
    }

    fn stop(&mut self) {
        let ours = self.processes();
        proc::signal("INT", &[self.child.id()]);
        let deadline = Instant::now() + LEAVE_LIMIT;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        // What was there before and what came since, but never a stranger who got the same pid.
        let left = ours.into_iter().chain(self.processes());
        let left: Vec<u32> = left
            .filter(|p| proc::alive(p.pid, p.start))
            .map(|p| p.pid)
            .collect();
        proc::signal("KILL", &left);
        let _ = self.child.wait();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Does the agent at the other end have a ready node?
pub(crate) fn node_ready(client: &mut Client) -> bool {
    let nodes = client.get("/v1/nodes").and_then(|r| r.json());
    nodes.is_ok_and(|nodes| nodes[0]["Status"] == "ready")
}

fn free_ports() -> Result<[u16; 3]> {
    // All three are held until all are known, so they differ.
    let mut held = Vec::new();
    let mut ports = [0; 3];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
        *port = listener.local_addr().context("read the port")?.port();
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ() {
        let [a, b, c] = free_ports().expect("loopback has ports");
        assert!(a != b && b != c && a != c && a != 0);
    }

    #[test]
    fn an_agent_that_dies_says_so_and_leaves_nothing() {
        let mut agent =
            Agent::start(Path::new("/bin/false"), &[], Ports::Free).expect("false starts");
        let dir = agent.dir.path().to_owned();
        let err = agent
            .wait_ready(Duration::from_secs(20))
            .expect_err("false is no agent");
        assert!(
            err.to_string().contains("ended before it was ready"),
            "{err}"
        );
        drop(agent);
        assert!(!dir.exists());
    }
}
