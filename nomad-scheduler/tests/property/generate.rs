//! Clusters and jobs out of a seed.

use nomad_core::ids::{NodeId, Uuid};
use nomad_core::job::{
    Affinity, Constraint, Job, JobType, NetworkResource, Port, RequestedDevice, Resources, Spread,
    SpreadTarget, Task, TaskGroup,
};
use nomad_core::node::{
    DeviceInstance, DriverInfo, Node, NodeDevice, NodeNetwork, NodeNetworkAddress, NodeStatus,
};
use nomad_scheduler::computed_class;

/// A stream of numbers (SplitMix64), so that a case is its seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn from(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }

    /// True in `percent` of all cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.next() as usize % list.len()]
    }

    /// Another order of a list.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, self.next() as usize % (at + 1));
        }
    }
}

pub(crate) fn uuid(kind: u8, number: u64) -> Uuid {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Uuid(bytes)
}

pub(crate) fn node(dice: &mut Dice, number: u64) -> Node {
    let mut node = Node {
        id: NodeId(uuid(0x0d, number)),
        name: format!("node-{number}"),
        datacenter: (*dice.pick(&["dc1", "dc2"])).to_owned(),
        node_pool: "default".to_owned(),
        node_class: (*dice.pick(&["", "small", "large"])).to_owned(),
        status: NodeStatus::Ready,
        ..Node::default()
    };
    let has = &mut node.node_resources;
    has.cpu.cpu_shares = dice.from(2, 10) * 500;
    has.cpu.total_cpu_cores = 4;
    has.cpu.reservable_cpu_cores = vec![0, 1, 2, 3];
    has.memory.memory_mb = dice.from(2, 16) * 512;
    has.disk.disk_mb = dice.from(5, 50) * 100;
    if dice.chance(20) {
        node.node_max_allocs = dice.from(1, 4);
    }
    if dice.chance(40) {
        has.devices.push(NodeDevice {
            vendor: "acme".to_owned(),
            kind: "gpu".to_owned(),
            name: (*dice.pick(&["a1", "b2"])).to_owned(),
            instances: (0..dice.from(1, 3))
                .map(|id| DeviceInstance {
                    id: format!("{number}-{id}"),
                    healthy: !dice.chance(10),
                    ..DeviceInstance::default()
                })
                .collect(),
            ..NodeDevice::default()
        });
    }
    has.node_networks.push(NodeNetwork {
        mode: "host".to_owned(),
        device: "eth0".to_owned(),
        addresses: vec![NodeNetworkAddress {
            family: "ipv4".to_owned(),
            alias: "default".to_owned(),
            address: format!("10.0.0.{number}"),
            ..NodeNetworkAddress::default()
        }],
        ..NodeNetwork::default()
    });
    // Few, so that they run out.
    has.min_dynamic_port = 20_000;
    has.max_dynamic_port = 20_003;
    if dice.chance(30) {
        let keeps = &mut node.reserved_resources;
        keeps.cpu.cpu_shares = 200;
        keeps.memory.memory_mb = 256;
        keeps.networks.reserved_host_ports = "8080".to_owned();
        if dice.chance(50) {
            keeps.cpu.reserved_cpu_cores = vec![0];
        }
    }
    node.meta
        .insert("rack".to_owned(), format!("r{}", dice.from(1, 3)));
    if dice.chance(80) {
        node.meta
            .insert("zone".to_owned(), format!("z{}", dice.from(1, 2)));
    }
    node.attributes
        .insert("unique.hostname".to_owned(), node.name.clone());
    for driver in ["exec", "docker"] {
        let healthy = !dice.chance(15);
        node.drivers.insert(
            driver.to_owned(),
            DriverInfo {
                detected: true,
                healthy,
                ..DriverInfo::default()
            },
        );
        // Drivers are part of a node's class through their attributes.
        if healthy {
            node.attributes
                .insert(format!("driver.{driver}"), "1".to_owned());
        }
    }
    node.computed_class = computed_class(&node);
    node
}

fn constraints(dice: &mut Dice) -> Vec<Constraint> {
    let mut constraints = Vec::new();
    if dice.chance(15) {
        constraints.push(Constraint::new("${meta.rack}", "set_contains_any", "r1,r2"));
    }
    if dice.chance(10) {
        constraints.push(Constraint::new("${meta.zone}", "=", "z1"));
    }
    if dice.chance(10) {
        constraints.push(Constraint::new("${node.class}", "!=", "small"));
    }
    if dice.chance(10) {
        constraints.push(Constraint::new(
            "${attr.unique.hostname}",
            "regexp",
            "[0-6]$",
        ));
    }
    if dice.chance(10) {
        constraints.push(Constraint::new("", "distinct_hosts", "true"));
    }
    if dice.chance(10) {
        let limit = dice.from(1, 3).to_string();
        constraints.push(Constraint::new("${meta.rack}", "distinct_property", limit));
    }
    constraints
}

fn group(dice: &mut Dice, name: &str) -> TaskGroup {
    let mut group = TaskGroup {
        name: name.to_owned(),
        count: dice.from(0, 6),
        constraints: constraints(dice),
        ..TaskGroup::default()
    };
    for number in 0..dice.from(1, 2) {
        let mut resources = Resources {
            cpu: dice.from(1, 8) * 100,
            memory_mb: dice.from(1, 8) * 128,
            ..Resources::default()
        };
        if dice.chance(15) {
            resources.cores = dice.from(1, 2);
        }
        if dice.chance(15) {
            resources.devices.push(RequestedDevice {
                name: (*dice.pick(&["gpu", "acme/gpu", "acme/gpu/b2"])).to_owned(),
                count: dice.from(1, 2) as u64,
                ..RequestedDevice::default()
            });
        }
        group.tasks.push(Task {
            name: format!("task-{number}"),
            driver: (*dice.pick(&["exec", "docker"])).to_owned(),
            resources,
            ..Task::default()
        });
    }
    if dice.chance(40) {
        let port = |label: &str, value: i64| Port {
            label: label.to_owned(),
            value,
            ..Port::default()
        };
        let mut network = NetworkResource {
            mode: "host".to_owned(),
            ..NetworkResource::default()
        };
        if dice.chance(50) {
            let value = *dice.pick(&[8080, 9090, 20_001]);
            network.reserved_ports.push(port("fixed", value));
        }
        for number in 0..dice.from(0, 2) {
            network
                .dynamic_ports
                .push(port(&format!("free-{number}"), 0));
        }
        group.networks.push(network);
    }
    if dice.chance(25) {
        group.affinities.push(Affinity {
            ltarget: "${meta.rack}".to_owned(),
            rtarget: "r2".to_owned(),
            operand: "=".to_owned(),
            weight: *dice.pick(&[-60, 30, 100]),
        });
    }
    if dice.chance(30) {
        group.spreads.push(Spread {
            attribute: "${meta.rack}".to_owned(),
            weight: 50,
            spread_target: if dice.chance(50) {
                vec![SpreadTarget {
                    value: "r1".to_owned(),
                    percent: *dice.pick(&[0, 30, 70]),
                }]
            } else {
                Vec::new()
            },
        });
    }
    group
}

pub(crate) fn job(dice: &mut Dice, number: u64, job_type: JobType) -> Job {
    let groups = dice.from(1, 2);
    Job {
        id: format!("job-{number}").into(),
        name: format!("job-{number}"),
        namespace: "default".into(),
        job_type,
        priority: dice.from(1, 9) as i32 * 10,
        datacenters: vec![(*dice.pick(&["*", "dc1", "dc*", "dc2"])).to_owned()],
        node_pool: "default".to_owned(),
        constraints: constraints(dice),
        task_groups: (0..groups)
            .map(|number| group(dice, &format!("group-{number}")))
            .collect(),
        create_index: 1,
        modify_index: 1,
        job_modify_index: 1,
        ..Job::default()
    }
}
