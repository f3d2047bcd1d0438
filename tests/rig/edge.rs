//! A model behind an edge that counts what crosses it: from one of these calls on nothing answers any more, or one call of
//! a kind is refused by the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hwpool::devices::bus::{
    Bar, BusError, DmaError, DmaLimits, DmaSource, Doorbell, Iova, Irq, Transport,
};
use hwpool::sim::{Fault, FaultKind, InProcess};

/// What happens at the edge, at the call of this number, from 1.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The device leaves: from this access or turn of the model on.
    Leaves(u64),
    /// The machine refuses this one mapping.
    NoMapping(u64),
    /// The machine refuses this interrupt and all after it.
    NoInterrupt(u64),
}

/// The edge: what crosses it, and what happens there.
struct Edge {
    model: Arc<InProcess>,
    trouble: Trouble,
    accesses: AtomicU64,
    mappings: AtomicU64,
    interrupts: AtomicU64,
    has_struck: AtomicBool,
}

impl Edge {
    /// Counts an access or a turn of the model; the device leaves before it where it is the one.
    fn access(&self) {
        let nth = self.accesses.fetch_add(1, Ordering::SeqCst) + 1;
        if self.trouble == Trouble::Leaves(nth) {
            self.strike();
            let gone = Fault::new(FaultKind::Gone).times(0);
            self.model.inject(gone).expect("any device can leave");
            // The model leaves at its next access of a register.
            let bar = self.model.bar(0).expect("a BAR");
            assert_eq!(bar.read32(0), Ok(u32::MAX));
        }
    }

    fn strike(&self) {
        self.has_struck.store(true, Ordering::SeqCst);
    }
}

/// The model, as the library sees it over the edge.
pub(crate) struct Edged(Arc<Edge>);

#[derive(Clone)]
pub(crate) struct EdgedBar {
    bar: <InProcess as Transport>::Bar,
    edge: Arc<Edge>,
}

pub(crate) struct EdgedDoorbell {
    doorbell: <<InProcess as Transport>::Bar as Bar>::Doorbell,
    edge: Arc<Edge>,
}

pub(crate) struct EdgedIrq {
    irq: <InProcess as Transport>::Irq,
    edge: Arc<Edge>,
}

impl Edged {
    pub(crate) fn new(model: Arc<InProcess>, trouble: Trouble) -> Edged {
        Edged(Arc::new(Edge {
            model,
            trouble,
            accesses: AtomicU64::new(0),
            mappings: AtomicU64::new(0),
            interrupts: AtomicU64::new(0),
            has_struck: AtomicBool::new(false),
        }))
    }

    /// Returns how many accesses and turns there were.
    pub(crate) fn accesses(&self) -> u64 {
        self.0.accesses.load(Ordering::SeqCst)
    }

    /// Tells whether the trouble came, or the climb was over before.
    pub(crate) fn has_struck(&self) -> bool {
        self.0.has_struck.load(Ordering::SeqCst)
    }
}

impl Bar for EdgedBar {
    type Doorbell = EdgedDoorbell;

    fn size(&self) -> u64 {
        self.bar.size()
    }

    fn read32(&self, offset: u64) -> Result<u32, BusError> {
        self.edge.access();
        self.bar.read32(offset)
    }

    fn read64(&self, offset: u64) -> Result<u64, BusError> {
        self.edge.access();
        self.bar.read64(offset)
    }

    fn write32(&self, offset: u64, value: u32) -> Result<(), BusError> {
        self.edge.access();
        self.bar.write32(offset, value)
    }

    fn write64(&self, offset: u64, value: u64) -> Result<(), BusError> {
        self.edge.access();
        self.bar.write64(offset, value)
    }

    fn doorbell(&self, offset: u64) -> Result<EdgedDoorbell, BusError> {
        let (doorbell, edge) = (self.bar.doorbell(offset)?, self.edge.clone());
        Ok(EdgedDoorbell { doorbell, edge })
    }
}

impl Doorbell for EdgedDoorbell {
    fn ring(&self, value: u64) -> Result<(), BusError> {
        self.edge.access();
        self.doorbell.ring(value)
    }
}

impl Irq for EdgedIrq {
    fn wait(&self, timeout: Duration) -> Result<u64, BusError> {
        self.edge.access();
        self.irq.wait(timeout)
    }
}

impl Transport for Edged {
    type Bar = EdgedBar;
    type Irq = EdgedIrq;

    fn name(&self) -> &str {
        self.0.model.name()
    }

    fn bar(&self, index: u8) -> Result<EdgedBar, BusError> {
        let (bar, edge) = (self.0.model.bar(index)?, self.0.clone());
        Ok(EdgedBar { bar, edge })
    }

    fn config_read32(&self, offset: u16) -> Result<u32, BusError> {
        self.0.access();
        self.0.model.config_read32(offset)
    }

    fn config_write32(&self, offset: u16, value: u32) -> Result<(), BusError> {
        self.0.access();
        self.0.model.config_write32(offset, value)
    }

    fn config_write16(&self, offset: u16, value: u16) -> Result<(), BusError> {
        self.0.access();
        self.0.model.config_write16(offset, value)
    }

    fn irq_count(&self) -> Result<u16, BusError> {
        self.0.model.irq_count()
    }

    fn irq(&self, vector: u16) -> Result<EdgedIrq, BusError> {
        let nth = self.0.interrupts.fetch_add(1, Ordering::SeqCst) + 1;
        if matches!(self.0.trouble, Trouble::NoInterrupt(first) if nth >= first) {
            self.0.strike();
            return Err(BusError::Os {
                call: "eventfd",
                errno: 24,
                hint: "too many open files".into(),
            });
        }
        let (irq, edge) = (self.0.model.irq(vector)?, self.0.clone());
        Ok(EdgedIrq { irq, edge })
    }

    fn reset(&self) -> Result<(), BusError> {
        self.0.access();
        self.0.model.reset()
    }

    fn dma_limits(&self) -> Result<DmaLimits, DmaError> {
        self.0.model.dma_limits()
    }

    fn dma_map(&self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
        let nth = self.0.mappings.fetch_add(1, Ordering::SeqCst) + 1;
        if self.0.trouble == Trouble::NoMapping(nth) {
            self.0.strike();
            return Err(DmaError::NoEntries { limit: nth - 1 });
        }
        self.0.model.dma_map(iova, source)
    }

    fn dma_unmap(&self, iova: Iova, len: u64) -> Result<(), DmaError> {
        self.0.model.dma_unmap(iova, len)
    }

    fn now(&self) -> Duration {
        self.0.model.now()
    }

    fn relax(&self) {
        self.0.access();
        self.0.model.relax();
    }
}
