//! `operator scheduler`, `operator raft list-peers`, `operator metrics`, `operator autopilot get-config`.

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use nomad_api::client::QueryOptions;
use nomad_core::scheduler_config::SchedulerAlgorithm;
use serde_json::Value;

use super::shared::{print_object, row};
use crate::argv::go_bool;
use crate::command::Verb;
use crate::context::{Context, usage};
use crate::format::{kv, table_with_blanks};

/// Flags of `operator scheduler get-config`.
#[derive(Debug, Args)]
pub struct SchedulerGetConfig {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for SchedulerGetConfig {
    const ABOUT: &'static str = "Shows how the cluster's schedulers behave.";

    async fn run(self, context: Context) -> Result<i32> {
        let answer = context
            .client
            .scheduler_config()
            .await
            .context("Error querying scheduler configuration")?;
        if self.json || self.t.is_some() {
            return print_object(&context, serde_json::to_value(&answer)?, self.t.as_deref());
        }
        let config = &answer.scheduler_config;
        let preempt = &config.preemption_config;
        context.ui.out(kv(&[
            (
                "Scheduler Algorithm",
                config.scheduler_algorithm.as_str().to_owned(),
            ),
            (
                "Memory Oversubscription",
                config.memory_oversubscription_enabled.to_string(),
            ),
            (
                "Reject Job Registration",
                config.reject_job_registration.to_string(),
            ),
            ("Pause Eval Broker", config.pause_eval_broker.to_string()),
            (
                "Preemption System Scheduler",
                preempt.system_scheduler_enabled.to_string(),
            ),
            (
                "Preemption Service Scheduler",
                preempt.service_scheduler_enabled.to_string(),
            ),
            (
                "Preemption Batch Scheduler",
                preempt.batch_scheduler_enabled.to_string(),
            ),
            (
                "Preemption SysBatch Scheduler",
                preempt.sys_batch_scheduler_enabled.to_string(),
            ),
            (
                "Node Limit For Feasibility Checks",
                config.node_limit_for_feasibility_checks.to_string(),
            ),
            ("Modify Index", config.modify_index.to_string()),
        ]));
        Ok(0)
    }
}

/// Flags of `operator scheduler set-config`; the booleans need a value.
#[derive(Debug, Args)]
pub struct SchedulerSetConfig {
    /// Only if the configuration's modify index is this.
    #[arg(long, value_name = "index")]
    pub check_index: Option<u64>,
    /// "binpack" fills nodes up, "spread" evens them out.
    #[arg(long, value_name = "algorithm")]
    pub scheduler_algorithm: Option<String>,
    /// Whether tasks may use more memory than is kept for them, up to memory_max.
    #[arg(long, value_name = "true|false")]
    pub memory_oversubscription: Option<String>,
    /// Whether only operators may register jobs.
    #[arg(long, value_name = "true|false")]
    pub reject_job_registration: Option<String>,
    /// Whether evaluations wait.
    #[arg(long, value_name = "true|false")]
    pub pause_eval_broker: Option<String>,
    /// Whether batch jobs may preempt.
    #[arg(long, value_name = "true|false")]
    pub preempt_batch_scheduler: Option<String>,
    /// Whether service jobs may preempt.
    #[arg(long, value_name = "true|false")]
    pub preempt_service_scheduler: Option<String>,
    /// Whether sysbatch jobs may preempt.
    #[arg(long, value_name = "true|false")]
    pub preempt_sysbatch_scheduler: Option<String>,
    /// Whether system jobs may preempt.
    #[arg(long, value_name = "true|false")]
    pub preempt_system_scheduler: Option<String>,
    /// Accepted; every node is looked at.
    #[arg(long, value_name = "count")]
    pub node_limit_for_feasibility_checks: Option<i64>,
}

impl Verb for SchedulerSetConfig {
    const ABOUT: &'static str =
        "Changes how the cluster's schedulers behave. What is not given stays as it is.";

    async fn run(self, context: Context) -> Result<i32> {
        let current = context
            .client
            .scheduler_config()
            .await
            .context("Error querying for current scheduler configuration")?;
        let mut config = current.scheduler_config;
        let index = self.check_index.unwrap_or(config.modify_index);
        match self.scheduler_algorithm.as_deref() {
            None => {}
            Some("binpack") => config.scheduler_algorithm = SchedulerAlgorithm::Binpack,
            Some("spread") => config.scheduler_algorithm = SchedulerAlgorithm::Spread,
            Some(other) => {
                return usage(format!(
                    "Invalid -scheduler-algorithm {other:?}: want binpack or spread"
                ));
            }
        }
        let set = |flag: &Option<String>, name: &str, field: &mut bool| -> Result<()> {
            if let Some(text) = flag {
                *field = go_bool(text).ok_or_else(|| {
                    anyhow!("invalid value {text:?} for flag -{name}: want true or false")
                })?;
            }
            Ok(())
        };
        set(
            &self.memory_oversubscription,
            "memory-oversubscription",
            &mut config.memory_oversubscription_enabled,
        )?;
        set(
            &self.reject_job_registration,
            "reject-job-registration",
            &mut config.reject_job_registration,
        )?;
        set(
            &self.pause_eval_broker,
            "pause-eval-broker",
            &mut config.pause_eval_broker,
        )?;
        let preempt = &mut config.preemption_config;
        set(
            &self.preempt_batch_scheduler,
            "preempt-batch-scheduler",
            &mut preempt.batch_scheduler_enabled,
        )?;
        set(
            &self.preempt_service_scheduler,
            "preempt-service-scheduler",
            &mut preempt.service_scheduler_enabled,
        )?;
        set(
            &self.preempt_sysbatch_scheduler,
            "preempt-sysbatch-scheduler",
            &mut preempt.sys_batch_scheduler_enabled,
        )?;
        set(
            &self.preempt_system_scheduler,
            "preempt-system-scheduler",
            &mut preempt.system_scheduler_enabled,
        )?;
        if let Some(limit) = self.node_limit_for_feasibility_checks {
            config.node_limit_for_feasibility_checks = limit;
        }
        let answer = context
            .client
            .set_scheduler_config(&config, Some(index))
            .await
            .context("Error setting scheduler configuration")?;
        if answer.updated {
            context.ui.out("Scheduler configuration updated!");
            return Ok(0);
        }
        context
            .ui
            .error("Scheduler configuration could not be atomically updated, please try again");
        Ok(1)
    }
}

/// Flags of `operator raft list-peers`.
#[derive(Debug, Args)]
pub struct RaftListPeers {
    /// Ask any server, not only the leader.
    #[arg(long)]
    pub stale: bool,
}

impl Verb for RaftListPeers {
    const ABOUT: &'static str = "Lists the members of the servers' consensus group.";

    async fn run(self, context: Context) -> Result<i32> {
        let options = QueryOptions {
            stale: self.stale,
            ..QueryOptions::new()
        };
        let peers = context
            .client
            .raft_configuration(&options)
            .await
            .context("Failed to retrieve raft configuration")?;
        let mut rows = vec![row([
            "Node",
            "ID",
            "Address",
            "State",
            "Voter",
            "RaftProtocol",
        ])];
        for server in peers.servers {
            let state = if server.leader { "leader" } else { "follower" };
            rows.push(vec![
                server.node,
                server.id,
                server.address,
                state.to_owned(),
                server.voter.to_string(),
                server.raft_protocol,
            ]);
        }
        context.ui.out(table_with_blanks(&rows));
        Ok(0)
    }
}

/// Flags of `operator metrics`.
#[derive(Debug, Args)]
pub struct Metrics {
    /// With blanks for people.
    #[arg(long)]
    pub pretty: bool,
    /// "prometheus" for that format.
    #[arg(long, value_name = "format", default_value = "")]
    pub format: String,
    /// Print sorted JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for Metrics {
    const ABOUT: &'static str = "Shows the agent's metrics.";

    async fn run(self, context: Context) -> Result<i32> {
        if self.json && self.t.is_some() {
            return usage("Both json and template formatting are not allowed");
        }
        let mut options = QueryOptions::new();
        if self.pretty {
            options = options.param("pretty", "1");
        }
        if !self.format.is_empty() {
            options = options.param("format", self.format.as_str());
        }
        let body = context
            .client
            .metrics(&options)
            .await
            .context("Error querying metrics")?;
        if self.json || self.t.is_some() {
            let value: Value = serde_json::from_slice(&body).context("Error reading metrics")?;
            return print_object(&context, value, self.t.as_deref());
        }
        context.ui.out_bytes(&body);
        context.ui.out("");
        Ok(0)
    }
}

/// Flags of `operator autopilot get-config`.
#[derive(Debug, Args)]
pub struct AutopilotGetConfig {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print by this template.
    #[arg(long, value_name = "template")]
    pub t: Option<String>,
}

impl Verb for AutopilotGetConfig {
    const ABOUT: &'static str = "Shows how servers that died are dealt with.";

    async fn run(self, context: Context) -> Result<i32> {
        let (config, _) = context
            .client
            .get::<Value>("/v1/operator/autopilot/configuration", &QueryOptions::new())
            .await
            .context("Error querying Autopilot configuration")?;
        if self.json || self.t.is_some() {
            return print_object(&context, config, self.t.as_deref());
        }
        for name in [
            "CleanupDeadServers",
            "LastContactThreshold",
            "MaxTrailingLogs",
            "MinQuorum",
            "ServerStabilizationTime",
            "EnableRedundancyZones",
            "DisableUpgradeMigration",
            "EnableCustomUpgrades",
        ] {
            let value = match &config[name] {
                Value::String(text) => text.clone(),
                Value::Null => "0".to_owned(),
                other => other.to_string(),
            };
            context.ui.out(format!("{name} = {value}"));
        }
        Ok(0)
    }
}
