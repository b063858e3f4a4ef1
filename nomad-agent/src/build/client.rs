//! From a configuration to a running client.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use nomad_client::{Client, Deps, DriverFactory, PlainConnector};
use nomad_core::job::AnyMap;
use nomad_drivers::Driver;
use nomad_drivers::mock::{MockConfig, MockDriver};
use nomad_drivers::raw_exec::{RawExec, RawExecConfig};
use nomad_store::{KvStore, MemKv};
use nomad_supervisor::Launch;

use super::name;
use crate::backend::Addresses;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::dirs::DataDirs;
use crate::local::OwnApi;

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

pub(super) async fn start(
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
    settings.servers = own_server(config, bind)?;
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

/// The server of the client's own agent, which needs no looking for.
fn own_server(config: &Config, bind: &Addresses) -> anyhow::Result<Vec<SocketAddr>> {
    if !config.server.enabled {
        return Ok(Vec::new());
    }
    let mut own: SocketAddr = bind.rpc.parse().context("RPC address")?;
    if own.ip().is_unspecified() {
        own.set_ip(IpAddr::from([127, 0, 0, 1]));
    }
    Ok(vec![own])
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
