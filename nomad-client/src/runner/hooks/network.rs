//! Refuses networks of the allocation's own, which are not built yet: a task must not run in another network than it asked for.

use std::sync::Arc;

use super::super::AllocRunner;

pub(super) fn run(runner: &Arc<AllocRunner>) -> Result<(), String> {
    let alloc = runner.alloc();
    let mode = alloc
        .group()
        .and_then(|group| group.networks.first())
        .map(|network| network.mode.as_str())
        .unwrap_or_default();
    match mode {
        "" | "host" => Ok(()),
        other => Err(format!(
            "this version does not set up networks of mode {other:?}"
        )),
    }
}
