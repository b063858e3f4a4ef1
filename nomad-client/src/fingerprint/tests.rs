//! The real machine, and small made-up ones.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use super::*;
use crate::config::{HostNetworkConfig, Reserved};

fn config(dir: &Path) -> ClientConfig {
    ClientConfig {
        alloc_dir: dir.join("alloc"),
        http_addr: "127.0.0.1:4646".to_owned(),
        dev: true,
        ..ClientConfig::default()
    }
}

#[test]
fn this_machine_is_described_quickly() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let start = Instant::now();
    let node = fingerprint(&Host::real(&config));
    let took = start.elapsed();
    assert!(took < Duration::from_millis(200), "took {took:?}");
    for key in [
        "cpu.arch",
        "cpu.frequency",
        "cpu.numcores",
        "cpu.reservablecores",
        "cpu.totalcompute",
        "cpu.usablecompute",
        "kernel.arch",
        "kernel.name",
        "kernel.version",
        "memory.totalbytes",
        "nomad.service_discovery",
        "nomad.version",
        "numa.node.count",
        "os.name",
        "os.signals",
        "unique.advertise.address",
        "unique.hostname",
        "unique.network.ip-address",
        "unique.storage.bytestotal",
    ] {
        assert!(node.attributes.contains_key(key), "{key}");
    }
    assert_eq!(node.attributes["nomad.version"], "2.0.6");
    assert_eq!(node.attributes["unique.network.ip-address"], "127.0.0.1");
    assert!(node.node_resources.cpu.cpu_shares > 0);
    assert!(node.node_resources.memory.memory_mb > 0);
    assert!(node.node_resources.disk.disk_mb > 0);
    let own = node
        .node_resources
        .node_networks
        .iter()
        .find(|network| network.device == "lo")
        .unwrap();
    assert_eq!(own.addresses[0].alias, "default");
    assert_eq!(node.meta["connect.log_level"], "info");
}

struct Fake {
    dir: tempfile::TempDir,
}

impl Fake {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { dir }
    }

    fn describe(&self, config: &ClientConfig) -> Node {
        fingerprint(&Host {
            config,
            root: self.dir.path().to_owned(),
        })
    }
}

#[test]
fn a_machine_with_two_sockets_and_two_kinds_of_cores() {
    let fake = Fake::new(&[
        ("proc/cpuinfo", "model name : Fast One\ncpu MHz : 900.1\n"),
        ("proc/meminfo", "MemFree: 1 kB\nMemTotal:  4194304 kB\n"),
        ("sys/devices/system/cpu/online", "0-3"),
        ("sys/devices/system/node/online", "0-1"),
        ("sys/devices/system/node/node0/cpulist", "0-1"),
        ("sys/devices/system/node/node1/cpulist", "2-3"),
        ("sys/devices/system/node/node0/distance", "10 20"),
        ("sys/devices/system/node/node1/distance", "20 10"),
        (
            "sys/devices/system/cpu/cpu0/topology/thread_siblings_list",
            "0-1",
        ),
        (
            "sys/devices/system/cpu/cpu1/topology/thread_siblings_list",
            "0-1",
        ),
        (
            "sys/devices/system/cpu/cpu0/cpufreq/base_frequency",
            "3000000",
        ),
        (
            "sys/devices/system/cpu/cpu1/cpufreq/base_frequency",
            "3000000",
        ),
        (
            "sys/devices/system/cpu/cpu2/cpufreq/cpuinfo_max_freq",
            "2000000",
        ),
        (
            "sys/devices/system/cpu/cpu3/cpufreq/cpuinfo_max_freq",
            "2000000",
        ),
        (
            "sys/devices/system/cpu/cpu3/topology/physical_package_id",
            "1",
        ),
        ("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n"),
        ("etc/debian_version", "12.11\n"),
        ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
    ]);
    let mut config = config(fake.dir.path());
    config.reserved = Reserved {
        cpu: 500,
        cores: "3".to_owned(),
        ..Reserved::default()
    };
    let node = fake.describe(&config);
    let wanted = BTreeMap::from([
        ("cpu.modelname", "Fast One"),
        ("cpu.frequency.performance", "3000"),
        ("cpu.frequency.efficiency", "2000"),
        ("cpu.numcores", "4"),
        ("cpu.numcores.performance", "2"),
        ("cpu.totalcompute", "10000"),
        ("cpu.usablecompute", "7500"),
        ("cpu.reservablecores", "3"),
        ("numa.node.count", "2"),
        ("numa.node1.cores", "2-3"),
        ("memory.totalbytes", "4294967296"),
        ("os.version", "12.11"),
        ("unique.host_id", "01234567-89ab-cdef-0123-456789abcdef"),
    ]);
    for (key, value) in wanted {
        assert_eq!(
            node.attributes.get(key).map(String::as_str),
            Some(value),
            "{key}"
        );
    }
    let topology = node.node_resources.processors.topology.unwrap();
    assert!(topology.cores[3].disable);
    assert_eq!(topology.cores[3].socket_id, 1);
    assert_eq!(topology.distances, serde_json::json!([[10, 20], [20, 10]]));
}

#[test]
fn a_machine_that_tells_nothing_still_has_a_core() {
    let fake = Fake::new(&[]);
    let node = fake.describe(&config(fake.dir.path()));
    assert_eq!(node.attributes["cpu.numcores"], "1");
    assert_eq!(node.attributes["cpu.totalcompute"], "1000");
    assert!(!node.attributes.contains_key("memory.totalbytes"));
}

#[test]
fn settings_replace_measurements_and_lists_switch_probes_off() {
    let fake = Fake::new(&[]);
    let mut config = config(fake.dir.path());
    config.cpu_total_compute = 5000;
    config.memory_total_mb = 2048;
    config.disk_total_mb = 7;
    config
        .options
        .insert("fingerprint.denylist".to_owned(), "host,signal".to_owned());
    let node = fake.describe(&config);
    assert_eq!(node.attributes["cpu.totalcompute"], "5000");
    assert_eq!(node.node_resources.memory.memory_mb, 2048);
    assert_eq!(node.node_resources.disk.disk_mb, 7);
    assert!(!node.attributes.contains_key("kernel.name"));
    assert!(!node.attributes.contains_key("os.signals"));
}

#[test]
fn host_networks_name_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.host_networks.insert(
        "inner".to_owned(),
        HostNetworkConfig {
            cidr: "10.0.0.0/8, 127.0.0.0/8".to_owned(),
            reserved_ports: "22".to_owned(),
            ..HostNetworkConfig::default()
        },
    );
    let node = fingerprint(&Host::real(&config));
    let all: Vec<_> = node
        .node_resources
        .node_networks
        .iter()
        .flat_map(|network| &network.addresses)
        .filter(|address| address.alias == "inner")
        .collect();
    assert!(all.iter().any(|address| address.address == "127.0.0.1"));
    assert_eq!(all[0].reserved_ports, "22");
    assert_eq!(node.host_networks["inner"].reserved_ports, "22");
}

#[test]
fn ranges_hold_addresses() {
    let holds = |range: &str, ip: &str| network::contains(range, ip.parse().unwrap());
    assert!(holds("10.0.0.0/8", "10.255.0.1"));
    assert!(!holds("10.0.0.0/8", "11.0.0.1"));
    assert!(holds("0.0.0.0/0", "1.2.3.4"));
    assert!(holds("fd00::/8", "fd12::1"));
    assert!(!holds("fd00::/8", "10.0.0.1"));
    assert!(holds("10.0.0.7", "10.0.0.7"));
    assert!(!holds("10.0.0.0/99", "10.0.0.1"));
    assert!(!holds("nonsense/8", "10.0.0.1"));
}

#[test]
fn lists_of_cores_are_read_and_bounded() {
    assert_eq!(parse_list("0-2,8"), Some(vec![0, 1, 2, 8]));
    assert_eq!(parse_list(""), Some(vec![]));
    assert_eq!(parse_list("3-1"), None);
    assert_eq!(parse_list("x"), None);
    assert_eq!(parse_list("0-65535"), None);
    assert_eq!(format_list(&[0, 1, 2, 8]), "0-2,8");
}
