//! What a task is told: its environment variables, and what `${...}` means in its job file.
//!
//! Pure: everything comes in as arguments. Source: client and drivers reference, section 3; job specification, 2.9.

mod builder;
mod config;
mod expr;
mod functions;
mod interpolate;
mod names;
mod ports;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use nomad_core::job::StringMap;
use nomad_core::node::Node;

pub(crate) use self::builder::cpu_list;
pub use self::builder::{Dirs, EnvInput, build};
pub use self::config::{ConfigError, evaluate_config};
pub use self::names::{DEFAULT_DENYLIST, clean_key, filter_agent_env};

/// What `${attr...}`, `${meta...}` and `${node...}` refer to; one for all tasks of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeView {
    /// Node id.
    pub id: String,
    /// Node name.
    pub name: String,
    /// Datacenter.
    pub datacenter: String,
    /// Region of the servers.
    pub region: String,
    /// Node class.
    pub class: String,
    /// Node pool.
    pub pool: String,
    /// Fingerprinted attributes.
    pub attributes: StringMap,
    /// Meta, static and dynamic merged.
    pub meta: StringMap,
}

impl NodeView {
    /// Takes over what jobs may refer to.
    pub fn of(node: &Node, region: &str) -> Self {
        Self {
            id: node.id.to_string(),
            name: node.name.clone(),
            datacenter: node.datacenter.clone(),
            region: region.to_owned(),
            class: node.node_class.clone(),
            pool: node.node_pool.clone(),
            attributes: node.attributes.clone(),
            meta: node.meta.clone(),
        }
    }

    /// The value of `node.*`, `attr.*` or `meta.*`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let name = name
            .strip_prefix("node.")
            .filter(|rest| rest.starts_with("attr.") || rest.starts_with("meta."))
            .unwrap_or(name);
        if let Some(key) = name.strip_prefix("attr.") {
            return self.attributes.get(key).map(String::as_str);
        }
        if let Some(key) = name.strip_prefix("meta.") {
            return self.meta.get(key).map(String::as_str);
        }
        Some(match name {
            "node.unique.id" => &self.id,
            "node.unique.name" => &self.name,
            "node.datacenter" => &self.datacenter,
            "node.region" => &self.region,
            "node.class" => &self.class,
            "node.pool" => &self.pool,
            _ => return None,
        })
    }
}

/// The environment of one task. Made when it is needed and dropped afterwards.
#[derive(Debug, Clone, Default)]
pub struct TaskEnv {
    /// Variables as the task sees them.
    pub vars: BTreeMap<String, String>,
    /// The directory variables as paths of the host, for what the client itself opens.
    pub host_dirs: BTreeMap<String, String>,
    /// Values of `${secret.<block>.<key>}`, by `<block>.<key>`.
    pub secrets: BTreeMap<String, String>,
    /// The node.
    pub node: Arc<NodeView>,
}

impl TaskEnv {
    /// The value of a name within `${...}`, as the task sees it.
    pub fn get(&self, name: &str) -> Option<&str> {
        if let Some(value) = self.vars.get(name) {
            return Some(value);
        }
        if let Some(key) = quoted_env_key(name) {
            return self.vars.get(key).map(String::as_str);
        }
        if let Some(key) = name.strip_prefix("secret.") {
            return self.secrets.get(key).map(String::as_str);
        }
        self.node.get(name)
    }

    /// Replaces `${name}` where the name is known, as the task sees it.
    pub fn replace(&self, text: &str) -> String {
        interpolate::replace(text, |name| self.get(name))
    }

    /// Replaces `${name}` where the name is known, with host paths for the task's directories.
    pub fn replace_host(&self, text: &str) -> String {
        interpolate::replace(text, |name| {
            self.host_dirs
                .get(name)
                .map(String::as_str)
                .or_else(|| self.get(name))
        })
    }

    /// [`replace`](Self::replace) on every value of a map, and on its keys.
    pub fn replace_map(&self, map: &StringMap) -> StringMap {
        map.iter()
            .map(|(key, value)| (self.replace(key), self.replace(value)))
            .collect()
    }

    /// The variables as pairs for a new process.
    pub fn into_vars(self) -> BTreeMap<String, String> {
        self.vars
    }
}

/// The key of `env["key"]`.
fn quoted_env_key(name: &str) -> Option<&str> {
    name.strip_prefix("env[\"")?.strip_suffix("\"]")
}
