//! What a driver is told about a task, and what it tells.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nomad_core::Timestamp;
use nomad_core::job::AnyMap;
use serde::{Deserialize, Serialize};

/// Version of every [`TaskHandle`].
pub const HANDLE_VERSION: u32 = 1;

/// Everything a driver needs to start a task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskConfig {
    /// Unique for each start: `<alloc id>/<task>/<8 hex digits>`.
    pub id: String,
    /// The allocation.
    pub alloc_id: String,
    /// The job's id.
    pub job_id: String,
    /// The job's name.
    pub job_name: String,
    /// The job's namespace.
    pub namespace: String,
    /// Name of the task group.
    pub group: String,
    /// Name of the task.
    pub task: String,
    /// This node's id.
    pub node_id: String,
    /// This node's name.
    pub node_name: String,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// The task's `config`, interpolated.
    pub config: AnyMap,
    /// User name or number; empty is the driver's default.
    pub user: String,
    /// What the task may use.
    pub resources: TaskResources,
    /// Its directories.
    pub dirs: TaskDirs,
    /// Its log files; `None` if logs are disabled.
    pub logs: Option<LogSettings>,
    /// Signal that asks it to end; empty is the driver's default.
    pub kill_signal: String,
    /// How long it may take to end.
    pub kill_timeout: Duration,
    /// The allocation's network namespace, if it has one of its own.
    pub network_namespace: Option<PathBuf>,
}

/// What a task may use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskResources {
    /// CPU share in MHz.
    pub cpu_mhz: i64,
    /// Cores of its own, as the kernel writes them (`2-3`); empty for none.
    pub reserved_cores: String,
    /// Memory it is placed by, MiB.
    pub memory_mib: i64,
    /// Memory it may reach, MiB; 0 is `memory_mib`, -1 is no limit.
    pub memory_max_mib: i64,
    /// MHz that one percent of one core stands for, for statistics.
    pub ticks_per_percent: f64,
    /// Its cgroup below the cgroup2 mount point, for example `nomad.slice/share.slice/<alloc>.<task>.scope`; empty for none.
    pub cgroup: String,
}

/// A task's directories, as absolute paths on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDirs {
    /// The allocation's.
    pub alloc_dir: PathBuf,
    /// Shared by its tasks: `alloc`.
    pub shared_alloc_dir: PathBuf,
    /// The task's own.
    pub task_dir: PathBuf,
    /// `local` in it.
    pub local_dir: PathBuf,
    /// `secrets` in it.
    pub secrets_dir: PathBuf,
    /// Where log files go.
    pub log_dir: PathBuf,
}

/// Rotation of log files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSettings {
    /// Files kept per stream.
    pub max_files: u32,
    /// Size of each, bytes.
    pub max_file_size_bytes: u64,
}

/// All that is needed to find a task again; the client keeps it across restarts of the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskHandle {
    /// [`HANDLE_VERSION`].
    pub version: u32,
    /// The driver it belongs to.
    pub driver: String,
    /// Id of its [`TaskConfig`].
    pub task_id: String,
    /// The driver's own part.
    pub driver_state: serde_json::Value,
}

/// How a task ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitResult {
    /// Its code; 128 + N for signal N; -1 if it could not be learnt.
    pub exit_code: i32,
    /// The signal that ended it, or 0.
    pub signal: i32,
    /// Whether the kernel killed it for want of memory.
    pub oom_killed: bool,
    /// What went wrong beside that.
    pub error: Option<String>,
}

impl ExitResult {
    /// Whether it ended well.
    pub fn successful(&self) -> bool {
        self.exit_code == 0 && self.signal == 0 && self.error.is_none()
    }
}

/// Whether a task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// It runs.
    Running,
    /// It has ended.
    Exited,
}

/// What a driver knows of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskStatus {
    /// Id of its [`TaskConfig`].
    pub id: String,
    /// Whether it runs.
    pub state: TaskState,
    /// Since when.
    pub started_at: Timestamp,
    /// Until when.
    pub completed_at: Option<Timestamp>,
    /// How it ended.
    pub exit: Option<ExitResult>,
    /// Further facts, for example `pid`.
    pub attributes: BTreeMap<String, String>,
}
