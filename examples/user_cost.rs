//! What the vfio-user layer costs: `user_cost [ROUNDS]`, in a release build, on a quiet machine.
//!
//! Three comparisons, each between two sides that do the same work, in slices that alternate, so that whatever else the
//! machine does hits both. A line shows the median of each side, and the ratio of the slices that ran next to each other.
//!
//! - `read`: a register read by a message, our client and server against rust-vmm's `vfio_user`, both over a socket, with
//!   the same memory behind.
//! - `doorbell`: a store by the generic doorbell on a mapped BAR against a volatile store to the same page.
//! - `pairs`: buffers taken and given at bulk 32 without a cache, the threaded model behind a socket against the one in
//!   this process.

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hwpool::devices::bus::{Bar, BusError, Doorbell, Transport};
use hwpool::sim::SimConfig;
use hwpool::user::codec::SparseArea;
use hwpool::user::server::{
    DmaMapping, Errno, Lines, Peer, RegionDescription, RegionMapping, Served, Server, StopHandle,
};
use hwpool::user::{Client, PATIENCE, SimDevice, UserDoorbell};
use hwpool::{Device, Pool};
use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

type Outcome<T> = Result<T, Box<dyn Error>>;

const BAR_SIZE: u64 = 0x2000;
/// The page of the BAR that can be mapped.
const MAPPED: u64 = 0x1000;
/// Reads, stores and time of one slice.
const READS: u32 = 2_000;
const STORES: u64 = 10_000_000;
const SLICE: Duration = Duration::from_millis(60);
const BULK: usize = 32;

fn main() -> Outcome<()> {
    let rounds = std::env::args().nth(1).map_or(Ok(25), |n| n.parse())?;
    println!("per operation           vfio-user       peer    ratio  (p10 to p90)    target");
    reads(rounds)?.print("read", "at most 1.0");
    doorbells(rounds)?.print("doorbell", "at most 1.2");
    pairs(rounds)?.print("pairs", "at most 1.1");
    Ok(())
}

/// Nanoseconds an operation: ours and the peer's, slice by slice.
struct Slices(Vec<(f64, f64)>);

impl Slices {
    /// Measures both sides in turn, and who begins in turn as well.
    fn measure(
        rounds: usize,
        mut ours: impl FnMut() -> Outcome<f64>,
        mut peer: impl FnMut() -> Outcome<f64>,
    ) -> Outcome<Slices> {
        ours()?; // caches, clocks and branch predictors
        peer()?;
        let slices = (0..rounds.max(1)).map(|round| {
            Ok(match round % 2 {
                0 => {
                    let first = ours()?;
                    (first, peer()?)
                }
                _ => {
                    let first = peer()?;
                    (ours()?, first)
                }
            })
        });
        Ok(Slices(slices.collect::<Outcome<_>>()?))
    }

    fn print(&self, what: &str, target: &str) {
        let quantile = |of: fn(&(f64, f64)) -> f64, part: f64| {
            let mut values: Vec<f64> = self.0.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[((values.len() - 1) as f64 * part).round() as usize]
        };
        let ratio = |slice: &(f64, f64)| slice.0 / slice.1;
        let [ours, peer] = [quantile(|s| s.0, 0.5), quantile(|s| s.1, 0.5)];
        let [low, middle, high] = [0.1, 0.5, 0.9].map(|part| quantile(ratio, part));
        println!(
            "{what:<18} {ours:>11.2} ns {peer:>7.2} ns {middle:>8.2}  ({low:.2} to {high:.2})    {target}"
        );
    }
}

fn nanoseconds(started: Instant, operations: u64) -> f64 {
    started.elapsed().as_nanos() as f64 / operations as f64
}

fn socket(name: &str) -> PathBuf {
    let name = format!("hwpool-cost-{}-{name}.sock", std::process::id());
    std::env::temp_dir().join(name)
}

/// A BAR's memory, sealed: our client maps no file that its server could shorten.
fn memory() -> Outcome<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let file = File::from(memfd_create(c"bar", flags)?);
    file.set_len(BAR_SIZE)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK))?;
    Ok(file)
}

// ---- our side -----------------------------------------------------------------------------

/// A server in a thread of its own, until it is dropped.
struct Running {
    path: PathBuf,
    stop: StopHandle,
    thread: Option<thread::JoinHandle<()>>,
}

impl Running {
    fn start<D: Served + Send + 'static>(name: &str, mut device: D) -> Outcome<Running> {
        let path = socket(name);
        let server = Server::bind(&path)?;
        let stop = server.stop_handle();
        let serve = move || {
            if let Err(error) = server.run(&mut device) {
                eprintln!("{error}");
            }
        };
        let thread = Some(thread::spawn(serve));
        Ok(Running { path, stop, thread })
    }

    fn client(&self) -> Outcome<Client> {
        let path = self.path.to_str().ok_or("a path that is no text")?;
        Ok(Client::open(path, "user:cost", PATIENCE)?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop();
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

/// A device that is memory: BAR 0, the second page of which can be mapped.
struct Memory {
    bytes: Vec<u8>,
    file: File,
    lines: Arc<Lines>,
}

impl Memory {
    fn new(file: File) -> Memory {
        Memory {
            bytes: vec![0; BAR_SIZE as usize],
            file,
            lines: Arc::new(Lines::new([0; 5])),
        }
    }
}

impl Served for Memory {
    fn region(&self, index: u32) -> Option<RegionDescription<'_>> {
        (index == 0).then(|| RegionDescription {
            size: BAR_SIZE,
            readable: true,
            writable: true,
            mapping: Some(RegionMapping {
                file: self.file.as_fd(),
                offset: 0,
                areas: vec![SparseArea {
                    offset: MAPPED,
                    size: BAR_SIZE - MAPPED,
                }],
            }),
        })
    }

    fn lines(&self) -> &Arc<Lines> {
        &self.lines
    }

    fn read(&mut self, _: &mut Peer, _: u32, at: u64, data: &mut [u8]) -> Result<(), Errno> {
        data.copy_from_slice(&self.bytes[at as usize..][..data.len()]);
        Ok(())
    }

    fn write(&mut self, _: &mut Peer, _: u32, at: u64, data: &[u8]) -> Result<(), Errno> {
        self.bytes[at as usize..][..data.len()].copy_from_slice(data);
        Ok(())
    }

    fn dma_map(&mut self, _: &mut Peer, _: DmaMapping) -> Result<(), Errno> {
        Ok(())
    }

    fn dma_unmap(&mut self, _: u64, _: u64) {}

    fn reset(&mut self) -> Result<(), Errno> {
        Ok(())
    }
}

// ---- registers by messages ----------------------------------------------------------------

fn reads(rounds: usize) -> Outcome<Slices> {
    let server = Running::start("ours", Memory::new(memory()?))?;
    let client = server.client()?;
    let bar = client.bar(0)?;
    let theirs = socket("theirs");
    let serving = peer::serve(theirs.clone())?;
    let mut other = vfio_user::Client::new(&theirs)?;
    let slices = Slices::measure(
        rounds,
        || {
            let started = Instant::now();
            for _ in 0..READS {
                black_box(bar.read32(8)?);
            }
            Ok(nanoseconds(started, READS.into()))
        },
        || {
            let started = Instant::now();
            for _ in 0..READS {
                let mut word = [0; 4];
                other.region_read(0, 8, &mut word)?;
                black_box(u32::from_le_bytes(word));
            }
            Ok(nanoseconds(started, READS.into()))
        },
    );
    other.shutdown()?;
    let _ = serving.join();
    slices
}

/// The same device behind rust-vmm's server.
mod peer {
    use super::*;
    use vfio_bindings::bindings::vfio;
    use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, ServerBackend, ServerRegion};

    struct Backend(Vec<u8>);

    impl ServerBackend for Backend {
        fn region_read(&mut self, _: u32, at: u64, data: &mut [u8]) -> io::Result<()> {
            data.copy_from_slice(&self.0[at as usize..][..data.len()]);
            Ok(())
        }

        fn region_write(&mut self, _: u32, at: u64, data: &[u8]) -> io::Result<()> {
            self.0[at as usize..][..data.len()].copy_from_slice(data);
            Ok(())
        }

        fn dma_map(
            &mut self,
            _: DmaMapFlags,
            _: u64,
            _: u64,
            _: u64,
            _: Option<File>,
        ) -> io::Result<()> {
            Ok(())
        }

        fn dma_unmap(&mut self, _: DmaUnmapFlags, _: u64, _: u64) -> io::Result<()> {
            Ok(())
        }

        fn reset(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn set_irqs(&mut self, _: u32, _: u32, _: u32, _: u32, _: Vec<File>) -> io::Result<()> {
            Ok(())
        }
    }

    fn region(index: u32) -> ServerRegion {
        let region_info = vfio::vfio_region_info {
            argsz: 32,
            index,
            flags: vfio::VFIO_REGION_INFO_FLAG_READ | vfio::VFIO_REGION_INFO_FLAG_WRITE,
            size: if index == 0 { BAR_SIZE } else { 0 },
            ..Default::default()
        };
        ServerRegion {
            region_info,
            sparse_areas: Vec::new(),
            mmap_fd: None,
        }
    }

    pub(super) fn serve(path: PathBuf) -> Outcome<thread::JoinHandle<()>> {
        let irq = |index| IrqInfo {
            index,
            flags: 0,
            count: 0,
        };
        let (irqs, regions) = ((0..5).map(irq).collect(), (0..9).map(region).collect());
        let server = vfio_user::Server::new(&path, true, irqs, regions)?;
        Ok(thread::spawn(move || {
            // It ends with an error when its client goes.
            let _ = server.run(&mut Backend(vec![0; BAR_SIZE as usize]));
        }))
    }
}

// ---- doorbells ------------------------------------------------------------------------------

/// A doorbell that is a volatile store and nothing else.
struct Raw(MmapRaw);

impl Doorbell for Raw {
    #[inline]
    fn ring(&self, value: u64) -> Result<(), BusError> {
        // SAFETY: the mapping has MAPPED + 8 bytes at least, and begins at a page, so the word is aligned and inside;
        // nothing in this process borrows it.
        unsafe {
            self.0
                .as_mut_ptr()
                .add(MAPPED as usize)
                .cast::<u64>()
                .write_volatile(value)
        };
        Ok(())
    }
}

/// Stores through a doorbell of any kind. Never inlined, so that both kinds are measured in the same loop. Nothing else
/// in it touches memory (as `black_box` would): such accesses may share the low bits of the doorbell's address, by the
/// chance of where the stack lies, and cost more than the store.
#[inline(never)]
fn ring_often<D: Doorbell>(doorbell: &D) -> Outcome<f64> {
    let started = Instant::now();
    for value in 0..STORES {
        doorbell.ring(value)?;
    }
    Ok(nanoseconds(started, STORES))
}

fn doorbells(rounds: usize) -> Outcome<Slices> {
    let file = memory()?;
    let raw = Raw(MmapOptions::new().len(BAR_SIZE as usize).map_raw(&file)?);
    let server = Running::start("doorbell", Memory::new(file.try_clone()?))?;
    let client = server.client()?;
    let doorbell: UserDoorbell = client.bar(0)?.doorbell(MAPPED)?;
    doorbell.ring(77)?;
    // SAFETY: as in `Raw::ring`.
    let seen = unsafe {
        raw.0
            .as_ptr()
            .add(MAPPED as usize)
            .cast::<u64>()
            .read_volatile()
    };
    assert_eq!(
        seen,
        77,
        "both store to the same page, fd {}",
        file.as_raw_fd()
    );
    Slices::measure(rounds, || ring_often(&doorbell), || ring_often(&raw))
}

// ---- buffers ----------------------------------------------------------------------------------

/// Takes and gives for the time of a slice on a pool of its own: the other side's model is not there meanwhile.
fn move_buffers(address: &str) -> Outcome<f64> {
    let device = Device::open(address)?;
    let pool = Pool::builder("cost").objects(16 * 1024).size(2048).cache(0);
    let pool = pool.backend("bmu").device(&device).build()?;
    let mut worker = pool.worker("cost")?;
    let mut held = Vec::with_capacity(BULK);
    let mut run = |time: Duration| -> Outcome<f64> {
        let (started, mut pairs) = (Instant::now(), 0);
        while started.elapsed() < time {
            for _ in 0..128 {
                while !worker.take_into(&mut held, BULK)? {
                    thread::yield_now();
                }
                worker.give_from(&mut held, BULK)?;
            }
            pairs += 128 * BULK as u64;
        }
        Ok(nanoseconds(started, pairs))
    };
    run(SLICE / 6)?;
    let cost = run(SLICE)?;
    drop(worker);
    match pool.close()? {
        report if report.is_clean() => Ok(cost),
        report => Err(report.to_string().into()),
    }
}

fn pairs(rounds: usize) -> Outcome<Slices> {
    let mut config = SimConfig::default();
    config.set("mode", "threaded")?;
    let server = Running::start("model", SimDevice::new("bmu", config)?)?;
    let address = format!("user:{}", server.path.display());
    Slices::measure(
        rounds,
        || move_buffers(&address),
        || move_buffers("sim:bmu?mode=threaded"),
    )
}
