//! Rung 11: DMA to an address where nothing is mapped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hwpool_devices::bmu::{Bmu, Layout, List, PortalConfig, regs};
use hwpool_devices::bus::{DmaBuffer, Iova, Transport};
use hwpool_devices::family::{FreeList, OpenReset};
use hwpool_devices::wait::TimedOut;

use super::device::{self, Session, small_list_config};
use super::service;
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure, wait_for};
use crate::bringup::{Evidence, Failure};
use crate::dma::{Mapping, Memory, MemoryRequest, Placement};

const CANARY: u64 = 0xca9a_121e_57a9_d5fe;
/// How long the device may take to report the fault.
const REPORT: Duration = Duration::from_secs(1);

/// Maps memory, takes the mapping away, and has a portal use rings at its old address: the device must report the
/// fault, and the memory must stay as it was.
pub(super) fn reported<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let session = &device::session(board)?;
    if session.bmu.capabilities().portals == 0 {
        return Err(Failure::Skip("the device has no portals".into()));
    }
    let config = PortalConfig::for_pool(64, session.bmu.capabilities().ring_log2);
    let memory = Arc::new(allocate(session, config.layout)?);
    if session
        .domain
        .transport()
        .dma_address(memory.sources()[0])?
        .is_some()
    {
        return Err(Failure::Skip(
            "nothing translates the device's addresses: it would write to somebody's memory".into(),
        ));
    }
    let mapping = map(session, &memory, Placement::Anywhere { align: 4096 })?;
    fill(&mapping);
    let iova = mapping.iova();
    drop(mapping);
    let result = provoke(session, iova, config, evidence).and_then(|()| unheard(session));
    // Whatever happened, what follows finds a device in order.
    session.bmu.reset(OpenReset::Best)?;
    session.bmu.start()?;
    result?;
    let mapping = map(session, &memory, Placement::Anywhere { align: 4096 })?;
    let changed = (0..mapping.size())
        .step_by(8)
        .find(|at| mapping.load64(*at) != CANARY);
    if let Some(offset) = changed {
        return Err(UnmappedSymptom::Written { offset }.into());
    }
    evidence.text("memory once mapped there", "unchanged");
    Ok(())
}

/// Opens a portal on rings that the device can't reach, gives it buffers, and waits for the fault.
fn provoke<T: Transport>(
    session: &Session<T>,
    iova: Iova,
    config: PortalConfig,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let bmu = &session.bmu;
    let mut list = List::open(bmu, &small_list_config(bmu))?;
    let rings = Nowhere::new(iova, config.layout);
    list.open_portal(rings, &config)?;
    // The first that a portal does is to write its status line.
    if bmu.capabilities().write_faults {
        let what = "DMA_FAULT in ERR_STATUS after a DMA write to where nothing is mapped";
        reports(bmu, what, UnmappedSymptom::WriteNotReported)?;
        evidence.text("refused writes", "seen");
    }
    // The driver may notice as well; what counts is what the device says.
    let _ = list.give(&[0]).and_then(|()| list.flush());
    let what = "DMA_FAULT in ERR_STATUS after DMA to where nothing is mapped";
    reports(bmu, what, UnmappedSymptom::NotReported)?;
    let (start, end) = (iova.0, iova.0 + config.layout.size() as u64);
    if let Some(record) = bmu.take_error_record()? {
        evidence.hex("reported address", record.address);
        let at = record.address;
        ensure!(
            (start..end).contains(&at),
            UnmappedSymptom::Elsewhere { start, end, at }
        );
    }
    evidence.hex("unmapped address", iova.0);
    evidence.text("reported", "DMA_FAULT");
    Ok(())
}

/// Looks whether a device that sees refused writes takes the last line of a halted portal for a fault.
fn unheard<T: Transport>(session: &Session<T>) -> Result<(), Failure> {
    if !session.bmu.capabilities().write_faults {
        return Ok(());
    }
    session.bmu.reset(OpenReset::Best)?;
    session.bmu.start()?;
    service::halts_unheard(session)
}

/// Waits until the device reports a fault.
fn reports<T: Transport>(
    bmu: &Bmu<T>,
    what: &'static str,
    late: impl FnOnce(TimedOut) -> UnmappedSymptom,
) -> Result<(), Failure> {
    let fault = regs::error::DMA_FAULT.mask();
    wait_for(&**bmu.transport(), what, REPORT, late, || {
        let errors = bmu.errors()?;
        Ok((u64::from(errors.0) & fault != 0).then_some(()))
    })
}

/// What is wrong with DMA to nowhere.
#[derive(Debug, thiserror::Error)]
enum UnmappedSymptom {
    #[error(transparent)]
    NotReported(TimedOut),
    #[error(transparent)]
    WriteNotReported(TimedOut),
    #[error("the fault at {start:#x} to {end:#x} was reported at {at:#x}")]
    Elsewhere { start: u64, end: u64, at: u64 },
    #[error(
        "the device wrote to memory that was unmapped before, at offset {offset:#x}: the IOMMU still translates it"
    )]
    Written { offset: usize },
}

impl Symptom for UnmappedSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            UnmappedSymptom::NotReported(_) => &[
                "the device ignores completions with an error status",
                "it never got to its DMA: bus mastering is off",
            ],
            UnmappedSymptom::WriteNotReported(_) => &[
                "refused writes are not seen, as on PCIe, where nobody answers them: CAP_FEATURES.WRITE_FAULTS says otherwise",
                "the device ignores completions with an error status, or the response to a write",
                "it never got to its DMA: bus mastering is off",
            ],
            UnmappedSymptom::Elsewhere { .. } => {
                &["ERR_ADDRESS is not latched with the error, or loses address bits"]
            }
            UnmappedSymptom::Written { .. } => &[
                "the IOTLB was not flushed",
                "the device translates by itself (ATS) and kept the translation",
            ],
        })
    }
}

/// Rings that the driver can use and the device can't reach.
struct Nowhere {
    iova: Iova,
    words: Vec<AtomicU64>,
}

impl Nowhere {
    fn new(iova: Iova, layout: Layout) -> Nowhere {
        let words = (0..layout.size().div_ceil(8)).map(|_| AtomicU64::new(0));
        Nowhere {
            iova,
            words: words.collect(),
        }
    }
}

impl DmaBuffer for Nowhere {
    fn iova(&self) -> Iova {
        self.iova
    }

    fn size(&self) -> usize {
        self.words.len() * 8
    }

    fn load64(&self, offset: usize) -> u64 {
        self.words[offset / 8].load(Ordering::Acquire)
    }

    fn store64(&self, offset: usize, value: u64) {
        self.words[offset / 8].store(value, Ordering::Release);
    }
}

fn allocate<T: Transport>(session: &Session<T>, layout: Layout) -> Result<Memory, Failure> {
    let wanted = MemoryRequest::new(layout.size()).pages(session.domain.pages());
    Ok(Memory::allocate(&wanted.label("hwpool-canary"))?)
}

fn map<T: Transport>(
    session: &Session<T>,
    memory: &Arc<Memory>,
    at: Placement,
) -> Result<Mapping<T>, Failure> {
    Ok(session.domain.map(memory.clone(), at)?)
}

fn fill<T: Transport>(mapping: &Mapping<T>) {
    for offset in (0..mapping.size()).step_by(8) {
        mapping.store64(offset, CANARY);
    }
}
