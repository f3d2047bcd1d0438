//! Registers that are read and printed, once or again and again.

use std::time::{Duration, Instant};

use clap::Args;
use hwpool::address::shown;
use hwpool::device::Attached;
use serde_json::{Value, json};

use super::output::{self, Output};
use super::signal::Stop;

/// How often registers are read.
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// Read again every so many seconds and print what changed, until Ctrl-C; with --json a document a line.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    watch: Option<Duration>,
    /// End after so many readings.
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    times: Option<u64>,
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let value: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    match (0.001..=3600.0).contains(&value) {
        true => Ok(Duration::from_secs_f64(value)),
        false => Err("0.001 to 3600 seconds".into()),
    }
}

/// Where values stand, behind names.
const VALUE_COLUMN: usize = 27;

/// A register that can be printed with what it read.
pub(super) trait Shown {
    /// Lines for people.
    fn text(&self, value: u64) -> String;
    /// The same as data.
    fn json(&self, value: u64) -> Value;
}

/// Reads and prints registers of an opened device.
pub(super) struct Readings<'a> {
    watch: &'a Watch,
    /// What ends a watch early.
    stop: Option<Stop>,
    output: Output,
}

impl Readings<'_> {
    /// Reads `registers` as often as was asked for; prints those that `is_worth` it first, and later what changed.
    pub(super) fn show<R: Shown>(
        &self,
        device: &str,
        registers: &[R],
        read: impl Fn(&R) -> anyhow::Result<u64>,
        is_worth: impl Fn(&R, u64) -> bool,
    ) -> anyhow::Result<()> {
        let read_all = || registers.iter().map(&read).collect::<Result<Vec<_>, _>>();
        let started = Instant::now();
        let mut values = read_all()?;
        let worth = registers.iter().zip(values.iter().copied());
        let worth = worth.filter(|(register, value)| is_worth(register, *value));
        self.print(device, worth, None)?;
        let (Some(interval), Some(stop)) = (self.watch.watch, &self.stop) else {
            return Ok(());
        };
        let more = self.watch.times.map_or(u64::MAX, |times| times - 1);
        for _ in 0..more {
            if stop.wait(interval) {
                break;
            }
            let now = read_all()?;
            let pairs = registers.iter().zip(values.iter().zip(now.iter()));
            let changed = pairs.filter(|(_, (before, now))| before != now);
            let mut changed = changed
                .map(|(register, (_, now))| (register, *now))
                .peekable();
            if changed.peek().is_some() {
                self.print(device, changed, Some(started.elapsed()))?;
            }
            values = now;
        }
        stop.verdict()
    }

    fn print<'r, R: Shown + 'r>(
        &self,
        device: &str,
        readings: impl Iterator<Item = (&'r R, u64)>,
        after: Option<Duration>,
    ) -> anyhow::Result<()> {
        if !self.output.is_json() {
            let head = after.map(|after| format!("after {:.3} s\n", after.as_secs_f64()));
            let lines = readings.map(|(register, value)| register.text(value));
            let text: String = head.into_iter().chain(lines).collect();
            return output::write(&self.output.fold(&text, VALUE_COLUMN));
        }
        let registers: Vec<_> = readings
            .map(|(register, value)| register.json(value))
            .collect();
        let mut document =
            json!({ "schema": "hwpool.regs/1", "device": device, "registers": registers });
        if self.watch.watch.is_none() {
            return self.output.print(|| document, String::new);
        }
        document["seconds"] = after.unwrap_or_default().as_secs_f64().into();
        output::write(&format!("{document}\n"))
    }
}

impl Watch {
    /// Opens a device; what ends a watch early is caught from now on.
    pub(super) fn open(
        &self,
        device: &str,
        output: Output,
    ) -> anyhow::Result<(Attached, Readings<'_>)> {
        let stop = self.watch.map(|_| Stop::on_signal()).transpose()?;
        let attached = Attached::open(device)?;
        if let Some(stop) = &stop {
            stop.on_notice(&shown(device), attached.transport.notices());
        }
        let watch = self;
        Ok((
            attached,
            Readings {
                watch,
                stop,
                output,
            },
        ))
    }
}
