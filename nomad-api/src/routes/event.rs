//! `/v1/event/stream`: changes of the cluster as lines of JSON, for as long as the client listens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Response, header};
use nomad_state::{Event, EventPayload, WatchKey};
use serde_json::{Value, json};

use super::{Call, RouteResult, variable};
use crate::backend::Backend;
use crate::error::ApiError;
use crate::query::{Query, QueryOptions};
use crate::types::{FullAllocation, FullNode};

/// An empty object goes out this often, so that both ends notice a dead connection.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// All topics, all keys.
const ANY: &str = "*";

pub(super) async fn route(call: Call, rest: &str) -> RouteResult {
    if rest != "stream" {
        return Err(ApiError::no_route());
    }
    call.expect_get()?;
    let subscription = Subscription::new(&call.query, &call.options)?;
    let cursor = call.backend.events_start(call.options.index);
    let reader = Reader {
        backend: Arc::clone(&call.backend),
        subscription,
        cursor,
        lines: VecDeque::from([heartbeat()]),
    };
    let lines = stream::unfold(reader, |mut reader| async {
        let line = reader.next().await;
        Some((Ok::<_, std::convert::Infallible>(line), reader))
    });
    let mut response = Response::new(Body::from_stream(lines));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

fn heartbeat() -> Bytes {
    Bytes::from_static(b"{}\n")
}

/// Which events a client asked for.
#[derive(Debug, PartialEq, Eq)]
struct Subscription {
    namespace: String,
    /// Topic and key; either may be [`ANY`].
    topics: Vec<(String, String)>,
}

impl Subscription {
    fn new(query: &Query, options: &QueryOptions) -> Result<Self, ApiError> {
        let mut topics = Vec::new();
        for wanted in query.all("topic") {
            let (topic, key) = wanted.split_once(':').unwrap_or((wanted, ANY));
            if topic.is_empty() || key.is_empty() {
                return Err(ApiError::bad_request(format!(
                    "Invalid topic query: {wanted:?} is not TOPIC or TOPIC:KEY"
                )));
            }
            topics.push((topic.to_owned(), key.to_owned()));
        }
        if topics.is_empty() {
            topics.push((ANY.to_owned(), ANY.to_owned()));
        }
        Ok(Self {
            namespace: options.namespace.clone(),
            topics,
        })
    }

    fn wants(&self, event: &Event) -> bool {
        let namespace = event.namespace();
        if !namespace.is_empty() && self.namespace != ANY && self.namespace != namespace {
            return false;
        }
        let key = event.key();
        let filter_keys = event.filter_keys().unwrap_or_default();
        self.topics.iter().any(|(topic, wanted)| {
            (topic == ANY || topic == event.topic())
                && (wanted == ANY || *wanted == key || filter_keys.contains(wanted))
        })
    }
}

/// One client's place in the stream.
struct Reader {
    backend: Arc<dyn Backend>,
    subscription: Subscription,
    cursor: u64,
    /// Lines that wait for the client; bounded by what the event buffer held at one moment.
    lines: VecDeque<Bytes>,
}

impl Reader {
    async fn next(&mut self) -> Bytes {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return line;
            }
            let watch = self.backend.watch(vec![WatchKey::Events]);
            let read = self.backend.events(self.cursor);
            self.cursor = read.cursor;
            let mut missed = read.missed;
            for batch in &read.batches {
                let wanted = batch.events.iter().filter(|e| self.subscription.wants(e));
                let events: Vec<Value> = wanted.map(|e| event_json(e, batch.index)).collect();
                if !events.is_empty() || missed > 0 {
                    let line = line(batch.index, &events, std::mem::take(&mut missed));
                    self.lines.push_back(line);
                }
            }
            if self.lines.is_empty() && tokio::time::timeout(HEARTBEAT, watch).await.is_err() {
                return heartbeat();
            }
        }
    }
}

/// One line. `Missed` is there only for a client that was too slow: log entries whose events had left the buffer.
fn line(index: u64, events: &[Value], missed: u64) -> Bytes {
    let mut line = json!({"Index": index, "Events": events});
    if missed > 0 {
        line["Missed"] = missed.into();
    }
    let mut text = line.to_string();
    text.push('\n');
    text.into()
}

fn event_json(event: &Event, index: u64) -> Value {
    json!({
        "Topic": event.topic(),
        "Type": event.kind,
        "Key": event.key(),
        "Namespace": event.namespace(),
        "FilterKeys": event.filter_keys(),
        "Index": index,
        "Payload": payload_json(&event.payload),
    })
}

fn payload_json(payload: &EventPayload) -> Value {
    match payload {
        EventPayload::Job { job, deleted } => json!({"Job": job, "Deleted": deleted}),
        EventPayload::Evaluation(eval) => json!({"Evaluation": eval}),
        EventPayload::Allocation(alloc) => {
            let mut row = json!(FullAllocation::new(alloc));
            // The job has events of its own and would be most of the line.
            if let Some(row) = row.as_object_mut() {
                row.remove("Job");
            }
            json!({"Allocation": row, "Timeout": false, "TimeoutReason": ""})
        }
        EventPayload::Deployment(deployment) => json!({"Deployment": deployment}),
        EventPayload::Node(node) => json!({"Node": FullNode::new(node)}),
        EventPayload::NodePool(pool) => json!({"NodePool": pool}),
        EventPayload::Variable(row) => json!({"Variable": variable::metadata(row)}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nomad_core::eval::Evaluation;

    fn subscription(query: &str) -> Result<Subscription, ApiError> {
        let query = Query::parse(query);
        let options = query.options()?;
        Subscription::new(&query, &options)
    }

    fn eval(job: &str, namespace: &str) -> Event {
        let eval = Evaluation {
            job_id: job.into(),
            namespace: namespace.into(),
            ..Evaluation::default()
        };
        Event {
            kind: "JobRegistered",
            payload: EventPayload::Evaluation(Arc::new(eval)),
        }
    }

    #[test]
    fn topics_keys_and_namespaces_choose_events() {
        for (query, job, namespace, wanted) in [
            ("", "web", "default", true),
            ("", "web", "other", false),
            ("namespace=*", "web", "other", true),
            ("topic=Evaluation", "web", "default", true),
            ("topic=Evaluation:web", "web", "default", true),
            ("topic=Evaluation:web", "api", "default", false),
            ("topic=Job&topic=Evaluation:a:b", "a:b", "default", true),
            ("topic=Node", "web", "default", false),
            ("topic=*:web", "web", "default", true),
            ("topic=NoSuch", "web", "default", false),
        ] {
            let subscription = subscription(query).unwrap();
            assert_eq!(subscription.wants(&eval(job, namespace)), wanted, "{query}");
        }
    }

    #[test]
    fn malformed_topics_are_refused() {
        for query in ["topic=", "topic=:a", "topic=Job:"] {
            assert!(subscription(query).is_err(), "{query}");
        }
    }

    #[test]
    fn a_gap_is_told_once() {
        let read = |line: &Bytes| -> Value { serde_json::from_slice(line).unwrap() };
        let (gap, none) = (line(7, &[], 3), line(8, &[], 0));
        assert_eq!(read(&gap), json!({"Index": 7, "Events": [], "Missed": 3}));
        assert_eq!(read(&none), json!({"Index": 8, "Events": []}));
        assert!(gap.ends_with(b"\n") && none.ends_with(b"\n"));
    }
}
