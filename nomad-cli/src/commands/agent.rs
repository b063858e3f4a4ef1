//! `agent`: its flags are read by the agent itself; this is its place in lists and help.

use anyhow::Result;
use clap::Args;

use crate::command::Verb;
use crate::context::Context;

/// The flags most used; the agent knows more.
#[derive(Debug, Args)]
pub struct Agent {
    /// A throw-away server and client in one process, with data in a temporary directory.
    #[arg(long)]
    pub dev: bool,
    /// Configuration file, or directory of such files. May be given several times; later ones win.
    #[arg(long, value_name = "path")]
    pub config: Vec<String>,
    /// Directory for everything the agent keeps.
    #[arg(long, value_name = "path")]
    pub data_dir: Option<String>,
    /// Address to listen on.
    #[arg(long, value_name = "addr")]
    pub bind: Option<String>,
    /// TRACE, DEBUG, INFO, WARN or ERROR.
    #[arg(long, value_name = "level")]
    pub log_level: Option<String>,
    /// Run a server.
    #[arg(long)]
    pub server: bool,
    /// Run a client.
    #[arg(long)]
    pub client: bool,
}

impl Verb for Agent {
    const ABOUT: &'static str = "Runs an agent until it is interrupted. An agent is a server, which keeps the \
        cluster's state and places work, or a client, which runs it, or both.";

    async fn run(self, context: Context) -> Result<i32> {
        context.ui.error("agent: unexpected words after the flags");
        Ok(1)
    }
}
