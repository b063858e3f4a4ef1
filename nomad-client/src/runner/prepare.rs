//! From a task's turn to its running process: hooks in order, environment, configuration, driver.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nomad_core::alloc::{AllocatedTaskResources, Allocation};
use nomad_core::job::{Job, Task, TaskGroup};
use nomad_drivers::{
    Capabilities, Driver, DriverError, DriverNetwork, FileIsolation, LogSettings, Started,
    TaskConfig, TaskDirs, TaskHandle, TaskResources,
};
use rand::Rng as _;
use tokio_util::sync::CancellationToken;

use super::{AllocRunner, hooks, ops};
use crate::env::{self, Dirs, EnvInput, TaskEnv, evaluate_config};
use crate::machine::alloc::StartError;
use crate::machine::events;
use crate::state::HandleRow;

/// What hooks work on.
pub(super) struct Prep<'a> {
    pub(super) runner: &'a Arc<AllocRunner>,
    pub(super) alloc: Arc<Allocation>,
    pub(super) job: Arc<Job>,
    pub(super) task: Task,
    pub(super) driver: Arc<dyn Driver>,
    pub(super) capabilities: Capabilities,
    /// User and group of the task, if it names one.
    pub(super) owner: Option<(u32, u32)>,
    /// Hooks that need not run again.
    pub(super) done: BTreeSet<String>,
    /// Variables of the hooks, in their order.
    pub(super) hook_env: Vec<BTreeMap<String, String>>,
    /// Variables of the task's templates.
    pub(super) template_env: BTreeMap<String, String>,
}

/// Starts a task; returns how its driver knows it.
pub(super) async fn start_task(
    runner: &Arc<AllocRunner>,
    name: &str,
    cancel: &CancellationToken,
) -> Result<Arc<str>, StartError> {
    let mut prep = Prep::new(runner, name)?;
    let prepared = tokio::select! {
        prepared = prep.run_hooks() => prepared,
        () = cancel.cancelled() => Err(ops::cancelled(runner)),
    };
    let started = match prepared {
        Ok(_) if cancel.is_cancelled() => Err(ops::cancelled(runner)),
        // Not given up from here on: nobody would know of the process.
        Ok(config) => prep.start(config).await,
        Err(error) => Err(error),
    };
    let started = match started {
        Ok(started) => started,
        Err(error) => {
            let row = HandleRow {
                hooks_done: std::mem::take(&mut prep.done),
                ..HandleRow::default()
            };
            runner.store_handle(name, &row);
            return Err(error);
        }
    };
    for warning in &started.warnings {
        tracing::debug!(alloc = %runner.id, task = name, warning, "task runs otherwise than asked");
    }
    let id: Arc<str> = started.handle.task_id.as_str().into();
    let row = prep.row(Some(started.handle), started.network);
    runner.store_handle(name, &row);
    runner.set_driver_id(name, &id);
    Ok(id)
}

/// The environment of commands that are run in a task.
pub(super) fn command_env(
    runner: &AllocRunner,
    name: &str,
    capabilities: &Capabilities,
) -> BTreeMap<String, String> {
    let (alloc, job) = runner.with(|machine| (machine.alloc().clone(), machine.job().clone()));
    let task = job
        .group(&alloc.task_group)
        .and_then(|group| group.task(name));
    let Some(task) = task else {
        return BTreeMap::new();
    };
    let row = runner.load_handle(name);
    let work = (&alloc, &job, task);
    task_env(
        runner,
        work,
        capabilities,
        &[row.hook_env],
        &BTreeMap::new(),
    )
    .into_vars()
}

fn task_env(
    runner: &AllocRunner,
    (alloc, job, task): (&Arc<Allocation>, &Arc<Job>, &Task),
    capabilities: &Capabilities,
    hook_env: &[BTreeMap<String, String>],
    template_env: &BTreeMap<String, String>,
) -> TaskEnv {
    let shared = &runner.shared;
    let host_dirs = runner.dir.host_dirs(&task.name);
    let task_dirs = match capabilities.file_isolation {
        FileIsolation::None => host_dirs.clone(),
        FileIsolation::Chroot | FileIsolation::Image => Dirs::inside(),
    };
    let no_group = TaskGroup::default();
    let network = runner.with(|machine| machine.network().cloned());
    env::build(&EnvInput {
        alloc,
        job,
        group: job.group(&alloc.task_group).unwrap_or(&no_group),
        task,
        node: shared.node.load_full(),
        task_dirs,
        host_dirs,
        cgroup_parent: &shared.cgroup_parent,
        network: network.as_ref(),
        agent_env: (!capabilities.own_image).then_some(&shared.config.agent_env),
        hook_env,
        template_env,
        secrets: &BTreeMap::new(),
    })
}

impl<'a> Prep<'a> {
    pub(super) fn new(runner: &'a Arc<AllocRunner>, name: &str) -> Result<Self, StartError> {
        let (alloc, job) = runner.with(|machine| (machine.alloc().clone(), machine.job().clone()));
        let invalid = |text: String| StartError {
            event: events::failed_validation(runner.shared.clock.now(), &text),
            recoverable: false,
        };
        let task = job
            .group(&alloc.task_group)
            .and_then(|group| group.task(name))
            .cloned()
            .ok_or_else(|| invalid(format!("the job has no task {name:?}")))?;
        let driver = runner
            .shared
            .driver(&task.driver)
            .ok_or_else(|| invalid(format!("failed to find driver {:?}", task.driver)))?;
        Ok(Self {
            capabilities: driver.capabilities(),
            driver,
            owner: None,
            done: runner.load_handle(name).hooks_done,
            hook_env: Vec::new(),
            template_env: BTreeMap::new(),
            runner,
            alloc,
            job,
            task,
        })
    }

    /// Stores by which handle the task will be found, and only then starts it: an agent that dies in between leaves
    /// neither a process that nobody knows nor a start that is made twice.
    async fn start(&self, config: TaskConfig) -> Result<Started, StartError> {
        let failed = |error| self.driver_error(&error);
        let before = self.driver.handle_before_start(&config);
        if let Some(handle) = before.await.map_err(failed)? {
            let row = HandleRow {
                starting: true,
                ..self.row(Some(handle), None)
            };
            self.runner.store_handle(&self.task.name, &row);
        }
        self.driver.start_task(config).await.map_err(failed)
    }

    fn row(&self, handle: Option<TaskHandle>, network: Option<DriverNetwork>) -> HandleRow {
        HandleRow {
            handle,
            starting: false,
            network,
            hooks_done: self.done.clone(),
            hook_env: self
                .hook_env
                .iter()
                .chain([&self.template_env])
                .flat_map(Clone::clone)
                .collect(),
        }
    }

    async fn run_hooks(&mut self) -> Result<TaskConfig, StartError> {
        hooks::prestart(self).await?;
        self.config()
    }

    /// The environment with what the hooks have given so far.
    pub(super) fn env(&self) -> TaskEnv {
        let work = (&self.alloc, &self.job, &self.task);
        task_env(
            self.runner,
            work,
            &self.capabilities,
            &self.hook_env,
            &self.template_env,
        )
    }

    fn config(&self) -> Result<TaskConfig, StartError> {
        let env = self.env();
        let config = evaluate_config(&self.task.config, &env).map_err(|errors| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            self.invalid(&lines.join("; "))
        })?;
        if let Err(errors) = self.driver.validate(&config) {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            return Err(self.invalid(&lines.join("; ")));
        }
        let shared = &self.runner.shared;
        let dir = &self.runner.dir;
        let name = &self.task.name;
        let kill_timeout = self.task.kill_timeout;
        let logs = self.task.log_config.clone().unwrap_or_default();
        Ok(TaskConfig {
            id: format!(
                "{}/{name}/{:08x}",
                self.alloc.id,
                rand::rng().random::<u32>()
            ),
            alloc_id: self.alloc.id.to_string(),
            job_id: self.job.id.to_string(),
            job_name: self.job.name.clone(),
            namespace: self.alloc.namespace.to_string(),
            group: self.alloc.task_group.clone(),
            task: name.clone(),
            node_id: shared.node_id.to_string(),
            node_name: shared.node_name.clone(),
            user: self.task.user.clone(),
            env: env.into_vars(),
            config,
            resources: self.resources(),
            dirs: TaskDirs {
                alloc_dir: dir.root().to_owned(),
                shared_alloc_dir: dir.shared(),
                task_dir: dir.task(name),
                local_dir: dir.task(name).join("local"),
                secrets_dir: dir.secrets(name),
                log_dir: dir.logs(),
            },
            logs: (!logs.disabled).then(|| LogSettings {
                max_files: u32::try_from(logs.max_files.max(1)).unwrap_or(u32::MAX),
                max_file_size_bytes: u64::try_from(logs.max_file_size_mb.max(1)).unwrap_or(1) << 20,
            }),
            kill_signal: self.task.kill_signal.clone(),
            kill_timeout: if kill_timeout.is_set() {
                kill_timeout.min(shared.config.max_kill_timeout).to_std()
            } else {
                Duration::from_secs(5)
            },
            network_namespace: None,
        })
    }

    fn resources(&self) -> TaskResources {
        let shared = &self.runner.shared;
        let given: AllocatedTaskResources = self
            .alloc
            .allocated_resources
            .tasks
            .get(&self.task.name)
            .cloned()
            .unwrap_or_default();
        let slice = if given.cpu.reserved_cores.is_empty() {
            "share.slice"
        } else {
            "reserve.slice"
        };
        let cgroup = if shared.cgroup_parent.is_empty() {
            String::new()
        } else {
            format!(
                "{}/{slice}/{}.{}.scope",
                shared.cgroup_parent, self.alloc.id, self.task.name
            )
        };
        TaskResources {
            cpu_mhz: given.cpu.cpu_shares,
            reserved_cores: env::cpu_list(&given.cpu.reserved_cores),
            memory_mib: given.memory.memory_mb,
            memory_max_mib: given.memory.memory_max_mb,
            ticks_per_percent: shared.ticks_per_percent,
            cgroup,
        }
    }

    /// A mistake in the job, which no second try mends.
    pub(super) fn invalid(&self, text: &str) -> StartError {
        StartError {
            event: events::failed_validation(self.runner.shared.clock.now(), text),
            recoverable: false,
        }
    }

    /// A hook that failed.
    pub(super) fn setup_failed(&self, text: &str, recoverable: bool) -> StartError {
        let event = events::with_message(
            nomad_core::task_state::event_type::SETUP_FAILURE,
            self.runner.shared.clock.now(),
            text,
        );
        StartError { event, recoverable }
    }

    fn driver_error(&self, error: &DriverError) -> StartError {
        let now = self.runner.shared.clock.now();
        match error {
            DriverError::Config(_) => self.invalid(&error.to_string()),
            _ => StartError {
                event: events::driver_failure(now, &error.to_string()),
                recoverable: error.recoverable(),
            },
        }
    }
}
