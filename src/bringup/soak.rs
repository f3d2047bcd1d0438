//! Rung 15: traffic for a while, and what it took.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hwpool_devices::bmu::PortalConfig;
use hwpool_devices::bus::Transport;
use hwpool_devices::family::FreeList;

use super::Board;
use super::evidence::{Evidence, Failure, ensure};
use super::ladder::Session;
use super::lists::{List, low_base, objects, open_list};
use super::portal::RingMemory;
use crate::report::{Plot, Series};

/// Objects in each pool.
const POOL: u32 = 1024;
/// Objects that are taken and given back at once.
const BURST: usize = 32;
/// Pools that are driven at the same time, each by a thread.
const THREADS: u16 = 2;
/// Points of the plot of throughput.
const SLICES: u32 = 40;

/// What is logged when the traffic has begun.
pub const TRAFFIC_RUNS: &str = "traffic runs";

/// Takes and gives bursts through portals, or by registers where there are none, on each NUMA node for as long, and
/// counts.
pub(super) fn traffic<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let session = board.session()?;
    let can = session.bmu.capabilities();
    let threads = match can.portals {
        0 => THREADS.min(can.pools),
        portals => THREADS.min(portals).min(can.pools),
    };
    let nodes = match board.options.nodes.as_slice() {
        [] | [_] => vec![None],
        nodes => nodes.iter().copied().map(Some).collect(),
    };
    let part = board.options.soak / nodes.len() as u32;
    evidence.count("threads", threads);
    evidence.text(
        "path",
        if can.portals == 0 {
            "registers"
        } else {
            "portals"
        },
    );
    for node in nodes {
        let sum = on_node(session, node, threads, part, &board.options.stop)?;
        evidence.series.extend(sum.series(node));
        let place = match node {
            None => String::new(),
            Some(node) if Some(node) == board.options.near => format!("node {node} (near): "),
            Some(node) => format!("node {node}: "),
        };
        sum.tell(&place, evidence);
    }
    board.go_on(|| "before its time".into())
}

/// Runs the threads with their rings on `node`, and adds up what they did.
fn on_node<T: Transport>(
    session: &Session<T>,
    node: Option<u32>,
    threads: u16,
    time: Duration,
    stop: &AtomicBool,
) -> Result<Sum, Failure> {
    let begin = Instant::now();
    thread::scope(|scope| {
        let one = || scope.spawn(move || one_thread(session, node, begin, time, stop));
        let running: Vec<_> = (0..threads).map(|_| one()).collect();
        let mut sum = Sum::new(time);
        for thread in running {
            let done = thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            sum.add(&done?);
        }
        // Shorter where somebody ended it.
        sum.took = begin.elapsed().min(time);
        Ok(sum)
    })
}

fn one_thread<T: Transport>(
    session: &Session<T>,
    node: Option<u32>,
    begin: Instant,
    time: Duration,
    stop: &AtomicBool,
) -> Result<Sum, Failure> {
    let objects = objects(&session.bmu, POOL);
    let mut way = Way::open(session, objects, node)?;
    way.give(&(0..objects).collect::<Vec<_>>())?;
    let burst = &mut [0; BURST][..BURST.min(objects as usize)];
    let mut sum = Sum::new(time);
    tracing::info!(
        "{TRAFFIC_RUNS}: bursts of {} of {objects} objects",
        burst.len()
    );
    loop {
        let at = begin.elapsed();
        if at >= time || stop.load(Ordering::Relaxed) {
            break;
        }
        let got = way.take(burst)?;
        ensure!(
            got,
            "a pool of {objects} objects, all in it, gave not even {}",
            burst.len()
        );
        way.give(burst)?;
        sum.note(at, begin.elapsed() - at, burst.len());
    }
    way.close(objects)?;
    Ok(sum)
}

/// How objects go to the device and come back.
struct Way<T: Transport> {
    list: List<T>,
}

impl<T: Transport> Way<T> {
    fn open(session: &Session<T>, objects: u32, node: Option<u32>) -> Result<Way<T>, Failure> {
        let bmu = &session.bmu;
        let mut list = open_list(bmu, low_base(bmu), objects, objects)?;
        if bmu.capabilities().portals > 0 {
            let config = PortalConfig::for_pool(objects, bmu.capabilities().ring_log2);
            RingMemory::on_node(session, config, node)?.open_portal(&mut list)?;
        }
        Ok(Way { list })
    }

    fn take(&mut self, burst: &mut [u32]) -> Result<bool, Failure> {
        Ok(self.list.take(burst)?)
    }

    fn give(&mut self, burst: &[u32]) -> Result<(), Failure> {
        Ok(self.list.give(burst)?)
    }

    /// Finds all objects in the list, or parked by the portal.
    fn close(mut self, objects: u32) -> Result<(), Failure> {
        let parked = self.list.close_portals()?.len() as u32;
        let held = self.list.available()?;
        ensure!(
            parked + held == objects,
            "{parked} buffers were parked and {held} in the list, of {objects}"
        );
        Ok(())
    }
}

/// What was done: bursts by what they took, and by when.
struct Sum {
    /// How long it was to last.
    time: Duration,
    /// How long it did.
    took: Duration,
    latency: Histogram,
    /// Objects that were moved, by when.
    slices: Vec<u64>,
}

impl Sum {
    fn new(time: Duration) -> Sum {
        Sum {
            time,
            took: time,
            latency: Histogram::default(),
            slices: vec![0; SLICES as usize],
        }
    }

    /// Notes a burst of `objects` that began `at` and took `took`.
    fn note(&mut self, at: Duration, took: Duration, objects: usize) {
        let slice = at.as_nanos() * u128::from(SLICES) / self.time.as_nanos().max(1);
        let last = self.slices.len() - 1;
        self.slices[(slice as usize).min(last)] += objects as u64;
        self.latency.note(took.as_nanos() as u64);
    }

    fn add(&mut self, other: &Sum) {
        self.latency.add(&other.latency);
        for (sum, more) in self.slices.iter_mut().zip(&other.slices) {
            *sum += more;
        }
    }

    fn pairs(&self) -> u64 {
        self.slices.iter().sum()
    }

    /// Objects in a burst; all are of one size.
    fn burst(&self) -> u64 {
        self.pairs() / self.latency.count().max(1)
    }

    fn tell(&self, place: &str, evidence: &mut Evidence) {
        let rate = self.pairs() as f64 / self.took.as_secs_f64().max(1e-9);
        evidence.count(format!("{place}objects at once"), self.burst());
        evidence.count(format!("{place}pairs"), self.pairs());
        evidence.count(format!("{place}pairs per second"), rate as u64);
        for (name, part) in [("p50 ns", 0.5), ("p99 ns", 0.99), ("p99.9 ns", 0.999)] {
            evidence.count(format!("{place}{name}"), self.latency.quantile(part));
        }
        evidence.count(format!("{place}longest ns"), self.latency.longest);
    }

    fn series(&self, node: Option<u32>) -> [Series; 2] {
        let name = |what: &str| match node {
            None => what.to_string(),
            Some(node) => format!("{what}, node {node}"),
        };
        let slice = self.time.as_secs_f64() / f64::from(SLICES);
        let rate = |objects: &u64| *objects as f64 / slice;
        // What was ended early has no rate after.
        let times = (0..SLICES).map(|n| f64::from(n) * slice);
        let times = times.take_while(|at| *at < self.took.as_secs_f64());
        [
            Series {
                name: name("latency of a burst"),
                kind: Plot::Histogram,
                x: "ns".into(),
                y: "bursts".into(),
                points: self.latency.points(),
            },
            Series {
                name: name("throughput"),
                kind: Plot::Line,
                x: "s".into(),
                y: "pairs per second".into(),
                points: times.zip(self.slices.iter().map(rate)).collect(),
            },
        ]
    }
}

/// Counts by powers of two, each in four parts: a value is known to a fifth of itself.
#[derive(Default)]
struct Histogram {
    counts: Vec<u64>,
    longest: u64,
}

const PARTS: u32 = 4;

impl Histogram {
    fn note(&mut self, value: u64) {
        let bucket = bucket(value);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.longest = self.longest.max(value);
    }

    fn add(&mut self, other: &Histogram) {
        let len = self.counts.len().max(other.counts.len());
        self.counts.resize(len, 0);
        for (sum, more) in self.counts.iter_mut().zip(&other.counts) {
            *sum += more;
        }
        self.longest = self.longest.max(other.longest);
    }

    fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the upper bound of the bucket below which `part` of all values lie, at most the longest.
    fn quantile(&self, part: f64) -> u64 {
        let wanted = (self.count() as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return range(bucket).end().to_owned().min(self.longest);
            }
        }
        self.longest
    }

    /// Returns the lower bound and the count of each bucket from the first to the last that has any, and the end.
    fn points(&self) -> Vec<(f64, f64)> {
        let first = self.counts.iter().position(|count| *count > 0).unwrap_or(0);
        let used = self.counts.iter().enumerate().skip(first);
        let points = used.map(|(bucket, count)| (*range(bucket).start() as f64, *count as f64));
        let end = (range(self.counts.len()).start().to_owned() as f64, 0.0);
        points.chain([end]).collect()
    }
}

fn bucket(value: u64) -> usize {
    let parts = u64::from(PARTS);
    if value < parts {
        return value as usize;
    }
    let log2 = value.ilog2();
    let within = value >> (log2 - 2) & (parts - 1);
    (u64::from(log2 - 1) * parts + within) as usize
}

/// Returns the values that a bucket counts.
fn range(bucket: usize) -> RangeInclusive<u64> {
    let bucket = bucket as u64;
    let parts = u64::from(PARTS);
    if bucket < parts {
        return bucket..=bucket;
    }
    let shift = bucket / parts - 1;
    let start = (parts + bucket % parts) << shift;
    start..=start + (1 << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_its_bucket_and_buckets_join() {
        for value in (0..5000).chain([1 << 20, (1 << 40) + 12345]) {
            assert!(range(bucket(value)).contains(&value), "{value}");
        }
        for n in 0..200 {
            assert_eq!(range(n).end() + 1, *range(n + 1).start(), "{n}");
        }
    }

    #[test]
    fn quantiles_are_those_of_a_sorted_list_to_a_fifth() {
        let mut histogram = Histogram::default();
        (1..=10_000).for_each(|value| histogram.note(value));
        for (part, expected) in [(0.5, 5000.0), (0.99, 9900.0), (0.999, 9990.0)] {
            let found = histogram.quantile(part) as f64;
            assert!((found / expected - 1.0).abs() < 0.2, "{part}: {found}");
        }
        assert_eq!(histogram.quantile(1.0), 10_000);
        assert_eq!(Histogram::default().quantile(0.5), 0);
    }

    #[test]
    fn points_keep_every_count() {
        let mut histogram = Histogram::default();
        for value in [100, 101, 5000, 90_000] {
            histogram.note(value);
        }
        let points = histogram.points();
        assert_eq!(points.iter().map(|point| point.1).sum::<f64>(), 4.0);
        assert!(points.is_sorted_by(|a, b| a.0 < b.0));
    }
}
