//! Drains move work off in order, and end.

use nomad_core::alloc::{AllocDeploymentStatus, ClientStatus};
use nomad_core::job::{Job, TaskGroup};
use nomad_core::node::DrainStrategy;
use nomad_core::{Nanos, Uuid};
use nomad_state::State;
use nomad_state::command::{
    AllocClientUpdates, AllocTransitions, AppliedPlan, JobRef, JobRegister, NodeDrainUpdate,
    NodeRegister, PlanResults,
};
use nomad_state::{Command, Store};

use super::*;

const T0: Timestamp = Timestamp(1_000_000_000_000);

fn uuid(number: u8) -> Uuid {
    Uuid([number; 16])
}

/// A store, and the drainer that watches it.
struct Bench {
    store: Store,
    index: u64,
    drainer: Drainer,
    now: Timestamp,
    actions: Vec<Action>,
}

impl Bench {
    fn new() -> Self {
        Self {
            store: Store::new(),
            index: 0,
            drainer: Drainer::new(),
            now: T0,
            actions: Vec::new(),
        }
    }

    fn state(&self) -> State {
        self.store.snapshot()
    }

    fn apply(&mut self, command: impl Into<Command>) {
        self.index += 1;
        let applied = self.store.apply(self.index, &command.into()).unwrap();
        let changes = applied.changes;
        let event = Event::Changed {
            nodes: &changes.nodes,
            allocs: &changes.allocs,
        };
        let actions = self.drainer.handle(event, &self.state(), self.now);
        self.actions.extend(actions);
    }

    fn node(&mut self, number: u8) {
        let node = Node {
            id: NodeId(uuid(number)),
            ..Node::default()
        };
        self.apply(NodeRegister { node, now: T0 });
    }

    fn job(&mut self, id: &str, job_type: JobType, count: i64) {
        let group = TaskGroup {
            name: "g".to_owned(),
            count,
            ..TaskGroup::default()
        };
        let job = Job {
            id: id.into(),
            namespace: "default".into(),
            job_type,
            task_groups: vec![group],
            ..Job::default()
        };
        self.apply(JobRegister {
            job,
            now: T0,
            ..JobRegister::default()
        });
    }

    fn place(&mut self, number: u8, job: &str, node: u8, healthy: Option<bool>) {
        let alloc = Allocation {
            id: AllocId(uuid(number)),
            namespace: "default".into(),
            job_id: job.into(),
            task_group: "g".to_owned(),
            name: format!("{job}.g[{number}]"),
            node_id: NodeId(uuid(node)),
            client_status: ClientStatus::Running,
            deployment_status: healthy.map(|healthy| AllocDeploymentStatus {
                healthy: Some(healthy),
                ..AllocDeploymentStatus::default()
            }),
            ..Allocation::default()
        };
        let plan = AppliedPlan {
            job: Some(JobRef {
                key: JobKey::new("default", job),
                version: 0,
            }),
            allocations: vec![alloc],
            ..AppliedPlan::default()
        };
        self.apply(PlanResults {
            plans: vec![plan],
            now: T0,
        });
    }

    fn drain(&mut self, node: u8, deadline: Nanos, ignore_system_jobs: bool) {
        let strategy = DrainStrategy {
            deadline,
            ignore_system_jobs,
            force_deadline: if deadline.0 > 0 {
                self.now + deadline
            } else {
                Timestamp::ZERO
            },
            started_at: self.now,
        };
        let command = NodeDrainUpdate {
            id: NodeId(uuid(node)),
            strategy: Some(strategy),
            now: T0,
            ..NodeDrainUpdate::default()
        };
        self.apply(command);
    }

    fn end(&mut self, number: u8) {
        let update = nomad_core::alloc::AllocClientUpdate {
            id: AllocId(uuid(number)),
            client_status: ClientStatus::Complete,
            ..nomad_core::alloc::AllocClientUpdate::default()
        };
        self.apply(AllocClientUpdates {
            updates: vec![update],
            evals: Vec::new(),
            now: T0,
        });
    }

    fn pass(&mut self, span: Nanos) {
        self.now = self.now + span;
        let actions = self.drainer.handle(Event::Tick, &self.state(), self.now);
        self.actions.extend(actions);
    }

    /// Does what the drainer said; gives the numbers of what was marked (with whether replacements are kept away),
    /// and of the nodes that are done.
    fn follow(&mut self) -> (Vec<(u8, bool)>, Vec<(u8, bool)>) {
        let mut marked = Vec::new();
        let mut done = Vec::new();
        while !self.actions.is_empty() {
            for action in std::mem::take(&mut self.actions) {
                match action {
                    Action::Migrate { transitions, .. } => {
                        marked.extend(transitions.iter().map(|(id, transition)| {
                            (id.0.0[0], transition.should_disable_migration_placement())
                        }));
                        let evals = Vec::new();
                        self.apply(AllocTransitions {
                            transitions,
                            evals,
                            now: T0,
                        });
                        let event = Event::Marked { committed: true };
                        let actions = self.drainer.handle(event, &self.state(), self.now);
                        self.actions.extend(actions);
                    }
                    Action::Complete {
                        node,
                        deadline_reached,
                    } => {
                        done.push((node.0.0[0], deadline_reached));
                        let command = NodeDrainUpdate {
                            id: node,
                            now: T0,
                            ..NodeDrainUpdate::default()
                        };
                        self.apply(command);
                    }
                }
            }
        }
        (marked, done)
    }
}

#[test]
fn services_leave_one_by_one_as_replacements_become_healthy() {
    let mut bench = Bench::new();
    bench.node(1);
    bench.node(2);
    bench.job("web", JobType::Service, 2);
    bench.place(11, "web", 1, Some(true));
    bench.place(12, "web", 1, Some(true));
    bench.drain(1, Nanos::hours(1), false);
    assert_eq!(
        bench.follow(),
        (vec![(11, false)], vec![]),
        "max_parallel is one"
    );
    bench.place(21, "web", 2, None);
    bench.end(11);
    assert_eq!(
        bench.follow(),
        (vec![], vec![]),
        "the replacement is not healthy yet"
    );
    bench.place(21, "web", 2, Some(true));
    assert_eq!(bench.follow(), (vec![(12, false)], vec![]));
    bench.end(12);
    assert_eq!(bench.follow(), (vec![], vec![(1, false)]));
    assert!(bench.drainer.is_empty());
}

#[test]
fn batch_work_may_end_until_the_deadline_and_system_jobs_go_last() {
    let mut bench = Bench::new();
    bench.node(1);
    bench.job("batch", JobType::Batch, 1);
    bench.job("daemon", JobType::System, 1);
    bench.place(11, "batch", 1, None);
    bench.place(12, "daemon", 1, None);
    bench.drain(1, Nanos::hours(1), false);
    assert_eq!(bench.follow(), (vec![], vec![]));
    bench.end(11);
    assert_eq!(bench.follow(), (vec![(12, false)], vec![]));
    bench.end(12);
    assert_eq!(bench.follow(), (vec![], vec![(1, false)]));
}

#[test]
fn at_the_deadline_everything_goes_and_batch_is_not_placed_again() {
    let mut bench = Bench::new();
    bench.node(1);
    bench.job("web", JobType::Service, 1);
    bench.job("batch", JobType::Batch, 1);
    bench.job("daemon", JobType::System, 1);
    bench.place(11, "batch", 1, None);
    bench.place(12, "daemon", 1, None);
    bench.place(13, "web", 1, None);
    bench.drain(1, Nanos::mins(5), false);
    assert_eq!(
        bench.follow(),
        (vec![], vec![]),
        "the service has no health yet"
    );
    assert_eq!(bench.drainer.next_wake(), Some(T0 + Nanos::mins(5)));
    bench.pass(Nanos::mins(5));
    assert_eq!(
        bench.follow(),
        (vec![(11, true), (12, false), (13, false)], vec![])
    );
    for number in [11, 12, 13] {
        bench.end(number);
    }
    assert_eq!(bench.follow(), (vec![], vec![(1, true)]));
}

#[test]
fn forced_drains_mark_at_once_and_ignored_system_jobs_stay() {
    let mut bench = Bench::new();
    bench.node(1);
    bench.job("web", JobType::Service, 1);
    bench.job("daemon", JobType::System, 1);
    bench.place(11, "web", 1, None);
    bench.place(12, "daemon", 1, None);
    bench.drain(1, Nanos(-1), true);
    assert_eq!(bench.follow(), (vec![(11, false)], vec![]));
    bench.end(11);
    assert_eq!(bench.follow(), (vec![], vec![(1, true)]));
}

#[test]
fn an_empty_node_is_done_at_once_and_a_new_leader_goes_on() {
    let mut bench = Bench::new();
    bench.node(1);
    bench.node(2);
    bench.job("web", JobType::Service, 1);
    bench.place(11, "web", 2, Some(true));
    bench.drain(1, Nanos::ZERO, false);
    bench.drain(2, Nanos::ZERO, false);
    // The old leader's actions are lost.
    bench.actions.clear();
    let state = bench.state();
    bench.actions = bench.drainer.recover(state.all_nodes(), &state, T0);
    assert_eq!(bench.follow(), (vec![(11, false)], vec![(1, false)]));
}
