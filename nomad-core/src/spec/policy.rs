//! How a group is updated, migrated, restarted, rescheduled and treated when its client is gone.

use super::json::api_struct;
use crate::time::Nanos;

api_struct! {
    /// Rolling updates and deployments.
    pub struct UpdateStrategy {
        pub auto_promote: Option<bool> = "AutoPromote",
        pub auto_revert: Option<bool> = "AutoRevert",
        pub canary: Option<i64> = "Canary",
        /// `checks`, `task_states` or `manual`.
        pub health_check: Option<String> = "HealthCheck",
        pub healthy_deadline: Option<Nanos> = "HealthyDeadline",
        pub max_parallel: Option<i64> = "MaxParallel",
        pub min_healthy_time: Option<Nanos> = "MinHealthyTime",
        pub progress_deadline: Option<Nanos> = "ProgressDeadline",
        pub stagger: Option<Nanos> = "Stagger",
    }
}

api_struct! {
    /// How allocations leave a draining node.
    pub struct MigrateStrategy {
        pub health_check: Option<String> = "HealthCheck",
        pub healthy_deadline: Option<Nanos> = "HealthyDeadline",
        pub max_parallel: Option<i64> = "MaxParallel",
        pub min_healthy_time: Option<Nanos> = "MinHealthyTime",
    }
}

api_struct! {
    /// How a failed task is started again on its node.
    pub struct RestartPolicy {
        pub attempts: Option<i64> = "Attempts",
        pub delay: Option<Nanos> = "Delay",
        pub interval: Option<Nanos> = "Interval",
        /// `fail` or `delay`.
        pub mode: Option<String> = "Mode",
        pub render_templates: Option<bool> = "RenderTemplates",
    }
}

api_struct! {
    /// How a failed allocation is placed again, usually elsewhere.
    pub struct ReschedulePolicy {
        pub attempts: Option<i64> = "Attempts",
        pub delay: Option<Nanos> = "Delay",
        /// `constant`, `exponential` or `fibonacci`.
        pub delay_function: Option<String> = "DelayFunction",
        pub interval: Option<Nanos> = "Interval",
        pub max_delay: Option<Nanos> = "MaxDelay",
        pub unlimited: Option<bool> = "Unlimited",
    }
}

api_struct! {
    /// What happens when the client of an allocation is not heard of.
    pub struct DisconnectStrategy {
        pub lost_after: Option<Nanos> = "LostAfter",
        /// `best_score`, `longest_running`, `keep_original` or `keep_replacement`.
        pub reconcile: Option<String> = "Reconcile",
        pub replace: Option<bool> = "Replace",
        pub stop_on_client_after: Option<Nanos> = "StopOnClientAfter",
    }
}
