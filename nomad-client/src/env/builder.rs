//! Makes the environment of a task, lowest precedence first.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use nomad_core::alloc::{AllocNetworkStatus, Allocation};
use nomad_core::job::{Job, StringMap, Task, TaskGroup};

use super::names::clean_key;
use super::{NodeView, TaskEnv, ports};

/// The three directories of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dirs {
    /// The directory that the group shares.
    pub alloc: String,
    /// The task's own.
    pub local: String,
    /// Its secrets.
    pub secrets: String,
}

impl Dirs {
    /// As a task sees them that has the task directory as its root.
    pub fn inside() -> Self {
        Self {
            alloc: "/alloc".to_owned(),
            local: "/local".to_owned(),
            secrets: "/secrets".to_owned(),
        }
    }

    fn vars(&self) -> [(&'static str, &str); 3] {
        [
            ("NOMAD_ALLOC_DIR", &self.alloc),
            ("NOMAD_TASK_DIR", &self.local),
            ("NOMAD_SECRETS_DIR", &self.secrets),
        ]
    }
}

/// All that the environment is made of.
#[derive(Debug, Clone)]
pub struct EnvInput<'a> {
    /// The allocation, its job not needed inside.
    pub alloc: &'a Allocation,
    /// Its job.
    pub job: &'a Job,
    /// Its group.
    pub group: &'a TaskGroup,
    /// The task.
    pub task: &'a Task,
    /// The node.
    pub node: Arc<NodeView>,
    /// Directories as the task sees them.
    pub task_dirs: Dirs,
    /// Directories on the host.
    pub host_dirs: Dirs,
    /// cgroup that all tasks are in, or "".
    pub cgroup_parent: &'a str,
    /// The allocation's own network, if it has one.
    pub network: Option<&'a AllocNetworkStatus>,
    /// The agent's environment as far as tasks inherit it; `None` for drivers that bring their own image.
    pub agent_env: Option<&'a BTreeMap<String, String>>,
    /// Variables of the hooks, in their order.
    pub hook_env: &'a [BTreeMap<String, String>],
    /// Variables of the task's templates.
    pub template_env: &'a BTreeMap<String, String>,
    /// Values of its secret blocks, by `<block>.<key>`.
    pub secrets: &'a BTreeMap<String, String>,
}

/// Builds the environment.
pub fn build(input: &EnvInput<'_>) -> TaskEnv {
    let mut env = TaskEnv {
        vars: BTreeMap::new(),
        host_dirs: input
            .host_dirs
            .vars()
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        secrets: input.secrets.clone(),
        node: input.node.clone(),
    };
    built_in(&mut env.vars, input);
    meta(&mut env, input);
    if let Some(agent) = input.agent_env {
        for (key, value) in agent {
            if !env.vars.contains_key(key) {
                env.vars.insert(key.clone(), value.clone());
            }
        }
    }
    let own: Vec<(String, String)> = input
        .task
        .env
        .iter()
        .map(|(key, value)| (key.clone(), env.replace(value)))
        .collect();
    env.vars.extend(own);
    for hook in input.hook_env {
        env.vars
            .extend(hook.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    env.vars.extend(
        input
            .template_env
            .iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    env
}

fn built_in(vars: &mut BTreeMap<String, String>, input: &EnvInput<'_>) {
    let EnvInput {
        alloc,
        job,
        task,
        group,
        ..
    } = input;
    let mut set = |key: &str, value: &str| {
        vars.insert(key.to_owned(), value.to_owned());
    };
    for (key, value) in input.task_dirs.vars() {
        if !value.is_empty() {
            set(key, value);
        }
    }
    if let Some(given) = alloc.allocated_resources.tasks.get(&task.name) {
        if given.memory.memory_mb != 0 {
            set("NOMAD_MEMORY_LIMIT", &given.memory.memory_mb.to_string());
        }
        if given.memory.memory_max_mb != 0 {
            set(
                "NOMAD_MEMORY_MAX_LIMIT",
                &given.memory.memory_max_mb.to_string(),
            );
        }
        if given.cpu.cpu_shares != 0 {
            set("NOMAD_CPU_LIMIT", &given.cpu.cpu_shares.to_string());
        }
        if !given.cpu.reserved_cores.is_empty() {
            set("NOMAD_CPU_CORES", &cpu_list(&given.cpu.reserved_cores));
        }
    }
    let id = alloc.id.to_string();
    set("NOMAD_SHORT_ALLOC_ID", &id[..8]);
    set("NOMAD_ALLOC_ID", &id);
    set("NOMAD_ALLOC_NAME", &alloc.name);
    if let Some(index) = alloc.index() {
        set("NOMAD_ALLOC_INDEX", &index.to_string());
    }
    set("NOMAD_TASK_NAME", &task.name);
    set("NOMAD_GROUP_NAME", &group.name);
    set("NOMAD_JOB_ID", &job.id);
    set("NOMAD_JOB_NAME", &job.name);
    if !job.parent_id.is_empty() {
        set("NOMAD_JOB_PARENT_ID", &job.parent_id);
    }
    set("NOMAD_DC", &input.node.datacenter);
    set("NOMAD_REGION", &input.node.region);
    set("NOMAD_NAMESPACE", &alloc.namespace);
    if !input.cgroup_parent.is_empty() {
        set("NOMAD_PARENT_CGROUP", input.cgroup_parent);
    }
    let shared = &alloc.allocated_resources.shared;
    ports::task_networks(vars, &task.name, &alloc.allocated_resources);
    ports::group(vars, &shared.ports);
    ports::alloc_network(vars, &shared.ports, input.network);
}

/// Meta of job, group and task as written and in capitals; what it refers to is replaced first.
fn meta(env: &mut TaskEnv, input: &EnvInput<'_>) {
    let mut merged: StringMap = StringMap::new();
    if let Some(parameterized) = &input.job.parameterized_job {
        for key in &parameterized.meta_optional {
            merged.insert(key.clone(), String::new());
        }
    }
    for map in [&input.job.meta, &input.group.meta, &input.task.meta] {
        merged.extend(map.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    let replaced: Vec<(String, String)> = merged
        .iter()
        .map(|(key, value)| (env.replace(key), env.replace(value)))
        .collect();
    for (key, value) in replaced {
        env.vars.insert(
            clean_key(&format!("NOMAD_META_{}", key.to_uppercase())),
            value.clone(),
        );
        env.vars
            .insert(clean_key(&format!("NOMAD_META_{key}")), value);
    }
}

/// `0-3,8`.
pub(crate) fn cpu_list(cores: &[u16]) -> String {
    let mut sorted = cores.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut out = String::new();
    let mut at = 0;
    while at < sorted.len() {
        let first = sorted[at];
        let mut last = first;
        while at + 1 < sorted.len() && sorted[at + 1] == last + 1 {
            at += 1;
            last = sorted[at];
        }
        at += 1;
        let comma = if out.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = if first == last {
            write!(out, "{comma}{first}")
        } else {
            write!(out, "{comma}{first}-{last}")
        };
    }
    out
}
