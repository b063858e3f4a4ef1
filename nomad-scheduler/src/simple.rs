//! The simplest placement: missing allocations of a job go to the fullest node that has CPU, memory and disk for them.

use std::collections::BTreeSet;
use std::sync::Arc;

use nomad_core::alloc::{
    AllocatedCpu, AllocatedMemory, AllocatedResources, AllocatedSharedResources,
    AllocatedTaskResources, Allocation, alloc_name,
};
use nomad_core::ids::IdSource;
use nomad_core::job::TaskGroup;
use nomad_core::metric::AllocMetric;
use nomad_core::node::{ALL_NODE_POOL, Node};
use nomad_core::plan::{AllocStop, Plan};

use crate::schedule::{Finish, Input, Outcome, ScheduleError};

/// Whether the allocations fit on the node; `Err` is the dimension that is exhausted.
pub(crate) fn fits<'a>(
    node: &Node,
    allocs: impl Iterator<Item = &'a Arc<Allocation>>,
) -> Result<(), &'static str> {
    let (mut cpu, mut memory, mut disk) = (0, 0, 0);
    for alloc in allocs {
        for task in alloc.allocated_resources.tasks.values() {
            cpu += task.cpu.cpu_shares;
            memory += task.memory.memory_mb;
        }
        disk += alloc.allocated_resources.shared.disk_mb;
    }
    let (has, keeps) = (&node.node_resources, &node.reserved_resources);
    if cpu > has.cpu.cpu_shares - keeps.cpu.cpu_shares {
        return Err("cpu");
    }
    if memory > has.memory.memory_mb - keeps.memory.memory_mb {
        return Err("memory");
    }
    if disk > has.disk.disk_mb - keeps.disk.disk_mb {
        return Err("disk");
    }
    Ok(())
}

/// Places what is missing, stops what is not wanted.
pub(crate) fn schedule(
    input: &Input<'_>,
    ids: &mut dyn IdSource,
) -> Result<Outcome, ScheduleError> {
    let key = input.eval.job_key();
    let job = input.view.job(&key);
    let mut plan = Plan {
        eval_id: input.eval.id,
        priority: input.eval.priority,
        job: job.cloned(),
        snapshot_index: input.view.index(),
        ..Plan::default()
    };
    let mut finish = Finish::default();
    let mut names = BTreeSet::new();
    for alloc in input.view.allocs_of_job(&key).filter(|a| !a.terminal()) {
        let wanted = job.is_some_and(|job| {
            !job.stopped()
                && job.group(&alloc.task_group).is_some_and(|group| {
                    alloc
                        .index()
                        .is_some_and(|index| (index as i64) < group.count)
                })
        });
        if wanted {
            names.insert(alloc.name.clone());
        } else {
            plan.node_update
                .entry(alloc.node_id)
                .or_default()
                .push(AllocStop {
                    alloc_id: alloc.id,
                    desired_status: nomad_core::alloc::DesiredStatus::Stop,
                    desired_description: "alloc not needed due to job update".to_owned(),
                    ..AllocStop::default()
                });
        }
    }
    if let Some(job) = job.filter(|job| !job.stopped()) {
        for group in &job.task_groups {
            for index in 0..group.count.max(0) as u64 {
                let name = alloc_name(&job.id, &group.name, index);
                if names.contains(&name) {
                    continue;
                }
                *finish
                    .queued_allocations
                    .entry(group.name.clone())
                    .or_default() += 1;
                let mut alloc = Allocation {
                    id: ids.next_uuid().into(),
                    namespace: job.namespace.clone(),
                    eval_id: Some(input.eval.id),
                    name,
                    job_id: job.id.clone(),
                    job: Some(Arc::clone(job)),
                    job_version: job.version,
                    task_group: group.name.clone(),
                    allocated_resources: resources(group),
                    ..Allocation::default()
                };
                let mut best: Option<(i64, &Arc<Node>)> = None;
                for node in input.view.nodes().filter(|node| {
                    node.is_ready()
                        && (job.node_pool == ALL_NODE_POOL || job.node_pool == node.node_pool)
                }) {
                    alloc.node_id = node.id;
                    let this = Arc::new(alloc.clone());
                    let planned = plan.node_allocation.get(&node.id);
                    let live = input
                        .view
                        .allocs_of_node(node.id)
                        .filter(|a| !a.client_terminal());
                    let all: Vec<_> = live.chain(planned.into_iter().flatten()).collect();
                    let used = all.len() as i64;
                    if fits(node, all.into_iter().chain([&this])).is_ok()
                        && best.is_none_or(|(most, _)| used > most)
                    {
                        best = Some((used, node));
                    }
                }
                match best {
                    Some((_, node)) => {
                        alloc.node_id = node.id;
                        alloc.node_name = node.name.clone();
                        plan.node_allocation
                            .entry(node.id)
                            .or_default()
                            .push(Arc::new(alloc));
                    }
                    None => {
                        finish
                            .failed_tg_allocs
                            .entry(group.name.clone())
                            .and_modify(|metric| metric.coalesced_failures += 1)
                            .or_insert_with(AllocMetric::default);
                    }
                }
            }
        }
    }
    Ok(Outcome {
        plan: (!plan.is_no_op()).then_some(plan),
        finish,
    })
}

fn resources(group: &TaskGroup) -> AllocatedResources {
    AllocatedResources {
        tasks: group
            .tasks
            .iter()
            .map(|task| {
                let given = AllocatedTaskResources {
                    cpu: AllocatedCpu {
                        cpu_shares: task.resources.cpu,
                        ..AllocatedCpu::default()
                    },
                    memory: AllocatedMemory {
                        memory_mb: task.resources.memory_mb,
                        memory_max_mb: task.resources.memory_max_mb,
                    },
                    ..AllocatedTaskResources::default()
                };
                (task.name.clone(), given)
            })
            .collect(),
        task_lifecycles: group
            .tasks
            .iter()
            .map(|task| (task.name.clone(), task.lifecycle.clone()))
            .collect(),
        shared: AllocatedSharedResources {
            disk_mb: group.disk_mb(),
            ..AllocatedSharedResources::default()
        },
    }
}
