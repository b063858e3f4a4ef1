//! Whole lives of allocations, with a small world that carries out the actions.

use nomad_core::Uuid;
use nomad_core::alloc::DesiredStatus;
use nomad_core::job::{LifecycleHook, MigrateStrategy, TaskLifecycle};
use proptest::prelude::*;

use super::*;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn main_task(name: &str) -> Task {
    Task {
        name: name.to_owned(),
        kill_timeout: Nanos::secs(2),
        ..Task::default()
    }
}

fn hook_task(name: &str, hook: LifecycleHook, sidecar: bool) -> Task {
    Task {
        lifecycle: Some(TaskLifecycle { hook, sidecar }),
        ..main_task(name)
    }
}

fn alloc_of(job_type: JobType, tasks: Vec<Task>) -> Allocation {
    let group = TaskGroup {
        name: "g".to_owned(),
        restart_policy: Some(RestartPolicy {
            attempts: 1,
            interval: Nanos::hours(24),
            delay: Nanos::secs(1),
            ..RestartPolicy::default()
        }),
        migrate: Some(MigrateStrategy {
            health_check: "manual".to_owned(),
            ..MigrateStrategy::default()
        }),
        tasks,
        ..TaskGroup::default()
    };
    let job = Job {
        id: "job".into(),
        job_type,
        task_groups: vec![group],
        ..Job::default()
    };
    Allocation {
        id: AllocId(Uuid([1; 16])),
        task_group: "g".to_owned(),
        job: Some(Arc::new(job)),
        create_time: at(1),
        ..Allocation::default()
    }
}

/// Carries out actions; tests say how tasks end.
struct World {
    machine: AllocMachine,
    now: Timestamp,
    running: BTreeSet<String>,
    waiting_stops: BTreeSet<String>,
    log: Vec<String>,
    hold_stops: bool,
    /// The next start fails, recoverably or not.
    fail_start: Option<bool>,
}

impl World {
    fn new(alloc: Allocation) -> Self {
        let machine = AllocMachine::new(Arc::new(alloc), Nanos::secs(30), at(10)).unwrap();
        let mut world = Self {
            machine,
            now: at(10),
            running: BTreeSet::new(),
            waiting_stops: BTreeSet::new(),
            log: Vec::new(),
            hold_stops: false,
            fail_start: None,
        };
        world.send(Event::Begin);
        world
    }

    fn send(&mut self, event: Event) {
        let mut queue = vec![event];
        while !queue.is_empty() {
            let event = queue.remove(0);
            for action in self.machine.handle(event, self.now, 0.0) {
                queue.extend(self.act(action));
            }
        }
    }

    fn act(&mut self, action: Action) -> Vec<Event> {
        let text = match &action {
            Action::Prerun => "prerun".to_owned(),
            Action::Postrun => "postrun".to_owned(),
            Action::Start { task } => format!("start {task}"),
            Action::Stop { task, .. } => format!("stop {task}"),
            _ => String::new(),
        };
        if !text.is_empty() {
            self.log.push(text);
        }
        match action {
            Action::Prerun => vec![Event::PrerunDone(Ok(()))],
            Action::Postrun => vec![Event::PostrunDone],
            Action::Start { task } if self.fail_start.is_some() => {
                let event = events::driver_failure(self.now, "no such program");
                let recoverable = self.fail_start.take() == Some(true);
                vec![Event::StartFailed(task, StartError { event, recoverable })]
            }
            Action::Start { task } => {
                self.running.insert(task.clone());
                vec![Event::Started(task)]
            }
            Action::Stop { task, .. } if self.hold_stops => {
                self.waiting_stops.insert(task);
                Vec::new()
            }
            Action::Stop { task, .. } => {
                self.running.remove(&task);
                let exit = ExitReport {
                    code: 130,
                    signal: 2,
                    ..ExitReport::default()
                };
                vec![Event::Exited(task, exit)]
            }
            _ => Vec::new(),
        }
    }

    fn exit(&mut self, task: &str, code: i32) {
        assert!(self.running.remove(task), "{task} does not run");
        let exit = ExitReport {
            code,
            ..ExitReport::default()
        };
        self.send(Event::Exited(task.to_owned(), exit));
    }

    /// Goes to the next time at which the machine wants to be woken.
    fn wait(&mut self) {
        self.now = self.machine.next_wake().expect("something to wait for");
        self.send(Event::Wake);
    }

    fn events(&self, task: &str) -> Vec<String> {
        self.machine.states()[task]
            .events
            .iter()
            .map(|event| event.kind.clone())
            .collect()
    }

    fn status(&self) -> ClientStatus {
        self.machine.client_status().0
    }

    fn stop(&mut self) {
        let mut alloc = (**self.machine.alloc()).clone();
        alloc.desired_status = DesiredStatus::Stop;
        self.send(Event::Update(Box::new(alloc)));
    }
}

#[test]
fn a_batch_task_that_ends_well_completes() {
    let mut world = World::new(alloc_of(JobType::Batch, vec![main_task("t")]));
    assert_eq!(world.status(), ClientStatus::Running);
    world.exit("t", 0);
    assert_eq!(world.status(), ClientStatus::Complete);
    assert_eq!(world.events("t"), ["Received", "Started", "Terminated"]);
    assert_eq!(world.log, ["prerun", "start t", "postrun"]);
    assert!(world.machine.is_done());
}

#[test]
fn a_batch_task_that_keeps_failing_fails_as_recorded() {
    let mut world = World::new(alloc_of(JobType::Batch, vec![main_task("t")]));
    world.exit("t", 7);
    assert_eq!(world.status(), ClientStatus::Pending);
    assert_eq!(world.machine.next_wake(), Some(at(11)));
    world.wait();
    assert_eq!(world.status(), ClientStatus::Running);
    world.exit("t", 7);
    assert_eq!(world.status(), ClientStatus::Failed);
    assert_eq!(
        world.events("t"),
        [
            "Received",
            "Started",
            "Terminated",
            "Restarting",
            "Started",
            "Terminated",
            "Not Restarting"
        ]
    );
    assert_eq!(world.machine.states()["t"].restarts, 1);
}

#[test]
fn a_restart_by_a_user_is_as_recorded() {
    let mut world = World::new(alloc_of(JobType::Service, vec![main_task("web")]));
    world.send(Event::Restart {
        task: "web".to_owned(),
        reason: events::REASON_USER_RESTART.to_owned(),
        failure: false,
    });
    assert_eq!(
        world.events("web"),
        [
            "Received",
            "Started",
            "Restart Signaled",
            "Terminated",
            "Restarting",
            "Started"
        ]
    );
    // It did not count: the policy still has its attempt.
    world.exit("web", 1);
    assert_eq!(world.status(), ClientStatus::Pending);
}

#[test]
fn a_stop_during_the_restart_delay_is_as_recorded() {
    let mut world = World::new(alloc_of(JobType::Service, vec![main_task("web")]));
    world.exit("web", 137);
    world.stop();
    assert_eq!(world.status(), ClientStatus::Complete);
    let last = world.machine.states()["web"].events.last().unwrap();
    assert_eq!(
        last.display_message,
        "Sent interrupt. Waiting 2s before force killing"
    );
    assert!(world.machine.is_done());
}

#[test]
fn a_stop_kills_and_completes() {
    let mut world = World::new(alloc_of(JobType::Service, vec![main_task("web")]));
    world.stop();
    assert_eq!(
        world.events("web"),
        ["Received", "Started", "Killing", "Terminated", "Killed"]
    );
    assert_eq!(world.status(), ClientStatus::Complete);
}

#[test]
fn stages_run_in_order_and_poststop_comes_last() {
    let tasks = vec![
        hook_task("init", LifecycleHook::Prestart, false),
        hook_task("proxy", LifecycleHook::Prestart, true),
        main_task("web"),
        hook_task("clean", LifecycleHook::Poststop, false),
    ];
    let mut world = World::new(alloc_of(JobType::Service, tasks));
    world.exit("init", 0);
    world.stop();
    world.exit("clean", 0);
    assert_eq!(
        world.log,
        [
            "prerun",
            "start init",
            "start proxy",
            "start web",
            "stop web",
            "stop proxy",
            "start clean",
            "postrun"
        ]
    );
    assert_eq!(world.status(), ClientStatus::Complete);
}

#[test]
fn the_leader_ends_first_and_the_next_wait_for_it() {
    let mut leader = main_task("lead");
    leader.leader = true;
    let mut world = World::new(alloc_of(
        JobType::Service,
        vec![main_task("a"), leader, main_task("b")],
    ));
    world.hold_stops = true;
    world.stop();
    assert_eq!(world.waiting_stops, BTreeSet::from(["lead".to_owned()]));
    world.exit("lead", 0);
    assert_eq!(world.waiting_stops.len(), 3);
    world.exit("a", 0);
    world.exit("b", 0);
    assert!(world.machine.is_done());
}

#[test]
fn a_failed_sibling_takes_the_others_along() {
    let tasks = vec![main_task("a"), main_task("b")];
    let mut alloc = alloc_of(JobType::Service, tasks);
    let job = Arc::make_mut(alloc.job.as_mut().unwrap());
    job.task_groups[0].restart_policy.as_mut().unwrap().attempts = 0;
    let mut world = World::new(alloc);
    world.exit("a", 1);
    assert_eq!(world.status(), ClientStatus::Failed);
    assert!(
        world
            .events("b")
            .contains(&"Sibling Task Failed".to_owned())
    );
    assert!(!world.machine.states()["b"].failed);
}

#[test]
fn shutdown_delays_are_waited_for_or_skipped() {
    let mut task = main_task("web");
    task.shutdown_delay = Nanos::secs(4);
    let mut alloc = alloc_of(JobType::Service, vec![task]);
    Arc::make_mut(alloc.job.as_mut().unwrap()).task_groups[0].shutdown_delay = Some(Nanos::secs(3));
    let mut world = World::new(alloc.clone());
    world.stop();
    assert!(world.running.contains("web"));
    assert_eq!(world.machine.next_wake(), Some(at(13)));
    world.wait();
    assert_eq!(world.machine.next_wake(), Some(at(17)));
    assert_eq!(world.status(), ClientStatus::Pending);
    world.wait();
    assert!(world.machine.is_done());

    let mut world = World::new(alloc);
    world.stop();
    let mut hurried = (**world.machine.alloc()).clone();
    hurried.desired_transition.no_shutdown_delay = Some(true);
    world.send(Event::Update(Box::new(hurried)));
    assert!(world.machine.is_done());
    assert!(
        world
            .events("web")
            .contains(&"Skipping shutdown delay".to_owned())
    );
}

#[test]
fn a_restart_of_all_runs_prestart_tasks_again() {
    let tasks = vec![
        hook_task("init", LifecycleHook::Prestart, false),
        main_task("web"),
    ];
    let mut world = World::new(alloc_of(JobType::Service, tasks));
    world.exit("init", 0);
    world.log.clear();
    world.send(Event::RestartAll {
        reason: events::REASON_USER_RESTART.to_owned(),
    });
    world.exit("init", 0);
    assert_eq!(world.log, ["stop web", "start init", "start web"]);
    assert_eq!(world.status(), ClientStatus::Running);
}

#[test]
fn the_time_limit_completes_without_poststop() {
    let tasks = vec![
        main_task("t"),
        hook_task("clean", LifecycleHook::Poststop, false),
    ];
    let mut alloc = alloc_of(JobType::Batch, tasks);
    Arc::make_mut(alloc.job.as_mut().unwrap()).task_groups[0].max_run_duration =
        Some(Nanos::secs(100));
    let mut world = World::new(alloc);
    assert_eq!(world.machine.next_wake(), Some(at(101)));
    world.wait();
    assert!(world.machine.is_done());
    assert_eq!(
        world.machine.client_status(),
        (ClientStatus::Complete, crate::machine::status::TIMED_OUT)
    );
    assert!(!world.log.contains(&"start clean".to_owned()));
}

#[test]
fn deployments_get_a_verdict_after_the_minimum() {
    let mut alloc = alloc_of(JobType::Service, vec![main_task("web")]);
    alloc.deployment_id = Some(nomad_core::DeploymentId(Uuid([2; 16])));
    let group = &mut Arc::make_mut(alloc.job.as_mut().unwrap()).task_groups[0];
    group.update = Some(nomad_core::job::UpdateStrategy {
        health_check: "task_states".to_owned(),
        min_healthy_time: Nanos::secs(1),
        healthy_deadline: Nanos::secs(60),
        ..Default::default()
    });
    let mut world = World::new(alloc);
    assert_eq!(world.machine.next_wake(), Some(at(11)));
    assert!(world.machine.deployment_status().is_none());
    world.wait();
    let status = world.machine.deployment_status().unwrap();
    assert_eq!((status.healthy, status.timestamp), (Some(true), at(11)));
    assert_eq!(world.machine.next_wake(), None);
    // A new deployment asks anew.
    let mut alloc = (**world.machine.alloc()).clone();
    alloc.deployment_id = Some(nomad_core::DeploymentId(Uuid([3; 16])));
    world.now = at(50);
    world.send(Event::Update(Box::new(alloc)));
    assert_eq!(
        world.machine.deployment_status().and_then(|s| s.healthy),
        Some(true),
        "it has been running for long"
    );
    assert_eq!(world.machine.deployment_status().unwrap().timestamp, at(50));
}

#[test]
fn an_allocation_that_was_stopped_before_it_came_runs_nothing() {
    let mut alloc = alloc_of(JobType::Service, vec![main_task("web")]);
    alloc.desired_status = DesiredStatus::Stop;
    let world = World::new(alloc);
    assert_eq!(world.log, ["postrun"]);
    assert_eq!(world.status(), ClientStatus::Complete);
}

#[test]
fn a_failed_prerun_fails_every_task() {
    let alloc = Arc::new(alloc_of(JobType::Service, vec![main_task("web")]));
    let mut machine = AllocMachine::new(alloc, Nanos::secs(30), at(1)).unwrap();
    machine.handle(Event::Begin, at(1), 0.0);
    let actions = machine.handle(Event::PrerunDone(Err("no disk".to_owned())), at(2), 0.0);
    assert_eq!(actions, [Action::Postrun]);
    assert_eq!(machine.client_status().0, ClientStatus::Failed);
    assert_eq!(
        machine.states()["web"]
            .events
            .last()
            .unwrap()
            .display_message,
        "no disk"
    );
}

fn stored(state: TaskRunState, has_handle: bool) -> RestoredTask {
    let mut task = RestoredTask {
        has_handle,
        ..RestoredTask::default()
    };
    task::apply(&mut task.state, None, events::received(at(1)));
    task::apply(&mut task.state, Some(state), events::started(at(2)));
    task
}

#[test]
fn running_tasks_are_found_again_without_a_restart() {
    let alloc = Arc::new(alloc_of(JobType::Service, vec![main_task("web")]));
    let tasks = BTreeMap::from([("web".to_owned(), stored(TaskRunState::Running, true))]);
    let (mut machine, actions) =
        AllocMachine::restored(alloc, tasks, None, None, Nanos::secs(30), at(100)).unwrap();
    assert_eq!(
        actions,
        [Action::Recover {
            task: "web".to_owned()
        }]
    );
    machine.handle(Event::Recovered("web".to_owned(), Ok(())), at(101), 0.0);
    let state = &machine.states()["web"];
    assert_eq!((state.restarts, state.started_at), (0, at(2)));
    assert_eq!(machine.client_status().0, ClientStatus::Running);
    // It had ended meanwhile, and nobody knows how: no success, the policy decides.
    machine.handle(
        Event::Exited("web".to_owned(), ExitReport::lost()),
        at(102),
        0.0,
    );
    assert_eq!(machine.client_status().0, ClientStatus::Pending);
}

#[test]
fn tasks_that_cannot_be_found_wait_for_the_servers() {
    let alloc = Arc::new(alloc_of(JobType::Service, vec![main_task("web")]));
    let tasks = BTreeMap::from([("web".to_owned(), stored(TaskRunState::Running, true))]);
    let (mut machine, _) =
        AllocMachine::restored(alloc, tasks, None, None, Nanos::secs(30), at(100)).unwrap();
    let gone = Event::Recovered("web".to_owned(), Err("no such process".to_owned()));
    let actions = machine.handle(gone, at(101), 0.0);
    assert!(
        !actions
            .iter()
            .any(|action| matches!(action, Action::Start { .. }))
    );
    let actions = machine.handle(Event::ServersContacted, at(102), 0.0);
    assert_eq!(
        actions,
        [Action::Start {
            task: "web".to_owned()
        }]
    );
}

#[test]
fn a_task_that_was_only_about_to_start_is_started_without_a_word() {
    let alloc = Arc::new(alloc_of(JobType::Batch, vec![main_task("t")]));
    let tasks = BTreeMap::from([("t".to_owned(), stored(TaskRunState::Pending, true))]);
    let (mut machine, _) =
        AllocMachine::restored(alloc, tasks, None, None, Nanos::secs(30), at(100)).unwrap();
    let events = machine.states()["t"].events.len();
    let actions = machine.handle(Event::NotStarted("t".to_owned()), at(101), 0.0);
    let task = "t".to_owned();
    assert_eq!(actions, [Action::Start { task }]);
    let state = &machine.states()["t"];
    assert_eq!((state.events.len(), state.restarts), (events, 0));
}

#[test]
fn ended_allocations_stay_ended() {
    let alloc = Arc::new(alloc_of(JobType::Batch, vec![main_task("t")]));
    let tasks = BTreeMap::from([("t".to_owned(), stored(TaskRunState::Dead, false))]);
    let (mut machine, actions) =
        AllocMachine::restored(alloc, tasks, None, None, Nanos::secs(30), at(100)).unwrap();
    assert_eq!(actions, [Action::Postrun]);
    assert!(machine.handle(Event::Wake, at(101), 0.0).is_empty());
    machine.handle(Event::PostrunDone, at(101), 0.0);
    assert!(machine.is_done());
}

#[test]
fn allocations_that_never_began_begin() {
    let alloc = Arc::new(alloc_of(JobType::Batch, vec![main_task("t")]));
    let mut task = RestoredTask::default();
    task::apply(&mut task.state, None, events::received(at(1)));
    let tasks = BTreeMap::from([("t".to_owned(), task)]);
    let (_, actions) =
        AllocMachine::restored(alloc, tasks, None, None, Nanos::secs(30), at(100)).unwrap();
    assert_eq!(actions, [Action::Prerun]);
}

#[test]
fn a_start_that_fails_for_good_fails_the_task() {
    let mut world = World::new(alloc_of(JobType::Batch, vec![main_task("t")]));
    world.fail_start = Some(false);
    world.exit("t", 1);
    world.wait();
    assert_eq!(world.status(), ClientStatus::Failed);
    let events = world.events("t");
    assert_eq!(
        events[events.len() - 2..],
        ["Driver Failure", "Not Restarting"]
    );
}

#[derive(Debug, Clone)]
enum Step {
    Exit(usize, i32),
    Restart(usize),
    RestartAll,
    Fail(usize),
    Wait,
    StartFails(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_usize, prop_oneof![Just(0), Just(1)]).prop_map(|(task, code)| Step::Exit(task, code)),
        (0..4_usize).prop_map(Step::Restart),
        Just(Step::RestartAll),
        (0..4_usize).prop_map(Step::Fail),
        Just(Step::Wait),
        any::<bool>().prop_map(Step::StartFails),
    ]
}

proptest! {
    /// Whatever happens, a kill ends everything, each start has one end, and no process is left.
    #[test]
    fn a_kill_always_ends_everything(steps in prop::collection::vec(step(), 0..40), service in any::<bool>()) {
        let names = ["init", "proxy", "web", "clean"];
        let tasks = vec![
            hook_task("init", LifecycleHook::Prestart, false),
            hook_task("proxy", LifecycleHook::Prestart, true),
            main_task("web"),
            hook_task("clean", LifecycleHook::Poststop, false),
        ];
        let job_type = if service { JobType::Service } else { JobType::Batch };
        let mut world = World::new(alloc_of(job_type, tasks));
        for step in steps {
            match step {
                Step::Exit(task, code) if world.running.contains(names[task]) => {
                    world.exit(names[task], code);
                }
                Step::Restart(task) => world.send(Event::Restart {
                    task: names[task].to_owned(),
                    reason: String::new(),
                    failure: false,
                }),
                Step::RestartAll => world.send(Event::RestartAll { reason: String::new() }),
                Step::Fail(task) => {
                    let event = events::setup_failure(world.now, "x");
                    world.send(Event::FailTask { task: names[task].to_owned(), event });
                }
                Step::StartFails(recoverable) => world.fail_start = Some(recoverable),
                Step::Wait if world.machine.next_wake().is_some() => world.wait(),
                _ => {}
            }
        }
        world.send(Event::Kill(KillReason::Destroy));
        prop_assert!(world.machine.is_done(), "{:?}", world.machine);
        prop_assert!(world.running.is_empty());
        let (status, _) = world.machine.client_status();
        prop_assert!(status.is_terminal());
    }
}
