//! Operating system, kernel and names of the host.

use nomad_core::node::Node;
use rustix::system::uname;

use super::{Host, set};

pub(super) fn probe(host: &Host<'_>, node: &mut Node) {
    let (name, version) = release(host);
    set(node, "os.name", name);
    set(node, "os.version", version);
    let kernel = uname();
    set(
        node,
        "kernel.name",
        kernel.sysname().to_string_lossy().to_lowercase(),
    );
    set(node, "kernel.version", kernel.release().to_string_lossy());
    set(node, "kernel.arch", kernel.machine().to_string_lossy());
    set(node, "unique.hostname", hostname());
    set(node, "unique.host_id", host_id(host));
}

/// The host's name.
pub(crate) fn hostname() -> String {
    uname().nodename().to_string_lossy().into_owned()
}

/// Id and version of the distribution.
fn release(host: &Host<'_>) -> (String, String) {
    let text = host.text("etc/os-release");
    let field = |wanted: &str| {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .find(|(key, _)| *key == wanted)
            .map(|(_, value)| value.trim_matches(['"', '\'']).to_owned())
            .unwrap_or_default()
    };
    let name = field("ID");
    let version = field("VERSION_ID");
    if name == "debian" {
        // The point release stands only here.
        let point = host.text("etc/debian_version");
        if point.starts_with(|c: char| c.is_ascii_digit()) {
            return (name, point);
        }
    }
    (name, version)
}

/// An id of the machine: the firmware's, else that of the installation, else of this boot.
fn host_id(host: &Host<'_>) -> String {
    let product = host.text("sys/class/dmi/id/product_uuid").to_lowercase();
    if product.len() == 36 {
        return product;
    }
    let machine = host.text("etc/machine-id").to_lowercase();
    if machine.len() == 32 && machine.is_ascii() {
        return format!(
            "{}-{}-{}-{}-{}",
            &machine[..8],
            &machine[8..12],
            &machine[12..16],
            &machine[16..20],
            &machine[20..]
        );
    }
    host.text("proc/sys/kernel/random/boot_id")
}
