//! One of the two devices: its registers, its messages, and memory that it reaches.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use hwpool::devices::bmu::{Bmu, Capabilities};
use hwpool::devices::bus::{Bar, DmaBuffer, Iova, Irq, Transport};
use hwpool::devices::family::OpenReset;
use hwpool::devices::reg::Register;
use hwpool::dma::{Domain, Mapping, Memory, MemoryRequest, Placement};

/// Where the memory is, for both.
pub(crate) const MEMORY: u64 = 0x10_0000;
pub(crate) const MEMORY_LEN: usize = 0x4_0000;
/// A device, whatever carries it.
pub(crate) trait Board {
    fn read(&self, row: &Register, index: u16) -> u64;
    fn write(&self, row: &Register, index: u16, value: u64);
    /// Reads or writes one half of a register of 64 bits.
    fn read_half(&self, row: &Register, index: u16, is_high: bool) -> u32;
    fn write_half(&self, row: &Register, index: u16, is_high: bool, value: u32);
    /// Counts the accesses that were made.
    fn accesses(&self) -> u64;
    /// Counts the messages of a vector since the beginning.
    fn fired(&self, vector: u16) -> u64;
    /// Lets the device's time go on.
    fn relax(&self);
    fn now(&self) -> Duration;
    /// What it never takes if it works.
    fn patience(&self) -> Duration;
    fn load(&self, offset: u64) -> u64;
    fn store(&self, offset: u64, value: u64);
}

/// A device that is opened.
pub(crate) struct Opened<T: Transport> {
    bmu: Bmu<T>,
    irqs: Vec<(T::Irq, Cell<u64>)>,
    memory: Mapping<T>,
    accesses: Cell<u64>,
    patience: Duration,
}

impl<T: Transport> Opened<T> {
    pub(crate) fn new(transport: Arc<T>, patience: Duration) -> Opened<T> {
        let bmu = Bmu::open(transport.clone(), OpenReset::Best).expect("a BMU");
        bmu.start().expect("it starts");
        let domain = Domain::new(transport.clone(), bmu.capabilities().address_width);
        let wanted = MemoryRequest::new(MEMORY_LEN).label("hwpool-lockstep");
        let memory = Arc::new(Memory::allocate(&wanted).expect("memory"));
        let at = Placement::Fixed(Iova(MEMORY));
        let memory = domain.expect("it maps memory").map(memory, at);
        let irq = |vector| {
            let irq = transport.irq(vector).expect("a vector");
            (irq, Cell::new(0))
        };
        Opened {
            irqs: (0..bmu.capabilities().vectors).map(irq).collect(),
            memory: memory.expect("room for memory"),
            accesses: Cell::new(0),
            patience,
            bmu,
        }
    }

    fn count(&self) {
        self.accesses.set(self.accesses.get() + 1);
    }

    /// Tells whether a register is accessed by halves: always where that can be, since a bridge on the way may split accesses,
    /// and two errors are not one.
    fn is_by_halves(&self, row: &Register) -> bool {
        row.width == 8 && self.bmu.capabilities().halves
    }

    pub(crate) fn capabilities(&self) -> &Capabilities {
        self.bmu.capabilities()
    }
}

impl<T: Transport> Board for Opened<T> {
    fn read(&self, row: &Register, index: u16) -> u64 {
        if self.is_by_halves(row) {
            let [low, high] = [false, true].map(|is_high| self.read_half(row, index, is_high));
            return u64::from(low) | u64::from(high) << 32;
        }
        self.count();
        match row.bar() {
            0 => row.read_raw(self.bmu.control(), index),
            _ => row.read_raw(self.bmu.operation(), index),
        }
        .expect("it answers")
    }

    fn write(&self, row: &Register, index: u16, value: u64) {
        if self.is_by_halves(row) {
            self.write_half(row, index, false, value as u32);
            return self.write_half(row, index, true, (value >> 32) as u32);
        }
        self.count();
        match row.bar() {
            0 => row.poke(self.bmu.control(), index, value),
            _ => row.poke(self.bmu.operation(), index, value),
        }
        .expect("it answers");
    }

    fn read_half(&self, row: &Register, index: u16, is_high: bool) -> u32 {
        self.count();
        let offset = row.offset_of(index) + u64::from(is_high) * 4;
        match row.bar() {
            0 => self.bmu.control().read32(offset),
            _ => self.bmu.operation().read32(offset),
        }
        .expect("it answers")
    }

    fn write_half(&self, row: &Register, index: u16, is_high: bool, value: u32) {
        self.count();
        let offset = row.offset_of(index) + u64::from(is_high) * 4;
        match row.bar() {
            0 => self.bmu.control().write32(offset, value),
            _ => self.bmu.operation().write32(offset, value),
        }
        .expect("it answers");
    }

    fn accesses(&self) -> u64 {
        self.accesses.get()
    }

    fn fired(&self, vector: u16) -> u64 {
        let (irq, count) = &self.irqs[usize::from(vector)];
        let more = irq.wait(Duration::ZERO).expect("it is enabled");
        count.set(count.get() + more);
        count.get()
    }

    fn relax(&self) {
        self.bmu.transport().relax();
    }

    fn now(&self) -> Duration {
        self.bmu.transport().now()
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    fn load(&self, offset: u64) -> u64 {
        self.memory.load64(offset as usize)
    }

    fn store(&self, offset: u64, value: u64) {
        self.memory.store64(offset as usize, value);
    }
}

/// Waits until something of a device is so; tells whether it came.
pub(crate) fn comes(board: &dyn Board, is_so: impl Fn(&dyn Board) -> bool) -> bool {
    let deadline = board.now() + board.patience();
    while !is_so(board) {
        if board.now() > deadline {
            return false;
        }
        board.relax();
    }
    true
}

/// What was done, newest last, for whoever reads of a difference.
#[derive(Default)]
pub(crate) struct Diary(RefCell<Vec<String>>);

impl Diary {
    const KEPT: usize = 24;

    pub(crate) fn note(&self, what: String) {
        let mut lines = self.0.borrow_mut();
        if lines.len() == Diary::KEPT {
            lines.remove(0);
        }
        lines.push(what);
    }

    pub(crate) fn told(&self) -> String {
        self.0.borrow().join("\n  ")
    }
}
