//! What the agent and the supervisor say to each other about tasks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Longest task id, in bytes. Nomad's are `<alloc id>/<task>/<8 hex digits>`.
pub const MAX_ID_BYTES: usize = 512;

/// Everything needed to start one task process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Unique among the tasks that were started and not removed; 1 to 512 bytes.
    pub id: String,
    /// The program, as an absolute path. Nothing is looked up in `PATH`.
    pub command: PathBuf,
    /// The arguments after the program's own name.
    #[serde(default)]
    pub args: Vec<String>,
    /// The whole environment: nothing is inherited.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Working directory, absolute.
    pub cwd: PathBuf,
    /// Whom the process runs as; `None` is the supervisor's own user.
    #[serde(default)]
    pub credentials: Option<Credentials>,
    /// Where output goes; `None` is the null device.
    #[serde(default)]
    pub logs: Option<LogSpec>,
    /// The process's cgroup; `None` leaves it in the supervisor's.
    #[serde(default)]
    pub cgroup: Option<CgroupSpec>,
    /// Further cgroup directories that the process joins before its program runs, as absolute paths: those of cgroup v1
    /// controllers. Nothing else is done with them.
    #[serde(default)]
    pub join_cgroups: Vec<PathBuf>,
    /// Network namespace that the process enters, as the path of its file.
    #[serde(default)]
    pub network_namespace: Option<PathBuf>,
    /// Limits written to a cgroup that the supervisor makes.
    #[serde(default)]
    pub limits: Limits,
    /// Resource limits of the process (`setrlimit`).
    #[serde(default)]
    pub rlimits: Vec<ResourceLimit>,
    /// Value for `/proc/self/oom_score_adj`, -1000 to 1000.
    #[serde(default)]
    pub oom_score_adj: Option<i32>,
    /// How the task is stopped unless a kill request says otherwise.
    #[serde(default)]
    pub kill: KillSpec,
}

/// User, group and further groups of a process, by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary groups.
    #[serde(default)]
    pub groups: Vec<u32>,
}

/// The rotated log files of one task: `<dir>/<task>.stdout.N` and `<dir>/<task>.stderr.N`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpec {
    /// The allocation's log directory. The FIFOs lie here too, as `.<task>.stdout.fifo` and `.<task>.stderr.fifo`.
    pub dir: PathBuf,
    /// Task name: one path component.
    pub task: String,
    /// Files kept per stream, at least 1.
    pub max_files: u32,
    /// Size at which the next file is begun, in bytes, at least 1.
    pub max_file_size: u64,
}

/// Which of a task's two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogStream {
    /// The word in file names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A cgroup, relative to the mount point of the cgroup2 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupSpec {
    /// For example `nomad.slice/share.slice/<alloc>.<task>.scope`.
    pub path: String,
    /// The cgroup belongs to somebody else: the process joins it, no limit is written, and it is neither killed as a
    /// whole nor removed.
    #[serde(default)]
    pub foreign: bool,
}

/// Limits of a task's cgroup. `None` writes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `cpu.weight`, 1 to 10000.
    #[serde(default)]
    pub cpu_weight: Option<u64>,
    /// `memory.max`, bytes.
    #[serde(default)]
    pub memory_max_bytes: Option<u64>,
    /// `memory.low`, bytes.
    #[serde(default)]
    pub memory_low_bytes: Option<u64>,
    /// `cpuset.cpus`, for example `0-3,8`.
    #[serde(default)]
    pub cpuset_cpus: Option<String>,
    /// `pids.max`.
    #[serde(default)]
    pub pids_max: Option<u64>,
    /// `memory.oom.group`: the kernel kills the whole task, not one process of it.
    #[serde(default)]
    pub oom_group: bool,
}

/// One `setrlimit` of a task, by its Linux number (`RLIMIT_*`). `u64::MAX` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimit {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// How a task is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillSpec {
    /// Signal number sent first.
    pub signal: i32,
    /// How long the task may take before it is killed, in milliseconds. 0 kills at once.
    pub timeout_ms: u64,
}

impl Default for KillSpec {
    /// SIGINT and five seconds, as Nomad's tasks have it.
    fn default() -> Self {
        Self {
            signal: libc::SIGINT,
            timeout_ms: 5_000,
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It returned a code.
    Exited {
        /// 0 to 255.
        code: i32,
    },
    /// A signal ended it.
    Signaled {
        /// Signal number.
        signal: i32,
        /// Whether a core was dumped.
        core_dumped: bool,
    },
    /// It is gone, and nobody could learn how: its parent had died. Never to be taken for success.
    Lost,
}

impl ExitStatus {
    /// Whether the process is known to have returned 0.
    pub fn success(self) -> bool {
        self == Self::Exited { code: 0 }
    }

    /// The code as a shell gives it: 128 + N for signal N. `None` when it is not known.
    pub fn exit_code(self) -> Option<i32> {
        match self {
            Self::Exited { code } => Some(code),
            Self::Signaled { signal, .. } => Some(128 + signal),
            Self::Lost => None,
        }
    }

    /// The signal that ended the process, or 0.
    pub fn signal(self) -> i32 {
        match self {
            Self::Signaled { signal, .. } => signal,
            Self::Exited { .. } | Self::Lost => 0,
        }
    }

    /// Reads the status word of `wait(2)`.
    pub(crate) fn from_wait_status(raw: i32) -> Self {
        match raw & 0x7f {
            0 => Self::Exited {
                code: (raw >> 8) & 0xff,
            },
            signal => Self::Signaled {
                signal,
                core_dumped: raw & 0x80 != 0,
            },
        }
    }
}

/// The end of a task, kept until the agent removes the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskExit {
    /// How its main process ended.
    pub status: ExitStatus,
    /// Whether the kernel killed a process of its cgroup for want of memory.
    pub oom_killed: bool,
    /// When the supervisor saw it, in nanoseconds since 1970.
    pub at_unix_ns: i64,
}

/// A started task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskHandle {
    /// The id of its [`TaskSpec`].
    pub id: String,
    /// Its main process.
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`: with the pid it names the process for as long as the machine runs.
    pub start_time_ticks: u64,
    /// Its cgroup as an absolute path, if it has one of its own.
    pub cgroup: Option<PathBuf>,
    /// What could not be applied, in words, for example a limit whose controller is missing.
    pub warnings: Vec<String>,
}

/// What the supervisor knows of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// The task.
    pub handle: TaskHandle,
    /// When it was started, in nanoseconds since 1970.
    pub started_unix_ns: i64,
    /// Its log files, if it has any.
    pub logs: Option<LogSpec>,
    /// Its end, or `None` while it runs.
    pub exit: Option<TaskExit>,
    /// Whether this supervisor found the task running instead of starting it.
    pub adopted: bool,
}

/// What the supervisor tells without being asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A task runs.
    Started {
        /// Task id.
        id: String,
        /// Its main process.
        pid: i32,
    },
    /// A task has ended and its FIFOs are drained.
    Exited {
        /// Task id.
        id: String,
        /// How.
        exit: TaskExit,
    },
    /// The kernel killed processes of the task's cgroup for want of memory.
    OomKilled {
        /// Task id.
        id: String,
        /// How many, over the life of the task.
        count: u64,
    },
    /// Output could not be written to the log files.
    LogError {
        /// Task id.
        id: String,
        /// Which stream.
        stream: LogStream,
        /// Why.
        message: String,
        /// Bytes thrown away so that the task does not block, since the last such event.
        dropped_bytes: u64,
    },
}

/// CPU use of all processes of a task since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuStats {
    /// In user mode, nanoseconds.
    pub user_ns: u64,
    /// In the kernel, nanoseconds.
    pub system_ns: u64,
    /// Periods in which the task was throttled.
    pub throttled_periods: u64,
    /// How long it was throttled, nanoseconds.
    pub throttled_ns: u64,
}

/// Memory of all processes of a task now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStats {
    /// Anonymous memory from the cgroup, or else the resident set of the processes. Bytes.
    pub rss_bytes: u64,
    /// Page cache charged to the cgroup. Bytes, 0 without a memory controller.
    pub cache_bytes: u64,
    /// Swap. Bytes.
    pub swap_bytes: u64,
    /// All that is charged to the cgroup, or else the resident set. Bytes.
    pub usage_bytes: u64,
    /// Highest usage so far. Bytes, 0 where the kernel does not tell.
    pub max_usage_bytes: u64,
}

/// One process of a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PidStats {
    /// Process id.
    pub pid: i32,
    /// In user mode, nanoseconds.
    pub user_ns: u64,
    /// In the kernel, nanoseconds.
    pub system_ns: u64,
    /// Resident set, bytes.
    pub rss_bytes: u64,
}

/// Use of resources by one task. CPU percentages are the caller's to compute from two of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStats {
    /// When it was measured, in nanoseconds since 1970.
    pub at_unix_ns: i64,
    /// CPU.
    pub cpu: CpuStats,
    /// Memory.
    pub memory: MemoryStats,
    /// The processes, at most 256 of them.
    pub pids: Vec<PidStats>,
    /// Whether `cpu` comes from the task's cgroup; without one it covers the processes of its session.
    pub cpu_from_cgroup: bool,
    /// Whether `memory` comes from the task's cgroup; else only the resident set is known.
    pub memory_from_cgroup: bool,
}

/// A command to run beside a running task: in its cgroup, but with its own environment, directory and user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSpec {
    /// The running task.
    pub id: String,
    /// The program, as an absolute path.
    pub command: PathBuf,
    /// The arguments after the program's own name.
    #[serde(default)]
    pub args: Vec<String>,
    /// The whole environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Working directory, absolute.
    pub cwd: PathBuf,
    /// Whom it runs as; `None` is the supervisor's own user.
    #[serde(default)]
    pub credentials: Option<Credentials>,
    /// Network namespace that it enters.
    #[serde(default)]
    pub network_namespace: Option<PathBuf>,
    /// Whether it gets a terminal; then all output arrives as [`ExecOutput::Stdout`].
    #[serde(default)]
    pub tty: bool,
    /// First size of the terminal.
    #[serde(default)]
    pub window: Option<WindowSize>,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// Lines.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// What a command run by exec gives back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecOutput {
    /// Standard output, or the terminal's.
    Stdout(Bytes),
    /// Standard error.
    Stderr(Bytes),
    /// The command has ended and its output is complete.
    Exited(ExitStatus),
}

/// What this supervisor can do on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Version of the program.
    pub version: String,
    /// Version of the messages.
    pub protocol: u32,
    /// The supervisor's own process.
    pub pid: i32,
    /// Where cgroups are made, or `None` when they cannot be.
    pub cgroup_root: Option<PathBuf>,
    /// Controllers whose limits can be set.
    pub controllers: Vec<String>,
    /// Why there are no cgroups, or no limits, in words.
    pub cgroup_note: Option<String>,
    /// Whether the kernel tells exit codes of processes that are not children.
    pub exit_info: bool,
}
