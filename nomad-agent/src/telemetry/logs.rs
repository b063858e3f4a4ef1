//! Logs: to standard output (and a file), and to those who watch the agent (`/v1/agent/monitor`).

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context as LayerContext, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::clock::SystemClock;
use crate::config::Config;
use nomad_core::Clock;

/// Lines that a watcher may lag behind before some are dropped.
const MONITOR_BUFFER: usize = 512;

/// One line of the log, in both forms, with its level.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) text: Bytes,
    pub(crate) json: Bytes,
}

static WATCHERS: OnceLock<broadcast::Sender<Arc<Line>>> = OnceLock::new();

fn watchers() -> &'static broadcast::Sender<Arc<Line>> {
    WATCHERS.get_or_init(|| broadcast::channel(MONITOR_BUFFER).0)
}

/// Log lines from now on.
pub(crate) fn watch() -> broadcast::Receiver<Arc<Line>> {
    watchers().subscribe()
}

/// Names of levels from the quietest on.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("OFF", LevelFilter::OFF),
    ("ERROR", LevelFilter::ERROR),
    ("WARN", LevelFilter::WARN),
    ("INFO", LevelFilter::INFO),
    ("DEBUG", LevelFilter::DEBUG),
    ("TRACE", LevelFilter::TRACE),
];

/// Place in [`LEVELS`] of the level that is logged now.
static LEVEL: AtomicUsize = AtomicUsize::new(3);

fn current_level() -> LevelFilter {
    let at = LEVEL.load(Ordering::Relaxed);
    LEVELS
        .get(at)
        .map_or(LevelFilter::INFO, |(_, level)| *level)
}

/// Logs at another level from now on; false if there is none of that name.
pub(crate) fn set_level(name: &str) -> bool {
    let wanted = LEVELS
        .iter()
        .position(|(level, _)| level.eq_ignore_ascii_case(name));
    let Some(at) = wanted else { return false };
    LEVEL.store(at, Ordering::Relaxed);
    // What was found to be of no interest may be so now.
    tracing::callsite::rebuild_interest_cache();
    true
}

/// Starts logging.
pub(crate) fn start(config: &Config) -> anyhow::Result<()> {
    anyhow::ensure!(set_level(&config.log_level), "log_level is unknown");
    let file = match &config.log_file {
        None => None,
        Some(path) => Some(
            OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o640)
                .open(path)
                .with_context(|| format!("open log file {}", path.display()))?,
        ),
    };
    let lines = Lines {
        json: config.log_json,
        file: file.map(Mutex::new),
        location: config.log_include_location,
    };
    tracing_subscriber::registry()
        .with(lines)
        .try_init()
        .context("start logging")
}

/// Writes every event as one line.
struct Lines {
    json: bool,
    location: bool,
    file: Option<Mutex<std::fs::File>>,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: LayerContext<'_, S>) -> bool {
        // Libraries below us speak of every frame at their finer levels; ours are what an operator asked for.
        let ours = metadata.target().starts_with("nomad");
        let limit = if ours {
            LevelFilter::TRACE
        } else {
            LevelFilter::WARN
        };
        *metadata.level() <= limit
            && (*metadata.level() <= current_level() || watchers().receiver_count() > 0)
    }

    fn on_event(&self, event: &Event<'_>, _: LayerContext<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = SystemClock.now().to_rfc3339();
        let time = millis(&time);
        let name = metadata
            .target()
            .split("::")
            .next()
            .unwrap_or_default()
            .trim_start_matches("nomad_");
        let level = *metadata.level();
        let location = self.location.then(|| {
            format!(
                "{}:{}",
                metadata.file().unwrap_or("?"),
                metadata.line().unwrap_or(0)
            )
        });
        let text = plain(&time, level, name, &fields, location.as_deref());
        let json = as_json(&time, level, name, &fields, location.as_deref());
        if level <= current_level() {
            let written = if self.json { &json } else { &text };
            // A log that cannot be written must not stop the agent.
            let _ = io::stdout().lock().write_all(written.as_bytes());
            if let Some(file) = &self.file {
                let _ = file.lock().write_all(written.as_bytes());
            }
        }
        if watchers().receiver_count() > 0 {
            let line = Line {
                level,
                text: Bytes::from(text),
                json: Bytes::from(json),
            };
            // No receiver any more is no mistake.
            let _ = watchers().send(Arc::new(line));
        }
    }
}

/// RFC 3339 with exactly three fractional digits.
fn millis(time: &str) -> String {
    let whole = time.trim_end_matches('Z');
    let (seconds, fraction) = whole.split_once('.').unwrap_or((whole, ""));
    format!("{seconds}.{:0<3.3}Z", fraction)
}

#[derive(Default)]
struct Fields {
    message: String,
    pairs: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.pairs.push((field.name(), text));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.pairs.push((field.name(), value.to_owned()));
        }
    }
}

fn plain(time: &str, level: Level, name: &str, fields: &Fields, location: Option<&str>) -> String {
    use std::fmt::Write as _;
    let bracketed = format!("[{level}]");
    let mut line = format!("    {time} {bracketed:<7} ");
    if let Some(location) = location {
        let _ = write!(line, "{location}: ");
    }
    let _ = write!(line, "{name}: {}", fields.message);
    for (key, value) in &fields.pairs {
        let quote = value.is_empty() || value.contains([' ', '"', '\n']);
        let _ = if quote {
            write!(line, " {key}={value:?}")
        } else {
            write!(line, " {key}={value}")
        };
    }
    line.push('\n');
    line
}

fn as_json(
    time: &str,
    level: Level,
    name: &str,
    fields: &Fields,
    location: Option<&str>,
) -> String {
    let mut object = serde_json::Map::new();
    object.insert(
        "@level".to_owned(),
        level.to_string().to_ascii_lowercase().into(),
    );
    object.insert("@message".to_owned(), fields.message.as_str().into());
    object.insert("@module".to_owned(), name.into());
    object.insert("@timestamp".to_owned(), time.into());
    if let Some(location) = location {
        object.insert("@caller".to_owned(), location.into());
    }
    for (key, value) in &fields.pairs {
        object.insert((*key).to_owned(), value.as_str().into());
    }
    format!("{}\n", serde_json::Value::Object(object))
}
