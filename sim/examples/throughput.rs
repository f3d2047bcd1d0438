//! Measures how fast the model moves buffers: `cargo run --release -p hwpool-sim --example throughput [stepped|threaded|inline]`.
//!
//! `inline` is the threaded model without its thread: client and model take turns on one core, which tells what a
//! pair costs both of them together, whatever else the machine does.
//! The client does what a driver does and nothing more: it takes a bulk from the acquire ring, gives it back by the
//! release ring, and rings once. A pair is one buffer acquired and released.

use std::error::Error;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Instant;

use hwpool_devices::bus::{Bar, DmaSource, Doorbell, Iova, Transport};
use hwpool_sim::{Counters, InProcess, Model, SimConfig, SimDoorbell};
use nix::sys::memfd::{MFdFlags, memfd_create};
use vm_memory::{FileOffset, MmapRegion, VolatileMemory};

const LOG2: u32 = 10;
const BUFFERS: u64 = 1 << 20;
const BASE: u64 = 1 << 32;
const STRIDE: u64 = 2048;
const DMA: u64 = 0x10_0000;
const ACQUIRE: usize = 8 << LOG2;
const LINE: usize = 16 << LOG2;
const BULK: u32 = 32;
const DOORBELL: u64 = 0x4_0000;

struct Client {
    memory: MmapRegion,
    tail: u32,
    head: u32,
}

impl Client {
    fn word(&self, at: usize) -> &AtomicU64 {
        self.memory
            .get_atomic_ref(at)
            .expect("offsets lie in the ring")
    }

    fn slot(n: u32) -> usize {
        8 * (n & ((1 << LOG2) - 1)) as usize
    }

    /// Takes up to a bulk from the acquire ring and gives it back; returns how many.
    fn turn(&mut self) -> u32 {
        // SPEC 6.5: there must be room for what is going to be released.
        let released = self.word(LINE).load(Ordering::Acquire) as u32;
        let room = (1 << LOG2) - self.tail.wrapping_sub(released);
        let mut done = 0;
        while done < BULK.min(room) {
            let entry = self
                .word(ACQUIRE + Client::slot(self.head))
                .load(Ordering::Acquire);
            if entry & 1 != u64::from(self.head >> LOG2 & 1 == 0) {
                break;
            }
            let phase = u64::from(self.tail >> LOG2 & 1 == 0);
            let slot = Client::slot(self.tail);
            self.word(slot).store(entry & !1 | phase, Ordering::Relaxed);
            self.head = self.head.wrapping_add(1);
            self.tail = self.tail.wrapping_add(1);
            done += 1;
        }
        done
    }
}

/// The model behind a transport, or driven by hand.
enum Device {
    Transport(InProcess, SimDoorbell),
    Inline(Box<Model>),
}

impl Device {
    fn open(mode: &str) -> Result<Device, Box<dyn Error>> {
        let mut config = SimConfig::default();
        if mode == "inline" {
            config.set("mode", "threaded")?;
            return Ok(Device::Inline(Box::new(Model::new(config)?)));
        }
        config.set("mode", mode)?;
        let sim = InProcess::open("bmu", "sim:bmu", config)?;
        let doorbell = sim.bar(2)?.doorbell(DOORBELL)?;
        Ok(Device::Transport(sim, doorbell))
    }

    fn write(&mut self, bar: u8, offset: u64, width: u8, value: u64) -> Result<(), Box<dyn Error>> {
        match self {
            Device::Inline(model) => model.bar_write(bar, offset, width, value)?,
            Device::Transport(sim, _) if width == 4 => {
                sim.bar(bar)?.write32(offset, value as u32)?
            }
            Device::Transport(sim, _) => sim.bar(bar)?.write64(offset, value)?,
        }
        Ok(())
    }

    fn read(&mut self, offset: u64) -> Result<u64, Box<dyn Error>> {
        Ok(match self {
            Device::Inline(model) => model.bar_read(0, offset, 4)?,
            Device::Transport(sim, _) => sim.bar(0)?.read32(offset)?.into(),
        })
    }

    #[inline]
    fn ring(&mut self, value: u64) -> Result<(), Box<dyn Error>> {
        match self {
            Device::Inline(model) => model.bar_write(2, DOORBELL, 8, value)?,
            Device::Transport(_, doorbell) => doorbell.ring(value)?,
        }
        Ok(())
    }

    fn relax(&mut self) {
        match self {
            Device::Inline(model) => model.relax(),
            Device::Transport(sim, _) => sim.relax(),
        }
    }

    fn counters(&self) -> Counters {
        match self {
            Device::Inline(model) => model.counters(),
            Device::Transport(sim, _) => sim.counters(),
        }
    }

    /// Gives the device its memory and lets it use the bus.
    fn map(&mut self, source: DmaSource<'_>) -> Result<(), Box<dyn Error>> {
        match self {
            Device::Inline(model) => {
                model.dma_map(Iova(DMA), source)?;
                model.config_write(4, 2, 6);
            }
            Device::Transport(sim, _) => {
                sim.dma_map(Iova(DMA), source)?;
                sim.config_write16(4, 6)?;
            }
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mode = std::env::args().nth(1).unwrap_or("threaded".into());
    let pairs: u64 = match mode.as_str() {
        "stepped" => 10_000_000,
        _ => 100_000_000,
    };
    let mut device = Device::open(&mode)?;
    let mut client = bring_up(&mut device)?;
    let start = Instant::now();
    let (mut moved, mut empty) = (0u64, 0u64);
    while moved < pairs {
        let done = client.turn();
        if done == 0 {
            empty += 1;
            device.relax();
            continue;
        }
        fence(Ordering::Release);
        device.ring(u64::from(client.tail) | u64::from(client.head) << 32)?;
        moved += u64::from(done);
    }
    let ns = start.elapsed().as_nanos() as f64;
    let (each, rate) = (ns / moved as f64, moved as f64 * 1e3 / ns);
    println!("{mode}: {each:.2} ns a pair, {rate:.1} million pairs a second");
    let counters = device.counters();
    let (doorbells, lines) = (counters.doorbells, counters.status_lines);
    println!("empty turns {empty}, doorbells {doorbells}, status lines {lines}");
    Ok(())
}

fn bring_up(device: &mut Device) -> Result<Client, Box<dyn Error>> {
    let len = 1 << 20;
    let file = File::from(memfd_create("throughput", MFdFlags::MFD_CLOEXEC)?);
    file.set_len(len)?;
    device.map(DmaSource {
        file: file.as_fd(),
        offset: 0,
        len,
    })?;
    device.write(0, 0x40, 4, 1)?;
    device.write(0, 0x4008, 8, BASE)?;
    device.write(0, 0x4010, 8, BASE + BUFFERS * STRIDE)?;
    device.write(0, 0x4018, 4, STRIDE)?;
    device.write(0, 0x401c, 4, BUFFERS)?;
    device.write(0, 0x4000, 4, 1)?;
    let start = Instant::now();
    for n in 0..BUFFERS {
        device.write(2, 8, 8, BASE + n * STRIDE)?;
    }
    let available = device.read(0x4020)?;
    let ns = start.elapsed().as_nanos() as f64 / BUFFERS as f64;
    println!("register path: {available} frees, {ns:.1} ns each");
    device.write(0, 0x800c, 4, (LOG2 | LOG2 << 8).into())?;
    device.write(0, 0x8010, 8, DMA)?;
    device.write(0, 0x8018, 8, DMA + ACQUIRE as u64)?;
    device.write(0, 0x8020, 8, DMA + LINE as u64)?;
    device.write(0, 0x8028, 4, 512)?;
    device.write(0, 0x802c, 4, 128)?;
    device.write(0, 0x8000, 4, 1)?;
    assert_eq!(device.read(0x8004)?, 1, "the portal runs");
    Ok(Client {
        memory: MmapRegion::from_file(FileOffset::new(file, 0), len as usize)?,
        tail: 0,
        head: 0,
    })
}
