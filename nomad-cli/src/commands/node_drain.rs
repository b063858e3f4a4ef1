//! `node drain`: moves work away from a node, and follows it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use clap::Args;
use nomad_api::client::QueryOptions;
use nomad_api::types::{AllocListStub, DrainSpec, NodeDrainRequest};
use nomad_core::Nanos;
use nomad_core::time::parse_go_duration;

use super::shared::confirm;
use crate::command::Verb;
use crate::context::{Context, now, usage};
use crate::format::time;
use crate::monitor::MAX_WAIT;
use crate::resolve;

/// Flags of `node drain`.
#[derive(Debug, Args)]
pub struct NodeDrain {
    /// Drain the node.
    #[arg(long)]
    pub enable: bool,
    /// Take the drain back.
    #[arg(long)]
    pub disable: bool,
    /// Only follow a drain that goes on.
    #[arg(long)]
    pub monitor: bool,
    /// After this time what is left is stopped.
    #[arg(long, value_name = "duration", default_value = "1h")]
    pub deadline: String,
    /// Stop everything at once.
    #[arg(long)]
    pub force: bool,
    /// Wait as long as it takes.
    #[arg(long)]
    pub no_deadline: bool,
    /// Do not follow the drain.
    #[arg(long)]
    pub detach: bool,
    /// Leave allocations of system jobs where they are.
    #[arg(long)]
    pub ignore_system: bool,
    /// With -disable: let no new work go to the node yet.
    #[arg(long)]
    pub keep_ineligible: bool,
    /// Why, for others to read.
    #[arg(long, value_name = "text")]
    pub m: Option<String>,
    /// Metadata of the drain: key=value. May be given several times.
    #[arg(long, value_name = "key=value")]
    pub meta: Vec<String>,
    /// The node of the agent itself.
    #[arg(long = "self")]
    pub own: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
}

impl Verb for NodeDrain {
    const ARGUMENTS: &'static str = "<node>";
    const ARITY: (usize, usize) = (0, 1);
    const ABOUT: &'static str =
        "Moves the work of a node to others, as fast as the jobs allow, and follows it.";

    async fn run(self, context: Context) -> Result<i32> {
        let modes = [self.enable, self.disable, self.monitor];
        if modes.iter().filter(|mode| **mode).count() != 1 {
            return usage(
                "Either the '-enable' or '-disable' flag must be set, unless using '-monitor'",
            );
        }
        if self.own != context.args.is_empty() {
            return usage("Node ID must be specified if -self isn't being used");
        }
        if self.force && self.no_deadline {
            return usage("-force and -no-deadline exclude each other");
        }
        let deadline = match (self.force, self.no_deadline) {
            (true, _) => Nanos::secs(-1),
            (_, true) => Nanos::ZERO,
            _ => match parse_go_duration(&self.deadline) {
                Some(span) if span.0 > 0 => span,
                _ => return usage(format!("Failed to parse deadline {:?}", self.deadline)),
            },
        };
        let id = if self.own {
            resolve::own_node(&context).await?
        } else {
            resolve::node_id(&context, context.arg(0)).await?
        };
        if self.monitor {
            return follow(&context, &id, self.ignore_system).await;
        }
        if !self.yes && !self.own && id != context.arg(0) {
            let verb = if self.enable { "enable" } else { "disable" };
            let question =
                format!("Are you sure you want to {verb} drain mode for node {id:?}? [y/N]");
            if !confirm(&context, &question, "Canceling drain toggle")? {
                return Ok(0);
            }
        }
        let request = self.request(&id, deadline)?;
        context
            .client
            .drain_node(&request, &QueryOptions::new())
            .await
            .context("Error updating drain specification")?;
        if self.disable {
            context.ui.out(format!("Node {id:?} drain strategy unset"));
            return Ok(0);
        }
        if self.detach {
            context.ui.out(format!("Node {id:?} drain strategy set"));
            return Ok(0);
        }
        line(
            &context,
            "Ctrl-C to stop monitoring: will not cancel the node drain",
        );
        line(&context, &format!("Node {id:?} drain strategy set"));
        follow(&context, &id, self.ignore_system).await
    }
}

impl NodeDrain {
    fn request(&self, id: &str, deadline: Nanos) -> Result<NodeDrainRequest> {
        let mut request = NodeDrainRequest {
            node_id: id.to_owned(),
            mark_eligible: self.disable && !self.keep_ineligible,
            ..NodeDrainRequest::default()
        };
        if self.enable {
            request.drain_spec = Some(DrainSpec {
                deadline,
                ignore_system_jobs: self.ignore_system,
            });
        }
        for pair in &self.meta {
            let Some((key, value)) = pair.split_once('=') else {
                return usage(format!("Invalid metadata {pair:?}: want key=value"));
            };
            request.meta.insert(key.to_owned(), value.to_owned());
        }
        if let Some(text) = &self.m {
            let key = if self.enable {
                "message"
            } else {
                "cancel_message"
            };
            request.meta.insert(key.to_owned(), text.clone());
        }
        Ok(request)
    }
}

fn line(context: &Context, text: &str) {
    context.ui.out(format!("{}: {text}", time(now())));
}

/// What was told of an allocation.
#[derive(Debug, Default)]
struct Told {
    status: String,
    marked: bool,
    draining: bool,
}

/// What was told of a node's allocations. Pure: updates give the lines to print.
#[derive(Debug, Default)]
struct Drained {
    allocs: BTreeMap<String, Told>,
}

impl Drained {
    fn update(&mut self, rows: &[AllocListStub]) -> Vec<String> {
        let mut lines = Vec::new();
        for row in rows {
            let id = &row.id;
            let Some(told) = self.allocs.get_mut(id) else {
                // What had ended before is not told of.
                if ended(row) {
                    continue;
                }
                let mut told = Told {
                    status: row.client_status.clone(),
                    ..Told::default()
                };
                mark(&mut told, row, &mut lines);
                self.allocs.insert(id.clone(), told);
                continue;
            };
            mark(told, row, &mut lines);
            if told.status != row.client_status {
                lines.push(format!(
                    "Alloc {id:?} status {} -> {}",
                    told.status, row.client_status
                ));
                told.status = row.client_status.clone();
            }
        }
        lines
    }
}

fn mark(told: &mut Told, row: &AllocListStub, lines: &mut Vec<String>) {
    if row.desired_transition.should_migrate() && !told.marked {
        told.marked = true;
        lines.push(format!("Alloc {:?} marked for migration", row.id));
    }
    if row.desired_status != "run" && told.marked && !told.draining && !ended(row) {
        told.draining = true;
        lines.push(format!("Alloc {:?} draining", row.id));
    }
}

fn ended(row: &AllocListStub) -> bool {
    matches!(row.client_status.as_str(), "complete" | "failed" | "lost")
}

async fn follow(context: &Context, id: &str, ignore_system: bool) -> Result<i32> {
    tokio::select! {
        result = watch(context, id, ignore_system) => result,
        _ = tokio::signal::ctrl_c() => Ok(0),
    }
}

async fn watch(context: &Context, id: &str, ignore_system: bool) -> Result<i32> {
    let mut drained = Drained::default();
    let mut complete = false;
    loop {
        let plain = QueryOptions::new();
        let (node, node_meta) = context
            .client
            .node(id, &plain)
            .await
            .context("Error monitoring node")?;
        let (allocs, alloc_meta) = context
            .client
            .node_allocations(id, &plain)
            .await
            .context("Error monitoring allocations")?;
        if node.drain_strategy.is_none() && !complete {
            complete = true;
            line(context, &format!("Drain complete for node {id}"));
        }
        for text in drained.update(&allocs) {
            line(context, &text);
        }
        let left = allocs.iter().any(|alloc| {
            !ended(alloc)
                && (!ignore_system || !alloc.job_type.starts_with("sys"))
                && (alloc.desired_status != "run" || !complete)
        });
        if complete && !left {
            line(
                context,
                &format!("All allocations on node {id:?} have stopped"),
            );
            return Ok(0);
        }
        let node_wait = QueryOptions::new().after(node_meta.index, MAX_WAIT);
        let alloc_wait = QueryOptions::new().after(alloc_meta.index, MAX_WAIT);
        tokio::select! {
            _ = context.client.node(id, &node_wait), if !complete => {}
            _ = context.client.node_allocations(id, &alloc_wait) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_of_an_allocation_is_told_once() {
        let mut drained = Drained::default();
        let mut row = AllocListStub {
            id: "a".to_owned(),
            client_status: "running".to_owned(),
            desired_status: "run".to_owned(),
            ..AllocListStub::default()
        };
        assert!(drained.update(std::slice::from_ref(&row)).is_empty());
        row.desired_transition.migrate = Some(true);
        assert_eq!(
            drained.update(std::slice::from_ref(&row)),
            ["Alloc \"a\" marked for migration"]
        );
        row.desired_status = "stop".to_owned();
        assert_eq!(
            drained.update(std::slice::from_ref(&row)),
            ["Alloc \"a\" draining"]
        );
        row.client_status = "complete".to_owned();
        assert_eq!(
            drained.update(std::slice::from_ref(&row)),
            ["Alloc \"a\" status running -> complete"]
        );
        assert!(drained.update(&[row]).is_empty());
    }
}
