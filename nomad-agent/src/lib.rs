//! Composition root: configuration, wiring, listeners, telemetry.
