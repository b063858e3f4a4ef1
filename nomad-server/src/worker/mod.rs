//! Workers: threads that take evaluations, schedule them, and submit the plans.

mod columns;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use nomad_core::eval::{EvalStatus, Evaluation};
use nomad_core::plan::{Plan, PlanResult};
use nomad_scheduler::{Attempt, EvalWrites, Step, Submission};
use nomad_state::State;
use nomad_state::command::EvalUpsert;
use tokio::sync::oneshot;

use self::columns::Follower;
use crate::broker::Delivery;
use crate::error::ServerError;
use crate::leader::LeaderHandle;
use crate::plan::{PlanAnswer, PlanRequest};
use crate::server::Inner;
use crate::telemetry::{eval_labels, invoke_metric, millis};

/// A thread that schedules.
pub(crate) struct Worker {
    inner: Arc<Inner>,
    runtime: tokio::runtime::Handle,
    follower: Follower,
    /// The same for all evaluations of a worker, so that what one learns of nodes serves the next; workers differ, so
    /// that they do not prefer the same of equal nodes.
    seed: u64,
}

impl Worker {
    pub(crate) fn new(inner: Arc<Inner>, runtime: tokio::runtime::Handle) -> Self {
        let follower = Follower::new(&inner);
        let seed = inner.ids.seed();
        Self {
            inner,
            runtime,
            follower,
            seed,
        }
    }

    /// Works until the server stops.
    pub(crate) fn run(mut self) {
        let runtime = self.runtime.clone();
        while let Some((leader, delivery)) = runtime.block_on(self.next()) {
            let began = Instant::now();
            let (eval, token) = (delivery.eval.id, delivery.token);
            let outcome = catch_unwind(AssertUnwindSafe(|| self.process(&leader, &delivery)));
            let outcome = outcome.unwrap_or_else(|panic| {
                // What the columns look like after a panic is anybody's guess.
                self.follower = Follower::new(&self.inner);
                Err(ServerError::internal(format!(
                    "the scheduler panicked: {}",
                    text_of(&*panic)
                )))
            });
            let answered = Instant::now();
            match outcome {
                Ok(()) => leader.ack(eval, token),
                Err(error) => {
                    tracing::warn!(%eval, job = %delivery.eval.job_id, %error, "evaluation failed, it will be tried again");
                    leader.nack(eval, token);
                }
            }
            let took = millis(answered.elapsed());
            metrics::histogram!("nomad.nomad.worker.send_ack").record(took);
            metrics::histogram!("nomad.nomad.eval.ack").record(took);
            metrics::histogram!(
                "nomad.nomad.broker.process_time",
                eval_labels(&delivery.eval)
            )
            .record(millis(began.elapsed()));
        }
    }

    /// Waits for an evaluation, following the state meanwhile.
    async fn next(&mut self) -> Option<(LeaderHandle, Delivery)> {
        let mut leaders = self.inner.leader.subscribe();
        loop {
            let leader = leaders.borrow_and_update().clone();
            let request = leader
                .as_ref()
                .map(|leader| leader.dequeue(self.inner.config.schedulers));
            let has_leader = request.is_some();
            let mut delivered = std::pin::pin!(async {
                match request {
                    Some(request) => request.await,
                    None => None,
                }
            });
            loop {
                tokio::select! {
                    biased;
                    () = self.inner.stop.cancelled() => return None,
                    delivery = &mut delivered, if has_leader => match (leader.clone(), delivery) {
                        (Some(leader), Some(delivery)) => return Some((leader, delivery)),
                        // The leader's loop ended; wait for the next one.
                        _ => {
                            leaders.changed().await.ok()?;
                            break;
                        }
                    },
                    changed = leaders.changed(), if !has_leader => {
                        changed.ok()?;
                        break;
                    }
                    () = self.follower.follow() => {}
                }
            }
        }
    }

    fn process(&mut self, leader: &LeaderHandle, delivery: &Delivery) -> Result<(), ServerError> {
        let eval = &delivery.eval;
        let began = Instant::now();
        let mut attempt = Attempt::new(Evaluation::clone(eval));
        let mut least = eval.modify_index;
        loop {
            let (state, columns) = self.follower.at(least);
            let now = self.inner.clock.now();
            let mut ids = self.inner.ids.clone();
            let step = attempt.next(&state, columns, now, self.seed, &mut ids);
            metrics::histogram!(invoke_metric(eval)).record(millis(began.elapsed()));
            match step {
                Step::Done(writes) => return self.finish(leader, delivery, &state, writes),
                Step::Submit(submission) => {
                    let finish = self.last_words(&attempt, &state, &submission.plan);
                    let answer = self.submit(leader, delivery, &state, submission, finish)?;
                    attempt.plan_applied(&answer.result);
                    if answer.finished {
                        return Ok(());
                    }
                    least = answer.result.refresh_index.max(answer.result.alloc_index);
                }
            }
        }
    }

    /// What would be written about the evaluation if the plan were committed whole, so that it can go with it.
    fn last_words(&self, attempt: &Attempt, state: &State, plan: &Plan) -> Vec<Evaluation> {
        let mut attempt = attempt.clone();
        attempt.plan_applied(&committed_whole(plan));
        let now = self.inner.clock.now();
        let mut ids = self.inner.ids.clone();
        match attempt.next(state, None, now, 0, &mut ids) {
            Step::Done(writes) if writes.reblock.is_none() => {
                let mut evals = writes.create;
                evals.push(writes.update);
                self.stamp(state, evals)
            }
            _ => Vec::new(),
        }
    }

    fn stamp(&self, state: &State, mut evals: Vec<Evaluation>) -> Vec<Evaluation> {
        let now = self.inner.clock.now();
        for eval in &mut evals {
            // The scheduler noted what a blocked evaluation was judged by. `state` may be newer by now, and whatever
            // became free in between would never wake it.
            if eval.status != EvalStatus::Blocked || eval.snapshot_index == 0 {
                eval.snapshot_index = state.last_index();
            }
            eval.modify_time = now;
            if eval.create_time.is_zero() {
                eval.create_time = now;
            }
        }
        evals
    }

    fn submit(
        &self,
        leader: &LeaderHandle,
        delivery: &Delivery,
        state: &State,
        submission: Submission,
        finish: Vec<Evaluation>,
    ) -> Result<PlanAnswer, ServerError> {
        let (eval, token) = (delivery.eval.id, delivery.token);
        let began = Instant::now();
        let (reply, answer) = oneshot::channel();
        let mut plan = submission.plan;
        plan.snapshot_index = state.last_index();
        let request = PlanRequest {
            plan,
            create: self.stamp(state, submission.create),
            finish,
            reply,
        };
        let answer = self.runtime.block_on(async {
            if !leader.pause_timer(eval, token).await {
                return Err(ServerError::refused("the evaluation was taken away"));
            }
            let stopped = || ServerError::Stopped {
                reason: "the plan applier has ended".into(),
            };
            self.inner
                .plans
                .send(request)
                .await
                .map_err(|_| stopped())?;
            answer.await.map_err(|_| stopped())?
        });
        leader.extend(eval, token);
        let took = millis(began.elapsed());
        metrics::histogram!("nomad.nomad.plan.submit").record(took);
        metrics::histogram!("nomad.nomad.worker.submit_plan").record(took);
        answer
    }

    /// Writes the result of an evaluation.
    fn finish(
        &self,
        leader: &LeaderHandle,
        delivery: &Delivery,
        state: &State,
        writes: EvalWrites,
    ) -> Result<(), ServerError> {
        let mut evals = writes.create;
        let reblock = match writes.reblock {
            None => {
                evals.push(writes.update);
                None
            }
            Some(again) => {
                let again = self.stamp(state, vec![again]).pop();
                let again = again.map(|eval| Evaluation {
                    status: EvalStatus::Blocked,
                    ..eval
                });
                // The row says the same except for its snapshot: nothing worth an entry in the log.
                let changed = again.as_ref().is_some_and(|again| {
                    again.queued_allocations != delivery.eval.queued_allocations
                });
                evals.extend(again.clone().filter(|_| changed));
                again
            }
        };
        if !evals.is_empty() {
            let evals = self.stamp(state, evals);
            let command = EvalUpsert {
                evals,
                now: self.inner.clock.now(),
            };
            self.runtime.block_on(self.inner.propose(command))?;
        }
        if let Some(eval) = reblock {
            leader.reblock(Arc::new(eval), delivery.token);
        }
        Ok(())
    }
}

/// The answer to a plan of which everything fits.
fn committed_whole(plan: &Plan) -> PlanResult {
    PlanResult {
        node_update: plan.node_update.clone(),
        node_allocation: plan.node_allocation.clone(),
        node_preemptions: plan.node_preemptions.clone(),
        deployment: plan.deployment.clone(),
        deployment_updates: plan.deployment_updates.clone(),
        alloc_index: plan.snapshot_index + 1,
        ..PlanResult::default()
    }
}

/// What a panic said.
fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}
