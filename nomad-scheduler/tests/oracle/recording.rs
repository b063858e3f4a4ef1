//! Reads recorded histories: for each step the state, the evaluation, and what the reference scheduler did.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use nomad_core::Timestamp;
use nomad_core::alloc::Allocation;
use nomad_core::deployment::{Deployment, DeploymentStatusUpdate};
use nomad_core::eval::Evaluation;
use nomad_core::ids::{AllocId, NodeId};
use nomad_core::job::Job;
use nomad_core::memory_view::MemoryView;
use nomad_core::node::Node;
use nomad_core::plan::PlanAnnotations;
use nomad_core::scheduler_config::SchedulerConfiguration;
use nomad_core::view::ClusterView;
use serde::Deserialize;

use crate::rules;

/// A history.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) steps: Vec<Step>,
}

/// One evaluation that the reference processed.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
pub(crate) struct Step {
    pub(crate) event: String,
    pub(crate) features: Option<Vec<String>>,
    now_unix_nano: i64,
    config: SchedulerConfiguration,
    nodes: Option<Vec<Node>>,
    jobs: Option<Vec<Job>>,
    allocs: Option<Vec<Allocation>>,
    deployments: Option<Vec<Deployment>>,
    pub(crate) eval: Evaluation,
    plans: Option<Vec<RecordedPlan>>,
    eval_updates: Option<Vec<Evaluation>>,
    create_evals: Option<Vec<Evaluation>>,
    reblock_evals: Option<Vec<Evaluation>>,
}

/// A plan as recorded: whole rows everywhere.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct RecordedPlan {
    node_update: Option<BTreeMap<NodeId, Vec<Allocation>>>,
    node_allocation: Option<BTreeMap<NodeId, Vec<Allocation>>>,
    node_preemptions: Option<BTreeMap<NodeId, Vec<Preempted>>>,
    pub(crate) deployment: Option<Deployment>,
    deployment_updates: Option<Vec<DeploymentStatusUpdate>>,
    pub(crate) annotations: Option<PlanAnnotations>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Preempted {
    #[serde(rename = "ID")]
    pub(crate) id: AllocId,
    #[serde(rename = "PreemptedByAllocation")]
    pub(crate) by: AllocId,
}

impl RecordedPlan {
    pub(crate) fn stops(&self) -> impl Iterator<Item = &Allocation> {
        self.node_update
            .iter()
            .flat_map(|map| map.values())
            .flatten()
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &Allocation> {
        self.node_allocation
            .iter()
            .flat_map(|map| map.values())
            .flatten()
    }

    pub(crate) fn preempted(&self) -> impl Iterator<Item = &Preempted> {
        self.node_preemptions
            .iter()
            .flat_map(|map| map.values())
            .flatten()
    }

    pub(crate) fn deployment_updates(&self) -> &[DeploymentStatusUpdate] {
        self.deployment_updates.as_deref().unwrap_or_default()
    }
}

impl Step {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.now_unix_nano)
    }

    /// How many groups the evaluated job has.
    pub(crate) fn groups(&self) -> usize {
        self.jobs
            .iter()
            .flatten()
            .filter(|job| job.key() == self.eval.job_key())
            .map(|job| job.task_groups.len())
            .max()
            .unwrap_or(0)
    }

    /// The state that the evaluation saw, with the groups of jobs in an order of our choice.
    pub(crate) fn view(&self, order: &[usize]) -> MemoryView {
        let mut view = MemoryView::default();
        view.index = self.eval.modify_index;
        view.config = self.config.clone();
        for node in self.nodes.iter().flatten() {
            view.put_node(node.clone());
        }
        for job in self.jobs.iter().flatten() {
            view.put_job(rules::reorder(job, order));
        }
        for alloc in self.allocs.iter().flatten() {
            let mut alloc = alloc.clone();
            let job = view
                .job_version(&alloc.job_key(), alloc.job_version)
                .cloned();
            rules::forget_unplaced(&mut alloc, job.as_ref());
            view.put_alloc(alloc);
        }
        for deployment in self.deployments.iter().flatten() {
            view.put_deployment(deployment.clone());
        }
        view
    }

    pub(crate) fn plan(&self) -> Option<&RecordedPlan> {
        self.plans.as_ref()?.first()
    }

    pub(crate) fn update(&self) -> Option<&Evaluation> {
        self.eval_updates.as_ref()?.last()
    }

    pub(crate) fn created(&self) -> &[Evaluation] {
        self.create_evals.as_deref().unwrap_or_default()
    }

    pub(crate) fn reblocked(&self) -> &[Evaluation] {
        self.reblock_evals.as_deref().unwrap_or_default()
    }
}

/// Where the recording is: `NOMAD_SCHEDULER_ORACLE`, else below `NOMAD_SHARED`, else beside the checkout.
pub(crate) fn path() -> PathBuf {
    if let Some(path) = std::env::var_os("NOMAD_SCHEDULER_ORACLE") {
        return path.into();
    }
    let root = std::env::var_os("NOMAD_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    root.join("scheduler-oracle/cases.jsonl.gz")
}

/// Calls `each` for every history.
pub(crate) fn read(path: &Path, mut each: impl FnMut(Case)) -> Result<(), String> {
    let file = std::fs::File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let reader = BufReader::new(flate2::read::GzDecoder::new(file));
    for (number, line) in reader.lines().enumerate() {
        let at =
            |error: &dyn std::fmt::Display| format!("{}:{}: {error}", path.display(), number + 1);
        let line = line.map_err(|error| at(&error))?;
        if line.trim().is_empty() {
            continue;
        }
        each(serde_json::from_str(&line).map_err(|error| at(&error))?);
    }
    Ok(())
}
