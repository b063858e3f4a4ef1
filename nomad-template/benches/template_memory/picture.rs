//! The picture: heap of 10,000 connections by state and design, on a logarithmic scale.

use std::fmt::Write;

use crate::designs::NAMES;
use crate::memory::{COUNTS, STATES};
use crate::report::{Report, size};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 80.0;
const TOP: f64 = 70.0;
const BOTTOM: f64 = 370.0;
const COLOURS: [&str; 4] = ["#b0413e", "#d98e4a", "#7a9bb8", "#2f7d4f"];
/// Decades of bytes shown.
const FROM: f64 = 6.0;
const TO: f64 = 11.0;

/// The report as SVG.
pub(crate) fn draw(report: &Report) -> String {
    let most = COUNTS[COUNTS.len() - 1];
    let mut svg = String::new();
    let mut line = |text: String| {
        svg.push_str(&text);
        svg.push('\n');
    };
    line(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">"
    ));
    line(format!(
        "<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n<text x=\"{LEFT}\" y=\"24\" font-size=\"16\">Heap held by {most} in-memory connections (both ends, logarithmic)</text>"
    ));
    for (i, name) in NAMES.iter().enumerate() {
        let x = LEFT + i as f64 * 200.0;
        let star = if report.memory_of(name, most).is_some_and(|m| m.extrapolated) {
            " (extrapolated)"
        } else {
            ""
        };
        line(format!(
            "<rect x=\"{x}\" y=\"38\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" y=\"48\">{name}{star}</text>",
            COLOURS[i],
            x + 18.0
        ));
    }
    let mut decade = FROM;
    while decade <= TO {
        let y = height(10f64.powf(decade));
        line(format!(
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{}\" y2=\"{y:.1}\" stroke=\"#dddddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - 20.0,
            LEFT - 6.0,
            y + 4.0,
            decimal(decade)
        ));
        decade += 1.0;
    }
    let group = (WIDTH - LEFT - 20.0) / STATES.len() as f64;
    for (s, state) in STATES.iter().enumerate() {
        let x0 = LEFT + s as f64 * group;
        line(format!(
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{state}</text>",
            x0 + group / 2.0,
            BOTTOM + 22.0
        ));
        for (d, name) in NAMES.iter().enumerate() {
            let Some(memory) = report.memory_of(name, most) else {
                continue;
            };
            let bytes = memory.heap[s];
            let y = height(bytes);
            let x = x0 + 16.0 + d as f64 * 46.0;
            let mut bar = String::new();
            let _ = write!(
                bar,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"40\" height=\"{:.1}\" fill=\"{}\"{}/>",
                BOTTOM - y,
                COLOURS[d],
                if memory.extrapolated {
                    " fill-opacity=\"0.6\""
                } else {
                    ""
                }
            );
            let _ = write!(
                bar,
                "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"10\" text-anchor=\"middle\">{}</text>",
                x + 20.0,
                y - 4.0,
                size(bytes)
            );
            line(bar);
        }
    }
    line(format!(
        "<line x1=\"{LEFT}\" y1=\"{BOTTOM}\" x2=\"{}\" y2=\"{BOTTOM}\" stroke=\"#333333\"/>",
        WIDTH - 20.0
    ));
    let idle = |name: &str| {
        report
            .memory_of(name, most)
            .map_or(0.0, |m| m.heap[0] / most as f64)
    };
    line(format!(
        "<text x=\"{LEFT}\" y=\"{}\">Idle, per connection: {}</text>",
        BOTTOM + 50.0,
        NAMES
            .iter()
            .map(|name| format!("{name} {}", size(idle(name))))
            .collect::<Vec<_>>()
            .join(", ")
    ));
    line("</svg>".to_owned());
    svg
}

fn height(bytes: f64) -> f64 {
    let share = ((bytes.max(1.0).log10() - FROM) / (TO - FROM)).clamp(0.0, 1.0);
    BOTTOM - share * (BOTTOM - TOP)
}

fn decimal(decade: f64) -> String {
    match decade as i64 {
        6 => "1 MB".to_owned(),
        7 => "10 MB".to_owned(),
        8 => "100 MB".to_owned(),
        9 => "1 GB".to_owned(),
        10 => "10 GB".to_owned(),
        _ => "100 GB".to_owned(),
    }
}
