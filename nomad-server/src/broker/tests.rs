//! The broker's promises: order, one per job, delays, limits, and nothing lost or doubled.

use std::collections::BTreeMap;

use nomad_core::Uuid;
use proptest::prelude::*;

use super::*;

const T0: Timestamp = Timestamp(1_000_000_000_000);

fn id(number: u32) -> EvalId {
    let mut bytes = [0; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    EvalId(Uuid(bytes))
}

fn eval(number: u32, job: &str, priority: i32) -> Evaluation {
    Evaluation {
        id: id(number),
        namespace: "default".into(),
        job_id: job.into(),
        priority,
        create_index: u64::from(number),
        modify_index: u64::from(number),
        ..Evaluation::default()
    }
}

struct Bench {
    broker: Broker,
    now: Timestamp,
    requests: u64,
}

impl Bench {
    fn new() -> Self {
        Self {
            broker: Broker::new(BrokerConfig::default()),
            now: T0,
            requests: 0,
        }
    }

    fn send(&mut self, event: Event) -> Vec<Action> {
        self.broker.handle(event, self.now)
    }

    fn enqueue(&mut self, eval: Evaluation) {
        let eval = Arc::new(eval);
        assert!(self.send(Event::Enqueue { eval, token: None }).is_empty());
    }

    /// Asks for any evaluation, and withdraws if there is none.
    fn dequeue(&mut self) -> Option<Delivery> {
        self.requests += 1;
        let request = RequestId(self.requests);
        let actions = self.send(Event::Dequeue {
            request,
            types: JobTypes::ALL,
        });
        let delivery = actions.into_iter().find_map(|action| match action {
            Action::Deliver { delivery, .. } => Some(delivery),
            Action::GiveUp { .. } => None,
        });
        if delivery.is_none() {
            self.send(Event::Withdraw { request });
        }
        delivery
    }

    fn ack(&mut self, delivery: &Delivery) {
        self.send(Event::Ack {
            eval: delivery.eval.id,
            token: delivery.token,
        });
    }

    fn nack(&mut self, delivery: &Delivery) -> Vec<Action> {
        self.send(Event::Nack {
            eval: delivery.eval.id,
            token: delivery.token,
        })
    }

    fn pass(&mut self, span: Nanos) -> Vec<Action> {
        self.now = self.now + span;
        self.send(Event::Tick)
    }
}

#[test]
fn priority_goes_first_then_age_across_types() {
    let mut bench = Bench::new();
    bench.enqueue(eval(2, "b", 50));
    bench.enqueue(Evaluation {
        job_type: JobType::Batch,
        ..eval(1, "a", 50)
    });
    bench.enqueue(Evaluation {
        job_type: JobType::System,
        ..eval(3, "c", 70)
    });
    let order: Vec<_> = std::iter::from_fn(|| bench.dequeue())
        .map(|d| d.eval.id)
        .collect();
    assert_eq!(order, [id(3), id(1), id(2)]);
}

#[test]
fn workers_get_only_the_types_they_ask_for_and_wait_for_them() {
    let mut bench = Bench::new();
    bench.enqueue(eval(1, "a", 50));
    let request = RequestId(9);
    let types = JobTypes::of([JobType::Batch]);
    assert!(bench.send(Event::Dequeue { request, types }).is_empty());
    let batch = Arc::new(Evaluation {
        job_type: JobType::Batch,
        ..eval(2, "b", 1)
    });
    let actions = bench.send(Event::Enqueue {
        eval: batch,
        token: None,
    });
    assert!(
        matches!(&actions[..], [Action::Deliver { request: RequestId(9), delivery }] if delivery.eval.id == id(2))
    );
}

#[test]
fn one_per_job_is_in_flight_and_the_newest_other_supersedes_the_rest() {
    let mut bench = Bench::new();
    for number in 1..=4 {
        bench.enqueue(eval(number, "a", 50));
    }
    let first = bench.dequeue().unwrap();
    assert_eq!(first.eval.id, id(1));
    assert!(bench.dequeue().is_none());
    assert_eq!(bench.broker.stats().pending, 3);
    bench.ack(&first);
    let cancelled: Vec<_> = bench
        .broker
        .take_cancelable()
        .iter()
        .map(|eval| eval.id)
        .collect();
    assert_eq!(cancelled, [id(3), id(2)]);
    let second = bench.dequeue().unwrap();
    assert_eq!(second.eval.id, id(4));
    bench.ack(&second);
    assert_eq!(bench.broker.stats(), BrokerStats::default());
}

#[test]
fn failures_are_delayed_and_then_given_up() {
    let mut bench = Bench::new();
    bench.enqueue(eval(1, "a", 50));
    for delay in [1, 20] {
        let delivery = bench.dequeue().unwrap();
        assert!(bench.nack(&delivery).is_empty());
        bench.pass(Nanos(Nanos::secs(delay).0 - 1));
        assert!(bench.dequeue().is_none(), "too early");
        bench.pass(Nanos(1));
    }
    let last = bench.dequeue().unwrap();
    assert_eq!(last.dequeues, 3);
    let actions = bench.nack(&last);
    let [Action::GiveUp { delivery }] = &actions[..] else {
        panic!("{actions:?}")
    };
    // Its job stays taken until it is marked failed.
    bench.enqueue(eval(2, "a", 50));
    assert!(bench.dequeue().is_none());
    bench.ack(delivery);
    assert_eq!(bench.dequeue().unwrap().eval.id, id(2));
}

#[test]
fn a_silent_worker_loses_its_evaluation_unless_its_plan_is_queued() {
    let mut bench = Bench::new();
    bench.enqueue(eval(1, "a", 50));
    let delivery = bench.dequeue().unwrap();
    let (eval, token) = (delivery.eval.id, delivery.token);
    bench.send(Event::PauseTimer { eval, token });
    bench.pass(Nanos::mins(10));
    assert!(bench.broker.is_outstanding(eval, token));
    bench.send(Event::Extend { eval, token });
    bench.pass(Nanos::secs(59));
    assert!(bench.broker.is_outstanding(eval, token));
    bench.pass(Nanos::secs(1));
    assert!(!bench.broker.is_outstanding(eval, token));
    bench.ack(&delivery);
    bench.pass(Nanos::secs(1));
    assert_eq!(
        bench.dequeue().unwrap().dequeues,
        2,
        "a late ack counts for nothing"
    );
}

#[test]
fn waiting_evaluations_come_when_due() {
    let mut bench = Bench::new();
    bench.enqueue(Evaluation {
        wait_until: T0 + Nanos::secs(30),
        ..eval(1, "a", 50)
    });
    assert_eq!(bench.broker.next_wake(), Some(T0 + Nanos::secs(30)));
    bench.enqueue(eval(2, "a", 50));
    let other = bench.dequeue().unwrap();
    assert_eq!(
        other.eval.id,
        id(2),
        "a waiting evaluation does not hold the job"
    );
    bench.ack(&other);
    bench.pass(Nanos::secs(30));
    assert_eq!(bench.dequeue().unwrap().eval.id, id(1));
}

#[test]
fn woken_while_in_flight_is_queued_again_on_ack_only() {
    for acked in [true, false] {
        let mut bench = Bench::new();
        bench.enqueue(eval(1, "a", 50));
        let delivery = bench.dequeue().unwrap();
        let again = Arc::new(Evaluation {
            snapshot_index: 7,
            ..eval(1, "a", 50)
        });
        bench.send(Event::Enqueue {
            eval: again,
            token: Some(delivery.token),
        });
        if acked {
            bench.ack(&delivery);
            let next = bench.dequeue().unwrap();
            assert_eq!((next.eval.snapshot_index, next.dequeues), (7, 1));
        } else {
            bench.nack(&delivery);
            bench.pass(Nanos::secs(1));
            assert_eq!(bench.dequeue().unwrap().eval.snapshot_index, 0);
        }
    }
}

#[test]
fn ended_evaluations_leave_and_make_room() {
    let mut bench = Bench::new();
    bench.enqueue(eval(1, "a", 50));
    bench.enqueue(eval(2, "a", 50));
    bench.enqueue(eval(3, "a", 50));
    bench.send(Event::Ended { eval: id(2) });
    bench.send(Event::Ended { eval: id(1) });
    assert_eq!(bench.dequeue().unwrap().eval.id, id(3));
    assert!(bench.broker.take_cancelable().is_empty());
}

/// Steps of a random history; numbers pick among what is there.
#[derive(Debug, Clone)]
enum Step {
    Enqueue { job: u8, priority: u8, wait: u8 },
    Dequeue,
    Ack(usize),
    Nack(usize),
    End(u32),
    Pass(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u8, 1..4_u8, 0..3_u8)
            .prop_map(|(job, priority, wait)| Step::Enqueue { job, priority, wait }),
        4 => Just(Step::Dequeue),
        3 => (0..8_usize).prop_map(Step::Ack),
        2 => (0..8_usize).prop_map(Step::Nack),
        1 => (0..40_u32).prop_map(Step::End),
        2 => (0..70_u8).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn nothing_is_lost_and_no_job_is_in_flight_twice(steps in prop::collection::vec(step(), 1..80)) {
        let mut bench = Bench::new();
        let mut open: BTreeMap<EvalId, &'static str> = BTreeMap::new();
        let mut held: Vec<Delivery> = Vec::new();
        let mut made = 0;
        let note = |open: &mut BTreeMap<EvalId, &'static str>, held: &mut Vec<Delivery>, actions: Vec<Action>| {
            for action in actions {
                match action {
                    Action::GiveUp { delivery } => held.push(delivery),
                    Action::Deliver { delivery, .. } => held.push(delivery),
                }
            }
            let _ = open;
        };
        for step in steps {
            match step {
                Step::Enqueue { job, priority, wait } => {
                    made += 1;
                    let wait_until = if wait == 0 {
                        Timestamp::ZERO
                    } else {
                        bench.now + Nanos::secs(i64::from(wait) * 10)
                    };
                    let new = Evaluation {
                        wait_until,
                        ..eval(made, &format!("job{job}"), i32::from(priority))
                    };
                    open.insert(new.id, "queued");
                    bench.enqueue(new);
                }
                Step::Dequeue => held.extend(bench.dequeue()),
                Step::Ack(at) if !held.is_empty() => {
                    let delivery = held.remove(at % held.len());
                    if bench.broker.is_outstanding(delivery.eval.id, delivery.token) {
                        open.remove(&delivery.eval.id);
                    }
                    bench.ack(&delivery);
                }
                Step::Nack(at) if !held.is_empty() => {
                    let delivery = held.remove(at % held.len());
                    let actions = bench.nack(&delivery);
                    note(&mut open, &mut held, actions);
                }
                Step::End(number) => {
                    let in_flight = held.iter().any(|d| {
                        d.eval.id == id(number) && bench.broker.is_outstanding(id(number), d.token)
                    });
                    bench.send(Event::Ended { eval: id(number) });
                    if !in_flight {
                        open.remove(&id(number));
                    }
                }
                Step::Pass(secs) => {
                    let actions = bench.pass(Nanos::secs(i64::from(secs)));
                    note(&mut open, &mut held, actions);
                }
                Step::Ack(_) | Step::Nack(_) => {}
            }
            for cancelled in bench.broker.take_cancelable() {
                prop_assert!(open.remove(&cancelled.id).is_some(), "cancelled twice or after its end");
            }
            let mut jobs = BTreeMap::new();
            for delivery in &held {
                if bench.broker.is_outstanding(delivery.eval.id, delivery.token) {
                    let before = jobs.insert(delivery.eval.job_id.clone(), delivery.eval.id);
                    prop_assert_eq!(before, None, "two in flight for one job");
                }
            }
            let stats = bench.broker.stats();
            let queued = stats.ready + stats.pending + stats.waiting + stats.unacked;
            prop_assert_eq!(queued, open.len());
        }
        // Drain: with workers that succeed, everything ends.
        for delivery in std::mem::take(&mut held) {
            bench.ack(&delivery);
        }
        for _ in 0..400 {
            if let Some(delivery) = bench.dequeue() {
                bench.ack(&delivery);
            } else {
                for action in bench.pass(Nanos::secs(90)) {
                    if let Action::GiveUp { delivery } = action {
                        bench.ack(&delivery);
                    }
                }
            }
            bench.broker.take_cancelable();
        }
        prop_assert_eq!(bench.broker.stats(), BrokerStats::default());
        prop_assert!(bench.broker.jobs.is_empty() && bench.broker.known.is_empty() && bench.broker.due.is_empty());
    }
}
