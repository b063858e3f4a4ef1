//! `os.cgroups.version`, and the parent of the tasks' cgroups.

use nomad_core::node::Node;
use rustix::fs::statfs;

use super::{Host, set};

const CGROUP2_MAGIC: i64 = 0x6367_7270;
const TMPFS_MAGIC: i64 = 0x0102_1994;

pub(super) fn probe(host: &Host<'_>, node: &mut Node) {
    let version = match statfs(host.path("sys/fs/cgroup")) {
        Ok(info) if info.f_type == CGROUP2_MAGIC => 2,
        Ok(info) if info.f_type == TMPFS_MAGIC => 1,
        _ => return,
    };
    set(node, "os.cgroups.version", version);
    node.cgroup_parent = if host.config.cgroup_parent.is_empty() {
        "nomad.slice".to_owned()
    } else {
        host.config.cgroup_parent.clone()
    };
}
