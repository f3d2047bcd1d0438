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
use hwpool::devices::family::Way;
use hwpool::pool::{Pool, Slot, Worker};
use serde_json::{Value, json};

use super::device::{DeviceArg, object_bytes, objects as most_objects};
use super::exit::Usage;
use super::figures::fixed;
use super::output::Output;
use super::signal::Stop;

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
/// Most pairs between two looks at the clock; fewer at first, as a pair may take a device long.
const LOOK: usize = 4096;
/// Pairs over which transactions are counted.
const COUNTED: usize = 64 * 1024;
const OBJECTS: u32 = 16 * 1024;
/// A thread's cache, on a device that holds enough.
const CACHE: usize = 512;
const SIZE: usize = 2048;

/// One way to move buffers.
struct Case {
    name: String,
    about: String,
    /// The pool's backend.
    backend: &'static str,
    cache: usize,
    /// Buffers that a thread holds before it gives them back; 0: it gives each bulk back at once.
    keep: usize,
}

impl Case {
    /// Returns how many buffers some threads may have at once: in their hands, and in their caches.
    fn needs(&self, threads: usize, bulk: usize) -> usize {
        let in_hand = self.keep.max(1).next_multiple_of(bulk);
        threads * (in_hand + 2 * self.cache)
    }
}

/// Returns how many objects the pool has: fewer where the device holds fewer.
fn objects(device: &Device) -> u32 {
    let limits = device.limits();
    most_objects(limits, OBJECTS, object_bytes(limits, SIZE))
}

/// What is measured on a device: its best way with a cache, and each of its ways without. A device too small for a cache
/// goes without.
fn cases(device: &Device) -> Vec<Case> {
    let ways = device.about().ways.iter();
    let ways = ways.filter(|way| device.limits().ways.contains(&way.name));
    let ways: Vec<&Way> = ways.collect();
    let Some(best) = ways.first() else {
        return Vec::new();
    };
    let case = |name: String, about: String, way: &Way, cache, keep| Case {
        name,
        about,
        backend: way.backend,
        cache,
        keep,
    };
    let cache = CACHE.min(objects(device) as usize / 8);
    let keep = 4 * cache;
    let cached = [
        case(
            "cached".into(),
            "take a bulk, give it back: the thread's cache serves it".into(),
            best,
            cache,
            0,
        ),
        case(
            format!("{}-cached", best.name),
            format!(
                "take {keep} in bulks, give them back in bulks: the cache refills and flushes, by {}",
                best.doc
            ),
            best,
            cache,
            keep,
        ),
    ];
    let mut cases: Vec<Case> = cached.into_iter().filter(|_| cache > 0).collect();
    let bare = |way: &&Way| case(way.name.into(), format!("{}, no cache", way.doc), way, 0, 0);
    cases.extend(ways.iter().map(bare));
    cases
}

pub(crate) fn run(args: Bench, output: Output) -> anyhow::Result<()> {
    let slice = Duration::from_millis(args.time) / SLICES;
    let stop = Stop::on_signal()?;
    let device = Device::open(&args.device.device)?;
    let is_model = device.model().is_some();
    let (all, objects) = (cases(&device), objects(&device));
    let shape = (objects, object_bytes(device.limits(), SIZE));
    drop(device);
    let cases: Vec<&Case> = (all.iter())
        .filter(|case| case.name.contains(&args.only))
        .collect();
    if cases.is_empty() {
        let names: Vec<&str> = all.iter().map(|case| case.name.as_str()).collect();
        let names = names.join(", ");
        return Err(Usage(format!("no case `{}`: there are {names}", args.only)).into());
    }
    let mut lines = Vec::new();
    'cases: for case in cases {
        let line = |text: &str| output.line(output.fold(text, INDENT));
        line(&format!("{}: {}", case.name, case.about))?;
        line(&header(is_model))?;
        for threads in THREADS {
            for bulk in BULKS {
                if stop.is_wanted() {
                    break 'cases;
                }
                if case.needs(threads, bulk) > objects as usize {
                    continue;
                }
                let measured = measure(&args.device.device, case, threads, bulk, slice, &stop)?;
                line(&measured.text())?;
                lines.push(measured);
            }
        }
    }
    let advantage = advantage(&all, &lines);
    output.print(
        || {
            document(
                &shown(&args.device.device),
                shape,
                &lines,
                advantage.as_ref(),
            )
        },
        || {
            let text = advantage.as_ref().map_or(String::new(), Advantage::text);
            output.fold(&text, INDENT)
        },
    )?;
    stop.verdict()
}

/// Where lines go on that a terminal is too narrow for.
const INDENT: usize = 10;

/// Names the columns: those that a model counts are there for a model in this process alone. They fit 80 columns.
fn header(is_model: bool) -> String {
    let measured = format!("  threads bulk {:>10} {:>8}", "ns/pair", "Mpairs/s");
    match is_model {
        true => format!("{measured}  reads writes doorbells DMA bytes modelled ns"),
        false => measured,
    }
}

/// What was measured of one case at one bulk size.
struct Line {
    case: String,
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
        let (ns, rate) = (fixed(ns, 2), fixed(1e3 / ns, 2));
        let mut text = format!("  {threads:>7} {bulk:>4} {ns:>10} {rate:>8}");
        if let Some(c) = self.counted {
            text += &format!(
                " {:>6.4} {:>6.4} {:>9.4} {:>9} {:>11}",
                c.reads,
                c.writes,
                c.doorbells,
                fixed(c.dma_bytes, 2),
                fixed(c.modelled_ns, 2)
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

fn document(
    device: &str,
    (objects, size): (u32, usize),
    lines: &[Line],
    advantage: Option<&Advantage>,
) -> Value {
    let mut document = json!({
        "schema": "hwpool.bench/1",
        "device": device,
        "objects": objects,
        "object_bytes": size,
        "modelled_link": "PCIe Gen3 x8",
        "results": lines.iter().map(Line::json).collect::<Vec<_>>(),
    });
    if let Some(advantage) = advantage {
        document[advantage.key()] = json!(advantage.ratio);
    }
    document
}

/// How many times more pairs a second one way moves than another, on the modelled link at bulk 32.
struct Advantage {
    better: String,
    worse: String,
    ratio: f64,
}

impl Advantage {
    fn key(&self) -> String {
        format!("{}_over_{}_modelled", self.better, self.worse)
    }

    fn text(&self) -> String {
        let Advantage {
            better,
            worse,
            ratio,
        } = self;
        format!(
            "modelled on PCIe Gen3 x8 at bulk 32: the {better} path moves {ratio:.0} times the {worse} path's pairs\n"
        )
    }
}

/// Compares the best way of a device with its last one, where it has several and both were counted.
fn advantage(cases: &[Case], lines: &[Line]) -> Option<Advantage> {
    let modelled = |case: &Case| {
        let is_it = |line: &&Line| line.case == case.name && line.bulk == 32 && line.threads == 1;
        Some(lines.iter().find(is_it)?.counted?.modelled_ns)
    };
    let bare: Vec<&Case> = cases.iter().filter(|case| case.cache == 0).collect();
    let (best, last) = (bare.first()?, bare.last()?);
    let ratio = modelled(last)? / modelled(best)?;
    (bare.len() > 1).then(|| Advantage {
        better: best.name.clone(),
        worse: last.name.clone(),
        ratio,
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
        case: case.name.clone(),
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
        .objects(objects(device))
        .size(object_bytes(device.limits(), SIZE))
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
            let (mut pairs, mut look) = (0, bulk);
            while started.elapsed() < slice {
                pairs += mover.rounds(look)?;
                look = LOOK.min(2 * look);
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
                bail!("the pool stayed short of {} buffers for 5 s", self.bulk);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_80_columns_and_stand_below_their_names() {
        let line = Line {
            case: "register".into(),
            cache: 0,
            threads: 2,
            bulk: 256,
            ns: 34_567.891,
            counted: Some(Counted {
                reads: 1.0,
                writes: 1.0,
                doorbells: 0.0123,
                dma_bytes: 1234.5,
                modelled_ns: 98_765.4,
            }),
        };
        let (head, text) = (header(true), line.text());
        assert_eq!(
            [head.as_str(), text.as_str()],
            [
                "  threads bulk    ns/pair Mpairs/s  reads writes doorbells DMA bytes modelled ns",
                "        2  256  34,567.89     0.03 1.0000 1.0000    0.0123  1,234.50   98,765.40",
            ]
        );
        assert!(head.len() <= 80 && text.len() <= 80);
    }
}
