//! Consul Connect gateways.

use std::collections::BTreeMap;

use super::json::{AnyMap, FromJson, StringList, StringMap, api_struct};
use crate::time::Nanos;

api_struct! {
    /// A gateway of one kind: ingress, terminating or mesh.
    pub struct Gateway {
        pub ingress: Option<IngressConfigEntry> = "Ingress",
        pub mesh: Option<MeshConfigEntry> = "Mesh",
        pub proxy: Option<GatewayProxy> = "Proxy",
        pub terminating: Option<TerminatingConfigEntry> = "Terminating",
    }
}

api_struct! {
    /// The gateway's Envoy.
    pub struct GatewayProxy {
        pub config: AnyMap = "Config",
        pub connect_timeout: Option<Nanos> = "ConnectTimeout",
        pub envoy_dns_discovery_type: String = "EnvoyDNSDiscoveryType",
        pub envoy_gateway_bind_addresses: Option<BTreeMap<String, GatewayBindAddress>> = "EnvoyGatewayBindAddresses",
        pub envoy_gateway_bind_tagged_addresses: bool = "EnvoyGatewayBindTaggedAddresses",
        pub envoy_gateway_no_default_bind: bool = "EnvoyGatewayNoDefaultBind",
    }
}

api_struct! {
    /// An address that the gateway listens on.
    pub struct GatewayBindAddress {
        pub address: String = "Address",
        pub name: String = "Name",
        pub port: i64 = "Port",
    }
}

api_struct! {
    /// What an ingress gateway lets in.
    pub struct IngressConfigEntry {
        pub listeners: Option<Vec<IngressListener>> = "Listeners",
        pub tls: Option<GatewayTlsConfig> = "TLS",
    }
}

api_struct! {
    /// One listener of an ingress gateway.
    pub struct IngressListener {
        pub port: i64 = "Port",
        pub protocol: String = "Protocol",
        pub services: Option<Vec<IngressService>> = "Services",
    }
}

api_struct! {
    /// A service behind an ingress listener.
    pub struct IngressService {
        pub hosts: StringList = "Hosts",
        pub max_concurrent_requests: Option<u32> = "MaxConcurrentRequests",
        pub max_connections: Option<u32> = "MaxConnections",
        pub max_pending_requests: Option<u32> = "MaxPendingRequests",
        pub name: String = "Name",
        pub request_headers: Option<HttpHeaderModifiers> = "RequestHeaders",
        pub response_headers: Option<HttpHeaderModifiers> = "ResponseHeaders",
        pub tls: Option<GatewayTlsConfig> = "TLS",
    }
}

api_struct! {
    /// Changes to HTTP headers on the way.
    pub struct HttpHeaderModifiers {
        pub add: StringMap = "Add",
        pub remove: StringList = "Remove",
        pub set: StringMap = "Set",
    }
}

api_struct! {
    /// TLS of a gateway.
    pub struct GatewayTlsConfig {
        pub cipher_suites: StringList = "CipherSuites",
        pub enabled: bool = "Enabled",
        pub sds: Option<GatewayTlsSdsConfig> = "SDS",
        pub tls_max_version: String = "TLSMaxVersion",
        pub tls_min_version: String = "TLSMinVersion",
    }
}

api_struct! {
    /// Where the gateway's certificate comes from.
    pub struct GatewayTlsSdsConfig {
        pub cert_resource: String = "CertResource",
        pub cluster_name: String = "ClusterName",
    }
}

api_struct! {
    /// Services outside the mesh that a terminating gateway leads to.
    pub struct TerminatingConfigEntry {
        pub services: Option<Vec<LinkedService>> = "Services",
    }
}

api_struct! {
    /// One service outside the mesh.
    pub struct LinkedService {
        pub ca_file: String = "CAFile",
        pub cert_file: String = "CertFile",
        pub key_file: String = "KeyFile",
        pub name: String = "Name",
        pub sni: String = "SNI",
    }
}

/// A mesh gateway has nothing of its own to configure.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct MeshConfigEntry {}

impl FromJson for Option<MeshConfigEntry> {
    fn from_json<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }
}
