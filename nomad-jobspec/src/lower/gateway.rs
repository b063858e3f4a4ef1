//! `gateway` of `connect`.

use std::collections::BTreeMap;

use nomad_core::spec::{
    Gateway, GatewayBindAddress, GatewayProxy, GatewayTlsConfig, GatewayTlsSdsConfig,
    HttpHeaderModifiers, IngressConfigEntry, IngressListener, IngressService, LinkedService,
    MeshConfigEntry, TerminatingConfigEntry,
};

use super::body::Reader;
use super::{all, one};

pub(super) fn gateway(reader: Reader<'_>) -> Gateway {
    let gateway = Gateway {
        proxy: one(&reader, "proxy", proxy),
        ingress: one(&reader, "ingress", ingress),
        terminating: one(&reader, "terminating", terminating),
        mesh: one(&reader, "mesh", |reader| {
            reader.finish();
            MeshConfigEntry {}
        }),
    };
    reader.finish();
    gateway
}

fn proxy(reader: Reader<'_>) -> GatewayProxy {
    let addresses: BTreeMap<String, GatewayBindAddress> = reader
        .blocks("envoy_gateway_bind_addresses", &["name"])
        .into_iter()
        .map(|reader| {
            let name = reader.label(0).to_owned();
            let address = GatewayBindAddress {
                name: name.clone(),
                address: reader.text("address"),
                port: reader.int("port").unwrap_or(0),
            };
            reader.finish();
            (name, address)
        })
        .collect();
    let proxy = GatewayProxy {
        connect_timeout: reader.duration("connect_timeout"),
        envoy_gateway_bind_tagged_addresses: reader.flag("envoy_gateway_bind_tagged_addresses"),
        envoy_gateway_bind_addresses: if addresses.is_empty() {
            None
        } else {
            Some(addresses)
        },
        envoy_gateway_no_default_bind: reader.flag("envoy_gateway_no_default_bind"),
        envoy_dns_discovery_type: reader.text("envoy_dns_discovery_type"),
        config: reader.free_form("config", true),
    };
    reader.finish();
    proxy
}

fn ingress(reader: Reader<'_>) -> IngressConfigEntry {
    let entry = IngressConfigEntry {
        tls: one(&reader, "tls", tls),
        listeners: all(&reader, "listener", listener),
    };
    reader.finish();
    entry
}

fn listener(reader: Reader<'_>) -> IngressListener {
    let listener = IngressListener {
        port: reader.int("port").unwrap_or(0),
        protocol: reader.text("protocol"),
        services: all(&reader, "service", ingress_service),
    };
    reader.finish();
    listener
}

fn ingress_service(reader: Reader<'_>) -> IngressService {
    let service = IngressService {
        name: reader.text("name"),
        hosts: reader.strings("hosts"),
        tls: one(&reader, "tls", tls),
        request_headers: one(&reader, "request_headers", headers),
        response_headers: one(&reader, "response_headers", headers),
        max_connections: reader.bounded("max_connections"),
        max_pending_requests: reader.bounded("max_pending_requests"),
        max_concurrent_requests: reader.bounded("max_concurrent_requests"),
    };
    reader.finish();
    service
}

fn headers(reader: Reader<'_>) -> HttpHeaderModifiers {
    let headers = HttpHeaderModifiers {
        add: reader.string_map_block("add"),
        set: reader.string_map_block("set"),
        remove: reader.strings("remove"),
    };
    reader.finish();
    headers
}

fn tls(reader: Reader<'_>) -> GatewayTlsConfig {
    let tls = GatewayTlsConfig {
        enabled: reader.flag("enabled"),
        tls_min_version: reader.text("tls_min_version"),
        tls_max_version: reader.text("tls_max_version"),
        cipher_suites: reader.strings("cipher_suites"),
        sds: one(&reader, "sds", |reader| {
            let sds = GatewayTlsSdsConfig {
                cluster_name: reader.text("cluster_name"),
                cert_resource: reader.text("cert_resource"),
            };
            reader.finish();
            sds
        }),
    };
    reader.finish();
    tls
}

fn terminating(reader: Reader<'_>) -> TerminatingConfigEntry {
    let entry = TerminatingConfigEntry {
        services: all(&reader, "service", linked_service),
    };
    reader.finish();
    entry
}

fn linked_service(reader: Reader<'_>) -> LinkedService {
    let service = LinkedService {
        name: reader.text("name"),
        ca_file: reader.text("ca_file"),
        cert_file: reader.text("cert_file"),
        key_file: reader.text("key_file"),
        sni: reader.text("sni"),
    };
    reader.finish();
    service
}
