//! `hwpool bringup`: the ladder of checks, for people and for scripts.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::time::Duration;

use clap::Args;
use hwpool::bringup::{Item, Options, Outcome, Progress, Report, Status, run as climb};
use hwpool::device::Link;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::output::Colour;
use super::signal::Stop;
use super::{DeviceArg, Output};

/// Prove a device layer by layer. Resets it; whatever it held is forgotten.
#[derive(Debug, Args)]
pub(crate) struct Bringup {
    #[command(flatten)]
    device: DeviceArg,
    /// Objects in the pool that is cycled through the rings.
    #[arg(long, value_name = "N", default_value_t = Options::default().buffers,
          value_parser = clap::value_parser!(u32).range(64..=1 << 24))]
    buffers: u32,
    /// How often each object goes through the rings.
    #[arg(long, value_name = "N", default_value_t = Options::default().laps,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    laps: u32,
}

pub(crate) fn run(args: Bringup, output: Output) -> anyhow::Result<bool> {
    let options = Options {
        buffers: args.buffers,
        laps: args.laps,
    };
    let stop = Stop::on_signal()?;
    let link = Link::open(&args.device.device)?;
    stop.on_notice(&args.device.device, link.notices());
    let mut printed = Ok(());
    let spinner = spinner(output);
    let progress = |progress: Progress<'_>| {
        match progress {
            Progress::Start { id, .. } => spinner.set_message(id),
            Progress::End(outcome) => {
                let line = || output.line(outcome_text(outcome, output));
                if printed.is_ok() {
                    printed = spinner.suspend(line);
                }
            }
        }
        match stop.is_wanted() {
            true => ControlFlow::Break("the run was ended before this rung".into()),
            false => ControlFlow::Continue(()),
        }
    };
    let report = match link {
        Link::Sim(model) => climb(model, &options, progress),
        Link::Vfio(function) => climb(function, &options, progress),
        Link::User(client) => climb(client, &options, progress),
    };
    spinner.finish_and_clear();
    printed?;
    output.print(|| report_json(&report), || summary(&report, output))?;
    stop.verdict()?;
    Ok(report.is_good())
}

/// A sign of life while a rung runs, on a terminal only.
fn spinner(output: Output) -> ProgressBar {
    if output.is_json() || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
    let bar = ProgressBar::new_spinner();
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn outcome_text(outcome: &Outcome, output: Output) -> String {
    let colour = match outcome.status {
        Status::Pass => Colour::Good,
        Status::Fail => Colour::Bad,
        Status::Skip | Status::Blocked => Colour::Pale,
    };
    let word = output.paint(colour, &format!("{:<7}", outcome.status.word()));
    let (rung, id, title) = (outcome.rung, outcome.id, outcome.title);
    let ms = outcome.elapsed.as_secs_f64() * 1e3;
    let mut text = format!("{rung:>2} {word} {id:<17} {title} ({ms:.1} ms)");
    if let Some(message) = &outcome.message {
        text += &format!("\n           {message}");
    }
    if !outcome.evidence.0.is_empty() {
        let evidence = outcome.evidence.to_string();
        text += &format!("\n           {}", output.paint(Colour::Pale, &evidence));
    }
    text
}

fn summary(report: &Report, output: Output) -> String {
    let count = |status| report.count(status);
    let (passed, failed) = (count(Status::Pass), count(Status::Fail));
    let (skipped, blocked) = (count(Status::Skip), count(Status::Blocked));
    let colour = if report.is_good() {
        Colour::Good
    } else {
        Colour::Bad
    };
    let mut text = format!("{passed} passed, {failed} failed, {skipped} skipped");
    if blocked > 0 {
        text += &format!(", {blocked} blocked");
    }
    format!("{}: {}\n", report.device, output.paint(colour, &text))
}

fn report_json(report: &Report) -> Value {
    json!({
        "schema": "hwpool.bringup/1",
        "device": report.device,
        "checks": report.checks.iter().map(outcome_json).collect::<Vec<_>>(),
        "passed": report.count(Status::Pass),
        "failed": report.count(Status::Fail),
        "skipped": report.count(Status::Skip),
        "blocked": report.count(Status::Blocked),
    })
}

fn outcome_json(outcome: &Outcome) -> Value {
    let evidence = outcome.evidence.0.iter().map(|(name, item)| {
        let value = match item {
            Item::Count(n) | Item::Hex(n) => json!(n),
            Item::Text(text) => json!(text),
        };
        json!({ "name": name, "value": value })
    });
    json!({
        "id": outcome.id,
        "rung": outcome.rung,
        "title": outcome.title,
        "status": outcome.status.word(),
        "seconds": outcome.elapsed.as_secs_f64(),
        "message": outcome.message,
        "evidence": evidence.collect::<Vec<_>>(),
    })
}
