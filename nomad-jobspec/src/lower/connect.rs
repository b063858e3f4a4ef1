//! `connect`: sidecars, their tasks, proxies and upstreams.

use nomad_core::spec::{
    Connect, ConsulProxy, ExposeConfig, ExposePath, MeshGateway, SidecarService, SidecarTask,
    TransparentProxy, Upstream,
};

use super::body::Reader;
use super::{all, gateway, one, resources, task, vault};

pub(super) fn connect(reader: Reader<'_>) -> Connect {
    let connect = Connect {
        native: reader.flag("native"),
        sidecar_service: one(&reader, "sidecar_service", sidecar_service),
        sidecar_task: one(&reader, "sidecar_task", sidecar_task),
        gateway: one(&reader, "gateway", gateway::gateway),
    };
    reader.finish();
    connect
}

fn sidecar_service(reader: Reader<'_>) -> SidecarService {
    let sidecar = SidecarService {
        tags: reader.strings("tags"),
        port: reader.text("port"),
        disable_default_tcp_check: reader.flag("disable_default_tcp_check"),
        meta: reader.string_map_block("meta"),
        proxy: one(&reader, "proxy", proxy),
    };
    reader.finish();
    sidecar
}

fn sidecar_task(reader: Reader<'_>) -> SidecarTask {
    let task = SidecarTask {
        name: reader.text("name"),
        driver: reader.text("driver"),
        user: reader.text("user"),
        config: reader.free_form("config", true),
        env: reader.string_map("env"),
        resources: one(&reader, "resources", resources::resources),
        meta: reader.string_map("meta"),
        kill_timeout: reader.duration("kill_timeout"),
        log_config: one(&reader, "logs", task::logs),
        shutdown_delay: reader.duration("shutdown_delay"),
        kill_signal: reader.text("kill_signal"),
        volume_mounts: all(&reader, "volume_mount", task::volume_mount),
        identities: all(&reader, "identity", vault::identity),
    };
    reader.finish();
    task
}

fn proxy(reader: Reader<'_>) -> ConsulProxy {
    let proxy = ConsulProxy {
        local_service_address: reader.text("local_service_address"),
        local_service_port: reader.int("local_service_port").unwrap_or(0),
        config: reader.free_form("config", true),
        upstreams: all(&reader, "upstreams", upstream),
        expose: one(&reader, "expose", expose),
        transparent_proxy: one(&reader, "transparent_proxy", transparent_proxy),
        expose_config: None,
    };
    reader.finish();
    proxy
}

fn upstream(reader: Reader<'_>) -> Upstream {
    let upstream = Upstream {
        destination_name: reader.text("destination_name"),
        destination_namespace: reader.text("destination_namespace"),
        destination_peer: reader.text("destination_peer"),
        destination_partition: reader.text("destination_partition"),
        destination_type: reader.text("destination_type"),
        local_bind_port: reader.int("local_bind_port").unwrap_or(0),
        local_bind_address: reader.text("local_bind_address"),
        local_bind_socket_path: reader.text("local_bind_socket_path"),
        local_bind_socket_mode: reader.text("local_bind_socket_mode"),
        datacenter: reader.text("datacenter"),
        mesh_gateway: one(&reader, "mesh_gateway", |reader| {
            let gateway = MeshGateway {
                mode: reader.text("mode"),
            };
            reader.finish();
            gateway
        }),
        config: reader.free_form("config", true),
    };
    reader.finish();
    upstream
}

fn expose(reader: Reader<'_>) -> ExposeConfig {
    let expose = ExposeConfig {
        path: None,
        paths: all(&reader, "path", expose_path),
    };
    reader.finish();
    expose
}

fn expose_path(reader: Reader<'_>) -> ExposePath {
    let path = ExposePath {
        path: reader.text("path"),
        protocol: reader.text("protocol"),
        local_path_port: reader.int("local_path_port").unwrap_or(0),
        listener_port: reader.text("listener_port"),
    };
    reader.finish();
    path
}

fn transparent_proxy(reader: Reader<'_>) -> TransparentProxy {
    let proxy = TransparentProxy {
        uid: reader.text("uid"),
        outbound_port: reader.bounded("outbound_port").unwrap_or(0),
        exclude_inbound_ports: reader.strings("exclude_inbound_ports"),
        exclude_outbound_ports: reader.ports("exclude_outbound_ports"),
        exclude_outbound_cidrs: reader.strings("exclude_outbound_cidrs"),
        exclude_uids: reader.strings("exclude_uids"),
        no_dns: reader.flag("no_dns"),
    };
    reader.finish();
    proxy
}
