//! `update`, `migrate`, `restart`, `reschedule`, `disconnect`, `ephemeral_disk`, `scaling`.

use nomad_core::spec::{
    DisconnectStrategy, EphemeralDisk, MigrateStrategy, ReschedulePolicy, RestartPolicy,
    ScalingPolicy, UpdateStrategy,
};

use super::body::Reader;

pub(super) fn update(reader: Reader<'_>) -> UpdateStrategy {
    let update = UpdateStrategy {
        stagger: reader.duration("stagger"),
        max_parallel: reader.int("max_parallel"),
        health_check: reader.string("health_check"),
        min_healthy_time: reader.duration("min_healthy_time"),
        healthy_deadline: reader.duration("healthy_deadline"),
        progress_deadline: reader.duration("progress_deadline"),
        auto_revert: reader.bool("auto_revert"),
        auto_promote: reader.bool("auto_promote"),
        canary: reader.int("canary"),
    };
    reader.finish();
    update
}

pub(super) fn migrate(reader: Reader<'_>) -> MigrateStrategy {
    let migrate = MigrateStrategy {
        max_parallel: reader.int("max_parallel"),
        health_check: reader.string("health_check"),
        min_healthy_time: reader.duration("min_healthy_time"),
        healthy_deadline: reader.duration("healthy_deadline"),
    };
    reader.finish();
    migrate
}

pub(super) fn restart(reader: Reader<'_>) -> RestartPolicy {
    let restart = RestartPolicy {
        attempts: reader.int("attempts"),
        interval: reader.duration("interval"),
        delay: reader.duration("delay"),
        mode: reader.string("mode"),
        render_templates: reader.bool("render_templates"),
    };
    reader.finish();
    restart
}

pub(super) fn reschedule(reader: Reader<'_>) -> ReschedulePolicy {
    let reschedule = ReschedulePolicy {
        attempts: reader.int("attempts"),
        interval: reader.duration("interval"),
        delay: reader.duration("delay"),
        delay_function: reader.string("delay_function"),
        max_delay: reader.duration("max_delay"),
        unlimited: reader.bool("unlimited"),
    };
    reader.finish();
    reschedule
}

pub(super) fn disconnect(reader: Reader<'_>) -> DisconnectStrategy {
    let disconnect = DisconnectStrategy {
        lost_after: reader.duration("lost_after"),
        stop_on_client_after: reader.duration("stop_on_client_after"),
        replace: reader.bool("replace"),
        reconcile: reader.string("reconcile"),
    };
    reader.finish();
    disconnect
}

pub(super) fn ephemeral_disk(reader: Reader<'_>) -> EphemeralDisk {
    let disk = EphemeralDisk {
        sticky: reader.bool("sticky"),
        migrate: reader.bool("migrate"),
        size_mb: reader.int("size"),
    };
    reader.finish();
    disk
}

/// A group's scaling policy; `max` is required.
pub(super) fn group_scaling(reader: Reader<'_>) -> ScalingPolicy {
    if reader.attribute("max").is_none() {
        reader.missing("max");
    }
    if let Some(of) = reader.string("type")
        && of != "horizontal"
    {
        reader.evaluator.error(
            reader.header(),
            "Invalid scaling type",
            format!("Task group scaling policy had invalid type {of:?}; expected \"horizontal\" or nothing."),
        );
    }
    scaling(reader, "horizontal")
}

/// A task's scaling policies, each for a resource that its label names.
pub(super) fn task_scaling(reader: &Reader<'_>) -> Option<Vec<ScalingPolicy>> {
    let mut policies: Vec<ScalingPolicy> = Vec::new();
    for block in reader.blocks("scaling", &["name"]) {
        let label = block.label(0).to_lowercase();
        let (span, refuse) = (block.label_span(0), |detail: String| {
            block
                .evaluator
                .error(block.label_span(0), "Invalid scaling block", detail);
        });
        let of = match label.as_str() {
            "cpu" => "vertical_cpu",
            "mem" => "vertical_mem",
            _ => {
                refuse(format!(
                    "scaling policy name must be \"cpu\" or \"mem\", not {label:?}."
                ));
                continue;
            }
        };
        if policies.iter().any(|policy| policy.policy_type == of) {
            refuse(format!("duplicate scaling policy for {label:?}."));
            continue;
        }
        if let Some(given) = block.string("type")
            && given != of
        {
            block.evaluator.error(
                span,
                "Invalid scaling type",
                format!("The policy for {label:?} must have type {of:?} or none, not {given:?}."),
            );
        }
        policies.push(scaling(block, of));
    }
    if policies.is_empty() {
        None
    } else {
        Some(policies)
    }
}

fn scaling(reader: Reader<'_>, of: &str) -> ScalingPolicy {
    let policy = ScalingPolicy {
        enabled: reader.bool("enabled"),
        min: reader.int("min"),
        max: reader.int("max"),
        policy_type: of.to_owned(),
        policy: reader.free_form("policy", false),
        ..ScalingPolicy::default()
    };
    reader.attribute("type");
    reader.finish();
    policy
}
