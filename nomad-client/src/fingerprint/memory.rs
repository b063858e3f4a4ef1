//! Memory of the machine.

use nomad_core::node::Node;

use super::{Host, set};

pub(super) fn probe(host: &Host<'_>, node: &mut Node) {
    let configured = host.config.memory_total_mb.saturating_mul(1 << 20);
    let bytes = if configured > 0 {
        configured
    } else {
        meminfo(&host.text("proc/meminfo"), "MemTotal")
    };
    if bytes > 0 {
        set(node, "memory.totalbytes", bytes);
        node.node_resources.memory.memory_mb = bytes >> 20;
    }
}

/// A field of `/proc/meminfo` in bytes, 0 when it is missing.
pub(crate) fn meminfo(text: &str, field: &str) -> i64 {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| *key == field)
        .and_then(|(_, value)| value.split_whitespace().next()?.parse::<i64>().ok())
        .map_or(0, |kib| kib.saturating_mul(1024))
}
