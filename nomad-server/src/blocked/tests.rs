//! Blocked evaluations wake for what could help, and for nothing else.

use nomad_core::Uuid;
use nomad_core::job::JobType;

use super::*;

const T0: Timestamp = Timestamp(1_000_000_000_000);

fn uuid(number: u8) -> Uuid {
    Uuid([number; 16])
}

fn node(number: u8) -> NodeId {
    NodeId(uuid(number))
}

fn eval(number: u8, job: &str) -> Evaluation {
    Evaluation {
        id: EvalId(uuid(number)),
        namespace: "default".into(),
        job_id: job.into(),
        create_index: 10,
        snapshot_index: 10,
        triggered_by: EvalTrigger::QueuedAllocs,
        ..Evaluation::default()
    }
}

fn knowing(number: u8, job: &str, classes: &[(&str, bool)]) -> Evaluation {
    Evaluation {
        class_eligibility: classes
            .iter()
            .map(|(class, fits)| ((*class).to_owned(), *fits))
            .collect(),
        ..eval(number, job)
    }
}

fn escaped(number: u8, job: &str) -> Evaluation {
    Evaluation {
        escaped_computed_class: true,
        ..eval(number, job)
    }
}

fn for_node(number: u8, job: &str, on: u8) -> Evaluation {
    Evaluation {
        job_type: JobType::System,
        node_id: Some(node(on)),
        ..eval(number, job)
    }
}

fn capacity(on: u8, class: &str, index: u64) -> Event {
    Event::NodeCapacity {
        node: node(on),
        class: class.to_owned(),
        index,
        free: None,
    }
}

fn woken(actions: Vec<Action>) -> Vec<u8> {
    actions
        .into_iter()
        .map(|Action::Enqueue { eval, .. }| eval.id.0.0[0])
        .collect()
}

fn block(set: &mut BlockedEvals, eval: Evaluation) -> Vec<u8> {
    let event = Event::Block {
        eval: Arc::new(eval),
        token: None,
        need: Need::default(),
    };
    woken(set.handle(event, T0))
}

#[test]
fn classes_wake_those_that_fit_or_never_saw_them() {
    let mut set = BlockedEvals::new();
    for eval in [
        knowing(1, "a", &[("v1:1", true)]),
        knowing(2, "b", &[("v1:1", false)]),
        knowing(3, "c", &[("v1:2", false)]),
        escaped(4, "d"),
        for_node(5, "e", 9),
        for_node(6, "e", 8),
    ] {
        assert!(block(&mut set, eval).is_empty());
    }
    assert_eq!(
        set.stats(),
        BlockedStats {
            blocked: 6,
            escaped: 1
        }
    );
    assert_eq!(woken(set.handle(capacity(8, "v1:1", 11), T0)), [6, 1, 3, 4]);
    assert_eq!(
        set.stats(),
        BlockedStats {
            blocked: 2,
            escaped: 0
        }
    );
}

#[test]
fn a_node_with_too_little_free_wakes_nobody() {
    let mut set = BlockedEvals::new();
    let need = Need {
        cpu: 500,
        memory_mb: 256,
        disk_mb: 300,
    };
    let eval = Arc::new(eval(1, "a"));
    set.handle(
        Event::Block {
            eval,
            token: None,
            need,
        },
        T0,
    );
    let with = |memory_mb| Event::NodeCapacity {
        node: node(1),
        class: "v1:1".to_owned(),
        index: 11,
        free: Some(Need {
            cpu: 4000,
            memory_mb,
            disk_mb: 10_000,
        }),
    };
    assert!(set.handle(with(255), T0).is_empty());
    assert_eq!(woken(set.handle(with(256), T0)), [1]);
}

#[test]
fn what_was_freed_after_the_snapshot_is_not_missed() {
    let mut set = BlockedEvals::new();
    set.handle(capacity(8, "v1:1", 11), T0);
    let newer = |eval| Evaluation {
        snapshot_index: 11,
        ..eval
    };
    assert_eq!(block(&mut set, knowing(1, "a", &[("v1:1", true)])), [1]);
    assert_eq!(
        block(&mut set, knowing(2, "b", &[("v1:2", true)])),
        [2],
        "class never seen"
    );
    assert_eq!(block(&mut set, escaped(3, "c")), [3]);
    assert_eq!(block(&mut set, for_node(4, "d", 8)), [4]);
    assert!(block(&mut set, knowing(5, "e", &[("v1:1", false)])).is_empty());
    assert!(block(&mut set, newer(knowing(6, "f", &[("v1:1", true)]))).is_empty());
    assert!(block(&mut set, for_node(7, "g", 9)).is_empty());
    set.handle(Event::Tick, T0 + FREED_KEPT + PRUNE_INTERVAL);
    assert!(
        block(&mut set, escaped(8, "h")).is_empty(),
        "forgotten after a while"
    );
}

#[test]
fn one_waits_per_job_and_the_rest_are_duplicates() {
    let mut set = BlockedEvals::new();
    block(&mut set, eval(1, "a"));
    block(
        &mut set,
        Evaluation {
            snapshot_index: 12,
            ..eval(2, "a")
        },
    );
    block(
        &mut set,
        Evaluation {
            snapshot_index: 11,
            ..eval(3, "a")
        },
    );
    let duplicates: Vec<_> = set
        .take_duplicates()
        .iter()
        .map(|eval| eval.id.0.0[0])
        .collect();
    assert_eq!(duplicates, [1, 3]);
    assert_eq!(woken(set.handle(capacity(1, "v1:1", 13), T0)), [2]);
}

#[test]
fn losers_of_conflicts_try_again_after_a_minute() {
    let mut set = BlockedEvals::new();
    block(
        &mut set,
        Evaluation {
            triggered_by: EvalTrigger::MaxPlanAttempts,
            ..eval(1, "a")
        },
    );
    assert_eq!(set.next_wake(), Some(T0 + RETRY_INTERVAL));
    assert!(set.handle(Event::Tick, T0 + Nanos::secs(59)).is_empty());
    assert_eq!(woken(set.handle(Event::Tick, T0 + RETRY_INTERVAL)), [1]);
    assert_eq!(set.next_wake(), None);
}

#[test]
fn resources_configuration_and_ends() {
    let mut set = BlockedEvals::new();
    let volume = "csi-volume:default:data".to_owned();
    block(
        &mut set,
        Evaluation {
            missing_non_node_resources: vec![volume.clone()],
            ..eval(1, "a")
        },
    );
    block(&mut set, eval(2, "b"));
    block(&mut set, for_node(3, "c", 1));
    block(&mut set, for_node(4, "c", 2));
    block(&mut set, eval(5, "d"));
    assert_eq!(
        woken(set.handle(
            Event::ResourceFreed {
                id: volume,
                index: 11
            },
            T0
        )),
        [1]
    );
    set.handle(
        Event::Untrack {
            job: JobKey::new("default", "c"),
        },
        T0,
    );
    set.handle(
        Event::Ended {
            eval: EvalId(uuid(5)),
        },
        T0,
    );
    assert_eq!(
        woken(set.handle(Event::EverythingChanged { index: 12 }, T0)),
        [2]
    );
    assert!(set.is_empty() && set.slots.is_empty() && set.by_node.is_empty());
}

#[test]
fn tokens_travel_along() {
    let mut set = BlockedEvals::new();
    let event = Event::Block {
        eval: Arc::new(eval(1, "a")),
        token: Some(Token(5)),
        need: Need::default(),
    };
    set.handle(event, T0);
    let actions = set.handle(capacity(1, "v1:1", 11), T0);
    assert!(matches!(
        &actions[..],
        [Action::Enqueue {
            token: Some(Token(5)),
            ..
        }]
    ));
}
