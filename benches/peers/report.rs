//! What was measured, as a table and as JSON.

use std::fmt::Write;
use std::fs;
use std::thread::available_parallelism;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::measure::{Measured, Summary};

/// A run.
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) date: String,
    /// DPDK's version and memory, or that there is none.
    pub(crate) dpdk: String,
    pub(crate) cases: Vec<Measured>,
}

impl Report {
    pub(crate) fn new(machine: String, dpdk: Option<String>, eal: &str) -> Report {
        let dpdk = match dpdk {
            Some(version) => format!("{version}, {eal}"),
            None => {
                "DPDK is not installed: its sides are left out, and no target is checked".into()
            }
        };
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Report {
            machine,
            date: now[..10].to_owned(),
            dpdk,
            cases: Vec::new(),
        }
    }

    pub(crate) fn heading(&self) -> String {
        format!(
            "{}; {}; {}\nmedians an object, in brackets p10; ratios of adjacent slices, in brackets p10 to p90\n\n{:<29} {:<22} {:>9} {:>9}   {:>5}  {:<13} {:<9}\n",
            self.machine,
            self.date,
            self.dpdk,
            "case",
            "side",
            "median",
            "(p10)",
            "ratio",
            "",
            "at most"
        )
    }

    /// Counts the targets that were reached.
    pub(crate) fn verdict(&self) -> String {
        let verdicts: Vec<bool> = self.cases.iter().filter_map(Measured::is_ok).collect();
        let reached = verdicts.iter().filter(|&&ok| ok).count();
        format!("\n{reached} of {} targets reached\n", verdicts.len())
    }

    pub(crate) fn json(&self) -> String {
        let document = json!({
            "schema": "hwpool.peers/1",
            "machine": self.machine,
            "date": self.date,
            "dpdk": self.dpdk,
            "cases": self.cases.iter().map(case).collect::<Vec<_>>(),
        });
        format!("{document:#}\n")
    }
}

/// Formats the lines of a case, ours first.
pub(crate) fn lines(case: &Measured) -> String {
    let mut text = String::new();
    for side in case.sides.iter().rev() {
        let ours = std::ptr::eq(side, case.ours());
        let ratio = side.ratio.map_or_else(String::new, |ratio| {
            let range = format!("({:.2} to {:.2})", ratio.p10, ratio.p90);
            format!("{:>5.2}  {range:<14}", ratio.median)
        });
        let target = match (case.at_most, case.is_ok()) {
            (Some(at_most), Some(ok)) if ours => {
                format!("{at_most:.2} {}", if ok { "ok" } else { "SHORT" })
            }
            _ => String::new(),
        };
        let what = if ours { case.what } else { "" };
        let own = format!("({:.2})", side.p10);
        let line = format!(
            "{what:<29} {:<22} {:>7.2}{:>3} {own:>8}   {ratio} {target}",
            side.name, side.median, case.unit
        );
        writeln!(text, "{}", line.trim_end()).expect("strings take all");
    }
    text
}

fn case(case: &Measured) -> Value {
    json!({
        "case": case.id,
        "what": case.what,
        "unit": case.unit,
        "against": case.against,
        "at_most": case.at_most,
        "ok": case.is_ok(),
        "sides": case.sides.iter().map(side).collect::<Vec<_>>(),
    })
}

fn side(side: &Summary) -> Value {
    json!({
        "name": side.name,
        "median": side.median,
        "p10": side.p10,
        "slices": side.slices,
        "ratio": side.ratio.map(|ratio| json!({
            "p10": ratio.p10, "median": ratio.median, "p90": ratio.p90
        })),
    })
}

/// Names the processor and how many of them this process may use.
pub(crate) fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let processors = available_parallelism().map_or(1, usize::from);
    format!(
        "{}, {processors} vCPUs",
        model.unwrap_or("unknown processor")
    )
}
