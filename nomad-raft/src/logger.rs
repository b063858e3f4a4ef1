//! raft-rs logs by slog; this hands its lines to tracing.

use std::fmt::Write;

use slog::{Drain, KV, Key, Level, Logger, Never, OwnedKVList, Record, Serializer, o};

struct ToTracing;

struct Pairs(String);

impl Serializer for Pairs {
    fn emit_arguments(&mut self, key: Key, val: &std::fmt::Arguments<'_>) -> slog::Result {
        write!(self.0, " {key}={val}").map_err(Into::into)
    }
}

impl Drain for ToTracing {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _values: &OwnedKVList) -> Result<(), Never> {
        if !self.is_enabled(record.level()) {
            return Ok(());
        }
        let mut pairs = Pairs(String::new());
        // Formatting into a string cannot fail; a value that refuses is left out.
        let _ = record.kv().serialize(record, &mut pairs);
        let (message, pairs) = (record.msg(), pairs.0);
        match record.level() {
            Level::Critical | Level::Error => tracing::error!("{message}{pairs}"),
            Level::Warning => tracing::warn!("{message}{pairs}"),
            Level::Info => tracing::debug!("{message}{pairs}"),
            Level::Debug | Level::Trace => tracing::trace!("{message}{pairs}"),
        }
        Ok(())
    }

    fn is_enabled(&self, level: Level) -> bool {
        // raft-rs says at info what others say at debug.
        match level {
            Level::Critical | Level::Error => tracing::enabled!(tracing::Level::ERROR),
            Level::Warning => tracing::enabled!(tracing::Level::WARN),
            Level::Info => tracing::enabled!(tracing::Level::DEBUG),
            Level::Debug | Level::Trace => tracing::enabled!(tracing::Level::TRACE),
        }
    }
}

/// The logger given to raft-rs.
pub(crate) fn logger() -> Logger {
    Logger::root(ToTracing, o!())
}
