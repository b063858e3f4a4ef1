//! From a task's configuration to what the supervisor is asked to start.

use nomad_supervisor::{CgroupSpec, Credentials, KillSpec, Limits, LogSpec, TaskSpec};

use super::command;
use super::settings::{Settings, TaskSettings};
use crate::driver::DriverError;
use crate::task::TaskConfig;
use crate::{glob, signal};

/// Turns what the client wants into what the supervisor does.
pub(super) fn spec(
    settings: &Settings,
    config: &TaskConfig,
    task: &TaskSettings,
    credentials: Option<Credentials>,
) -> Result<TaskSpec, DriverError> {
    let env = config
        .env
        .iter()
        .filter(|(name, _)| {
            !settings
                .denied_envvars()
                .chain(&task.denied_envvars)
                .any(|p| glob::matches(p, name))
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let logs = config.logs.map(|l| LogSpec {
        dir: config.dirs.log_dir.clone(),
        task: config.task.clone(),
        max_files: l.max_files,
        max_file_size: l.max_file_size_bytes,
    });
    let own = (!config.resources.cgroup.is_empty()).then(|| CgroupSpec {
        path: config.resources.cgroup.clone(),
        foreign: false,
    });
    let foreign = task.cgroup_v2().map(|path| CgroupSpec {
        path,
        foreign: true,
    });
    let join_cgroups = task.cgroup_v1();
    // In a cgroup that somebody else made no limits are written.
    let cgroup = if join_cgroups.is_empty() {
        foreign.or(own)
    } else {
        None
    };
    let signal = if config.kill_signal.is_empty() {
        KillSpec::default().signal
    } else {
        signal::number(&config.kill_signal)?
    };
    let timeout_ms = u64::try_from(config.kill_timeout.as_millis()).unwrap_or(u64::MAX);
    Ok(TaskSpec {
        id: config.id.clone(),
        command: command::find(&task.command, &config.dirs)?,
        args: task.args.clone(),
        env,
        cwd: task
            .work_dir
            .clone()
            .unwrap_or_else(|| config.dirs.task_dir.clone()),
        credentials,
        logs,
        cgroup,
        join_cgroups,
        network_namespace: config.network_namespace.clone(),
        limits: limits(config),
        rlimits: Vec::new(),
        oom_score_adj: task.oom_score_adj,
        kill: KillSpec { signal, timeout_ms },
    })
}

/// Limits of the task's own cgroup. Source: client and drivers reference, section 6.2.
fn limits(config: &TaskConfig) -> Limits {
    const MIB: u64 = 1 << 20;
    let bytes = |mib: i64| {
        u64::try_from(mib)
            .ok()
            .filter(|m| *m > 0)
            .map(|m| m.saturating_mul(MIB))
    };
    let resources = &config.resources;
    Limits {
        cpu_weight: u64::try_from(resources.cpu_mhz)
            .ok()
            .filter(|s| *s > 0)
            .map(weight_of_shares),
        memory_max_bytes: if resources.memory_max_mib == 0 {
            bytes(resources.memory_mib)
        } else {
            bytes(resources.memory_max_mib)
        },
        memory_low_bytes: if resources.memory_max_mib == 0 {
            None
        } else {
            bytes(resources.memory_mib)
        },
        cpuset_cpus: (!resources.reserved_cores.is_empty())
            .then(|| resources.reserved_cores.clone()),
        ..Limits::default()
    }
}

/// The usual conversion from `cpu.shares` (2 to 262144) to `cpu.weight` (1 to 10000).
fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskResources;

    fn limits_of(memory_mib: i64, memory_max_mib: i64) -> (Option<u64>, Option<u64>) {
        let resources = TaskResources {
            cpu_mhz: 100,
            memory_mib,
            memory_max_mib,
            ..TaskResources::default()
        };
        let limits = limits(&TaskConfig {
            resources,
            ..TaskConfig::default()
        });
        assert_eq!(limits.cpu_weight, Some(4));
        (
            limits.memory_max_bytes.map(|b| b >> 20),
            limits.memory_low_bytes.map(|b| b >> 20),
        )
    }

    #[test]
    fn memory_max_makes_memory_a_reservation() {
        assert_eq!(limits_of(300, 0), (Some(300), None));
        assert_eq!(limits_of(300, 600), (Some(600), Some(300)));
        assert_eq!(limits_of(300, -1), (None, Some(300)));
    }

    #[test]
    fn shares_become_weights() {
        assert_eq!(
            [0, 2, 1024, 262_144, 1_000_000].map(weight_of_shares),
            [1, 1, 39, 10_000, 10_000]
        );
    }
}
