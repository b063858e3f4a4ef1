//! Only what is old and unreferenced is collected.

use nomad_core::Uuid;
use nomad_core::alloc::{AllocClientUpdate, Allocation, ClientStatus};
use nomad_core::eval::{EvalStatus, Evaluation};
use nomad_core::job::{Job, JobType, JobVersionTag, ReschedulePolicy, TaskGroup};
use nomad_core::node::{Node, NodeStatus};
use nomad_core::view::ClusterView as _;
use nomad_core::{AllocId, EvalId, JobKey, NodeId};
use nomad_state::command::{
    AllocClientUpdates, AppliedPlan, EvalUpsert, JobDeregister, JobRef, JobRegister,
    JobVersionTagUpdate, NodeRegister, NodeStatusUpdate, PlanResults,
};
use nomad_state::{Command, State, Store};

use super::*;

const T0: Timestamp = Timestamp(1_000_000_000_000_000);

fn uuid(number: u8) -> Uuid {
    Uuid([number; 16])
}

#[derive(Default)]
struct Bench {
    store: Store,
    index: u64,
}

impl Bench {
    fn apply(&mut self, command: impl Into<Command>) {
        self.index += 1;
        self.store.apply(self.index, &command.into()).unwrap();
    }

    fn state(&self) -> State {
        self.store.snapshot()
    }

    /// A job with a complete evaluation and one allocation of it, all at `T0`.
    fn job(&mut self, id: &str, job_type: JobType, number: u8) {
        let group = TaskGroup {
            name: "g".to_owned(),
            count: 1,
            reschedule_policy: Some(ReschedulePolicy {
                unlimited: job_type == JobType::Service,
                attempts: 1,
                interval: Nanos::hours(1),
                ..ReschedulePolicy::default()
            }),
            ..TaskGroup::default()
        };
        let job = Job {
            id: id.into(),
            namespace: "default".into(),
            job_type,
            task_groups: vec![group],
            ..Job::default()
        };
        let eval = Evaluation {
            id: EvalId(uuid(number)),
            namespace: "default".into(),
            job_id: id.into(),
            job_type,
            create_time: T0,
            modify_time: T0,
            ..Evaluation::default()
        };
        let done = Evaluation {
            status: EvalStatus::Complete,
            ..eval.clone()
        };
        self.apply(JobRegister {
            job,
            eval: Some(eval),
            now: T0,
            ..JobRegister::default()
        });
        let alloc = Allocation {
            id: AllocId(uuid(number)),
            namespace: "default".into(),
            job_id: id.into(),
            task_group: "g".to_owned(),
            eval_id: Some(EvalId(uuid(number))),
            node_id: NodeId(uuid(1)),
            ..Allocation::default()
        };
        let plan = AppliedPlan {
            job: Some(JobRef {
                key: JobKey::new("default", id),
                version: 0,
            }),
            allocations: vec![alloc],
            evals: vec![done],
            ..AppliedPlan::default()
        };
        self.apply(PlanResults {
            plans: vec![plan],
            now: T0,
        });
    }

    fn report(&mut self, number: u8, status: ClientStatus) {
        let update = AllocClientUpdate {
            id: AllocId(uuid(number)),
            client_status: status,
            ..AllocClientUpdate::default()
        };
        self.apply(AllocClientUpdates {
            updates: vec![update],
            evals: Vec::new(),
            now: T0,
        });
    }

    fn stop(&mut self, id: &str) {
        let key = JobKey::new("default", id);
        self.apply(JobDeregister {
            key,
            now: T0,
            ..JobDeregister::default()
        });
    }

    /// Collects at a time, does it, and checks that nothing is referenced that is gone.
    fn collect(&mut self, after: Nanos) -> Garbage {
        let garbage = collect(&self.state(), &GcConfig::default(), T0 + after);
        for command in garbage.clone().commands() {
            self.apply(command);
        }
        let state = self.state();
        for alloc in state.allocs().filter(|alloc| !alloc.terminal()) {
            assert!(
                state.eval(alloc.eval_id.unwrap()).is_some(),
                "its evaluation was collected"
            );
            assert!(
                state.job(&alloc.job_key()).is_some(),
                "its job was collected"
            );
        }
        garbage
    }
}

#[test]
fn running_work_stays_forever() {
    let mut bench = Bench::default();
    bench.job("web", JobType::Service, 11);
    bench.report(11, ClientStatus::Running);
    assert!(bench.collect(Nanos::hours(1000)).is_empty());
}

#[test]
fn evaluations_and_ended_allocations_go_after_an_hour_and_the_job_later() {
    let mut bench = Bench::default();
    bench.job("web", JobType::Service, 11);
    bench.report(11, ClientStatus::Complete);
    bench.stop("web");
    assert!(bench.collect(Nanos::mins(59)).is_empty());
    let garbage = bench.collect(Nanos::mins(61));
    assert_eq!(
        (
            garbage.evals.len(),
            garbage.allocs.len(),
            garbage.jobs.len()
        ),
        (1, 1, 0)
    );
    assert_eq!(
        bench.collect(Nanos::hours(5)).jobs,
        [JobKey::new("default", "web")]
    );
    let state = bench.state();
    assert_eq!(
        (
            state.job_count(),
            state.alloc_count(),
            state.evals().count()
        ),
        (0, 0, 0)
    );
}

#[test]
fn results_of_living_batch_jobs_are_kept_or_they_would_run_again() {
    let mut bench = Bench::default();
    bench.job("batch", JobType::Batch, 11);
    bench.job("other", JobType::Batch, 12);
    bench.report(11, ClientStatus::Complete);
    bench.report(12, ClientStatus::Running);
    let garbage = bench.collect(Nanos::hours(48));
    assert_eq!(
        garbage.jobs,
        [JobKey::new("default", "batch")],
        "a dead batch job goes whole"
    );
    assert_eq!((garbage.evals.len(), garbage.allocs.len()), (1, 1));
}

#[test]
fn failures_that_may_still_be_replaced_are_kept() {
    let mut bench = Bench::default();
    bench.job("web", JobType::Service, 11);
    bench.job("web2", JobType::Service, 12);
    bench.report(11, ClientStatus::Failed);
    bench.report(12, ClientStatus::Running);
    // Something else keeps the job from being dead.
    let pending = Evaluation {
        id: EvalId(uuid(99)),
        namespace: "default".into(),
        job_id: "web".into(),
        create_time: T0,
        modify_time: T0,
        ..Evaluation::default()
    };
    bench.apply(EvalUpsert {
        evals: vec![pending],
        now: T0,
    });
    assert!(bench.collect(Nanos::hours(1000)).is_empty());
}

#[test]
fn a_tagged_version_keeps_the_whole_job() {
    let mut bench = Bench::default();
    bench.job("batch", JobType::Batch, 11);
    bench.report(11, ClientStatus::Complete);
    let tag = JobVersionTag {
        name: "golden".to_owned(),
        ..JobVersionTag::default()
    };
    bench.apply(JobVersionTagUpdate {
        key: JobKey::new("default", "batch"),
        version: 0,
        name: tag.name.clone(),
        tag: Some(tag),
    });
    assert!(bench.collect(Nanos::hours(1000)).jobs.is_empty());
}

#[test]
fn nodes_go_a_day_after_they_went_down() {
    let mut bench = Bench::default();
    for (number, status) in [(1, NodeStatus::Down), (2, NodeStatus::Ready)] {
        let node = Node {
            id: NodeId(uuid(number)),
            ..Node::default()
        };
        bench.apply(NodeRegister { node, now: T0 });
        let id = NodeId(uuid(number));
        bench.apply(NodeStatusUpdate {
            id,
            status,
            now: T0,
            ..NodeStatusUpdate::default()
        });
    }
    assert!(bench.collect(Nanos::hours(23)).is_empty());
    assert_eq!(bench.collect(Nanos::hours(25)).nodes, [NodeId(uuid(1))]);
}
