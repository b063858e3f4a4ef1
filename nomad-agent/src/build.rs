//! Wiring: from a configuration to running parts.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use nomad_api::backend::{AgentIdentity, Backend};
use nomad_client::{Client, Deps, DriverFactory, PlainConnector};
use nomad_core::job::AnyMap;
use nomad_core::spec;
use nomad_drivers::Driver;
use nomad_drivers::mock::{MockConfig, MockDriver};
use nomad_drivers::raw_exec::{RawExec, RawExecConfig};
use nomad_server::{Server, ServerConfig, SharedIds, Storage};
use nomad_store::{KvStore, MemKv};
use nomad_supervisor::Launch;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::backend::{Addresses, AgentBackend, LocalNode, ServerHalf};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::dirs::DataDirs;
use crate::http;
use crate::local::OwnApi;
use crate::telemetry::metrics::Metrics;

/// A running agent.
pub(crate) struct Agent {
    server: Server,
    client: Option<Client>,
    dirs: DataDirs,
    stop: CancellationToken,
    pub(crate) bind: Addresses,
    pub(crate) advertise: Addresses,
}

/// Name of this agent: configured, or the host's.
pub(crate) fn name(config: &Config) -> String {
    if config.name.is_empty() {
        host_name()
    } else {
        config.name.clone()
    }
}

fn host_name() -> String {
    let system = rustix::system::uname();
    system.nodename().to_string_lossy().into_owned()
}

/// The address of a listener.
fn bind_address(config: &Config, own: &str, port: u16) -> anyhow::Result<SocketAddr> {
    let host = if own.is_empty() {
        &config.bind_addr
    } else {
        own
    };
    let ip: IpAddr = host
        .trim()
        .parse()
        .with_context(|| format!("bind address {host:?} is not an IP address"))?;
    Ok(SocketAddr::new(ip, port))
}

/// What others are told: configured, or the bound address where it can be reached.
fn advertised(config: &Config, own: &str, bound: SocketAddr) -> anyhow::Result<String> {
    if own.is_empty() {
        let ip = bound.ip();
        if !ip.is_unspecified() && (config.dev || !ip.is_loopback()) {
            return Ok(bound.to_string());
        }
        if ip.is_unspecified() && config.dev {
            return Ok(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), bound.port()).to_string());
        }
        let found = private_address().ok_or_else(|| {
            anyhow!("no private address found to advertise; defaulting to localhost is unsafe: set the advertise block")
        })?;
        return Ok(SocketAddr::new(found, bound.port()).to_string());
    }
    let has_port = own
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.ends_with(':') && port.parse::<u16>().is_ok());
    Ok(if has_port {
        own.to_owned()
    } else {
        format!("{own}:{}", bound.port())
    })
}

/// The address that would be used to reach others; no packet is sent to find it.
fn private_address() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("192.0.2.1", 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

async fn listen(address: SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "{what} listener cannot use {address}: is another agent running, or the port taken?"
        )
    })
}

impl Agent {
    /// Starts everything that the configuration asks for.
    pub(crate) async fn start(config: Arc<Config>) -> anyhow::Result<Self> {
        if !config.server.enabled {
            bail!("agents without a server are not built yet: enable the server block");
        }
        let dirs = DataDirs::open(&config)?;
        let metrics = Metrics::new(
            config.telemetry.in_memory_collection_interval,
            (!config.telemetry.disable_hostname).then(host_name),
        );
        metrics.install();
        let stop = CancellationToken::new();
        let http_listener = listen(
            bind_address(&config, &config.addresses.http, config.ports.http)?,
            "HTTP",
        )
        .await?;
        let rpc_listener = listen(
            bind_address(&config, &config.addresses.rpc, config.ports.rpc)?,
            "RPC",
        )
        .await?;
        let bound_http = http_listener.local_addr()?;
        let bound_rpc = rpc_listener.local_addr()?;
        let serf = bind_address(&config, &config.addresses.serf, config.ports.serf)?;
        let bind = Addresses {
            http: bound_http.to_string(),
            rpc: bound_rpc.to_string(),
            serf: serf.to_string(),
        };
        let advertise = Addresses {
            http: advertised(&config, &config.advertise.http, bound_http)?,
            rpc: advertised(&config, &config.advertise.rpc, bound_rpc)?,
            serf: advertised(&config, &config.advertise.serf, serf)?,
        };
        let ids = SharedIds::random();
        let server = start_server(&config, &dirs, &advertise, ids.clone()).await?;
        let own_api = OwnApi::default();
        let routes = server.grpc_routes();
        tokio::spawn(serve_rpc(rpc_listener, routes, stop.clone()));
        let client = if config.client.enabled {
            match start_client(&config, &dirs, &bind, &advertise, own_api.clone()).await {
                Ok(client) => Some(client),
                Err(error) => {
                    // Its threads must not find the runtime gone.
                    stop.cancel();
                    server.shutdown().await;
                    return Err(error);
                }
            }
        } else {
            None
        };
        let backend: Arc<dyn Backend> = Arc::new(AgentBackend {
            identity: AgentIdentity {
                region: config.region.clone(),
                datacenter: config.datacenter.clone(),
                name: name(&config),
                server: config.server.enabled,
                client: config.client.enabled,
                response_headers: config.http_api_response_headers.clone(),
            },
            server: ServerHalf {
                server: server.clone(),
                ids,
                defaults: Arc::new(spec::ServerDefaults {
                    priority: i64::from(config.server.job_default_priority),
                    ..spec::ServerDefaults::default()
                }),
                max_source_bytes: config.server.job_max_source_size,
            },
            node: client.clone().map(LocalNode),
            metrics,
            addresses: advertise.clone(),
            config: Arc::clone(&config),
        });
        own_api.set(Arc::clone(&backend));
        let forwarded = Arc::clone(&backend);
        server.set_forward_handler(Arc::new(move |io| {
            tokio::spawn(http::speak(io, Arc::clone(&forwarded)));
        }));
        let limit = config.limits.http_max_conns_per_client;
        tokio::spawn(http::serve(http_listener, backend, limit, stop.clone()));
        Ok(Self {
            server,
            client,
            dirs,
            stop,
            bind,
            advertise,
        })
    }

    /// Stops everything. Tasks of a client that keeps its data run on.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if let Some(client) = self.client {
            client.shutdown().await;
        }
        self.server.shutdown().await;
        // The last one to go: a `-dev` agent keeps nothing.
        drop(self.dirs);
    }

    /// The server's id, for the banner.
    pub(crate) fn server_id(&self) -> String {
        self.server.config().id.to_string()
    }
}

async fn serve_rpc(listener: TcpListener, routes: tonic::service::Routes, stop: CancellationToken) {
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = tonic::transport::Server::builder()
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "RPC listener ended");
    }
}

async fn start_server(
    config: &Config,
    dirs: &DataDirs,
    advertise: &Addresses,
    ids: SharedIds,
) -> anyhow::Result<Server> {
    let mut settings = ServerConfig::new(dirs.server_id()?, name(config), advertise.rpc.as_str());
    settings.region.clone_from(&config.region);
    settings.datacenter.clone_from(&config.datacenter);
    settings.bootstrap_expect = config.server.bootstrap_expect;
    settings.job_tracked_versions = config.server.job_tracked_versions;
    settings.event_buffer = if config.server.enable_event_broker {
        config.server.event_buffer_size
    } else {
        0
    };
    settings.job_max_count = config.server.job_max_count;
    settings.job_max_priority = config.server.job_max_priority;
    settings.keystore = Some(dirs.server.join("keystore"));
    if let Some(workers) = config.server.num_schedulers {
        settings.workers = workers;
    }
    let storage = open_storage(dirs)?;
    let server = Server::start(settings, storage, Arc::new(SystemClock), ids)
        .await
        .context("start server")?;
    if config.server.bootstrap_expect == 1 {
        server
            .wait_until_leading()
            .await
            .context("wait for this server to lead")?;
    }
    Ok(server)
}

#[cfg(feature = "rocksdb")]
fn open_storage(dirs: &DataDirs) -> anyhow::Result<Storage> {
    Storage::open(&dirs.server.join("raft")).context("open the server's log")
}

#[cfg(not(feature = "rocksdb"))]
fn open_storage(_dirs: &DataDirs) -> anyhow::Result<Storage> {
    Ok(Storage::memory())
}

#[cfg(feature = "rocksdb")]
fn open_client_store(config: &Config, dirs: &DataDirs) -> anyhow::Result<Arc<dyn KvStore>> {
    // A development client forgets everything at its end.
    if config.dev {
        return Ok(Arc::new(MemKv::new(&nomad_client::state::TABLES)));
    }
    let path = dirs.client_state.join("state");
    let store = nomad_store::RocksKv::open(&path, &nomad_client::state::TABLES)
        .with_context(|| format!("open the client's state in {}", path.display()))?;
    Ok(Arc::new(store))
}

#[cfg(not(feature = "rocksdb"))]
fn open_client_store(_config: &Config, _dirs: &DataDirs) -> anyhow::Result<Arc<dyn KvStore>> {
    Ok(Arc::new(MemKv::new(&nomad_client::state::TABLES)))
}

async fn start_client(
    config: &Config,
    dirs: &DataDirs,
    bind: &Addresses,
    advertise: &Addresses,
    own_api: OwnApi,
) -> anyhow::Result<Client> {
    let mut settings = config.client.settings.clone();
    settings.node_name = name(config);
    settings.region.clone_from(&config.region);
    settings.datacenter.clone_from(&config.datacenter);
    settings.state_dir.clone_from(&dirs.client_state);
    settings.alloc_dir.clone_from(&dirs.alloc);
    settings.http_addr.clone_from(&advertise.http);
    settings.dev = config.dev;
    settings.publish_node_metrics = config.telemetry.publish_node_metrics;
    settings.publish_allocation_metrics = config.telemetry.publish_allocation_metrics;
    settings.include_alloc_metadata_in_metrics = config.telemetry.include_alloc_metadata_in_metrics;
    settings.collection_interval = config.telemetry.collection_interval;
    settings.agent_env = std::env::vars().collect::<BTreeMap<_, _>>();
    settings.servers = servers(config, bind).await?;
    let exe = std::env::current_exe().context("find this program to start the supervisor")?;
    let deps = Deps {
        kv: open_client_store(config, dirs)?,
        clock: Arc::new(SystemClock),
        supervisor: Launch::new(exe, &dirs.client_state),
        drivers: drivers(config),
        local_api: Arc::new(own_api),
        connector: Arc::new(PlainConnector),
    };
    Client::start(settings, deps).await.context("start client")
}

/// Where the client finds servers: its own agent's first.
async fn servers(config: &Config, bind: &Addresses) -> anyhow::Result<Vec<SocketAddr>> {
    let mut found = Vec::new();
    if config.server.enabled {
        let mut own: SocketAddr = bind.rpc.parse().context("RPC address")?;
        if own.ip().is_unspecified() {
            own.set_ip(IpAddr::from([127, 0, 0, 1]));
        }
        found.push(own);
    }
    for server in &config.client.servers {
        let address = if server.contains(':') {
            server.clone()
        } else {
            format!("{server}:{}", config.ports.rpc)
        };
        match tokio::net::lookup_host(&address).await {
            Ok(addresses) => found.extend(addresses),
            Err(error) => {
                tracing::warn!(server = %address, %error, "server address cannot be resolved")
            }
        }
    }
    Ok(found)
}

/// Makes the drivers as their `plugin` blocks say.
fn drivers(config: &Config) -> DriverFactory {
    let block = |name: &str| -> AnyMap {
        config
            .plugins
            .get(name)
            .and_then(|value| value.as_object().cloned())
            .unwrap_or_default()
    };
    let mut raw_exec = block("raw_exec");
    let by_option = config
        .client
        .settings
        .options
        .get("driver.raw_exec.enable")
        .is_some_and(|value| value == "true" || value == "1");
    if by_option {
        raw_exec.entry("enabled").or_insert(true.into());
    }
    let mock = block("mock_driver");
    Box::new(move |supervisor| {
        let mistakes = |name: &str, errors: Vec<nomad_drivers::FieldError>| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            format!("plugin {name:?}: {}", errors.join("; "))
        };
        let raw_exec =
            RawExecConfig::decode(&raw_exec).map_err(|errors| mistakes("raw_exec", errors))?;
        let mock = MockConfig::decode(&mock).map_err(|errors| mistakes("mock_driver", errors))?;
        let raw_exec = RawExec::new(&raw_exec, supervisor.clone())
            .map_err(|errors| mistakes("raw_exec", errors))?;
        let made: Vec<Arc<dyn Driver>> = vec![Arc::new(raw_exec), Arc::new(MockDriver::new(mock))];
        Ok(made)
    })
}
