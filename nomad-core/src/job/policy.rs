//! Policies of a group: restart, reschedule, update, migrate.

use serde::{Deserialize, Serialize};

use crate::time::Nanos;

/// What happens after the attempts of an interval are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestartMode {
    /// The task fails, and with it the allocation.
    #[default]
    #[serde(alias = "")]
    Fail,
    /// Wait until the interval is over, then go on.
    Delay,
}

/// `restart`: how tasks are restarted in place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    pub attempts: i64,
    pub interval: Nanos,
    pub delay: Nanos,
    pub mode: RestartMode,
    /// Whether templates are rendered anew when the task restarts.
    pub render_templates: bool,
}

/// `reschedule`: how failed allocations are replaced elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReschedulePolicy {
    pub attempts: i64,
    pub interval: Nanos,
    pub delay: Nanos,
    /// `constant`, `exponential` or `fibonacci`.
    pub delay_function: String,
    pub max_delay: Nanos,
    pub unlimited: bool,
}

/// `update`: how a new version is rolled out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateStrategy {
    /// Deprecated; kept for the JSON shape.
    pub stagger: Nanos,
    /// 0 means everything at once, without a deployment.
    pub max_parallel: i64,
    /// `checks`, `task_states` or `manual`.
    pub health_check: String,
    pub min_healthy_time: Nanos,
    pub healthy_deadline: Nanos,
    /// 0 means fail on the first unhealthy allocation.
    pub progress_deadline: Nanos,
    pub auto_revert: bool,
    pub auto_promote: bool,
    pub canary: i64,
}

impl UpdateStrategy {
    /// Whether updates go step by step.
    pub fn rolling(&self) -> bool {
        self.stagger.0 > 0 && self.max_parallel > 0
    }
}

/// `migrate`: how allocations leave a draining node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MigrateStrategy {
    pub max_parallel: i64,
    /// `checks` or `task_states`.
    pub health_check: String,
    pub min_healthy_time: Nanos,
    pub healthy_deadline: Nanos,
}

impl MigrateStrategy {
    /// What a drain uses for groups that carry none.
    pub fn standard() -> Self {
        Self {
            max_parallel: 1,
            health_check: "checks".to_owned(),
            min_healthy_time: Nanos::secs(10),
            healthy_deadline: Nanos::mins(5),
        }
    }
}
