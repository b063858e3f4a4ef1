//! The cluster's event stream: what each applied command changed, as subscribers see it, in a bounded ring.
//!
//! Type comes from the command, topic from the changed table, so one type spans topics. Commands that only keep house
//! (tags, stability, collection) tell nothing. Source: HTTP API reference, "Event stream".

use std::collections::VecDeque;
use std::sync::Arc;

use nomad_core::alloc::Allocation;
use nomad_core::deployment::Deployment;
use nomad_core::eval::Evaluation;
use nomad_core::job::Job;
use nomad_core::node::{Node, NodePool};

use crate::command::Command;
use crate::table::{Change, ChangeSet};
use crate::tables::Tables;
use crate::variable::VariableRow;

/// Batches kept where the server configures nothing else (`event_buffer_size`).
pub const DEFAULT_EVENT_BUFFER: usize = 100;

/// What an event carries: the object after the change, or as it was last if it is gone.
#[derive(Debug, Clone)]
pub enum EventPayload {
    Job {
        job: Arc<Job>,
        deleted: bool,
    },
    Evaluation(Arc<Evaluation>),
    Allocation(Arc<Allocation>),
    Deployment(Arc<Deployment>),
    Node(Arc<Node>),
    NodePool(Arc<NodePool>),
    /// Without its items, which are secret.
    Variable(Arc<VariableRow>),
}

/// One change of one object.
#[derive(Debug, Clone)]
pub struct Event {
    /// The command's word for itself, such as `JobRegistered`.
    pub kind: &'static str,
    pub payload: EventPayload,
}

impl Event {
    /// The kind of object.
    pub fn topic(&self) -> &'static str {
        match self.payload {
            EventPayload::Job { .. } => "Job",
            EventPayload::Evaluation(_) => "Evaluation",
            EventPayload::Allocation(_) => "Allocation",
            EventPayload::Deployment(_) => "Deployment",
            EventPayload::Node(_) => "Node",
            EventPayload::NodePool(_) => "NodePool",
            EventPayload::Variable(_) => "Variable",
        }
    }

    /// The object's id or name.
    pub fn key(&self) -> String {
        match &self.payload {
            EventPayload::Job { job, .. } => job.id.to_string(),
            EventPayload::Evaluation(eval) => eval.id.to_string(),
            EventPayload::Allocation(alloc) => alloc.id.to_string(),
            EventPayload::Deployment(deployment) => deployment.id.to_string(),
            EventPayload::Node(node) => node.id.to_string(),
            EventPayload::NodePool(pool) => pool.name.clone(),
            EventPayload::Variable(row) => row.key.path.clone(),
        }
    }

    /// The object's namespace, "" for what has none.
    pub fn namespace(&self) -> &str {
        match &self.payload {
            EventPayload::Job { job, .. } => &job.namespace,
            EventPayload::Evaluation(eval) => &eval.namespace,
            EventPayload::Allocation(alloc) => &alloc.namespace,
            EventPayload::Deployment(deployment) => &deployment.namespace,
            EventPayload::Variable(row) => &row.key.namespace,
            EventPayload::Node(_) | EventPayload::NodePool(_) => "",
        }
    }

    /// Other keys by which a subscriber may ask for it; `None` where the topic has no such keys.
    pub fn filter_keys(&self) -> Option<Vec<String>> {
        let deployment =
            |id: Option<nomad_core::DeploymentId>| id.map(|id| id.to_string()).unwrap_or_default();
        match &self.payload {
            EventPayload::Evaluation(eval) => Some(vec![
                eval.job_id.to_string(),
                deployment(eval.deployment_id),
            ]),
            EventPayload::Allocation(alloc) => Some(vec![
                alloc.job_id.to_string(),
                deployment(alloc.deployment_id),
            ]),
            EventPayload::Deployment(deployment) => Some(vec![deployment.job_id.to_string()]),
            EventPayload::Job { .. }
            | EventPayload::Node(_)
            | EventPayload::NodePool(_)
            | EventPayload::Variable(_) => None,
        }
    }
}

/// The events of one log entry.
#[derive(Debug, Clone)]
pub struct EventBatch {
    /// Index of the log entry.
    pub index: u64,
    pub events: Vec<Event>,
}

/// What [`EventBuffer::read`] finds for a cursor.
#[derive(Debug, Clone, Default)]
pub struct EventRead {
    pub batches: Vec<Arc<EventBatch>>,
    /// Where to go on.
    pub cursor: u64,
    /// Batches that had left the buffer before this reader came to them.
    pub missed: u64,
}

/// The newest batches; older ones make room. A reader is a number, so a slow one costs nothing.
#[derive(Debug)]
pub struct EventBuffer {
    capacity: usize,
    ring: VecDeque<Arc<EventBatch>>,
    /// Number of the first batch in `ring`, counted from the start of the program.
    first: u64,
}

impl Default for EventBuffer {
    fn default() -> Self {
        Self::new(DEFAULT_EVENT_BUFFER)
    }
}

impl EventBuffer {
    /// Keeps `capacity` batches; 0 keeps none, and no subscriber sees anything.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            ring: VecDeque::new(),
            first: 0,
        }
    }

    pub(crate) fn resize(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.trim();
    }

    pub(crate) fn push(&mut self, batch: EventBatch) {
        self.ring.push_back(Arc::new(batch));
        self.trim();
    }

    fn trim(&mut self) {
        while self.ring.len() > self.capacity {
            self.ring.pop_front();
            self.first += 1;
        }
    }

    /// The cursor of a new subscriber: at the first batch of `index` or newer, at the newest batch if all are older, and
    /// at the oldest one kept for 0.
    pub fn start(&self, index: u64) -> u64 {
        let at = self.ring.partition_point(|batch| batch.index < index);
        self.first + at.min(self.ring.len().saturating_sub(1)) as u64
    }

    /// Everything from `cursor` on.
    pub fn read(&self, cursor: u64) -> EventRead {
        let skip = usize::try_from(cursor.saturating_sub(self.first)).unwrap_or(usize::MAX);
        EventRead {
            batches: self.ring.iter().skip(skip).cloned().collect(),
            cursor: (self.first + self.ring.len() as u64).max(cursor),
            missed: self.first.saturating_sub(cursor),
        }
    }
}

/// The type of all events of a command; `None` for those that tell nothing.
fn kind(command: &Command) -> Option<&'static str> {
    Some(match command {
        Command::NodeRegister(_) => "NodeRegistration",
        Command::NodeDeregister(_) => "NodeDeregistration",
        Command::NodeStatusUpdate(_) | Command::NodeEventsUpsert(_) => "NodeStreamEvent",
        Command::NodeEligibilityUpdate(_) => "NodeEligibility",
        Command::NodeDrainUpdate(_) => "NodeDrain",
        Command::JobRegister(_) => "JobRegistered",
        Command::JobDeregister(_) => "JobDeregistered",
        Command::EvalUpsert(_) => "EvaluationUpdated",
        Command::AllocClientUpdates(_) => "AllocationUpdated",
        Command::AllocTransitions(_) => "AllocationUpdateDesiredStatus",
        Command::PlanResults(_) => "PlanResult",
        Command::DeploymentStatusChange(_) => "DeploymentStatusUpdate",
        Command::DeploymentPromote(_) => "DeploymentPromotion",
        Command::DeploymentAllocHealth(_) => "DeploymentAllocHealth",
        Command::NodePoolUpsert(_) => "NodePoolUpserted",
        Command::NodePoolDelete(_) => "NodePoolDeleted",
        Command::VariableApply(_) => "VariableUpdated",
        _ => return None,
    })
}

/// The events of one applied command; `before` are the tables that it found, `after` what it left.
pub(crate) fn events_of(
    command: &Command,
    changes: &ChangeSet,
    before: &Tables,
    after: &Tables,
) -> Vec<Event> {
    let Some(kind) = kind(command) else {
        return Vec::new();
    };
    let mut payloads: Vec<EventPayload> = Vec::new();
    payloads.extend(changes.jobs.iter().filter_map(|change| {
        let job = newest(change)?;
        Some(EventPayload::Job {
            deleted: change.new.is_none(),
            job,
        })
    }));
    payloads.extend(present(&changes.evals).map(EventPayload::Evaluation));
    payloads.extend(present(&changes.allocs).map(EventPayload::Allocation));
    payloads.extend(present(&changes.deployments).map(EventPayload::Deployment));
    payloads.extend(
        changes
            .nodes
            .iter()
            .filter_map(newest)
            .map(EventPayload::Node),
    );
    payloads.extend(
        changes
            .variables
            .iter()
            .filter_map(newest)
            .map(EventPayload::Variable),
    );
    // Pools have no rows in the record of changes: the command names them.
    match command {
        Command::NodePoolUpsert(c) => payloads.extend(
            c.pools
                .iter()
                .filter_map(|pool| after.node_pools.get(&pool.name))
                .map(|pool| EventPayload::NodePool(Arc::clone(pool))),
        ),
        Command::NodePoolDelete(c) => payloads.extend(
            c.names
                .iter()
                .filter_map(|name| before.node_pools.get(name))
                .map(|pool| EventPayload::NodePool(Arc::clone(pool))),
        ),
        _ => {}
    }
    payloads
        .into_iter()
        .map(|payload| Event { kind, payload })
        .collect()
}

/// The row after the change, or before it if it is gone.
fn newest<T>(change: &Change<T>) -> Option<Arc<T>> {
    change.new.as_ref().or(change.old.as_ref()).cloned()
}

/// Rows that are still there: the deletion of evaluations and allocations is housekeeping.
fn present<T>(changes: &[Change<T>]) -> impl Iterator<Item = Arc<T>> {
    changes.iter().filter_map(|change| change.new.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{
        JobDeregister, JobRegister, JobStability, NodePoolDelete, NodePoolUpsert,
    };
    use crate::{Store, Table, WatchKey};

    fn batch(index: u64) -> EventBatch {
        EventBatch {
            index,
            events: Vec::new(),
        }
    }

    fn indexes(read: &EventRead) -> Vec<u64> {
        read.batches.iter().map(|batch| batch.index).collect()
    }

    #[test]
    fn a_slow_reader_goes_on_at_the_oldest_and_knows_its_gap() {
        let mut buffer = EventBuffer::new(3);
        for index in [5, 6, 9, 12] {
            buffer.push(batch(index));
        }
        let read = buffer.read(0);
        assert_eq!((indexes(&read), read.missed), (vec![6, 9, 12], 1));
        let again = buffer.read(read.cursor);
        assert_eq!((indexes(&again), again.missed), (vec![], 0));
        buffer.push(batch(13));
        assert_eq!(indexes(&buffer.read(again.cursor)), [13]);
    }

    #[test]
    fn subscribers_start_at_their_index_or_the_newest() {
        let mut buffer = EventBuffer::new(10);
        assert_eq!(buffer.start(7), 0);
        for index in [5, 6, 9] {
            buffer.push(batch(index));
        }
        for (from, seen) in [
            (0, vec![5, 6, 9]),
            (6, vec![6, 9]),
            (7, vec![9]),
            (100, vec![9]),
        ] {
            assert_eq!(
                indexes(&buffer.read(buffer.start(from))),
                seen,
                "from {from}"
            );
        }
    }

    fn job(id: &str) -> Job {
        Job {
            id: id.to_owned().into(),
            namespace: "default".to_owned().into(),
            node_pool: "default".to_owned(),
            ..Job::default()
        }
    }

    fn told(store: &Store) -> Vec<(String, &'static str, &'static str, bool)> {
        let read = store.events(0);
        let events = read.batches.iter().flat_map(|batch| &batch.events);
        events
            .map(|event| {
                let gone = matches!(event.payload, EventPayload::Job { deleted: true, .. });
                (event.key(), event.topic(), event.kind, gone)
            })
            .collect()
    }

    #[test]
    fn commands_tell_what_they_changed_and_housekeeping_tells_nothing() {
        let store = Store::new();
        let key = job("a").key();
        let pool = NodePool {
            name: "gpu".to_owned(),
            ..NodePool::default()
        };
        let commands: Vec<Command> = vec![
            JobRegister {
                job: job("a"),
                ..JobRegister::default()
            }
            .into(),
            JobStability {
                key: key.clone(),
                version: 0,
                stable: true,
            }
            .into(),
            JobDeregister {
                key,
                purge: true,
                ..JobDeregister::default()
            }
            .into(),
            NodePoolUpsert { pools: vec![pool] }.into(),
            NodePoolDelete {
                names: vec!["gpu".to_owned()],
            }
            .into(),
        ];
        let watch = store.watch(vec![WatchKey::Events]);
        let unrelated = store.watch(vec![WatchKey::Table(Table::Nodes)]);
        for (index, command) in (10..).zip(&commands) {
            store.apply(index, command).unwrap();
        }
        let expected = [
            ("a", "Job", "JobRegistered", false),
            ("a", "Job", "JobDeregistered", true),
            ("gpu", "NodePool", "NodePoolUpserted", false),
            ("gpu", "NodePool", "NodePoolDeleted", false),
        ];
        let expected = expected.map(|(key, topic, kind, gone)| (key.to_owned(), topic, kind, gone));
        assert_eq!(told(&store), expected);
        assert!(watch.fired() && !unrelated.fired());
    }

    #[test]
    fn no_buffer_keeps_nothing() {
        let store = Store::new();
        store.keep_events(0);
        let register = JobRegister {
            job: job("a"),
            ..JobRegister::default()
        };
        store.apply(10, &register.into()).unwrap();
        assert!(store.events(0).batches.is_empty());
    }
}
