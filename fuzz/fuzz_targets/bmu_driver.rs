//! The BMU's driver on a device that lies: registers read what the input says, rings and status lines change under the
//! driver's feet. No panic, no object that is out already, none that does not exist.
#![no_main]

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hwpool::devices::bmu::{Bmu, Layout, List, PortalConfig};
use hwpool::devices::bus::{Bar, BusError, DmaError, DmaLimits, DmaSource, Iova, Transport};
use hwpool::devices::family::{FreeList, ListConfig, OpenReset};
use hwpool::dma::{Domain, Memory, MemoryRequest, Placement, Slice};
use hwpool::sim::{InProcess, SimBar, SimConfig, SimDoorbell, SimIrq};
use libfuzzer_sys::fuzz_target;

const OBJECTS: u32 = 64;
const STRIDE: u64 = 2048;
const BASE: u64 = 1 << 36;

/// Where the lies come from, and the memory that the device may write.
struct Lies {
    input: Vec<u8>,
    at: usize,
    /// Reads that are true before the first that may be a lie.
    truths: u16,
    memory: Vec<(File, u64, u64)>,
}

impl Lies {
    fn byte(&mut self) -> Option<u8> {
        let byte = self.input.get(self.at).copied();
        self.at += 1;
        byte
    }

    fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, _| word << 8 | u64::from(self.byte().unwrap_or(0)))
    }

    /// Makes something of what a register reads.
    fn instead(&mut self, truth: u64) -> u64 {
        if self.truths > 0 {
            self.truths -= 1;
            return truth;
        }
        match self.byte().unwrap_or(0) % 16 {
            12 => u64::MAX,
            13 => truth ^ 1 << (self.byte().unwrap_or(0) % 64),
            14 => self.word(),
            15 => {
                self.scribble();
                truth
            }
            _ => truth,
        }
    }

    /// Writes a word somewhere into the driver's memory: what is there with a bit changed, or anything.
    fn scribble(&mut self) {
        let (which, place) = (self.word(), self.word());
        let value = self.word();
        let Some((file, offset, len)) = self.memory.get(which as usize % self.memory.len().max(1))
        else {
            return;
        };
        let at = (offset + place % len) as i64 & !7;
        let _ = nix::sys::uio::pwrite(file, &value.to_le_bytes(), at);
    }
}

/// The model, with lies about what it says.
#[derive(Clone)]
struct Liar {
    model: InProcess,
    lies: Arc<Mutex<Lies>>,
}

impl Liar {
    fn lies(&self) -> MutexGuard<'_, Lies> {
        self.lies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone)]
struct LiarBar {
    bar: SimBar,
    liar: Liar,
}

impl Bar for LiarBar {
    type Doorbell = SimDoorbell;

    fn size(&self) -> u64 {
        self.bar.size()
    }
    fn read32(&self, offset: u64) -> Result<u32, BusError> {
        let truth = self.bar.read32(offset)?;
        Ok(self.liar.lies().instead(truth.into()) as u32)
    }
    fn read64(&self, offset: u64) -> Result<u64, BusError> {
        let truth = self.bar.read64(offset)?;
        Ok(self.liar.lies().instead(truth))
    }
    fn write32(&self, offset: u64, value: u32) -> Result<(), BusError> {
        self.bar.write32(offset, value)
    }
    fn write64(&self, offset: u64, value: u64) -> Result<(), BusError> {
        self.bar.write64(offset, value)
    }
    fn doorbell(&self, offset: u64) -> Result<SimDoorbell, BusError> {
        self.bar.doorbell(offset)
    }
}

impl Transport for Liar {
    type Bar = LiarBar;
    type Irq = SimIrq;

    fn name(&self) -> &str {
        "fuzz:bmu"
    }
    fn bar(&self, index: u8) -> Result<LiarBar, BusError> {
        let (bar, liar) = (self.model.bar(index)?, self.clone());
        Ok(LiarBar { bar, liar })
    }
    fn config_read32(&self, offset: u16) -> Result<u32, BusError> {
        let truth = self.model.config_read32(offset)?;
        Ok(self.lies().instead(truth.into()) as u32)
    }
    fn config_write32(&self, offset: u16, value: u32) -> Result<(), BusError> {
        self.model.config_write32(offset, value)
    }
    fn config_write16(&self, offset: u16, value: u16) -> Result<(), BusError> {
        self.model.config_write16(offset, value)
    }
    fn irq_count(&self) -> Result<u16, BusError> {
        self.model.irq_count()
    }
    fn irq(&self, vector: u16) -> Result<SimIrq, BusError> {
        self.model.irq(vector)
    }
    fn reset(&self) -> Result<(), BusError> {
        self.model.reset()
    }
    fn dma_limits(&self) -> Result<DmaLimits, DmaError> {
        self.model.dma_limits()
    }
    fn dma_map(&self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
        self.model.dma_map(iova, source)?;
        if let Ok(file) = source.file.try_clone_to_owned() {
            self.lies()
                .memory
                .push((file.into(), source.offset, source.len));
        }
        Ok(())
    }
    fn dma_unmap(&self, iova: Iova, len: u64) -> Result<(), DmaError> {
        self.model.dma_unmap(iova, len)
    }
    fn now(&self) -> Duration {
        self.model.now()
    }
    fn relax(&self) {
        self.model.relax();
    }
}

/// The driver, as far as it could be opened.
struct Host {
    list: List<Liar, Slice<Liar>>,
    domain: Arc<Domain<Liar>>,
    held: BTreeSet<u32>,
}

impl Host {
    fn open(liar: &Liar) -> Option<Host> {
        let transport = Arc::new(liar.clone());
        let bmu = Arc::new(Bmu::open(transport.clone(), OpenReset::Best).ok()?);
        let domain = Domain::new(transport, bmu.capabilities().address_width).ok()?;
        let config = ListConfig {
            base: Iova(BASE),
            stride: STRIDE,
            objects: OBJECTS,
            capacity: OBJECTS,
        };
        Some(Host {
            list: List::open(&bmu, &config).ok()?,
            domain,
            held: (0..OBJECTS).collect(),
        })
    }

    fn open_portal(&mut self) -> Option<()> {
        let layout = Layout::new(4, 4);
        let config = PortalConfig {
            layout,
            credits: 16,
            hysteresis: 4,
            batch: 1,
        };
        let memory = Memory::allocate(&MemoryRequest::new(layout.size())).ok()?;
        let place = Placement::Anywhere { align: 64 };
        let mapping = self.domain.map(Arc::new(memory), place).ok()?;
        let memory = Arc::new(mapping).slice(0..layout.size())?;
        self.list.open_portal(memory, &config).ok()?;
        Some(())
    }

    fn act(&mut self, step: u8) {
        let n = usize::from(step >> 3) + 1;
        let given: Vec<u32> = self.held.iter().copied().take(n).collect();
        let mut out = vec![0; n];
        let list = &mut self.list;
        let moved = match (step % 8, list.first_portal()) {
            (0 | 1, _) => list.give(&given).map(|()| (given, vec![])),
            (2 | 3, _) => list.take(&mut out).map(|all| (vec![], taken(all, out))),
            (4, Some(mut portal)) => portal.flush().map(|()| (vec![], vec![])),
            (5, Some(mut portal)) => portal.drain().map(|all| (vec![], all)),
            (6, Some(_)) => list.close_portals().map(|all| (vec![], all)),
            (_, None) => {
                let _ = self.open_portal();
                Ok((vec![], vec![]))
            }
            _ => {
                let _ = (list.available(), list.take_errors(), list.take_events());
                Ok((vec![], vec![]))
            }
        };
        let Ok((given, taken)) = moved else { return };
        given.iter().for_each(|object| _ = self.held.remove(object));
        for object in taken {
            assert!(object < OBJECTS, "no object {object}");
            assert!(self.held.insert(object), "object {object} is held twice");
        }
    }
}

fn taken(all: bool, out: Vec<u32>) -> Vec<u32> {
    if all { out } else { vec![] }
}

fuzz_target!(|input: &[u8]| {
    let Some(([truths, seed, steps], input)) = input.split_first_chunk() else {
        return;
    };
    let mut config = SimConfig::default();
    config.set("seed", &seed.to_string()).expect("an option");
    config.set("timeout-ms", "2").expect("an option");
    let lies = Lies {
        input: input.to_vec(),
        at: 0,
        truths: u16::from(*truths),
        memory: Vec::new(),
    };
    let liar = Liar {
        model: InProcess::open("bmu", "fuzz:bmu", config).expect("a model"),
        lies: Arc::new(Mutex::new(lies)),
    };
    let Some(mut host) = Host::open(&liar) else {
        return;
    };
    for _ in 0..steps % 64 {
        let step = liar.lies().byte();
        let Some(step) = step else { return };
        host.act(step);
    }
});
