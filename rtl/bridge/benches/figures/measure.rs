//! How each figure is measured.

use std::env;
use std::error::Error;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hwpool::devices::bus::{Bar, Transport};
use hwpool::sim::{Mode, SimConfig};
use hwpool::user::server::serve_stream;
use hwpool::user::{Client, SimDevice};
use hwpool_rtl::design::{self, Design};
use hwpool_rtl::{Run, open};

use crate::server::{Server, path};
use crate::{Measured, cpu};

/// Register reads that are timed.
const READS: usize = 20_000;
/// The FIFO's IDENTITY: `FIFO`, lowest byte first, at 0.
const IDENTITY: u32 = 0x4f46_4946;

/// Millions of cycles in a second of a processor, of a design whose clock never stops. What else runs on the machine takes
/// nothing from it but caches.
pub(crate) fn cycles(file: &str) -> Measured {
    const SLICE: Duration = Duration::from_millis(500);
    let design = Design {
        idle_after: 0,
        ..design::read(&path(file))?
    };
    let opened = open(&design, Run::default())?;
    let so_far = || Ok::<_, Box<dyn Error>>((opened.monitor.cycles(), cpu::of_thread("clock")?));
    let slice = || {
        let (cycles, ran) = so_far()?;
        thread::sleep(SLICE);
        let (cycles_after, ran_after) = so_far()?;
        let millions = (cycles_after - cycles) as f64 / 1e6;
        Ok(millions / (ran_after - ran).as_secs_f64())
    };
    (0..9).map(|_| slice()).collect()
}

/// Microseconds of a register read of the FIFO, one after the other; its clock runs on demand.
pub(crate) fn reads() -> Measured {
    let server = Server::start(None)?;
    read_times(&server.client()?)
}

/// The same of the software model, in a thread of this process.
pub(crate) fn reads_of_the_model() -> Measured {
    let mut config = SimConfig::new("fifo")?;
    config.mode = Mode::Threaded;
    let mut device = SimDevice::new("fifo", config)?;
    let (ours, theirs) = UnixStream::pair()?;
    thread::spawn(move || serve_stream(theirs, &mut device));
    read_times(&Client::from_stream(
        ours,
        "figures",
        Duration::from_secs(20),
    )?)
}

fn read_times(client: &Client) -> Measured {
    let bar = client.bar(0)?;
    let mut times = Vec::with_capacity(READS);
    for _ in 0..READS {
        let started = Instant::now();
        let identity = bar.read32(0)?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
        if identity != IDENTITY {
            return Err(format!("the FIFO's IDENTITY reads {identity:#x}").into());
        }
    }
    Ok(times)
}

/// Percent of a core that the server needs while nothing is asked.
pub(crate) fn idle() -> Measured {
    const SLICE: Duration = Duration::from_secs(1);
    let server = Server::start(None)?;
    let client = server.client()?;
    client.bar(0)?.read32(0)?;
    let slice = || {
        let (before, started) = (cpu::of_process(server.id())?, Instant::now());
        thread::sleep(SLICE);
        let ran = cpu::of_process(server.id())? - before;
        Ok(100.0 * ran.as_secs_f64() / started.elapsed().as_secs_f64())
    };
    (0..5).map(|_| slice()).collect()
}

/// Seconds from the start of the server to a register that was read, with nothing built before.
pub(crate) fn serve_from_nothing() -> Measured {
    let once = || {
        let cache = tempfile::tempdir()?;
        time_to_serve(cache.path())
    };
    (0..3).map(|_| once()).collect()
}

/// The same with the design in the cache.
pub(crate) fn serve_from_the_cache() -> Measured {
    let cache = tempfile::tempdir()?;
    time_to_serve(cache.path())?;
    (0..9).map(|_| time_to_serve(cache.path())).collect()
}

fn time_to_serve(cache: &Path) -> Result<f64, Box<dyn Error>> {
    let started = Instant::now();
    let server = Server::start(Some(cache))?;
    server.client()?.bar(0)?.read32(0)?;
    Ok(started.elapsed().as_secs_f64())
}

/// Seconds of a bring-up in which no rung fails.
pub(crate) fn ladder() -> Measured {
    let hwpool = hwpool()?;
    let server = Server::start(None)?;
    let address = format!("user:{}", server.socket());
    let once = || {
        let started = Instant::now();
        let output = Command::new(&hwpool)
            .args(["bringup", &address, "--class", "opt-in"])
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stdout).into());
        }
        Ok(started.elapsed().as_secs_f64())
    };
    (0..5).map(|_| once()).collect()
}

/// Builds the program that climbs, in the workspace around this crate, and returns where it is.
fn hwpool() -> Result<PathBuf, Box<dyn Error>> {
    let output = cargo()
        .args(["build", "--release", "--locked", "--bin", "hwpool"])
        .args(["--quiet", "--message-format", "json"])
        .current_dir(path("../.."))
        .stderr(Stdio::inherit())
        .output()?;
    let said = String::from_utf8(output.stdout)?;
    let built = said.split("\"executable\":\"").nth(1);
    let built = built.and_then(|rest| rest.split('"').next());
    Ok(built.ok_or("hwpool was not built")?.into())
}

/// Seconds of a build of this crate and all that it needs, from sources that are on this machine.
pub(crate) fn build() -> Measured {
    let folder = tempfile::tempdir()?;
    let manifest = path("Cargo.toml");
    let fetched = cargo()
        .args(["fetch", "--quiet", "--locked", "--manifest-path"])
        .arg(&manifest)
        .status()?;
    let started = Instant::now();
    let built = cargo()
        .args(["build", "--release", "--quiet", "--locked", "--bins"])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(folder.path())
        .status()?;
    if !fetched.success() || !built.success() {
        return Err("the bridge was not built: cargo says why above".into());
    }
    Ok(vec![started.elapsed().as_secs_f64()])
}

/// Returns the cargo that runs this.
fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
}
