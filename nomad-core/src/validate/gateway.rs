//! Rules for Connect gateways.

use crate::spec::{Gateway, IngressConfigEntry, IngressListener, Service, TerminatingConfigEntry};

pub(super) fn first_error(gateway: &Gateway, service: &Service) -> Option<String> {
    let name = &service.name;
    let reason = proxy_error(gateway).or_else(|| {
        let kinds = usize::from(gateway.ingress.is_some())
            + usize::from(gateway.terminating.is_some())
            + usize::from(gateway.mesh.is_some());
        if kinds != 1 {
            return Some("One Consul Gateway Configuration must be set".to_owned());
        }
        gateway
            .ingress
            .as_ref()
            .and_then(ingress_error)
            .or_else(|| gateway.terminating.as_ref().and_then(terminating_error))
            .or_else(|| {
                (gateway.mesh.is_some() && service.port_label.is_empty())
                    .then(|| "Consul Mesh Gateway requires a service port".to_owned())
            })
    })?;
    Some(format!(
        "Consul Connect Gateway service {name:?} is invalid: {reason}"
    ))
}

fn proxy_error(gateway: &Gateway) -> Option<String> {
    let proxy = gateway.proxy.as_ref()?;
    if proxy.connect_timeout.is_none() {
        return Some("Consul Gateway Proxy connection_timeout must be set".to_owned());
    }
    if !matches!(
        proxy.envoy_dns_discovery_type.as_str(),
        "" | "STRICT_DNS" | "LOGICAL_DNS"
    ) {
        return Some(
            "Consul Gateway Proxy Envoy DNS Discovery type must be STRICT_DNS or LOGICAL_DNS"
                .to_owned(),
        );
    }
    proxy
        .envoy_gateway_bind_addresses
        .iter()
        .flatten()
        .find_map(|(name, bind)| {
            if bind.address.is_empty() {
                return Some(format!("Consul Gateway Bind Address {name:?} must be set"));
            }
            (bind.port <= 0 && bind.port != -1)
                .then(|| format!("Consul Gateway Bind Address {name:?} must set a valid port"))
        })
}

fn ingress_error(entry: &IngressConfigEntry) -> Option<String> {
    let listeners = entry.listeners.as_deref().unwrap_or_default();
    if listeners.is_empty() {
        return Some("Consul Ingress Gateway requires at least one listener".to_owned());
    }
    listeners.iter().find_map(listener_error)
}

fn listener_error(listener: &IngressListener) -> Option<String> {
    if listener.port <= 0 {
        return Some("Consul Ingress Listener requires valid Port".to_owned());
    }
    let protocol = listener.protocol.as_str();
    if !matches!(protocol, "tcp" | "http" | "http2" | "grpc") {
        return Some(format!(
            "Consul Ingress Listener requires protocol of tcp, http, http2 or grpc, got {protocol:?}"
        ));
    }
    let services = listener.services.as_deref().unwrap_or_default();
    if services.is_empty() {
        return Some("Consul Ingress Listener requires one or more services".to_owned());
    }
    services.iter().find_map(|service| {
        let hosts = service.hosts.as_ref().is_some_and(|hosts| !hosts.is_empty());
        let star = service.name == "*";
        if service.name.is_empty() {
            return Some("Consul Ingress Service requires a name".to_owned());
        }
        if protocol == "tcp" {
            if star {
                return Some("Consul Ingress Service doesn't support wildcard name for \"tcp\" protocol".to_owned());
            }
            return hosts.then(|| "Consul Ingress Service doesn't support associating hosts to a service for the \"tcp\" protocol".to_owned());
        }
        (star && hosts).then(|| "Consul Ingress Service with a wildcard \"*\" service name can not also specify hosts".to_owned())
    })
}

fn terminating_error(entry: &TerminatingConfigEntry) -> Option<String> {
    let services = entry.services.as_deref().unwrap_or_default();
    if services.is_empty() {
        return Some("Consul Terminating Gateway requires at least one service".to_owned());
    }
    services.iter().find_map(|service| {
        if service.name.is_empty() {
            return Some("Consul Linked Service requires Name".to_owned());
        }
        let (ca, cert, key) = (
            !service.ca_file.is_empty(),
            !service.cert_file.is_empty(),
            !service.key_file.is_empty(),
        );
        if cert != key {
            return Some("Consul Linked Service TLS Cert and Key must both be set".to_owned());
        }
        let any = cert || key || !service.sni.is_empty();
        (any && !ca).then(|| "Consul Linked Service TLS requires CAFile".to_owned())
    })
}
