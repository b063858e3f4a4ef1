//! The hub: sharing, retries, endings.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;
use crate::data::Variable;

type Fetch1 = Result<(u64, &'static str), FetchError>;
type Inboxes = Arc<Mutex<HashMap<String, VecDeque<Fetch1>>>>;

/// A source that a test feeds: each token's queries wait for what is put in for it.
#[derive(Default)]
struct Fed {
    inboxes: Inboxes,
    fed: Arc<Notify>,
    watches: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

struct FedWatch {
    token: String,
    inboxes: Inboxes,
    fed: Arc<Notify>,
    open: Arc<AtomicUsize>,
}

impl Drop for FedWatch {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Fetch for Fed {
    fn watch(&self, key: &WatchKey) -> Option<Box<dyn Watch>> {
        if matches!(key.query, Query::Consul { .. }) {
            return None;
        }
        self.watches.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
        Some(Box::new(FedWatch {
            token: key.token.to_string(),
            inboxes: Arc::clone(&self.inboxes),
            fed: Arc::clone(&self.fed),
            open: Arc::clone(&self.open),
        }))
    }
}

fn data(value: &str) -> Data {
    let items = [("k".to_owned(), value.to_owned())].into();
    Data::Variable(Some(Variable {
        items,
        ..Variable::default()
    }))
}

impl Watch for FedWatch {
    fn next(&mut self, _: u64) -> Fetching<'_> {
        Box::pin(async {
            loop {
                let fed = self.fed.notified();
                let next = self
                    .inboxes
                    .lock()
                    .entry(self.token.clone())
                    .or_default()
                    .pop_front();
                match next {
                    Some(Ok((index, value))) => {
                        let mut digest = [0; 32];
                        digest[..value.len()].copy_from_slice(value.as_bytes());
                        return Ok(Fetched {
                            index,
                            data: data(value),
                            digest,
                        });
                    }
                    Some(Err(error)) => return Err(error),
                    None => fed.await,
                }
            }
        })
    }
}

impl Fed {
    fn feed(&self, answer: Fetch1) {
        self.feed_to("t", answer);
    }

    fn feed_to(&self, token: &str, answer: Fetch1) {
        self.inboxes
            .lock()
            .entry(token.to_owned())
            .or_default()
            .push_back(answer);
        self.fed.notify_waiters();
    }
}

fn key(path: &str, token: &str) -> WatchKey {
    WatchKey {
        query: Query::Variable {
            path: path.to_owned(),
            namespace: Some("default".to_owned()),
        },
        token: token.into(),
    }
}

fn hub() -> (WatchHub, Arc<Fed>) {
    let fed = Arc::new(Fed::default());
    let hub = WatchHub::new(
        Arc::clone(&fed) as Arc<dyn Fetch>,
        ClientSettings::default(),
    );
    (hub, fed)
}

fn value(subscription: &Subscription) -> Option<String> {
    match subscription.answer().0 {
        Answer::Ready(data) => match &*data {
            Data::Variable(Some(variable)) => variable.items.get("k").cloned(),
            _ => None,
        },
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn one_watcher_per_query_and_token() {
    let (hub, fed) = hub();
    let wakes: Vec<Arc<Notify>> = (0..3).map(|_| Arc::default()).collect();
    let subscriptions: Vec<Subscription> = wakes
        .iter()
        .map(|wake| hub.subscribe(key("a", "t"), Arc::clone(wake)))
        .collect();
    assert_eq!((hub.stats().watchers, hub.stats().subscriptions), (1, 3));
    fed.feed(Ok((1, "one")));
    for wake in &wakes {
        wake.notified().await;
    }
    for subscription in &subscriptions {
        assert_eq!(
            (value(subscription), subscription.version()),
            (Some("one".to_owned()), 1)
        );
    }
    let other = hub.subscribe(key("a", "u"), Arc::default());
    assert_eq!(
        fed.watches.load(Ordering::SeqCst),
        2,
        "another token, another watcher"
    );
    drop(subscriptions);
    assert_eq!(hub.stats().watchers, 1);
    tokio::task::yield_now().await;
    assert_eq!(fed.open.load(Ordering::SeqCst), 1, "its watcher has ended");
    drop(other);
    assert_eq!(
        hub.stats(),
        HubStats {
            watchers: 0,
            subscriptions: 0,
            answers: 0
        }
    );
}

#[tokio::test(start_paused = true)]
async fn identical_answers_are_one_value() {
    let (hub, fed) = hub();
    let a = hub.subscribe(key("a", "t"), Arc::default());
    let b = hub.subscribe(key("a", "u"), Arc::default());
    fed.feed_to("t", Ok((1, "same")));
    fed.feed_to("u", Ok((1, "same")));
    tokio::time::sleep(Duration::from_millis(10)).await;
    let (Answer::Ready(x), Answer::Ready(y)) = (a.answer().0, b.answer().0) else {
        panic!("both are answered");
    };
    assert!(Arc::ptr_eq(&x, &y));
    assert_eq!(hub.stats().answers, 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_the_same_wakes_nobody() {
    let (hub, fed) = hub();
    let wake: Arc<Notify> = Arc::default();
    let subscription = hub.subscribe(key("a", "t"), Arc::clone(&wake));
    fed.feed(Ok((1, "one")));
    wake.notified().await;
    fed.feed(Ok((2, "one")));
    let woken = tokio::time::timeout(Duration::from_mins(1), wake.notified()).await;
    assert!(woken.is_err());
    fed.feed(Ok((3, "two")));
    wake.notified().await;
    assert_eq!(
        (value(&subscription), subscription.version()),
        (Some("two".to_owned()), 2)
    );
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_with_growing_pauses_and_then_reported() {
    let (hub, fed) = hub();
    let wake: Arc<Notify> = Arc::default();
    let subscription = hub.subscribe(key("a", "t"), Arc::clone(&wake));
    let began = tokio::time::Instant::now();
    for _ in 0..12 {
        fed.feed(Err(FetchError("no".to_owned())));
    }
    wake.notified().await;
    assert_eq!(
        subscription.answer().0,
        Answer::Failed("nomad.var.block(a@default): no".to_owned())
    );
    // 0.25 + 0.5 + ... + 32 + 60 + 60 + 60 seconds between twelve attempts.
    let took = began.elapsed();
    assert!(
        took >= Duration::from_mins(4) && took < Duration::from_secs(250),
        "{took:?}"
    );
    fed.feed(Ok((1, "back")));
    wake.notified().await;
    assert_eq!(value(&subscription).as_deref(), Some("back"));
}

#[tokio::test(start_paused = true)]
async fn what_the_source_does_not_have_is_not_configured() {
    let (hub, _) = hub();
    let query = Query::Consul {
        function: "key",
        args: vec!["x".to_owned()],
    };
    let token = "t".into();
    let subscription = hub.subscribe(WatchKey { query, token }, Arc::default());
    let Answer::Failed(text) = subscription.answer().0 else {
        panic!("it has failed");
    };
    assert_eq!(text, "key: Consul is not configured on this client");
}

#[test]
fn tokens_are_not_shown() {
    assert!(!format!("{:?}", key("a", "hush")).contains("hush"));
}
