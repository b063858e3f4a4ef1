//! The fields of `connect` and its gateways. Source: jobspec.md §1.8.

use super::table::Form::{ByName, Entries, Free, Many, Map, One, Plain, Set, Span};
use super::table::{Field, IDENTITY, LOGS, RESOURCES, VOLUME_MOUNT};

pub(super) const CONNECT: &[Field] = &[
    ("Native", "native", Plain),
    (
        "SidecarService",
        "sidecar_service",
        One(&[
            ("Tags", "tags", Set),
            ("Port", "port", Plain),
            ("DisableDefaultTCPCheck", "disable_default_tcp_check", Plain),
            ("Meta", "meta", Entries),
            ("Proxy", "proxy", One(PROXY)),
        ]),
    ),
    (
        "SidecarTask",
        "sidecar_task",
        One(&[
            ("Name", "name", Plain),
            ("Driver", "driver", Plain),
            ("User", "user", Plain),
            ("Config", "config", Free),
            ("Env", "env", Map),
            ("Resources", "resources", One(RESOURCES)),
            ("Meta", "meta", Map),
            ("KillTimeout", "kill_timeout", Span),
            ("LogConfig", "logs", One(LOGS)),
            ("ShutdownDelay", "shutdown_delay", Span),
            ("KillSignal", "kill_signal", Plain),
            ("VolumeMounts", "volume_mount", Many(VOLUME_MOUNT)),
            ("Identities", "identity", Many(IDENTITY)),
        ]),
    ),
    ("Gateway", "gateway", One(GATEWAY)),
];

const PROXY: &[Field] = &[
    ("LocalServiceAddress", "local_service_address", Plain),
    ("LocalServicePort", "local_service_port", Plain),
    ("Config", "config", Free),
    (
        "Upstreams",
        "upstreams",
        Many(&[
            ("DestinationName", "destination_name", Plain),
            ("DestinationNamespace", "destination_namespace", Plain),
            ("DestinationPeer", "destination_peer", Plain),
            ("DestinationPartition", "destination_partition", Plain),
            ("DestinationType", "destination_type", Plain),
            ("LocalBindPort", "local_bind_port", Plain),
            ("LocalBindAddress", "local_bind_address", Plain),
            ("LocalBindSocketPath", "local_bind_socket_path", Plain),
            ("LocalBindSocketMode", "local_bind_socket_mode", Plain),
            ("Datacenter", "datacenter", Plain),
            (
                "MeshGateway",
                "mesh_gateway",
                One(&[("Mode", "mode", Plain)]),
            ),
            ("Config", "config", Free),
        ]),
    ),
    (
        "Expose",
        "expose",
        One(&[(
            "Paths",
            "path",
            Many(&[
                ("Path", "path", Plain),
                ("Protocol", "protocol", Plain),
                ("LocalPathPort", "local_path_port", Plain),
                ("ListenerPort", "listener_port", Plain),
            ]),
        )]),
    ),
    (
        "TransparentProxy",
        "transparent_proxy",
        One(&[
            ("UID", "uid", Plain),
            ("OutboundPort", "outbound_port", Plain),
            ("ExcludeInboundPorts", "exclude_inbound_ports", Set),
            ("ExcludeOutboundPorts", "exclude_outbound_ports", Set),
            ("ExcludeOutboundCIDRs", "exclude_outbound_cidrs", Set),
            ("ExcludeUIDs", "exclude_uids", Set),
            ("NoDNS", "no_dns", Plain),
        ]),
    ),
];

const TLS: &[Field] = &[
    ("Enabled", "enabled", Plain),
    ("TLSMinVersion", "tls_min_version", Plain),
    ("TLSMaxVersion", "tls_max_version", Plain),
    ("CipherSuites", "cipher_suites", Set),
    (
        "SDS",
        "sds",
        One(&[
            ("ClusterName", "cluster_name", Plain),
            ("CertResource", "cert_resource", Plain),
        ]),
    ),
];

const HEADERS: &[Field] = &[
    ("Add", "add", Entries),
    ("Set", "set", Entries),
    ("Remove", "remove", Set),
];

const GATEWAY: &[Field] = &[
    (
        "Proxy",
        "proxy",
        One(&[
            ("ConnectTimeout", "connect_timeout", Span),
            (
                "EnvoyGatewayBindTaggedAddresses",
                "envoy_gateway_bind_tagged_addresses",
                Plain,
            ),
            (
                "EnvoyGatewayBindAddresses",
                "envoy_gateway_bind_addresses",
                ByName(
                    "Name",
                    &[("Address", "address", Plain), ("Port", "port", Plain)],
                ),
            ),
            (
                "EnvoyGatewayNoDefaultBind",
                "envoy_gateway_no_default_bind",
                Plain,
            ),
            ("EnvoyDNSDiscoveryType", "envoy_dns_discovery_type", Plain),
            ("Config", "config", Free),
        ]),
    ),
    (
        "Ingress",
        "ingress",
        One(&[
            ("TLS", "tls", One(TLS)),
            (
                "Listeners",
                "listener",
                Many(&[
                    ("Port", "port", Plain),
                    ("Protocol", "protocol", Plain),
                    (
                        "Services",
                        "service",
                        Many(&[
                            ("Name", "name", Plain),
                            ("Hosts", "hosts", Set),
                            ("TLS", "tls", One(TLS)),
                            ("RequestHeaders", "request_headers", One(HEADERS)),
                            ("ResponseHeaders", "response_headers", One(HEADERS)),
                            ("MaxConnections", "max_connections", Set),
                            ("MaxPendingRequests", "max_pending_requests", Set),
                            ("MaxConcurrentRequests", "max_concurrent_requests", Set),
                        ]),
                    ),
                ]),
            ),
        ]),
    ),
    (
        "Terminating",
        "terminating",
        One(&[(
            "Services",
            "service",
            Many(&[
                ("Name", "name", Plain),
                ("CAFile", "ca_file", Plain),
                ("CertFile", "cert_file", Plain),
                ("KeyFile", "key_file", Plain),
                ("SNI", "sni", Plain),
            ]),
        )]),
    ),
    ("Mesh", "mesh", One(&[])),
];
