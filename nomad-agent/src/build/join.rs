//! Where a client finds its servers: what is configured is resolved, again and again until a server has the node.

use std::sync::Arc;
use std::time::Duration;

use nomad_client::Client;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// Pause between rounds while names cannot be resolved and no other is configured.
const QUICK_ROUNDS: u32 = 3;
/// The first rounds come quickly: at boot a name service may be a moment late.
const QUICK_PAUSE: Duration = Duration::from_secs(1);

/// Tells the client of its servers. Ends when one has registered the node; a limit on the rounds that is reached
/// before is told to `fatal`.
pub(super) async fn find_servers(
    config: Arc<Config>,
    client: Client,
    fatal: mpsc::Sender<String>,
    stop: CancellationToken,
) {
    let join = &config.client.join;
    let entries: Vec<String> = config
        .client
        .servers
        .iter()
        .chain(&join.retry_join)
        .cloned()
        .collect();
    if entries.is_empty() {
        if !config.server.enabled {
            tracing::warn!("no servers are configured: set client.servers or server_join");
        }
        return;
    }
    let mut rounds = 0_u32;
    loop {
        rounds = rounds.saturating_add(1);
        client.add_servers(resolve(&entries, DEFAULT_RPC_PORT).await);
        let pause = if rounds <= QUICK_ROUNDS {
            QUICK_PAUSE.min(join.retry_interval)
        } else {
            join.retry_interval
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = client.wait_registered() => return,
            () = tokio::time::sleep(pause) => {}
        }
        if join.retry_max > 0 && rounds > join.retry_max {
            let text = format!("no server could be joined in {rounds} rounds (retry_max)");
            // The agent is ending by itself if nobody listens.
            let _ = fatal.send(text).await;
            return;
        }
    }
}

/// Port of servers where an address of a client's configuration names none.
pub(crate) const DEFAULT_RPC_PORT: u16 = 4647;

/// `host[:port]` entries as addresses; one that cannot be resolved is logged and left out.
pub(crate) async fn resolve(entries: &[String], default_port: u16) -> Vec<String> {
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.trim();
        if entry.starts_with("provider=") || entry.starts_with("exec=") {
            tracing::warn!(
                entry,
                "finding servers by a provider or a program is not built yet"
            );
            continue;
        }
        let address = with_port(entry, default_port);
        match tokio::net::lookup_host(&address).await {
            Ok(addresses) => {
                for address in addresses {
                    let address = address.to_string();
                    if !found.contains(&address) {
                        found.push(address);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(server = %address, %error, "server address cannot be resolved");
            }
        }
    }
    found
}

/// The address with a port; IPv6 addresses may stand with or without brackets.
fn with_port(entry: &str, default_port: u16) -> String {
    if let Ok(ip) = entry.parse::<std::net::Ipv6Addr>() {
        return format!("[{ip}]:{default_port}");
    }
    let has_port = entry
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port {
        entry.to_owned()
    } else {
        format!("{entry}:{default_port}")
    }
}

#[cfg(test)]
mod tests {
    use super::with_port;

    #[test]
    fn ports_are_added_where_none_is() {
        for (entry, address) in [
            ("10.0.0.1", "10.0.0.1:4647"),
            ("10.0.0.1:9", "10.0.0.1:9"),
            ("nomad.example", "nomad.example:4647"),
            ("::1", "[::1]:4647"),
            ("[::1]", "[::1]:4647"),
            ("[::1]:9", "[::1]:9"),
        ] {
            assert_eq!(with_port(entry, 4647), address);
        }
    }
}
