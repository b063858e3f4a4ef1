//! Cores, their speed and where they are: `cpu.*`, `numa.*`.

use std::collections::BTreeMap;

use nomad_core::node::{Core, Node, NodeCpu, Topology};
use serde_json::Value;

use super::{Host, format_list, parse_list, set, smbios};

/// What is assumed of a machine that tells nothing: one core, in MHz.
const FALLBACK_MHZ: u64 = 1000;

pub(super) fn probe(host: &Host<'_>, node: &mut Node) {
    let cpuinfo = CpuInfo::read(host);
    if let Some(name) = &cpuinfo.model {
        set(node, "cpu.modelname", name);
    }
    let (mut cores, nodes) = cores(host, &cpuinfo);
    withhold(host, node, &mut cores);

    let speed = |core: &Core| {
        [core.base_speed, core.max_speed, core.guess_speed]
            .into_iter()
            .find(|mhz| *mhz > 0)
            .unwrap_or(0)
    };
    let mut grades: BTreeMap<bool, (usize, u64)> = BTreeMap::new();
    for core in &cores {
        let entry = grades.entry(core.grade).or_default();
        entry.0 += 1;
        entry.1 = entry.1.max(speed(core));
    }
    if grades.len() > 1 {
        for (grade, (count, mhz)) in &grades {
            let name = if *grade { "performance" } else { "efficiency" };
            set(node, &format!("cpu.frequency.{name}"), mhz);
            set(node, &format!("cpu.numcores.{name}"), count);
        }
    } else if let Some((_, mhz)) = grades.values().next() {
        set(node, "cpu.frequency", mhz);
    }
    set(node, "cpu.numcores", cores.len());

    let config = host.config;
    let sum: u64 = cores.iter().map(speed).sum();
    let total = if config.cpu_total_compute > 0 {
        config.cpu_total_compute
    } else {
        sum
    };
    let reserved_mhz = config.reserved.cpu.max(0) as u64;
    let enabled: u64 = cores.iter().filter(|core| !core.disable).map(speed).sum();
    let usable = if config.cpu_total_compute > 0 {
        total.saturating_sub(reserved_mhz)
    } else {
        enabled.saturating_sub(reserved_mhz)
    };
    set(node, "cpu.totalcompute", total);
    set(node, "cpu.usablecompute", usable);

    let reservable: Vec<u16> = match parse_list(&config.reservable_cores) {
        Some(list) if !config.reservable_cores.is_empty() => cores
            .iter()
            .map(|core| core.id)
            .filter(|id| list.contains(id))
            .collect(),
        _ => cores
            .iter()
            .filter(|core| !core.disable)
            .map(|core| core.id)
            .collect(),
    };
    set(node, "cpu.reservablecores", reservable.len());
    set(node, "numa.node.count", nodes.len());
    for id in &nodes {
        let of_node: Vec<u16> = cores
            .iter()
            .filter(|core| core.node_id == *id)
            .map(|core| core.id)
            .collect();
        set(node, &format!("numa.node{id}.cores"), format_list(&of_node));
    }
    node.node_resources.cpu = NodeCpu {
        cpu_shares: i64::try_from(total).unwrap_or(i64::MAX),
        total_cpu_cores: cores.len() as u32,
        reservable_cpu_cores: reservable,
    };
    node.node_resources.processors.topology = Some(Topology {
        nodes: Value::from(nodes.iter().map(|id| Value::from(*id)).collect::<Vec<_>>()),
        distances: distances(host, &nodes),
        cores,
        bus_associativity: None,
        override_total_compute: config.cpu_total_compute,
        override_withold_compute: reserved_mhz,
    });
}

/// Marks the cores that the node keeps for itself.
fn withhold(host: &Host<'_>, node: &mut Node, cores: &mut [Core]) {
    let kept = parse_list(&host.config.reserved.cores).unwrap_or_default();
    for core in cores.iter_mut() {
        core.disable = kept.contains(&core.id);
    }
    node.reserved_resources.cpu.reserved_cpu_cores = kept;
}

/// The cores, and the NUMA nodes.
fn cores(host: &Host<'_>, cpuinfo: &CpuInfo) -> (Vec<Core>, Vec<u8>) {
    let online = parse_list(&host.text("sys/devices/system/cpu/online")).unwrap_or_default();
    let online = if online.is_empty() {
        (0..cpuinfo.processors.max(1) as u16).collect()
    } else {
        online
    };
    let node_ids: Vec<u8> = parse_list(&host.text("sys/devices/system/node/online"))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|id| u8::try_from(id).ok())
        .collect();
    let node_ids = if node_ids.is_empty() {
        vec![0]
    } else {
        node_ids
    };
    let mut node_of = BTreeMap::new();
    for id in &node_ids {
        let list = host.text(&format!("sys/devices/system/node/node{id}/cpulist"));
        for core in parse_list(&list).unwrap_or_default() {
            node_of.insert(core, *id);
        }
    }
    let table_mhz = smbios::processor_mhz(host);
    let mut cores: Vec<Core> = online
        .iter()
        .map(|id| {
            let dir = format!("sys/devices/system/cpu/cpu{id}");
            let mhz = |file: &str| {
                let khz: u64 = host
                    .text(&format!("{dir}/cpufreq/{file}"))
                    .parse()
                    .unwrap_or(0);
                khz / 1000
            };
            let base = [
                mhz("base_frequency"),
                host.text(&format!("{dir}/acpi_cppc/nominal_freq"))
                    .parse()
                    .unwrap_or(0),
                table_mhz,
            ]
            .into_iter()
            .find(|mhz| *mhz > 0)
            .unwrap_or(0);
            let max = mhz("cpuinfo_max_freq");
            let siblings = parse_list(&host.text(&format!("{dir}/topology/thread_siblings_list")));
            Core {
                socket_id: host
                    .text(&format!("{dir}/topology/physical_package_id"))
                    .parse()
                    .unwrap_or(0),
                node_id: node_of.get(id).copied().unwrap_or(0),
                id: *id,
                grade: siblings.is_some_and(|list| list.len() > 1),
                disable: false,
                base_speed: base,
                max_speed: max,
                guess_speed: if base == 0 && max == 0 {
                    cpuinfo.mhz.unwrap_or(FALLBACK_MHZ)
                } else {
                    0
                },
            }
        })
        .collect();
    // Without hyper-threading all cores look alike; then none is a lesser one.
    if !cores.iter().any(|core| core.grade) {
        for core in &mut cores {
            core.grade = true;
        }
    }
    (cores, node_ids)
}

/// Distances between NUMA nodes; null for a single one.
fn distances(host: &Host<'_>, nodes: &[u8]) -> Value {
    if nodes.len() < 2 {
        return Value::Null;
    }
    nodes
        .iter()
        .map(|id| {
            let row = host.text(&format!("sys/devices/system/node/node{id}/distance"));
            row.split_whitespace()
                .filter_map(|n| n.parse::<u64>().ok())
                .map(Value::from)
                .collect::<Value>()
        })
        .collect()
}

struct CpuInfo {
    model: Option<String>,
    processors: usize,
    /// Highest speed that a core has now.
    mhz: Option<u64>,
}

impl CpuInfo {
    fn read(host: &Host<'_>) -> Self {
        let text = host.text("proc/cpuinfo");
        let mut info = Self {
            model: None,
            processors: 0,
            mhz: None,
        };
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            match (key.trim(), value.trim()) {
                ("processor", _) => info.processors += 1,
                ("model name", name) if info.model.is_none() => info.model = Some(name.to_owned()),
                ("cpu MHz", mhz) => {
                    let mhz: Option<u64> = mhz.parse::<f64>().ok().map(|mhz| mhz as u64);
                    info.mhz = info.mhz.max(mhz.filter(|mhz| *mhz > 0));
                }
                _ => {}
            }
        }
        info
    }
}
