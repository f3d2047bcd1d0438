//! The figures that the bridge has targets for, and some beside them: `cargo bench [-- ID...]`.
//!
//! A figure is the median of what is measured one after the other, with nothing of ours running beside it. It is told beside
//! its target, and that is all: a busy machine is no mistake of the bridge's.

mod cpu;
mod measure;
mod server;

use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::thread::available_parallelism;

use hwpool_rtl::build::Verilator;

/// What was measured, in no order; or why it could not be.
type Measured = Result<Vec<f64>, Box<dyn Error>>;

/// Which values are good.
#[derive(Copy, Clone)]
enum Target {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
    /// It is there to compare with.
    None,
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Target::AtLeast(least) => value >= least,
            Target::AtMost(most) => value <= most,
            Target::Below(end) => value < end,
            Target::None => true,
        }
    }

    fn text(self) -> String {
        match self {
            Target::AtLeast(least) => format!("≥ {least}"),
            Target::AtMost(most) => format!("≤ {most}"),
            Target::Below(end) => format!("< {end}"),
            Target::None => String::new(),
        }
    }
}

struct Figure {
    id: &'static str,
    what: &'static str,
    unit: &'static str,
    target: Target,
    measure: fn() -> Measured,
}

#[rustfmt::skip] // a table: one figure, one line
const FIGURES: &[Figure] = &[
    Figure { id: "cycles", what: "clock cycles of the FIFO, nothing asked", unit: "M/s", target: Target::AtLeast(5.0), measure: || measure::cycles("../fifo/fifo.toml") },
    Figure { id: "cycles-regs", what: "the same, examples/regs.sv", unit: "M/s", target: Target::None, measure: || measure::cycles("examples/regs.toml") },
    Figure { id: "cycles-copy", what: "the same, examples/copy.sv", unit: "M/s", target: Target::None, measure: || measure::cycles("examples/copy.toml") },
    Figure { id: "read", what: "register read by message, the FIFO", unit: "µs", target: Target::AtMost(60.0), measure: measure::reads },
    Figure { id: "read-model", what: "the same, the software model sim:fifo", unit: "µs", target: Target::None, measure: measure::reads_of_the_model },
    Figure { id: "idle", what: "CPU of the idle FIFO, with its client", unit: "% of a core", target: Target::Below(1.0), measure: measure::idle },
    Figure { id: "serve", what: "from an empty cache to the first register read", unit: "s", target: Target::Below(60.0), measure: measure::serve_from_nothing },
    Figure { id: "serve-cached", what: "the same, built before", unit: "s", target: Target::Below(1.0), measure: measure::serve_from_the_cache },
    Figure { id: "ladder", what: "`hwpool bringup` on the FIFO, every rung", unit: "s", target: Target::Below(30.0), measure: measure::ladder },
    Figure { id: "build", what: "`cargo build --release` of the bridge", unit: "s", target: Target::None, measure: measure::build },
];

impl Figure {
    /// Measures it and prints the median, with a tenth and nine tenths where there are enough values.
    fn tell(&self) -> Result<(), Box<dyn Error>> {
        let mut values = (self.measure)()?;
        values.sort_unstable_by(f64::total_cmp);
        let at = |tenths: usize| values[((values.len() - 1) * tenths + 5) / 10];
        let verdict = match self.target {
            Target::None => "",
            target if target.is_met(at(5)) => "met",
            _ => "MISSED",
        };
        println!(
            "{:<13}{:<48}{:>9.3} {:<12}{:>9.3} to {:<9.3}{:>6}  {:<6}{verdict}",
            self.id,
            self.what,
            at(5),
            self.unit,
            at(1),
            at(9),
            values.len(),
            self.target.text(),
        );
        Ok(())
    }
}

fn main() -> ExitCode {
    match measure_all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all() -> Result<(), Box<dyn Error>> {
    // cargo adds options of the usual harness.
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let asked: Vec<&String> = asked.iter().filter(|word| !word.starts_with('-')).collect();
    if let Some(unknown) = asked
        .iter()
        .find(|id| FIGURES.iter().all(|figure| figure.id != id.as_str()))
    {
        let ids: Vec<&str> = FIGURES.iter().map(|figure| figure.id).collect();
        return Err(format!("no figure `{unknown}`: there are {}", ids.join(", ")).into());
    }
    println!("{}", machine());
    println!("{}", Verilator::find()?.version);
    if cfg!(debug_assertions) {
        println!("a debug build: what it measures says nothing of a release");
    }
    println!("medians, a tenth to nine tenths, how many were measured, target:");
    for figure in FIGURES {
        if asked.is_empty() || asked.iter().any(|id| *id == figure.id) {
            figure.tell()?;
        }
    }
    Ok(())
}

/// Names the processor, and tells how busy the machine was when this began.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim())
    });
    let processors = available_parallelism().map_or(1, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{}, {processors} processors, load {}",
        model.unwrap_or("a processor without a name"),
        load.split(' ').next().unwrap_or("unknown"),
    )
}
