//! Checks that Consul makes through the sidecar: each gets a path in the proxy, and a port where it has none.

use super::connect::{add_dynamic_port, error};
use super::{MutateError, suffix};
use crate::ids::IdSource;
use crate::spec::{ExposePath, Job, Service, TaskGroup};

/// Adds the paths and ports of all exposed checks.
pub(super) fn expose_checks(job: &mut Job, ids: &mut dyn IdSource) -> Result<(), MutateError> {
    for group in job.task_groups.iter_mut().flatten() {
        let mut services = group.services.take().unwrap_or_default();
        for service in &mut services {
            expose(group, service, ids)?;
        }
        if !services.is_empty() {
            group.services = Some(services);
        }
    }
    Ok(())
}

fn expose(
    group: &mut TaskGroup,
    service: &mut Service,
    ids: &mut dyn IdSource,
) -> Result<(), MutateError> {
    let exposed = service.checks.iter().flatten().any(|check| check.expose);
    let sidecar = service
        .connect
        .as_ref()
        .is_some_and(|connect| connect.sidecar_service.is_some());
    // Where there is no sidecar, validation says so.
    if !exposed || !sidecar {
        return Ok(());
    }
    let local_port = local_port(group, service)?;
    let mut paths = Vec::new();
    for check in service
        .checks
        .iter_mut()
        .flatten()
        .filter(|check| check.expose)
    {
        if check.port_label.is_empty() {
            let label = format!("svc_{}_ck_{}", service.name, suffix(ids));
            add_dynamic_port(group, &label);
            check.port_label = label;
        }
        paths.push(ExposePath {
            path: check.path.clone(),
            protocol: check.protocol.clone(),
            local_path_port: local_port,
            listener_port: check.port_label.clone(),
        });
    }
    let connect = service.connect.get_or_insert_default();
    let proxy = connect
        .sidecar_service
        .get_or_insert_default()
        .proxy
        .get_or_insert_default();
    let known = proxy
        .expose
        .get_or_insert_default()
        .paths
        .get_or_insert_default();
    for path in paths {
        if !known.contains(&path) {
            known.push(path);
        }
    }
    Ok(())
}

/// The port on which the service itself listens inside the network namespace.
fn local_port(group: &TaskGroup, service: &Service) -> Result<i64, MutateError> {
    if let Ok(port) = service.port_label.parse() {
        return Ok(port);
    }
    group
        .networks
        .iter()
        .flatten()
        .flat_map(|network| {
            network
                .reserved_ports
                .iter()
                .chain(&network.dynamic_ports)
                .flatten()
        })
        .find(|port| port.label == service.port_label)
        .map(|port| port.to)
        .ok_or_else(|| {
            let reason = format!(
                "an exposed check needs the port {:?} in the group's network",
                service.port_label
            );
            error(group, service, reason)
        })
}
