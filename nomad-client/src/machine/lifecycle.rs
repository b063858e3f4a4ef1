//! The order in which an allocation's tasks run: prestart, main, poststart, poststop; sidecars; the leader.
//!
//! Source: client and drivers reference, section 2.7.

use std::collections::BTreeMap;

use nomad_core::job::{LifecycleHook, Task, TaskGroup};
use nomad_core::task_state::{TaskRunState, TaskState};

/// What a task's lifecycle makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Ends before the main tasks start.
    Prestart,
    /// Starts before the main tasks and runs as long as they do.
    PrestartSidecar,
    /// No lifecycle block.
    Main,
    /// Starts after the main tasks and ends by itself.
    Poststart,
    /// Starts after the main tasks and runs as long as they do.
    PoststartSidecar,
    /// Runs after all others have ended.
    Poststop,
}

impl Role {
    /// The role of a task.
    pub fn of(task: &Task) -> Self {
        match &task.lifecycle {
            None => Self::Main,
            Some(lifecycle) => match (lifecycle.hook, lifecycle.sidecar) {
                (LifecycleHook::Prestart, false) => Self::Prestart,
                (LifecycleHook::Prestart, true) => Self::PrestartSidecar,
                (LifecycleHook::Poststart, false) => Self::Poststart,
                (LifecycleHook::Poststart, true) => Self::PoststartSidecar,
                (LifecycleHook::Poststop, _) => Self::Poststop,
            },
        }
    }

    /// Whether it runs as long as the main tasks.
    pub fn is_sidecar(self) -> bool {
        matches!(self, Self::PrestartSidecar | Self::PoststartSidecar)
    }

    /// Whether it is meant to end by itself although the job is not.
    pub fn is_ephemeral(self) -> bool {
        matches!(self, Self::Prestart | Self::Poststart | Self::Poststop)
    }
}

/// How far an allocation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing may start yet.
    Init,
    /// Prestart tasks and sidecars.
    Prestart,
    /// Main tasks.
    Main,
    /// Poststart tasks.
    Poststart,
    /// All have started.
    Wait,
    /// All but the poststop tasks have ended.
    Poststop,
}

/// Why the tasks that still live are to be killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KillOthers {
    /// The leader ended.
    LeaderDead,
    /// This task failed.
    SiblingFailed(String),
    /// Only sidecars are left.
    MainDead,
}

/// Decides which tasks may start.
#[derive(Debug, Clone)]
pub struct Coordinator {
    roles: BTreeMap<String, Role>,
    leader: Option<String>,
    stage: Stage,
}

impl Coordinator {
    /// For a fresh allocation of that group.
    pub fn new(group: &TaskGroup) -> Self {
        Self {
            roles: group
                .tasks
                .iter()
                .map(|task| (task.name.clone(), Role::of(task)))
                .collect(),
            leader: group
                .tasks
                .iter()
                .find(|task| task.leader)
                .map(|task| task.name.clone()),
            stage: Stage::Init,
        }
    }

    /// For an allocation whose tasks are already in some state, as after a restart of the agent.
    pub fn restored(group: &TaskGroup, states: &BTreeMap<String, TaskState>) -> Self {
        let mut coordinator = Self::new(group);
        coordinator.stage = Stage::Prestart;
        coordinator.advance(states);
        coordinator
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The role of a task of the group.
    pub fn role(&self, task: &str) -> Role {
        self.roles.get(task).copied().unwrap_or(Role::Main)
    }

    /// Begins from the start, for a restart of all tasks.
    pub fn reset(&mut self) {
        self.stage = Stage::Init;
    }

    /// Takes note of the tasks' states. Whether the stage changed.
    pub fn update(&mut self, states: &BTreeMap<String, TaskState>) -> bool {
        let before = self.stage;
        self.advance(states);
        self.stage != before
    }

    /// Whether a task may start, or be started again, now.
    pub fn may_start(&self, task: &str) -> bool {
        use Stage::{Main, Poststart, Poststop, Prestart, Wait};
        match self.role(task) {
            Role::Prestart => self.stage == Prestart,
            Role::PrestartSidecar => matches!(self.stage, Prestart | Main | Poststart | Wait),
            Role::Main => matches!(self.stage, Main | Poststart | Wait),
            Role::Poststart => self.stage == Poststart,
            Role::PoststartSidecar => matches!(self.stage, Poststart | Wait),
            Role::Poststop => self.stage == Poststop,
        }
    }

    /// Whether tasks that still live are to be killed because of one that ended. Poststop tasks neither cause it nor
    /// are they killed.
    pub fn kill_others(&self, states: &BTreeMap<String, TaskState>) -> Option<KillOthers> {
        let mut live_main = false;
        let mut live_sidecar = false;
        let mut failed = None;
        let mut leader_dead = false;
        for (name, role) in &self.roles {
            if *role == Role::Poststop {
                continue;
            }
            let state = states.get(name);
            if state.is_none_or(|state| state.state != TaskRunState::Dead) {
                if role.is_sidecar() {
                    live_sidecar = true;
                } else {
                    live_main = true;
                }
            } else if Some(name) == self.leader.as_ref() {
                leader_dead = true;
            } else if failed.is_none() && state.is_some_and(|state| state.failed) {
                failed = Some(name.clone());
            }
        }
        if !live_main && !live_sidecar {
            return None;
        }
        if leader_dead {
            return Some(KillOthers::LeaderDead);
        }
        if let Some(name) = failed {
            return Some(KillOthers::SiblingFailed(name));
        }
        (!live_main).then_some(KillOthers::MainDead)
    }

    /// Tasks in the order in which they are killed: the leader, then the others together, then sidecars together.
    /// Poststop tasks are not in it.
    pub fn kill_order(&self) -> Vec<Vec<String>> {
        let pick = |wanted: &dyn Fn(&str, Role) -> bool| -> Vec<String> {
            self.roles
                .iter()
                .filter(|(name, role)| wanted(name, **role))
                .map(|(name, _)| name.clone())
                .collect()
        };
        let is_leader = |name: &str| self.leader.as_deref() == Some(name);
        [
            pick(&|name, _| is_leader(name)),
            pick(&|name, role| !is_leader(name) && !role.is_sidecar() && role != Role::Poststop),
            pick(&|name, role| !is_leader(name) && role.is_sidecar()),
        ]
        .into_iter()
        .filter(|wave| !wave.is_empty())
        .collect()
    }

    fn advance(&mut self, states: &BTreeMap<String, TaskState>) {
        loop {
            let all = |wanted: fn(Role) -> bool, holds: fn(&TaskState) -> bool| {
                self.roles
                    .iter()
                    .filter(|(_, role)| wanted(**role))
                    .all(|(name, _)| states.get(name).is_some_and(holds))
            };
            let dead = |state: &TaskState| state.state == TaskRunState::Dead;
            let pending = |state: &TaskState| state.state == TaskRunState::Pending;
            let next = if self.stage != Stage::Init
                && self.stage != Stage::Poststop
                && all(|role| role != Role::Poststop, dead)
            {
                Some(Stage::Poststop)
            } else {
                match self.stage {
                    Stage::Init => all(|_| true, pending).then_some(Stage::Prestart),
                    Stage::Prestart => (all(|role| role == Role::Prestart, TaskState::successful)
                        && all(
                            |role| role == Role::PrestartSidecar,
                            |state| state.state == TaskRunState::Running,
                        ))
                    .then_some(Stage::Main),
                    Stage::Main => all(
                        |role| role == Role::Main,
                        |state| state.state != TaskRunState::Pending,
                    )
                    .then_some(Stage::Poststart),
                    Stage::Poststart => {
                        all(|role| role == Role::Poststart, dead).then_some(Stage::Wait)
                    }
                    Stage::Wait | Stage::Poststop => None,
                }
            };
            match next {
                Some(stage) => self.stage = stage,
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
