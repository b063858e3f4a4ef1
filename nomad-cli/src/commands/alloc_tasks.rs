//! The tasks of an allocation: state, resources, events.

use nomad_api::types::{AllocResourceUsage, ResourceUsage};
use nomad_core::alloc::Allocation;
use nomad_core::job::{LifecycleHook, TaskLifecycle};
use nomad_core::task_state::{TaskEvent, TaskState};

use super::alloc_status::host_port;
use super::shared::row;
use crate::context::Context;
use crate::format::{bytes, kv, megabytes, optional_time, table, table_with_blanks, time};

/// A task's name and hook, in the order in which they are shown: hooks that end, sidecars, main tasks.
fn ordered(alloc: &Allocation) -> Vec<(String, Option<TaskLifecycle>)> {
    let mut tasks: Vec<(String, Option<TaskLifecycle>)> = alloc
        .task_states
        .keys()
        .map(|name| {
            let lifecycle = alloc
                .group()
                .and_then(|group| group.task(name))
                .and_then(|task| task.lifecycle.clone());
            (name.clone(), lifecycle)
        })
        .collect();
    tasks.sort_by_key(|(name, lifecycle)| {
        let rank = match lifecycle {
            Some(lifecycle) if !lifecycle.sidecar => 0,
            Some(_) => 1,
            None => 2,
        };
        (rank, name.clone())
    });
    tasks
}

fn hook(lifecycle: &Option<TaskLifecycle>) -> Option<String> {
    let lifecycle = lifecycle.as_ref()?;
    let sidecar = if lifecycle.sidecar { " sidecar" } else { "" };
    Some(format!("{}{sidecar}", hook_word(lifecycle.hook)))
}

const fn hook_word(hook: LifecycleHook) -> &'static str {
    match hook {
        LifecycleHook::Prestart => "prestart",
        LifecycleHook::Poststart => "poststart",
        LifecycleHook::Poststop => "poststop",
    }
}

/// A line for each task.
pub fn short_table(alloc: &Allocation) -> String {
    let mut rows = vec![row(["Name", "State", "Last Event", "Time", "Lifecycle"])];
    for (name, lifecycle) in ordered(alloc) {
        let state = &alloc.task_states[&name];
        let last = state.events.last();
        rows.push(vec![
            name,
            state.state.to_string(),
            last.map(|event| event.kind.clone()).unwrap_or_default(),
            last.map(|event| time(event.time)).unwrap_or_default(),
            hook(&lifecycle).unwrap_or_else(|| "main".to_owned()),
        ]);
    }
    table(&rows)
}

/// Every task with its resources and events.
pub fn show(
    context: &Context,
    alloc: &Allocation,
    usage: Option<&AllocResourceUsage>,
    stats: bool,
    verbose: bool,
) {
    for (name, lifecycle) in ordered(alloc) {
        let state = &alloc.task_states[&name];
        let hook = hook(&lifecycle)
            .map(|hook| format!(" ({hook})"))
            .unwrap_or_default();
        let heading = format!("Task {name:?}{hook} is {:?}", state.state.as_str());
        context.ui.out(format!("\n{}", context.ui.bold(&heading)));
        let used = usage
            .and_then(|usage| usage.tasks.get(&name))
            .map(|task| &task.resource_usage);
        if let Some(text) = resources(alloc, &name, used, usage.is_some()) {
            context.ui.out(format!("Task Resources:\n{text}\n"));
        }
        if stats && let Some(used) = used {
            statistics(context, used);
        }
        volumes(context, alloc, &name, verbose);
        context.ui.out(format!("Task Events:\n{}", times(state)));
        context
            .ui
            .out(format!("\nRecent Events:\n{}", events(state)));
    }
}

/// What the task may use and, where it is known, what it uses.
fn resources(
    alloc: &Allocation,
    name: &str,
    used: Option<&ResourceUsage>,
    with_usage: bool,
) -> Option<String> {
    let given = alloc.allocated_resources.tasks.get(name)?;
    let cores = given.cpu.reserved_cores.len();
    let cpu_heading = match cores {
        0 => "CPU".to_owned(),
        1 => "CPU (1 core)".to_owned(),
        n => format!("CPU ({n} cores)"),
    };
    let mut cpu = format!("{} MHz", given.cpu.cpu_shares);
    let mut memory = megabytes(given.memory.memory_mb);
    if with_usage {
        let ticks = used.map_or(0.0, |used| used.cpu_stats.total_ticks);
        cpu = format!("{}/{cpu}", ticks.floor() as i64);
        let resident = used.map_or(0, |used| {
            if used.memory_stats.rss == 0 {
                used.memory_stats.usage
            } else {
                used.memory_stats.rss
            }
        });
        memory = format!("{}/{memory}", bytes(resident));
    }
    let disk = megabytes(alloc.allocated_resources.shared.disk_mb);
    let mut addresses: Vec<String> = given
        .networks
        .iter()
        .flat_map(|network| {
            network
                .ports()
                .map(|port| format!("{}: {}", port.label, host_port(&network.ip, port.value)))
        })
        .collect();
    let first = if addresses.is_empty() {
        String::new()
    } else {
        addresses.remove(0)
    };
    let mut rows = vec![
        vec![
            cpu_heading,
            "Memory".to_owned(),
            "Disk".to_owned(),
            "Addresses".to_owned(),
        ],
        vec![cpu, memory, disk, first],
    ];
    let max = given.memory.memory_max_mb;
    let mut extra = addresses.into_iter();
    if max > 0 && max != given.memory.memory_mb {
        rows.push(vec![
            String::new(),
            format!("Max: {}", megabytes(max)),
            String::new(),
            extra.next().unwrap_or_default(),
        ]);
    }
    rows.extend(extra.map(|address| vec![String::new(), String::new(), String::new(), address]));
    Some(table_with_blanks(&rows))
}

/// One column for each measured field.
fn statistics(context: &Context, used: &ResourceUsage) {
    let memory = &used.memory_stats;
    let mut measured = memory.measured.clone();
    measured.sort();
    let cells: Vec<String> = measured
        .iter()
        .map(|field| {
            bytes(match field.as_str() {
                "RSS" => memory.rss,
                "Cache" => memory.cache,
                "Swap" => memory.swap,
                "Mapped File" => memory.mapped_file,
                "Usage" => memory.usage,
                "Max Usage" => memory.max_usage,
                "Kernel Usage" => memory.kernel_usage,
                _ => memory.kernel_max_usage,
            })
        })
        .collect();
    if !cells.is_empty() {
        context
            .ui
            .out(format!("Memory Stats\n{}\n", table(&[measured, cells])));
    }
    let cpu = &used.cpu_stats;
    let mut measured = cpu.measured.clone();
    measured.sort();
    let cells: Vec<String> = measured
        .iter()
        .map(|field| match field.as_str() {
            "Percent" => format!("{:.2}%", cpu.percent),
            "System Mode" => format!("{:.2}%", cpu.system_mode),
            "User Mode" => format!("{:.2}%", cpu.user_mode),
            "Throttled Periods" => cpu.throttled_periods.to_string(),
            "Throttled Time" => cpu.throttled_time.to_string(),
            _ => format!("{:.2}", cpu.total_ticks),
        })
        .collect();
    if !cells.is_empty() {
        context
            .ui
            .out(format!("CPU Stats\n{}\n", table(&[measured, cells])));
    }
}

/// Volumes that the task mounts.
fn volumes(context: &Context, alloc: &Allocation, task: &str, verbose: bool) {
    let Some(group) = alloc.group() else { return };
    let Some(task) = group.task(task) else { return };
    for (kind, heading) in [("host", "Host Volumes"), ("csi", "CSI Volumes")] {
        let mut rows = vec![row(["ID", "Read Only"])];
        if verbose && kind == "csi" {
            rows = vec![row(["Name", "ID", "Read Only"])];
        }
        for mount in &task.volume_mounts {
            let Some(volume) = group.volumes.get(&mount.volume) else {
                continue;
            };
            if volume.kind != kind {
                continue;
            }
            let read_only = (volume.read_only || mount.read_only).to_string();
            let mut cells = vec![volume.source.clone(), read_only];
            if verbose && kind == "csi" {
                cells.insert(0, volume.name.clone());
            }
            rows.push(cells);
        }
        if rows.len() > 1 {
            context.ui.out(format!("{heading}:\n{}\n", table(&rows)));
        }
    }
}

fn times(state: &TaskState) -> String {
    kv(&[
        ("Started At", optional_time(state.started_at)),
        ("Finished At", optional_time(state.finished_at)),
        ("Total Restarts", state.restarts.to_string()),
        ("Last Restart", optional_time(state.last_restart)),
    ])
}

/// Newest first.
fn events(state: &TaskState) -> String {
    let mut rows = vec![row(["Time", "Type", "Description"])];
    for event in state.events.iter().rev() {
        rows.push(vec![
            time(event.time),
            event.kind.clone(),
            description(event),
        ]);
    }
    table(&rows)
}

/// The event's sentence, or one made of its data.
fn description(event: &TaskEvent) -> String {
    if !event.display_message.is_empty() {
        return event.display_message.clone();
    }
    event
        .details
        .iter()
        .map(|(key, value)| format!("{key}: {value}"))
        .collect::<Vec<_>>()
        .join(", ")
}
