//! What every command gets: the general flags, a client, and where to print.

use anyhow::{Context as _, Result};
use clap::Args;
use nomad_api::client::{Client, Config, QueryOptions};
use nomad_core::Timestamp;

use crate::argv::go_bool;
use crate::ui::Ui;

/// Flags of every command that talks to an agent.
#[derive(Debug, Clone, Default, Args)]
pub struct General {
    /// Address of the agent: http://host:port or unix:///path. Also NOMAD_ADDR; http://127.0.0.1:4646 by default.
    #[arg(long, value_name = "addr")]
    pub address: Option<String>,
    /// Region to send the request to. Also NOMAD_REGION; the agent's own by default.
    #[arg(long, value_name = "region")]
    pub region: Option<String>,
    /// Namespace to work in; "*" is every namespace where the command allows it. Also NOMAD_NAMESPACE.
    #[arg(long, value_name = "namespace")]
    pub namespace: Option<String>,
    /// Secret of the ACL token. Also NOMAD_TOKEN.
    #[arg(long, value_name = "token")]
    pub token: Option<String>,
    /// No colours. Also NOMAD_CLI_NO_COLOR; wins over -force-color.
    #[arg(long)]
    pub no_color: bool,
    /// Colours even where no terminal is seen. Also NOMAD_CLI_FORCE_COLOR.
    #[arg(long)]
    pub force_color: bool,
    /// File with CA certificates. Also NOMAD_CACERT.
    #[arg(long, value_name = "path")]
    pub ca_cert: Option<String>,
    /// Directory with CA certificates. Also NOMAD_CAPATH.
    #[arg(long, value_name = "path")]
    pub ca_path: Option<String>,
    /// File with the client's certificate; needs -client-key. Also NOMAD_CLIENT_CERT.
    #[arg(long, value_name = "path")]
    pub client_cert: Option<String>,
    /// File with the key of the client's certificate. Also NOMAD_CLIENT_KEY.
    #[arg(long, value_name = "path")]
    pub client_key: Option<String>,
    /// Name that the server's certificate must have. Also NOMAD_TLS_SERVER_NAME.
    #[arg(long, value_name = "name")]
    pub tls_server_name: Option<String>,
    /// Do not verify the server's certificate. Also NOMAD_SKIP_VERIFY.
    #[arg(long)]
    pub tls_skip_verify: bool,
    #[arg(long, hide = true)]
    pub insecure: bool,
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl General {
    /// Where and how to print.
    pub fn ui(&self) -> Ui {
        let off = self.no_color || env("NOMAD_CLI_NO_COLOR").is_some();
        let forced = self.force_color || env("NOMAD_CLI_FORCE_COLOR").is_some();
        Ui::new(off, forced)
    }

    /// The client's settings: a flag beats the environment, that beats the standard.
    pub fn config(&self) -> Config {
        let pick = |flag: &Option<String>, name: &str| {
            flag.clone().or_else(|| env(name)).unwrap_or_default()
        };
        let address = match pick(&self.address, "NOMAD_ADDR") {
            empty if empty.is_empty() => Config::DEFAULT_ADDRESS.to_owned(),
            address => address.trim_end_matches('/').to_owned(),
        };
        Config {
            address,
            region: pick(&self.region, "NOMAD_REGION"),
            namespace: pick(&self.namespace, "NOMAD_NAMESPACE"),
            token: pick(&self.token, "NOMAD_TOKEN"),
            basic_auth: env("NOMAD_HTTP_AUTH").map(|pair| match pair.split_once(':') {
                Some((user, password)) => (user.to_owned(), password.to_owned()),
                None => (pair, String::new()),
            }),
        }
    }
}

/// What a command runs with.
#[derive(Debug, Clone)]
pub struct Context {
    pub ui: Ui,
    pub client: Client,
    pub config: Config,
    /// The words after the flags.
    pub args: Vec<String>,
    /// Everything after `nomad`.
    pub line: Vec<String>,
}

impl Context {
    pub fn new(general: &General, args: Vec<String>, line: Vec<String>) -> Result<Self> {
        let config = general.config();
        let client = Client::new(config.clone()).context("Error initializing client")?;
        Ok(Self {
            ui: general.ui(),
            client,
            config,
            args,
            line,
        })
    }

    /// The argument at a place, or "".
    pub fn arg(&self, at: usize) -> &str {
        self.args.get(at).map_or("", String::as_str)
    }

    /// Options of a request in that namespace.
    pub fn in_namespace(&self, namespace: &str) -> QueryOptions {
        QueryOptions::new().namespace(namespace)
    }

    /// Tells where the web interface shows this, unless hints are off.
    pub async fn hint(&self, text: &str, path: &str) {
        let wanted = match env("NOMAD_CLI_SHOW_HINTS") {
            Some(value) => go_bool(&value).unwrap_or_else(|| {
                self.ui.warn(format!(
                    "NOMAD_CLI_SHOW_HINTS is {value:?}: want true or false"
                ));
                false
            }),
            None => match self.client.agent_self().await {
                Ok(agent) => agent["config"]["UI"]["ShowCLIHints"]
                    .as_bool()
                    .unwrap_or(false),
                Err(_) => false,
            },
        };
        if wanted {
            self.ui.warn(format!(
                "\n\n==> {text} in the Web UI: {}/ui{path}",
                self.config.address
            ));
        }
    }
}

/// Now, by this machine's clock.
pub fn now() -> Timestamp {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).map_or(Timestamp::ZERO, Timestamp)
}

/// The command line is wrong: one sentence, and where help is.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError(pub String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// A [`UsageError`] as the error of a command.
pub fn usage<T>(text: impl Into<String>) -> Result<T> {
    Err(UsageError(text.into()).into())
}
