//! Orders of start and end for groups with hooks.

use nomad_core::job::TaskLifecycle;

use super::*;

fn task(name: &str, hook: Option<(LifecycleHook, bool)>) -> Task {
    Task {
        name: name.to_owned(),
        lifecycle: hook.map(|(hook, sidecar)| TaskLifecycle { hook, sidecar }),
        ..Task::default()
    }
}

fn group() -> TaskGroup {
    TaskGroup {
        tasks: vec![
            task("init", Some((LifecycleHook::Prestart, false))),
            task("proxy", Some((LifecycleHook::Prestart, true))),
            task("web", None),
            task("warm", Some((LifecycleHook::Poststart, false))),
            task("ship", Some((LifecycleHook::Poststart, true))),
            task("clean", Some((LifecycleHook::Poststop, false))),
        ],
        ..TaskGroup::default()
    }
}

struct World {
    coordinator: Coordinator,
    states: BTreeMap<String, TaskState>,
}

impl World {
    fn new(group: &TaskGroup) -> Self {
        Self {
            coordinator: Coordinator::new(group),
            states: group
                .tasks
                .iter()
                .map(|task| (task.name.clone(), TaskState::default()))
                .collect(),
        }
    }

    fn set(&mut self, task: &str, state: TaskRunState, failed: bool) {
        let entry = self.states.get_mut(task).unwrap();
        entry.state = state;
        entry.failed = failed;
        self.coordinator.update(&self.states);
    }

    fn open(&self) -> Vec<&str> {
        self.states
            .keys()
            .filter(|name| self.coordinator.may_start(name))
            .map(String::as_str)
            .collect()
    }
}

use TaskRunState::{Dead, Running};

#[test]
fn stages_follow_one_another() {
    let mut world = World::new(&group());
    assert!(world.open().is_empty());
    world.coordinator.update(&world.states);
    assert_eq!(world.open(), ["init", "proxy"]);
    world.set("init", Running, false);
    world.set("proxy", Running, false);
    assert_eq!(world.open(), ["init", "proxy"]);
    world.set("init", Dead, false);
    assert_eq!(world.open(), ["proxy", "web"]);
    world.set("web", Running, false);
    assert_eq!(world.open(), ["proxy", "ship", "warm", "web"]);
    world.set("ship", Running, false);
    world.set("warm", Running, false);
    world.set("warm", Dead, false);
    assert_eq!(world.open(), ["proxy", "ship", "web"]);
    assert_eq!(world.coordinator.kill_others(&world.states), None);
    world.set("web", Dead, false);
    assert_eq!(
        world.coordinator.kill_others(&world.states),
        Some(KillOthers::MainDead)
    );
    world.set("proxy", Dead, false);
    world.set("ship", Dead, false);
    assert_eq!(world.open(), ["clean"]);
    assert_eq!(world.coordinator.kill_others(&world.states), None);
}

#[test]
fn a_failed_prestart_task_never_opens_the_main_stage() {
    let mut world = World::new(&group());
    world.coordinator.update(&world.states);
    world.set("proxy", Running, false);
    world.set("init", Dead, true);
    assert_eq!(world.open(), ["init", "proxy"]);
    assert_eq!(
        world.coordinator.kill_others(&world.states),
        Some(KillOthers::SiblingFailed("init".to_owned()))
    );
    for name in ["proxy", "web", "warm", "ship"] {
        world.set(name, Dead, false);
    }
    assert_eq!(world.coordinator.stage(), Stage::Poststop);
}

#[test]
fn the_leaders_death_wins_over_a_failed_sibling() {
    let mut group = TaskGroup {
        tasks: vec![task("a", None), task("b", None), task("c", None)],
        ..TaskGroup::default()
    };
    group.tasks[1].leader = true;
    let mut world = World::new(&group);
    world.coordinator.update(&world.states);
    for name in ["a", "b", "c"] {
        world.set(name, Running, false);
    }
    world.set("a", Dead, true);
    assert_eq!(
        world.coordinator.kill_others(&world.states),
        Some(KillOthers::SiblingFailed("a".to_owned()))
    );
    world.set("b", Dead, false);
    assert_eq!(
        world.coordinator.kill_others(&world.states),
        Some(KillOthers::LeaderDead)
    );
    assert_eq!(
        world.coordinator.kill_order(),
        [vec!["b".to_owned()], vec!["a".to_owned(), "c".to_owned()]]
    );
}

#[test]
fn a_failed_leader_is_told_as_the_leaders_death() {
    let mut group = TaskGroup {
        tasks: vec![task("a", None), task("b", None)],
        ..TaskGroup::default()
    };
    group.tasks[0].leader = true;
    let mut world = World::new(&group);
    world.coordinator.update(&world.states);
    world.set("a", Dead, true);
    assert_eq!(
        world.coordinator.kill_others(&world.states),
        Some(KillOthers::LeaderDead)
    );
}

#[test]
fn restored_allocations_go_on_where_they_were() {
    let group = group();
    let mut world = World::new(&group);
    for (name, state) in [
        ("init", Dead),
        ("proxy", Running),
        ("web", Running),
        ("warm", Dead),
        ("ship", Running),
    ] {
        world.states.get_mut(name).unwrap().state = state;
    }
    world.coordinator = Coordinator::restored(&group, &world.states);
    assert_eq!(world.coordinator.stage(), Stage::Wait);
    assert_eq!(world.open(), ["proxy", "ship", "web"]);
}

#[test]
fn a_restart_of_all_begins_again() {
    let group = group();
    let mut world = World::new(&group);
    world.coordinator.update(&world.states);
    world.set("init", Dead, false);
    world.coordinator.reset();
    world.coordinator.update(&world.states);
    assert!(
        world.open().is_empty(),
        "the dead task must become pending first"
    );
    world.set("init", TaskRunState::Pending, false);
    assert_eq!(world.open(), ["init", "proxy"]);
}

#[test]
fn groups_of_poststop_tasks_alone_do_not_skip_ahead() {
    let group = TaskGroup {
        tasks: vec![
            task("t", None),
            task("clean", Some((LifecycleHook::Poststop, false))),
        ],
        ..TaskGroup::default()
    };
    let mut world = World::new(&group);
    world.coordinator.update(&world.states);
    assert_eq!(world.open(), ["t"]);
    world.set("t", Dead, true);
    assert_eq!(world.open(), ["clean"]);
}
