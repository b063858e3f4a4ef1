//! A cluster of cores with a clock, a network and disks of our own, all driven by one seed. It checks as it goes:
//! one leader per term, the same entry at the same index everywhere, no read behind what was committed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nomad_store::{
    Durability, LogPosition, LogStore, MemLog, MemSnapshots, Membership, PeerInfo, SnapshotMeta,
    SnapshotReader, SnapshotStore,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::config::{CoreConfig, ELECTION_TICKS};
use crate::core::{Change, Core, Payload, Persist, Role};
use crate::error::CoreError;
use crate::state_machine::Committed;

pub(super) const TICK: Duration = Duration::from_millis(50);

pub(super) fn config(id: u64, seed: u64, incarnation: u64) -> CoreConfig {
    CoreConfig {
        id,
        seed,
        incarnation,
        lease: TICK * (ELECTION_TICKS as u32 / 2),
        trailing_logs: 3,
    }
}

pub(super) fn info(id: u64) -> PeerInfo {
    PeerInfo {
        name: format!("s{id}"),
        ..PeerInfo::default()
    }
}

/// What waits to be applied.
enum Job {
    Apply(Vec<Committed>),
    Install(SnapshotMeta),
    Snapshot(Membership),
}

struct Node {
    core: Option<Core>,
    log: MemLog,
    snapshots: MemSnapshots,
    disk: VecDeque<Persist>,
    hold_disk: bool,
    /// The state machine takes nothing for now.
    hold_jobs: bool,
    jobs: VecDeque<Job>,
    /// Applied entries with data.
    state: Vec<(u64, String)>,
    position: LogPosition,
    incarnation: u64,
    writes: usize,
}

enum Parcel {
    Message(Bytes),
    Snapshot {
        from: u64,
        bytes: Vec<u8>,
        message: Bytes,
    },
}

pub(super) struct Sim {
    seed: u64,
    rng: StdRng,
    nodes: BTreeMap<u64, Node>,
    net: VecDeque<(u64, u64, u64, Parcel)>,
    cut: BTreeSet<u64>,
    /// In thousandths.
    pub(super) loss: u32,
    pub(super) max_delay: u64,
    /// Chance in a hundred that disk and apply do something in a tick.
    pub(super) slowness: u32,
    /// Chance in a hundred of a tick too many or too few.
    pub(super) drift: u32,
    pub(super) now: u64,
    pub(super) frames: u64,
    pub(super) trailing: u64,
    /// What any server has applied, by index.
    history: BTreeMap<u64, (u64, Bytes)>,
    leaders: BTreeMap<u64, u64>,
    /// Reads under way: the server, its number, the index it must not be behind.
    reads: BTreeMap<(u64, u64), u64>,
    next_read: u64,
    pub(super) reads_done: u64,
    pub(super) reads_failed: u64,
    pub(super) installs: u64,
    pub(super) snapshots_taken: u64,
    /// Proposals accepted by a leader, by position.
    proposed: BTreeMap<LogPosition, String>,
}

impl Sim {
    pub(super) fn new(seed: u64, voters: &[u64]) -> Self {
        let mut sim = Self {
            seed,
            rng: StdRng::seed_from_u64(seed),
            nodes: BTreeMap::new(),
            net: VecDeque::new(),
            cut: BTreeSet::new(),
            loss: 0,
            max_delay: 0,
            slowness: 0,
            drift: 0,
            now: 0,
            frames: 0,
            trailing: 3,
            history: BTreeMap::new(),
            leaders: BTreeMap::new(),
            reads: BTreeMap::new(),
            next_read: 0,
            reads_done: 0,
            reads_failed: 0,
            installs: 0,
            snapshots_taken: 0,
            proposed: BTreeMap::new(),
        };
        let members: BTreeMap<u64, PeerInfo> = voters.iter().map(|&id| (id, info(id))).collect();
        for &id in voters {
            sim.add(id);
            Core::bootstrap(&sim.nodes[&id].log, members.clone()).unwrap();
            sim.restart(id);
        }
        sim
    }

    fn add(&mut self, id: u64) {
        self.nodes.insert(
            id,
            Node {
                core: None,
                log: MemLog::with_crashes(),
                snapshots: MemSnapshots::new(),
                disk: VecDeque::new(),
                hold_disk: false,
                hold_jobs: false,
                jobs: VecDeque::new(),
                state: Vec::new(),
                position: LogPosition::default(),
                incarnation: 0,
                writes: 0,
            },
        );
    }

    /// A new server with an empty log.
    pub(super) fn join(&mut self, id: u64) {
        self.add(id);
        self.restart(id);
    }

    pub(super) fn ids(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }

    pub(super) fn alive(&self, id: u64) -> bool {
        self.nodes[&id].core.is_some()
    }

    pub(super) fn random(&mut self, below: u32) -> u32 {
        self.rng.random_range(0..below)
    }

    pub(super) fn core(&self, id: u64) -> &Core {
        self.nodes[&id].core.as_ref().expect("is running")
    }

    pub(super) fn core_mut(&mut self, id: u64) -> &mut Core {
        let node = self.nodes.get_mut(&id).expect("exists");
        node.core.as_mut().expect("is running")
    }

    /// Does something with a core and what follows from it.
    pub(super) fn with<T>(&mut self, id: u64, f: impl FnOnce(&mut Core) -> T) -> T {
        let result = f(self.core_mut(id));
        self.pump(id);
        result
    }

    pub(super) fn applied(&self, id: u64) -> &[(u64, String)] {
        &self.nodes[&id].state
    }

    pub(super) fn writes(&self, id: u64) -> usize {
        self.nodes[&id].writes
    }

    fn time(&self) -> Duration {
        TICK * self.now as u32
    }

    pub(super) fn in_lease(&self, id: u64) -> bool {
        self.core(id).in_lease(self.time())
    }

    /// The leader of the highest term.
    pub(super) fn leader(&self) -> Option<u64> {
        self.nodes
            .iter()
            .filter_map(|(id, node)| Some((*id, node.core.as_ref()?)))
            .filter(|(_, core)| core.role() == Role::Leader)
            .max_by_key(|(_, core)| core.term())
            .map(|(id, _)| id)
    }

    pub(super) fn elect(&mut self) -> u64 {
        for _ in 0..100 * ELECTION_TICKS {
            self.run(1);
            if let Some(leader) = self.leader()
                && self.core(leader).leadership().ready
            {
                return leader;
            }
        }
        let states: Vec<String> = self
            .nodes
            .iter()
            .map(|(id, node)| match &node.core {
                Some(core) => format!(
                    "{id}: {:?} term {} commit {} applied {} last {} {:?}",
                    core.role(),
                    core.term(),
                    core.commit_index(),
                    core.applied_index(),
                    core.last_index(),
                    core.membership()
                ),
                None => format!("{id}: down"),
            })
            .collect();
        panic!("seed {}: no leader\n{}", self.seed, states.join("\n"));
    }

    pub(super) fn propose(&mut self, id: u64, data: &str) -> Result<LogPosition, CoreError> {
        let data = data.to_owned();
        let position = self.with(id, |core| core.propose(vec![data.clone().into()]))?;
        self.proposed.insert(position, data);
        Ok(position)
    }

    pub(super) fn change(&mut self, id: u64, changes: &[Change]) -> Result<LogPosition, CoreError> {
        self.with(id, |core| core.change_membership(changes))
    }

    /// Asks for a read and remembers what it must not be behind.
    pub(super) fn read(&mut self, id: u64) {
        let committed = self
            .nodes
            .values()
            .filter_map(|n| n.core.as_ref())
            .map(Core::commit_index)
            .max()
            .unwrap_or(0);
        self.next_read += 1;
        let read = self.next_read;
        let now = self.time();
        self.reads.insert((id, read), committed);
        if self.with(id, |core| core.read(read, now)).is_err() {
            self.reads.remove(&(id, read));
            self.reads_failed += 1;
        }
    }

    pub(super) fn cut(&mut self, id: u64) {
        self.cut.insert(id);
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(super) fn hold_disk(&mut self, id: u64, hold: bool) {
        self.nodes.get_mut(&id).expect("exists").hold_disk = hold;
    }

    pub(super) fn hold_jobs(&mut self, id: u64, hold: bool) {
        self.nodes.get_mut(&id).expect("exists").hold_jobs = hold;
    }

    /// Power off; of what was not synced the first `kept` writes survive.
    pub(super) fn crash(&mut self, id: u64, kept: usize) {
        let node = self.nodes.get_mut(&id).expect("exists");
        node.core = None;
        node.disk.clear();
        node.jobs.clear();
        node.state.clear();
        node.log = node.log.crash(kept);
        self.reads.retain(|(server, _), _| *server != id);
    }

    /// An empty disk under the same number.
    pub(super) fn wipe(&mut self, id: u64) {
        let node = self.nodes.get_mut(&id).expect("exists");
        node.log = MemLog::with_crashes();
        node.snapshots = MemSnapshots::new();
    }

    pub(super) fn restart(&mut self, id: u64) {
        let (seed, trailing) = (self.seed, self.trailing);
        let node = self.nodes.get_mut(&id).expect("exists");
        node.incarnation += 1;
        let mut meta = None;
        if let Some(mut reader) = nomad_store::snapshot::open_newest(&node.snapshots).unwrap() {
            node.state = read_state(&mut reader);
            meta = Some(reader.meta().clone());
        }
        let core_config = CoreConfig {
            trailing_logs: trailing,
            ..config(id, seed, node.incarnation)
        };
        let core = Core::open(
            core_config,
            Arc::new(node.log.clone()),
            meta.clone(),
            Path::new("<memory>"),
        );
        let core = core.unwrap_or_else(|e| panic!("seed {seed}: server {id} cannot start: {e}"));
        node.position = meta.map_or(core.base(), |m| m.position());
        node.core = Some(core);
        self.pump(id);
    }

    /// Replaces the members of a stopped server by force.
    pub(super) fn force_members(&mut self, id: u64, members: &[u64]) {
        let members = members.iter().map(|&id| (id, info(id))).collect();
        Core::force_members(&self.nodes[&id].log, members, &[]).unwrap();
    }

    /// Asks a server to take a snapshot when it has applied what it was given.
    pub(super) fn snapshot(&mut self, id: u64) {
        let node = self.nodes.get_mut(&id).expect("exists");
        let core = node.core.as_ref().expect("is running");
        let membership = core.membership();
        let newest = core.snapshot().map_or(0, |m| m.index);
        if !membership.is_empty()
            && membership.index <= core.handed_out()
            && newest < core.handed_out()
        {
            node.jobs.push_back(Job::Snapshot(membership.clone()));
        }
    }

    pub(super) fn copy_snapshot(&mut self, from: u64, to: u64) {
        let position = self.core(from).snapshot().unwrap().position();
        let bytes = self.snapshot_bytes(from, position).unwrap();
        receive(&self.nodes[&to].snapshots, &bytes);
    }

    fn snapshot_bytes(&self, id: u64, position: LogPosition) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = self.nodes[&id].snapshots.open(position).ok()?;
        file.read_to_end(&mut bytes).unwrap();
        Some(bytes)
    }

    /// Takes outputs until there are none, and checks them.
    fn pump(&mut self, id: u64) {
        loop {
            let node = self.nodes.get_mut(&id).expect("exists");
            let Some(core) = &mut node.core else { return };
            if !core.has_output() {
                break;
            }
            let output = core
                .take_output()
                .unwrap_or_else(|e| panic!("seed {}: server {id}: {e}", self.seed));
            if let Some(leadership) = output.leadership
                && leadership.is_leader
            {
                let first = *self.leaders.entry(leadership.term).or_insert(id);
                assert_eq!(
                    first, id,
                    "seed {}: two leaders in term {}",
                    self.seed, leadership.term
                );
            }
            node.disk.extend(output.persist);
            if let Some(meta) = output.install {
                node.jobs.push_back(Job::Install(meta));
            }
            if !output.committed.is_empty() {
                node.jobs.push_back(Job::Apply(output.committed));
            }
            if output.snapshot_wanted {
                self.snapshot(id);
            }
            for (read, index) in output.reads {
                if let Some(needed) = self.reads.remove(&(id, read)) {
                    assert!(
                        index >= needed,
                        "seed {}: server {id} would read at {index}, but {needed} was committed",
                        self.seed
                    );
                    self.reads_done += 1;
                }
            }
            for read in output.failed_reads {
                if self.reads.remove(&(id, read)).is_some() {
                    self.reads_failed += 1;
                }
            }
            for outgoing in output.messages {
                self.post(id, outgoing.to, outgoing.payload);
            }
        }
    }

    fn post(&mut self, from: u64, to: u64, payload: Payload) {
        self.frames += 1;
        let parcel = match payload {
            Payload::Message(message) => Parcel::Message(message),
            Payload::Snapshot { position, message } => {
                let Some(bytes) = self.snapshot_bytes(from, position) else {
                    // It was replaced by a newer one; the transfer fails.
                    self.core_mut(from).snapshot_sent(to, false);
                    return;
                };
                Parcel::Snapshot {
                    from,
                    bytes,
                    message,
                }
            }
        };
        let delay = self.rng.random_range(0..=self.max_delay);
        self.net.push_back((self.now + delay, from, to, parcel));
    }

    /// Delivers what is due. Messages of different delays overtake each other.
    fn deliver(&mut self) {
        for _ in 0..self.net.len() {
            let Some((due, from, to, parcel)) = self.net.pop_front() else {
                break;
            };
            if due > self.now {
                self.net.push_back((due, from, to, parcel));
                continue;
            }
            let lost = self.cut.contains(&from) != self.cut.contains(&to)
                || self.rng.random_range(0..1000) < self.loss
                || self.nodes.get(&to).is_none_or(|n| n.core.is_none());
            match parcel {
                Parcel::Message(message) => {
                    if !lost {
                        self.step(to, &message);
                    }
                }
                Parcel::Snapshot {
                    from,
                    bytes,
                    message,
                } => {
                    if !lost {
                        receive(&self.nodes[&to].snapshots, &bytes);
                        self.step(to, &message);
                    }
                    if self.alive(from) {
                        self.with(from, |core| core.snapshot_sent(to, !lost));
                    }
                }
            }
        }
    }

    fn step(&mut self, to: u64, message: &Bytes) {
        let seed = self.seed;
        self.with(to, |core| {
            if let Err(CoreError::Fatal(e)) = core.step(message) {
                panic!("seed {seed}: server {to}: {e}");
            }
        });
    }

    /// Lets a disk finish its writes.
    fn write_disk(&mut self, id: u64) {
        let node = self.nodes.get_mut(&id).expect("exists");
        if node.hold_disk || node.core.is_none() {
            return;
        }
        let mut last = None;
        while let Some(write) = node.disk.pop_front() {
            let durability = if write.sync {
                Durability::Synced
            } else {
                Durability::Buffered
            };
            node.log.write(&write.batch, durability).unwrap();
            node.writes += 1;
            last = Some(write.number);
        }
        if let Some(number) = last {
            self.with(id, |core| core.persisted(number));
        }
    }

    /// Hands a part of the disk's queue to the log without telling the core yet, as a crash may find it.
    pub(super) fn write_unreported(&mut self, id: u64) {
        let node = self.nodes.get_mut(&id).expect("exists");
        if let Some(write) = node.disk.pop_front() {
            node.log.write(&write.batch, Durability::Buffered).unwrap();
            // Reported with the next write.
            if let Some(next) = node.disk.front_mut() {
                next.sync |= write.sync;
            } else {
                node.log.sync().unwrap();
                self.with(id, |core| core.persisted(write.number));
            }
        }
    }

    fn work(&mut self, id: u64) {
        if self.nodes[&id].hold_jobs {
            return;
        }
        while let Some(job) = self.nodes.get_mut(&id).and_then(|n| n.jobs.pop_front()) {
            match job {
                Job::Apply(entries) => self.apply(id, entries),
                Job::Install(meta) => {
                    self.installs += 1;
                    let node = self.nodes.get_mut(&id).expect("exists");
                    let file = node.snapshots.open(meta.position()).unwrap();
                    let mut reader = SnapshotReader::new(file, Path::new("<memory>")).unwrap();
                    node.state = read_state(&mut reader);
                    node.position = meta.position();
                    self.with(id, |core| core.applied(meta.index));
                }
                Job::Snapshot(membership) => {
                    let node = self.nodes.get_mut(&id).expect("exists");
                    let meta = SnapshotMeta {
                        index: node.position.index,
                        term: node.position.term,
                        membership,
                    };
                    let mut sink = node.snapshots.create(&meta).unwrap();
                    for (index, data) in &node.state {
                        writeln!(sink, "{index} {data}").unwrap();
                    }
                    sink.commit().unwrap();
                    self.snapshots_taken += 1;
                    self.with(id, |core| core.snapshot_saved(meta));
                }
            }
        }
    }

    fn apply(&mut self, id: u64, entries: Vec<Committed>) {
        let node = self.nodes.get_mut(&id).expect("exists");
        let mut index = 0;
        for entry in entries {
            assert_eq!(
                entry.index,
                node.position.index + 1,
                "seed {}: server {id} skips entries",
                self.seed
            );
            let known = self
                .history
                .entry(entry.index)
                .or_insert_with(|| (entry.term, entry.data.clone()));
            assert_eq!(
                *known,
                (entry.term, entry.data.clone()),
                "seed {}: server {id} differs at {}",
                self.seed,
                entry.index
            );
            index = entry.index;
            node.position = LogPosition {
                index,
                term: entry.term,
            };
            if !entry.data.is_empty() {
                let data = String::from_utf8(entry.data.to_vec()).unwrap();
                node.state.push((index, data));
            }
        }
        self.with(id, |core| core.applied(index));
    }

    /// Lets everything happen that needs no time, disks included.
    pub(super) fn settle(&mut self) {
        for _ in 0..20 {
            for id in self.ids() {
                if self.alive(id) {
                    self.pump(id);
                    self.write_disk(id);
                    self.work(id);
                }
            }
            self.deliver();
        }
    }

    /// [`Sim::settle`] under a name that says what the test waits for.
    pub(super) fn settle_messages(&mut self) {
        self.settle();
    }

    pub(super) fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.now += 1;
            for id in self.ids() {
                if !self.alive(id) {
                    continue;
                }
                let mut count = 1;
                if self.drift > 0 {
                    let roll = self.rng.random_range(0..100);
                    if roll < self.drift {
                        count = 2;
                    } else if roll < 2 * self.drift {
                        count = 0;
                    }
                }
                for _ in 0..count {
                    self.with(id, Core::tick);
                }
            }
            for _ in 0..3 {
                self.deliver();
                for id in self.ids() {
                    if !self.alive(id) {
                        continue;
                    }
                    if self.rng.random_range(0..100) >= self.slowness {
                        self.write_disk(id);
                    }
                    if self.rng.random_range(0..100) >= self.slowness {
                        self.work(id);
                    }
                }
            }
        }
    }

    /// Every proposal that any server has applied is in the state of `id`, once and in order.
    pub(super) fn assert_complete(&self, id: u64) {
        let all: Vec<(u64, String)> = self
            .history
            .iter()
            .filter(|(_, (_, data))| !data.is_empty())
            .map(|(index, (_, data))| (*index, String::from_utf8(data.to_vec()).unwrap()))
            .collect();
        assert_eq!(
            self.nodes[&id].state, all,
            "seed {}: server {id}",
            self.seed
        );
        for (position, data) in &self.proposed {
            if let Some((term, applied)) = self.history.get(&position.index)
                && *term == position.term
            {
                assert_eq!(applied, data.as_bytes(), "seed {}", self.seed);
            }
        }
    }

    /// The logs of two servers agree wherever both hold an entry that is committed.
    pub(super) fn assert_logs_match(&self) {
        for (a, left) in &self.nodes {
            for (b, right) in &self.nodes {
                let (Some(x), Some(y)) = (&left.core, &right.core) else {
                    continue;
                };
                let from = x.base().index.max(y.base().index);
                let to = x.commit_index().min(y.commit_index());
                for index in from..=to {
                    assert_eq!(
                        x.term_at(index),
                        y.term_at(index),
                        "seed {}: servers {a} and {b} differ at {index}",
                        self.seed
                    );
                }
            }
        }
    }

    pub(super) fn unsynced(&self, id: u64) -> usize {
        self.nodes[&id].log.unsynced()
    }

    pub(super) fn entries_stored(&self, id: u64) -> u64 {
        self.nodes[&id].log.bounds().last.index
    }
}

fn receive(snapshots: &MemSnapshots, bytes: &[u8]) {
    let mut sink = snapshots.receive().unwrap();
    sink.write_all(bytes).unwrap();
    sink.commit().unwrap();
}

fn read_state(reader: &mut dyn Read) -> Vec<(u64, String)> {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text.lines()
        .map(|line| {
            let (index, data) = line.split_once(' ').unwrap();
            (index.parse().unwrap(), data.to_owned())
        })
        .collect()
}
