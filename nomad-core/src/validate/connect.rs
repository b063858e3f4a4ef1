//! Rules for Connect.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::errors::Messages;
use super::{gateway, text};
use crate::spec::{
    Connect, Job, NetworkResource, Service, SidecarService, Task, TaskGroup, TransparentProxy,
};

/// The first mistake in how services use Connect.
pub(super) fn first_error(job: &Job) -> Option<String> {
    job.task_groups.iter().flatten().find_map(group_error)
}

fn group_error(group: &TaskGroup) -> Option<String> {
    let mut listeners: BTreeSet<String> = BTreeSet::new();
    let mut connects = 0;
    let mut transparent = false;
    for service in group.services.iter().flatten() {
        let Some(connect) = &service.connect else {
            continue;
        };
        connects += 1;
        if let Some(error) = service_error(group, service, connect) {
            return Some(error);
        }
        let proxy = connect
            .sidecar_service
            .as_ref()
            .and_then(|sidecar| sidecar.proxy.as_ref());
        for upstream in proxy
            .iter()
            .flat_map(|proxy| proxy.upstreams.iter().flatten())
        {
            let listener = if upstream.local_bind_socket_path.is_empty() {
                format!(
                    "{}:{}",
                    upstream.local_bind_address, upstream.local_bind_port
                )
            } else {
                upstream.local_bind_socket_path.clone()
            };
            if !listeners.insert(listener.clone()) {
                return Some(format!(
                    "Consul Connect services {:?} in group {:?} using same address for upstreams ({listener})",
                    service.name,
                    text(group.name.as_ref())
                ));
            }
        }
        transparent |= proxy.is_some_and(|proxy| proxy.transparent_proxy.is_some());
    }
    (transparent && connects > 1).then(|| {
        format!(
            "group {:?}: transparent_proxy allows only one connect block in the group",
            text(group.name.as_ref())
        )
    })
}

fn service_error(group: &TaskGroup, service: &Service, connect: &Connect) -> Option<String> {
    let name = &service.name;
    let kinds = usize::from(connect.native)
        + usize::from(connect.sidecar_service.is_some())
        + usize::from(connect.gateway.is_some());
    if kinds != 1 {
        return Some(format!(
            "Consul Connect service {name:?} must be exclusively one of: native, with a sidecar_service, or a gateway"
        ));
    }
    let networks = group.networks.as_deref().unwrap_or_default();
    if let Some(sidecar) = &connect.sidecar_service {
        return sidecar_error(group, service, sidecar, networks);
    }
    let [network] = networks else {
        return (!connect.native)
            .then(|| {
                format!(
                    "Consul Connect gateways require exactly 1 network, found {} in group {:?}",
                    networks.len(),
                    text(group.name.as_ref())
                )
            })
            .or_else(|| native_error(group, service));
    };
    match &connect.gateway {
        None => native_error(group, service),
        Some(config) => {
            let mode = network.mode.as_str();
            if mode != "bridge" && mode != "host" && !mode.starts_with("cni/") {
                return Some(format!(
                    "Consul Connect Gateway service {name:?} requires Task Group with network mode of type \"bridge\", \"host\" or \"cni\""
                ));
            }
            gateway::first_error(config, service)
        }
    }
}

fn native_error(group: &TaskGroup, service: &Service) -> Option<String> {
    if service.port_label.is_empty() {
        return Some(format!(
            "Consul Connect Native service {:?} requires a port",
            service.name
        ));
    }
    let known = group
        .tasks
        .iter()
        .flatten()
        .any(|task| task.name == service.task_name);
    (!known).then(|| {
        format!(
            "Consul Connect Native service {:?} requires the name of a task of its group",
            service.name
        )
    })
}

fn sidecar_error(
    group: &TaskGroup,
    service: &Service,
    sidecar: &SidecarService,
    networks: &[NetworkResource],
) -> Option<String> {
    let group_name = text(group.name.as_ref());
    let [network] = networks else {
        return Some(format!(
            "Consul Connect sidecars require exactly 1 network, found {} in group {group_name:?}",
            networks.len()
        ));
    };
    if network.mode != "bridge" && !network.mode.starts_with("cni/") {
        return Some(format!(
            "Consul Connect sidecar requires bridge network, found {:?} in group {group_name:?}",
            network.mode
        ));
    }
    for name in [group_name, &service.name] {
        // What stands in `${...}` is not part of the name.
        let mut plain = name.to_owned();
        while let (Some(start), Some(end)) = (plain.find("${"), plain.find('}')) {
            if end < start {
                break;
            }
            plain.replace_range(start..=end, "");
        }
        if plain.chars().any(char::is_uppercase) {
            return Some(format!(
                "Consul Connect service name and group name must not contain uppercase letters: {name:?}"
            ));
        }
    }
    let proxy = sidecar.proxy.as_ref()?.transparent_proxy.as_ref()?;
    transparent_error(proxy, network, service)
}

fn transparent_error(
    proxy: &TransparentProxy,
    network: &NetworkResource,
    service: &Service,
) -> Option<String> {
    let name = &service.name;
    for cidr in proxy.exclude_outbound_cidrs.iter().flatten() {
        let fits = cidr.split_once('/').is_some_and(|(address, length)| {
            let most = match address.parse() {
                Ok(IpAddr::V4(_)) => 32,
                Ok(IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            length.parse::<u8>().is_ok_and(|length| length <= most)
        });
        if !fits {
            return Some(format!(
                "transparent_proxy of service {name:?}: {cidr:?} is not a CIDR block"
            ));
        }
    }
    for uid in std::iter::once(&proxy.uid)
        .filter(|uid| !uid.is_empty())
        .chain(proxy.exclude_uids.iter().flatten())
    {
        if uid.parse::<u16>().is_err() {
            return Some(format!(
                "transparent_proxy of service {name:?}: {uid:?} is not a user id between 0 and 65535"
            ));
        }
    }
    if network.dns.is_some() && !proxy.no_dns {
        return Some(format!(
            "transparent_proxy of service {name:?} requires no_dns=true, because the group's network has a dns block"
        ));
    }
    for port in proxy.exclude_inbound_ports.iter().flatten() {
        let fixed = network
            .reserved_ports
            .iter()
            .flatten()
            .any(|known| known.label == *port);
        if !fixed && port.parse::<u16>().is_err() {
            return Some(format!(
                "transparent_proxy of service {name:?}: exclude_inbound_ports must be numbers or labels of static ports, not {port:?}"
            ));
        }
    }
    None
}

/// The first check that asks to be exposed where it cannot be.
pub(super) fn expose_error(job: &Job) -> Option<String> {
    for group in job.task_groups.iter().flatten() {
        let name = text(group.name.as_ref());
        for service in group.services.iter().flatten() {
            let sidecar = service
                .connect
                .as_ref()
                .is_some_and(|connect| connect.sidecar_service.is_some());
            for check in service.checks.iter().flatten().filter(|check| check.expose) {
                if !sidecar {
                    return Some(format!(
                        "exposed service check {name}->{}->{} requires use of sidecar_service",
                        service.name, check.name
                    ));
                }
            }
        }
        for task in group.tasks.iter().flatten() {
            for service in task.services.iter().flatten() {
                if let Some(check) = service.checks.iter().flatten().find(|check| check.expose) {
                    return Some(format!(
                        "exposed service check {name}[{}]->{}->{} is not a task-group service",
                        task.name, service.name, check.name
                    ));
                }
            }
        }
    }
    None
}

/// A task that is a Connect proxy by its kind.
pub(super) fn proxy_task(task: &Task, group: &TaskGroup) -> Messages {
    let mut errors = Messages::new();
    let Some(service) = task.kind.strip_prefix("connect-proxy:") else {
        return errors;
    };
    errors.require(task.services.as_ref().is_none_or(Vec::is_empty), || {
        "Connect proxy task must not have a service block".to_owned()
    });
    errors.require(!task.leader, || {
        "Connect proxy task must not have leader set".to_owned()
    });
    let found = group
        .services
        .iter()
        .flatten()
        .any(|known| known.name == service && known.connect.is_some());
    errors.require(found, || {
        "No Connect services in task group with Connect proxy".to_owned()
    });
    errors
}
