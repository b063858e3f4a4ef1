//! One node: its lines, resources, events and allocations.

use anyhow::{Context as _, Result};
use futures::future::join_all;
use nomad_api::client::QueryOptions;
use nomad_api::types::{AllocListStub, HostStats};
use nomad_core::Nanos;
use nomad_core::alloc::{AllocatedResources, ClientStatus};
use nomad_core::node::{Node, NodeStatus as Status};

use super::node_status::NodeStatus;
use super::shared::{alloc_table, row};
use crate::context::{Context, now};
use crate::format::{bytes, kv, megabytes, table, time};

/// Prints a node.
pub async fn show(context: &Context, node: &Node, flags: &NodeStatus) -> Result<()> {
    let id = node.id.to_string();
    let stats = if node.status == Status::Down {
        None
    } else {
        match context.client.node_stats(&id).await {
            Ok(stats) => Some(stats),
            Err(error) => {
                context.ui.error(format!(
                    "Error fetching node stats (HINT: ensure Client.Advertise.HTTP is set): {error}"
                ));
                None
            }
        }
    };
    let (allocs, _) = context
        .client
        .node_allocations(&id, &QueryOptions::new().param("resources", "true"))
        .await
        .context("Error querying node allocations")?;
    context.ui.out(kv(&lines(node, stats.as_ref(), flags)));
    if !flags.short {
        details(context, node, stats.as_ref(), &allocs, flags).await;
    }
    context
        .ui
        .section("Allocations", alloc_table(&allocs, flags.verbose, now()));
    if flags.verbose {
        attributes(context, node);
    }
    Ok(())
}

fn lines(
    node: &Node,
    stats: Option<&HostStats>,
    flags: &NodeStatus,
) -> Vec<(&'static str, String)> {
    let joined = |names: Vec<&str>| names.join(",");
    let mut lines = vec![
        ("ID", node.id.to_string()),
        ("Name", node.name.clone()),
        ("Node Pool", node.node_pool.clone()),
        ("Class", node.node_class.clone()),
        ("DC", node.datacenter.clone()),
        ("Drain", drain(node)),
        ("Eligibility", node.scheduling_eligibility.to_string()),
        ("Status", node.status.to_string()),
        (
            "CSI Controllers",
            joined(
                node.csi_controller_plugins
                    .keys()
                    .map(String::as_str)
                    .collect(),
            ),
        ),
        (
            "CSI Drivers",
            joined(node.csi_node_plugins.keys().map(String::as_str).collect()),
        ),
    ];
    if flags.short {
        lines.push(("Drivers", drivers(node)));
        return lines;
    }
    if let Some(stats) = stats {
        lines.push(("Uptime", Nanos::secs(stats.uptime as i64).to_string()));
    }
    if !flags.verbose {
        lines.extend([
            (
                "Host Volumes",
                joined(node.host_volumes.keys().map(String::as_str).collect()),
            ),
            (
                "Host Networks",
                joined(node.host_networks.keys().map(String::as_str).collect()),
            ),
            ("CSI Volumes", String::new()),
            ("Driver Status", drivers(node)),
        ]);
    }
    lines
}

fn drain(node: &Node) -> String {
    let Some(strategy) = &node.drain_strategy else {
        return "false".to_owned();
    };
    let mut text = if strategy.deadline.0 < 0 {
        "true; force drain".to_owned()
    } else if strategy.force_deadline.is_zero() {
        "true; no deadline".to_owned()
    } else {
        format!("true; {} deadline", time(strategy.force_deadline))
    };
    if strategy.ignore_system_jobs {
        text.push_str("; ignoring system jobs");
    }
    text
}

/// Detected drivers; those that are unwell say so.
fn drivers(node: &Node) -> String {
    node.drivers
        .iter()
        .filter(|(_, driver)| driver.detected)
        .map(|(name, driver)| {
            if driver.healthy {
                name.clone()
            } else {
                format!("{name} (unhealthy)")
            }
        })
        .collect::<Vec<_>>()
        .join(",")
}

async fn details(
    context: &Context,
    node: &Node,
    stats: Option<&HostStats>,
    allocs: &[AllocListStub],
    flags: &NodeStatus,
) {
    if flags.verbose {
        verbose_sections(context, node);
    }
    context
        .ui
        .section("Node Events", events(node, flags.verbose));
    let live: Vec<&AllocListStub> = allocs
        .iter()
        .filter(|alloc| alloc.client_status == ClientStatus::Running.as_str())
        .collect();
    context
        .ui
        .section("Allocated Resources", allocated(node, &live));
    if let Some(text) = utilization(context, node, &live).await {
        context.ui.section("Allocation Resource Utilization", text);
    }
    let Some(stats) = stats else { return };
    context
        .ui
        .section("Host Resource Utilization", host_utilization(node, stats));
    if flags.stats {
        host_stats(context, stats);
    }
}

fn verbose_sections(context: &Context, node: &Node) {
    if !node.host_volumes.is_empty() {
        let mut rows = vec![row(["Name", "ReadOnly", "Source"])];
        rows.extend(
            node.host_volumes
                .iter()
                .map(|(name, v)| vec![name.clone(), v.read_only.to_string(), v.path.clone()]),
        );
        context.ui.section("Host Volumes", table(&rows));
    }
    if !node.host_networks.is_empty() {
        let mut rows = vec![row(["Name", "CIDR", "Interface", "ReservedPorts"])];
        rows.extend(node.host_networks.iter().map(|(name, n)| {
            vec![
                name.clone(),
                n.cidr.clone(),
                n.interface.clone(),
                n.reserved_ports.clone(),
            ]
        }));
        context.ui.section("Host Networks", table(&rows));
    }
    let mut rows = vec![row(["Driver", "Detected", "Healthy", "Message", "Time"])];
    rows.extend(node.drivers.iter().map(|(name, driver)| {
        vec![
            name.clone(),
            driver.detected.to_string(),
            driver.healthy.to_string(),
            driver.health_description.clone(),
            time(driver.update_time),
        ]
    }));
    context.ui.section("Drivers", table(&rows));
}

/// Newest first.
fn events(node: &Node, verbose: bool) -> String {
    let mut rows = vec![if verbose {
        row(["Time", "Subsystem", "Message", "Details"])
    } else {
        row(["Time", "Subsystem", "Message"])
    }];
    for event in node.events.iter().rev() {
        let subsystem = match event.details.get("driver") {
            Some(driver) if event.subsystem == "Driver" => format!("Driver: {driver}"),
            _ => event.subsystem.clone(),
        };
        let mut cells = vec![time(event.timestamp), subsystem, event.message.clone()];
        if verbose {
            let details = event
                .details
                .iter()
                .map(|(key, value)| format!("{key} = {value}"));
            cells.push(details.collect::<Vec<_>>().join(" "));
        }
        rows.push(cells);
    }
    table(&rows)
}

/// What the node has for allocations: MHz, MiB of memory, MiB of disk.
fn capacity(node: &Node) -> (i64, i64, i64) {
    let (has, kept) = (&node.node_resources, &node.reserved_resources);
    (
        has.cpu.cpu_shares - kept.cpu.cpu_shares,
        has.memory.memory_mb - kept.memory.memory_mb,
        has.disk.disk_mb - kept.disk.disk_mb,
    )
}

fn allocated(node: &Node, live: &[&AllocListStub]) -> String {
    let (cpu, memory, disk) = capacity(node);
    let given = |of: fn(&AllocatedResources) -> i64| -> i64 {
        live.iter()
            .filter_map(|alloc| alloc.allocated_resources.as_ref())
            .map(of)
            .sum()
    };
    let used_cpu = given(|r| r.tasks.values().map(|task| task.cpu.cpu_shares).sum());
    let used_memory = given(|r| r.tasks.values().map(|task| task.memory.memory_mb).sum());
    let used_disk = given(|r| r.shared.disk_mb);
    let count = if node.node_max_allocs > 0 {
        format!("{}/{}", live.len(), node.node_max_allocs)
    } else {
        live.len().to_string()
    };
    table(&[
        row(["CPU", "Memory", "Disk", "Alloc Count"]),
        vec![
            format!("{used_cpu}/{cpu} MHz"),
            format!("{}/{}", megabytes(used_memory), megabytes(memory)),
            format!("{}/{}", megabytes(used_disk), megabytes(disk)),
            count,
        ],
    ])
}

/// What the running allocations use together; nothing if any does not tell.
async fn utilization(context: &Context, node: &Node, live: &[&AllocListStub]) -> Option<String> {
    let options = QueryOptions::new();
    let answers = join_all(
        live.iter()
            .map(|alloc| context.client.allocation_stats(&alloc.id, &options)),
    )
    .await;
    let (mut cpu, mut memory) = (0.0, 0);
    for answer in answers {
        let usage = answer.ok()?.resource_usage;
        cpu += usage.cpu_stats.total_ticks;
        memory += if usage.memory_stats.rss == 0 {
            usage.memory_stats.usage
        } else {
            usage.memory_stats.rss
        };
    }
    let (has_cpu, has_memory, _) = capacity(node);
    Some(table(&[
        row(["CPU", "Memory"]),
        vec![
            format!("{}/{has_cpu} MHz", cpu.floor() as i64),
            format!("{}/{}", bytes(memory), megabytes(has_memory)),
        ],
    ]))
}

fn host_utilization(node: &Node, stats: &HostStats) -> String {
    let disk = match &stats.alloc_dir_stats {
        Some(disk)
            if stats
                .disk_stats
                .iter()
                .any(|known| known.device == disk.device) =>
        {
            format!("{}/{}", bytes(disk.used), bytes(disk.size))
        }
        Some(disk) => format!("({})", disk.device),
        None => String::new(),
    };
    table(&[
        row(["CPU", "Memory", "Disk"]),
        vec![
            format!(
                "{}/{} MHz",
                stats.cpu_ticks_consumed.floor() as i64,
                node.node_resources.cpu.cpu_shares
            ),
            format!("{}/{}", bytes(stats.memory.used), bytes(stats.memory.total)),
            disk,
        ],
    ])
}

fn host_stats(context: &Context, stats: &HostStats) {
    let percent = |value: f64| format!("{value:.2}%");
    let mut cpus: Vec<_> = stats.cpu.iter().collect();
    cpus.sort_by(|a, b| a.cpu.cmp(&b.cpu));
    let cpus: Vec<String> = cpus
        .into_iter()
        .map(|cpu| {
            kv(&[
                ("CPU", cpu.cpu.clone()),
                ("User", percent(cpu.user)),
                ("System", percent(cpu.system)),
                ("Idle", percent(cpu.idle)),
            ])
        })
        .collect();
    context.ui.section("CPU Stats", cpus.join("\n\n"));
    let memory = &stats.memory;
    context.ui.section(
        "Memory Stats",
        kv(&[
            ("Total", bytes(memory.total)),
            ("Available", bytes(memory.available)),
            ("Used", bytes(memory.used)),
            ("Free", bytes(memory.free)),
        ]),
    );
    let disks: Vec<String> = stats
        .disk_stats
        .iter()
        .map(|disk| {
            kv(&[
                ("Device", disk.device.clone()),
                ("MountPoint", disk.mountpoint.clone()),
                ("Size", bytes(disk.size)),
                ("Used", bytes(disk.used)),
                ("Available", bytes(disk.available)),
                ("Used Percent", percent(disk.used_percent)),
                ("Inodes Percent", percent(disk.inodes_used_percent)),
            ])
        })
        .collect();
    context.ui.section("Disk Stats", disks.join("\n\n"));
}

fn attributes(context: &Context, node: &Node) {
    let pairs = |map: &nomad_core::job::StringMap| {
        let pairs: Vec<(String, String)> = map
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        kv(&pairs)
    };
    context.ui.section("Attributes", pairs(&node.attributes));
    context.ui.section("Meta", pairs(&node.meta));
}
