//! `cpu.arch`, in the spelling that job files use.

use nomad_core::node::Node;

use super::{Host, set};

pub(super) fn probe(_: &Host<'_>, node: &mut Node) {
    set(node, "cpu.arch", spelling(std::env::consts::ARCH));
}

fn spelling(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        other => other,
    }
}
