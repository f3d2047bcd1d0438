//! hwpool beside its peers, in one process, slice by slice: `scripts/bench` runs it.
//!
//! A *case* has sides that do the same work; they take turns, a fraction of a millisecond each. What counts is the
//! ratio: the median of the ratios of slices that ran next to each other, because absolute times drift with the
//! machine. Slices in which the scheduler took the processor away are left out.
//!
//! DPDK's side is `rte.c`, opened at run time; without it the other peers run.

mod cases;
mod chart;
mod measure;
mod ours;
mod pair;
mod report;
mod rte;

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::Parser;

use crate::measure::{Measured, pin};
use crate::report::Report;
use crate::rte::Rte;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Measures hwpool and its peers interleaved, and prints their ratios beside the targets.
#[derive(Parser)]
struct Arguments {
    /// The compiled rte.c; without it DPDK's sides are left out
    #[arg(long, value_name = "FILE")]
    shim: Option<PathBuf>,
    /// Arguments of DPDK's environment
    #[arg(
        long,
        default_value = "--no-huge --no-shconf -m 1024",
        allow_hyphen_values = true
    )]
    eal: String,
    /// Slices of each side
    #[arg(long, default_value_t = 600)]
    slices: usize,
    /// Only cases whose id begins like this
    #[arg(long, default_value = "", hide_default_value = true)]
    only: String,
    /// Writes all figures as a JSON document
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the ratios as a chart
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

/// What every run needs of DPDK: one processor for this thread, no device.
const EAL: &str = "-l 0 --no-pci --no-telemetry --log-level=*:error";

fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    let machine = report::machine(); // before this thread is bound to one processor
    let rte = match &arguments.shim {
        Some(shim) => Some(Rte::start(shim, &format!("{EAL} {}", arguments.eal))?),
        None => None,
    };
    pin(0);
    let mut report = Report::new(machine, rte.map(Rte::version), &arguments.eal);
    print!("{}", report.heading());
    for (id, make) in cases::ALL {
        if id.starts_with(&arguments.only) {
            let case = make(id, rte)?;
            let case = match rte.is_some_and(Rte::is_newer) {
                true => cases::newer(case),
                false => case,
            };
            let measured: Measured = case.measure(arguments.slices);
            print!("{}", report::lines(&measured));
            report.cases.push(measured);
        }
    }
    print!("{}", report.verdict());
    if let Some(path) = &arguments.json {
        fs::write(path, report.json())?;
    }
    if let Some(path) = &arguments.svg {
        fs::write(path, chart::draw(&report))?;
    }
    Ok(())
}
