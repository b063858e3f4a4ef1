//! Wiring: from a configuration to running parts.

mod client;
mod join;
mod server;

pub(crate) use self::join::resolve;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use nomad_api::backend::{AgentIdentity, Backend};
use nomad_client::Client;
use nomad_core::{Clock, spec};
use nomad_server::{Server, SharedIds};
use nomad_state::Store;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::backend::{Addresses, AgentBackend, LocalNode, ServerHalf};
use crate::clock::SystemClock;
use crate::cluster::{self, Cluster};
use crate::config::Config;
use crate::dirs::DataDirs;
use crate::forward::{Api, Via};
use crate::http;
use crate::local::OwnApi;
use crate::telemetry::metrics::Metrics;

/// A running agent.
pub(crate) struct Agent {
    server: Option<Server>,
    client: Option<Client>,
    cluster: Cluster,
    dirs: DataDirs,
    stop: CancellationToken,
    failed: mpsc::Receiver<String>,
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
        let dirs = DataDirs::open(&config)?;
        let metrics = Metrics::new(
            config.telemetry.in_memory_collection_interval,
            (!config.telemetry.disable_hostname).then(host_name),
        );
        metrics.install();
        let stop = CancellationToken::new();
        let listeners = Listeners::open(&config).await?;
        let bind = listeners.bound(&config)?;
        let mut advertise = Addresses {
            http: advertised(&config, &config.advertise.http, bind.http.parse()?)?,
            ..Addresses::default()
        };
        if config.server.enabled {
            advertise.rpc = advertised(&config, &config.advertise.rpc, bind.rpc.parse()?)?;
            advertise.serf = advertised(&config, &config.advertise.serf, bind.serf.parse()?)?;
        }
        let (fatal, failed) = mpsc::channel(1);
        let ids = SharedIds::random();
        let own_api = OwnApi::default();
        let mut server = None;
        if config.server.enabled {
            let started = server::start(&config, &dirs, &advertise, ids.clone()).await?;
            for listener in [listeners.rpc, listeners.serf].into_iter().flatten() {
                tokio::spawn(serve_rpc(listener, started.grpc_routes(), stop.clone()));
            }
            server = Some(started);
        }
        let cluster = Cluster::new(&config, name(&config), server.as_ref(), &advertise);
        let mut client = None;
        if config.client.enabled {
            let starting = client::start(&config, &dirs, &bind, &advertise, own_api.clone());
            let started = match starting.await {
                Ok(started) => started,
                Err(error) => {
                    // Its threads must not find the runtime gone.
                    stop.cancel();
                    if let Some(server) = server {
                        server.shutdown().await;
                    }
                    return Err(error);
                }
            };
            tokio::spawn(join::find_servers(
                Arc::clone(&config),
                started.clone(),
                fatal.clone(),
                stop.clone(),
            ));
            client = Some(started);
        }
        let backend: Arc<dyn Backend> = Arc::new(AgentBackend {
            identity: AgentIdentity {
                region: config.region.clone(),
                datacenter: config.datacenter.clone(),
                name: name(&config),
                server: config.server.enabled,
                client: config.client.enabled,
                response_headers: config.http_api_response_headers.clone(),
            },
            server: server.clone().map(|server| ServerHalf {
                server,
                ids,
                defaults: Arc::new(spec::ServerDefaults {
                    priority: i64::from(config.server.job_default_priority),
                    ..spec::ServerDefaults::default()
                }),
                max_source_bytes: config.server.job_max_source_size,
            }),
            nothing: Store::new(),
            node: client.clone().map(LocalNode),
            metrics,
            addresses: advertise.clone(),
            cluster: cluster.clone(),
            started: SystemClock.now(),
            config: Arc::clone(&config),
        });
        let api = Arc::new(Api {
            backend,
            cluster: cluster.clone(),
            server: server.clone(),
            client: client.clone(),
        });
        own_api.set(Arc::clone(&api));
        if let Some(server) = &server {
            let forwarded = Arc::clone(&api);
            server.set_forward_handler(Arc::new(move |io| {
                tokio::spawn(http::speak(io, Arc::clone(&forwarded), Via::Forward));
            }));
            if !config.dev {
                let join = config.server.join.clone();
                let seeking = cluster::seek(
                    cluster.clone(),
                    server.clone(),
                    join,
                    fatal.clone(),
                    stop.clone(),
                );
                tokio::spawn(seeking);
            }
        }
        let limit = config.limits.http_max_conns_per_client;
        tokio::spawn(http::serve(listeners.http, api, limit, stop.clone()));
        Ok(Self {
            server,
            client,
            cluster,
            dirs,
            stop,
            failed,
            bind,
            advertise,
        })
    }

    /// Resolves with the reason when the agent cannot go on.
    pub(crate) async fn failed(&mut self) -> String {
        match self.failed.recv().await {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// Takes the agent out of the cluster for good, as far as others are left to go on.
    pub(crate) async fn leave(&self) {
        if let Some(server) = &self.server {
            cluster::leave(&self.cluster, server).await;
        }
    }

    /// Stops everything. Tasks of a client that keeps its data run on.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if let Some(client) = self.client {
            client.shutdown().await;
        }
        if let Some(server) = self.server {
            server.shutdown().await;
        }
        // The last one to go: a `-dev` agent keeps nothing.
        drop(self.dirs);
    }

    /// The server's id, or else the node's, for the banner.
    pub(crate) fn id(&self) -> Option<String> {
        match (&self.server, &self.client) {
            (Some(server), _) => Some(server.config().id.to_string()),
            (None, Some(client)) => Some(client.node_id().to_string()),
            (None, None) => None,
        }
    }
}

/// The sockets, all opened before anything is started.
struct Listeners {
    http: TcpListener,
    /// Servers only.
    rpc: Option<TcpListener>,
    /// Where servers are looked for by those that join; it speaks the same as the RPC listener.
    serf: Option<TcpListener>,
}

impl Listeners {
    async fn open(config: &Config) -> anyhow::Result<Self> {
        let (addresses, ports) = (&config.addresses, &config.ports);
        let http = bind_address(config, &addresses.http, ports.http)?;
        let mut listeners = Self {
            http: listen(http, "HTTP").await?,
            rpc: None,
            serf: None,
        };
        if config.server.enabled {
            let rpc = bind_address(config, &addresses.rpc, ports.rpc)?;
            listeners.rpc = Some(listen(rpc, "RPC").await?);
            // Nobody joins a development server.
            if !config.dev {
                let serf = bind_address(config, &addresses.serf, ports.serf)?;
                listeners.serf = Some(listen(serf, "Serf").await?);
            }
        }
        Ok(listeners)
    }

    fn bound(&self, config: &Config) -> anyhow::Result<Addresses> {
        let of = |listener: &Option<TcpListener>, own: &str, port: u16| match listener {
            Some(listener) => Ok(listener.local_addr()?),
            None => bind_address(config, own, port),
        };
        let (addresses, ports) = (&config.addresses, &config.ports);
        Ok(Addresses {
            http: self.http.local_addr()?.to_string(),
            rpc: of(&self.rpc, &addresses.rpc, ports.rpc)?.to_string(),
            serf: of(&self.serf, &addresses.serf, ports.serf)?.to_string(),
        })
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
