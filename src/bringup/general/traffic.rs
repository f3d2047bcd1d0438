//! Rung 15: traffic for a while, and what it took.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hwpool_devices::bus::Transport;
use hwpool_devices::family::FreeList;

use super::device;
use super::histogram::Histogram;
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};
use crate::device::Session;
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

/// Takes and gives bursts by the device's best way on each NUMA node for as long, and counts.
pub(super) fn traffic<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let session = board.session()?;
    let way = device::best_way(session)?;
    let threads = Lanes::open(session, None)?.lists.len() as u64;
    let nodes = match board.options.nodes.as_slice() {
        [] | [_] => vec![None],
        nodes => nodes.iter().copied().map(Some).collect(),
    };
    let part = board.options.soak / nodes.len() as u32;
    evidence.count("threads", threads);
    evidence.text("path", format_args!("{way}s"));
    for node in nodes {
        let stop = &board.options.stop;
        let sum = (board.budget).under_load(&**board.transport()?, part, || {
            on_node(session, node, part, stop)
        })?;
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

/// Lists that are driven at the same time, each by a thread, with their rings on one node.
struct Lanes {
    lists: Vec<Box<dyn FreeList>>,
    objects: u32,
}

impl Lanes {
    fn open<T: Transport>(session: &Session<T>, node: Option<u32>) -> Result<Lanes, Failure> {
        let limits = &session.driver.identity().limits;
        let objects = device::objects(limits, POOL);
        let config = device::list_config(limits, device::low_base(limits), objects);
        let wanted = THREADS.min(limits.lists);
        let way = device::best_way(session)?;
        let lists = device::lists(session, &config, way, node, wanted)?;
        Ok(Lanes { lists, objects })
    }
}

/// Runs the threads with their rings on `node`, and adds up what they did.
fn on_node<T: Transport>(
    session: &Session<T>,
    node: Option<u32>,
    time: Duration,
    stop: &AtomicBool,
) -> Result<Sum, Failure> {
    let Lanes { lists, objects } = Lanes::open(session, node)?;
    let begin = Instant::now();
    // One that fails ends it for all.
    let failed = &AtomicBool::new(false);
    let over = &|| stop.load(Ordering::Relaxed) || failed.load(Ordering::Relaxed);
    let work = &|list| {
        one_thread(list, objects, begin, time, over)
            .inspect_err(|_| failed.store(true, Ordering::Relaxed))
    };
    thread::scope(|scope| {
        let start = |list| scope.spawn(move || work(list));
        let running: Vec<_> = lists.into_iter().map(start).collect();
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

fn one_thread(
    mut list: Box<dyn FreeList>,
    objects: u32,
    begin: Instant,
    time: Duration,
    over: &impl Fn() -> bool,
) -> Result<Sum, Failure> {
    list.give(&(0..objects).collect::<Vec<_>>())?;
    let burst = &mut [0; BURST][..BURST.min(objects as usize)];
    let mut sum = Sum::new(time);
    tracing::info!(
        "{TRAFFIC_RUNS}: bursts of {} of {objects} objects",
        burst.len()
    );
    // One burst at least: on a slow device the first objects alone may take all the time.
    loop {
        let at = begin.elapsed();
        let wanted = burst.len();
        let got = list.take(burst)?;
        ensure!(got, TrafficSymptom::Starved { objects, wanted });
        list.give(burst)?;
        sum.note(at, begin.elapsed() - at, burst.len());
        if begin.elapsed() >= time || over() {
            break;
        }
    }
    let drained = list.drain()?.len();
    ensure!(
        drained == objects as usize,
        TrafficSymptom::Sum { drained, objects }
    );
    Ok(sum)
}

/// What is wrong under load.
#[derive(Debug, thiserror::Error)]
enum TrafficSymptom {
    #[error("a pool of {objects} objects, all in it, gave not even {wanted}")]
    Starved { objects: u32, wanted: usize },
    #[error("{drained} buffers came back in the end, of {objects}")]
    Sum { drained: usize, objects: u32 },
}

impl Symptom for TrafficSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            TrafficSymptom::Starved { .. } | TrafficSymptom::Sum { .. } => {
                &["a race that shows under load only: look at the same run with fewer threads"]
            }
        })
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
