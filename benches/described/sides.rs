//! One device, the small FIFO, driven by hand and by its description: the same accesses, made by the module in code and by
//! the driver that a description is compiled into. What answers is plain memory, or the device's model.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hwpool::devices::bus::{
    Bar, BusError, DmaError, DmaLimits, DmaSource, Doorbell, Iova, Transport,
};
use hwpool::devices::described::{Device, List};
use hwpool::devices::family::{Described, FreeList, ListConfig, OpenReset};
use hwpool::devices::fifo::{Fifo, Queue, regs};
use hwpool::sim::{InProcess, SimConfig, SimIrq};

/// Objects that are passed at most.
const OBJECTS: u32 = 32;
const CONFIG: ListConfig = ListConfig {
    base: Iova(1 << 36),
    stride: 2048,
    objects: OBJECTS,
    capacity: OBJECTS,
};

/// The description of the small FIFO.
const DESCRIPTION: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/describe/devices/small-fifo.toml"
);

/// Takes a queue into use with the module in code.
pub(crate) fn by_hand(transport: impl Transport) -> Box<dyn FreeList> {
    let fifo = Fifo::open(Arc::new(transport), OpenReset::Best).expect("it opens");
    Box::new(Queue::open(&Arc::new(fifo), &CONFIG).expect("the queue is free"))
}

/// Takes it into use with the driver of its description.
pub(crate) fn described(transport: impl Transport) -> Box<dyn FreeList> {
    let description = hwpool::describe::read(Path::new(DESCRIPTION)).expect("it is there");
    let described = Described::keep(description).expect("it is right");
    let device = Device::open(described, Arc::new(transport), OpenReset::Best).expect("it opens");
    Box::new(List::open(&Arc::new(device), &CONFIG).expect("the list is free"))
}

/// The device's model, stepped: each access is a call.
pub(crate) fn model() -> InProcess {
    let config = SimConfig::new("fifo").expect("a model");
    InProcess::open("fifo", "sim:fifo", config).expect("it opens")
}

/// Gives so many objects and takes them again.
pub(crate) fn round<const N: usize>(list: &mut dyn FreeList) {
    let objects: [u32; N] = std::array::from_fn(|n| n as u32);
    let mut taken = [0; N];
    list.give(&objects).expect("the list is sound");
    assert!(list.take(&mut taken).expect("the list is sound"));
}

/// Words of 32 bits of one copy of the registers, and how many copies there are.
const WORDS: usize = 16;
const COPIES: usize = OBJECTS as usize;

/// Registers in plain memory.
///
/// Memory gives no number twice only if it has as many as are passed: each read is made of the next of several copies of
/// the registers, which differ in POP alone.
struct Registers {
    copies: [[AtomicU32; WORDS]; COPIES],
    next: AtomicUsize,
    /// Copies that reads go through, as a mask: the first one alone while the device is opened.
    turns: AtomicUsize,
}

/// A FIFO made of memory: each access is one load or one store.
#[derive(Clone)]
pub(crate) struct Memory {
    registers: &'static Registers,
    /// Its configuration space.
    function: InProcess,
    start: Instant,
}

impl Memory {
    pub(crate) fn new() -> Memory {
        let registers = Box::leak(Box::new(Registers {
            copies: Default::default(),
            next: AtomicUsize::new(0),
            turns: AtomicUsize::new(0),
        }));
        let memory = Memory {
            registers,
            function: model(),
            start: Instant::now(),
        };
        memory.wipe();
        memory
    }

    /// Lets reads go through the first copies: POP gives so many numbers, one after the other.
    pub(crate) fn work<const NUMBERS: usize>(&self) {
        const { assert!(NUMBERS.is_power_of_two() && NUMBERS <= COPIES) };
        let (first, others) = self.registers.copies.split_first().expect("copies");
        for (from, to) in others.iter().flat_map(|other| first.iter().zip(other)) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        let valid = regs::pop::VALID.mask() as u32;
        for (number, copy) in (0..).zip(&self.registers.copies) {
            set(copy, regs::POP.row().offset(), valid | number);
        }
        self.registers.turns.store(NUMBERS - 1, Ordering::Relaxed);
    }

    /// Puts all as a reset leaves it.
    fn wipe(&self) {
        let copy = &self.registers.copies[0];
        let resets = regs::RESET_COUNT.row().offset();
        let count = copy[resets as usize / 4].load(Ordering::Relaxed);
        for row in regs::TABLE {
            set(copy, row.offset(), row.reset.unwrap_or(0) as u32);
        }
        set(copy, resets, count + 1);
        set(copy, regs::DEPTH.row().offset(), OBJECTS);
        let ready = regs::status::READY.mask() | regs::status::EMPTY.mask();
        set(copy, regs::STATUS.row().offset(), ready as u32);
    }

    fn word(&self, copy: usize, offset: u64) -> Result<&AtomicU32, BusError> {
        let outside = BusError::OutOfRange {
            offset,
            width: 4,
            len: self.size(),
        };
        let word = self.registers.copies[copy % COPIES].get(offset as usize / 4);
        word.ok_or(outside)
    }
}

fn set(copy: &[AtomicU32; WORDS], offset: u64, value: u32) {
    copy[offset as usize / 4].store(value, Ordering::Relaxed);
}

impl Bar for Memory {
    type Doorbell = Memory;

    fn size(&self) -> u64 {
        regs::BAR_SIZE
    }

    #[inline]
    fn read32(&self, offset: u64) -> Result<u32, BusError> {
        let turn = self.registers.next.load(Ordering::Relaxed);
        self.registers
            .next
            .store(turn.wrapping_add(1), Ordering::Relaxed);
        let copy = turn & self.registers.turns.load(Ordering::Relaxed);
        Ok(self.word(copy, offset)?.load(Ordering::Relaxed))
    }

    #[inline]
    fn write32(&self, offset: u64, value: u32) -> Result<(), BusError> {
        self.word(0, offset)?.store(value, Ordering::Relaxed);
        Ok(())
    }

    fn read64(&self, offset: u64) -> Result<u64, BusError> {
        Err(wide(offset))
    }

    fn write64(&self, offset: u64, _value: u64) -> Result<(), BusError> {
        Err(wide(offset))
    }

    fn doorbell(&self, offset: u64) -> Result<Memory, BusError> {
        Err(wide(offset))
    }
}

impl Doorbell for Memory {
    fn ring(&self, _value: u64) -> Result<(), BusError> {
        Err(wide(0))
    }
}

fn wide(offset: u64) -> BusError {
    BusError::Failed {
        offset,
        width: 8,
        cause: "its registers have 32 bits".into(),
    }
}

impl Transport for Memory {
    type Bar = Memory;
    type Irq = SimIrq;

    fn name(&self) -> &str {
        "memory"
    }
    fn bar(&self, _index: u8) -> Result<Memory, BusError> {
        Ok(self.clone())
    }
    fn config_read32(&self, offset: u16) -> Result<u32, BusError> {
        self.function.config_read32(offset)
    }
    fn config_write32(&self, offset: u16, value: u32) -> Result<(), BusError> {
        self.function.config_write32(offset, value)
    }
    fn config_write16(&self, offset: u16, value: u16) -> Result<(), BusError> {
        self.function.config_write16(offset, value)
    }
    fn irq_count(&self) -> Result<u16, BusError> {
        self.function.irq_count()
    }
    fn irq(&self, vector: u16) -> Result<SimIrq, BusError> {
        self.function.irq(vector)
    }
    fn reset(&self) -> Result<(), BusError> {
        self.wipe();
        Ok(())
    }
    fn dma_limits(&self) -> Result<DmaLimits, DmaError> {
        self.function.dma_limits()
    }
    fn dma_map(&self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
        self.function.dma_map(iova, source)
    }
    fn dma_unmap(&self, iova: Iova, len: u64) -> Result<(), DmaError> {
        self.function.dma_unmap(iova, len)
    }
    fn now(&self) -> Duration {
        self.start.elapsed()
    }
    fn relax(&self) {
        std::hint::spin_loop();
    }
}
