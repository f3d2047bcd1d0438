//! `hwpool top`: how pools and devices fare, live.
//!
//! `history` keeps the last two readings, `view` makes lines of them, `screen` has the terminal, `demo` gives a model in this
//! process something to do.

mod demo;
mod history;
mod screen;
mod view;

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use clap::Args;
use hwpool::metrics::Snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::device::DEFAULT_DEVICE;
use super::exit::Usage;
use super::output::{self, Output};
use super::signal::Stop;
use super::source::{self, Source};
use super::watch::seconds;
use demo::Demo;
use history::{History, Reading};
use screen::Reader;
use view::View;

/// Show live how pools and devices fare; changes nothing.
///
/// Fill levels with their thresholds, takes and gives a second, what caches serve, doorbells, errors, interrupts. A device
/// is looked at and not driven: nothing is written, reset or enabled, and no register is read whose read has an effect. A
/// program that drives one, or has pools in software, offers its numbers on a socket. A model in this process has nobody
/// else to drive it: pools with a little traffic do.
///
/// Keys: q, Esc and Ctrl-C end it; arrows and page keys scroll.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hwpool top
  hwpool top vfio:0000:01:00.0 --interval 0.5
  hwpool top unix:rx.sock --times 3")]
pub(crate) struct Top {
    /// Address of the device, or unix:PATH, where a program offers its pools.
    #[arg(value_name = "DEVICE", default_value = DEFAULT_DEVICE)]
    device: String,
    /// Look again every so many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,
    /// End after so many frames, which are printed as plain text [default: 1 where stdout is no terminal].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    times: Option<u64>,
    /// Print one frame as plain text: totals, and no rates.
    #[arg(long, conflicts_with = "times")]
    once: bool,
}

/// Columns of a plain frame where no terminal says how many.
const PLAIN_WIDTH: u16 = 80;

pub(crate) fn run(args: &Top, output: Output) -> anyhow::Result<()> {
    if output.is_json() {
        let message = "a view is for people: `hwpool metrics --json` prints the same numbers";
        return Err(Usage(message.into()).into());
    }
    let stop = Stop::on_signal()?;
    let looked = Looked::open(&args.device)?;
    let name = source::name(&args.device);
    if let Looked::Source(source) = &looked {
        stop.on_notice(&name, source.notices());
    }
    let first = looked.read()?;
    let times = match (args.times, args.once || !io::stdout().is_terminal()) {
        (Some(times), _) => Some(times),
        (None, true) => Some(1),
        (None, false) => None,
    };
    let history = History::new(first);
    match times {
        Some(times) => plainly(&name, &looked, history, times, args.interval, &stop, output)?,
        None => {
            let goes_on = looked.goes_on();
            let reader = Reader::start(looked, Looked::read)?;
            screen::run(
                &name,
                history,
                reader,
                args.interval,
                goes_on,
                &stop,
                output,
            )?;
        }
    }
    stop.verdict()
}

/// Prints frames as text, one below the other.
fn plainly(
    name: &str,
    looked: &Looked,
    mut history: History,
    times: u64,
    interval: Duration,
    stop: &Stop,
    output: Output,
) -> anyhow::Result<()> {
    let width = output.width().unwrap_or(PLAIN_WIDTH);
    for frame in 0..times {
        if frame > 0 {
            if stop.wait(interval) {
                break;
            }
            history.add(looked.read()?);
            output.line("")?;
        }
        let view = View {
            source: name,
            history: &history,
            note: None,
            colour: false,
            scrolled: 0,
            keys: false,
        };
        output::write(&text(&view, width)?)?;
    }
    Ok(())
}

/// Draws a view on paper.
fn text(view: &View<'_>, width: u16) -> anyhow::Result<String> {
    let mut paper = Terminal::new(TestBackend::new(width, view.height(width)))?;
    paper.draw(|frame| view.draw(frame))?;
    let buffer = paper.backend().buffer();
    let lines = buffer.content().chunks(usize::from(width.max(1)));
    let lines = lines.map(|cells| cells.iter().map(|cell| cell.symbol()).collect::<String>());
    let text: String = lines.map(|line| format!("{}\n", line.trim_end())).collect();
    Ok(format!("{}\n", text.trim_end()))
}

/// What is looked at.
enum Looked {
    Source(Source),
    /// A model in this process, with pools on it.
    Demo(Demo),
}

impl Looked {
    fn open(text: &str) -> anyhow::Result<Looked> {
        Ok(match text.starts_with("sim:") {
            true => Looked::Demo(Demo::start(text)?),
            false => Looked::Source(Source::open(text)?),
        })
    }

    fn read(&self) -> anyhow::Result<Reading> {
        let snapshot: Snapshot = match self {
            Looked::Source(source) => source.read()?,
            Looked::Demo(demo) => demo.read(),
        };
        Ok(Reading {
            at: Instant::now(),
            snapshot: snapshot.distinct(),
        })
    }

    /// Tells whether a failure may pass: a server is busy while it has another client.
    fn goes_on(&self) -> bool {
        matches!(self, Looked::Source(Source::Served(_)))
    }
}
