//! Consul Connect: sidecars, the sidecar task, upstreams, transparent proxy.

use super::gateway::Gateway;
use super::json::{AnyMap, StringList, StringMap, api_struct};
use super::resources::Resources;
use super::task::{LogConfig, VolumeMount};
use super::vault::WorkloadIdentity;
use crate::time::Nanos;

api_struct! {
    /// A service's place in the mesh: exactly one of native, sidecar or gateway.
    pub struct Connect {
        pub gateway: Option<Gateway> = "Gateway",
        pub native: bool = "Native",
        pub sidecar_service: Option<SidecarService> = "SidecarService",
        pub sidecar_task: Option<SidecarTask> = "SidecarTask",
    }
}

api_struct! {
    /// The proxy that stands beside the service.
    pub struct SidecarService {
        pub disable_default_tcp_check: bool = "DisableDefaultTCPCheck",
        pub meta: StringMap = "Meta",
        pub port: String = "Port",
        pub proxy: Option<ConsulProxy> = "Proxy",
        pub tags: StringList = "Tags",
    }
}

api_struct! {
    /// What the user changes in the injected proxy task.
    pub struct SidecarTask {
        pub config: AnyMap = "Config",
        pub driver: String = "Driver",
        pub env: StringMap = "Env",
        pub identities: Option<Vec<WorkloadIdentity>> = "Identities",
        pub kill_signal: String = "KillSignal",
        pub kill_timeout: Option<Nanos> = "KillTimeout",
        pub log_config: Option<LogConfig> = "LogConfig",
        pub meta: StringMap = "Meta",
        pub name: String = "Name",
        pub resources: Option<Resources> = "Resources",
        pub shutdown_delay: Option<Nanos> = "ShutdownDelay",
        pub user: String = "User",
        pub volume_mounts: Option<Vec<VolumeMount>> = "VolumeMounts",
    }
}

api_struct! {
    /// Configuration of a sidecar proxy.
    pub struct ConsulProxy {
        pub config: AnyMap = "Config",
        pub expose: Option<ExposeConfig> = "Expose",
        /// Deprecated; wins over `expose`.
        pub expose_config: Option<ExposeConfig> = "ExposeConfig",
        pub local_service_address: String = "LocalServiceAddress",
        pub local_service_port: i64 = "LocalServicePort",
        pub transparent_proxy: Option<TransparentProxy> = "TransparentProxy",
        pub upstreams: Option<Vec<Upstream>> = "Upstreams",
    }
}

api_struct! {
    /// A service that is reached through the proxy.
    pub struct Upstream {
        pub config: AnyMap = "Config",
        pub datacenter: String = "Datacenter",
        pub destination_name: String = "DestinationName",
        pub destination_namespace: String = "DestinationNamespace",
        pub destination_partition: String = "DestinationPartition",
        pub destination_peer: String = "DestinationPeer",
        pub destination_type: String = "DestinationType",
        pub local_bind_address: String = "LocalBindAddress",
        pub local_bind_port: i64 = "LocalBindPort",
        pub local_bind_socket_mode: String = "LocalBindSocketMode",
        pub local_bind_socket_path: String = "LocalBindSocketPath",
        pub mesh_gateway: Option<MeshGateway> = "MeshGateway",
    }
}

api_struct! {
    /// How an upstream in another datacenter is reached.
    pub struct MeshGateway {
        pub mode: String = "Mode",
    }
}

api_struct! {
    /// Paths that the proxy lets through without mutual TLS.
    pub struct ExposeConfig {
        /// Deprecated; wins over `paths`.
        pub path: Option<Vec<ExposePath>> = "Path" [omit],
        pub paths: Option<Vec<ExposePath>> = "Paths",
    }
}

api_struct! {
    /// One path let through.
    pub struct ExposePath {
        pub listener_port: String = "ListenerPort",
        pub local_path_port: i64 = "LocalPathPort",
        pub path: String = "Path",
        pub protocol: String = "Protocol",
    }
}

api_struct! {
    /// Redirects all traffic of the allocation through the proxy.
    pub struct TransparentProxy {
        pub exclude_inbound_ports: StringList = "ExcludeInboundPorts",
        pub exclude_outbound_cidrs: StringList = "ExcludeOutboundCIDRs",
        pub exclude_outbound_ports: Option<Vec<u16>> = "ExcludeOutboundPorts",
        pub exclude_uids: StringList = "ExcludeUIDs",
        pub no_dns: bool = "NoDNS",
        pub outbound_port: u16 = "OutboundPort",
        pub uid: String = "UID",
    }
}
