//! Two curves in a frame, as SVG.

use std::fmt::Write as _;

pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

pub(crate) struct Picture {
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    pub(crate) curves: Vec<Curve>,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 2] = ["#1f77b4", "#d62728"];

/// The next round number: 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|round| *round >= value)
        .unwrap_or(value)
}

fn label(value: f64) -> String {
    if value >= 1_000.0 {
        format!("{}k", value / 1_000.0)
    } else {
        format!("{value}")
    }
}

impl Picture {
    fn most(&self, of: impl Fn(&(f64, f64)) -> f64) -> f64 {
        let all = self.curves.iter().flat_map(|curve| &curve.points);
        round_up(all.map(of).fold(f64::MIN_POSITIVE, f64::max))
    }

    pub(crate) fn svg(&self) -> String {
        let (max_x, max_y) = (self.most(|p| p.0), self.most(|p| p.1));
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let x = |value: f64| LEFT + value / max_x * (right - LEFT);
        let y = |value: f64| bottom - value / max_y * (bottom - TOP);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{}</text>\n",
            self.title
        );
        for step in 0..=5 {
            let part = f64::from(step) / 5.0;
            let (at_x, at_y) = (x(part * max_x), y(part * max_y));
            let _ = writeln!(
                out,
                "<line x1=\"{LEFT}\" y1=\"{at_y:.1}\" x2=\"{right}\" y2=\"{at_y:.1}\" stroke=\"#ddd\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n\
                 <text x=\"{at_x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                LEFT - 6.0,
                at_y + 4.0,
                label(part * max_y),
                bottom + 16.0,
                label(part * max_x),
            );
        }
        let _ = writeln!(
            out,
            "<text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n\
             <text x=\"8\" y=\"{:.1}\">{}</text>",
            HEIGHT - 12.0,
            self.x,
            TOP - 6.0,
            self.y,
        );
        for (number, (curve, colour)) in self.curves.iter().zip(COLOURS).enumerate() {
            let points: Vec<String> = curve
                .points
                .iter()
                .map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py)))
                .collect();
            let _ = writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                points.join(" ")
            );
            for point in &points {
                if let Some((px, py)) = point.split_once(',') {
                    let _ = writeln!(
                        out,
                        "<circle cx=\"{px}\" cy=\"{py}\" r=\"3\" fill=\"{colour}\"/>"
                    );
                }
            }
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
                LEFT + 12.0,
                TOP + 14.0 + 16.0 * number as f64,
                curve.name
            );
        }
        out.push_str("</svg>\n");
        out
    }
}
