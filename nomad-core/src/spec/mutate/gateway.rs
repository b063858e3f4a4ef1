//! Connect gateways: their task, ports and listening addresses.

use std::collections::BTreeMap;

use super::connect::{add_dynamic_port, container_driver, envoy_task};
use super::constraint;
use crate::spec::{Gateway, GatewayBindAddress, GatewayTlsConfig, Service, TaskGroup};

/// The kind of a gateway's task, by what the gateway does.
fn kind(gateway: &Gateway) -> &'static str {
    if gateway.ingress.is_some() {
        "connect-ingress"
    } else if gateway.terminating.is_some() {
        "connect-terminating"
    } else {
        "connect-mesh"
    }
}

/// Adds the gateway's task and what it listens on.
pub(super) fn inject(group: &mut TaskGroup, service: &mut Service) {
    let mode = group
        .networks
        .iter()
        .flatten()
        .next()
        .map(|network| network.mode.clone())
        .unwrap_or_default();
    let host_mode = mode == "host";
    let service_port = service.port_label.clone();
    let Some(gateway) = service
        .connect
        .as_mut()
        .and_then(|connect| connect.gateway.as_mut())
    else {
        return;
    };
    let kind = kind(gateway);
    let base = format!("{kind}-{}", service.name);

    if !host_mode {
        let addresses = bind_addresses(gateway, &service_port);
        let proxy = gateway.proxy.get_or_insert_default();
        if proxy.envoy_gateway_bind_addresses.is_none() {
            proxy.envoy_gateway_no_default_bind = true;
            proxy.envoy_gateway_bind_addresses = Some(addresses);
        }
    }
    let terminating = gateway.terminating.is_some();
    let custom_tls = has_custom_tls(gateway);
    let own = service
        .connect
        .as_ref()
        .and_then(|connect| connect.sidecar_task.clone());
    if terminating && !host_mode {
        add_dynamic_port(group, &base);
    }

    let tasks = group.tasks.get_or_insert_default();
    let full_kind = format!("{kind}:{}", service.name);
    if tasks.iter().any(|task| task.kind == full_kind) {
        return;
    }
    let mut task = envoy_task(
        base,
        full_kind,
        container_driver(tasks),
        "${meta.connect.gateway_image}",
    );
    if host_mode {
        task.config
            .get_or_insert_default()
            .insert("network_mode".to_owned(), serde_json::json!("host"));
    }
    if custom_tls {
        task.constraints.get_or_insert_default().push(constraint(
            "${attr.consul.version}",
            "semver",
            ">= 1.11.2",
        ));
    }
    if let Some(own) = own {
        super::connect::merge(&mut task, &own);
    }
    tasks.push(task);
}

/// Where the gateway listens inside its own network namespace; -1 is filled in by the client.
fn bind_addresses(gateway: &Gateway, service_port: &str) -> BTreeMap<String, GatewayBindAddress> {
    let any = |name: &str, port: i64| GatewayBindAddress {
        name: name.to_owned(),
        address: "0.0.0.0".to_owned(),
        port,
    };
    if let Some(ingress) = &gateway.ingress {
        return ingress
            .listeners
            .iter()
            .flatten()
            .flat_map(|listener| {
                listener
                    .services
                    .iter()
                    .flatten()
                    .map(|behind| (behind.name.clone(), any(&behind.name, listener.port)))
            })
            .collect();
    }
    if gateway.terminating.is_some() {
        return BTreeMap::from([("default".to_owned(), any("default", -1))]);
    }
    BTreeMap::from([
        ("lan".to_owned(), any("lan", -1)),
        (
            "wan".to_owned(),
            any("wan", service_port.parse().unwrap_or(-1)),
        ),
    ])
}

fn has_custom_tls(gateway: &Gateway) -> bool {
    let custom = |tls: Option<&GatewayTlsConfig>| {
        tls.is_some_and(|tls| {
            tls.sds.is_some()
                || !tls.tls_min_version.is_empty()
                || !tls.tls_max_version.is_empty()
                || tls
                    .cipher_suites
                    .as_ref()
                    .is_some_and(|suites| !suites.is_empty())
        })
    };
    gateway.ingress.as_ref().is_some_and(|ingress| {
        custom(ingress.tls.as_ref())
            || ingress
                .listeners
                .iter()
                .flatten()
                .flat_map(|listener| listener.services.iter().flatten())
                .any(|service| custom(service.tls.as_ref()))
    })
}
