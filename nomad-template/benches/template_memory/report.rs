//! The tables, the bars they are held against, and the same as JSON.

use std::fmt;

use serde_json::{Value, json};

use crate::designs::{Buffered, Design, NAMES};
use crate::memory::{COUNTS, Memory, STATES};
use crate::speed::{SIZES, Speed};

/// Heap bytes an idle connection may cost, both directions and both ends together.
const IDLE_BAR: f64 = 1024.0;
/// After a burst, heap may be so many times what it was when idle.
const AFTER_BURST_BAR: f64 = 1.10;
/// Throughput against duplex must be at least this.
const SPEED_BAR: f64 = 0.9;

/// Everything measured.
pub(crate) struct Report {
    pub(crate) quick: bool,
    pub(crate) memory: Vec<Memory>,
    pub(crate) speed: Vec<Speed>,
}

struct Bar {
    what: String,
    measured: String,
    holds: bool,
}

impl Report {
    pub(crate) fn new(quick: bool, memory: Vec<Memory>, speed: Vec<Speed>) -> Self {
        Self {
            quick,
            memory,
            speed,
        }
    }

    /// The figures of one design with one number of connections.
    pub(crate) fn memory_of(&self, design: &str, connections: usize) -> Option<&Memory> {
        self.memory
            .iter()
            .find(|m| m.design == design && m.connections == connections)
    }

    fn bars(&self) -> Vec<Bar> {
        let mut bars = Vec::new();
        let most = COUNTS[COUNTS.len() - 1];
        if let Some(ours) = self.memory_of(Buffered::NAME, most) {
            let idle = ours.heap[0] / most as f64;
            bars.push(Bar {
                what: format!("idle heap per connection at {most} <= {IDLE_BAR} B"),
                measured: format!("{idle:.0} B"),
                holds: idle <= IDLE_BAR,
            });
            let after = ours.heap[3] / ours.heap[0];
            bars.push(Bar {
                what: format!("heap after a burst <= {AFTER_BURST_BAR} x idle"),
                measured: format!("{after:.3} x"),
                holds: after <= AFTER_BURST_BAR,
            });
            bars.push(Bar {
                what: "a 64 KiB Variable in one read".to_owned(),
                measured: format!("{} read(s)", ours.variable_reads),
                holds: ours.variable_reads == 1,
            });
        }
        for speed in self.speed.iter().filter(|s| s.design == Buffered::NAME) {
            bars.push(Bar {
                what: format!("throughput at {} >= {SPEED_BAR} x duplex", kib(speed.size)),
                measured: format!("{:.2} x", speed.against_duplex),
                holds: speed.against_duplex >= SPEED_BAR,
            });
        }
        bars
    }

    /// Whether every bar is met.
    pub(crate) fn bars_hold(&self) -> bool {
        self.bars().iter().all(|bar| bar.holds)
    }

    pub(crate) fn to_json(&self) -> Value {
        let memory: Vec<Value> = self
            .memory
            .iter()
            .map(|m| {
                let states: serde_json::Map<String, Value> = STATES
                    .iter()
                    .zip(m.heap.iter().zip(m.resident))
                    .map(|(state, (heap, resident))| {
                        let value = json!({"heap_bytes": heap, "resident_bytes": resident});
                        ((*state).to_owned(), value)
                    })
                    .collect();
                json!({
                    "design": m.design, "connections": m.connections, "extrapolated": m.extrapolated,
                    "variable_reads": m.variable_reads, "states": states,
                })
            })
            .collect();
        let speed: Vec<Value> = self
            .speed
            .iter()
            .map(|s| {
                json!({
                    "design": s.design, "answer_bytes": s.size, "median_ns": s.median.as_nanos() as u64,
                    "p99_ns": s.p99.as_nanos() as u64, "bytes_per_second": s.bytes_per_second(),
                    "against_duplex": s.against_duplex,
                })
            })
            .collect();
        let bars: Vec<Value> = self
            .bars()
            .iter()
            .map(|b| json!({"bar": b.what, "measured": b.measured, "holds": b.holds}))
            .collect();
        json!({"bench": "template-memory", "quick": self.quick, "memory": memory, "speed": speed, "bars": bars})
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, pick) in [
            (
                "Live heap",
                (|m: &Memory| m.heap) as fn(&Memory) -> [f64; 4],
            ),
            ("Resident memory", |m| m.resident),
        ] {
            writeln!(
                f,
                "\n{title} of all connections (per connection); * = extrapolated from 1,000\n"
            )?;
            writeln!(f, "| design | connections | {} |", STATES.join(" | "))?;
            writeln!(f, "|---|---:|---:|---:|---:|---:|")?;
            for m in &self.memory {
                write!(
                    f,
                    "| {} | {}{} |",
                    m.design,
                    m.connections,
                    if m.extrapolated { "*" } else { "" }
                )?;
                for bytes in pick(m) {
                    write!(
                        f,
                        " {} ({}) |",
                        size(bytes),
                        size(bytes / m.connections as f64)
                    )?;
                }
                writeln!(f)?;
            }
        }
        writeln!(f, "\nRequest and answer over one connection\n")?;
        writeln!(
            f,
            "| answer | design | median | p99 | throughput | x duplex |"
        )?;
        writeln!(f, "|---|---|---:|---:|---:|---:|")?;
        for want in SIZES {
            for name in NAMES {
                for s in self
                    .speed
                    .iter()
                    .filter(|s| s.size == want && s.design == name)
                {
                    writeln!(
                        f,
                        "| {} | {} | {:.1} us | {:.1} us | {}/s | {:.2} |",
                        kib(s.size),
                        s.design,
                        s.median.as_secs_f64() * 1e6,
                        s.p99.as_secs_f64() * 1e6,
                        size(s.bytes_per_second()),
                        s.against_duplex
                    )?;
                }
            }
        }
        writeln!(f, "\n| bar | measured | |\n|---|---:|---|")?;
        for bar in self.bars() {
            let verdict = if bar.holds { "holds" } else { "MISSED" };
            writeln!(f, "| {} | {} | {verdict} |", bar.what, bar.measured)?;
        }
        Ok(())
    }
}

fn kib(bytes: usize) -> String {
    format!("{} KiB", bytes / 1024)
}

/// A number of bytes as people read it.
pub(crate) fn size(bytes: f64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 100.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}
