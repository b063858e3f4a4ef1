//! Metrics: kept in memory per interval, shown as Nomad's JSON and as Prometheus text.
//!
//! A [`metrics::Recorder`] for the facade that all crates use. Names are the facade's with dots, as they are in the
//! JSON; Prometheus gets underscores.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use nomad_core::{Clock, Timestamp};
use parking_lot::Mutex;
use serde_json::json;

use crate::clock::SystemClock;

/// Distinct metrics that are kept; beyond it new ones are dropped.
const MAX_METRICS: usize = 20_000;

/// Name and labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    name: String,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Summary {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    sum_of_squares: f64,
}

impl Summary {
    fn add(&mut self, value: f64) {
        self.min = if self.count == 0 {
            value
        } else {
            self.min.min(value)
        };
        self.max = if self.count == 0 {
            value
        } else {
            self.max.max(value)
        };
        self.count += 1;
        self.sum += value;
        self.sum_of_squares += value * value;
    }

    fn mean(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.sum / self.count as f64
        }
    }

    fn stddev(&self) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        let n = self.count as f64;
        ((n * self.sum_of_squares - self.sum * self.sum) / (n * (n - 1.0)))
            .max(0.0)
            .sqrt()
    }
}

/// Everything of one interval.
#[derive(Debug, Clone, Default)]
struct Interval {
    start: Timestamp,
    counters: BTreeMap<Id, Summary>,
    samples: BTreeMap<Id, Summary>,
}

#[derive(Debug, Default)]
struct Inner {
    current: Interval,
    finished: Option<Interval>,
    /// Gauges keep their value until it is set anew.
    gauges: BTreeMap<Id, f64>,
    /// Sums since the start, for Prometheus.
    totals: BTreeMap<Id, f64>,
    sample_totals: BTreeMap<Id, Summary>,
}

/// All metrics of this agent. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    inner: Arc<Mutex<Inner>>,
    interval: Duration,
    /// The label `host` of every metric, where wanted.
    host: Option<Arc<str>>,
}

impl Metrics {
    /// Metrics of a machine, in intervals of a length.
    pub(crate) fn new(interval: Duration, host: Option<String>) -> Self {
        Self {
            inner: Arc::default(),
            interval,
            host: host.map(Arc::from),
        }
    }

    /// Makes this the process's recorder; a second agent in one process keeps the first's.
    pub(crate) fn install(&self) {
        let _ = metrics::set_global_recorder(self.clone());
    }

    fn id(&self, key: &Key) -> Id {
        let own = key.labels().map(|label| (label.key(), label.value()));
        let labels = self.host.iter().map(|host| ("host", &**host)).chain(own);
        Id {
            name: key.name().to_owned(),
            labels: labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    /// Runs `change` on the current interval, finishing the one before if its time is over.
    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let now = SystemClock.now();
        let mut inner = self.inner.lock();
        let length = i64::try_from(self.interval.as_nanos())
            .unwrap_or(i64::MAX)
            .max(1);
        let start = Timestamp(now.0 - now.0.rem_euclid(length));
        if inner.current.start != start {
            let finished = std::mem::replace(
                &mut inner.current,
                Interval {
                    start,
                    ..Interval::default()
                },
            );
            if !finished.start.is_zero() {
                inner.finished = Some(finished);
            }
        }
        change(&mut inner)
    }

    fn count(&self, id: &Id, value: f64) {
        self.with(|inner| {
            if inner.totals.len() >= MAX_METRICS && !inner.totals.contains_key(id) {
                return;
            }
            inner
                .current
                .counters
                .entry(id.clone())
                .or_default()
                .add(value);
            *inner.totals.entry(id.clone()).or_default() += value;
        });
    }

    fn sample(&self, id: &Id, value: f64) {
        self.with(|inner| {
            if inner.sample_totals.len() >= MAX_METRICS && !inner.sample_totals.contains_key(id) {
                return;
            }
            inner
                .current
                .samples
                .entry(id.clone())
                .or_default()
                .add(value);
            inner
                .sample_totals
                .entry(id.clone())
                .or_default()
                .add(value);
        });
    }

    fn gauge(&self, id: &Id, change: impl FnOnce(f64) -> f64) {
        self.with(|inner| {
            if inner.gauges.len() >= MAX_METRICS && !inner.gauges.contains_key(id) {
                return;
            }
            let gauge = inner.gauges.entry(id.clone()).or_default();
            *gauge = change(*gauge);
        });
    }

    /// The last finished interval (the current one, if none is), as the API shows it.
    pub(crate) fn to_json(&self) -> String {
        self.with(|inner| {
            let interval = inner.finished.as_ref().unwrap_or(&inner.current);
            let rate_over = self.interval.as_secs_f64();
            let summary = |(id, summary): (&Id, &Summary)| {
                json!({
                    "Name": id.name, "Count": summary.count, "Rate": summary.sum / rate_over, "Sum": summary.sum,
                    "Min": summary.min, "Max": summary.max, "Mean": summary.mean(), "Stddev": summary.stddev(),
                    "Labels": id.labels,
                })
            };
            let gauges: Vec<_> = inner
                .gauges
                .iter()
                .map(|(id, value)| json!({"Name": id.name, "Value": value, "Labels": id.labels}))
                .collect();
            let time = interval.start.to_rfc3339().replace('T', " ").replace('Z', " +0000 UTC");
            json!({
                "Timestamp": time,
                "Gauges": gauges,
                "PrecisionGauges": [],
                "Points": [],
                "Counters": interval.counters.iter().map(summary).collect::<Vec<_>>(),
                "Samples": interval.samples.iter().map(summary).collect::<Vec<_>>(),
            })
            .to_string()
        })
    }

    /// Everything since the start, as Prometheus reads it.
    pub(crate) fn to_prometheus(&self) -> String {
        self.with(|inner| {
            let mut text = String::new();
            family(
                &mut text,
                "gauge",
                &inner.gauges,
                |text, name, labels, value| {
                    let _ = writeln!(text, "{name}{labels} {value}");
                },
            );
            family(
                &mut text,
                "counter",
                &inner.totals,
                |text, name, labels, value| {
                    let _ = writeln!(text, "{name}{labels} {value}");
                },
            );
            family(
                &mut text,
                "summary",
                &inner.sample_totals,
                |text, name, labels, summary| {
                    let _ = writeln!(text, "{name}_sum{labels} {}", summary.sum);
                    let _ = writeln!(text, "{name}_count{labels} {}", summary.count);
                },
            );
            text
        })
    }
}

fn family<V>(
    text: &mut String,
    kind: &str,
    metrics: &BTreeMap<Id, V>,
    write_one: impl Fn(&mut String, &str, &str, &V),
) {
    let mut last = String::new();
    for (id, value) in metrics {
        let name: String = id
            .name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '_' {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        if name != last {
            let _ = writeln!(text, "# HELP {name} {}", id.name);
            let _ = writeln!(text, "# TYPE {name} {kind}");
            last.clone_from(&name);
        }
        let labels: Vec<String> = id
            .labels
            .iter()
            .map(|(key, value)| {
                let value = value
                    .replace('\\', "\\\\")
                    .replace('"', "\\\"")
                    .replace('\n', "\\n");
                format!("{key}=\"{value}\"")
            })
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        write_one(text, &name, &labels, value);
    }
}

/// One metric's handle.
struct Handle {
    metrics: Metrics,
    id: Id,
}

impl CounterFn for Handle {
    fn increment(&self, value: u64) {
        self.metrics.count(&self.id, value as f64);
    }

    fn absolute(&self, value: u64) {
        self.metrics
            .with(|inner| inner.totals.insert(self.id.clone(), value as f64));
    }
}

impl GaugeFn for Handle {
    fn increment(&self, value: f64) {
        self.metrics.gauge(&self.id, |old| old + value);
    }

    fn decrement(&self, value: f64) {
        self.metrics.gauge(&self.id, |old| old - value);
    }

    fn set(&self, value: f64) {
        self.metrics.gauge(&self.id, |_| value);
    }
}

impl HistogramFn for Handle {
    fn record(&self, value: f64) {
        self.metrics.sample(&self.id, value);
    }
}

impl Recorder for Metrics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(Handle {
            metrics: self.clone(),
            id: self.id(key),
        }))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(Handle {
            metrics: self.clone(),
            id: self.id(key),
        }))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Handle {
            metrics: self.clone(),
            id: self.id(key),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_show_in_both_forms() {
        let metrics = Metrics::new(Duration::from_secs(10), Some("vm".to_owned()));
        metrics::with_local_recorder(&metrics, || {
            metrics::counter!("nomad.rpc.request").increment(2);
            metrics::gauge!("nomad.broker.total_ready", "type" => "service").set(3.0);
            metrics::histogram!("nomad.plan.apply").record(1.5);
        });
        let json: serde_json::Value = serde_json::from_str(&metrics.to_json()).unwrap();
        assert_eq!(json["Gauges"][0]["Labels"]["type"], "service");
        assert_eq!(json["Counters"][0]["Count"], 1);
        assert_eq!(json["Counters"][0]["Sum"], 2.0);
        let text = metrics.to_prometheus();
        assert!(
            text.contains("nomad_broker_total_ready{host=\"vm\",type=\"service\"} 3"),
            "{text}"
        );
        assert!(text.contains("# TYPE nomad_plan_apply summary"), "{text}");
    }
}
