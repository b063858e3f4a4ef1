//! The task that owns the connection: it sends requests, hands out answers, and connects again.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::net::UnixStream;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::{ClientOptions, Notice, SupervisorError};
use crate::types::Capabilities;
use crate::wire::{self, PROTOCOL, Reply, Request, RequestFrame, ServerFrame, SocketAddress};

/// Pause between attempts to reach a supervisor that is being started.
const RETRY_PAUSE: Duration = Duration::from_millis(2);
/// Longest pause between attempts to mend a connection.
const MAX_MEND_PAUSE: Duration = Duration::from_secs(2);
/// A supervisor that did not open its socket after so long is started again.
const START_PATIENCE: Duration = Duration::from_secs(4);

/// Below so many requests under way, forgotten ones are not looked for.
const MIN_PURGE: usize = 1024;

type Socket = Framed<UnixStream, LengthDelimitedCodec>;

/// A request and whom to tell.
pub(super) struct Command {
    pub(super) request: Request,
    pub(super) answer: oneshot::Sender<Result<Reply, SupervisorError>>,
}

/// A request under way.
struct Pending {
    /// To ask again on a new connection.
    repeat: Option<Request>,
    /// Whether it asks the supervisor to end with all its tasks.
    ends: bool,
    answer: oneshot::Sender<Result<Reply, SupervisorError>>,
}

/// The connection and what is under way on it.
pub(super) struct Link {
    options: ClientOptions,
    notices: broadcast::Sender<Notice>,
    socket: Socket,
    capabilities: Capabilities,
    pending: HashMap<u64, Pending>,
    next_seq: u64,
    /// Size at which forgotten requests are looked for.
    purge_at: usize,
    /// The supervisor has ended with all tasks, as it was told: no new one until there is something to ask it.
    ended: bool,
}

impl Link {
    /// Connects, starting a supervisor if need be.
    pub(super) async fn establish(
        options: ClientOptions,
        notices: broadcast::Sender<Notice>,
    ) -> Result<Self, SupervisorError> {
        let (socket, capabilities, tasks) = connect(&options).await?;
        let _ = notices.send(Notice::Connected(tasks));
        Ok(Self {
            options,
            notices,
            socket,
            capabilities,
            pending: HashMap::new(),
            next_seq: 1,
            purge_at: MIN_PURGE,
            ended: false,
        })
    }

    pub(super) fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Serves requests until every client handle is dropped.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => {
                        self.ended = false;
                        if self.submit(command).await.is_err() {
                            self.mend().await;
                        }
                    }
                    None => return,
                },
                frame = self.socket.next() => match frame {
                    Some(Ok(body)) => match wire::decode(&body) {
                        Ok(frame) => self.take(frame),
                        Err(error) => {
                            tracing::error!(%error, "the supervisor's message cannot be understood");
                            self.mend().await;
                        }
                    },
                    Some(Err(_)) | None if self.ended => match commands.recv().await {
                        Some(command) => {
                            self.ended = false;
                            self.mend().await;
                            if self.submit(command).await.is_err() {
                                self.mend().await;
                            }
                        }
                        None => return,
                    },
                    Some(Err(_)) | None => self.mend().await,
                },
            }
        }
    }

    async fn submit(&mut self, command: Command) -> io::Result<()> {
        let Command { request, answer } = command;
        let seq = self.next_seq;
        self.next_seq += 1;
        let ends = matches!(request, Request::Shutdown { kill_tasks: true });
        let repeat = request.repeatable().then(|| request.clone());
        let body = match wire::encode(&RequestFrame { seq, body: request }) {
            Ok(body) if body.len() <= wire::MAX_FRAME_BYTES => body,
            Ok(body) => {
                let what = format!(
                    "a request of {} bytes is over the limit of {}",
                    body.len(),
                    wire::MAX_FRAME_BYTES
                );
                let _ = answer.send(Err(SupervisorError::Protocol { what }));
                return Ok(());
            }
            Err(error) => {
                let _ = answer.send(Err(SupervisorError::Protocol {
                    what: error.to_string(),
                }));
                return Ok(());
            }
        };
        if self.pending.len() >= self.purge_at {
            // Whoever stopped waiting is not answered.
            self.pending
                .retain(|_, pending| !pending.answer.is_closed());
            self.purge_at = MIN_PURGE.max(self.pending.len() * 2);
        }
        self.pending.insert(
            seq,
            Pending {
                repeat,
                ends,
                answer,
            },
        );
        self.socket.send(body).await
    }

    fn take(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Event(event) => {
                let _ = self.notices.send(Notice::Task(event));
            }
            ServerFrame::Reply { seq, result } => {
                let Some(pending) = self.pending.remove(&seq) else {
                    return;
                };
                self.ended |= pending.ends && result.is_ok();
                let _ = pending.answer.send(result.map_err(SupervisorError::from));
            }
        }
    }

    /// Connects again, as long as it takes, and asks again what may be asked again.
    async fn mend(&mut self) {
        let _ = self.notices.send(Notice::Disconnected);
        let mut pause = Duration::from_millis(20);
        let mut repeats = Vec::new();
        for (_, pending) in self.pending.drain() {
            match pending.repeat {
                Some(request) => repeats.push(Command {
                    request,
                    answer: pending.answer,
                }),
                None => drop(pending.answer.send(Err(SupervisorError::Disconnected))),
            }
        }
        loop {
            match connect(&self.options).await {
                Ok((socket, capabilities, tasks)) => {
                    (self.socket, self.capabilities) = (socket, capabilities);
                    let _ = self.notices.send(Notice::Connected(tasks));
                    break;
                }
                Err(error) => {
                    tracing::warn!(%error, "the supervisor cannot be reached");
                    repeats.retain(|c| !c.answer.is_closed());
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_MEND_PAUSE);
                }
            }
        }
        for command in repeats {
            // If this fails, the next read fails too and leads back here.
            let _ = self.submit(command).await;
        }
    }
}

/// Reaches a supervisor of our version, starting one if there is none and replacing one of another version.
async fn connect(
    options: &ClientOptions,
) -> Result<(Socket, Capabilities, Vec<crate::types::TaskInfo>), SupervisorError> {
    let deadline = Instant::now() + options.connect_timeout;
    let mut started: Option<Instant> = None;
    loop {
        match attempt(&options.dir).await {
            Ok((socket, capabilities, tasks)) if capabilities.protocol == PROTOCOL => {
                return Ok((socket, capabilities, tasks));
            }
            Ok((mut socket, capabilities, _)) => {
                tracing::info!(
                    theirs = capabilities.protocol,
                    ours = PROTOCOL,
                    "replacing the supervisor"
                );
                let frame = RequestFrame {
                    seq: 2,
                    body: Request::Shutdown { kill_tasks: false },
                };
                if let Ok(body) = wire::encode(&frame) {
                    let _ = socket.send(body).await;
                }
                while socket.next().await.is_some_and(|f| f.is_ok()) {}
                started = None;
            }
            Err(source) if Instant::now() >= deadline => {
                let path = options.dir.join(crate::SOCKET_NAME);
                return Err(SupervisorError::Unreachable {
                    action: "connect to",
                    path,
                    source,
                });
            }
            Err(_) => {
                if let Some(launch) = &options.launch
                    && started.is_none_or(|at| at.elapsed() > START_PATIENCE)
                {
                    let failed = |action, path: &Path| {
                        let path = path.to_owned();
                        move |source| SupervisorError::Unreachable {
                            action,
                            path,
                            source,
                        }
                    };
                    std::fs::create_dir_all(&options.dir)
                        .map_err(failed("create directory", &options.dir))?;
                    let mut child = launch
                        .spawn(&options.dir)
                        .map_err(failed("start the supervisor", &launch.exe))?;
                    // Should it end before us, somebody has to collect it.
                    tokio::spawn(async move { child.wait().await });
                    started = Some(Instant::now());
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

async fn attempt(dir: &Path) -> io::Result<(Socket, Capabilities, Vec<crate::types::TaskInfo>)> {
    let mut socket = open(dir).await?;
    let hello = RequestFrame {
        seq: 0,
        body: Request::Hello {
            protocol: PROTOCOL,
            events: true,
        },
    };
    socket
        .send(wire::encode(&hello).map_err(io::Error::other)?)
        .await?;
    match next(&mut socket).await? {
        ServerFrame::Reply {
            result:
                Ok(Reply::Hello {
                    capabilities,
                    tasks,
                }),
            ..
        } => Ok((socket, capabilities, tasks)),
        _ => Err(io::Error::other("no greeting from the supervisor")),
    }
}

/// A bare connection.
pub(super) async fn open(dir: &Path) -> io::Result<Socket> {
    let address = SocketAddress::in_dir(dir)?;
    Ok(Framed::new(
        UnixStream::connect(address.path()).await?,
        wire::codec(),
    ))
}

/// The next frame.
pub(super) async fn next(socket: &mut Socket) -> io::Result<ServerFrame> {
    let body = socket.next().await.ok_or(io::ErrorKind::UnexpectedEof)??;
    wire::decode(&body).map_err(io::Error::other)
}
