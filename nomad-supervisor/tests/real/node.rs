//! A node under test: a state directory, a log directory, a supervisor and a client.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nomad_supervisor::{ClientOptions, LogSpec, Notice, SupervisorClient, TaskSpec, testing};
use rustix::process::{Pid, Signal};
use tokio::sync::broadcast;

pub(crate) struct Node {
    pub(crate) client: SupervisorClient,
    pub(crate) notices: broadcast::Receiver<Notice>,
    tmp: tempfile::TempDir,
}

impl Node {
    pub(crate) async fn new() -> Self {
        let tmp = tempfile::tempdir().expect("temporary directory");
        std::fs::create_dir(tmp.path().join("logs")).expect("mkdir logs");
        let client = Self::connect(&tmp).await;
        Self {
            notices: client.subscribe(),
            client,
            tmp,
        }
    }

    async fn connect(tmp: &tempfile::TempDir) -> SupervisorClient {
        let dir = tmp.path().join("state");
        let launch = testing::launch("supervisor_entry", &dir).expect("launch");
        SupervisorClient::connect(ClientOptions::new(dir, Some(launch)))
            .await
            .expect("connect")
    }

    /// A second client, as a restarted agent would be.
    pub(crate) async fn another_client(&self) -> SupervisorClient {
        Self::connect(&self.tmp).await
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.tmp.path().join("state")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.tmp.path().join("logs")
    }

    /// A shell script without logs.
    pub(crate) fn quiet(id: &str, script: &str) -> TaskSpec {
        TaskSpec {
            id: id.to_owned(),
            command: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            cwd: "/".into(),
            ..TaskSpec::default()
        }
    }

    /// A shell script with logs under its own name.
    pub(crate) fn script(&self, id: &str, script: &str) -> TaskSpec {
        let logs = LogSpec {
            dir: self.logs(),
            task: id.to_owned(),
            max_files: 10,
            max_file_size: 10 << 20,
        };
        TaskSpec {
            logs: Some(logs),
            ..Self::quiet(id, script)
        }
    }

    pub(crate) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.logs().join(name))
            .unwrap_or_else(|e| panic!("read {name}: {e}"))
    }

    /// The rotated files of a stream, oldest first, with their numbers.
    pub(crate) fn rotated(&self, base: &str) -> Vec<(u64, String)> {
        let mut files: Vec<(u64, String)> = std::fs::read_dir(self.logs())
            .expect("read logs")
            .filter_map(|e| {
                let name = e.expect("entry").file_name().into_string().expect("name");
                let index = name.strip_prefix(base)?.strip_prefix('.')?.parse().ok()?;
                Some((index, self.log(&name)))
            })
            .collect();
        files.sort_unstable_by_key(|(n, _)| *n);
        files
    }

    /// `kill -9` of the supervisor; returns when a new one has answered.
    pub(crate) async fn kill_supervisor(&mut self) -> Duration {
        let pid = self.supervisor_pid();
        while self.notices.try_recv().is_ok() {}
        let killed = tokio::time::Instant::now();
        signal(pid, Signal::KILL);
        loop {
            match self.notices.recv().await.expect("notice") {
                Notice::Connected(_) => return killed.elapsed(),
                Notice::Task(_) | Notice::Disconnected => {}
            }
        }
    }

    /// The process that holds the lock.
    pub(crate) fn supervisor_pid(&self) -> i32 {
        let lock = self.state_dir().join(nomad_supervisor::LOCK_NAME);
        let holders = std::fs::read_dir("/proc").expect("proc").filter_map(|e| {
            let pid: i32 = e.ok()?.file_name().to_str()?.parse().ok()?;
            let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
            let holds = fds
                .flatten()
                .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|l| l == lock));
            holds.then_some(pid)
        });
        holders.min().expect("a supervisor")
    }

    /// The agent is gone; the supervisor is not.
    pub(crate) async fn without_client(self) -> Abandoned {
        let Self {
            client,
            notices,
            tmp,
        } = self;
        drop((client, notices));
        // The connection's task ends when it notices that nobody holds the client any more.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Abandoned { tmp }
    }

    /// The processes that hold descriptors for this node's supervisor.
    pub(crate) fn fdstores(&self) -> Vec<i32> {
        fdstores(&self.tmp)
    }

    pub(crate) async fn stop(self) {
        self.client.shutdown(true).await.expect("shutdown");
        // The parent of the tests' cgroups goes with the last test that used it.
        if let Some(root) = &self.client.capabilities().cgroup_root {
            let _ = std::fs::remove_dir(root.join(slice()));
        }
    }
}

/// A node whose agent is gone.
pub(crate) struct Abandoned {
    tmp: tempfile::TempDir,
}

impl Abandoned {
    pub(crate) async fn another_client(&self) -> SupervisorClient {
        Node::connect(&self.tmp).await
    }

    pub(crate) fn log(&self, name: &str) -> String {
        let path = self.tmp.path().join("logs").join(name);
        std::fs::read_to_string(path).unwrap_or_else(|e| panic!("read {name}: {e}"))
    }

    pub(crate) fn fdstores(&self) -> Vec<i32> {
        fdstores(&self.tmp)
    }
}

/// They have the environment of the supervisor that they were forked from, and say what they are.
fn fdstores(tmp: &tempfile::TempDir) -> Vec<i32> {
    let dir = format!("={}\0", tmp.path().join("state").display());
    let is_one = |pid: &i32| {
        let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&read("environ")).into_owned();
        read("comm") == b"fdstore\n" && environment.contains(&dir) && alive(*pid)
    };
    std::fs::read_dir("/proc")
        .expect("proc")
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
        .filter(is_one)
        .collect()
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(pid).expect("pid"), signal).expect("kill");
}

pub(crate) fn alive(pid: i32) -> bool {
    // A zombie is not alive.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| {
        s.rsplit(')')
            .next()
            .is_some_and(|r| !r.trim_start().starts_with(['Z', 'X']))
    })
}

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The parent of this process's cgroups.
pub(crate) fn slice() -> String {
    format!("nomad-test-{}.slice", std::process::id())
}
