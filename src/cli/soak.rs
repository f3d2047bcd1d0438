//! `hwpool soak`: random traffic from several threads, and the proof that no buffer is lost or doubled.
//!
//! Each thread stamps every word of a buffer that it takes, and looks at the stamp before it gives the buffer back: a buffer
//! that two hold at once shows. Who takes it next looks as well: a device that writes into what it holds shows. At the end
//! each pool is closed and must find all its buffers. The first pool that fails ends the run for all.

use std::error::Error;
use std::sync::OnceLock;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use hwpool::address::shown;
use hwpool::device::Device;
use hwpool::devices::family::{SetupError, Way};
use hwpool::metrics::{DeviceState, PoolState, Snapshot};
use hwpool::pool::{Buffer, CloseReport, Pool, Worker};
use serde_json::json;

use super::device::{DeviceArg, object_bytes, objects as most_objects};
use super::figures::grouped;
use super::output::{Colour, Output};
use super::signal::Stop;
use super::source::Offer;

/// Run random traffic and prove that no buffer is lost or doubled.
#[derive(Debug, Args)]
#[command(after_help = "Example: hwpool soak vfio:0000:01:00.0 --seconds 3600 --threads 4")]
pub(crate) struct Soak {
    #[command(flatten)]
    device: DeviceArg,
    /// How long, in seconds; Ctrl-C ends it early with a report.
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: u64,
    /// Threads on each pool.
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u64).range(1..=64))]
    threads: u64,
    /// Seed of the random traffic.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    offer: Offer,
}

/// A pool that runs beside others on the device.
pub(super) struct Plan {
    name: String,
    backend: &'static str,
    cache: usize,
    objects: u32,
    size: usize,
}

/// Plans pools on each way of the device, as many as it has lists for: on the best way one with a cache, one without,
/// and one that is far too small for its threads.
pub(super) fn plans(device: &Device) -> Vec<Plan> {
    let limits = device.limits();
    let size = object_bytes(limits, SIZE);
    let plan = |way: &Way, suffix: &str, cache, objects: u32| Plan {
        name: format!("{}{suffix}", way.name),
        backend: way.backend,
        cache,
        objects: most_objects(limits, objects, size),
        size,
    };
    let ways = device.about().ways.iter();
    let mut ways = ways.filter(|way| limits.ways.contains(&way.name));
    let best = ways.next();
    let on_best = best.into_iter().flat_map(|way| {
        [
            plan(way, "-cached", 256, 8192),
            plan(way, "", 0, 1024),
            plan(way, "-short", 8, 48),
        ]
    });
    let mut plans: Vec<Plan> = on_best
        .chain(ways.map(|way| plan(way, "", 32, 512)))
        .collect();
    plans.truncate(limits.lists.into());
    plans
}

/// Makes the pools that are planned, and leaves out those for which the device has nothing left beside the others, such
/// as portals.
pub(super) fn make(device: &Device, plans: Vec<Plan>) -> anyhow::Result<Vec<Pool>> {
    let mut pools: Vec<Pool> = Vec::new();
    for plan in plans {
        let builder = Pool::builder(&plan.name).objects(plan.objects);
        let builder = builder.size(plan.size);
        let builder = builder.cache(plan.cache.min(plan.objects as usize / 2));
        match builder.backend(plan.backend).device(device).build() {
            Ok(pool) => pools.push(pool),
            Err(error) if is_all_in_use(&error) && !pools.is_empty() => {
                tracing::info!("no pool {}: {error}", plan.name);
            }
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::ensure!(
        !pools.is_empty(),
        "{}: the device moves no objects: it has neither rings nor registers for that",
        device.name()
    );
    Ok(pools)
}

/// Tells whether a pool can't be made because others have all that the device has.
fn is_all_in_use(error: &(dyn Error + 'static)) -> bool {
    let setup = error.downcast_ref::<SetupError>();
    match (setup, error.source()) {
        (Some(setup), _) => matches!(setup, SetupError::AllInUse { .. }),
        (None, source) => source.is_some_and(is_all_in_use),
    }
}

/// Bytes of a buffer, on a device that has such.
const SIZE: usize = 256;
/// Most buffers that a thread holds.
const HOLD: usize = 96;

/// What one thread did.
#[derive(Debug, Default, Copy, Clone)]
struct Tally {
    taken: u64,
    short: u64,
    /// Buffers whose stamp somebody else had changed while a thread held them.
    torn: u64,
    /// Buffers that had been written to since they were given back.
    written: u64,
}

pub(crate) fn run(args: Soak, output: Output) -> anyhow::Result<bool> {
    let stop = Stop::on_signal()?;
    let device = Device::open(&args.device.device)?;
    stop.on_notice(device.name(), device.notices());
    let pools = make(&device, plans(&device))?;
    let offered = (pools.clone(), device.clone());
    let exporter = args.offer.start(move || numbers(&offered.0, &offered.1))?;
    let started = Instant::now();
    let end = started + Duration::from_secs(args.seconds);
    let traffic = traffic(&pools, &args, || stop.is_wanted() || Instant::now() >= end);
    let tallies = traffic.inspect_err(|_| abandon(&pools))?;
    let elapsed = started.elapsed();
    drop(exporter);
    let mut rows = Vec::new();
    for (pool, tally) in pools.into_iter().zip(tallies) {
        let name = pool.name().to_string();
        rows.push(Row {
            report: pool.close().with_context(|| name.clone())?,
            name,
            tally,
        });
    }
    let good = report(&args, &rows, elapsed, output)?;
    stop.verdict()?;
    Ok(good)
}

/// Reads how pools and their device fare.
pub(super) fn numbers(pools: &[Pool], device: &Device) -> Snapshot {
    Snapshot {
        pools: pools.iter().map(PoolState::of).collect(),
        devices: vec![DeviceState::of(device)],
    }
}

/// Closes all pools after a failure, which is told already: what else they would say comes of it.
fn abandon(pools: &[Pool]) {
    for pool in pools {
        let _ = pool.close();
    }
}

struct Row {
    name: String,
    tally: Tally,
    report: CloseReport,
}

impl Row {
    fn is_good(&self) -> bool {
        self.tally.torn == 0 && self.tally.written == 0 && self.report.is_clean()
    }

    fn verdict(&self) -> String {
        let written = self.tally.written;
        match (self.is_good(), written) {
            (true, _) => "all back".into(),
            (false, 0) => self.report.to_string(),
            (false, _) if self.report.is_clean() => written_to(written),
            (false, _) => format!("{}; {}", written_to(written), self.report),
        }
    }
}

fn written_to(buffers: u64) -> String {
    format!(
        "{buffers} buffers had been written to while the pool held them: the device writes into buffers that it holds, or \
         into the wrong ones"
    )
}

/// Runs threads on all pools until `done`, or until one of them fails; returns what was done on each pool.
fn traffic(
    pools: &[Pool],
    args: &Soak,
    done: impl Fn() -> bool + Sync,
) -> anyhow::Result<Vec<Tally>> {
    let failed = OnceLock::new();
    let over = || failed.get().is_some() || done();
    let work = &|pool: &Pool, stamp: u64| {
        let random = Random(args.seed ^ stamp.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        one_thread(pool, stamp, random, &over).unwrap_or_else(|error| {
            // The first one is the cause of what the others meet.
            let _ = failed.set(error.context(format!("pool {}", pool.name())));
            Tally::default()
        })
    };
    let tallies = std::thread::scope(|scope| {
        let start = |(n, pool)| -> Vec<_> {
            let stamps = (1..=args.threads).map(|thread| (n as u64) << 32 | thread);
            stamps
                .map(|stamp| scope.spawn(move || work(pool, stamp)))
                .collect()
        };
        let running: Vec<_> = pools.iter().enumerate().map(start).collect();
        running.into_iter().map(sum).collect()
    });
    match failed.into_inner() {
        Some(error) => Err(error),
        None => Ok(tallies),
    }
}

/// Adds up what the threads of one pool did.
fn sum(threads: Vec<ScopedJoinHandle<'_, Tally>>) -> Tally {
    let mut total = Tally::default();
    for thread in threads {
        let tally = thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        total.taken += tally.taken;
        total.short += tally.short;
        total.torn += tally.torn;
        total.written += tally.written;
    }
    total
}

fn one_thread(
    pool: &Pool,
    stamp: u64,
    mut random: Random,
    done: &(impl Fn() -> bool + Sync),
) -> anyhow::Result<Tally> {
    let mut worker = pool.worker(&format!("soak-{stamp:x}"))?;
    let mut tally = Tally::default();
    let mut held: Vec<(Buffer, u64)> = Vec::with_capacity(HOLD);
    while !done() {
        let wanted = random.below(HOLD - held.len() + 1);
        take(&mut worker, wanted, stamp, &mut held, &mut tally)?;
        for _ in 0..random.below(held.len() + 1) {
            let at = random.below(held.len());
            let (mut buffer, expected) = held.swap_remove(at);
            if read_stamp(buffer.bytes()) != Some(expected) {
                tally.torn += 1;
                // Its next taker does not count it again, as written to in the pool.
                write_stamp(buffer.bytes_mut(), 0);
            }
            drop(buffer);
        }
    }
    Ok(tally)
}

fn take(
    worker: &mut Worker,
    wanted: usize,
    stamp: u64,
    held: &mut Vec<(Buffer, u64)>,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    for _ in 0..wanted {
        let Some(mut buffer) = worker.take()? else {
            tally.short += 1;
            return Ok(());
        };
        tally.taken += 1;
        // Who had it before, or nobody, left the same in each word: what the device wrote into it since shows.
        tally.written += u64::from(read_stamp(buffer.bytes()).is_none());
        let mark = stamp.rotate_left(32) ^ tally.taken;
        write_stamp(buffer.bytes_mut(), mark);
        held.push((buffer, mark));
    }
    Ok(())
}

/// Writes a stamp into each word of a buffer.
fn write_stamp(bytes: &mut [u8], stamp: u64) {
    let mark = stamp.to_le_bytes();
    let (words, rest) = bytes.as_chunks_mut();
    words.fill(mark);
    rest.copy_from_slice(&mark[..rest.len()]);
}

/// Reads the stamp of a buffer; `None` where its words differ.
fn read_stamp(bytes: &[u8]) -> Option<u64> {
    let (words, rest) = bytes.as_chunks::<8>();
    let first = words.first()?;
    let is_whole = words.iter().all(|word| word == first) && first.starts_with(rest);
    is_whole.then_some(u64::from_le_bytes(*first))
}

fn report(args: &Soak, rows: &[Row], elapsed: Duration, output: Output) -> anyhow::Result<bool> {
    let good = rows.iter().all(Row::is_good);
    let total: u64 = rows.iter().map(|row| row.tally.taken).sum();
    let rate = total as f64 / elapsed.as_secs_f64();
    let document = || {
        let pools = rows.iter().map(|row| {
            json!({ "pool": row.name, "taken": row.tally.taken, "short": row.tally.short, "torn": row.tally.torn,
                    "written": row.tally.written,
                    "objects": row.report.objects, "out": row.report.out.len(), "clean": row.report.is_clean() })
        });
        json!({ "schema": "hwpool.soak/1", "device": shown(&args.device.device), "seed": args.seed,
                "seconds": elapsed.as_secs_f64(), "pairs": total, "pairs_per_second": rate,
                "conserved": good, "pools": pools.collect::<Vec<_>>() })
    };
    let text = || {
        let line = |row: &Row| {
            let (name, tally, verdict) = (&row.name, row.tally, row.verdict());
            format!(
                "{name:<14} {:>13} taken {:>11} short {:>3} torn  {verdict}\n",
                grouped(tally.taken),
                grouped(tally.short),
                grouped(tally.torn)
            )
        };
        let verdict = match good {
            true => output.paint(Colour::Good, "conserved"),
            false => output.paint(Colour::Bad, "NOT conserved"),
        };
        let last = format!(
            "{}: {} pairs in {:.1} s, {:.2} million a second, seed {}: {verdict}\n",
            shown(&args.device.device),
            grouped(total),
            elapsed.as_secs_f64(),
            rate / 1e6,
            args.seed
        );
        rows.iter().map(line).chain([last]).collect()
    };
    output.print(document, text)?;
    Ok(good)
}

/// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016).
pub(super) struct Random(pub(super) u64);

impl Random {
    /// Returns a number below `bound`, or 0 where that is 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 |= u64::from(self.0 == 0);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((mixed * bound as u64) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_to_any_byte_of_a_buffer_shows() {
        let mut bytes = [0; 100];
        assert_eq!(read_stamp(&bytes), Some(0), "a new one");
        write_stamp(&mut bytes, 0x0123_4567_89ab_cdef);
        assert_eq!(read_stamp(&bytes), Some(0x0123_4567_89ab_cdef));
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert_eq!(read_stamp(&bytes), None, "byte {at}");
            bytes[at] ^= 1;
        }
    }
}
