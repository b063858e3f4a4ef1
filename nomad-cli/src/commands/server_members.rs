//! `server members`.

use anyhow::{Context as _, Result};
use clap::Args;
use nomad_api::types::AgentMember;

use super::shared::{print_object, row};
use crate::command::Verb;
use crate::context::{Context, usage};

/// Flags of `server members`.
#[derive(Debug, Args)]
pub struct ServerMembers {
    /// Show tags too.
    #[arg(long)]
    pub verbose: bool,
    #[arg(long, hide = true)]
    pub detailed: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
    #[arg(long, hide = true)]
    pub ui: bool,
}

impl Verb for ServerMembers {
    const ABOUT: &'static str = "Lists the servers that the agent knows.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.json && self.t.is_some() {
            return usage("Both json and template formatting are not allowed");
        }
        let mut members = context
            .client
            .agent_members()
            .await
            .context("Error querying servers")?
            .members;
        if members.is_empty() {
            context.ui.error("Agent doesn't know about server members");
            return Ok(0);
        }
        members.sort_by(|a, b| a.name.cmp(&b.name));
        let leader = context.client.leader().await;
        let address = leader.as_deref().unwrap_or("").to_owned();
        if self.json || self.t.is_some() {
            for member in &mut members {
                let is_leader = is_leader(member, &address).to_string();
                member.tags.insert("Leader".to_owned(), is_leader);
            }
            return print_object(&context, serde_json::to_value(&members)?, self.t.as_deref());
        }
        context.ui.out(members_table(
            &members,
            &address,
            self.verbose || self.detailed,
        ));
        context
            .hint("View and manage Nomad servers", "/servers")
            .await;
        match leader {
            Ok(address) if !address.is_empty() => Ok(0),
            Ok(_) => {
                context.ui.warn("\nError determining leaders: no leader");
                Ok(1)
            }
            Err(error) => {
                context
                    .ui
                    .warn(format!("\nError determining leaders: {error}"));
                Ok(1)
            }
        }
    }
}

/// Whether a member's RPC address is the leader's.
fn is_leader(member: &AgentMember, leader: &str) -> bool {
    let tag = |name: &str| member.tags.get(name).map_or("", String::as_str);
    let host = match tag("rpc_addr") {
        "" => member.addr.as_str(),
        host => host,
    };
    let port = tag("port");
    !leader.is_empty()
        && (leader == format!("{host}:{port}") || leader == format!("{}:{port}", member.addr))
}

fn members_table(members: &[AgentMember], leader: &str, detailed: bool) -> String {
    let mut rows = vec![if detailed {
        row([
            "Name",
            "Address",
            "Port",
            "Status",
            "Leader",
            "Protocol",
            "Raft Version",
            "Build",
            "Datacenter",
            "Region",
            "Tags",
        ])
    } else {
        row([
            "Name",
            "Address",
            "Port",
            "Status",
            "Leader",
            "Raft Version",
            "Build",
            "Datacenter",
            "Region",
        ])
    }];
    for member in members {
        let tag = |name: &str| member.tags.get(name).cloned().unwrap_or_default();
        let mut cells = vec![
            member.name.clone(),
            member.addr.clone(),
            member.port.to_string(),
            member.status.clone(),
            is_leader(member, leader).to_string(),
        ];
        if detailed {
            cells.push(member.protocol_cur.to_string());
        }
        cells.extend([tag("raft_vsn"), tag("build"), tag("dc"), tag("region")]);
        if detailed {
            let tags = member
                .tags
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            cells.push(tags.collect::<Vec<_>>().join(","));
        }
        rows.push(cells);
    }
    crate::format::table_with_blanks(&rows)
}
