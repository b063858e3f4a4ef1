//! The evaluation broker: hands evaluations to workers, one in flight per job, and takes back what was not finished.
//!
//! Source: servers and scheduling reference, "Eval broker".

mod entry;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use nomad_core::eval::Evaluation;
use nomad_core::job::JobType;
use nomad_core::{EvalId, JobKey, Nanos, Timestamp};

use entry::{Entry, JobSlot, PendingKey, Place, ReadyKey, Unacked};

/// Evaluations cancelled in one log entry at most.
pub const MAX_CANCEL_BATCH: usize = 728;
/// Workers that may wait for an evaluation at a time.
pub const MAX_WAITING_WORKERS: usize = 4096;

/// Proof that an evaluation was handed to the one who holds it. Counts up while a server leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// Names a worker's request for an evaluation; chosen by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// A set of job types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobTypes(u8);

impl JobTypes {
    /// Service, batch, system and sysbatch.
    pub const ALL: Self = Self(0b1111);

    /// The set of these types.
    pub fn of(types: impl IntoIterator<Item = JobType>) -> Self {
        Self(
            types
                .into_iter()
                .filter_map(queue_of)
                .fold(0, |set, queue| set | (1 << queue)),
        )
    }

    fn contains(self, queue: usize) -> bool {
        self.0 & (1 << queue) != 0
    }
}

const QUEUES: [JobType; 4] = [
    JobType::Service,
    JobType::Batch,
    JobType::System,
    JobType::Sysbatch,
];

fn queue_of(job_type: JobType) -> Option<usize> {
    QUEUES.iter().position(|queue| *queue == job_type)
}

/// Settings of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerConfig {
    /// How long a worker may hold an evaluation without a sign of life.
    pub nack_timeout: Nanos,
    /// How often an evaluation is handed out before it is given up.
    pub delivery_limit: u32,
    /// Delay after the first failure.
    pub initial_nack_delay: Nanos,
    /// Added delay for each further failure.
    pub subsequent_nack_delay: Nanos,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            nack_timeout: Nanos::secs(60),
            delivery_limit: 3,
            initial_nack_delay: Nanos::secs(1),
            subsequent_nack_delay: Nanos::secs(20),
        }
    }
}

/// What happens to the broker.
#[derive(Debug, Clone)]
pub enum Event {
    /// An evaluation wants to be processed. With the token of its present delivery it is queued again once that is
    /// acknowledged (it was blocked and woken while still in flight); without, a known evaluation is left alone.
    Enqueue {
        eval: Arc<Evaluation>,
        token: Option<Token>,
    },
    /// A worker wants an evaluation.
    Dequeue { request: RequestId, types: JobTypes },
    /// A worker no longer waits.
    Withdraw { request: RequestId },
    /// A delivered evaluation is done.
    Ack { eval: EvalId, token: Token },
    /// A delivered evaluation failed and is to be tried again.
    Nack { eval: EvalId, token: Token },
    /// The worker is alive: its time starts anew.
    Extend { eval: EvalId, token: Token },
    /// The worker waits for the plan queue; its time stands still until the next `Extend`.
    PauseTimer { eval: EvalId, token: Token },
    /// The state says that nothing more happens to the evaluation (cancelled, its job deleted).
    Ended { eval: EvalId },
    /// Time went by.
    Tick,
}

/// An evaluation handed to a worker.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub eval: Arc<Evaluation>,
    pub token: Token,
    /// How often it was handed out, this time included.
    pub dequeues: u32,
    /// How long it was queued.
    pub waited: Nanos,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Action {
    /// Give this to the worker that asked.
    Deliver {
        request: RequestId,
        delivery: Delivery,
    },
    /// Handed out too often: mark it failed, then acknowledge it.
    GiveUp { delivery: Delivery },
}

/// How many evaluations are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BrokerStats {
    pub ready: usize,
    pub unacked: usize,
    /// Behind another evaluation of their job.
    pub pending: usize,
    /// Not before a later time.
    pub waiting: usize,
    pub cancelable: usize,
}

/// The broker. Lives on the leader, in memory, and is filled from the state when leadership is gained.
#[derive(Debug)]
pub struct Broker {
    config: BrokerConfig,
    known: HashMap<EvalId, Entry>,
    jobs: HashMap<JobKey, JobSlot>,
    ready: [BTreeSet<ReadyKey>; QUEUES.len()],
    unacked_by_queue: [usize; QUEUES.len()],
    /// When an evaluation is due: delayed ones, and those whose worker must show up.
    due: BTreeSet<(Timestamp, EvalId)>,
    cancelable: VecDeque<Arc<Evaluation>>,
    workers: VecDeque<(RequestId, JobTypes)>,
    pending: usize,
    waiting: usize,
    next_token: u64,
}

impl Broker {
    /// An empty broker.
    pub fn new(config: BrokerConfig) -> Self {
        Self {
            config,
            known: HashMap::new(),
            jobs: HashMap::new(),
            ready: Default::default(),
            unacked_by_queue: [0; QUEUES.len()],
            due: BTreeSet::new(),
            cancelable: VecDeque::new(),
            workers: VecDeque::new(),
            pending: 0,
            waiting: 0,
            next_token: 1,
        }
    }

    /// Takes an event in, and says what is to be done.
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Enqueue { eval, token } => self.enqueue(eval, token, now),
            Event::Dequeue { request, types } => {
                if self.workers.len() < MAX_WAITING_WORKERS {
                    self.workers.push_back((request, types));
                }
            }
            Event::Withdraw { request } => self.workers.retain(|(waiting, _)| *waiting != request),
            Event::Ack { eval, token } => self.ack(eval, token, now),
            Event::Nack { eval, token } => self.nack(eval, token, now, &mut actions),
            Event::Extend { eval, token } => {
                self.set_deadline(eval, token, Some(now + self.config.nack_timeout));
            }
            Event::PauseTimer { eval, token } => self.set_deadline(eval, token, None),
            Event::Ended { eval } => self.ended(eval, now),
            Event::Tick => {}
        }
        self.run_due(now, &mut actions);
        self.deliver(now, &mut actions);
        actions
    }

    /// When [`Event::Tick`] is needed next, if nothing else happens.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Evaluations that newer ones made needless, to be marked cancelled; at most [`MAX_CANCEL_BATCH`].
    pub fn take_cancelable(&mut self) -> Vec<Arc<Evaluation>> {
        let count = self.cancelable.len().min(MAX_CANCEL_BATCH);
        self.cancelable.drain(..count).collect()
    }

    /// Whether the holder of `token` still holds the evaluation.
    pub fn is_outstanding(&self, eval: EvalId, token: Token) -> bool {
        self.unacked(eval)
            .is_some_and(|unacked| unacked.token == token)
    }

    /// Whether a worker holds the evaluation.
    pub fn is_in_flight(&self, eval: EvalId) -> bool {
        self.unacked(eval).is_some()
    }

    /// Forgets all evaluations; workers keep waiting.
    pub fn clear(&mut self) {
        let workers = std::mem::take(&mut self.workers);
        let next_token = self.next_token;
        *self = Self {
            workers,
            next_token,
            ..Self::new(self.config.clone())
        };
    }

    /// How many evaluations are where.
    pub fn stats(&self) -> BrokerStats {
        BrokerStats {
            ready: self.ready.iter().map(BTreeSet::len).sum(),
            unacked: self.unacked_by_queue.iter().sum(),
            pending: self.pending,
            waiting: self.waiting,
            cancelable: self.cancelable.len(),
        }
    }

    /// Ready and unacknowledged evaluations per job type.
    pub fn stats_by_type(&self) -> impl Iterator<Item = (JobType, usize, usize)> + '_ {
        QUEUES
            .into_iter()
            .enumerate()
            .map(|(at, kind)| (kind, self.ready[at].len(), self.unacked_by_queue[at]))
    }

    fn enqueue(&mut self, eval: Arc<Evaluation>, token: Option<Token>, now: Timestamp) {
        if let Some(entry) = self.known.get_mut(&eval.id) {
            if let (Place::Unacked(unacked), Some(token)) = (&mut entry.place, token)
                && unacked.token == token
            {
                unacked.requeue = Some(eval);
            }
            return;
        }
        if queue_of(eval.job_type).is_none() {
            return;
        }
        let at = if eval.wait_until.is_zero() && eval.wait.0 > 0 {
            eval.modify_time + eval.wait
        } else {
            eval.wait_until
        };
        let id = eval.id;
        let entry = Entry {
            eval,
            dequeues: 0,
            since: now,
            place: Place::Waiting(at),
        };
        self.known.insert(id, entry);
        if at > now {
            self.wait(id, at);
        } else {
            self.queue(id, now);
        }
    }

    fn wait(&mut self, id: EvalId, at: Timestamp) {
        if let Some(entry) = self.known.get_mut(&id) {
            entry.place = Place::Waiting(at);
            self.due.insert((at, id));
            self.waiting += 1;
        }
    }

    /// Makes an evaluation ready, or pending behind the one that owns its job.
    fn queue(&mut self, id: EvalId, now: Timestamp) {
        let Some(entry) = self.known.get_mut(&id) else {
            return;
        };
        entry.since = now;
        let slot = self
            .jobs
            .entry(entry.eval.job_key())
            .or_insert_with(|| JobSlot {
                owner: id,
                pending: BTreeSet::new(),
            });
        if slot.owner == id {
            entry.place = Place::Ready;
            if let Some(queue) = queue_of(entry.eval.job_type) {
                self.ready[queue].insert(ReadyKey::of(&entry.eval));
            }
        } else {
            entry.place = Place::Pending;
            slot.pending.insert(PendingKey::of(&entry.eval));
            self.pending += 1;
        }
    }

    /// Takes an evaluation out of wherever it is queued; its job's slot is left alone.
    fn unqueue(&mut self, id: EvalId) {
        let Some(entry) = self.known.get_mut(&id) else {
            return;
        };
        let queue = queue_of(entry.eval.job_type);
        match std::mem::replace(&mut entry.place, Place::Nowhere) {
            Place::Ready => {
                if let Some(queue) = queue {
                    self.ready[queue].remove(&ReadyKey::of(&entry.eval));
                }
            }
            Place::Pending => {
                if let Some(slot) = self.jobs.get_mut(&entry.eval.job_key()) {
                    slot.pending.remove(&PendingKey::of(&entry.eval));
                }
                self.pending -= 1;
            }
            Place::Waiting(at) => {
                self.due.remove(&(at, id));
                self.waiting -= 1;
            }
            Place::Unacked(unacked) => {
                if let Some(deadline) = unacked.deadline {
                    self.due.remove(&(deadline, id));
                }
                if let Some(queue) = queue {
                    self.unacked_by_queue[queue] -= 1;
                }
            }
            Place::Nowhere => {}
        }
    }

    /// Forgets an evaluation. If it owned its job, the best pending one takes over and the others become needless.
    fn remove(&mut self, id: EvalId, now: Timestamp, cancel_others: bool) {
        self.unqueue(id);
        let Some(entry) = self.known.remove(&id) else {
            return;
        };
        let key = entry.eval.job_key();
        let Some(slot) = self.jobs.get_mut(&key) else {
            return;
        };
        if slot.owner != id {
            return;
        }
        let Some(next) = slot.pending.pop_first() else {
            self.jobs.remove(&key);
            return;
        };
        slot.owner = next.id;
        self.pending -= 1;
        if cancel_others {
            let others = std::mem::take(&mut slot.pending);
            self.pending -= others.len();
            for other in others {
                if let Some(entry) = self.known.remove(&other.id) {
                    self.cancelable.push_back(entry.eval);
                }
            }
        }
        self.queue(next.id, now);
    }

    fn unacked(&self, id: EvalId) -> Option<&Unacked> {
        match &self.known.get(&id)?.place {
            Place::Unacked(unacked) => Some(unacked),
            _ => None,
        }
    }

    fn ack(&mut self, id: EvalId, token: Token, now: Timestamp) {
        let Some(unacked) = self.unacked(id).filter(|unacked| unacked.token == token) else {
            return;
        };
        let again = unacked.requeue.clone();
        self.remove(id, now, true);
        if let Some(eval) = again {
            self.enqueue(eval, None, now);
        }
    }

    fn nack(&mut self, id: EvalId, token: Token, now: Timestamp, actions: &mut Vec<Action>) {
        if !self.is_outstanding(id, token) {
            return;
        }
        self.unqueue(id);
        let Some(entry) = self.known.get(&id) else {
            return;
        };
        let delay = match entry.dequeues {
            count if count >= self.config.delivery_limit => {
                if let Some(delivery) = self.hand_out(id, now, true) {
                    actions.push(Action::GiveUp { delivery });
                }
                return;
            }
            0 | 1 => self.config.initial_nack_delay,
            count => {
                let further = i64::from(count) - 1;
                Nanos(self.config.subsequent_nack_delay.0.saturating_mul(further))
            }
        };
        self.wait(id, now + delay);
    }

    fn set_deadline(&mut self, id: EvalId, token: Token, deadline: Option<Timestamp>) {
        let Some(Entry {
            place: Place::Unacked(unacked),
            ..
        }) = self.known.get_mut(&id)
        else {
            return;
        };
        // A delivery that is being given up has no time limit, and gets none.
        if unacked.token != token || unacked.given_up {
            return;
        }
        if let Some(old) = std::mem::replace(&mut unacked.deadline, deadline) {
            self.due.remove(&(old, id));
        }
        if let Some(deadline) = deadline {
            self.due.insert((deadline, id));
        }
    }

    fn ended(&mut self, id: EvalId, now: Timestamp) {
        // What a worker holds ends by its acknowledgement.
        if self.known.contains_key(&id) && self.unacked(id).is_none() {
            self.remove(id, now, false);
        }
    }

    fn run_due(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        while let Some((at, id)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            match self.known.get(&id).map(|entry| &entry.place) {
                Some(Place::Waiting(_)) => {
                    self.unqueue(id);
                    self.queue(id, now);
                }
                Some(Place::Unacked(unacked)) => {
                    let token = unacked.token;
                    self.nack(id, token, now, actions);
                }
                _ => {}
            }
            self.due.remove(&(at, id));
        }
    }

    /// Matches waiting workers with ready evaluations.
    fn deliver(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let mut at = 0;
        while at < self.workers.len() {
            let (request, types) = self.workers[at];
            let Some((queue, key)) = self.best(types) else {
                at += 1;
                continue;
            };
            self.ready[queue].remove(&key);
            if let Some(delivery) = self.hand_out(key.id, now, false) {
                self.workers.remove(at);
                actions.push(Action::Deliver { request, delivery });
            }
        }
    }

    /// The most important ready evaluation of these types: by priority, then the oldest.
    fn best(&self, types: JobTypes) -> Option<(usize, ReadyKey)> {
        (0..QUEUES.len())
            .filter(|queue| types.contains(*queue))
            .filter_map(|queue| self.ready[queue].first().map(|key| (queue, *key)))
            .min_by_key(|(_, key)| *key)
    }

    fn hand_out(&mut self, id: EvalId, now: Timestamp, given_up: bool) -> Option<Delivery> {
        let token = Token(self.next_token);
        let entry = self.known.get_mut(&id)?;
        let queue = queue_of(entry.eval.job_type)?;
        self.next_token += 1;
        let deadline = (!given_up).then_some(now + self.config.nack_timeout);
        entry.dequeues += u32::from(!given_up);
        entry.place = Place::Unacked(Unacked {
            token,
            deadline,
            requeue: None,
            given_up,
        });
        self.unacked_by_queue[queue] += 1;
        if let Some(deadline) = deadline {
            self.due.insert((deadline, id));
        }
        Some(Delivery {
            eval: Arc::clone(&entry.eval),
            token,
            dequeues: entry.dequeues,
            waited: now.since(entry.since),
        })
    }
}
