//! Running a command beside a task, with its streams on the connection it was asked on.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use rustix::pipe::PipeFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::conn::Frames;
use super::plan;
use super::process::{self, Failure, Process, internal};
use super::start::open_namespace;
use super::state::{Client, MAX_QUEUED_FRAMES, Supervisor};
use super::task::{Task, end_of};
use crate::sys::spawn::Plan;
use crate::sys::{pidfd, watch};
use crate::types::{ExecOutput, ExecSpec, ExitStatus, WindowSize};
use crate::wire::{self, ErrorKind, ExecFeed, MAX_EXEC_CHUNK_BYTES, Refusal, Reply};

/// How long the output may take to end once the command has: something it started may still hold the streams.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(2);

/// Our ends of a command's standard streams.
struct Ends {
    stdin: Option<Rc<AsyncFd<Rc<OwnedFd>>>>,
    stdout: Rc<AsyncFd<Rc<OwnedFd>>>,
    stderr: Option<Rc<AsyncFd<Rc<OwnedFd>>>>,
    terminal: bool,
}

struct Running {
    process: Process,
    ends: Ends,
}

/// Runs the command and serves its streams until it ends or the client goes.
pub(super) async fn session(
    supervisor: &Rc<Supervisor>,
    client: &Rc<Client>,
    frames: &mut Frames,
    seq: u64,
    spec: ExecSpec,
) {
    let started = match supervisor.task(&spec.id) {
        Ok(task) => launch(supervisor, &task, &spec)
            .await
            .map(|running| (task, running)),
        Err(refusal) => Err(refusal),
    };
    let (task, mut running) = match started {
        Ok(started) => started,
        Err(refusal) => return client.reply(seq, Err(refusal)),
    };
    client.reply(
        seq,
        Ok(Reply::ExecStarted {
            pid: running.process.pid,
        }),
    );
    let pidfd = Rc::clone(&running.process.pidfd);
    let stdin = running.ends.stdin.take();
    let finished = tokio::select! {
        status = run(client, &running) => Some(status),
        () = feed(frames, stdin, &running.ends, &pidfd) => None,
        _ = task.ended() => None,
        () = client.gone.cancelled() => None,
    };
    match finished {
        Some(status) => send(&client.out, &ExecOutput::Exited(status)).await,
        None => {
            // The client or the task is gone; so is the reason to go on.
            let _ = pidfd::signal_group(pidfd.as_fd(), running.process.pid, libc::SIGKILL, true);
            let status = end_of(
                &pidfd,
                running.process.pid,
                running.process.start_time_ticks,
            )
            .await;
            send(&client.out, &ExecOutput::Exited(status)).await;
        }
    }
}

async fn run(client: &Client, running: &Running) -> ExitStatus {
    let ends = &running.ends;
    let stdout = copy(&ends.stdout, ends.terminal, &client.out, ExecOutput::Stdout);
    let stderr = async {
        if let Some(stderr) = &ends.stderr {
            copy(stderr, false, &client.out, ExecOutput::Stderr).await;
        }
    };
    let output = async { tokio::join!(stdout, stderr) };
    let end = end_of(
        &running.process.pidfd,
        running.process.pid,
        running.process.start_time_ticks,
    );
    tokio::pin!(output, end);
    tokio::select! {
        _ = &mut output => end.await,
        status = &mut end => {
            let _ = tokio::time::timeout(OUTPUT_PATIENCE, output).await;
            status
        }
    }
}

async fn launch(supervisor: &Supervisor, task: &Task, spec: &ExecSpec) -> Result<Running, Refusal> {
    if task.exit().is_some() {
        return Err(Refusal::new(
            ErrorKind::NotRunning,
            format!("task {:?} is not running", spec.id),
        ));
    }
    let image = plan::image(&spec.command, &spec.args, &spec.env, &spec.cwd)?;
    let (ends, theirs) = if spec.tty {
        terminal(spec.window)
    } else {
        pipes()
    }
    .map_err(|e| internal("open the streams of the command", &e))?;
    let cgroup = match &task.cgroup {
        Some(cgroup) => Some(
            cgroup
                .open_dir()
                .map_err(|e| internal("open the task's cgroup", &e))?,
        ),
        None => None,
    };
    let network_namespace = open_namespace(spec.network_namespace.as_deref())?;
    let plan = Plan {
        path: image.path,
        argv: image.argv,
        envp: image.envp,
        cwd: image.cwd,
        stdio: [theirs[0].as_fd(), theirs[1].as_fd(), theirs[2].as_fd()],
        tty: spec.tty,
        credentials: spec.credentials.as_ref().map(plan::identity),
        rlimits: plan::rlimits(&[], &supervisor.task_nofile),
        oom_score_adj: None,
        join: Vec::new(),
        network_namespace: network_namespace.as_ref().map(AsFd::as_fd),
        cgroup: cgroup.as_ref().map(AsFd::as_fd),
    };
    let process = process::run(&plan, |_, _| Ok(()))
        .await
        .map_err(|failure| match failure {
            Failure::Refused(refusal) => refusal,
            Failure::Child(what, error) => Refusal::new(
                ErrorKind::Start,
                format!("{what} {}: {error}", spec.command.display()),
            ),
        })?;
    Ok(Running { process, ends })
}

fn pipes() -> io::Result<(Ends, [OwnedFd; 3])> {
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC);
    let ((stdin_r, stdin_w), (stdout_r, stdout_w), (stderr_r, stderr_w)) =
        (pipe()?, pipe()?, pipe()?);
    let ends = Ends {
        stdin: Some(watched(stdin_w, Interest::WRITABLE)?),
        stdout: watched(stdout_r, Interest::READABLE)?,
        stderr: Some(watched(stderr_r, Interest::READABLE)?),
        terminal: false,
    };
    Ok((ends, [stdin_r, stdout_w, stderr_w]))
}

fn terminal(window: Option<WindowSize>) -> io::Result<(Ends, [OwnedFd; 3])> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags)?;
    rustix::pty::grantpt(&master)?;
    rustix::pty::unlockpt(&master)?;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    if let Some(size) = window {
        resize(&master, size);
    }
    let theirs = [slave.try_clone()?, slave.try_clone()?, slave];
    let both = watched(master, Interest::READABLE | Interest::WRITABLE)?;
    Ok((
        Ends {
            stdin: Some(Rc::clone(&both)),
            stdout: both,
            stderr: None,
            terminal: true,
        },
        theirs,
    ))
}

fn watched(fd: OwnedFd, interest: Interest) -> io::Result<Rc<AsyncFd<Rc<OwnedFd>>>> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    watch::watch(Rc::new(fd), interest).map(Rc::new)
}

fn resize(terminal: impl AsFd, size: WindowSize) {
    let size = Winsize {
        ws_row: size.height,
        ws_col: size.width,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    if let Err(error) = rustix::termios::tcsetwinsize(terminal, size) {
        tracing::debug!(%error, "the terminal was not resized");
    }
}

/// Passes on what the client sends, until it goes.
async fn feed(
    frames: &mut Frames,
    mut stdin: Option<Rc<AsyncFd<Rc<OwnedFd>>>>,
    ends: &Ends,
    pidfd: &OwnedFd,
) {
    while let Some(Ok(body)) = frames.next().await {
        match wire::decode(&body) {
            Ok(ExecFeed::Stdin(bytes)) => {
                if let Some(fd) = &stdin
                    && write_all(fd, &bytes).await.is_err()
                {
                    stdin = None;
                }
            }
            // A terminal stays open: end of file is a character there.
            Ok(ExecFeed::CloseStdin) if ends.terminal => {
                const END_OF_TRANSMISSION: u8 = 4;
                if let Some(fd) = &stdin {
                    let _ = write_all(fd, &[END_OF_TRANSMISSION]).await;
                }
            }
            Ok(ExecFeed::CloseStdin) => stdin = None,
            Ok(ExecFeed::Resize(size)) if ends.terminal => resize(ends.stdout.get_ref(), size),
            Ok(ExecFeed::Resize(_)) => {}
            Ok(ExecFeed::Signal(signal)) => {
                let _ = pidfd::signal(pidfd.as_fd(), signal);
            }
            Err(error) => {
                tracing::warn!(%error, "exec input cannot be understood");
                return;
            }
        }
    }
}

async fn write_all(fd: &AsyncFd<Rc<OwnedFd>>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = fd
            .async_io(Interest::WRITABLE, |fd| Ok(rustix::io::write(fd, bytes)?))
            .await?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// Copies until the end. A client that does not read holds the command up, not us.
async fn copy(
    fd: &AsyncFd<Rc<OwnedFd>>,
    terminal: bool,
    out: &mpsc::Sender<Bytes>,
    wrap: fn(Bytes) -> ExecOutput,
) {
    let mut buffer = vec![0_u8; MAX_EXEC_CHUNK_BYTES];
    loop {
        let read = fd
            .async_io(Interest::READABLE, |fd| {
                Ok(rustix::io::read(fd, &mut buffer[..])?)
            })
            .await;
        match read {
            Ok(0) => return,
            Ok(n) => send(out, &wrap(Bytes::copy_from_slice(&buffer[..n]))).await,
            // A terminal whose other side is closed.
            Err(e) if terminal && e.raw_os_error() == Some(libc::EIO) => return,
            Err(error) => {
                tracing::debug!(%error, "exec output ended early");
                return;
            }
        }
    }
}

/// Queues a frame once only few others wait, so that a slow client fills no memory.
async fn send(out: &mpsc::Sender<Bytes>, output: &ExecOutput) {
    const MAX_WAITING: usize = 16;
    match wire::encode(output) {
        Ok(frame) => {
            if let Ok(mut permits) = out.reserve_many(MAX_QUEUED_FRAMES - MAX_WAITING).await
                && let Some(permit) = permits.next()
            {
                permit.send(frame);
            }
        }
        Err(error) => tracing::error!(%error, "exec output cannot be encoded"),
    }
}
