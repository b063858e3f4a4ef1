//! The cluster that benchmarks run on.

use nomad_core::Timestamp;
use nomad_core::eval::Evaluation;
use nomad_core::ids::{EvalId, IdSource, NodeId, Uuid};
use nomad_core::job::{Constraint, Job, Resources, Spread, Task, TaskGroup};
use nomad_core::memory_view::MemoryView;
use nomad_core::node::{DriverInfo, Node, NodeStatus};
use nomad_scheduler::computed_class;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Ids in a row.
#[derive(Default)]
pub(crate) struct Ids(u64);

impl IdSource for Ids {
    fn next_uuid(&mut self) -> Uuid {
        self.0 += 1;
        uuid(0xa1, self.0)
    }
}

/// The `number`-th id of a kind.
pub(crate) fn uuid(kind: u8, number: u64) -> Uuid {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Uuid(bytes)
}

/// A view with one job to place.
pub(crate) struct Cluster {
    pub(crate) view: MemoryView,
    pub(crate) eval: Evaluation,
}

pub(crate) fn node_id(number: usize) -> NodeId {
    NodeId(uuid(0x0d, number as u64))
}

pub(crate) fn node(number: usize, racks: usize) -> Node {
    let mut node = Node {
        id: node_id(number),
        name: format!("node-{number}"),
        datacenter: format!("dc{}", number % 2 + 1),
        node_pool: "default".to_owned(),
        status: NodeStatus::Ready,
        ..Node::default()
    };
    node.node_resources.cpu.cpu_shares = 14_000;
    node.node_resources.cpu.total_cpu_cores = 4;
    node.node_resources.memory.memory_mb = 32_000;
    node.node_resources.disk.disk_mb = 100_000;
    node.meta
        .insert("rack".to_owned(), format!("r{}", number % racks));
    node.attributes
        .insert("kernel.name".to_owned(), "linux".to_owned());
    node.attributes
        .insert("unique.hostname".to_owned(), node.name.clone());
    node.drivers.insert(
        "exec".to_owned(),
        DriverInfo {
            detected: true,
            healthy: true,
            ..DriverInfo::default()
        },
    );
    node.computed_class = computed_class(&node);
    node
}

pub(crate) fn job(id: &str, count: usize, cpu: i64, memory: i64) -> Job {
    Job {
        id: id.into(),
        name: id.to_owned(),
        namespace: "default".into(),
        priority: 50,
        datacenters: vec!["dc1".to_owned(), "dc2".to_owned()],
        node_pool: "default".to_owned(),
        task_groups: vec![TaskGroup {
            name: "web".to_owned(),
            count: count as i64,
            tasks: vec![Task {
                name: "web".to_owned(),
                driver: "exec".to_owned(),
                resources: Resources {
                    cpu,
                    memory_mb: memory,
                    ..Resources::default()
                },
                ..Task::default()
            }],
            ..TaskGroup::default()
        }],
        create_index: 1,
        modify_index: 1,
        job_modify_index: 1,
        ..Job::default()
    }
}

pub(crate) fn eval(job: &Job) -> Evaluation {
    Evaluation {
        id: EvalId(uuid(0xe0, 1)),
        namespace: job.namespace.clone(),
        priority: job.priority,
        job_type: job.job_type,
        job_id: job.id.clone(),
        ..Evaluation::default()
    }
}

impl Cluster {
    pub(crate) fn new(nodes: usize, racks: usize, allocs: usize, spread: bool) -> Self {
        let mut view = MemoryView::default();
        view.index = 1;
        for number in 0..nodes {
            view.put_node(node(number, racks));
        }
        let mut job = job("bench", allocs, 6_000, 6_000);
        let half: Vec<String> = (0..racks / 2).map(|rack| format!("r{rack}")).collect();
        job.constraints.push(Constraint::new(
            "${meta.rack}",
            "set_contains_any",
            half.join(","),
        ));
        if spread {
            job.spreads.push(Spread {
                attribute: "${meta.rack}".to_owned(),
                weight: 100,
                spread_target: Vec::new(),
            });
        }
        let eval = eval(&job);
        view.put_job(job);
        Self { view, eval }
    }
}
