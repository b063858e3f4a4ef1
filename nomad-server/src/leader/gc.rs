//! Collecting garbage: on a thread of its own, so that looking at everything holds up nobody.

use std::sync::Arc;

use nomad_core::Timestamp;
use nomad_state::State;
use tokio::sync::oneshot;

use super::proposals::Purpose;
use super::run::LeaderLoop;
use crate::error::ServerError;
use crate::gc::{GcConfig, collect};
use crate::server::Inner;

impl LeaderLoop {
    pub(super) fn collect_garbage(&mut self, now: Timestamp) {
        if !self.gc.tick(now) {
            return;
        }
        let inner = Arc::clone(&self.inner);
        let (state, config) = (self.state.clone(), self.inner.config.gc.clone());
        self.proposals.add_task(Purpose::Collect, async move {
            run(&inner, state, config, now).await
        });
    }

    /// A collection that somebody asked for: keeps nothing that may go.
    pub(super) fn collect_at_once(&mut self, reply: oneshot::Sender<Result<(), ServerError>>) {
        let inner = Arc::clone(&self.inner);
        let (state, config) = (self.state.clone(), self.inner.config.gc.at_once());
        let now = self.now();
        tokio::spawn(async move {
            let _ = reply.send(run(&inner, state, config, now).await);
        });
    }
}

async fn run(
    inner: &Inner,
    state: State,
    config: GcConfig,
    now: Timestamp,
) -> Result<(), ServerError> {
    let garbage = tokio::task::spawn_blocking(move || collect(&state, &config, now))
        .await
        .map_err(|error| ServerError::internal(format!("garbage collection failed: {error}")))?;
    if garbage.is_empty() {
        return Ok(());
    }
    tracing::info!(
        jobs = garbage.jobs.len(),
        evals = garbage.evals.len(),
        allocs = garbage.allocs.len(),
        deployments = garbage.deployments.len(),
        nodes = garbage.nodes.len(),
        "collecting garbage"
    );
    for command in garbage.commands() {
        match inner.propose(command).await {
            Ok(_) => {}
            // It changed meanwhile; the next collection looks again.
            Err(ServerError::State(error)) => tracing::debug!(%error, "not collected"),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
