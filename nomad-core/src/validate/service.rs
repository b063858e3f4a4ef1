//! Rules for services.

use std::collections::BTreeSet;

use super::errors::Messages;
use super::identity;
use crate::spec::{Service, ServiceCheck, Task, TaskGroup};

mod check;

const ADDRESS_MODES: [&str; 5] = ["auto", "host", "driver", "alloc", "alloc_ipv6"];
const ON_UPDATE: [&str; 3] = ["require_healthy", "ignore", "ignore_warnings"];
const KINDS: [&str; 5] = [
    "",
    "api-gateway",
    "ingress-gateway",
    "mesh-gateway",
    "terminating-gateway",
];

/// Services of the group, and what all services of the group share.
pub(super) fn group_errors(group: &TaskGroup) -> Messages {
    let mut errors = Messages::new();
    let own = group.services.as_deref().unwrap_or_default();
    for (at, service) in own.iter().enumerate() {
        let mut inner = common(service);
        inner.require(service.address_mode != "driver", || {
            format!("service {:?} cannot use address_mode=\"driver\", only services defined in a \"task\" block can use this mode", service.name)
        });
        for check in service.checks.iter().flatten() {
            let task = if check.task_name.is_empty() {
                &service.task_name
            } else {
                &check.task_name
            };
            let exists = group
                .tasks
                .iter()
                .flatten()
                .any(|known| known.name == *task);
            inner.require(check.task_name.is_empty() || exists, || {
                format!(
                    "check {:?} refers to non-existent task {:?}",
                    check.name, check.task_name
                )
            });
            inner.require(check.check_type != "script" || !task.is_empty(), || {
                format!(
                    "check {:?} of type \"script\" must specify a task",
                    check.name
                )
            });
        }
        errors.nest(
            &format!("Service[{at}] {} validation failed", service.name),
            &inner,
        );
    }
    let all: Vec<(&str, &Service)> = own
        .iter()
        .map(|service| ("group", service))
        .chain(group.tasks.iter().flatten().flat_map(|task| {
            task.services
                .iter()
                .flatten()
                .map(|service| (task.name.as_str(), service))
        }))
        .collect();
    let mut seen = BTreeSet::new();
    for (owner, service) in &all {
        errors.require(
            seen.insert((&service.name, owner, &service.port_label)),
            || {
                format!(
                    "Service name {:?} with port label {:?} is defined more than once by {owner}",
                    service.name, service.port_label
                )
            },
        );
    }
    let providers: BTreeSet<&str> = all
        .iter()
        .map(|(_, service)| service.provider.as_str())
        .collect();
    errors.require(providers.len() <= 1, || {
        format!(
            "Multiple service providers used: task group services must use the same provider, not {}",
            providers.iter().copied().collect::<Vec<_>>().join(" and ")
        )
    });
    errors
}

/// Services of a task.
pub(super) fn task_errors(task: &Task, group: &TaskGroup) -> Messages {
    let mut errors = Messages::new();
    let labels: BTreeSet<&str> = group
        .networks
        .iter()
        .flatten()
        .take(1)
        .chain(
            task.resources
                .iter()
                .flat_map(|resources| resources.networks.iter().flatten()),
        )
        .flat_map(|network| {
            network
                .reserved_ports
                .iter()
                .chain(&network.dynamic_ports)
                .flatten()
        })
        .map(|port| port.label.as_str())
        .collect();
    let mut names = BTreeSet::new();
    for (at, service) in task.services.iter().flatten().enumerate() {
        let mut inner = common(service);
        inner.require(!matches!(service.address_mode.as_str(), "alloc" | "alloc_ipv6"), || {
            format!("service {:?} cannot use address_mode={:?}, only services defined in a \"group\" block can use this mode", service.name, service.address_mode)
        });
        inner.require(
            service.task_name.is_empty() || service.task_name == task.name,
            || {
                format!(
                    "service task must be {:?}; got {:?}",
                    task.name, service.task_name
                )
            },
        );
        inner.require(service.connect.is_none(), || {
            format!("service {:?} cannot have connect block; connect can only be used by group services", service.name)
        });
        inner.require(names.insert((&service.name, &service.port_label)), || {
            format!("service {:?} is duplicate", service.name)
        });
        inner.append(check_names(service));
        for check in service.checks.iter().flatten() {
            inner.require(
                check.task_name.is_empty() || check.task_name == task.name,
                || {
                    format!(
                        "check {:?} task must be {:?}; got {:?}",
                        check.name, task.name, check.task_name
                    )
                },
            );
            inner.append(check_port(check, service, &labels));
        }
        inner.append(service_port(service, &labels));
        errors.nest(
            &format!("service[{at}] {:?} validation failed", service.name),
            &inner,
        );
    }
    errors
}

/// A label must be one of the task's; a number will do where the driver's address is used.
fn service_port(service: &Service, labels: &BTreeSet<&str>) -> Messages {
    let mut errors = Messages::new();
    let port = service.port_label.as_str();
    let numeric = service.address_mode == "driver" && port.parse::<u16>().is_ok();
    errors.require(port.is_empty() || numeric || labels.contains(port), || {
        format!(
            "port label {port:?} referenced by services {} does not exist",
            service.name
        )
    });
    errors
}

fn check_port(check: &ServiceCheck, service: &Service, labels: &BTreeSet<&str>) -> Messages {
    let mut errors = Messages::new();
    let port = check.port_label.as_str();
    if port.is_empty() {
        return errors;
    }
    if port.parse::<u16>().is_ok() {
        let mode = if check.address_mode.is_empty() {
            &service.address_mode
        } else {
            &check.address_mode
        };
        errors.require(mode == "driver", || {
            format!("check {:?} of service {:?} uses a numeric port, which needs address_mode=\"driver\"", check.name, service.name)
        });
    } else {
        errors.require(labels.contains(port), || {
            format!(
                "port label {port:?} referenced by check {:?} does not exist",
                check.name
            )
        });
    }
    errors
}

fn check_names(service: &Service) -> Messages {
    let mut errors = Messages::new();
    let mut seen = BTreeSet::new();
    for check in service.checks.iter().flatten() {
        errors.require(seen.insert(&check.name), || {
            format!("check {:?} is duplicate", check.name)
        });
    }
    errors
}

/// What holds wherever the service stands.
fn common(service: &Service) -> Messages {
    let mut errors = Messages::new();
    let Service {
        name,
        address_mode,
        on_update,
        provider,
        ..
    } = service;
    errors.require(is_name(name), || {
        format!(
            "Service name must be valid per RFC 1123 and can contain only alphanumeric characters or dashes and must \
             be no longer than 63 characters: {name:?}"
        )
    });
    errors.require(ADDRESS_MODES.contains(&address_mode.as_str()), || {
        format!(
            "Service address_mode must be one of {}; not {address_mode:?}",
            ADDRESS_MODES.join(", ")
        )
    });
    errors.require(service.address.is_empty() || address_mode == "auto", || {
        "Service address_mode must be \"auto\" if address is set".to_owned()
    });
    errors.require(ON_UPDATE.contains(&on_update.as_str()), || {
        format!(
            "Service on_update must be {}; not {on_update:?}",
            ON_UPDATE.join(", ")
        )
    });
    match provider.as_str() {
        "consul" => errors.append(consul(service)),
        "nomad" => errors.append(nomad(service)),
        other => errors.add(format!(
            "Service provider must be \"consul\", or \"nomad\"; not {other:?}"
        )),
    }
    for check in service.checks.iter().flatten() {
        if service.port_label.is_empty() && check.port_label.is_empty() && check::needs_port(check)
        {
            errors.add(format!(
                "Check {} invalid: check requires a port but neither check nor service {name:?} have a port",
                check.name
            ));
            continue;
        }
        if let Some(error) = check::first_error(check, provider) {
            errors.add(format!("Check {} invalid: {error}", check.name));
        }
    }
    if let Some(own) = &service.identity {
        errors.require(
            own.audience
                .as_ref()
                .is_some_and(|audience| !audience.is_empty()),
            || format!("Service identity for {name:?} must provide at least one target aud value"),
        );
        errors.nest(
            &format!("Service identity {:?} is invalid", own.name),
            &identity::identity(own),
        );
    }
    errors
}

fn consul(service: &Service) -> Messages {
    let mut errors = Messages::new();
    errors.require(KINDS.contains(&service.kind.as_str()), || {
        format!(
            "Service {:?} kind must be one of {} or empty",
            service.name,
            KINDS[1..].join(", ")
        )
    });
    let sidecar = service
        .connect
        .as_ref()
        .is_some_and(|connect| connect.sidecar_service.is_some());
    for check in service.checks.iter().flatten() {
        errors.require(
            !sidecar || !check.check_type.eq_ignore_ascii_case("tcp") || check.expose,
            || {
                format!(
                    "Check {} invalid: tcp checks are not valid for Connect enabled services",
                    check.name
                )
            },
        );
    }
    errors
}

fn nomad(service: &Service) -> Messages {
    let mut errors = Messages::new();
    errors.require(service.connect.is_none(), || {
        "Service with provider nomad cannot include Connect blocks".to_owned()
    });
    errors
}

/// A DNS label, where every `${...}` stands for one good letter.
fn is_name(name: &str) -> bool {
    let mut plain = String::new();
    let mut rest = name;
    while let Some(start) = rest.find("${") {
        let Some(end) = rest[start..].find('}') else {
            break;
        };
        plain.push_str(&rest[..start]);
        plain.push_str("env");
        rest = &rest[start + end + 1..];
    }
    plain.push_str(rest);
    (1..=63).contains(&plain.len())
        && plain
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !plain.starts_with('-')
        && !plain.ends_with('-')
}
