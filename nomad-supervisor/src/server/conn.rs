//! One connection: requests in, replies and events out.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;

use super::state::{Client, MAX_QUEUED_FRAMES, Supervisor};
use super::{exec, start, stats};
use crate::wire::{self, ErrorKind, Refusal, Reply, Request, RequestFrame};

/// How long the last frames may take to be written when a connection ends.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);
/// Pause between two looks at a task that is being started.
const START_PAUSE: Duration = Duration::from_millis(2);

pub(super) type Frames = FramedRead<OwnedReadHalf, LengthDelimitedCodec>;

/// Serves a connection until either side closes it.
pub(super) async fn serve(supervisor: Rc<Supervisor>, stream: UnixStream) {
    let (read, write) = stream.into_split();
    let mut frames = FramedRead::new(read, wire::codec());
    let (out, queue) = mpsc::channel(MAX_QUEUED_FRAMES);
    let client = Rc::new(Client {
        out,
        events: Cell::new(false),
        gone: CancellationToken::new(),
    });
    let writer = tokio::task::spawn_local(write_all(write, queue, client.gone.clone()));
    supervisor.add_client(&client);
    loop {
        let frame = tokio::select! {
            frame = frames.next() => frame,
            () = client.gone.cancelled() => break,
        };
        let Some(request) = read_request(frame) else {
            break;
        };
        match request.body {
            Request::Exec(spec) => {
                exec::session(&supervisor, &client, &mut frames, request.seq, *spec).await;
                break;
            }
            body => dispatch(&supervisor, &client, request.seq, body),
        }
    }
    supervisor.remove_client(&client);
    supervisor
        .tasks
        .borrow()
        .values()
        .for_each(|t| t.forget(&client));
    drop(client);
    let abort = writer.abort_handle();
    if tokio::time::timeout(FLUSH_PATIENCE, writer).await.is_err() {
        abort.abort();
    }
}

fn read_request(frame: Option<std::io::Result<BytesMut>>) -> Option<RequestFrame> {
    match frame? {
        Ok(body) => match wire::decode(&body) {
            Ok(request) => Some(request),
            Err(error) => {
                tracing::warn!(%error, "a request cannot be understood");
                None
            }
        },
        Err(error) => {
            tracing::debug!(%error, "connection broken");
            None
        }
    }
}

async fn write_all(
    write: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Bytes>,
    gone: CancellationToken,
) {
    let mut sink = FramedWrite::new(write, wire::codec());
    while let Some(frame) = queue.recv().await {
        let mut sent = sink.feed(frame).await;
        while let (Ok(()), Ok(more)) = (&sent, queue.try_recv()) {
            sent = sink.feed(more).await;
        }
        if sent.is_err() || SinkExt::<Bytes>::flush(&mut sink).await.is_err() {
            gone.cancel();
            return;
        }
    }
}

fn dispatch(supervisor: &Rc<Supervisor>, client: &Rc<Client>, seq: u64, request: Request) {
    match request {
        Request::Hello { protocol, events } => {
            if protocol != wire::PROTOCOL {
                tracing::warn!(
                    protocol,
                    ours = wire::PROTOCOL,
                    "the client speaks another version"
                );
            }
            client.events.set(events);
            let reply = Reply::Hello {
                capabilities: supervisor.capabilities(),
                tasks: supervisor.infos(),
            };
            client.reply(seq, Ok(reply));
        }
        Request::Start(spec) => later(supervisor, client, seq, async move |s| {
            start::start(&s, *spec).await.map(Reply::Started)
        }),
        Request::Wait { id } => match supervisor.task(&id) {
            Ok(task) => task.answer_at_end(client, seq),
            Err(refusal) => client.reply(seq, Err(refusal)),
        },
        Request::Signal { id, signal } => {
            client.reply(
                seq,
                supervisor
                    .task(&id)
                    .and_then(|t| t.signal(signal))
                    .map(|()| Reply::Done),
            );
        }
        Request::Kill {
            id,
            signal,
            timeout_ms,
        } => later(supervisor, client, seq, async move |s| {
            let task = s.task(&id)?;
            let (signal, timeout_ms) = (
                signal.unwrap_or(task.kill_spec().signal),
                timeout_ms.unwrap_or(task.kill_spec().timeout_ms),
            );
            task.kill(signal, Duration::from_millis(timeout_ms))
                .await
                .map(Reply::Exit)
        }),
        Request::Remove { id } => later(supervisor, client, seq, async move |s| {
            s.task(&id)?.remove(&s).await.map(|()| Reply::Done)
        }),
        Request::List => client.reply(seq, Ok(Reply::Tasks(supervisor.infos()))),
        Request::Inspect { id } => later(supervisor, client, seq, async move |s| {
            // Who asks because a start was not answered must not hear of a task in the making that there is none.
            while s.starting.borrow().contains(&id) {
                tokio::time::sleep(START_PAUSE).await;
            }
            s.task(&id).map(|t| Reply::Task(Box::new(t.info())))
        }),
        Request::Stats { ids } => later(supervisor, client, seq, async move |s| {
            let tasks = if ids.is_empty() {
                s.tasks.borrow().values().cloned().collect()
            } else {
                ids.iter()
                    .map(|id| s.task(id))
                    .collect::<Result<Vec<_>, _>>()?
            };
            Ok(Reply::Stats(stats::measure(&tasks).await))
        }),
        Request::Ping => client.reply(seq, Ok(Reply::Done)),
        Request::Shutdown { kill_tasks } => later(supervisor, client, seq, async move |s| {
            let tasks: Vec<_> = s.tasks.borrow().values().cloned().collect();
            if kill_tasks {
                for task in &tasks {
                    task.kill_all();
                }
                for task in tasks {
                    task.kill(libc::SIGKILL, Duration::ZERO).await?;
                    task.remove(&s).await?;
                }
            }
            // Time for the reply to leave.
            let supervisor = Rc::clone(&s);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                supervisor.request_shutdown();
            });
            Ok(Reply::Done)
        }),
        Request::Exec(_) => {
            client.reply(
                seq,
                Err(Refusal::new(
                    ErrorKind::Internal,
                    "exec is not handled here",
                )),
            );
        }
    }
}

/// Answers when it is done; meanwhile others are served.
fn later<F>(supervisor: &Rc<Supervisor>, client: &Rc<Client>, seq: u64, work: F)
where
    F: AsyncFnOnce(Rc<Supervisor>) -> Result<Reply, Refusal> + 'static,
{
    let (supervisor, client) = (Rc::clone(supervisor), Rc::clone(client));
    tokio::task::spawn_local(async move {
        let result = work(supervisor).await;
        client.reply(seq, result);
    });
}
