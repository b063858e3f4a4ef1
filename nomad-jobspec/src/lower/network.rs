//! `network`, its ports, DNS and CNI arguments.

use nomad_core::spec::{CniConfig, DnsConfig, NetworkResource, Port};

use super::body::Reader;
use super::{all, collect, one};

pub(super) fn networks(reader: &Reader<'_>) -> Option<Vec<NetworkResource>> {
    all(reader, "network", network)
}

fn network(reader: Reader<'_>) -> NetworkResource {
    reader.attribute("device");
    let mut network = NetworkResource {
        mode: reader.text("mode"),
        cidr: reader.text("cidr"),
        ip: reader.text("ip"),
        hostname: reader.text("hostname"),
        mbits: reader.int("mbits"),
        dns: one(&reader, "dns", dns),
        cni: one(&reader, "cni", cni),
        reserved_ports: collect(reader.blocks("reserved_ports", &["label"]), port),
        ..NetworkResource::default()
    };
    let ports: Vec<Port> = reader
        .blocks("port", &["label"])
        .into_iter()
        .map(port)
        .collect();
    if !ports.is_empty() {
        // A port with a fixed number is reserved; any `port` block replaces the legacy form.
        let (reserved, dynamic): (Vec<Port>, Vec<Port>) =
            ports.into_iter().partition(|port| port.value > 0);
        network.reserved_ports = (!reserved.is_empty()).then_some(reserved);
        network.dynamic_ports = (!dynamic.is_empty()).then_some(dynamic);
    }
    reader.finish();
    network
}

fn port(reader: Reader<'_>) -> Port {
    let port = Port {
        label: reader.label(0).to_owned(),
        value: reader.int("static").unwrap_or(0),
        to: reader.int("to").unwrap_or(0),
        host_network: reader.text("host_network"),
        ignore_collision: reader.flag("ignore_collision"),
    };
    reader.finish();
    port
}

fn dns(reader: Reader<'_>) -> DnsConfig {
    let dns = DnsConfig {
        servers: reader.strings("servers"),
        searches: reader.strings("searches"),
        options: reader.strings("options"),
    };
    reader.finish();
    dns
}

fn cni(reader: Reader<'_>) -> CniConfig {
    let cni = CniConfig {
        args: reader.string_map_attribute("args"),
    };
    reader.finish();
    cni
}
