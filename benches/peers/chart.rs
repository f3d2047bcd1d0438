//! The ratios as a chart, in SVG that reads on light and on dark pages.

use maud::{Markup, html};

use crate::measure::Measured;
use crate::report::Report;

/// In the drawing's own units.
const WIDTH: f64 = 760.0;
const ROW: f64 = 26.0;
const TOP: f64 = 58.0;
/// Where bars begin, and how long a ratio of 1 is.
const LEFT: f64 = 210.0;
const ONE: f64 = 460.0;

const STYLE: &str = "
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .small { font-size: 11px; fill: #59636e }
  .bar { fill: #2f81c7 }
  .one { stroke: #8c959f; stroke-width: 1.5 }
  .target { stroke: #d1570a; stroke-width: 2.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } .target { stroke: #f0883e }
  }";

/// Draws every case that has a target and was compared with DPDK.
pub(crate) fn draw(report: &Report) -> String {
    let compared = |case: &&Measured| {
        case.against.contains("ring_mp_mc") && case.at_most.is_some() && case.is_ok().is_some()
    };
    let cases: Vec<&Measured> = report.cases.iter().filter(compared).collect();
    let end = TOP + ROW * cases.len() as f64;
    let height = end + 34.0;
    let drawing = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {WIDTH} {height}")) role="img" {
            title { "Time of hwpool in parts of the time of DPDK's rte_mempool" }
            style { (STYLE) }
            text x="12" y="22" { "hwpool's time in parts of rte_mempool's (ring_mp_mc): shorter is faster" }
            line.target x1="12" x2="12" y1="34" y2="48" {}
            text.small x="20" y="45" { "target" }
            text.small x=(LEFT + ONE) y="45" text-anchor="middle" { "1 = DPDK" }
            line.one x1=(LEFT + ONE) x2=(LEFT + ONE) y1=(TOP - 8.0) y2=(end) {}
            @for (row, case) in cases.iter().enumerate() {
                (bar(case, TOP + ROW * row as f64))
            }
            text.small x="12" y=(end + 22.0) { (report.machine) "; " (report.dpdk) "; " (report.date) }
        }
    };
    drawing.into_string() + "\n"
}

fn bar(case: &Measured, y: f64) -> Markup {
    let ratio = case.ours().ratio.map_or(0.0, |ratio| ratio.median);
    let length = ratio.min(1.15) * ONE;
    let target = LEFT + case.at_most.unwrap_or_default() * ONE;
    html! {
        text x=(LEFT - 10.0) y=(y + 14.0) text-anchor="end" { (case.what) }
        rect.bar x=(LEFT) y=(y + 2.0) width=(format!("{length:.1}")) height=(ROW - 10.0) rx="2" {}
        line.target x1=(format!("{target:.1}")) x2=(format!("{target:.1}")) y1=(y) y2=(y + ROW - 6.0) {}
        text.small x=(format!("{:.1}", LEFT + length.max(target - LEFT) + 8.0)) y=(y + 14.0) { (format!("{ratio:.2}")) }
    }
}
