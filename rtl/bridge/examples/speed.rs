//! What an access costs, and how fast designs run: `cargo run --release --example speed`. A measurement, no verdict.

use std::error::Error;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use hwpool::devices::bus::{Bar, Transport};
use hwpool::sim::{Mode, SimConfig};
use hwpool::user::server::{Served, serve_stream};
use hwpool::user::{Client, SimDevice};
use hwpool_rtl::design::{self, Design};
use hwpool_rtl::{Run, open};

const READS: usize = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let regs = design::read(&folder.join("regs.toml"))?;
    let copy = design::read(&folder.join("copy.toml"))?;
    let mut config = SimConfig::default();
    config.mode = Mode::Threaded;
    println!("a register read over the socket, median and 99th percentile of {READS}:");
    tell(
        "the software model (sim:bmu)",
        read_times(SimDevice::new("bmu", config)?, 0)?,
    );
    tell(
        "regs.sv, clock on demand",
        read_times(open(&regs, Run::default())?.function, 0)?,
    );
    tell(
        "copy.sv, clock on demand",
        read_times(open(&copy, Run::default())?.function, 0x18)?,
    );
    let free = Design {
        idle_after: 0,
        ..regs.clone()
    };
    tell(
        "regs.sv, clock always on",
        read_times(open(&free, Run::default())?.function, 0)?,
    );
    println!("cycles a second, on one thread, nothing asked:");
    for design in [regs, copy] {
        println!(
            "  {:<30} {:6.2} million",
            design.sources.top,
            cycles_a_second(&design)? / 1e6
        );
    }
    Ok(())
}

fn read_times<D: Served + Send + 'static>(
    mut device: D,
    offset: u64,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let (ours, theirs) = UnixStream::pair()?;
    thread::spawn(move || serve_stream(theirs, &mut device));
    let client = Client::from_stream(ours, "speed", Duration::from_secs(20))?;
    let bar = client.bar(0)?;
    let mut times = Vec::with_capacity(READS);
    for _ in 0..READS {
        let started = Instant::now();
        bar.read32(offset)?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn tell(what: &str, times: Vec<Duration>) {
    let us = |at: usize| times[at].as_secs_f64() * 1e6;
    println!(
        "  {what:<30} {:6.1} µs {:8.1} µs",
        us(READS / 2),
        us(READS * 99 / 100)
    );
}

fn cycles_a_second(design: &Design) -> Result<f64, Box<dyn Error>> {
    let free = Design {
        idle_after: 0,
        ..design.clone()
    };
    let opened = open(&free, Run::default())?;
    let (before, started) = (opened.monitor.cycles(), Instant::now());
    thread::sleep(Duration::from_secs(1));
    let cycles = opened.monitor.cycles() - before;
    Ok(cycles as f64 / started.elapsed().as_secs_f64())
}
