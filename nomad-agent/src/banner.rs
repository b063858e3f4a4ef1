//! What an agent prints before its log.

use std::io::Write;

use crate::config::Config;

/// Addresses of the listeners, as the banner shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) http: String,
    pub(crate) rpc: String,
    pub(crate) serf: String,
}

/// The lines from "Starting" to "started".
pub(crate) fn lines(
    config: &Config,
    bind: &Shown,
    advertise: &Shown,
    node_id: Option<&str>,
) -> Vec<String> {
    let mut lines = Vec::new();
    if config.files.is_empty() {
        lines.push("==> No configuration files loaded".to_owned());
    } else {
        let files: Vec<_> = config
            .files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        lines.push(format!(
            "==> Loaded configuration from {}",
            files.join(", ")
        ));
    }
    lines.push("==> Starting Nomad agent...".to_owned());
    lines.push("==> Nomad agent configuration:".to_owned());
    lines.push(String::new());
    let addresses = |shown: &Shown| {
        if config.server.enabled {
            format!(
                "HTTP: {}; RPC: {}; Serf: {}",
                shown.http, shown.rpc, shown.serf
            )
        } else {
            format!("HTTP: {}", shown.http)
        }
    };
    let mut pairs = vec![
        ("Advertise Addrs", addresses(advertise)),
        (
            "Bind Addrs",
            addresses(bind).replacen(&bind.http, &format!("[{}]", bind.http), 1),
        ),
        ("Client", config.client.enabled.to_string()),
        ("Log Level", config.log_level.to_ascii_uppercase()),
    ];
    if let Some(id) = node_id {
        pairs.push(("Node Id", id.to_owned()));
    }
    pairs.push((
        "Region",
        format!("{} (DC: {})", config.region, config.datacenter),
    ));
    pairs.push(("Server", config.server.enabled.to_string()));
    pairs.push((
        "Version",
        format!(
            "{} (API level {})",
            env!("CARGO_PKG_VERSION"),
            nomad_core::API_LEVEL
        ),
    ));
    lines.extend(
        pairs
            .into_iter()
            .map(|(key, value)| format!("{key:>18}: {value}")),
    );
    lines.push(String::new());
    lines.push("==> Nomad agent started! Log data will stream in below:".to_owned());
    lines.push(String::new());
    lines
}

/// Prints lines to standard output; a closed pipe is no reason to stop.
pub(crate) fn print(lines: &[String]) {
    let mut out = std::io::stdout().lock();
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
    let _ = out.flush();
}
