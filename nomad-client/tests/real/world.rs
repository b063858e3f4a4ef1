//! A client with a real supervisor, real processes, and no server.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use nomad_client::config::ClientConfig;
use nomad_client::dir::AllocDir;
use nomad_client::fs::{LogKind, LogRequest, Origin};
use nomad_client::machine::gc::GcLimits;
use nomad_client::{Assignment, Client, CommandError, Deps, LocalApi, PlainConnector};
use nomad_core::alloc::{AllocClientUpdate, AllocatedTaskResources, Allocation, ClientStatus};
use nomad_core::job::{AnyMap, Job, JobType, RestartPolicy, Task, TaskGroup};
use nomad_core::{AllocId, Clock, Nanos, Timestamp, Uuid};
use nomad_drivers::Driver;
use nomad_drivers::raw_exec::{RawExec, RawExecConfig};
use nomad_proto::TunnelIo;
use nomad_store::{KvStore, MemKv};
use nomad_supervisor::testing;
use nomad_template::BufferedConn;
use tokio::io::AsyncWriteExt as _;
use tokio_stream::StreamExt as _;

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp(i64::try_from(since.as_nanos()).unwrap())
    }
}

/// Sends back what it is sent.
struct Echo;

#[async_trait]
impl LocalApi for Echo {
    async fn serve(&self, io: TunnelIo) {
        let (mut read, mut write) = tokio::io::split(io);
        // The other side may go away at any time.
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    }

    async fn serve_in_memory(&self, mut io: BufferedConn) {
        // No template of these tests reads from the agent.
        let _ = io.shutdown().await;
    }
}

/// A node whose agent can be restarted.
pub(crate) struct World {
    dir: tempfile::TempDir,
    kv: Arc<dyn KvStore>,
    servers: Vec<SocketAddr>,
    pub(crate) client: Client,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_servers(Vec::new()).await
    }

    pub(crate) async fn with_servers(servers: Vec<SocketAddr>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let kv: Arc<dyn KvStore> = Arc::new(MemKv::new(&nomad_client::state::TABLES));
        let client = start(dir.path(), kv.clone(), &servers).await;
        Self {
            dir,
            kv,
            servers,
            client,
        }
    }

    /// Ends the agent's side and starts it again on the same state.
    pub(crate) async fn restart_agent(&mut self) {
        self.client.shutdown().await;
        self.client = start(self.dir.path(), self.kv.clone(), &self.servers).await;
    }

    /// An allocation of a group of these tasks.
    pub(crate) fn alloc(job_type: JobType, tasks: Vec<Task>) -> Allocation {
        // Different in every run: cgroups are named after it, and other tests run at the same time.
        let id = AllocId(Uuid::from_random(*uuid::Uuid::new_v4().as_bytes()));
        let group = TaskGroup {
            name: "g".to_owned(),
            restart_policy: Some(RestartPolicy {
                attempts: 1,
                interval: Nanos::hours(1),
                delay: Nanos::millis(50),
                ..RestartPolicy::default()
            }),
            tasks: tasks.clone(),
            ..TaskGroup::default()
        };
        let job = Job {
            id: format!("job-{}", id.short()).into(),
            name: "job".to_owned(),
            namespace: "default".into(),
            job_type,
            task_groups: vec![group],
            ..Job::default()
        };
        let mut alloc = Allocation {
            id,
            namespace: "default".into(),
            name: "job.g[0]".to_owned(),
            job_id: job.id.clone(),
            task_group: "g".to_owned(),
            job: Some(Arc::new(job)),
            alloc_modify_index: 1,
            ..Allocation::default()
        };
        for task in tasks {
            alloc
                .allocated_resources
                .tasks
                .insert(task.name, AllocatedTaskResources::default());
        }
        alloc
    }

    pub(crate) fn assign(&self, alloc: Allocation) -> AllocId {
        let id = alloc.id;
        self.client.assign(Assignment {
            allocs: vec![alloc],
            ..Assignment::default()
        });
        id
    }

    /// Waits until the report of an allocation is as wanted.
    pub(crate) async fn until(
        &self,
        id: AllocId,
        wanted: impl Fn(&AllocClientUpdate) -> bool,
    ) -> AllocClientUpdate {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let state = self.client.alloc_state(id).unwrap_or_default();
            if state.id == id && wanted(&state) {
                return state;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "waited in vain: {:?} {:#?}",
                state.client_status,
                state
                    .task_states
                    .values()
                    .flat_map(|task| &task.events)
                    .map(|event| &event.display_message)
                    .collect::<Vec<_>>()
            );
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    pub(crate) async fn status(&self, id: AllocId, wanted: ClientStatus) -> AllocClientUpdate {
        self.until(id, |state| state.client_status == wanted).await
    }

    /// All of a task's standard output so far.
    pub(crate) async fn stdout(&self, id: AllocId, task: &str) -> String {
        let request = LogRequest {
            task: task.to_owned(),
            kind: LogKind::Stdout,
            follow: false,
            offset: 0,
            origin: Origin::Start,
        };
        let stream = match self.client.logs(id, request) {
            Ok(stream) => stream,
            Err(CommandError::NoLogsYet(_)) => return String::new(),
            Err(error) => panic!("{error}"),
        };
        let frames: Vec<_> = stream.collect().await;
        let bytes: Vec<u8> = frames
            .into_iter()
            .flat_map(|frame| frame.unwrap().data.to_vec())
            .collect();
        String::from_utf8(bytes).unwrap()
    }

    /// Waits until the output is as wanted.
    pub(crate) async fn until_stdout(&self, id: AllocId, task: &str, wanted: &str) {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let text = self.stdout(id, task).await;
            if text == wanted {
                return;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "wanted {wanted:?}, got {text:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Directory of an allocation.
    pub(crate) fn path(&self, id: AllocId) -> std::path::PathBuf {
        self.dir.path().join("alloc").join(id.to_string())
    }

    /// Ends everything, tasks too.
    pub(crate) async fn end(self) {
        for id in self.client.alloc_ids() {
            self.client.assign(Assignment {
                removed: vec![id],
                ..Assignment::default()
            });
            let root = self.path(id);
            let deadline = std::time::Instant::now() + PATIENCE;
            while root.exists() {
                assert!(
                    std::time::Instant::now() < deadline,
                    "{} stays",
                    root.display()
                );
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }
        self.client.shutdown().await;
        let supervisor = supervisor(self.dir.path()).await;
        assert_eq!(supervisor.list().await.unwrap(), []);
        supervisor.shutdown(true).await.unwrap();
    }

    /// A connection of the test's own to the supervisor.
    pub(crate) async fn supervisor(&self) -> nomad_supervisor::SupervisorClient {
        supervisor(self.dir.path()).await
    }
}

/// A test that failed leaves no process and no mount behind.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let dir = self.dir.path().to_owned();
        let cleanup = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let _ = supervisor(&dir).await.shutdown(true).await;
            });
            for entry in std::fs::read_dir(dir.join("alloc")).unwrap().flatten() {
                if let Ok(id) = entry.file_name().to_string_lossy().parse() {
                    let _ = AllocDir::new(&dir.join("alloc"), &id).destroy();
                }
            }
        });
        let _ = cleanup.join();
    }
}

async fn supervisor(dir: &Path) -> nomad_supervisor::SupervisorClient {
    let options = nomad_supervisor::ClientOptions::new(dir.join("state"), None);
    nomad_supervisor::SupervisorClient::connect(options)
        .await
        .unwrap()
}

async fn start(dir: &Path, kv: Arc<dyn KvStore>, servers: &[SocketAddr]) -> Client {
    let config = ClientConfig {
        state_dir: dir.join("state"),
        alloc_dir: dir.join("alloc"),
        http_addr: "127.0.0.1:4646".to_owned(),
        servers: servers.to_vec(),
        // However full the disk of the machine that tests.
        gc: GcLimits {
            max_allocs: 1000,
            disk_usage_percent: 100.0,
            inode_usage_percent: 100.0,
        },
        ..ClientConfig::default()
    };
    let deps = Deps {
        kv,
        clock: Arc::new(WallClock),
        supervisor: testing::launch("supervise", &config.state_dir).unwrap(),
        drivers: Box::new(|supervisor| {
            let settings = RawExecConfig {
                enabled: true,
                ..RawExecConfig::default()
            };
            let driver = RawExec::new(&settings, supervisor.clone())
                .map_err(|errors| format!("{errors:?}"))?;
            Ok(vec![Arc::new(driver) as Arc<dyn Driver>])
        }),
        local_api: Arc::new(Echo),
        connector: Arc::new(PlainConnector),
    };
    Client::start(config, deps).await.unwrap()
}

/// A task that runs a shell script.
pub(crate) fn shell(name: &str, script: &str) -> Task {
    let config = serde_json::json!({"command": "/bin/sh", "args": ["-c", script]});
    let serde_json::Value::Object(config) = config else {
        unreachable!("it was written as a map")
    };
    let config: AnyMap = config;
    Task {
        name: name.to_owned(),
        driver: "raw_exec".to_owned(),
        config,
        kill_timeout: Nanos::secs(5),
        ..Task::default()
    }
}

pub(crate) fn kinds(state: &AllocClientUpdate, task: &str) -> Vec<String> {
    state.task_states[task]
        .events
        .iter()
        .map(|event| event.kind.clone())
        .collect()
}
