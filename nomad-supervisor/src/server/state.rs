//! What the supervisor holds: tasks, clients, the journal. One thread uses it, so plain cells do.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bytes::Bytes;
use rustix::process::Rlimit;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::task::Task;
use crate::cgroup::Cgroups;
use crate::fdstore::FdStore;
use crate::journal::{JournalFile, Record};
use crate::logs::Scratch;
use crate::sys::pidfd;
use crate::types::{Capabilities, Event, TaskInfo};
use crate::wire::{self, PROTOCOL, Refusal, Reply, ServerFrame};

/// Frames that may wait for a client that does not read. One that lets more pile up is cut off; it connects again and
/// starts from a fresh list.
pub(super) const MAX_QUEUED_FRAMES: usize = 8192;

/// The supervisor's state.
pub(super) struct Supervisor {
    pub(super) tasks: RefCell<BTreeMap<Rc<str>, Rc<Task>>>,
    /// Ids whose process is being started.
    pub(super) starting: RefCell<BTreeSet<String>>,
    pub(super) cgroups: Cgroups,
    pub(super) scratch: RefCell<Scratch>,
    pub(super) boot_id: String,
    /// The limit of open files that tasks get.
    pub(super) task_nofile: Rlimit,
    /// Told when tasks or clients come or go.
    pub(super) changed: Notify,
    /// `None` where it could not be started.
    pub(super) store: Option<FdStore>,
    journal: RefCell<JournalFile>,
    clients: RefCell<Vec<Rc<Client>>>,
    shutdown: CancellationToken,
    journal_failed: Cell<bool>,
}

/// A connection, as seen by those who send to it.
pub(super) struct Client {
    pub(super) out: mpsc::Sender<Bytes>,
    pub(super) events: Cell<bool>,
    /// Cancelled when it must end.
    pub(super) gone: CancellationToken,
}

impl Client {
    pub(super) fn reply(&self, seq: u64, result: Result<Reply, Refusal>) {
        match wire::encode(&ServerFrame::Reply { seq, result }) {
            Ok(frame) => self.send(frame),
            Err(error) => {
                tracing::error!(%error, "a reply cannot be encoded");
                self.gone.cancel();
            }
        }
    }

    fn send(&self, frame: Bytes) {
        if frame.len() > wire::MAX_FRAME_BYTES || self.out.try_send(frame).is_err() {
            self.gone.cancel();
        }
    }
}

impl Supervisor {
    pub(super) fn new(
        journal: JournalFile,
        store: Option<FdStore>,
        boot_id: String,
        task_nofile: Rlimit,
    ) -> Rc<Self> {
        Rc::new(Self {
            tasks: RefCell::default(),
            starting: RefCell::default(),
            cgroups: Cgroups::detect(),
            scratch: RefCell::default(),
            boot_id,
            task_nofile,
            changed: Notify::new(),
            store,
            journal: RefCell::new(journal),
            clients: RefCell::default(),
            shutdown: CancellationToken::new(),
            journal_failed: Cell::new(false),
        })
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        Capabilities {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            pid: std::process::id() as i32,
            cgroup_root: self.cgroups.root().map(ToOwned::to_owned),
            controllers: self.cgroups.controllers().map(ToOwned::to_owned).collect(),
            cgroup_note: self.cgroups.note().map(ToOwned::to_owned),
            exit_info: pidfd::has_exit_info(),
        }
    }

    pub(super) fn task(&self, id: &str) -> Result<Rc<Task>, Refusal> {
        self.tasks
            .borrow()
            .get(id)
            .cloned()
            .ok_or_else(|| Refusal::not_found(id))
    }

    pub(super) fn infos(&self) -> Vec<TaskInfo> {
        self.tasks.borrow().values().map(|t| t.info()).collect()
    }

    pub(super) fn running(&self) -> usize {
        self.tasks
            .borrow()
            .values()
            .filter(|t| t.exit().is_none())
            .count()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.clients.borrow().is_empty() && self.starting.borrow().is_empty() && self.running() == 0
    }

    /// Writes to the journal. That it fails is told once; tasks go on, only re-adoption suffers.
    pub(super) fn record(&self, record: &Record) -> std::io::Result<()> {
        let mut journal = self.journal.borrow_mut();
        let result = journal.append(record).and_then(|()| {
            if !journal.wants_compaction() {
                return Ok(());
            }
            let tasks = self.tasks.borrow();
            let mut records: Vec<_> = tasks.values().map(|t| t.record()).collect();
            // A task is journalled before it is in the table.
            if let Record::Started(task) = record {
                records.retain(|r| r.id != task.id);
                records.push((**task).clone());
            }
            journal.compact(records.iter())
        });
        let failed = result.is_err();
        if let Err(error) = &result
            && !self.journal_failed.get()
        {
            tracing::error!(%error, "the journal cannot be written");
        }
        self.journal_failed.set(failed);
        result
    }

    pub(super) fn add_client(&self, client: &Rc<Client>) {
        self.clients.borrow_mut().push(Rc::clone(client));
        self.changed.notify_one();
    }

    pub(super) fn remove_client(&self, client: &Rc<Client>) {
        self.clients.borrow_mut().retain(|c| !Rc::ptr_eq(c, client));
        self.changed.notify_one();
    }

    /// Tells every client that listens.
    pub(super) fn emit(&self, event: Event) {
        let clients = self.clients.borrow();
        if clients.iter().all(|c| !c.events.get()) {
            return;
        }
        match wire::encode(&ServerFrame::Event(event)) {
            Ok(frame) => clients
                .iter()
                .filter(|c| c.events.get())
                .for_each(|c| c.send(frame.clone())),
            Err(error) => tracing::error!(%error, "an event cannot be encoded"),
        }
    }

    pub(super) fn request_shutdown(&self) {
        self.shutdown.cancel();
    }

    pub(super) async fn shutdown_requested(&self) {
        self.shutdown.cancelled().await;
    }
}
