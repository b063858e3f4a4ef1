//! The `client` block.

use nomad_client::config::{HostNetworkConfig, HostVolumeConfig};
use nomad_core::Nanos;

use super::ClientBlock;
use super::reader::Reader;

const PORTS: std::ops::RangeInclusive<i64> = 0..=65_535;
const WHOLE: std::ops::RangeInclusive<i64> = 0..=i64::MAX;

pub(super) fn apply(read: &mut Reader<'_>, into: &mut ClientBlock) {
    read.flag("enabled", &mut into.enabled);
    read.path("state_dir", &mut into.state_dir);
    read.path("alloc_dir", &mut into.alloc_dir);
    if let Some(servers) = read.list("servers") {
        into.servers.extend(servers);
    }
    super::server::join(read, &mut into.join, false);
    let settings = &mut into.settings;
    read.text("node_class", &mut settings.node_class);
    read.text("node_pool", &mut settings.node_pool);
    read.map("meta", &mut settings.meta);
    read.map("options", &mut settings.options);
    read.text("network_interface", &mut settings.network_interface);
    read.text(
        "preferred_address_family",
        &mut settings.preferred_address_family,
    );
    read.number("network_speed", WHOLE, &mut settings.network_speed);
    read.number("cpu_total_compute", WHOLE, &mut settings.cpu_total_compute);
    read.number("memory_total_mb", WHOLE, &mut settings.memory_total_mb);
    read.number("disk_total_mb", WHOLE, &mut settings.disk_total_mb);
    read.text("reservable_cores", &mut settings.reservable_cores);
    read.each("reserved", |read| {
        let reserved = &mut settings.reserved;
        read.number("cpu", WHOLE, &mut reserved.cpu);
        read.number("memory", WHOLE, &mut reserved.memory_mb);
        read.number("disk", WHOLE, &mut reserved.disk_mb);
        read.text("reserved_ports", &mut reserved.ports);
        read.text("cores", &mut reserved.cores);
    });
    let mut max_kill_timeout = settings.max_kill_timeout.to_std();
    read.duration("max_kill_timeout", &mut max_kill_timeout);
    settings.max_kill_timeout = Nanos::from_std(max_kill_timeout);
    read.number("min_dynamic_port", PORTS, &mut settings.min_dynamic_port);
    read.number("max_dynamic_port", PORTS, &mut settings.max_dynamic_port);
    read.duration("gc_interval", &mut settings.gc_interval);
    read.number(
        "gc_parallel_destroys",
        1..=1_000,
        &mut settings.gc_parallel_destroys,
    );
    read.float(
        "gc_disk_usage_threshold",
        &mut settings.gc.disk_usage_percent,
    );
    read.float(
        "gc_inode_usage_threshold",
        &mut settings.gc.inode_usage_percent,
    );
    read.number("gc_max_allocs", WHOLE, &mut settings.gc.max_allocs);
    read.flag("gc_volumes_on_node_gc", &mut settings.gc_volumes_on_node_gc);
    read.flag("disable_remote_exec", &mut settings.disable_remote_exec);
    read.number("node_max_allocs", WHOLE, &mut settings.node_max_allocs);
    read.flag("default_ineligible", &mut settings.default_ineligible);
    read.flag("nomad_service_discovery", &mut settings.service_discovery);
    read.text("cgroup_parent", &mut settings.cgroup_parent);
    read.text("bridge_network_name", &mut settings.bridge_network_name);
    read.flag(
        "bridge_network_hairpin_mode",
        &mut settings.bridge_network_hairpin_mode,
    );
    for (name, block) in read.labelled("host_volume") {
        read.within("host_volume.client", block, |read| {
            let mut volume = HostVolumeConfig::default();
            let mut path = None;
            read.path("path", &mut path);
            read.flag("read_only", &mut volume.read_only);
            volume.path = path.unwrap_or_default();
            settings.host_volumes.insert(name, volume);
        });
    }
    for (name, block) in read.labelled("host_network") {
        read.within("host_network.client", block, |read| {
            let mut network = HostNetworkConfig::default();
            read.text("cidr", &mut network.cidr);
            read.text("interface", &mut network.interface);
            read.text("reserved_ports", &mut network.reserved_ports);
            settings.host_networks.insert(name, network);
        });
    }
    read.accepted(&[
        "no_host_uuid",
        "disk_free_mb",
        "log_file",
        "bind_wildcard_default_host_network",
    ]);
    read.not_built(&[
        "alloc_mounts_dir",
        "host_volumes_dir",
        "host_volume_plugin_dir",
        "common_plugin_dir",
        "cpu_disable_dmidecode",
        "client_min_port",
        "client_max_port",
        "chroot_env",
        "cni_path",
        "cni_config_dir",
        "bridge_network_subnet",
        "bridge_network_subnet_ipv6",
        "fingerprint",
        "template",
        "artifact",
        "drain_on_shutdown",
        "users",
    ]);
}
