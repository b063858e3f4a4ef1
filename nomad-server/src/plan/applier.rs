//! The plan applier: a thread that verifies queued plans and commits them, many in one log entry. While an entry is
//! being committed the next one is verified on top of it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use nomad_core::Clock;
use nomad_core::eval::Evaluation;
use nomad_core::plan::{Plan, PlanResult};
use nomad_raft::Raft;
use nomad_scheduler::Overlay;
use nomad_state::command::{AppliedPlan, PlanResults};
use nomad_state::{Command, State, Store};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::applied::applied_plan;
use super::verify::{Verdict, verify};
use crate::config::{MAX_PLACEMENTS_PER_ENTRY, MAX_PLANS_PER_ENTRY, PLAN_QUEUE};
use crate::error::ServerError;
use crate::fsm::Output;
use crate::ids::SharedIds;
use crate::telemetry::millis;

/// A plan to be committed.
#[derive(Debug)]
pub(crate) struct PlanRequest {
    pub(crate) plan: Plan,
    /// Evaluations that its allocations refer to; written with whatever fits.
    pub(crate) create: Vec<Evaluation>,
    /// The last words about its evaluation, written in the same entry if everything fits.
    pub(crate) finish: Vec<Evaluation>,
    pub(crate) reply: oneshot::Sender<Result<PlanAnswer, ServerError>>,
}

/// What became of a plan.
#[derive(Debug)]
pub(crate) struct PlanAnswer {
    pub(crate) result: PlanResult,
    /// Whether the last words were written too.
    pub(crate) finished: bool,
}

/// What the applier works with.
pub(crate) struct Applier {
    pub(crate) store: Arc<Store>,
    pub(crate) raft: Raft<Output>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: SharedIds,
    pub(crate) runtime: tokio::runtime::Handle,
}

/// An entry that is being committed.
struct Flight {
    results: Vec<PlanResult>,
    /// Its index, or nothing if it failed.
    done: JoinHandle<Option<u64>>,
}

/// A verified plan.
struct Ready {
    request: PlanRequest,
    verdict: Verdict,
}

impl Applier {
    /// Works until all senders are gone.
    pub(crate) fn run(mut self, mut requests: mpsc::Receiver<PlanRequest>) {
        let mut queue = Queue::default();
        let mut flight: Option<Flight> = None;
        loop {
            if queue.is_empty() {
                match requests.blocking_recv() {
                    Some(request) => queue.push(request),
                    None => return,
                }
            }
            while queue.len() < PLAN_QUEUE
                && let Ok(request) = requests.try_recv()
            {
                queue.push(request);
            }
            metrics::gauge!("nomad.nomad.plan.queue_depth").set(queue.len() as f64);

            let batch = queue.take_batch();
            let mut state = self.store.snapshot();
            let mut ready = evaluate(&state, flight.as_ref(), batch);
            if let Some(Flight { done, .. }) = flight.take() {
                match self.runtime.block_on(done).ok().flatten() {
                    // A refused plan may have lost against this entry: try again on a state that contains it.
                    Some(index) => {
                        for Ready { verdict, .. } in
                            ready.iter_mut().filter(|r| !r.verdict.is_full())
                        {
                            verdict.result.refresh_index = verdict.result.refresh_index.max(index);
                        }
                    }
                    // What was assumed did not happen.
                    None => {
                        state = self.store.snapshot();
                        let batch = ready.into_iter().map(|ready| ready.request).collect();
                        ready = evaluate(&state, None, batch);
                    }
                }
            }
            flight = self.commit(&state, ready);
        }
    }

    /// Puts what fits into one entry, answers the rest.
    fn commit(&mut self, state: &State, ready: Vec<Ready>) -> Option<Flight> {
        let now = self.clock.now();
        let mut plans: Vec<AppliedPlan> = Vec::new();
        let mut waiting = Vec::new();
        let mut results = Vec::new();
        for Ready { request, verdict } in ready {
            let full = verdict.is_full();
            let PlanRequest {
                plan,
                create,
                finish,
                reply,
            } = request;
            for (node, reason) in &verdict.rejected {
                metrics::counter!("nomad.nomad.plan.node_rejected").increment(1);
                tracing::debug!(eval = %plan.eval_id, %node, reason, "plan refused for node");
            }
            let result = verdict.result;
            let mut evals = if full || !is_empty(&result) {
                create
            } else {
                Vec::new()
            };
            let finished = full && !finish.is_empty();
            if full {
                evals.extend(finish);
            }
            if is_empty(&result) && evals.is_empty() {
                let _ = reply.send(Ok(PlanAnswer {
                    result,
                    finished: false,
                }));
                continue;
            }
            plans.push(applied_plan(
                state,
                &plan,
                &result,
                evals,
                now,
                &mut self.ids,
            ));
            results.push(result.clone());
            waiting.push((reply, result, full, finished));
        }
        if plans.is_empty() {
            return None;
        }
        let began = Instant::now();
        let command = Command::from(PlanResults { plans, now });
        let proposed = self.raft.propose_ordered(Bytes::from(command.encode()));
        let done = self.runtime.spawn(async move {
            let outcome = match proposed {
                Ok(committed) => committed.await.map_err(ServerError::from),
                Err(error) => Err(ServerError::from(error)),
            };
            let outcome = outcome.and_then(|applied| {
                applied
                    .output
                    .map(|output| output.index)
                    .map_err(ServerError::from)
            });
            metrics::histogram!("nomad.nomad.plan.apply").record(millis(began.elapsed()));
            let index = outcome.as_ref().ok().copied();
            for (reply, mut result, full, finished) in waiting {
                let answer = outcome.clone().map(|index| {
                    result.alloc_index = index;
                    if !full {
                        result.refresh_index = result.refresh_index.max(index);
                    }
                    PlanAnswer { result, finished }
                });
                // A worker that stopped waiting has given its evaluation up.
                let _ = reply.send(answer);
            }
            index
        });
        Some(Flight { results, done })
    }
}

/// Verifies plans in order, each on top of those before it and of the entry in flight.
fn evaluate(state: &State, flight: Option<&Flight>, batch: Vec<PlanRequest>) -> Vec<Ready> {
    let mut overlay = Overlay::default();
    for result in flight.into_iter().flat_map(|flight| &flight.results) {
        overlay.add(result);
    }
    batch
        .into_iter()
        .map(|request| {
            let began = Instant::now();
            let verdict = verify(state, &request.plan, &overlay);
            overlay.add(&verdict.result);
            metrics::histogram!("nomad.nomad.plan.evaluate").record(millis(began.elapsed()));
            Ready { request, verdict }
        })
        .collect()
}

fn is_empty(result: &PlanResult) -> bool {
    result.node_update.is_empty()
        && result.node_allocation.is_empty()
        && result.node_preemptions.is_empty()
        && result.deployment.is_none()
        && result.deployment_updates.is_empty()
}

/// Plans by priority, then age.
#[derive(Default)]
struct Queue {
    heap: BinaryHeap<Queued>,
    count: u64,
}

struct Queued {
    number: u64,
    request: PlanRequest,
}

impl Queue {
    fn push(&mut self, request: PlanRequest) {
        self.count += 1;
        self.heap.push(Queued {
            number: self.count,
            request,
        });
    }

    fn len(&self) -> usize {
        self.heap.len()
    }

    fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    fn take_batch(&mut self) -> Vec<PlanRequest> {
        let mut batch = Vec::new();
        let mut placements = 0;
        while batch.len() < MAX_PLANS_PER_ENTRY
            && let Some(next) = self.heap.peek()
        {
            let size: usize = next
                .request
                .plan
                .node_allocation
                .values()
                .map(Vec::len)
                .sum();
            placements += size;
            if !batch.is_empty() && placements > MAX_PLACEMENTS_PER_ENTRY {
                break;
            }
            batch.extend(self.heap.pop().map(|queued| queued.request));
        }
        batch
    }
}

impl Queued {
    fn rank(&self) -> (i32, std::cmp::Reverse<u64>) {
        (self.request.plan.priority, std::cmp::Reverse(self.number))
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}
