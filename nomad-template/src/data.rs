//! Where template functions get their data from: queries, answers, and the `DataSource` trait.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// One thing that a template asks for. Two templates that ask the same share one watcher.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Query {
    /// One Variable, or that there is none.
    Variable {
        /// Path of the Variable.
        path: String,
        /// Namespace; that of the job if not given.
        namespace: Option<String>,
    },
    /// Metadata of the Variables whose path starts with `prefix`.
    Variables {
        /// Prefix of the paths.
        prefix: String,
        /// Namespace; that of the job if not given.
        namespace: Option<String>,
    },
    /// The instances of a service.
    Service {
        /// Name of the service.
        name: String,
        /// Region; the agent's if not given.
        region: Option<String>,
        /// At most so many, chosen by rendezvous hashing with a key.
        choose: Option<(u64, String)>,
    },
    /// The names of all services.
    Services {
        /// Region; the agent's if not given.
        region: Option<String>,
    },
    /// Something of Consul's: the function asked and its arguments.
    Consul {
        /// Name of the template function.
        function: &'static str,
        /// Its arguments as text.
        args: Vec<String>,
    },
    /// Something of Vault's: the function asked and its arguments.
    Vault {
        /// Name of the template function.
        function: &'static str,
        /// Its arguments as text.
        args: Vec<String>,
    },
}

impl fmt::Display for Query {
    /// The name under which a missing answer is shown to the user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |namespace: &Option<String>| {
            namespace
                .as_ref()
                .map_or(String::new(), |ns| format!("@{ns}"))
        };
        match self {
            Self::Variable { path, namespace } => {
                write!(f, "nomad.var.block({path}{})", at(namespace))
            }
            Self::Variables { prefix, namespace } => {
                write!(f, "nomad.var.list({prefix}{})", at(namespace))
            }
            Self::Service { name, region, .. } => write!(f, "nomad.service({name}{})", at(region)),
            Self::Services { region } => write!(f, "nomad.services{}", at(region)),
            Self::Consul { function, args } => write!(f, "consul.{function}({})", args.join(",")),
            Self::Vault { function, args } => write!(f, "vault.{function}({})", args.join(",")),
        }
    }
}

/// What is known about a query now.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Nothing yet.
    Pending,
    /// The data. Shared: identical answers are held once.
    Ready(Arc<Data>),
    /// It will not be answered, and why. Rendering fails with this text.
    Failed(String),
}

/// The data that answers a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// To [`Query::Variable`]: the Variable if it exists.
    Variable(Option<Variable>),
    /// To [`Query::Variables`], in any order.
    Variables(Vec<VariableMeta>),
    /// To [`Query::Service`].
    Service(Vec<Service>),
    /// To [`Query::Services`].
    Services(Vec<ServiceName>),
    /// To Consul and Vault queries: `None` if there is no such thing.
    Json(Option<serde_json::Value>),
}

/// A Variable with its items.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Variable {
    /// What is known about it without its items.
    pub meta: VariableMeta,
    /// The items. Secret: not part of `Debug`.
    pub items: BTreeMap<String, String>,
}

impl fmt::Debug for Variable {
    /// Without the items, which are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variable")
            .field("meta", &self.meta)
            .field("items", &format_args!("{} items", self.items.len()))
            .finish()
    }
}

/// What is known about a Variable without its items.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VariableMeta {
    /// Namespace.
    pub namespace: String,
    /// Path.
    pub path: String,
    /// Raft index of its creation.
    pub create_index: u64,
    /// Raft index of its last change.
    pub modify_index: u64,
    /// Time of its creation, nanoseconds since 1970.
    pub create_time: i64,
    /// Time of its last change, nanoseconds since 1970.
    pub modify_time: i64,
}

/// One instance of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// Id of the registration.
    pub id: String,
    /// Name of the service.
    pub name: String,
    /// Node the instance runs on.
    pub node_id: String,
    /// Address to reach it at.
    pub address: String,
    /// Port to reach it at.
    pub port: u32,
    /// Datacenter of the node.
    pub datacenter: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Job it belongs to.
    pub job_id: String,
    /// Allocation it belongs to.
    pub alloc_id: String,
}

/// Name of a service and the tags of all its instances.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceName {
    /// Name of the service.
    pub name: String,
    /// Tags.
    pub tags: Vec<String>,
}

/// Answers queries from what is known now, without waiting.
pub trait DataSource: Send + Sync {
    /// What is known about `query`. Called while a template is rendered; must not block.
    fn query(&self, query: &Query) -> Answer;
}

/// A source that has nothing: every query fails with "not configured".
#[derive(Debug, Clone, Copy, Default)]
pub struct NoData;

impl DataSource for NoData {
    fn query(&self, query: &Query) -> Answer {
        Answer::Failed(not_configured(query))
    }
}

/// The text for a query whose system this client has no access to.
pub fn not_configured(query: &Query) -> String {
    let (system, function) = match query {
        Query::Consul { function, .. } => ("Consul", *function),
        Query::Vault { function, .. } => ("Vault", *function),
        Query::Variable { .. } => ("Nomad data", "nomadVar"),
        Query::Variables { .. } => ("Nomad data", "nomadVarList"),
        Query::Service { .. } => ("Nomad data", "nomadService"),
        Query::Services { .. } => ("Nomad data", "nomadServices"),
    };
    format!("{function}: {system} is not configured on this client")
}

/// Reads files for the `file` function, confined to where the task may read.
pub trait FileSource: Send + Sync {
    /// The bytes of `path` as the template wrote it.
    ///
    /// # Errors
    /// A sentence for the user: escapes, not found, too large.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;
}

/// A source without files.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

impl FileSource for NoFiles {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        Err(format!("{path}: no files can be read here"))
    }
}

/// One address of one network interface of the host, for the `sockaddr` function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddr {
    /// Name of the interface, such as `eth0`.
    pub name: String,
    /// The address.
    pub address: std::net::IpAddr,
    /// Length of the network prefix in bits.
    pub prefix_len: u8,
    /// Whether the interface is up.
    pub up: bool,
    /// Whether it carries the default route.
    pub default_route: bool,
}
