//! From what a user typed to the one thing that is meant: prefixes of ids.

use anyhow::{Context as _, Result, anyhow, bail};
use nomad_api::client::{ClientError, QueryOptions};
use nomad_api::types::{AllocListStub, JobListStub};
use nomad_core::deployment::Deployment;
use nomad_core::eval::Evaluation;

use crate::commands::shared;
use crate::context::Context;

/// Length of a whole UUID.
const WHOLE: usize = 36;
/// Jobs looked at to resolve a prefix.
const JOBS_PER_PAGE: u32 = 20;

/// A job that was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRef {
    pub id: String,
    /// "" is the client's own.
    pub namespace: String,
}

/// The candidates do not name one thing; the text is printed and the code returned.
#[derive(Debug)]
pub struct Ambiguous(pub String);

impl std::fmt::Display for Ambiguous {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Ambiguous {}

/// The job that an id or prefix means.
pub async fn job(context: &Context, text: &str) -> Result<JobRef> {
    job_where(context, text, |_| true).await
}

/// The job among those that `keep` accepts.
pub async fn job_where(
    context: &Context,
    text: &str,
    keep: impl Fn(&JobListStub) -> bool,
) -> Result<JobRef> {
    let options = QueryOptions {
        prefix: text.to_owned(),
        per_page: JOBS_PER_PAGE,
        ..QueryOptions::new()
    };
    let (jobs, meta) = match context.client.jobs(&options).await {
        Ok(answer) => answer,
        // Who may read a job need not be allowed to list them.
        Err(error) if error.status() == Some(403) => {
            return Ok(JobRef {
                id: text.to_owned(),
                namespace: String::new(),
            });
        }
        Err(error) => return Err(error).context("Error querying job prefix"),
    };
    let jobs: Vec<JobListStub> = jobs.into_iter().filter(keep).collect();
    let every_namespace = context.config.namespace == "*";
    let Some(first) = jobs.first() else {
        bail!("No job(s) with prefix or ID {text:?} found");
    };
    let exact = jobs.iter().filter(|job| job.id == text).count();
    if jobs.len() > 1 && (first.id != text || (every_namespace && exact > 1)) {
        let mut list = format!(
            "Prefix {text:?} matched multiple jobs\n\n{}",
            shared::job_table(&jobs, every_namespace)
        );
        if !meta.next_token.is_empty() {
            list.push_str("\n(results may be truncated)");
        }
        return Err(Ambiguous(list).into());
    }
    Ok(JobRef {
        id: first.id.clone(),
        namespace: first.namespace.clone(),
    })
}

/// A prefix as the servers look it up: whole bytes.
fn prefix(text: &str) -> Result<String> {
    let digits = text.chars().filter(|c| *c != '-').count();
    if digits < 2 {
        bail!("Identifier must contain at least two characters.");
    }
    let mut prefix = text.to_owned();
    if digits % 2 == 1 && text.len() < WHOLE {
        prefix.pop();
    }
    Ok(prefix)
}

/// The allocation that an id or prefix means.
pub async fn alloc(context: &Context, text: &str) -> Result<AllocListStub> {
    let options = QueryOptions::new().prefix(prefix(text)?);
    let (mut allocs, _) = context
        .client
        .allocations(&options)
        .await
        .context("Error querying allocation")?;
    match allocs.len() {
        0 => bail!("No allocation(s) with prefix or id {text:?} found"),
        1 => Ok(allocs.remove(0)),
        _ => {
            let table = shared::alloc_table(&allocs, true, crate::context::now());
            Err(Ambiguous(format!("Prefix matched multiple allocations\n\n{table}")).into())
        }
    }
}

/// The evaluation that an id or prefix means.
pub async fn eval(context: &Context, text: &str) -> Result<Evaluation> {
    let options = QueryOptions::new().prefix(prefix(text)?);
    let (mut evals, _) = context
        .client
        .evaluations(&options)
        .await
        .context("Error querying evaluation")?;
    match evals.len() {
        0 => bail!("No evaluation(s) with prefix or id {text:?} found"),
        1 => Ok(evals.remove(0)),
        _ => {
            let table = shared::eval_table(&evals, false);
            Err(Ambiguous(format!("Prefix matched multiple evaluations\n\n{table}")).into())
        }
    }
}

/// The deployment that an id or prefix means.
pub async fn deployment(context: &Context, text: &str) -> Result<Deployment> {
    if text.len() == WHOLE {
        return Ok(context
            .client
            .deployment(text, &QueryOptions::new())
            .await
            .context("Error retrieving deployment")?
            .0);
    }
    let options = QueryOptions::new().prefix(prefix(text)?);
    let (mut found, _) = context
        .client
        .deployments(&options)
        .await
        .context("Error retrieving deployment")?;
    match found.len() {
        0 => bail!("Deployment ID {text:?} matched no deployments"),
        1 => Ok(found.remove(0)),
        _ => {
            let table = shared::deployment_table(&found, false);
            Err(Ambiguous(format!("Prefix matched multiple deployments\n\n{table}")).into())
        }
    }
}

/// The whole id of the node that an id or prefix means.
pub async fn node_id(context: &Context, text: &str) -> Result<String> {
    let options = QueryOptions::new().prefix(prefix(text)?);
    let (nodes, _) = context
        .client
        .nodes(&options)
        .await
        .context("Error querying node info")?;
    match nodes.as_slice() {
        [] => bail!("No node(s) with prefix or id {text:?} found"),
        [node] => Ok(node.id.clone()),
        _ => {
            let table = shared::node_candidates(&nodes);
            Err(Ambiguous(format!("Prefix matched multiple nodes\n\n{table}")).into())
        }
    }
}

/// The node of the agent that is talked to.
pub async fn own_node(context: &Context) -> Result<String> {
    let agent = context
        .client
        .agent_self()
        .await
        .context("Error querying agent info")?;
    agent["stats"]["client"]["node_id"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| anyhow!("The agent has no client, so there is no node of its own"))
}

/// Nothing where there is nothing, instead of an error.
pub fn found<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_whole_bytes() {
        assert_eq!(prefix("00d39").unwrap(), "00d3");
        assert_eq!(prefix("00d3920f-0").unwrap(), "00d3920f-");
        assert_eq!(prefix("00d3").unwrap(), "00d3");
        assert!(prefix("0").is_err());
        assert!(prefix("-").is_err());
    }
}
