//! The watcher moves deployments on, and every deployment ends.

use nomad_core::alloc::{AllocClientUpdate, AllocDeploymentStatus, ClientStatus};
use nomad_core::deployment::DeploymentStatusUpdate;
use nomad_core::job::{Job, ReschedulePolicy, TaskGroup};
use nomad_core::{JobKey, Nanos, NodeId, Uuid};
use nomad_state::command::{
    AllocClientUpdates, AppliedPlan, DeploymentPromote, DeploymentStatusChange, JobRef,
    JobRegister, JobStability, PlanResults,
};
use nomad_state::{Command, State, Store};

use super::rollback::fail;
use super::*;

const T0: Timestamp = Timestamp(1_000_000_000_000_000);
const ID: DeploymentId = DeploymentId(Uuid([9; 16]));

fn alloc_id(number: u8) -> AllocId {
    AllocId(Uuid([number; 16]))
}

fn key() -> JobKey {
    JobKey::new("default", "web")
}

/// A store with one deployment, and the watcher.
struct Bench {
    store: Store,
    index: u64,
    watcher: DeploymentWatcher,
    now: Timestamp,
}

impl Bench {
    /// One group that wants `total` allocations; `edit` changes its state.
    fn new(total: i64, edit: impl Fn(&mut DeploymentState)) -> Self {
        let mut bench = Self {
            store: Store::new(),
            index: 0,
            watcher: DeploymentWatcher::new(),
            now: T0,
        };
        bench.register("first");
        let mut group = DeploymentState {
            desired_total: total,
            progress_deadline: Nanos::mins(10),
            ..DeploymentState::default()
        };
        edit(&mut group);
        let deployment = Deployment {
            id: ID,
            namespace: "default".into(),
            job_id: "web".into(),
            task_groups: [("g".to_owned(), group)].into(),
            ..Deployment::default()
        };
        let plan = AppliedPlan {
            deployment: Some(deployment),
            ..AppliedPlan::default()
        };
        assert!(
            bench
                .apply(PlanResults {
                    plans: vec![plan],
                    now: T0
                })
                .is_empty()
        );
        bench
    }

    fn register(&mut self, meta: &str) {
        let group = TaskGroup {
            name: "g".to_owned(),
            reschedule_policy: Some(ReschedulePolicy {
                attempts: 1,
                interval: Nanos::hours(1),
                ..ReschedulePolicy::default()
            }),
            ..TaskGroup::default()
        };
        let job = Job {
            id: "web".into(),
            namespace: "default".into(),
            task_groups: vec![group],
            meta: [("text".to_owned(), meta.to_owned())].into(),
            ..Job::default()
        };
        self.apply(JobRegister {
            job,
            now: T0,
            ..JobRegister::default()
        });
    }

    fn state(&self) -> State {
        self.store.snapshot()
    }

    fn apply(&mut self, command: impl Into<Command>) -> Vec<Action> {
        self.index += 1;
        let applied = self.store.apply(self.index, &command.into()).unwrap();
        let changes = applied.changes;
        let event = Event::Changed {
            deployments: &changes.deployments,
            allocs: &changes.allocs,
        };
        self.watcher.handle(event, &self.state(), self.now)
    }

    fn place(&mut self, numbers: &[u8], canary: bool) {
        let allocations = numbers
            .iter()
            .map(|number| Allocation {
                id: alloc_id(*number),
                namespace: "default".into(),
                job_id: "web".into(),
                task_group: "g".to_owned(),
                node_id: NodeId(Uuid([1; 16])),
                deployment_id: Some(ID),
                deployment_status: canary.then(|| AllocDeploymentStatus {
                    canary,
                    ..AllocDeploymentStatus::default()
                }),
                ..Allocation::default()
            })
            .collect();
        let plan = AppliedPlan {
            job: Some(JobRef {
                key: key(),
                version: 0,
            }),
            allocations,
            ..AppliedPlan::default()
        };
        assert!(
            self.apply(PlanResults {
                plans: vec![plan],
                now: T0
            })
            .is_empty()
        );
    }

    fn report(&mut self, numbers: &[u8], healthy: bool) -> Vec<Action> {
        let updates = numbers
            .iter()
            .map(|number| AllocClientUpdate {
                id: alloc_id(*number),
                client_status: if healthy {
                    ClientStatus::Running
                } else {
                    ClientStatus::Failed
                },
                deployment_status: Some(AllocDeploymentStatus {
                    healthy: Some(healthy),
                    timestamp: self.now,
                    ..AllocDeploymentStatus::default()
                }),
                ..AllocClientUpdate::default()
            })
            .collect();
        self.apply(AllocClientUpdates {
            updates,
            evals: Vec::new(),
            now: self.now,
        })
    }

    fn settle(&mut self) -> Vec<Action> {
        let event = Event::Settled {
            id: ID,
            committed: true,
        };
        self.watcher.handle(event, &self.state(), self.now)
    }

    fn pass(&mut self, span: Nanos) -> Vec<Action> {
        self.now = self.now + span;
        self.watcher.handle(Event::Tick, &self.state(), self.now)
    }
}

fn evaluate() -> Vec<Action> {
    vec![Action::Evaluate { id: ID }]
}

#[test]
fn health_leads_to_one_evaluation_at_a_time() {
    let mut bench = Bench::new(3, |_| {});
    bench.place(&[1, 2, 3], false);
    assert_eq!(bench.report(&[1], true), evaluate());
    assert!(
        bench.report(&[2], true).is_empty(),
        "the first is being written"
    );
    assert!(bench.report(&[3], true).is_empty());
    assert_eq!(bench.settle(), evaluate(), "both others in one");
    assert!(bench.settle().is_empty());
}

#[test]
fn failures_are_replaced_while_their_policy_allows() {
    let mut bench = Bench::new(2, |group| group.auto_revert = true);
    bench.place(&[1, 2], false);
    let granted = Action::Reschedule {
        id: ID,
        allocs: [alloc_id(1)].into(),
    };
    assert_eq!(bench.report(&[1], false), [granted]);
    bench.settle();
    // Without a policy nothing replaces it.
    let mut bench = Bench::new(1, |group| group.auto_revert = true);
    bench.place(&[1], false);
    let mut alloc = Allocation::clone(bench.state().alloc(alloc_id(1)).unwrap());
    let mut job = Job::clone(alloc.job.as_ref().unwrap());
    job.task_groups[0].reschedule_policy = None;
    alloc.job = Some(Arc::new(job));
    alloc.deployment_status = Some(AllocDeploymentStatus {
        healthy: Some(false),
        ..AllocDeploymentStatus::default()
    });
    let change = Change {
        old: None,
        new: Some(Arc::new(alloc)),
    };
    let event = Event::Changed {
        deployments: &[],
        allocs: &[change],
    };
    let actions = bench.watcher.handle(event, &bench.store.snapshot(), T0);
    assert_eq!(
        actions,
        [Action::Fail {
            id: ID,
            cause: Cause::UnhealthyAllocs,
            rollback: true
        }]
    );
}

#[test]
fn without_a_progress_deadline_the_first_failure_ends_it() {
    let mut bench = Bench::new(2, |group| group.progress_deadline = Nanos::ZERO);
    bench.place(&[1, 2], false);
    assert_eq!(
        bench.report(&[1], false),
        [Action::Fail {
            id: ID,
            cause: Cause::UnhealthyAllocs,
            rollback: false
        }]
    );
}

#[test]
fn progress_pushes_the_deadline_and_silence_ends_the_deployment() {
    let mut bench = Bench::new(2, |_| {});
    assert_eq!(bench.watcher.next_wake(), None, "nothing is placed yet");
    bench.place(&[1, 2], false);
    assert_eq!(bench.watcher.next_wake(), Some(T0 + Nanos::mins(10)));
    bench.pass(Nanos::mins(5));
    bench.report(&[1], true);
    bench.settle();
    assert_eq!(bench.watcher.next_wake(), Some(T0 + Nanos::mins(15)));
    assert!(bench.pass(Nanos::mins(9)).is_empty());
    assert_eq!(
        bench.pass(Nanos::mins(1)),
        [Action::Fail {
            id: ID,
            cause: Cause::ProgressDeadline,
            rollback: false
        }]
    );
}

#[test]
fn a_finished_group_has_no_deadline_and_a_paused_deployment_neither() {
    let mut bench = Bench::new(1, |_| {});
    bench.place(&[1], false);
    let pause = DeploymentStatusUpdate {
        deployment_id: ID,
        status: DeploymentStatus::Paused,
        ..DeploymentStatusUpdate::default()
    };
    bench.apply(DeploymentStatusChange {
        update: pause,
        now: T0,
        ..DeploymentStatusChange::default()
    });
    assert_eq!(bench.watcher.next_wake(), None);
    assert!(bench.pass(Nanos::hours(1)).is_empty());
    let resume = DeploymentStatusUpdate {
        deployment_id: ID,
        ..DeploymentStatusUpdate::default()
    };
    let now = bench.now;
    bench.apply(DeploymentStatusChange {
        update: resume,
        now,
        ..DeploymentStatusChange::default()
    });
    assert_eq!(bench.watcher.next_wake(), Some(now + Nanos::mins(10)));
    bench.report(&[1], true);
    assert_eq!(bench.watcher.next_wake(), None);
}

#[test]
fn healthy_canaries_promote_themselves_where_wanted() {
    for auto_promote in [true, false] {
        let mut bench = Bench::new(3, |group| {
            group.auto_promote = auto_promote;
            group.desired_canaries = 2;
        });
        bench.place(&[1, 2], true);
        assert_eq!(bench.report(&[1], true), evaluate());
        bench.settle();
        let actions = bench.report(&[2], true);
        if auto_promote {
            assert_eq!(actions, [Action::Promote { id: ID }]);
            bench.apply(DeploymentPromote {
                id: ID,
                now: T0,
                ..DeploymentPromote::default()
            });
            assert!(bench.settle().is_empty());
        } else {
            assert_eq!(actions, evaluate());
            assert_eq!(
                bench.watcher.next_wake(),
                None,
                "people may take their time"
            );
        }
    }
}

#[test]
fn ended_deployments_are_forgotten() {
    let mut bench = Bench::new(1, |_| {});
    bench.place(&[1], false);
    let update = DeploymentStatusUpdate {
        deployment_id: ID,
        status: DeploymentStatus::Cancelled,
        ..DeploymentStatusUpdate::default()
    };
    bench.apply(DeploymentStatusChange {
        update,
        now: T0,
        ..DeploymentStatusChange::default()
    });
    assert!(bench.watcher.is_empty() && bench.watcher.next_wake().is_none());
    assert!(bench.report(&[1], true).is_empty());
}

#[test]
fn a_new_leader_lets_the_scheduler_look_and_sees_failures() {
    let mut bench = Bench::new(2, |_| {});
    bench.place(&[1, 2], false);
    bench.report(&[1], false);
    let state = bench.state();
    let actions = bench.watcher.recover(state.deployments(), &state, T0);
    assert_eq!(
        actions,
        [Action::Reschedule {
            id: ID,
            allocs: [alloc_id(1)].into()
        }]
    );
}

#[test]
fn rollbacks_go_to_the_last_stable_version() {
    let mut bench = Bench::new(1, |_| {});
    let texts = |bench: &Bench| {
        let state = bench.state();
        let deployment = state.deployment(ID).unwrap();
        let failure = fail(&state, deployment, "Failed", true, T0);
        (failure.update.status_description, failure.version)
    };
    assert_eq!(
        texts(&bench),
        (
            "Failed - no stable job version to auto revert to".to_owned(),
            None
        )
    );
    bench.apply(JobStability {
        key: key(),
        version: 0,
        stable: true,
    });
    assert_eq!(
        texts(&bench),
        (
            "Failed - not rolling back to stable job version 0 as current job has same specification"
                .to_owned(),
            None
        )
    );
    bench.register("second");
    assert_eq!(
        texts(&bench),
        ("Failed - rolling back to job version 0".to_owned(), Some(0))
    );
}
