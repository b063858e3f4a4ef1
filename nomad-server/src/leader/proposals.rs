//! Changes that the leader's loop proposed, and what to do when they are committed or not.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::{FuturesUnordered, Stream};
use nomad_core::{DeploymentId, EvalId, JobKey, NodeId, Timestamp};
use nomad_state::Applied;

use crate::broker::Token;
use crate::error::ServerError;

/// Why a change was proposed.
#[derive(Debug, Clone)]
pub(super) enum Purpose {
    /// A new cluster gets its id and configuration.
    Found,
    /// Needless evaluations are marked cancelled.
    Cancel,
    /// An evaluation is given up.
    GiveUp { eval: EvalId, token: Token },
    /// A deployment is moved on.
    Deployment { id: DeploymentId },
    /// Allocations on draining nodes are marked.
    DrainMark,
    /// A drain has ended.
    DrainComplete { node: NodeId },
    /// Garbage is collected.
    Collect,
    /// A periodic job is launched.
    Launch { key: JobKey, at: Timestamp },
    /// A node did not show up.
    NodeMissed { node: NodeId },
}

/// A proposal that has its answer.
pub(super) struct Settled {
    pub(super) purpose: Purpose,
    pub(super) outcome: Result<(), ServerError>,
}

type Future = Pin<Box<dyn std::future::Future<Output = Settled> + Send>>;

/// Proposals under way.
#[derive(Default)]
pub(super) struct Proposals {
    running: FuturesUnordered<Future>,
    /// One batch of cancellations at a time.
    pub(super) cancelling: bool,
}

impl Proposals {
    pub(super) fn add(
        &mut self,
        purpose: Purpose,
        proposal: impl std::future::Future<Output = Result<Applied, ServerError>> + Send + 'static,
    ) {
        self.add_task(purpose, async move { proposal.await.map(|_| ()) });
    }

    /// Something that proposes more than one change.
    pub(super) fn add_task(
        &mut self,
        purpose: Purpose,
        task: impl std::future::Future<Output = Result<(), ServerError>> + Send + 'static,
    ) {
        self.running.push(Box::pin(async move {
            let outcome = task.await;
            Settled { purpose, outcome }
        }));
    }

    /// The next that settles; waits forever where none is under way.
    pub(super) async fn next(&mut self) -> Settled {
        std::future::poll_fn(|context: &mut Context<'_>| {
            match Pin::new(&mut self.running).poll_next(context) {
                Poll::Ready(Some(settled)) => Poll::Ready(settled),
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}
