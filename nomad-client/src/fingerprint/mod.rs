//! What the node is and has: one probe a file, all quick, none of them starts a program or asks the network.
//!
//! Source: client and drivers reference, section 1.3.

mod arch;
mod cgroup;
mod cpu;
mod cpuset;
mod host;
mod landlock;
mod memory;
mod network;
mod nomad;
mod rtnetlink;
mod signal;
mod smbios;
mod storage;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use nomad_core::node::Node;

use crate::config::ClientConfig;

pub(crate) use cpuset::{format_list, parse_list};
pub(crate) use memory::meminfo;
pub(crate) use storage::{disk_usage, mounts};

/// What probes look at.
#[derive(Debug, Clone)]
pub struct Host<'a> {
    /// The client's settings.
    pub config: &'a ClientConfig,
    /// Where the root of the file system is; tests put a small one elsewhere.
    pub root: PathBuf,
}

impl<'a> Host<'a> {
    /// The machine itself.
    pub fn real(config: &'a ClientConfig) -> Self {
        Self {
            config,
            root: PathBuf::from("/"),
        }
    }

    fn path(&self, below_root: &str) -> PathBuf {
        self.root.join(below_root)
    }

    /// A small file's text without white space at its ends; empty when it is missing.
    fn text(&self, below_root: &str) -> String {
        read_small(&self.path(below_root))
    }
}

/// Largest file that probes read, in bytes; `/proc/cpuinfo` of many cores is the largest.
const MAX_FILE_BYTES: u64 = 8 << 20;

fn read_small(path: &Path) -> String {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        Err(_) => String::new(),
    }
}

/// A probe: its name in the allow and deny lists, and what it adds to the node.
type Probe = (&'static str, fn(&Host<'_>, &mut Node));

const PROBES: [Probe; 10] = [
    ("arch", arch::probe),
    ("cgroup", cgroup::probe),
    ("cpu", cpu::probe),
    ("host", host::probe),
    ("landlock", landlock::probe),
    ("memory", memory::probe),
    ("network", network::probe),
    ("nomad", nomad::probe),
    ("signal", signal::probe),
    ("storage", storage::probe),
];

/// Describes the node: settings first, then every probe that the lists let through. Ids and drivers are not in it.
pub fn fingerprint(host: &Host<'_>) -> Node {
    let mut node = nomad::base(host);
    for (name, probe) in PROBES {
        if host.config.allows("fingerprint", name) {
            probe(host, &mut node);
        }
    }
    node.attributes.retain(|_, value| !value.is_empty());
    node
}

/// Sets an attribute.
fn set(node: &mut Node, key: &str, value: impl ToString) {
    node.attributes.insert(key.to_owned(), value.to_string());
}
