//! `operator scheduler simulate`: what a job would do to a cluster that a snapshot file holds.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use nomad_core::eval::{EvalTrigger, Evaluation};
use nomad_core::explain::GroupExplanation;
use nomad_core::ids::{IdSource, Uuid};
use nomad_core::plan::{Plan, PlanResult};
use nomad_core::spec::ServerDefaults;
use nomad_core::validate::{NamespaceRules, Rules, admit};
use nomad_core::view::ClusterView;
use nomad_core::{DEFAULT_NAMESPACE, Timestamp};
use nomad_scheduler::{Attempt, EvalWrites, Input, Step, explain_groups};
use nomad_state::State;
use nomad_state::command::JobRegister;
use serde_json::json;

use super::explain;
use super::shared::{metric_lines, row};
use crate::command::Verb;
use crate::context::{Context, now, usage};
use crate::format::{self, short_id, table};
use crate::job_file::JobFileFlags;

/// Nodes of each group that are judged in words at most.
const MAX_NODES: usize = 10_000;

/// Flags of `operator scheduler simulate`.
#[derive(Debug, Args)]
pub struct SchedulerSimulate {
    /// Snapshot of a cluster, as `operator snapshot save` wrote it.
    #[arg(long, value_name = "file")]
    pub state: Option<PathBuf>,
    /// Job file to be placed.
    #[arg(long, value_name = "path")]
    pub job: Option<String>,
    /// Decides between nodes of equal score.
    #[arg(long, value_name = "number", default_value_t = 1)]
    pub seed: u64,
    /// Print JSON.
    #[arg(long = "json-output")]
    pub json_output: bool,
    /// Show every node, and whole ids.
    #[arg(long)]
    pub verbose: bool,
    #[command(flatten)]
    pub file: JobFileFlags,
}

/// Ids in a row: nothing outside this process ever sees them.
struct Ids(u64);

impl IdSource for Ids {
    fn next_uuid(&mut self) -> Uuid {
        self.0 += 1;
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&self.0.to_be_bytes());
        Uuid(bytes)
    }
}

/// What would happen.
struct Answer {
    state: State,
    groups: Vec<GroupExplanation>,
    plan: Plan,
    writes: EvalWrites,
}

impl Verb for SchedulerSimulate {
    const ARITY: (usize, usize) = (0, 0);
    const ABOUT: &'static str = "Schedules a job on the cluster that a snapshot file holds, and says what would be \
        placed where and why. No agent is asked and nothing is changed. \
        Exit code 0: everything would be placed; 2: something would not; 1: an error.";

    async fn run(self, context: Context) -> Result<i32> {
        let (Some(state), Some(job)) = (&self.state, &self.job) else {
            return usage("This command needs -state=<file> and -job=<path>");
        };
        let answer = self
            .simulate(state, job, now())
            .context("Error simulating")?;
        let failed = !answer.writes.update.failed_tg_allocs.is_empty();
        if self.json_output {
            let value = json!({
                "Index": answer.state.last_index(),
                "Explanations": answer.groups,
                "Placements": answer.plan.node_allocation.iter().map(|(node, allocs)| {
                    (node.to_string(), allocs.iter().map(|alloc| alloc.name.clone()).collect::<Vec<_>>())
                }).collect::<BTreeMap<_, _>>(),
                "Preemptions": answer.plan.node_preemptions.values().flatten()
                    .map(|victim| victim.alloc_id).collect::<Vec<_>>(),
                "FailedTGAllocs": answer.writes.update.failed_tg_allocs,
            });
            context.ui.out(format::json(&format::sorted(value)));
        } else {
            for line in text(&answer, self.verbose) {
                context.ui.out(line);
            }
        }
        Ok(if failed { 2 } else { 0 })
    }
}

impl SchedulerSimulate {
    fn simulate(&self, state: &Path, job: &str, now: Timestamp) -> Result<Answer> {
        let state = read_state(state)?;
        let mut submitted = self.file.load(job)?.job;
        submitted
            .namespace
            .get_or_insert_with(|| DEFAULT_NAMESPACE.to_owned());
        submitted.region.get_or_insert_with(|| "global".to_owned());
        let namespace = submitted.namespace.clone().unwrap_or_default();
        let pool = submitted.node_pool.clone().unwrap_or_default();
        let rules = Rules {
            max_priority: 100,
            max_count: 0,
            memory_oversubscription: state.scheduler_config().memory_oversubscription_enabled,
            vault_enabled: false,
            namespace: state
                .namespace(&namespace)
                .map(|_| NamespaceRules::default()),
            node_pool_exists: pool.is_empty() || state.node_pool(&pool).is_some(),
            is_time_zone: &|name| jiff::tz::TimeZone::get(name).is_ok(),
        };
        let mut ids = Ids(0);
        let admitted = admit(submitted, &ServerDefaults::default(), &rules, &mut ids)
            .map_err(|error| anyhow!("{error}"))?;
        let mut job = admitted.job;
        if !job.is_evaluated() {
            // Periodic and parameterized jobs place nothing themselves: ask for one launch.
            job.periodic = None;
            job.parameterized_job = None;
        }
        let key = job.key();
        let register = JobRegister {
            job,
            now,
            ..JobRegister::default()
        };
        let (state, _) = state
            .with(state.last_index() + 1, &register.into())
            .context("register the job on the copy")?;
        let job = state.job(&key).map(Arc::clone).context("find the job")?;
        let eval = Evaluation {
            id: ids.next_uuid().into(),
            namespace: job.namespace.clone(),
            priority: job.priority,
            job_type: job.job_type,
            triggered_by: EvalTrigger::JobRegister,
            job_id: job.id.clone(),
            job_modify_index: job.job_modify_index,
            annotate_plan: true,
            ..Evaluation::default()
        };
        let input = Input {
            view: &state,
            columns: None,
            eval: &eval,
            now,
            seed: self.seed,
        };
        let groups = explain_groups(&input, &mut ids, MAX_NODES)?;
        let (plan, writes) = decide(&state, eval, now, self.seed, &mut ids)?;
        Ok(Answer {
            state,
            groups,
            plan,
            writes,
        })
    }
}

fn read_state(path: &Path) -> Result<State> {
    let file = std::fs::File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut reader = nomad_store::snapshot::SnapshotReader::new(BufReader::new(file), path)?;
    let state = State::load(&mut reader).with_context(|| format!("read {}", path.display()))?;
    // Its end has the checksum of the whole.
    reader.finish()?;
    Ok(state)
}

/// The plan, and what would be written about the evaluation once it is committed whole.
fn decide(
    state: &State,
    eval: Evaluation,
    now: Timestamp,
    seed: u64,
    ids: &mut Ids,
) -> Result<(Plan, EvalWrites)> {
    let mut attempt = Attempt::new(eval);
    let mut plan = Plan::default();
    for _ in 0..2 {
        match attempt.next(state, None, now, seed, ids) {
            Step::Done(writes) => return Ok((plan, writes)),
            Step::Submit(submission) => {
                plan = submission.plan;
                attempt.plan_applied(&PlanResult {
                    node_update: plan.node_update.clone(),
                    node_allocation: plan.node_allocation.clone(),
                    node_preemptions: plan.node_preemptions.clone(),
                    deployment: plan.deployment.clone(),
                    deployment_updates: plan.deployment_updates.clone(),
                    alloc_index: state.last_index() + 1,
                    ..PlanResult::default()
                });
            }
        }
    }
    bail!("the scheduler does not come to an end")
}

fn text(answer: &Answer, verbose: bool) -> Vec<String> {
    let mut lines = vec![format!(
        "Simulated on the state at index {}; nothing was changed.\n",
        answer.state.last_index().saturating_sub(1)
    )];
    lines.extend(explain::lines(&answer.groups, verbose));
    lines.push(String::new());
    let plan = &answer.plan;
    let mut rows = vec![row(["Allocation", "Node ID", "Node", "Score"])];
    for alloc in plan.node_allocation.values().flatten() {
        if answer.state.alloc(alloc.id).is_some() {
            continue;
        }
        let best = alloc
            .metrics
            .as_ref()
            .and_then(|metrics| metrics.score_meta_data.first())
            .map_or_else(String::new, |best| format!("{:.3}", best.norm_score));
        rows.push(vec![
            alloc.name.clone(),
            short_id(&alloc.node_id.to_string(), verbose),
            alloc.node_name.clone(),
            best,
        ]);
    }
    if rows.len() > 1 {
        lines.push("Placements:".to_owned());
        lines.push(table(&rows));
    } else {
        lines.push("Nothing would be placed.".to_owned());
    }
    let stops = plan.node_update.values().flatten().count();
    if stops > 0 {
        lines.push(format!("{stops} allocations would be stopped."));
    }
    let victims = plan.node_preemptions.values().flatten().count();
    if victims > 0 {
        lines.push(format!("{victims} allocations would be evicted."));
    }
    for (group, metric) in &answer.writes.update.failed_tg_allocs {
        let count = metric.coalesced_failures + 1;
        lines.push(format!(
            "Task Group {group:?} (failed to place {count} of its allocations):"
        ));
        lines.extend(metric_lines(metric, false, "  "));
    }
    lines
}
