//! Rules for networks and ports.

use std::collections::{BTreeMap, BTreeSet};

use super::errors::Messages;
use crate::spec::{NetworkResource, Port, TaskGroup};

const MAX_PORT: i64 = 65_535;

fn ports(network: &NetworkResource) -> impl Iterator<Item = &Port> {
    network
        .reserved_ports
        .iter()
        .chain(&network.dynamic_ports)
        .flatten()
}

pub(super) fn errors(group: &TaskGroup) -> Messages {
    let mut errors = Messages::new();
    // Labels and fixed numbers with what holds them, for the messages.
    let mut labels: BTreeMap<&str, String> = BTreeMap::new();
    let mut fixed: BTreeMap<(String, i64), String> = BTreeMap::new();
    let group_networks = group.networks.as_deref().unwrap_or_default();
    for network in group_networks {
        for port in ports(network) {
            if let Some(earlier) = labels.insert(&port.label, "taskgroup network".to_owned()) {
                errors.add(format!(
                    "Port label {} already in use by {earlier}",
                    port.label
                ));
            }
            check_port(port, network, "taskgroup network", &mut errors);
        }
        claim(network, "taskgroup network", true, &mut fixed, &mut errors);
        errors.append(hostname(network));
    }
    errors.append(cni(group_networks));
    for task in group.tasks.iter().flatten() {
        let owner = format!("task {} network", task.name);
        let mut own: BTreeSet<&str> = BTreeSet::new();
        let networks = task
            .resources
            .iter()
            .flat_map(|resources| resources.networks.iter().flatten());
        for network in networks {
            for port in ports(network) {
                let taken = labels.get(port.label.as_str()).cloned();
                if let Some(earlier) = taken {
                    errors.add(format!(
                        "Port label {} already in use by {earlier}",
                        port.label
                    ));
                } else if !own.insert(&port.label) {
                    errors.add(format!(
                        "Port label {} already in use by {owner}",
                        port.label
                    ));
                }
                check_port(port, network, &owner, &mut errors);
            }
            claim(network, &owner, false, &mut fixed, &mut errors);
            errors.append(hostname(network));
        }
    }
    let mut nested = Messages::new();
    nested.nest("Task group network validation failed", &errors);
    nested
}

fn check_port(port: &Port, network: &NetworkResource, owner: &str, errors: &mut Messages) {
    errors.require((-1..=MAX_PORT).contains(&port.to), || {
        format!("Port {:?} in {owner} cannot be mapped to {}: the port must be between -1 and {MAX_PORT}", port.label, port.to)
    });
    if port.ignore_collision && !matches!(network.mode.as_str(), "" | "host") {
        errors.add(format!(
            "Port {:?} cannot use ignore_collision with mode {:?}, only with host networking",
            port.label, network.mode
        ));
    }
}

/// A fixed number can be had once on each host network.
fn claim(
    network: &NetworkResource,
    owner: &str,
    may_collide: bool,
    fixed: &mut BTreeMap<(String, i64), String>,
    errors: &mut Messages,
) {
    for port in network.reserved_ports.iter().flatten() {
        let (label, value) = (&port.label, port.value);
        errors.require(value <= MAX_PORT, || {
            format!("Port {label} ({value}) cannot be greater than {MAX_PORT}")
        });
        errors.require(value >= 0, || {
            format!("Port {label} ({value}) cannot be less than 0")
        });
        if may_collide && port.ignore_collision {
            continue;
        }
        let host_network = if port.host_network.is_empty() {
            "default"
        } else {
            &port.host_network
        };
        if let Some(earlier) =
            fixed.insert((host_network.to_owned(), value), format!("{owner}:{label}"))
        {
            errors.add(format!("Static port {value} already reserved by {earlier}"));
        }
    }
}

fn hostname(network: &NetworkResource) -> Messages {
    let mut errors = Messages::new();
    let name = &network.hostname;
    if name.is_empty() || name.contains("${") {
        return errors;
    }
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let fits = name.len() <= 253
        && name
            .strip_suffix('.')
            .unwrap_or(name)
            .split('.')
            .all(label_fits);
    errors.require(fits, || {
        format!("Hostname {name:?} is not a valid DNS name")
    });
    errors
}

fn cni(networks: &[NetworkResource]) -> Messages {
    let mut errors = Messages::new();
    let mut seen = BTreeSet::new();
    for (key, value) in networks
        .iter()
        .filter_map(|network| network.cni.as_ref()?.args.as_ref())
        .flatten()
    {
        errors.require(seen.insert(key), || format!("duplicate CNI arg {key:?}"));
        for part in [key, value] {
            errors.require(!part.contains(';'), || {
                format!("invalid ';' character in CNI arg {part:?}")
            });
        }
    }
    errors
}
