//! `job dispatch`: launches a parameterized job.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use nomad_api::client::QueryOptions;
use nomad_api::types::JobDispatchRequest;
use nomad_core::job::JobStatus;

use crate::command::Verb;
use crate::context::Context;
use crate::format::{kv, short_id};
use crate::monitor::monitor_eval;
use crate::resolve;

/// Largest payload that the servers take.
const MAX_PAYLOAD_BYTES: u64 = 16 << 10;
/// How long `-wait` waits.
const MAX_WAIT: Duration = Duration::from_mins(5);
/// Exit code of `-wait` when an allocation failed.
const CHILD_FAILED: i32 = 2;

/// Flags of `job dispatch`.
#[derive(Debug, Args)]
pub struct JobDispatch {
    /// Metadata of the launched job: key=value. May be given several times.
    #[arg(long, value_name = "key=value")]
    pub meta: Vec<String>,
    /// Do not follow the evaluation.
    #[arg(long)]
    pub detach: bool,
    /// Launch at most one job with this token.
    #[arg(long, value_name = "token", default_value = "")]
    pub idempotency_token: String,
    /// Template of a prefix of the launched job's id.
    #[arg(long, value_name = "template", default_value = "")]
    pub id_prefix_template: String,
    #[arg(long, hide = true, default_value_t = 0)]
    pub priority: i32,
    /// Wait until the launched job is done, five minutes at most.
    #[arg(long)]
    pub wait: bool,
    /// Show whole ids.
    #[arg(long)]
    pub verbose: bool,
    #[arg(long, hide = true)]
    pub ui: bool,
}

impl Verb for JobDispatch {
    const ARGUMENTS: &'static str = "<parameterized job> [input file]";
    const ARITY: (usize, usize) = (1, 2);
    const ABOUT: &'static str =
        "Launches a parameterized job with metadata and a payload: a file, or stdin for \"-\".";

    async fn run(self, context: Context) -> Result<i32> {
        let meta = self
            .meta
            .iter()
            .map(|pair| {
                pair.split_once('=')
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .ok_or_else(|| anyhow!("Error parsing meta value: {pair}"))
            })
            .collect::<Result<_>>()?;
        let payload = payload(context.arg(1))?;
        let job = resolve::job_where(&context, context.arg(0), |job| job.parameterized_job).await?;
        let options = context.in_namespace(&job.namespace);
        let request = JobDispatchRequest {
            job_id: job.id.clone(),
            payload,
            meta,
            id_prefix_template: self.id_prefix_template.clone(),
            priority: self.priority,
        };
        let answer = context
            .client
            .dispatch_job(&request, &self.idempotency_token, &options)
            .await
            .context("Failed to dispatch job")?;
        let mut lines = vec![("Dispatched Job ID", answer.dispatched_job_id.clone())];
        // A periodic parameterized job has no evaluation yet.
        if !answer.eval_id.is_empty() {
            lines.push(("Evaluation ID", short_id(&answer.eval_id, self.verbose)));
        }
        context.ui.out(kv(&lines));
        if self.detach || answer.eval_id.is_empty() {
            return Ok(0);
        }
        context.ui.out("");
        if monitor_eval(&context, &answer.eval_id, self.verbose).await? != 0 {
            return Ok(1);
        }
        let code = if self.wait {
            wait(&context, &answer.dispatched_job_id, &options).await?
        } else {
            0
        };
        let path = format!("/jobs/{}@{}", answer.dispatched_job_id, job.namespace);
        context.hint("View this job", &path).await;
        Ok(code)
    }
}

fn payload(path: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match path {
        "" => return Ok(bytes),
        "-" => std::io::stdin()
            .lock()
            .take(MAX_PAYLOAD_BYTES + 1)
            .read_to_end(&mut bytes)
            .context("Error reading input data")?,
        path => std::fs::File::open(path)
            .and_then(|file| file.take(MAX_PAYLOAD_BYTES + 1).read_to_end(&mut bytes))
            .with_context(|| format!("Error reading input data from {path:?}"))?,
    };
    if bytes.len() as u64 > MAX_PAYLOAD_BYTES {
        bail!("Error reading input data: the payload is larger than {MAX_PAYLOAD_BYTES} bytes");
    }
    Ok(bytes)
}

/// Waits until the job is dead.
async fn wait(context: &Context, id: &str, options: &QueryOptions) -> Result<i32> {
    let ended = async {
        let mut index = 0;
        loop {
            let options = options.clone().after(index, MAX_WAIT);
            let (job, meta) = context.client.job(id, &options).await?;
            if job.status == JobStatus::Dead {
                return Ok::<_, nomad_api::ClientError>(());
            }
            index = meta.index;
        }
    };
    match tokio::time::timeout(MAX_WAIT, ended).await {
        Err(_) => bail!(
            "The job did not end within {} minutes",
            MAX_WAIT.as_secs() / 60
        ),
        Ok(result) => result.context("Error querying job")?,
    }
    let (allocs, _) = context
        .client
        .job_allocations(id, false, options)
        .await
        .context("Error querying job allocations")?;
    let failed = allocs
        .iter()
        .filter(|alloc| matches!(alloc.client_status.as_str(), "failed" | "lost"))
        .count();
    if failed > 0 {
        context.ui.error(format!("{failed} allocation(s) failed"));
        return Ok(CHILD_FAILED);
    }
    Ok(0)
}
