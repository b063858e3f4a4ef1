//! The client as a whole: what it is made of, how it starts and ends.

mod apply;
mod drivers;
mod gc;
mod meta;
mod queries;
mod restore;
mod stats;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use nomad_core::node::Node;
use nomad_core::{Clock, NodeId};
use nomad_drivers::{Driver, Registry};
use nomad_store::KvStore;
use nomad_supervisor::{ClientOptions, Launch, SupervisorClient};
use nomad_template::bufconn;
use nomad_template::runner::ClientSettings;
use nomad_template::watch::{HttpFetch, WatchHub};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

pub use self::apply::Assignment;
pub use self::meta::{MetaError, NodeMetaView};
pub use self::queries::{ExecOptions, RunningExec};

use crate::config::ClientConfig;
use crate::conn::{self, Connector, LocalApi};
use crate::dir;
use crate::env::NodeView;
use crate::fingerprint::{Host, fingerprint};
use crate::host_stats::HostSampler;
use crate::machine::disconnect::HeartbeatStop;
use crate::runner::{Reporter, Shared};
use crate::state::{IdError, JobCache, NodeIds, StateDb, StateError};

/// How long tasks of a development agent may take to end with it.
const DEV_GRACE: Duration = Duration::from_secs(3);

/// Makes the node's drivers; it is given the connection to the supervisor.
pub type DriverFactory =
    Box<dyn FnOnce(&SupervisorClient) -> Result<Vec<Arc<dyn Driver>>, String> + Send>;

/// What a client needs from its surroundings.
pub struct Deps {
    /// Store with the tables [`crate::state::TABLES`].
    pub kv: Arc<dyn KvStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How the supervisor is started when there is none.
    pub supervisor: Launch,
    /// Makes the drivers.
    pub drivers: DriverFactory,
    /// Answers what servers ask of this node.
    pub local_api: Arc<dyn LocalApi>,
    /// Reaches servers.
    pub connector: Arc<dyn Connector>,
}

/// Why a client does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A directory cannot be made.
    #[error(transparent)]
    Dir(#[from] dir::DirError),
    /// The node's id cannot be read or kept.
    #[error(transparent)]
    Ids(#[from] IdError),
    /// What was stored cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is no supervisor to be had.
    #[error("start the supervisor")]
    Supervisor(#[from] nomad_supervisor::SupervisorError),
    /// A driver's configuration has mistakes.
    #[error("configure drivers: {0}")]
    Drivers(String),
    /// A static host volume does not exist.
    #[error("host volume {name:?}: {} does not exist", path.display())]
    HostVolume {
        /// Name of the volume.
        name: String,
        /// Its configured path.
        path: PathBuf,
    },
    /// A part of the start broke off.
    #[error("start broke off: {0}")]
    Broken(String),
}

/// A running client. Clones share it.
#[derive(Clone)]
pub struct Client {
    pub(crate) core: Arc<Core>,
}

pub(crate) struct Core {
    pub(crate) shared: Arc<Shared>,
    pub(crate) supervisor: SupervisorClient,
    pub(crate) ids: NodeIds,
    /// The node as it is registered.
    pub(crate) node: ArcSwap<Node>,
    /// Woken when the node has to be registered again.
    pub(crate) node_changed: Notify,
    /// Connected to a server and registered there.
    pub(crate) registered: watch::Sender<bool>,
    pub(crate) servers: Mutex<Vec<String>>,
    pub(crate) servers_changed: Notify,
    /// Servers that the agent told of, asked again when none of those that the servers named answers.
    pub(crate) seeds: Mutex<Vec<String>>,
    /// The connection on which the node is registered.
    pub(crate) channel: Mutex<Option<Channel>>,
    pub(crate) connector: Arc<dyn Connector>,
    /// Meta of the configuration, and what was set since.
    pub(crate) meta: Mutex<meta::NodeMeta>,
    pub(crate) heartbeats: Mutex<HeartbeatStop>,
    pub(crate) heartbeats_changed: Notify,
    pub(crate) gc: Mutex<crate::machine::gc::GcQueue>,
    pub(crate) sampler: Mutex<HostSampler>,
    pub(crate) stopping: CancellationToken,
    loops: tokio::sync::Mutex<JoinSet<()>>,
    stopped: AtomicBool,
}

impl Client {
    /// Starts a client: describes the node, finds what ran before, and goes to the servers in the background.
    ///
    /// # Errors
    /// Directories, ids, stored state, the supervisor or a driver's configuration cannot be had.
    pub async fn start(config: ClientConfig, deps: Deps) -> Result<Self, StartError> {
        prepare_dirs(&config)?;
        let ids = if config.dev {
            NodeIds::random()
        } else {
            NodeIds::load(&config.state_dir)?
        };
        // The machine is looked at while the supervisor starts.
        let looking = {
            let config = config.clone();
            tokio::task::spawn_blocking(move || fingerprint(&Host::real(&config)))
        };
        let options = ClientOptions::new(&config.state_dir, Some(deps.supervisor));
        let supervisor = SupervisorClient::connect(options).await?;
        let made = (deps.drivers)(&supervisor).map_err(StartError::Drivers)?;
        let registry = Registry::new(
            made,
            config.option("driver.allowlist").unwrap_or_default(),
            config.option("driver.denylist").unwrap_or_default(),
        );
        let mut node = looking
            .await
            .map_err(|error| StartError::Broken(error.to_string()))?;
        node.id = ids.id;
        node.secret_id.clone_from(&ids.secret);
        let now = deps.clock.now();
        drivers::describe(&registry, &mut node, now).await;
        let db = StateDb::new(deps.kv);
        let meta = meta::NodeMeta::new(node.meta.clone(), db.node_meta()?);
        node.meta = meta.merged();
        let (templates, mut connections) = template_hub();
        let local_api = Arc::clone(&deps.local_api);
        let serve_templates = async move {
            // Each connection is a watch that mostly waits.
            while let Ok(io) = connections.accept().await {
                let api = Arc::clone(&local_api);
                tokio::spawn(async move { api.serve_in_memory(io).await });
            }
        };
        let shared = shared_parts(
            config,
            &ids,
            &node,
            db,
            deps.clock,
            registry,
            &supervisor,
            templates,
        );
        let core = Arc::new(Core {
            supervisor,
            ids,
            node_changed: Notify::new(),
            registered: watch::channel(false).0,
            servers: Mutex::new(
                shared
                    .config
                    .servers
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            ),
            servers_changed: Notify::new(),
            seeds: Mutex::new(
                shared
                    .config
                    .servers
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            ),
            channel: Mutex::new(None),
            connector: deps.connector,
            meta: Mutex::new(meta),
            heartbeats: Mutex::new(HeartbeatStop::new(now, false)),
            heartbeats_changed: Notify::new(),
            gc: Mutex::default(),
            sampler: Mutex::new(HostSampler::new(&shared.config.alloc_dir)),
            stopping: CancellationToken::new(),
            loops: tokio::sync::Mutex::default(),
            stopped: AtomicBool::new(false),
            node: ArcSwap::from_pointee(node),
            shared,
        });
        let client = Self { core };
        client.core.restore().await?;
        client
            .spawn_loops(deps.local_api, Box::pin(serve_templates))
            .await;
        Ok(client)
    }

    async fn spawn_loops(
        &self,
        local_api: Arc<dyn LocalApi>,
        serve_templates: futures::future::BoxFuture<'static, ()>,
    ) {
        let mut loops = self.core.loops.lock().await;
        let stopping = &self.core.stopping;
        let mut spawn = |task: futures::future::BoxFuture<'static, ()>| {
            let stopping = stopping.clone();
            loops.spawn(async move {
                tokio::select! {
                    () = task => {}
                    () = stopping.cancelled() => {}
                }
            });
        };
        let core = || self.core.clone();
        spawn(Box::pin(conn::run(core(), local_api)));
        spawn(Box::pin(gc::run(core())));
        spawn(Box::pin(apply::stop_when_disconnected(core())));
        spawn(Box::pin(drivers::watch_health(core())));
        spawn(Box::pin(drivers::tell_events(core())));
        spawn(Box::pin(stats::publish(core())));
        spawn(serve_templates);
    }

    /// Ends the client. Tasks run on, unless it is a development client: that one ends them and removes all it made.
    pub async fn shutdown(&self) {
        use std::sync::atomic::Ordering;
        if self.core.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        let dev = self.core.shared.config.dev;
        self.core.stopping.cancel();
        if !dev {
            for runner in self.core.shared.runners() {
                runner.detach();
            }
        }
        let mut loops = self.core.loops.lock().await;
        while loops.join_next().await.is_some() {}
        // From here on no server sends another allocation.
        if dev
            && tokio::time::timeout(DEV_GRACE, self.core.destroy_all())
                .await
                .is_err()
        {
            // Tasks that take their time are not waited for; nobody would ever end them.
            self.core.kill_tasks().await;
            self.core.destroy_all().await;
        }
        for runner in self.core.shared.runners() {
            runner.detach();
        }
        self.core.shared.allocs.lock().clear();
        if dev && let Err(error) = self.core.supervisor.shutdown(true).await {
            tracing::debug!(%error, "the supervisor ends by itself");
        }
    }
}

/// What templates read, over in-memory connections to this agent's own API.
fn template_hub() -> (WatchHub, bufconn::Listener) {
    let settings = ClientSettings::default();
    let (listener, dialer) = bufconn::in_memory(
        bufconn::ConnConfig::default(),
        bufconn::BufferPool::default(),
    );
    let fetch = HttpFetch::new(dialer, settings.block_query_wait);
    (WatchHub::new(Arc::new(fetch), settings), listener)
}

fn prepare_dirs(config: &ClientConfig) -> Result<(), StartError> {
    dir::build_state_dir(&config.state_dir)?;
    dir::build_root(&config.alloc_dir)?;
    for (name, volume) in &config.host_volumes {
        if !volume.path.exists() {
            return Err(StartError::HostVolume {
                name: name.clone(),
                path: volume.path.clone(),
            });
        }
    }
    Ok(())
}

fn shared_parts(
    config: ClientConfig,
    ids: &NodeIds,
    node: &Node,
    db: StateDb,
    clock: Arc<dyn Clock>,
    drivers: Registry,
    supervisor: &SupervisorClient,
    templates: WatchHub,
) -> Arc<Shared> {
    let cores = node.node_resources.cpu.total_cpu_cores.max(1);
    let mhz = node.node_resources.cpu.cpu_shares as f64 / f64::from(cores);
    let has_cgroups = supervisor.capabilities().cgroup_root.is_some();
    Arc::new(Shared {
        node_id: ids.id,
        node_name: node.name.clone(),
        node: ArcSwap::from_pointee(NodeView::of(node, &config.region)),
        db,
        clock,
        drivers,
        jobs: JobCache::default(),
        reporter: Reporter::default(),
        allocs: Mutex::default(),
        ended: Shared::new_ended(),
        servers_contacted: AtomicBool::new(false),
        ticks_per_percent: mhz / 100.0,
        cgroup_parent: if has_cgroups {
            node.cgroup_parent.clone()
        } else {
            String::new()
        },
        templates,
        config,
    })
}

impl Core {
    /// Puts a changed node in place and has it registered.
    pub(crate) fn change_node(&self, change: impl FnOnce(&mut Node)) {
        let mut node = (**self.node.load()).clone();
        let before = node.clone();
        change(&mut node);
        if node == before {
            return;
        }
        let view = NodeView::of(&node, &self.shared.config.region);
        self.node.store(Arc::new(node));
        self.shared.node.store(Arc::new(view));
        self.node_changed.notify_one();
    }

    /// The node's id.
    pub(crate) fn node_id(&self) -> NodeId {
        self.ids.id
    }
}
