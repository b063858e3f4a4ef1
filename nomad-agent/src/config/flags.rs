//! Flags of `nomad agent`, in Go's style: `-flag=value`, `-flag value`, `--flag`.

use std::path::PathBuf;

use super::{Config, Problem};

/// Flags as they were given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    /// Files and directories, in order.
    pub config: Vec<PathBuf>,
    pub dev: bool,
    pub help: bool,
    values: Vec<(String, String)>,
}

/// Flags that stand alone.
const SWITCHES: [&str; 9] = [
    "dev",
    "dev-connect",
    "server",
    "client",
    "log-json",
    "log-include-location",
    "rejoin",
    "help",
    "h",
];

/// Flags with a value.
const VALUES: [&str; 25] = [
    "config",
    "bind",
    "data-dir",
    "plugin-dir",
    "dc",
    "region",
    "node",
    "log-level",
    "bootstrap-expect",
    "raft-protocol",
    "state-dir",
    "alloc-dir",
    "node-class",
    "node-pool",
    "servers",
    "meta",
    "network-interface",
    "preferred-address-family",
    "network-speed",
    "http-port",
    "rpc-port",
    "join",
    "retry-join",
    "retry-max",
    "retry-interval",
];

/// Reads the arguments after `agent`; stray words are ignored.
///
/// # Errors
/// Every flag that is unknown or lacks its value.
pub fn parse_flags(args: &[String]) -> Result<Flags, Vec<Problem>> {
    let mut flags = Flags::default();
    let mut problems = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let Some(flag) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) else {
            continue;
        };
        let (name, value) = flag
            .split_once('=')
            .map_or((flag, None), |(name, value)| (name, Some(value.to_owned())));
        if SWITCHES.contains(&name) {
            let on = match value.as_deref() {
                None => true,
                Some(text) => nomad_api::query::go_bool(text).unwrap_or(true),
            };
            match name {
                "dev" | "dev-connect" => flags.dev |= on,
                "help" | "h" => flags.help |= on,
                _ => flags.values.push((name.to_owned(), on.to_string())),
            }
        } else if VALUES.contains(&name) {
            match value.or_else(|| args.next().cloned()) {
                None => problems.push(Problem::plain(format!("flag needs an argument: -{name}"))),
                Some(value) if name == "config" => flags.config.push(PathBuf::from(value)),
                Some(value) => flags.values.push((name.to_owned(), value)),
            }
        } else {
            problems.push(Problem::plain(format!(
                "flag provided but not defined: -{name}"
            )));
        }
    }
    if problems.is_empty() {
        Ok(flags)
    } else {
        Err(problems)
    }
}

impl Flags {
    /// Puts the flags over what the files said.
    pub(super) fn apply(&self, config: &mut Config, problems: &mut Vec<Problem>) {
        for (name, value) in &self.values {
            let text = value.clone();
            let path = || Some(PathBuf::from(value));
            let mut number = |into: &mut dyn FnMut(i64)| match value.parse() {
                Ok(number) => into(number),
                Err(_) => problems.push(Problem::plain(format!(
                    "-{name} must be a number, got {value:?}"
                ))),
            };
            match name.as_str() {
                "bind" => config.bind_addr = text,
                "data-dir" => config.data_dir = path(),
                "plugin-dir" => config.plugin_dir = path(),
                "dc" => config.datacenter = text,
                "region" => config.region = text,
                "node" => config.name = text,
                "log-level" => config.log_level = text,
                "log-json" => config.log_json |= value == "true",
                "log-include-location" => config.log_include_location |= value == "true",
                "server" => config.server.enabled |= value == "true",
                "client" => config.client.enabled |= value == "true",
                "bootstrap-expect" => {
                    number(&mut |n| config.server.bootstrap_expect = u32::try_from(n).unwrap_or(0));
                }
                "state-dir" => config.client.state_dir = path(),
                "alloc-dir" => config.client.alloc_dir = path(),
                "node-class" => config.client.settings.node_class = text,
                "node-pool" => config.client.settings.node_pool = text,
                "servers" => config
                    .client
                    .servers
                    .extend(value.split(',').map(|s| s.trim().to_owned())),
                "meta" => match value.split_once('=') {
                    Some((key, value)) => {
                        config
                            .client
                            .settings
                            .meta
                            .insert(key.to_owned(), value.to_owned());
                    }
                    None => problems.push(Problem::plain(format!(
                        "-meta must be key=value, got {value:?}"
                    ))),
                },
                "network-interface" => config.client.settings.network_interface = text,
                "preferred-address-family" => {
                    config.client.settings.preferred_address_family = text
                }
                "network-speed" => number(&mut |n| config.client.settings.network_speed = n),
                "http-port" => number(&mut |n| config.ports.http = u16::try_from(n).unwrap_or(0)),
                "rpc-port" => number(&mut |n| config.ports.rpc = u16::try_from(n).unwrap_or(0)),
                "rejoin" => config.server.rejoin_after_leave |= value == "true",
                "join" => config.server.join.start_join.push(text),
                "retry-join" => config.server.join.retry_join.push(text),
                "retry-max" => {
                    number(&mut |n| config.server.join.retry_max = u32::try_from(n).unwrap_or(0));
                }
                "retry-interval" => match nomad_core::time::parse_go_duration(value) {
                    Some(span) if span.0 > 0 => config.server.join.retry_interval = span.to_std(),
                    _ => problems.push(Problem::plain(format!(
                        "-retry-interval can't parse time duration {value} (write it with a unit, such as \"30s\")"
                    ))),
                },
                // Only version 3 ever existed for these agents.
                _ => {}
            }
        }
    }
}
