//! Defaults of the policies by job type, and how the job's overlay the group's.

use super::default;
use crate::spec::{
    DisconnectStrategy, MigrateStrategy, ReschedulePolicy, RestartPolicy, UpdateStrategy,
};
use crate::time::Nanos;

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// Takes from `$over` every field that it sets.
macro_rules! overlay {
    ($base:expr, $over:expr, $($field:ident),*) => {
        $( if $over.$field.is_some() { $base.$field.clone_from(&$over.$field); } )*
    };
}

impl UpdateStrategy {
    /// What every update policy starts from.
    pub(super) fn default_policy() -> Self {
        Self {
            stagger: Some(Nanos(30 * SECOND)),
            max_parallel: Some(1),
            health_check: Some("checks".to_owned()),
            min_healthy_time: Some(Nanos(10 * SECOND)),
            healthy_deadline: Some(Nanos(5 * MINUTE)),
            progress_deadline: Some(Nanos(10 * MINUTE)),
            auto_revert: Some(false),
            canary: Some(0),
            auto_promote: Some(false),
        }
    }

    pub(super) fn merge(&mut self, over: &Self) {
        overlay!(
            self,
            over,
            stagger,
            max_parallel,
            health_check,
            min_healthy_time,
            healthy_deadline,
            progress_deadline,
            auto_revert,
            canary,
            auto_promote
        );
    }

    /// Fills in what is unset.
    pub(super) fn canonicalize(&mut self) {
        let mut full = Self::default_policy();
        full.merge(self);
        *self = full;
    }

    /// Whether every field is absent or zero.
    pub(super) fn is_zero(&self) -> bool {
        let mut set = self.clone();
        set.health_check = set.health_check.filter(|text| !text.is_empty());
        for flag in [&mut set.auto_promote, &mut set.auto_revert] {
            *flag = flag.filter(|value| *value);
        }
        for number in [&mut set.canary, &mut set.max_parallel] {
            *number = number.filter(|value| *value != 0);
        }
        for time in [
            &mut set.healthy_deadline,
            &mut set.min_healthy_time,
            &mut set.progress_deadline,
            &mut set.stagger,
        ] {
            *time = time.filter(|value| !value.is_zero());
        }
        set == Self::default()
    }

    pub(super) fn canonicalize_job(&mut self) {
        self.canonicalize();
    }
}

impl MigrateStrategy {
    pub(super) fn merge(&mut self, over: &Self) {
        overlay!(
            self,
            over,
            max_parallel,
            health_check,
            min_healthy_time,
            healthy_deadline
        );
    }

    pub(super) fn canonicalize(&mut self) {
        default(&mut self.max_parallel, 1);
        default(&mut self.health_check, "checks");
        default(&mut self.min_healthy_time, Nanos(10 * SECOND));
        default(&mut self.healthy_deadline, Nanos(5 * MINUTE));
    }
}

impl RestartPolicy {
    /// The policy that groups of a job type start from.
    pub(super) fn default_policy(job_type: &str) -> Self {
        let (attempts, interval) = match job_type {
            "batch" | "sysbatch" => (3, 24 * HOUR),
            _ => (2, 30 * MINUTE),
        };
        Self {
            attempts: Some(attempts),
            interval: Some(Nanos(interval)),
            delay: Some(Nanos(15 * SECOND)),
            mode: Some("fail".to_owned()),
            render_templates: Some(false),
        }
    }

    pub(super) fn merge(&mut self, over: &Self) {
        overlay!(
            self,
            over,
            attempts,
            interval,
            delay,
            mode,
            render_templates
        );
    }
}

impl ReschedulePolicy {
    /// The policy that groups of a job type start from, if jobs of the type are rescheduled at all.
    pub(super) fn default_policy(job_type: &str) -> Option<Self> {
        match job_type {
            "service" => Some(Self {
                delay: Some(Nanos(30 * SECOND)),
                delay_function: Some("exponential".to_owned()),
                max_delay: Some(Nanos(HOUR)),
                unlimited: Some(true),
                attempts: Some(0),
                interval: Some(Nanos(0)),
            }),
            "batch" => Some(Self {
                attempts: Some(1),
                interval: Some(Nanos(24 * HOUR)),
                delay: Some(Nanos(5 * SECOND)),
                delay_function: Some("constant".to_owned()),
                max_delay: Some(Nanos(0)),
                unlimited: Some(false),
            }),
            _ => None,
        }
    }

    pub(super) fn merge(&mut self, over: &Self) {
        overlay!(
            self,
            over,
            attempts,
            interval,
            delay,
            delay_function,
            max_delay,
            unlimited
        );
    }

    /// Fills in zero for what is unset, for job types that have no default policy.
    pub(super) fn canonicalize_without_default(&mut self) {
        default(&mut self.attempts, 0);
        default(&mut self.interval, Nanos(0));
        default(&mut self.delay, Nanos(0));
        default(&mut self.delay_function, "");
        default(&mut self.max_delay, Nanos(0));
        default(&mut self.unlimited, false);
    }
}

impl DisconnectStrategy {
    pub(super) fn canonicalize(&mut self) {
        default(&mut self.lost_after, Nanos(0));
        default(&mut self.replace, true);
        default(&mut self.reconcile, "best_score");
    }
}
