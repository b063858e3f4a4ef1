//! Variables about ports and addresses.

use std::collections::BTreeMap;

use nomad_core::alloc::{AllocNetworkStatus, AllocatedPort, AllocatedResources};
use nomad_core::job::NetworkResource;

use super::names::clean;

type Vars = BTreeMap<String, String>;

/// `host:port`, with brackets around an IPv6 address.
pub(super) fn join(ip: &str, port: i64) -> String {
    if ip.contains(':') {
        format!("[{ip}]:{port}")
    } else {
        format!("{ip}:{port}")
    }
}

/// Variables about the ports of the group.
pub(super) fn group(vars: &mut Vars, ports: &[AllocatedPort]) {
    for port in ports {
        let label = &port.label;
        let inner = if port.to > 0 { port.to } else { port.value };
        let address = join(&port.host_ip, port.value);
        put(vars, "NOMAD_ADDR_", label, address.clone());
        put(vars, "NOMAD_IP_", label, port.host_ip.clone());
        put(vars, "NOMAD_PORT_", label, inner.to_string());
        put(vars, "NOMAD_HOST_PORT_", label, port.value.to_string());
        vars.insert(format!("NOMAD_HOST_IP_{label}"), port.host_ip.clone());
        vars.insert(format!("NOMAD_HOST_ADDR_{label}"), address);
        vars.insert(format!("NOMAD_ALLOC_PORT_{label}"), inner.to_string());
    }
}

/// Variables about the allocation's own network.
pub(super) fn alloc_network(
    vars: &mut Vars,
    ports: &[AllocatedPort],
    status: Option<&AllocNetworkStatus>,
) {
    let Some(status) = status.filter(|status| !status.address.is_empty()) else {
        return;
    };
    for port in ports {
        let label = &port.label;
        let inner = if port.to > 0 { port.to } else { port.value };
        vars.insert(
            format!("NOMAD_ALLOC_INTERFACE_{label}"),
            status.interface_name.clone(),
        );
        vars.insert(format!("NOMAD_ALLOC_IP_{label}"), status.address.clone());
        vars.insert(
            format!("NOMAD_ALLOC_ADDR_{label}"),
            join(&status.address, inner),
        );
    }
}

/// Variables about networks that tasks ask for themselves (the old way): the task's own and those of its siblings.
pub(super) fn task_networks(vars: &mut Vars, task: &str, resources: &AllocatedResources) {
    for (name, given) in &resources.tasks {
        for network in &given.networks {
            for port in network.ports() {
                if name == task {
                    own_port(vars, network, &port.label, port.value, port.to);
                } else {
                    let label = format!("{name}_{}", port.label);
                    put(vars, "NOMAD_ADDR_", &label, join(&network.ip, port.value));
                    put(vars, "NOMAD_IP_", &label, network.ip.clone());
                    put(vars, "NOMAD_PORT_", &label, port.value.to_string());
                }
            }
        }
    }
}

fn own_port(vars: &mut Vars, network: &NetworkResource, label: &str, value: i64, to: i64) {
    let inner = if to > 0 { to } else { value };
    put(vars, "NOMAD_ADDR_", label, join(&network.ip, value));
    put(vars, "NOMAD_IP_", label, network.ip.clone());
    put(vars, "NOMAD_PORT_", label, inner.to_string());
    put(vars, "NOMAD_HOST_PORT_", label, value.to_string());
    let family = if network.ip.contains(':') {
        "NOMAD_IPv6_"
    } else {
        "NOMAD_IPv4_"
    };
    vars.insert(format!("{family}{label}"), network.ip.clone());
}

fn put(vars: &mut Vars, family: &str, label: &str, value: String) {
    vars.insert(clean(&format!("{family}{label}")), value);
}
