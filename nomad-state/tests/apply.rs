//! Applying commands: a job's life from registration to success, and that state survives encoding and snapshots.

use std::collections::BTreeMap;

use nomad_core::alloc::{AllocClientUpdate, AllocDeploymentStatus, Allocation, ClientStatus};
use nomad_core::deployment::{
    Deployment, DeploymentState, DeploymentStatus, DeploymentStatusUpdate,
};
use nomad_core::eval::{EvalStatus, Evaluation};
use nomad_core::job::{Job, JobStatus, Task, TaskGroup};
use nomad_core::node::{Node, NodeStatus};
use nomad_core::view::ClusterView;
use nomad_core::{AllocId, DeploymentId, EvalId, JobKey, Nanos, NodeId, Timestamp, Uuid};
use nomad_state::command::{
    AllocClientUpdates, AppliedPlan, DeploymentStatusChange, EvalUpsert, JobDeregister, JobRef,
    JobRegister, NodeRegister, NodeStatusUpdate, PlanResults,
};
use nomad_state::{Command, Reply, State, Store, Table, WatchKey};

const NOW: Timestamp = Timestamp(1_000_000_000_000);

fn id(last: u8) -> Uuid {
    let mut bytes = [0; 16];
    bytes[15] = last;
    Uuid(bytes)
}

fn job() -> Job {
    let group = TaskGroup {
        name: "front".into(),
        count: 1,
        tasks: vec![Task {
            name: "web".into(),
            driver: "raw_exec".into(),
            ..Task::default()
        }],
        ..TaskGroup::default()
    };
    Job {
        id: "web".into(),
        name: "web".into(),
        namespace: "default".into(),
        task_groups: vec![group],
        ..Job::default()
    }
}

fn eval(last: u8) -> Evaluation {
    Evaluation {
        id: EvalId(id(last)),
        namespace: "default".into(),
        job_id: "web".into(),
        ..Evaluation::default()
    }
}

struct Cluster {
    store: Store,
    index: u64,
}

impl Cluster {
    fn new() -> Self {
        Self {
            store: Store::new(),
            index: 0,
        }
    }

    /// Applies through the encoded form, as the log does.
    fn apply(&mut self, command: impl Into<Command>) -> Reply {
        self.index += 1;
        let bytes = command.into().encode();
        self.store
            .apply(self.index, &Command::decode(&bytes).unwrap())
            .unwrap()
            .reply
    }

    fn register(&mut self, job: Job, eval: Option<Evaluation>) -> Reply {
        self.apply(JobRegister {
            job,
            eval,
            now: NOW,
            ..JobRegister::default()
        })
    }

    fn with_running_job() -> Self {
        let mut cluster = Self::new();
        let node = Node {
            id: NodeId(id(1)),
            datacenter: "dc1".into(),
            ..Node::default()
        };
        cluster.apply(NodeRegister { node, now: NOW });
        cluster.apply(NodeStatusUpdate {
            id: NodeId(id(1)),
            status: NodeStatus::Ready,
            now: NOW,
            ..NodeStatusUpdate::default()
        });
        cluster.register(job(), Some(eval(2)));
        let deployment = Deployment {
            id: DeploymentId(id(4)),
            namespace: "default".into(),
            job_id: "web".into(),
            task_groups: BTreeMap::from([(
                "front".to_owned(),
                DeploymentState {
                    desired_total: 1,
                    progress_deadline: Nanos::mins(10),
                    ..DeploymentState::default()
                },
            )]),
            ..Deployment::default()
        };
        let alloc = Allocation {
            id: AllocId(id(3)),
            namespace: "default".into(),
            name: "web.front[0]".into(),
            node_id: NodeId(id(1)),
            job_id: "web".into(),
            task_group: "front".into(),
            eval_id: Some(EvalId(id(2))),
            deployment_id: Some(DeploymentId(id(4))),
            ..Allocation::default()
        };
        let done = Evaluation {
            status: EvalStatus::Complete,
            queued_allocations: BTreeMap::from([("front".to_owned(), 0)]),
            ..eval(2)
        };
        let plan = AppliedPlan {
            eval_id: EvalId(id(2)),
            job: Some(JobRef {
                key: JobKey::new("default", "web"),
                version: 0,
            }),
            allocations: vec![alloc],
            deployment: Some(deployment),
            evals: vec![done],
            ..AppliedPlan::default()
        };
        cluster.apply(PlanResults {
            plans: vec![plan],
            now: NOW,
        });
        cluster
    }

    fn report(&mut self, status: ClientStatus, healthy: Option<bool>) {
        let update = AllocClientUpdate {
            id: AllocId(id(3)),
            client_status: status,
            deployment_status: healthy.map(|healthy| AllocDeploymentStatus {
                healthy: Some(healthy),
                timestamp: NOW,
                ..Default::default()
            }),
            ..AllocClientUpdate::default()
        };
        self.apply(AllocClientUpdates {
            updates: vec![update],
            now: NOW,
            ..AllocClientUpdates::default()
        });
    }

    fn state(&self) -> State {
        self.store.snapshot()
    }
}

fn key() -> JobKey {
    JobKey::new("default", "web")
}

#[test]
fn a_job_runs_becomes_healthy_and_stable_and_stops() {
    let mut cluster = Cluster::with_running_job();
    let state = cluster.state();
    assert_eq!(state.job(&key()).unwrap().status, JobStatus::Running);
    assert_eq!(
        state.job_summary(&key()).unwrap().summary["front"].starting,
        1
    );
    let alloc = state.alloc(AllocId(id(3))).unwrap();
    assert_eq!(alloc.job.as_ref().unwrap().id, "web");

    cluster.report(ClientStatus::Running, Some(true));
    let state = cluster.state();
    let counts = state.job_summary(&key()).unwrap().summary["front"];
    assert_eq!((counts.starting, counts.running), (0, 1));
    let group = &state.latest_deployment(&key()).unwrap().task_groups["front"];
    assert_eq!(
        (
            group.placed_allocs,
            group.healthy_allocs,
            group.unhealthy_allocs
        ),
        (1, 1, 0)
    );
    assert_eq!(group.require_progress_by, NOW + Nanos::mins(10));

    let update = DeploymentStatusUpdate {
        deployment_id: DeploymentId(id(4)),
        status: DeploymentStatus::Successful,
        ..DeploymentStatusUpdate::default()
    };
    cluster.apply(DeploymentStatusChange {
        update,
        now: NOW,
        ..DeploymentStatusChange::default()
    });
    assert!(cluster.state().job(&key()).unwrap().stable);

    cluster.apply(JobDeregister {
        key: key(),
        now: NOW,
        ..JobDeregister::default()
    });
    assert_eq!(cluster.state().job(&key()).unwrap().version, 1);
    cluster.report(ClientStatus::Complete, None);
    let state = cluster.state();
    assert_eq!(state.job(&key()).unwrap().status, JobStatus::Dead);
    assert_eq!(
        state.job_summary(&key()).unwrap().summary["front"].complete,
        1
    );
}

#[test]
fn an_unchanged_job_makes_no_new_version_and_a_changed_one_does() {
    let mut cluster = Cluster::new();
    assert_eq!(
        cluster.register(job(), None),
        Reply::JobRegistered {
            version: 0,
            job_modify_index: 1,
            changed: true
        }
    );
    assert!(matches!(
        cluster.register(job(), Some(eval(2))),
        Reply::JobRegistered { changed: false, .. }
    ));
    assert_eq!(
        cluster
            .state()
            .eval(EvalId(id(2)))
            .unwrap()
            .job_modify_index,
        1
    );
    for priority in 1..=8 {
        cluster.register(Job { priority, ..job() }, None);
    }
    let versions = cluster.state().job_versions(&key()).unwrap().clone();
    assert_eq!(versions.len(), 6);
    assert_eq!(versions.front().unwrap().version, 8);
}

#[test]
fn enforce_index_refuses_and_changes_nothing() {
    let mut cluster = Cluster::new();
    cluster.register(job(), None);
    let command = Command::from(JobRegister {
        job: job(),
        enforce_index: Some(0),
        ..JobRegister::default()
    });
    let error = cluster.store.apply(2, &command).unwrap_err();
    assert!(
        error.to_string().starts_with("Enforcing job modify index"),
        "{error}"
    );
    assert_eq!(cluster.state().table_index(Table::Jobs), 1);
    assert_eq!(cluster.state().last_index(), 2);
}

#[test]
fn purging_forgets_the_job_but_not_its_allocations() {
    let mut cluster = Cluster::with_running_job();
    cluster.apply(JobDeregister {
        key: key(),
        purge: true,
        eval: Some(eval(9)),
        now: NOW,
        ..Default::default()
    });
    let state = cluster.state();
    assert!(state.job(&key()).is_none());
    assert!(state.job_versions(&key()).is_none());
    assert!(state.alloc(AllocId(id(3))).is_some());
    assert!(state.eval(EvalId(id(9))).is_some());
}

#[test]
fn placements_of_a_stopped_job_are_dropped() {
    let mut cluster = Cluster::new();
    cluster.register(
        Job {
            stop: true,
            ..job()
        },
        None,
    );
    let alloc = Allocation {
        id: AllocId(id(3)),
        job_id: "web".into(),
        namespace: "default".into(),
        ..Default::default()
    };
    let plan = AppliedPlan {
        job: Some(JobRef {
            key: key(),
            version: 0,
        }),
        allocations: vec![alloc],
        ..AppliedPlan::default()
    };
    cluster.apply(PlanResults {
        plans: vec![plan],
        now: NOW,
    });
    assert_eq!(cluster.state().alloc_count(), 0);
}

#[test]
fn snapshots_restore_the_same_state_and_share_jobs() {
    let mut cluster = Cluster::with_running_job();
    cluster.report(ClientStatus::Running, Some(true));
    cluster.apply(EvalUpsert {
        evals: vec![eval(7)],
        now: NOW,
    });
    let mut first = Vec::new();
    cluster.store.save(&mut first).unwrap();
    let other = Store::new();
    let watch = other.watch(vec![WatchKey::Table(Table::Jobs)]);
    assert_eq!(other.restore(&mut first.as_slice()).unwrap(), cluster.index);
    assert!(watch.fired());
    let mut second = Vec::new();
    other.save(&mut second).unwrap();
    assert_eq!(first, second);
    let state = other.snapshot();
    let job = state.alloc(AllocId(id(3))).unwrap().job.clone().unwrap();
    assert!(
        state
            .job_versions(&key())
            .unwrap()
            .iter()
            .any(|version| version.version == job.version)
    );
}

#[test]
fn truncated_or_foreign_snapshots_are_refused_and_change_nothing() {
    let cluster = Cluster::with_running_job();
    let mut bytes = Vec::new();
    cluster.store.save(&mut bytes).unwrap();
    let other = Store::new();
    for len in [0, 3, bytes.len() / 2, bytes.len() - 1] {
        assert!(other.restore(&mut &bytes[..len]).is_err(), "{len}");
    }
    bytes[0] = 77;
    assert!(other.restore(&mut bytes.as_slice()).is_err());
    assert_eq!(other.snapshot().job_count(), 0);
}

#[test]
fn only_what_changed_wakes() {
    let mut cluster = Cluster::with_running_job();
    let this = cluster.store.watch(vec![WatchKey::Alloc(AllocId(id(3)))]);
    let jobs = cluster.store.watch(vec![WatchKey::JobAllocs(key())]);
    let other = cluster.store.watch(vec![
        WatchKey::Alloc(AllocId(id(5))),
        WatchKey::Table(Table::NodePools),
    ]);
    cluster.report(ClientStatus::Running, None);
    assert!(this.fired());
    assert!(jobs.fired());
    assert!(!other.fired());
}

#[test]
fn unknown_commands_are_named_not_skipped() {
    let mut bytes = Command::from(EvalUpsert::default()).encode();
    bytes[0] = 0x7f;
    let error = Command::decode(&bytes).unwrap_err().to_string();
    assert!(error.contains("upgrade"), "{error}");
    assert!(Command::decode(&[1]).is_err());
}
