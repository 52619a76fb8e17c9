//! The figures as bars, on a light ground of its own, so that it can be read on a dark page too.

use svg::Document;
use svg::node::element::{Group, Rectangle, Text, Title};

use crate::peer::Peer;
use crate::report::{Report, Row};

const WIDTH: f64 = 960.0;
const ROW: f64 = 30.0;
const TOP: f64 = 76.0;
/// Where the names end.
const NAMES: f64 = 176.0;
/// From one panel to the next.
const STEP: f64 = 262.0;
/// The longest bar.
const BAR: f64 = 190.0;

/// One of the figures of all peers.
struct Panel {
    title: &'static str,
    better: &'static str,
    value: fn(&Row) -> f64,
    show: fn(f64) -> String,
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "Requests/s, to the bare server",
        better: "longer is better",
        value: |row| row.ratio,
        show: |ratio| format!("{ratio:.2}"),
    },
    Panel {
        title: "CPU time per request",
        better: "shorter is better",
        value: |row| row.cpu_micros,
        show: |micros| format!("{micros:.0} µs"),
    },
    Panel {
        title: "One connection, half within",
        better: "shorter is better",
        value: |row| row.half_micros,
        show: |micros| format!("{micros:.0} µs"),
    },
];

/// An SVG document.
pub(crate) fn plot(report: &Report) -> String {
    let height = TOP + ROW * report.rows.len() as f64 + 16.0;
    let ground = Rectangle::new()
        .set("width", WIDTH)
        .set("height", height)
        .set("rx", 8)
        .set("fill", "#ffffff")
        .set("stroke", "#d0d7de");
    let mut document = Document::new()
        .set("viewBox", (0.0, 0.0, WIDTH, height))
        .set("role", "img")
        .set("font-family", "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif")
        .set("font-size", 14)
        .set("fill", "#1f2328")
        .add(Title::new("Atoll and its peers: throughput, CPU time and latency"))
        .add(ground);
    for (place, row) in report.rows.iter().enumerate() {
        let name = text(row.peer.name(), NAMES - 12.0, baseline(place)).set("text-anchor", "end");
        document = document.add(if row.peer == Peer::Atoll { name.set("font-weight", "bold") } else { name });
    }
    for (place, panel) in PANELS.iter().enumerate() {
        document = document.add(bars(panel, &report.rows, NAMES + STEP * place as f64));
    }
    format!("{document}\n")
}

fn bars(panel: &Panel, rows: &[Row], left: f64) -> Group {
    let greatest = rows.iter().map(panel.value).fold(f64::MIN_POSITIVE, f64::max);
    let mut group = Group::new()
        .add(text(panel.title, left, 34.0).set("font-weight", "bold"))
        .add(text(panel.better, left, 54.0).set("fill", "#59636e").set("font-size", 12));
    for (place, row) in rows.iter().enumerate() {
        let value = (panel.value)(row);
        let length = BAR * value / greatest;
        let bar = Rectangle::new()
            .set("x", left)
            .set("y", TOP + ROW * place as f64 + 4.0)
            .set("width", rounded(length))
            .set("height", ROW - 10.0)
            .set("rx", 2)
            .set("fill", colour(row.peer));
        group = group.add(bar).add(text(&(panel.show)(value), rounded(left + length + 6.0), baseline(place)));
    }
    group
}

fn text(content: &str, x: f64, y: f64) -> Text {
    Text::new(content).set("x", x).set("y", y)
}

fn baseline(place: usize) -> f64 {
    TOP + ROW * place as f64 + 19.0
}

/// To a tenth, which is all that can be seen.
fn rounded(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

fn colour(peer: Peer) -> &'static str {
    match peer {
        Peer::Atoll | Peer::AtollProcess => "#d9480f",
        Peer::BASE => "#868e96",
        _ => "#5c7cba",
    }
}
