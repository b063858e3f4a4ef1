//! Names and labels of the server's metrics. Whole names with dots, as in the JSON of `/v1/metrics`; times in
//! milliseconds.

use std::time::Duration;

use metrics::Label;
use nomad_core::eval::Evaluation;
use nomad_core::job::JobType;
use nomad_state::Command;

/// A time as all timers give it.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Labels of what is measured of one evaluation.
pub(crate) fn eval_labels(eval: &Evaluation) -> Vec<Label> {
    vec![
        Label::new("job", eval.job_id.to_string()),
        Label::new("namespace", eval.namespace.to_string()),
        Label::new("eval_type", eval.job_type.as_str()),
        Label::new("triggered_by", eval.triggered_by.as_str().to_owned()),
    ]
}

/// Timer of one call of a scheduler.
pub(crate) fn invoke_metric(eval: &Evaluation) -> &'static str {
    match eval.job_type {
        JobType::Service => "nomad.nomad.worker.invoke_scheduler_service",
        JobType::Batch => "nomad.nomad.worker.invoke_scheduler_batch",
        JobType::System => "nomad.nomad.worker.invoke_scheduler_system",
        JobType::Sysbatch => "nomad.nomad.worker.invoke_scheduler_sysbatch",
        JobType::Core => "nomad.nomad.worker.invoke_scheduler__core",
    }
}

/// Timer of applying a command; `None` for those that dashboards know no name of.
pub(crate) fn apply_metric(command: &Command) -> Option<&'static str> {
    Some(match command {
        Command::NodeRegister(_) => "nomad.nomad.fsm.register_node",
        Command::NodeDeregister(_) => "nomad.nomad.fsm.deregister_node",
        Command::NodeStatusUpdate(_) => "nomad.nomad.fsm.node_status_update",
        Command::NodeEligibilityUpdate(_) => "nomad.nomad.fsm.node_eligibility_update",
        Command::NodeDrainUpdate(_) => "nomad.nomad.fsm.node_drain_update",
        Command::NodeEventsUpsert(_) => "nomad.nomad.fsm.upsert_node_events",
        Command::JobRegister(_) => "nomad.nomad.fsm.register_job",
        Command::JobDeregister(_) => "nomad.nomad.fsm.deregister_job",
        Command::JobStability(_) => "nomad.nomad.fsm.apply_job_stability",
        Command::JobVersionTagUpdate(_) => "nomad.nomad.fsm.apply_job_version_tag",
        Command::ScalingEventRegister(_) => "nomad.nomad.fsm.upsert_scaling_event",
        Command::EvalUpsert(_) => "nomad.nomad.fsm.update_eval",
        Command::EvalDelete(_) => "nomad.nomad.fsm.delete_eval",
        Command::AllocClientUpdates(_) => "nomad.nomad.fsm.alloc_client_update",
        Command::AllocTransitions(_) => "nomad.nomad.fsm.alloc_update_desired_transition",
        Command::PlanResults(_) => "nomad.nomad.fsm.apply_plan_results",
        Command::DeploymentStatusChange(_) => "nomad.nomad.fsm.apply_deployment_status_update",
        Command::DeploymentPromote(_) => "nomad.nomad.fsm.apply_deployment_promotion",
        Command::DeploymentAllocHealth(_) => "nomad.nomad.fsm.apply_deployment_alloc_health",
        Command::DeploymentDelete(_) => "nomad.nomad.fsm.apply_deployment_delete",
        Command::SchedulerConfigSet(_) => "nomad.nomad.fsm.apply_scheduler_config",
        Command::NodePoolUpsert(_) => "nomad.nomad.fsm.apply_node_pool_upsert",
        Command::NodePoolDelete(_) => "nomad.nomad.fsm.apply_node_pool_delete",
        Command::NamespaceUpsert(_) => "nomad.nomad.fsm.apply_namespace_upsert",
        Command::NamespaceDelete(_) => "nomad.nomad.fsm.apply_namespace_delete",
        Command::ClusterMetadata(_) => "nomad.nomad.fsm.cluster_meta",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_are_in_milliseconds() {
        assert_eq!(millis(Duration::from_micros(1500)), 1.5);
    }

    #[test]
    fn evaluations_are_labelled() {
        let labels = eval_labels(&Evaluation::default());
        let mut keys: Vec<&str> = labels.iter().map(Label::key).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["eval_type", "job", "namespace", "triggered_by"]);
    }
}
