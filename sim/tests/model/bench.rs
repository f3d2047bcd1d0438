//! A hand-written client of the BMU: plain register writes and ring arithmetic, straight from SPEC.md.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use hwpool_devices::bus::{Bar, DmaSource, Doorbell, Iova, Transport};
use hwpool_sim::{InProcess, Mode, SimBar, SimConfig, SimDoorbell, Violation, ViolationKind};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// Where the test's DMA memory lies.
pub(crate) const DMA: u64 = 0x10_0000;
/// Its length: release ring, acquire ring, status line, 64 KiB each.
pub(crate) const DMA_LEN: u64 = 0x3_0000;
pub(crate) const RELEASE: u64 = DMA;
pub(crate) const ACQUIRE: u64 = DMA + 0x1_0000;
pub(crate) const LINE: u64 = DMA + 0x2_0000;
/// Where the pool's buffers lie; nothing is mapped there, the device never touches them.
pub(crate) const BASE: u64 = 0x4000_0000;
pub(crate) const STRIDE: u64 = 2048;

/// One model with its BARs and its memory.
pub(crate) struct Bench {
    pub(crate) sim: InProcess,
    pub(crate) control: SimBar,
    pub(crate) operation: SimBar,
    pub(crate) memory: Memory,
}

/// A memfd that the host reaches by `pread` and `pwrite`.
pub(crate) struct Memory {
    file: File,
    pub(crate) iova: u64,
}

impl Memory {
    pub(crate) fn new(iova: u64, len: u64) -> Memory {
        let fd: OwnedFd = memfd_create("test", MFdFlags::MFD_CLOEXEC).unwrap();
        let file = File::from(fd);
        file.set_len(len).unwrap();
        Memory { file, iova }
    }

    pub(crate) fn source(&self, offset: u64, len: u64) -> DmaSource<'_> {
        DmaSource {
            file: self.file.as_fd(),
            offset,
            len,
        }
    }

    pub(crate) fn load(&self, iova: u64) -> u64 {
        let mut bytes = [0; 8];
        self.file
            .read_exact_at(&mut bytes, iova - self.iova)
            .unwrap();
        u64::from_le_bytes(bytes)
    }

    pub(crate) fn store(&self, iova: u64, value: u64) {
        self.file
            .write_all_at(&value.to_le_bytes(), iova - self.iova)
            .unwrap();
    }

    pub(crate) fn clear(&self, len: u64) {
        self.file.write_all_at(&vec![0; len as usize], 0).unwrap();
    }
}

pub(crate) fn config(keys: &[(&str, &str)]) -> SimConfig {
    let mut config = SimConfig::default();
    for (key, value) in keys {
        config.set(key, value).unwrap();
    }
    config
}

impl Bench {
    /// Opens a model with bus mastering and the device on, and the memory mapped.
    pub(crate) fn new(config: SimConfig) -> Bench {
        let bench = Bench::closed(config);
        bench.sim.config_write16(4, 6).unwrap();
        bench.set(0x40, 1);
        bench
    }

    /// Opens a model and does nothing to it but map memory.
    pub(crate) fn closed(config: SimConfig) -> Bench {
        let sim = InProcess::open("bmu", "sim:bmu", config).unwrap();
        let memory = Memory::new(DMA, DMA_LEN);
        sim.dma_map(Iova(DMA), memory.source(0, DMA_LEN)).unwrap();
        Bench {
            control: sim.bar(0).unwrap(),
            operation: sim.bar(2).unwrap(),
            sim,
            memory,
        }
    }

    pub(crate) fn stepped() -> Bench {
        Bench::new(SimConfig::default())
    }

    pub(crate) fn threaded() -> Bench {
        let mut config = SimConfig::default();
        config.mode = Mode::Threaded;
        Bench::new(config)
    }

    pub(crate) fn get(&self, offset: u64) -> u32 {
        self.control.read32(offset).unwrap()
    }

    pub(crate) fn get64(&self, offset: u64) -> u64 {
        self.control.read64(offset).unwrap()
    }

    pub(crate) fn set(&self, offset: u64, value: u32) {
        self.control.write32(offset, value).unwrap();
    }

    pub(crate) fn set64(&self, offset: u64, value: u64) {
        self.control.write64(offset, value).unwrap();
    }

    /// Configures pool `p` with `count` buffers and enables it.
    pub(crate) fn pool(&self, p: u64, count: u64) {
        self.configure_pool(p, count);
        self.set(pool(p), 1);
        assert_eq!(self.get(pool(p)), 1, "pool {p} refused its configuration");
    }

    pub(crate) fn configure_pool(&self, p: u64, count: u64) {
        self.set64(pool(p) + 0x08, BASE);
        self.set64(pool(p) + 0x10, BASE + count * STRIDE);
        self.set(pool(p) + 0x18, STRIDE as u32);
        self.set(pool(p) + 0x1c, count as u32);
    }

    pub(crate) fn alloc(&self, p: u64) -> u64 {
        self.operation.read64(p * 0x1000).unwrap()
    }

    pub(crate) fn free(&self, p: u64, address: u64) {
        self.operation.write64(p * 0x1000 + 8, address).unwrap();
    }

    /// Writes the 64-bit register at `offset` of the operation BAR, a doorbell for instance.
    pub(crate) fn ring_raw(&self, offset: u64, value: u64) {
        self.operation.write64(offset, value).unwrap();
    }

    pub(crate) fn available(&self, p: u64) -> u32 {
        self.get(pool(p) + 0x20)
    }

    /// Puts `count` buffers of the pool's range into its list by the register path.
    pub(crate) fn fill(&self, p: u64, count: u64) {
        for n in 0..count {
            self.free(p, BASE + n * STRIDE);
        }
        assert_eq!(u64::from(self.available(p)), count);
    }

    /// Configures portal `q` on pool `p` in the test's memory.
    pub(crate) fn configure_portal(
        &self,
        q: u64,
        p: u64,
        log2: u32,
        credits: u32,
        hysteresis: u32,
    ) {
        self.set(portal(q) + 0x08, p as u32);
        self.set(portal(q) + 0x0c, log2 | log2 << 8);
        self.set64(portal(q) + 0x10, RELEASE);
        self.set64(portal(q) + 0x18, ACQUIRE);
        self.set64(portal(q) + 0x20, LINE);
        self.set(portal(q) + 0x28, credits);
        self.set(portal(q) + 0x2c, hysteresis);
    }

    /// Enables portal `q` and returns a client of it.
    pub(crate) fn portal(
        &self,
        q: u64,
        p: u64,
        log2: u32,
        credits: u32,
        hysteresis: u32,
    ) -> Client<'_> {
        self.memory.clear(DMA_LEN);
        self.configure_portal(q, p, log2, credits, hysteresis);
        self.set(portal(q), 1);
        assert_eq!(
            self.get(portal(q)),
            1,
            "portal {q} refused its configuration"
        );
        Client {
            bench: self,
            log2,
            tail: 0,
            head: 0,
            doorbell: self.operation.doorbell(0x4_0000 + q * 0x1000).unwrap(),
        }
    }

    /// Lets time pass until `done`, a second at most.
    pub(crate) fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let start = self.sim.now();
        while !done() {
            assert!(
                self.sim.now() - start < Duration::from_secs(1),
                "waited for {what}"
            );
            self.sim.relax();
        }
    }

    /// Lets everything under way arrive.
    pub(crate) fn settle(&self) {
        let start = self.sim.now();
        while self.sim.now() - start < Duration::from_micros(100) {
            self.sim.relax();
        }
    }

    pub(crate) fn state(&self, q: u64) -> u32 {
        self.get(portal(q) + 4)
    }

    /// Kinds, source, pool and portal of ERR_RECORD, and ERR_ADDRESS.
    pub(crate) fn record(&self) -> (u64, u64, u64, u64, u64) {
        let record = self.get64(0x90);
        assert_eq!(record & 1, 1, "no error was recorded");
        let cut = |low: u32, len: u32| record >> low & ((1 << len) - 1);
        (
            cut(4, 4),
            cut(8, 3),
            cut(16, 6),
            cut(24, 6),
            self.get64(0x98),
        )
    }

    pub(crate) fn line(&self) -> Line {
        let word = |n: u64| self.memory.load(LINE + 8 * n);
        Line {
            release_head: word(0) as u32,
            acquire_tail: (word(0) >> 32) as u32,
            acquire_head: word(1) as u32,
            empty: word(1) >> 32 & 1 != 0,
            halted: word(1) >> 33 & 1 != 0,
            stopped: word(1) >> 34 & 1 != 0,
            available: word(2),
            sequence: word(3),
        }
    }

    #[track_caller]
    pub(crate) fn no_violations(&self) {
        assert_eq!(self.sim.violations(), vec![]);
    }

    #[track_caller]
    pub(crate) fn violated(&self, kinds: &[ViolationKind]) {
        let found: Vec<Violation> = self.sim.violations();
        let found: Vec<ViolationKind> = found.iter().map(|v| v.kind).collect();
        assert_eq!(found, kinds);
    }
}

/// A status line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) release_head: u32,
    pub(crate) acquire_tail: u32,
    pub(crate) acquire_head: u32,
    pub(crate) empty: bool,
    pub(crate) halted: bool,
    pub(crate) stopped: bool,
    pub(crate) available: u64,
    pub(crate) sequence: u64,
}

/// The host's side of one portal.
pub(crate) struct Client<'a> {
    bench: &'a Bench,
    pub log2: u32,
    pub(crate) tail: u32,
    pub(crate) head: u32,
    pub(crate) doorbell: SimDoorbell,
}

impl Client<'_> {
    fn phase(&self, n: u32) -> u64 {
        u64::from(n >> self.log2 & 1 == 0)
    }

    fn slot(&self, ring: u64, n: u32) -> u64 {
        ring + 8 * u64::from(n & ((1 << self.log2) - 1))
    }

    /// Stores a release entry, without a doorbell.
    pub(crate) fn release(&mut self, address: u64) {
        let (slot, phase) = (self.slot(RELEASE, self.tail), self.phase(self.tail));
        self.bench.memory.store(slot, address | phase);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Takes an acquire entry, if there is one, without a doorbell.
    pub(crate) fn acquire(&mut self) -> Option<u64> {
        let word = self.bench.memory.load(self.slot(ACQUIRE, self.head));
        if word & 1 != self.phase(self.head) || word == 0 {
            return None;
        }
        self.head = self.head.wrapping_add(1);
        Some(word & !0x3f)
    }

    pub(crate) fn ring(&self) {
        std::sync::atomic::fence(std::sync::atomic::Ordering::Release);
        let value = u64::from(self.tail) | u64::from(self.head) << 32;
        self.doorbell.ring(value).unwrap();
    }

    /// Takes all that there is.
    pub(crate) fn acquire_all(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| self.acquire()).collect()
    }
}

/// Offset of pool `p`'s registers.
pub(crate) fn pool(p: u64) -> u64 {
    0x4000 + 0x100 * p
}

/// Offset of portal `q`'s registers.
pub(crate) fn portal(q: u64) -> u64 {
    0x8000 + 0x100 * q
}
