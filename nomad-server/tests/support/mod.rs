//! A server on a loopback port, and a node that does as it is told.
#![expect(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nomad_core::alloc::{
    AllocClientUpdate, AllocDeploymentStatus, Allocation, ClientStatus, DesiredStatus,
};
use nomad_core::job::{
    EphemeralDisk, Job, JobType, ReschedulePolicy, Resources, Task, TaskGroup, UpdateStrategy,
};
use nomad_core::node::{DriverInfo, Node, NodeResources};
use nomad_core::task_state::{TaskRunState, TaskState};
use nomad_core::view::ClusterView as _;
use nomad_core::{AllocId, Clock, DeploymentId, JobKey, Nanos, NodeId, Timestamp, Uuid};
use nomad_proto::node::{AllocUpdates, Heartbeat, NodeDown, NodeUp, Register, node_down, node_up};
use nomad_proto::{NODE_PROTOCOL, pack, service, unpack};
use nomad_server::{Server, ServerConfig, SharedIds, Storage};
use nomad_state::{State, WatchKey};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::Streaming;
use tonic::transport::Endpoint;

/// Longest that anything in these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy)]
pub(crate) struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(since.as_nanos() as i64)
    }
}

/// A server that serves its RPC on loopback.
pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    serving: tokio::task::JoinHandle<()>,
}

impl TestServer {
    pub(crate) async fn start(storage: Storage) -> Self {
        Self::start_with(storage, |_| {}).await
    }

    pub(crate) async fn start_with(storage: Storage, edit: impl FnOnce(&mut ServerConfig)) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut config =
            ServerConfig::new(Uuid::from_random([7; 16]), "server-1", address.to_string());
        edit(&mut config);
        let server = Server::start(config, storage, Arc::new(WallClock), SharedIds::random())
            .await
            .unwrap();
        let routes = server.grpc_routes();
        let serving = tokio::spawn(async move {
            // Small frames must not wait for acknowledgements of earlier ones.
            let incoming = TcpListenerStream::new(listener)
                .map(|stream| stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream)));
            tonic::transport::Server::builder()
                .add_routes(routes)
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
        Self {
            server,
            address,
            serving,
        }
    }

    /// Stops it in good order.
    pub(crate) async fn stop(self) {
        self.serving.abort();
        self.server.shutdown().await;
    }

    /// Waits until the state is as wanted.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        keys: Vec<WatchKey>,
        look: impl Fn(&State) -> Option<T>,
    ) -> T {
        let wait = async {
            loop {
                let watch = self.server.watch(keys.clone());
                if let Some(found) = look(&self.server.state()) {
                    return found;
                }
                watch.await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("waited too long: {what}\n{}", self.dump()))
    }

    /// What is in the state, for failures.
    pub(crate) fn dump(&self) -> String {
        let state = self.server.state();
        use std::fmt::Write as _;
        let mut text = String::new();
        for eval in state.evals() {
            let _ = writeln!(
                text,
                "eval {} {} {} {} {}: {:?}",
                eval.id.short(),
                eval.job_id,
                eval.triggered_by,
                eval.status,
                eval.status_description,
                eval.failed_tg_allocs
            );
        }
        for alloc in state.allocs() {
            let _ = writeln!(
                text,
                "alloc {} {} v{} {} {} {:?}",
                alloc.id.short(),
                alloc.name,
                alloc.job_version,
                alloc.desired_status,
                alloc.client_status,
                alloc.deployment_status
            );
        }
        for deployment in state.deployments() {
            let _ = writeln!(
                text,
                "deployment {} v{} {} {} {:?}",
                deployment.id.short(),
                deployment.job_version,
                deployment.status,
                deployment.status_description,
                deployment.task_groups
            );
        }
        for node in state.all_nodes() {
            let _ = writeln!(
                text,
                "node {} {} {}",
                node.id.short(),
                node.status,
                node.scheduling_eligibility
            );
        }
        text
    }
}

/// What a fake node does with an allocation that it is given.
pub(crate) type Behaviour = Arc<dyn Fn(&Allocation) -> Option<AllocClientUpdate> + Send + Sync>;

/// A node that runs nothing and says that it does.
pub(crate) struct FakeNode {
    pub(crate) id: NodeId,
    up: mpsc::Sender<NodeUp>,
    muted: Arc<AtomicBool>,
    pub(crate) messages: mpsc::UnboundedReceiver<NodeDown>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeNode {
    /// Connects, registers, and runs whatever it is given.
    pub(crate) async fn connect(address: SocketAddr, node: Node) -> Self {
        Self::connect_with(address, node, Arc::new(|alloc| Some(running(alloc, true)))).await
    }

    pub(crate) async fn connect_with(
        address: SocketAddr,
        node: Node,
        behaviour: Behaviour,
    ) -> Self {
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .unwrap()
            .tcp_nodelay(true)
            .connect()
            .await
            .unwrap();
        let (up, stream) = mpsc::channel(16);
        let register = Register {
            node: pack(&node).unwrap(),
            protocol: NODE_PROTOCOL,
        };
        up.send(NodeUp {
            message: Some(node_up::Message::Register(register)),
        })
        .await
        .unwrap();
        let down = service::node_client(channel)
            .connect(ReceiverStream::new(stream))
            .await
            .unwrap()
            .into_inner();
        let (seen, messages) = mpsc::unbounded_channel();
        let muted = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(work(down, up.clone(), seen, behaviour, Arc::clone(&muted)));
        Self {
            id: node.id,
            up,
            muted,
            messages,
            task,
        }
    }

    /// While muted it reports nothing.
    pub(crate) fn mute(&self, muted: bool) {
        self.muted.store(muted, Ordering::SeqCst);
    }

    pub(crate) async fn beat(&self) {
        let beat = Heartbeat { seq: 1 };
        self.up
            .send(NodeUp {
                message: Some(node_up::Message::Heartbeat(beat)),
            })
            .await
            .unwrap();
    }

    pub(crate) async fn report(&self, updates: Vec<AllocClientUpdate>) {
        self.up.send(report(99, &updates)).await.unwrap();
    }

    /// The next message that is wanted.
    pub(crate) async fn expect<T>(
        &mut self,
        what: &str,
        pick: impl Fn(NodeDown) -> Option<T>,
    ) -> T {
        let wait = async {
            loop {
                let message = self.messages.recv().await.expect("stream is open");
                if let Some(found) = pick(message) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("no {what}"))
    }
}

fn report(seq: u64, updates: &Vec<AllocClientUpdate>) -> NodeUp {
    let updates = AllocUpdates {
        seq,
        batch: pack(updates).unwrap(),
    };
    NodeUp {
        message: Some(node_up::Message::AllocUpdates(updates)),
    }
}

async fn work(
    mut down: Streaming<NodeDown>,
    up: mpsc::Sender<NodeUp>,
    seen: mpsc::UnboundedSender<NodeDown>,
    behaviour: Behaviour,
    muted: Arc<AtomicBool>,
) {
    let mut known: BTreeMap<AllocId, (ClientStatus, Option<DeploymentId>)> = BTreeMap::new();
    let mut seq = 0;
    while let Ok(Some(message)) = down.message().await {
        if let Some(node_down::Message::Allocs(allocs)) = &message.message
            && !muted.load(Ordering::SeqCst)
        {
            let jobs: Vec<Arc<Job>> = allocs
                .jobs
                .iter()
                .map(|row| Arc::new(unpack(&row.job).unwrap()))
                .collect();
            let mut updates = Vec::new();
            for row in &allocs.allocs {
                let mut alloc: Allocation = unpack(&row.alloc).unwrap();
                alloc.job = Some(Arc::clone(&jobs[row.job as usize]));
                let before = known
                    .get(&alloc.id)
                    .copied()
                    .unwrap_or((alloc.client_status, alloc.deployment_id));
                let update = match alloc.desired_status {
                    _ if before.0.is_terminal() => None,
                    DesiredStatus::Run if before.0 == ClientStatus::Pending => behaviour(&alloc),
                    // Another deployment wants to know anew.
                    DesiredStatus::Run if before.1 != alloc.deployment_id => {
                        Some(running(&alloc, true))
                    }
                    DesiredStatus::Run => None,
                    DesiredStatus::Stop | DesiredStatus::Evict => Some(complete(&alloc)),
                };
                if let Some(update) = update {
                    known.insert(alloc.id, (update.client_status, alloc.deployment_id));
                    updates.push(update);
                }
            }
            if !updates.is_empty() || allocs.full {
                seq += 1;
                up.send(report(seq, &updates)).await.unwrap();
            }
        }
        if seen.send(message).is_err() {
            return;
        }
    }
}

fn states(alloc: &Allocation, state: TaskRunState, failed: bool) -> BTreeMap<String, TaskState> {
    let now = WallClock.now();
    let group = alloc.group().expect("job has the group");
    group
        .tasks
        .iter()
        .map(|task| {
            let finished_at = if state == TaskRunState::Dead {
                now
            } else {
                Timestamp::ZERO
            };
            let state = TaskState {
                state,
                failed,
                started_at: now,
                finished_at,
                ..TaskState::default()
            };
            (task.name.clone(), state)
        })
        .collect()
}

/// All tasks run; `healthy` at once if so.
pub(crate) fn running(alloc: &Allocation, healthy: bool) -> AllocClientUpdate {
    AllocClientUpdate {
        id: alloc.id,
        client_status: ClientStatus::Running,
        task_states: states(alloc, TaskRunState::Running, false),
        deployment_status: alloc
            .deployment_id
            .filter(|_| healthy)
            .map(|_| AllocDeploymentStatus {
                healthy: Some(true),
                timestamp: WallClock.now(),
                ..AllocDeploymentStatus::default()
            }),
        modify_time: WallClock.now(),
        ..AllocClientUpdate::default()
    }
}

/// All tasks have ended well.
pub(crate) fn complete(alloc: &Allocation) -> AllocClientUpdate {
    AllocClientUpdate {
        client_status: ClientStatus::Complete,
        task_states: states(alloc, TaskRunState::Dead, false),
        ..running(alloc, false)
    }
}

/// All tasks have failed, and with them the deployment's hope.
pub(crate) fn failed(alloc: &Allocation) -> AllocClientUpdate {
    AllocClientUpdate {
        client_status: ClientStatus::Failed,
        task_states: states(alloc, TaskRunState::Dead, true),
        deployment_status: alloc.deployment_id.map(|_| AllocDeploymentStatus {
            healthy: Some(false),
            timestamp: WallClock.now(),
            ..AllocDeploymentStatus::default()
        }),
        ..running(alloc, false)
    }
}

/// A node with 4000 MHz, 8 GiB and the mock driver.
pub(crate) fn node(number: u8) -> Node {
    let mut resources = NodeResources::default();
    resources.cpu.cpu_shares = 4000;
    resources.cpu.total_cpu_cores = 4;
    resources.memory.memory_mb = 8192;
    resources.disk.disk_mb = 100_000;
    Node {
        id: NodeId(Uuid::from_random([number; 16])),
        secret_id: format!("secret-{number}"),
        datacenter: "dc1".to_owned(),
        name: format!("node-{number}"),
        node_pool: "default".to_owned(),
        attributes: [("kernel.name", "linux"), ("driver.mock_driver", "1")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        node_resources: resources,
        drivers: [(
            "mock_driver".to_owned(),
            DriverInfo {
                detected: true,
                healthy: true,
                ..DriverInfo::default()
            },
        )]
        .into(),
        ..Node::default()
    }
}

/// A job of one group `web` with one task.
pub(crate) fn job(id: &str, job_type: JobType, count: i64) -> Job {
    let service = job_type == JobType::Service;
    Job {
        region: "global".to_owned(),
        namespace: "default".into(),
        id: id.into(),
        name: id.to_owned(),
        job_type,
        priority: 50,
        datacenters: vec!["*".to_owned()],
        node_pool: "default".to_owned(),
        task_groups: vec![TaskGroup {
            name: "web".to_owned(),
            count,
            update: service.then(|| UpdateStrategy {
                stagger: Nanos::secs(30),
                max_parallel: 1,
                health_check: "task_states".to_owned(),
                min_healthy_time: Nanos::millis(1),
                healthy_deadline: Nanos::mins(5),
                progress_deadline: Nanos::mins(10),
                ..UpdateStrategy::default()
            }),
            reschedule_policy: Some(ReschedulePolicy {
                delay: Nanos::secs(5),
                delay_function: "constant".to_owned(),
                unlimited: service,
                attempts: i64::from(!service),
                interval: Nanos::hours(24),
                ..ReschedulePolicy::default()
            }),
            ephemeral_disk: Some(EphemeralDisk {
                size_mb: 300,
                ..EphemeralDisk::default()
            }),
            tasks: vec![Task {
                name: "main".to_owned(),
                driver: "mock_driver".to_owned(),
                resources: Resources {
                    cpu: 100,
                    memory_mb: 64,
                    ..Resources::default()
                },
                ..Task::default()
            }],
            ..TaskGroup::default()
        }],
        ..Job::default()
    }
}

pub(crate) fn key(id: &str) -> JobKey {
    JobKey::new("default", id)
}

/// Allocations of a job with a client status, newest version only where `version` says so.
pub(crate) fn count(state: &State, id: &str, status: ClientStatus) -> usize {
    state
        .allocs_of_job(&key(id))
        .filter(|alloc| alloc.client_status == status)
        .count()
}
