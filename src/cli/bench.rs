//! `hwpool bench`: time and bus transactions per buffer, for each path.
//!
//! A *pair* is one buffer taken and given back. On a model two runs make one line of the result: real time is measured
//! on the threaded model, transactions and modelled time are counted on the stepped one, where they are exact.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use hwpool::address::shown;
use hwpool::device::Device;
use hwpool::devices::bus::Transport;
use hwpool::pool::{Pool, Slot, Worker};
use serde_json::{Value, json};

use super::signal::Stop;
use super::{DeviceArg, Output};

/// Measure time and bus transactions per buffer.
#[derive(Debug, Args)]
#[command(after_help = "Example: hwpool bench sim:bmu --only portal --json")]
pub(crate) struct Bench {
    #[command(flatten)]
    device: DeviceArg,
    /// Only cases whose name contains this.
    #[arg(long, value_name = "PART", default_value = "")]
    only: String,
    /// Measured time for each line, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 100,
          value_parser = clap::value_parser!(u64).range(1..=60_000))]
    time: u64,
}

const BULKS: [usize; 4] = [1, 8, 32, 256];
const THREADS: [usize; 2] = [1, 2];
/// Slices that a line's median is taken of.
const SLICES: u32 = 5;
/// Pairs between two looks at the clock.
const LOOK: usize = 4096;
/// Pairs over which transactions are counted.
const COUNTED: usize = 64 * 1024;
const OBJECTS: u32 = 16 * 1024;
const SIZE: usize = 2048;

/// One way to move buffers.
struct Case {
    name: &'static str,
    about: &'static str,
    backend: &'static str,
    cache: usize,
    /// Buffers that a thread holds before it gives them back; 0: it gives each bulk back at once.
    keep: usize,
}

const CASES: [Case; 4] = [
    Case {
        name: "cached",
        about: "take a bulk, give it back: the thread's cache serves it",
        backend: "bmu",
        cache: 512,
        keep: 0,
    },
    Case {
        name: "portal-cached",
        about: "take 2048 in bulks, give them back in bulks: the cache refills and flushes through the rings",
        backend: "bmu",
        cache: 512,
        keep: 2048,
    },
    Case {
        name: "portal",
        about: "rings and doorbells, no cache",
        backend: "bmu",
        cache: 0,
        keep: 0,
    },
    Case {
        name: "register",
        about: "one register access a buffer, no cache",
        backend: "bmu-registers",
        cache: 0,
        keep: 0,
    },
];

pub(crate) fn run(args: Bench, output: Output) -> anyhow::Result<()> {
    let slice = Duration::from_millis(args.time) / SLICES;
    let cases: Vec<&Case> = CASES
        .iter()
        .filter(|case| case.name.contains(&args.only))
        .collect();
    if cases.is_empty() {
        let names = CASES.map(|case| case.name).join(", ");
        return Err(super::Usage(format!("no case `{}`: there are {names}", args.only)).into());
    }
    let stop = Stop::on_signal()?;
    let mut lines = Vec::new();
    'cases: for case in cases {
        let line = |text: &str| output.line(output.fold(text, INDENT));
        line(&format!("{}: {}", case.name, case.about))?;
        line(HEADER)?;
        for threads in THREADS {
            for bulk in BULKS {
                if stop.is_wanted() {
                    break 'cases;
                }
                let measured = measure(&args.device.device, case, threads, bulk, slice, &stop)?;
                line(&measured.text())?;
                lines.push(measured);
            }
        }
    }
    let ratio = portal_advantage(&lines);
    output.print(
        || document(&shown(&args.device.device), &lines, ratio),
        || output.fold(&ratio_text(ratio), INDENT),
    )?;
    stop.verdict()
}

/// Where lines go on that a terminal is too narrow for.
const INDENT: usize = 10;
const HEADER: &str =
    "  threads bulk   ns/pair  Mpairs/s   reads  writes  doorbells  DMA bytes  modelled ns";

/// What was measured of one case at one bulk size.
struct Line {
    case: &'static str,
    cache: usize,
    threads: usize,
    bulk: usize,
    /// Real time a pair takes, all threads together.
    ns: f64,
    counted: Option<Counted>,
}

/// What the model counted, per pair.
#[derive(Copy, Clone)]
struct Counted {
    reads: f64,
    writes: f64,
    doorbells: f64,
    dma_bytes: f64,
    /// Time on the modelled link.
    modelled_ns: f64,
}

impl Line {
    fn text(&self) -> String {
        let (threads, bulk, ns) = (self.threads, self.bulk, self.ns);
        let mut text = format!("  {threads:>7} {bulk:>4} {ns:>9.2} {:>9.2}", 1e3 / ns);
        if let Some(c) = self.counted {
            text += &format!(
                " {:>7.4} {:>7.4} {:>10.4} {:>10.2} {:>12.2}",
                c.reads, c.writes, c.doorbells, c.dma_bytes, c.modelled_ns
            );
        }
        text
    }

    fn json(&self) -> Value {
        let mut line = json!({
            "case": self.case, "cache": self.cache, "threads": self.threads, "bulk": self.bulk,
            "ns_per_buffer": self.ns, "pairs_per_second": 1e9 / self.ns,
        });
        if let Some(c) = self.counted {
            line["mmio_reads_per_buffer"] = json!(c.reads);
            line["mmio_writes_per_buffer"] = json!(c.writes);
            line["doorbells_per_buffer"] = json!(c.doorbells);
            line["dma_bytes_per_buffer"] = json!(c.dma_bytes);
            line["modelled_ns_per_buffer"] = json!(c.modelled_ns);
        }
        line
    }
}

fn document(device: &str, lines: &[Line], ratio: Option<f64>) -> Value {
    json!({
        "schema": "hwpool.bench/1",
        "device": device,
        "objects": OBJECTS,
        "object_bytes": SIZE,
        "modelled_link": "PCIe Gen3 x8",
        "portal_over_register_modelled": ratio,
        "results": lines.iter().map(Line::json).collect::<Vec<_>>(),
    })
}

/// How many times more pairs a second the portal path moves than the register path, on the modelled link at bulk 32.
fn portal_advantage(lines: &[Line]) -> Option<f64> {
    let modelled = |case| {
        let line = lines
            .iter()
            .find(|l| l.case == case && l.bulk == 32 && l.threads == 1)?;
        Some(line.counted?.modelled_ns)
    };
    Some(modelled("register")? / modelled("portal")?)
}

fn ratio_text(ratio: Option<f64>) -> String {
    ratio.map_or(String::new(), |ratio| {
        format!("modelled on PCIe Gen3 x8 at bulk 32: the portal path moves {ratio:.0} times the register path's pairs\n")
    })
}

fn measure(
    device: &str,
    case: &Case,
    threads: usize,
    bulk: usize,
    slice: Duration,
    stop: &Stop,
) -> anyhow::Result<Line> {
    let timed = Device::open(&with_mode(device, "threaded"))?;
    stop.on_notice(timed.name(), timed.notices());
    let ns = time(&timed, case, threads, bulk, slice)?;
    let is_model = timed.model().is_some();
    drop(timed);
    let counted = match is_model {
        true => {
            let stepped = Device::open(&with_mode(device, "stepped"))?;
            Some(count(&stepped, case, threads, bulk)?)
        }
        false => None,
    };
    Ok(Line {
        case: case.name,
        cache: case.cache,
        threads,
        bulk,
        ns,
        counted,
    })
}

/// Adds the mode to the address of a model that does not name one.
fn with_mode(device: &str, mode: &str) -> String {
    if !device.starts_with("sim:") || device.contains("mode=") {
        return device.to_string();
    }
    let separator = if device.contains('?') { '&' } else { '?' };
    format!("{device}{separator}mode={mode}")
}

fn pool(device: &Device, case: &Case) -> anyhow::Result<Pool> {
    let builder = Pool::builder("bench")
        .objects(OBJECTS)
        .size(SIZE)
        .cache(case.cache);
    Ok(builder.backend(case.backend).device(device).build()?)
}

/// Measures the median of some slices, in nanoseconds a pair with all threads together.
fn time(
    device: &Device,
    case: &Case,
    threads: usize,
    bulk: usize,
    slice: Duration,
) -> anyhow::Result<f64> {
    let pool = pool(device, case)?;
    let mut slices = Vec::new();
    for _ in 0..SLICES {
        let work = |mut mover: Mover<'_>| {
            let started = Instant::now();
            let mut pairs = 0;
            while started.elapsed() < slice {
                pairs += mover.rounds(LOOK)?;
            }
            Ok((pairs, started.elapsed()))
        };
        let done = on_threads(&pool, case, threads, bulk, work)?;
        let rate: f64 = done
            .iter()
            .map(|(pairs, time)| *pairs as f64 / time.as_secs_f64())
            .sum();
        slices.push(1e9 / rate);
    }
    close(pool)?;
    slices.sort_by(f64::total_cmp);
    Ok(slices[slices.len() / 2])
}

/// Counts the model's transactions over a fixed number of pairs in steady state.
fn count(device: &Device, case: &Case, threads: usize, bulk: usize) -> anyhow::Result<Counted> {
    let model = device.model().context("not a model")?;
    let pool = pool(device, case)?;
    let warm_up = |mut mover: Mover<'_>| mover.rounds(COUNTED / 4);
    on_threads(&pool, case, threads, bulk, warm_up)?;
    let (before, started) = (model.counters(), model.now());
    let share = COUNTED / threads;
    let done = on_threads(&pool, case, threads, bulk, |mut mover: Mover<'_>| {
        mover.rounds(share)
    })?;
    let (counters, elapsed) = (model.counters().since(&before), model.now() - started);
    close(pool)?;
    let pairs = done.iter().sum::<usize>() as f64;
    Ok(Counted {
        reads: counters.mmio_reads as f64 / pairs,
        writes: counters.mmio_writes as f64 / pairs,
        doorbells: counters.doorbells as f64 / pairs,
        dma_bytes: (counters.dma_read_bytes + counters.dma_write_bytes) as f64 / pairs,
        modelled_ns: elapsed.as_nanos() as f64 / pairs,
    })
}

/// Runs `work` on as many threads as asked for, each with a worker of its own, and collects what they return.
fn on_threads<R: Send>(
    pool: &Pool,
    case: &Case,
    threads: usize,
    bulk: usize,
    work: impl Fn(Mover<'_>) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let run = |n: usize| {
        let mut worker = pool.worker(&format!("thread-{n}"))?;
        let (rounds, held) = (
            case.keep.div_ceil(bulk).max(1),
            Vec::with_capacity(case.keep + bulk),
        );
        work(Mover {
            worker: &mut worker,
            bulk,
            rounds,
            held,
        })
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|n| scope.spawn(move || run(n))).collect();
        let results = threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.collect()
    })
}

/// Moves buffers in bulks: takes some, then gives them back.
struct Mover<'a> {
    worker: &'a mut Worker,
    bulk: usize,
    /// Bulks that are taken before they are given back.
    rounds: usize,
    held: Vec<Slot>,
}

impl Mover<'_> {
    /// Takes and gives one round; returns the pairs. A pool that is short for the moment is asked again.
    fn round(&mut self) -> anyhow::Result<usize> {
        for _ in 0..self.rounds {
            if !self.worker.take_into(&mut self.held, self.bulk)? {
                self.take_later()?;
            }
        }
        for _ in 0..self.rounds {
            self.worker.give_from(&mut self.held, self.bulk)?;
        }
        Ok(self.rounds * self.bulk)
    }

    #[cold]
    fn take_later(&mut self) -> anyhow::Result<()> {
        let patience = Instant::now() + Duration::from_secs(5);
        while !self.worker.take_into(&mut self.held, self.bulk)? {
            if Instant::now() > patience {
                bail!(
                    "the pool of {OBJECTS} buffers stayed short of {}",
                    self.bulk
                );
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Takes and gives rounds until at least `pairs` were moved.
    fn rounds(&mut self, pairs: usize) -> anyhow::Result<usize> {
        let mut moved = 0;
        while moved < pairs {
            moved += self.round()?;
        }
        Ok(moved)
    }
}

fn close(pool: Pool) -> anyhow::Result<()> {
    let report = pool.close()?;
    if !report.is_clean() {
        bail!("{report}");
    }
    Ok(())
}
