//! Starting a task: cgroup, FIFOs, process, journal, and only then its program.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::keep;
use super::plan::{self, Image};
use super::process::{self, Failure, internal};
use super::state::Supervisor;
use super::task::{Task, remove_cgroup};
use crate::cgroup::TaskCgroup;
use crate::fdstore::Fds;
use crate::journal::{Record, TaskRecord};
use crate::logs::{LogDir, Stream};
use crate::sys::spawn::{Held, Plan};
use crate::sys::unix_ns;
use crate::types::{Event, LogStream, TaskHandle, TaskSpec};
use crate::wire::{ErrorKind, Refusal};

/// Starts a task and answers when its program runs.
pub(super) async fn start(
    supervisor: &Rc<Supervisor>,
    spec: TaskSpec,
) -> Result<TaskHandle, Refusal> {
    plan::check(&spec)?;
    let image = plan::image(&spec.command, &spec.args, &spec.env, &spec.cwd)?;
    let id = spec.id.clone();
    if supervisor.tasks.borrow().contains_key(id.as_str())
        || !supervisor.starting.borrow_mut().insert(id.clone())
    {
        return Err(Refusal::new(
            ErrorKind::AlreadyExists,
            format!("task {id:?} exists"),
        ));
    }
    let result = start_reserved(supervisor, spec, image).await;
    supervisor.starting.borrow_mut().remove(&id);
    supervisor.changed.notify_one();
    result
}

async fn start_reserved(
    supervisor: &Rc<Supervisor>,
    spec: TaskSpec,
    image: Image,
) -> Result<TaskHandle, Refusal> {
    let (streams, stdio) = outputs(supervisor, &spec)?;
    let (cgroup, warnings) = match cgroup(supervisor, &spec) {
        Ok(made) => made,
        Err(refusal) => {
            streams.iter().for_each(Stream::unlink);
            return Err(refusal);
        }
    };
    let made = Made {
        stdio,
        streams: &streams,
        cgroup: cgroup.as_ref(),
        warnings,
    };
    let result = launch(supervisor, &spec, image, made).await;
    match result {
        Ok((record, pidfd)) => {
            let task = Task::new(record, Some(pidfd), false);
            task.attach(supervisor, streams);
            // From now on without the gate.
            supervisor.keep_task(&task);
            supervisor.emit(Event::Started {
                id: spec.id,
                pid: task.pid(),
            });
            Ok(task.handle())
        }
        Err(refusal) => {
            streams.iter().for_each(Stream::unlink);
            if let Some(cgroup) = cgroup.filter(|c| !c.is_foreign()) {
                remove_cgroup(&cgroup).await;
            }
            Err(refusal)
        }
    }
}

/// The three standard streams of the task, and our side of two of them.
fn outputs(
    supervisor: &Supervisor,
    spec: &TaskSpec,
) -> Result<(Vec<Stream>, [OwnedFd; 3]), Refusal> {
    let failed = |e: &dyn std::error::Error| {
        let source = e.source().map(|s| format!(": {s}")).unwrap_or_default();
        Refusal::new(ErrorKind::Start, format!("{e}{source}"))
    };
    let null = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")
            .map(OwnedFd::from)
            .map_err(|e| failed(&e))
    };
    let Some(logs) = &spec.logs else {
        return Ok((Vec::new(), [null()?, null()?, null()?]));
    };
    release_logs(supervisor, logs)?;
    let dir = LogDir::open(&logs.dir).map_err(|source| {
        failed(&crate::logs::StreamError::Dir {
            path: logs.dir.display().to_string(),
            source,
        })
    })?;
    let dir = Rc::new(dir);
    let owner = spec.credentials.as_ref().map(|c| (c.uid, c.gid));
    let make = |kind| Stream::create(&dir, logs, kind, owner).map_err(|e| failed(&e));
    let (stdout, stderr) = (make(LogStream::Stdout)?, make(LogStream::Stderr)?);
    let ends = [
        null()?,
        stdout.task_end().map_err(|e| failed(&e))?,
        stderr.task_end().map_err(|e| failed(&e))?,
    ];
    Ok((vec![stdout, stderr], ends))
}

/// Two tasks never write the same log files: an ended one gives them up, a running one keeps them.
fn release_logs(supervisor: &Supervisor, logs: &crate::types::LogSpec) -> Result<(), Refusal> {
    let others: Vec<_> = supervisor
        .tasks
        .borrow()
        .values()
        .filter(|t| t.shares_logs_with(logs))
        .map(Rc::clone)
        .collect();
    for other in others {
        if other.exit().is_none() {
            let message = format!("running task {:?} writes the same log files", other.id());
            return Err(Refusal::new(ErrorKind::Invalid, message));
        }
        other.close_streams(supervisor, false);
    }
    Ok(())
}

fn cgroup(
    supervisor: &Supervisor,
    spec: &TaskSpec,
) -> Result<(Option<TaskCgroup>, Vec<String>), Refusal> {
    let Some(wanted) = &spec.cgroup else {
        return Ok((None, Vec::new()));
    };
    match supervisor.cgroups.create(wanted, &spec.limits) {
        Ok((cgroup, warnings)) => Ok((Some(cgroup), warnings)),
        Err(error) => {
            let cause = std::error::Error::source(&error)
                .map(|s| format!(": {s}"))
                .unwrap_or_default();
            let message = format!("{error}{cause}");
            // A task that asks for a certain cgroup must not run outside it.
            if wanted.foreign {
                Err(Refusal::new(ErrorKind::Start, message))
            } else {
                Ok((None, vec![message]))
            }
        }
    }
}

/// What was made for a task before its process.
struct Made<'a> {
    stdio: [OwnedFd; 3],
    streams: &'a [Stream],
    cgroup: Option<&'a TaskCgroup>,
    warnings: Vec<String>,
}

async fn launch(
    supervisor: &Supervisor,
    spec: &TaskSpec,
    image: Image,
    made: Made<'_>,
) -> Result<(TaskRecord, Rc<OwnedFd>), Refusal> {
    let Made {
        stdio,
        streams,
        cgroup,
        warnings,
    } = made;
    let cgroup_dir = match cgroup {
        Some(cgroup) => Some(
            cgroup
                .open_dir()
                .map_err(|e| internal("open the task's cgroup", &e))?,
        ),
        None => None,
    };
    let join = open_each(&spec.join_cgroups)?;
    let network_namespace = open_namespace(spec.network_namespace.as_deref())?;
    let plan = Plan {
        path: image.path,
        argv: image.argv,
        envp: image.envp,
        cwd: image.cwd,
        stdio: [stdio[0].as_fd(), stdio[1].as_fd(), stdio[2].as_fd()],
        tty: false,
        credentials: spec.credentials.as_ref().map(plan::identity),
        rlimits: plan::rlimits(&spec.rlimits, &supervisor.task_nofile),
        oom_score_adj: spec.oom_score_adj.map(|s| s.to_string()),
        join: join.iter().map(AsFd::as_fd).collect(),
        network_namespace: network_namespace.as_ref().map(AsFd::as_fd),
        cgroup: cgroup_dir.as_ref().map(AsFd::as_fd),
    };
    let mut record = TaskRecord {
        id: spec.id.clone(),
        pid: 0,
        start_time_ticks: 0,
        boot_id: supervisor.boot_id.clone(),
        started_unix_ns: unix_ns(),
        logs: spec.logs.clone(),
        cgroup: cgroup.and_then(|c| Some((c.path().to_owned(), spec.cgroup.clone()?))),
        kill: spec.kill,
        warnings,
        exit: None,
    };
    let note = |held: &Held, start_time_ticks| {
        (record.pid, record.start_time_ticks) = (held.pid, start_time_ticks);
        // Before the journal: of a task that it knows, the next supervisor must find the gate. What is held without being
        // known there is let go.
        let fds = Fds {
            gate: Some(held.gate.as_fd()),
            ..keep::fds(held.pidfd.as_fd(), keep::ends(streams))
        };
        supervisor.keep(&record.id, fds);
        let noted = supervisor.record(&Record::Started(Box::new(record.clone())));
        noted.map_err(|e| internal("write the journal", &e))
    };
    match process::run(&plan, note).await {
        Ok(process) => Ok((record, process.pidfd)),
        Err(failure) => {
            let _ = supervisor.record(&Record::Removed {
                id: record.id.clone(),
            });
            supervisor.let_go(&record.id);
            Err(match failure {
                Failure::Refused(refusal) => refusal,
                Failure::Child(what, error) => {
                    let message = format!("{what} {}: {error}", subject(what, spec));
                    Refusal::new(ErrorKind::Start, message)
                }
            })
        }
    }
}

/// The `cgroup.procs` files of further cgroups.
fn open_each(directories: &[PathBuf]) -> Result<Vec<OwnedFd>, Refusal> {
    let open = |directory: &PathBuf| {
        let path = directory.join("cgroup.procs");
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(|e| cannot_open(&path, &e))?;
        Ok(OwnedFd::from(file))
    };
    directories.iter().map(open).collect()
}

/// The file of a network namespace.
pub(super) fn open_namespace(path: Option<&Path>) -> Result<Option<OwnedFd>, Refusal> {
    let open = |path: &Path| {
        let file = OpenOptions::new()
            .read(true)
            .open(path)
            .map_err(|e| cannot_open(path, &e))?;
        Ok(OwnedFd::from(file))
    };
    path.map(open).transpose()
}

fn cannot_open(path: &Path, error: &std::io::Error) -> Refusal {
    Refusal::new(
        ErrorKind::Start,
        format!("open {}: {error}", path.display()),
    )
}

/// What a failed step was about.
fn subject(what: &str, spec: &TaskSpec) -> String {
    match what {
        "execute the program" => spec.command.display().to_string(),
        "enter the working directory" => spec.cwd.display().to_string(),
        _ => format!("of task {:?}", spec.id),
    }
}
