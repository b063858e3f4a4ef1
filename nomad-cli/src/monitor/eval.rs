//! The evaluation monitor: what an evaluation did, step by step.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use nomad_api::client::QueryOptions;
use nomad_api::types::AllocListStub;
use nomad_core::eval::{EvalStatus, Evaluation};

use super::{MAX_ERRORS, MAX_WAIT, error_pause, monitor_deployment};
use crate::commands::shared::metric_lines;
use crate::context::{Context, now};
use crate::format::{short_id, time};

/// Exit code when something could not be placed and no deployment follows.
const PLACEMENT_FAILED: i32 = 2;

/// What was printed of an allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SeenAlloc {
    client_status: String,
}

/// What was printed of an evaluation so far. Pure: updates give the lines to print.
#[derive(Debug, Default)]
struct Seen {
    triggered: bool,
    deployment: bool,
    status: EvalStatus,
    allocs: BTreeMap<String, SeenAlloc>,
}

impl Seen {
    /// The lines that these answers add.
    fn update(
        &mut self,
        eval: &Evaluation,
        allocs: &[AllocListStub],
        verbose: bool,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.triggered {
            self.triggered = true;
            lines.push(match eval.node_id {
                Some(node) => {
                    let node = short_id(&node.to_string(), verbose);
                    format!("Evaluation triggered by node {node:?}")
                }
                None => format!("Evaluation triggered by job {:?}", eval.job_id.as_str()),
            });
        }
        if let Some(deployment) = eval.deployment_id
            && !self.deployment
        {
            self.deployment = true;
            let id = short_id(&deployment.to_string(), verbose);
            lines.push(format!("Evaluation within deployment: {id:?}"));
        }
        for alloc in allocs {
            let id = short_id(&alloc.id, verbose);
            let node = short_id(&alloc.node_id, verbose);
            match self.allocs.get(&alloc.id) {
                None if alloc.create_index < eval.create_index => lines.push(format!(
                    "Allocation {id:?} modified: node {node:?}, group {:?}",
                    alloc.task_group
                )),
                None if alloc.desired_status == "run" => lines.push(format!(
                    "Allocation {id:?} created: node {node:?}, group {:?}",
                    alloc.task_group
                )),
                Some(seen) if seen.client_status != alloc.client_status => {
                    let description = if alloc.client_description.is_empty() {
                        String::new()
                    } else {
                        format!(" ({})", alloc.client_description)
                    };
                    lines.push(format!(
                        "Allocation {id:?} status changed: {:?} -> {:?}{description}",
                        seen.client_status, alloc.client_status
                    ));
                }
                _ => {}
            }
            self.allocs.insert(
                alloc.id.clone(),
                SeenAlloc {
                    client_status: alloc.client_status.clone(),
                },
            );
        }
        if self.status != eval.status {
            lines.push(format!(
                "Evaluation status changed: {:?} -> {:?}",
                self.status.as_str(),
                eval.status.as_str()
            ));
            self.status = eval.status;
        }
        lines
    }
}

/// Why groups could not be placed.
fn failure_lines(eval: &Evaluation, verbose: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for (group, metric) in &eval.failed_tg_allocs {
        let count = metric.coalesced_failures + 1;
        let plural = if count == 1 { "" } else { "s" };
        lines.push(format!(
            "Task Group {group:?} (failed to place {count} allocation{plural}):"
        ));
        lines.extend(metric_lines(metric, verbose, "  "));
    }
    if let Some(blocked) = eval.blocked_eval {
        let id = short_id(&blocked.to_string(), verbose);
        lines.push(format!(
            "Evaluation {id:?} waiting for additional capacity to place remainder"
        ));
    }
    lines
}

fn heading(context: &Context, text: &str) {
    context.ui.out(format!("==> {}: {text}", time(now())));
}

fn detail(context: &Context, text: &str) {
    context.ui.out(format!("    {}: {text}", time(now())));
}

/// Follows an evaluation, those after it, and its deployment; gives the exit code.
pub async fn monitor_eval(context: &Context, id: &str, verbose: bool) -> Result<i32> {
    let mut id = id.to_owned();
    loop {
        heading(
            context,
            &format!("Monitoring evaluation {:?}", short_id(&id, verbose)),
        );
        let eval = follow(context, &id, verbose).await?;
        let failed = !eval.failed_tg_allocs.is_empty();
        let shown = short_id(&id, verbose);
        if failed {
            heading(
                context,
                &format!(
                    "Evaluation {shown:?} finished with status {:?} but failed to place all allocations:",
                    eval.status.as_str()
                ),
            );
            for line in failure_lines(&eval, verbose) {
                detail(context, &line);
            }
        } else {
            heading(
                context,
                &format!(
                    "Evaluation {shown:?} finished with status {:?}",
                    eval.status.as_str()
                ),
            );
        }
        if let Some(next) = eval.next_eval {
            let wait = if eval.wait.is_set() {
                eval.wait
            } else {
                eval.wait_until.since(now())
            };
            heading(
                context,
                &format!(
                    "Monitoring next evaluation {:?} in {}",
                    short_id(&next.to_string(), verbose),
                    crate::format::span(wait)
                ),
            );
            tokio::time::sleep(wait.to_std()).await;
            id = next.to_string();
            continue;
        }
        if let Some(deployment) = eval.deployment_id {
            let deployment = deployment.to_string();
            heading(
                context,
                &format!("Monitoring deployment {:?}", short_id(&deployment, verbose)),
            );
            return monitor_deployment(context, &deployment, verbose).await;
        }
        return Ok(if failed { PLACEMENT_FAILED } else { 0 });
    }
}

/// Prints what happens until the evaluation has ended.
async fn follow(context: &Context, id: &str, verbose: bool) -> Result<Evaluation> {
    let mut seen = Seen::default();
    let mut errors = 0;
    loop {
        // Every turn shows both halves, so that lines come in their order.
        let step = async {
            let plain = QueryOptions::new();
            let (eval, eval_meta) = context.client.evaluation(id, &plain).await?;
            let (allocs, alloc_meta) = context.client.evaluation_allocations(id, &plain).await?;
            Ok::<_, nomad_api::ClientError>((eval, eval_meta.index, allocs, alloc_meta.index))
        };
        let (eval, eval_index, allocs, alloc_index) = match step.await {
            Ok(answers) => {
                errors = 0;
                answers
            }
            Err(error) if error.is_not_found() || errors >= MAX_ERRORS => {
                return Err(error).context("Error reading evaluation");
            }
            Err(_) => {
                errors += 1;
                tokio::time::sleep(error_pause(errors)).await;
                continue;
            }
        };
        for line in seen.update(&eval, &allocs, verbose) {
            detail(context, &line);
        }
        if eval.terminal() {
            return Ok(eval);
        }
        let eval_wait = QueryOptions::new().after(eval_index, MAX_WAIT);
        let alloc_wait = QueryOptions::new().after(alloc_index, MAX_WAIT);
        tokio::select! {
            _ = context.client.evaluation(id, &eval_wait) => {}
            _ = context.client.evaluation_allocations(id, &alloc_wait) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alloc(id: &str, client_status: &str, create_index: u64) -> AllocListStub {
        AllocListStub {
            id: id.to_owned(),
            node_id: "7bff1d17-039a".to_owned(),
            task_group: "front".to_owned(),
            desired_status: "run".to_owned(),
            client_status: client_status.to_owned(),
            create_index,
            ..AllocListStub::default()
        }
    }

    #[test]
    fn each_change_is_told_once_and_in_order() {
        let mut seen = Seen::default();
        let mut eval = Evaluation {
            job_id: "web".into(),
            create_index: 10,
            ..Evaluation::default()
        };
        assert_eq!(
            seen.update(&eval, &[], false),
            ["Evaluation triggered by job \"web\""]
        );
        assert!(seen.update(&eval, &[], false).is_empty());
        eval.status = EvalStatus::Complete;
        let rows = [
            alloc("aaaaaaaa-1", "pending", 11),
            alloc("bbbbbbbb-1", "running", 9),
        ];
        assert_eq!(
            seen.update(&eval, &rows, false),
            [
                "Allocation \"aaaaaaaa\" created: node \"7bff1d17\", group \"front\"",
                "Allocation \"bbbbbbbb\" modified: node \"7bff1d17\", group \"front\"",
                "Evaluation status changed: \"pending\" -> \"complete\"",
            ]
        );
        assert_eq!(
            seen.update(&eval, &[alloc("aaaaaaaa-1", "running", 11)], false),
            ["Allocation \"aaaaaaaa\" status changed: \"pending\" -> \"running\""]
        );
    }

    #[test]
    fn failures_name_what_waits() {
        let mut eval = Evaluation::default();
        eval.failed_tg_allocs
            .insert("g".to_owned(), nomad_core::metric::AllocMetric::default());
        assert_eq!(
            failure_lines(&eval, false),
            [
                "Task Group \"g\" (failed to place 1 allocation):",
                "  * No nodes were eligible for evaluation"
            ]
        );
    }
}
