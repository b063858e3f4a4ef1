//! `status`: whatever an id or prefix means.

use anyhow::{Context as _, Result};
use clap::Args;
use nomad_api::client::QueryOptions;
use nomad_api::types::SearchRequest;

use super::{alloc_status, deployment, eval, job_status, namespace, node_status};
use crate::command::Verb;
use crate::context::Context;

/// Flags of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Show whole ids, and more.
    #[arg(long)]
    pub verbose: bool,
    #[arg(long, hide = true)]
    pub ui: bool,
}

/// Contexts that have a status command, in the order in which they are listed.
const CONTEXTS: [(&str, &str); 6] = [
    ("evals", "Evaluations"),
    ("nodes", "Nodes"),
    ("allocs", "Allocations"),
    ("jobs", "Jobs"),
    ("deployment", "Deployments"),
    ("namespaces", "Namespaces"),
];

impl Verb for Status {
    const ARGUMENTS: &'static str = "[identifier]";
    const ARITY: (usize, usize) = (0, 1);
    const ABOUT: &'static str = "Shows whatever an id or a prefix of one means: a job, an allocation, a node, an \
        evaluation, a deployment or a namespace. Without one, lists jobs.";

    async fn run(self, context: Context) -> Result<i32> {
        let id = context.arg(0).to_owned();
        if id.is_empty() {
            return self.show("jobs", context).await;
        }
        let request = SearchRequest {
            prefix: id.clone(),
            context: "all".to_owned(),
        };
        let answer = context
            .client
            .search(&request, &QueryOptions::new())
            .await
            .context("Error querying search with id")?;
        let matches: Vec<(&str, &str, &Vec<String>)> = CONTEXTS
            .iter()
            .filter_map(|(name, title)| {
                let ids = answer.matches.get(*name)?.as_ref()?;
                (!ids.is_empty()).then_some((*name, *title, ids))
            })
            .collect();
        let exact: Vec<&str> = matches
            .iter()
            .filter(|(_, _, ids)| ids.contains(&id))
            .map(|(name, _, _)| *name)
            .collect();
        match (matches.as_slice(), exact.as_slice()) {
            ([], _) => {
                context.ui.error(format!("Unable to resolve ID: {id:?}"));
                Ok(1)
            }
            (_, [only]) => self.show(only, context).await,
            ([(name, _, ids)], _) if ids.len() == 1 => {
                let mut context = context;
                context.args = vec![ids[0].clone()];
                self.show(name, context).await
            }
            (several, _) => {
                context
                    .ui
                    .error(format!("Multiple matches found for id {id:?}\n"));
                for (_, title, ids) in several {
                    context.ui.error(format!("{title}:\n{}\n", ids.join(", ")));
                }
                Ok(1)
            }
        }
    }
}

impl Status {
    async fn show(&self, what: &str, context: Context) -> Result<i32> {
        let mut flags = Vec::new();
        if self.verbose {
            flags.push("--verbose");
        }
        match what {
            "jobs" => run::<job_status::JobStatus>(&flags, context).await,
            "allocs" => run::<alloc_status::AllocStatus>(&flags, context).await,
            "nodes" => run::<node_status::NodeStatus>(&flags, context).await,
            "evals" => run::<eval::EvalStatus>(&flags, context).await,
            "deployment" => run::<deployment::DeploymentStatus>(&flags, context).await,
            _ => run::<namespace::NamespaceStatus>(&[], context).await,
        }
    }
}

/// Runs another verb in this one's place.
async fn run<V: Verb>(flags: &[&str], context: Context) -> Result<i32> {
    let command = clap::Command::new("status").no_binary_name(true);
    let matches = V::augment_args(command.disable_help_flag(true)).try_get_matches_from(flags)?;
    V::from_arg_matches(&matches)?.run(context).await
}
