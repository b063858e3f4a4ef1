//! Following a job's work to its end: its allocations, what their tasks write, and their exit codes.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use nomad_api::client::{LogRequest, LogSource, QueryOptions};
use nomad_api::types::AllocListStub;
use nomad_core::job::JobStatus;
use nomad_core::task_state::event_type;

use super::MAX_WAIT;
use crate::context::Context;
use crate::format::short_id;

/// Exit code where work was lost or never started, so that there is none of its own.
const NO_EXIT_CODE: i32 = 1;

/// Follows a job until it is dead, printing what its tasks write if that is wanted. Gives the first exit code of a
/// failed task, 0 if none failed.
pub async fn follow_work(
    context: &Context,
    id: &str,
    options: &QueryOptions,
    logs: bool,
) -> Result<i32> {
    let mut followed = BTreeSet::new();
    let mut streams: FuturesUnordered<BoxFuture<'_, Result<()>>> = FuturesUnordered::new();
    let mut job = query_job(context, id, options, 0).boxed();
    let mut allocs = query_allocs(context, id, options, 0).boxed();
    loop {
        tokio::select! {
            biased;
            Some(result) = streams.next(), if !streams.is_empty() => result?,
            answer = &mut allocs => {
                let (stubs, index) = answer?;
                if logs {
                    follow_new(context, &stubs, &mut followed, &streams);
                }
                allocs = query_allocs(context, id, options, index).boxed();
            }
            answer = &mut job => {
                let (status, index) = answer?;
                if status == JobStatus::Dead {
                    break;
                }
                job = query_job(context, id, options, index).boxed();
            }
        }
    }
    let (stubs, _) = query_allocs(context, id, options, 0).await?;
    if logs {
        follow_new(context, &stubs, &mut followed, &streams);
    }
    while let Some(result) = streams.next().await {
        result?;
    }
    let code = exit_code(&stubs);
    report(context, &stubs, code);
    Ok(code)
}

async fn query_job(
    context: &Context,
    id: &str,
    options: &QueryOptions,
    index: u64,
) -> Result<(JobStatus, u64)> {
    let options = options.clone().after(index, MAX_WAIT);
    let (job, meta) = context
        .client
        .job(id, &options)
        .await
        .context("Error querying job")?;
    Ok((job.status, meta.index))
}

async fn query_allocs(
    context: &Context,
    id: &str,
    options: &QueryOptions,
    index: u64,
) -> Result<(Vec<AllocListStub>, u64)> {
    let options = options.clone().after(index, MAX_WAIT);
    let (stubs, meta) = context
        .client
        .job_allocations(id, false, &options)
        .await
        .context("Error querying allocations of job")?;
    Ok((stubs, meta.index))
}

/// Begins to follow the logs of tasks that have started and are not followed yet.
fn follow_new<'a>(
    context: &'a Context,
    stubs: &[AllocListStub],
    followed: &mut BTreeSet<(String, String)>,
    streams: &FuturesUnordered<BoxFuture<'a, Result<()>>>,
) {
    for stub in stubs {
        for (task, state) in stub.task_states.iter().flatten() {
            if state.started_at.is_zero() || !followed.insert((stub.id.clone(), task.clone())) {
                continue;
            }
            for source in [LogSource::Stdout, LogSource::Stderr] {
                streams.push(show(context, stub.id.clone(), task.clone(), source).boxed());
            }
        }
    }
}

/// Prints a log until its task is dead.
async fn show(context: &Context, alloc: String, task: String, source: LogSource) -> Result<()> {
    let request = LogRequest {
        task,
        source,
        from_end: false,
        offset: 0,
        follow: true,
    };
    let mut frames = context
        .client
        .alloc_logs(&alloc, &request)
        .await
        .with_context(|| format!("Error reading the log of allocation {alloc}"))?;
    while let Some(frame) = frames.next().await {
        let frame =
            frame.with_context(|| format!("Error reading the log of allocation {alloc}"))?;
        if source == LogSource::Stderr {
            context.ui.err_bytes(&frame.data);
        } else {
            context.ui.out_bytes(&frame.data);
        }
    }
    Ok(())
}

/// The first exit code of a task that failed for good: what was tried again elsewhere does not count.
fn exit_code(stubs: &[AllocListStub]) -> i32 {
    let last = |stub: &&AllocListStub| stub.next_allocation.is_empty();
    let failed = stubs
        .iter()
        .filter(last)
        .filter(|stub| matches!(stub.client_status.as_str(), "failed" | "lost"));
    let mut code = 0;
    for stub in failed {
        let failed = stub.task_states.iter().flatten().filter(|(_, s)| s.failed);
        let codes = failed.filter_map(|(_, state)| {
            let ended =
                |event: &&nomad_core::task_state::TaskEvent| event.kind == event_type::TERMINATED;
            let event = state.events.iter().rfind(ended)?;
            event.details.get("exit_code")?.parse::<i32>().ok()
        });
        let own = codes.into_iter().find(|code| *code != 0);
        code = if code == 0 {
            own.unwrap_or(NO_EXIT_CODE)
        } else {
            code
        };
    }
    code
}

fn report(context: &Context, stubs: &[AllocListStub], code: i32) {
    for stub in stubs.iter().filter(|stub| stub.next_allocation.is_empty()) {
        if stub.client_status != "complete" {
            context.ui.error(format!(
                "Allocation {:?} of group {:?} is {}: {}",
                short_id(&stub.id, false),
                stub.task_group,
                stub.client_status,
                stub.client_description
            ));
        }
    }
    if code == 0 && stubs.is_empty() {
        context.ui.error("The job ended without an allocation");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nomad_core::Timestamp;
    use nomad_core::task_state::{TaskEvent, TaskState};

    fn stub(status: &str, next: &str, codes: &[i32]) -> AllocListStub {
        let tasks = codes.iter().enumerate().map(|(i, code)| {
            let event = TaskEvent::new(event_type::TERMINATED, Timestamp::ZERO)
                .detail("exit_code", code.to_string());
            let state = TaskState {
                failed: *code != 0,
                events: vec![event],
                ..TaskState::default()
            };
            (format!("t{i}"), state)
        });
        AllocListStub {
            client_status: status.to_owned(),
            next_allocation: next.to_owned(),
            task_states: Some(tasks.collect()),
            ..AllocListStub::default()
        }
    }

    #[test]
    fn the_exit_code_is_that_of_what_failed_for_good() {
        assert_eq!(exit_code(&[stub("complete", "", &[0, 0])]), 0);
        assert_eq!(exit_code(&[stub("failed", "", &[0, 7])]), 7);
        assert_eq!(
            exit_code(&[stub("failed", "other", &[7]), stub("complete", "", &[0])]),
            0
        );
        assert_eq!(exit_code(&[stub("lost", "", &[])]), NO_EXIT_CODE);
    }
}
