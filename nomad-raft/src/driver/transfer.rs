//! Snapshots between servers: chunks with a small window, written to a file as they come.
//!
//! Sender and receiver are threads, because both work on files. Losing a frame costs a wait of one election timeout;
//! losing too many ends the transfer, and consensus begins a new one.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel,
};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use nomad_store::{LogPosition, SnapshotSink, SnapshotStore, StoreError};

use super::{Event, Events};
use crate::config::{SNAPSHOT_CHUNK, SNAPSHOT_TRIES, SNAPSHOT_WINDOW};
use crate::transport::Transport;
use crate::wire::{self, Answer, AnswerState, Chunk};

/// How long a receiver waits for the next chunk before it forgets the transfer.
const RECEIVE_PATIENCE: Duration = Duration::from_mins(1);

/// All transfers of this server.
#[derive(Default)]
pub(super) struct Transfers {
    sending: BTreeMap<u64, Outbound>,
    receiving: Option<Inbound>,
    next: u64,
    threads: Vec<JoinHandle<()>>,
}

struct Outbound {
    transfer: u64,
    answers: Sender<Answer>,
}

struct Inbound {
    from: u64,
    transfer: u64,
    chunks: SyncSender<Chunk>,
}

/// What to send to whom.
pub(super) struct Sending {
    pub(super) to: u64,
    pub(super) from: u64,
    pub(super) position: LogPosition,
    pub(super) message: Bytes,
    /// How long to wait for an answer before sending again.
    pub(super) patience: Duration,
}

impl Transfers {
    /// Begins to send a snapshot; an older transfer to the same server is given up.
    pub(super) fn send(
        &mut self,
        sending: Sending,
        transport: &Arc<dyn Transport>,
        snapshots: &Arc<dyn SnapshotStore>,
        events: &Events,
    ) {
        self.reap();
        self.next += 1;
        let transfer = self.next;
        let to = sending.to;
        let (answers, rx) = channel();
        self.sending.insert(to, Outbound { transfer, answers });
        let (transport, snapshots, thread_events) =
            (Arc::clone(transport), Arc::clone(snapshots), events.clone());
        let thread = std::thread::Builder::new()
            .name("raft-snap-send".into())
            .spawn(move || {
                let result = send(&sending, transfer, &rx, &*transport, &*snapshots);
                if let Err(reason) = &result {
                    tracing::warn!(to, index = sending.position.index, %reason, "snapshot not sent");
                }
                let complete = result.is_ok();
                let _ = thread_events.send(Event::SnapshotSent {
                    to,
                    transfer,
                    complete,
                });
            });
        match thread {
            Ok(thread) => self.threads.push(thread),
            Err(error) => {
                tracing::error!(%error, "cannot start a thread to send a snapshot");
                let _ = events.send(Event::SnapshotSent {
                    to,
                    transfer,
                    complete: false,
                });
            }
        }
    }

    /// Whether a transfer that ended is the current one to its server.
    pub(super) fn sent(&mut self, to: u64, transfer: u64) -> bool {
        let current = self
            .sending
            .get(&to)
            .is_some_and(|out| out.transfer == transfer);
        if current {
            self.sending.remove(&to);
        }
        current
    }

    /// Gives up all transfers to others.
    pub(super) fn stop_sending(&mut self) {
        self.sending.clear();
    }

    pub(super) fn on_answer(&self, answer: Answer) {
        if let Some(out) = self.sending.get(&answer.from)
            && out.transfer == answer.transfer
        {
            let _ = out.answers.send(answer);
        }
    }

    pub(super) fn on_chunk(
        &mut self,
        chunk: Chunk,
        id: u64,
        transport: &Arc<dyn Transport>,
        snapshots: &Arc<dyn SnapshotStore>,
        events: &Events,
    ) {
        let refuse = Answer {
            from: id,
            transfer: chunk.transfer,
            next: 0,
            state: AnswerState::Refused,
        };
        let from = chunk.from;
        let current = self
            .receiving
            .as_ref()
            .is_some_and(|r| r.from == from && r.transfer == chunk.transfer);
        if !current && chunk.number == 0 {
            self.reap();
            match self.receive(from, chunk.transfer, id, transport, snapshots, events) {
                Ok(inbound) => self.receiving = Some(inbound),
                Err(error) => {
                    tracing::error!(%error, "cannot start a thread to receive a snapshot");
                    transport.send(from, wire::answer(refuse));
                    return;
                }
            }
        } else if !current {
            transport.send(from, wire::answer(refuse));
            return;
        }
        if let Some(inbound) = &self.receiving {
            match inbound.chunks.try_send(chunk) {
                // A full queue: the sender sends it again.
                Ok(()) | Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Disconnected(_)) => {
                    self.receiving = None;
                    transport.send(from, wire::answer(refuse));
                }
            }
        }
    }

    fn receive(
        &mut self,
        from: u64,
        transfer: u64,
        id: u64,
        transport: &Arc<dyn Transport>,
        snapshots: &Arc<dyn SnapshotStore>,
        events: &Events,
    ) -> std::io::Result<Inbound> {
        let (chunks, rx) = sync_channel(2 * SNAPSHOT_WINDOW);
        let (transport, snapshots, events) =
            (Arc::clone(transport), Arc::clone(snapshots), events.clone());
        let thread = std::thread::Builder::new()
            .name("raft-snap-recv".into())
            .spawn(move || {
                let mut receiving = Receiving {
                    id,
                    from,
                    transfer,
                    next: 0,
                    state: AnswerState::GoingOn,
                    message: Bytes::new(),
                    sink: None,
                };
                if let Err(error) = receiving.run(&rx, &*transport, &*snapshots, &events) {
                    tracing::warn!(from, %error, "snapshot not received");
                    receiving.state = AnswerState::Refused;
                    receiving.answer(&*transport);
                }
            })?;
        self.threads.push(thread);
        Ok(Inbound {
            from,
            transfer,
            chunks,
        })
    }

    fn reap(&mut self) {
        self.threads.retain(|thread| !thread.is_finished());
    }

    /// Ends all transfers and waits for their threads.
    pub(super) fn join(self) {
        drop(self.sending);
        drop(self.receiving);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a snapshot thread panicked");
            }
        }
    }
}

/// Sends all chunks. The reason of a failure is for the log.
fn send(
    sending: &Sending,
    transfer: u64,
    answers: &Receiver<Answer>,
    transport: &dyn Transport,
    snapshots: &dyn SnapshotStore,
) -> Result<(), String> {
    let mut file = snapshots
        .open(sending.position)
        .map_err(|e| e.to_string())?;
    // Chunks sent and not yet answered, oldest first.
    let mut window: VecDeque<Chunk> = VecDeque::new();
    let mut number = 0;
    let mut finished = false;
    let mut tries = 0;
    loop {
        while window.len() < SNAPSHOT_WINDOW && !finished {
            let data = if number == 0 {
                sending.message.clone()
            } else {
                read_chunk(&mut *file).map_err(|e| e.to_string())?
            };
            finished = number > 0 && data.len() < SNAPSHOT_CHUNK;
            let chunk = Chunk {
                from: sending.from,
                transfer,
                number,
                last: finished,
                data,
            };
            number += 1;
            transport.send(sending.to, wire::chunk(&chunk));
            window.push_back(chunk);
        }
        match answers.recv_timeout(sending.patience) {
            Ok(answer) => match answer.state {
                AnswerState::Complete => return Ok(()),
                AnswerState::Refused => return Err("the receiver gave up".into()),
                AnswerState::GoingOn => {
                    while window.front().is_some_and(|c| c.number < answer.next) {
                        window.pop_front();
                        tries = 0;
                    }
                }
            },
            Err(RecvTimeoutError::Timeout) => {
                tries += 1;
                if tries > SNAPSHOT_TRIES {
                    return Err("the receiver does not answer".into());
                }
                for chunk in &window {
                    transport.send(sending.to, wire::chunk(chunk));
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err("this server no longer sends it".into());
            }
        }
    }
}

/// Reads a full chunk, or less only at the end of the file.
fn read_chunk(file: &mut dyn Read) -> std::io::Result<Bytes> {
    let mut data = Vec::with_capacity(SNAPSHOT_CHUNK);
    file.take(SNAPSHOT_CHUNK as u64).read_to_end(&mut data)?;
    Ok(data.into())
}

struct Receiving {
    id: u64,
    from: u64,
    transfer: u64,
    /// The chunk expected next.
    next: u32,
    state: AnswerState,
    message: Bytes,
    sink: Option<Box<dyn SnapshotSink>>,
}

impl Receiving {
    /// Takes chunks until the transfer is complete, and answers repetitions until the channel closes.
    fn run(
        &mut self,
        chunks: &Receiver<Chunk>,
        transport: &dyn Transport,
        snapshots: &dyn SnapshotStore,
        events: &Events,
    ) -> Result<(), StoreError> {
        loop {
            let chunk = match chunks.recv_timeout(RECEIVE_PATIENCE) {
                Ok(chunk) => chunk,
                Err(_) => return Ok(()),
            };
            if chunk.number == self.next && self.state == AnswerState::GoingOn {
                let last = chunk.last;
                self.take(chunk, snapshots)?;
                if last && let Some(sink) = self.sink.take() {
                    sink.commit()?;
                    self.state = AnswerState::Complete;
                    let _ = events.send(Event::SnapshotReceived(self.message.clone()));
                }
            }
            self.answer(transport);
        }
    }

    fn take(&mut self, chunk: Chunk, snapshots: &dyn SnapshotStore) -> Result<(), StoreError> {
        if chunk.number == 0 {
            self.message = chunk.data;
            self.sink = Some(snapshots.receive()?);
        } else if let Some(sink) = &mut self.sink {
            sink.write_all(&chunk.data)
                .map_err(|source| StoreError::Io {
                    op: "write a received snapshot to",
                    path: snapshots.path().to_path_buf(),
                    source,
                })?;
        }
        self.next += 1;
        Ok(())
    }

    fn answer(&self, transport: &dyn Transport) {
        let answer = Answer {
            from: self.id,
            transfer: self.transfer,
            next: self.next,
            state: self.state,
        };
        transport.send(self.from, wire::answer(answer));
    }
}
