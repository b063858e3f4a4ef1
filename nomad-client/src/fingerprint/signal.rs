//! `os.signals`: the signals that can be sent to tasks here.

use nomad_core::node::Node;

use super::{Host, set};
use crate::signals::NAMES;

pub(super) fn probe(_: &Host<'_>, node: &mut Node) {
    let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
    set(node, "os.signals", names.join(","));
}
