//! Rungs 9 and 10: portals, their rings and their DMA.

use std::sync::Arc;

use hwpool_devices::bmu::{Layout, PortalConfig, PortalRef, regs};
use hwpool_devices::bus::{DmaBuffer, Transport};
use hwpool_devices::family::{FreeList, SetupError};

use super::Board;
use super::evidence::{Evidence, Failure, ensure};
use super::ladder::Session;
use super::lists::{List, low_base, objects, open_list, small_list};
use crate::dma::{Mapping, Memory, MemoryRequest, Placement, Slice};

/// Memory for a portal's rings, mapped for the device.
pub(super) struct RingMemory<T: Transport> {
    mapping: Arc<Mapping<T>>,
    config: PortalConfig,
}

impl<T: Transport> RingMemory<T> {
    /// Maps memory for rings that hold a small pool.
    pub(super) fn small(session: &Session<T>) -> Result<RingMemory<T>, Failure> {
        RingMemory::new(
            session,
            PortalConfig::for_pool(64, session.bmu.capabilities().ring_log2),
        )
    }

    fn new(session: &Session<T>, config: PortalConfig) -> Result<RingMemory<T>, Failure> {
        RingMemory::on_node(session, config, None)
    }

    /// Maps memory on a NUMA node, or wherever there is some.
    pub(super) fn on_node(
        session: &Session<T>,
        config: PortalConfig,
        node: Option<u32>,
    ) -> Result<RingMemory<T>, Failure> {
        let mapping = map(session, config.layout.size(), node)?;
        Ok(RingMemory { mapping, config })
    }

    /// Opens a portal on `list` with its rings at the start of the memory.
    pub(super) fn open_portal<'a>(
        &self,
        list: &'a mut List<T>,
    ) -> Result<PortalRef<'a, T, Slice<T>>, Failure> {
        let rings = slice(&self.mapping, 0, self.config.layout.size())?;
        let id = list.open_portal(rings, &self.config)?;
        let missing = || Failure::Fail("the portal is gone".into());
        list.portal(id).ok_or_else(missing)
    }
}

/// Sends every buffer of a pool through the rings several times, in bursts of every size, and sees each exactly once.
pub(super) fn unique<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let session = board.session()?;
    let can = session.bmu.capabilities();
    if can.portals == 0 {
        return Err(Failure::Skip("the device has no portals".into()));
    }
    let objects = objects(&session.bmu, board.options.buffers.clamp(64, 1 << 24));
    let mut list = open_list(&session.bmu, low_base(&session.bmu), objects, objects)?;
    let memory = RingMemory::new(session, PortalConfig::for_pool(objects, can.ring_log2))?;
    memory.open_portal(&mut list)?;
    let all: Vec<u32> = (0..objects).collect();
    list.give(&all)?;
    for lap in 0..board.options.laps {
        board.go_on(|| format!("after {lap} laps"))?;
        let drained = drain_in_bursts(&mut list, lap as usize + 1)?;
        exactly_once(&drained, objects)?;
        for part in drained.chunks(1 + lap as usize * 31) {
            list.give(part)?;
        }
    }
    let doorbells = list.first_portal().map_or(0, |portal| portal.doorbells());
    let parked = list.close_portals()?.len() as u32;
    let held = list.available()?;
    ensure!(
        parked + held == objects,
        "{parked} buffers were parked and {held} in the list, of {objects}"
    );
    let moved = u64::from(objects) * u64::from(board.options.laps);
    let entries = memory.config.layout.acquire_entries();
    evidence.count("buffers", objects);
    evidence.count("allocated and freed", moved);
    evidence.count("ring entries", entries);
    evidence.count("times round the ring", moved / u64::from(entries));
    evidence.count("doorbells", doorbells);
    Ok(())
}

/// Takes everything out in bursts of `first`, `first` + 1, … objects, starting over at 1 after the largest.
fn drain_in_bursts<T: Transport>(list: &mut List<T>, first: usize) -> Result<Vec<u32>, Failure> {
    const LARGEST: usize = 256;
    let mut drained = Vec::with_capacity(list.ledger().held() as usize);
    let mut burst = first;
    while list.ledger().held() > 0 {
        let n = burst.min(list.ledger().held() as usize);
        let from = drained.len();
        drained.resize(from + n, 0);
        let taken = list.take(&mut drained[from..])?;
        ensure!(
            taken,
            "the device holds {} buffers and gave not even {n}",
            list.ledger().held()
        );
        burst = if burst >= LARGEST { 1 } else { burst + 1 };
    }
    ensure!(
        !list.take(&mut [0])?,
        "a pool that was drained gave one more"
    );
    Ok(drained)
}

/// Checks that each of `0..objects` stands in `taken` exactly once.
fn exactly_once(taken: &[u32], objects: u32) -> Result<(), Failure> {
    let mut seen = vec![false; objects as usize];
    for &index in taken {
        let twice = std::mem::replace(&mut seen[index as usize], true);
        ensure!(!twice, "object {index} came twice in one lap");
    }
    let missing = seen.iter().position(|seen| !seen);
    ensure!(
        missing.is_none(),
        "object {} did not come back",
        missing.unwrap_or(0)
    );
    Ok(())
}

/// Runs portals with rings of each size, across page borders, between guard areas that must stay as they are; and has
/// a misaligned ring refused.
pub(super) fn dma<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    /// Rings beyond 2^11 entries differ in nothing but their size.
    const LARGEST_LOG2: u32 = 11;
    let session = board.session()?;
    if session.bmu.capabilities().portals == 0 {
        return Err(Failure::Skip("the device has no portals".into()));
    }
    let (min, max) = session.bmu.capabilities().ring_log2;
    let max = max.min(LARGEST_LOG2).max(min);
    let mut crossings = 0;
    for log2 in min..=max {
        crossings += guarded(session, log2)?;
    }
    misaligned(session)?;
    evidence.text(
        "ring entries",
        format_args!("{} to {}", 1u32 << min, 1u32 << max),
    );
    evidence.count("4 KiB borders crossed", crossings);
    evidence.text("guard areas", "intact");
    evidence.text("misaligned ring", "refused");
    Ok(())
}

const GUARD: u64 = 0x5a5a_a5a5_3c3c_c3c3;
const BORDER: usize = 4096;

/// Places rings of 2^`log2` entries so that they begin 64 bytes before a page border, runs a few laps, and looks at
/// the memory around them. Returns how many borders lie within.
fn guarded<T: Transport>(session: &Session<T>, log2: u32) -> Result<u64, Failure> {
    let layout = Layout::new(log2, log2);
    let entries = layout.acquire_entries();
    let start = BORDER - 64;
    let end = start + layout.size();
    let mapping = map(session, end + BORDER, None)?;
    for offset in (0..mapping.size()).step_by(8) {
        mapping.store64(offset, GUARD);
    }
    let objects = objects(&session.bmu, 2 * entries);
    let mut list = open_list(&session.bmu, low_base(&session.bmu), objects, objects)?;
    let config = PortalConfig {
        layout,
        credits: entries,
        hysteresis: entries / 4,
        batch: 1,
    };
    list.open_portal(slice(&mapping, start, layout.size())?, &config)?;
    let all: Vec<u32> = (0..objects).collect();
    list.give(&all)?;
    // Twice round the rings, or as often as a small pool takes for that.
    for _ in 0..(4 * entries).div_ceil(objects).max(2) {
        let drained = drain_in_bursts(&mut list, 1)?;
        exactly_once(&drained, objects)?;
        list.give(&drained)?;
    }
    list.close_portals()?;
    for offset in (0..start)
        .step_by(8)
        .chain((end..mapping.size()).step_by(8))
    {
        let found = mapping.load64(offset);
        ensure!(
            found == GUARD,
            "the device wrote {found:#x} outside of its rings, at offset {offset:#x}"
        );
    }
    Ok((end / BORDER) as u64)
}

/// Asks for rings 8 bytes off, past the driver's own check: the device must refuse to enable the portal.
fn misaligned<T: Transport>(session: &Session<T>) -> Result<(), Failure> {
    let bmu = &session.bmu;
    let mut list = small_list(bmu)?;
    let memory = RingMemory::small(session)?;
    let (bar, last) = (bmu.control(), bmu.capabilities().portals - 1);
    let base = memory.mapping.iova().0 + 8;
    regs::PORTAL_POOL.write_at(bar, last, list.id().number().into())?;
    regs::PORTAL_RELEASE_BASE.write_at(bar, last, base)?;
    regs::PORTAL_CONTROL.write_at(bar, last, regs::portal_control::ENABLE.mask() as u32)?;
    let control = bmu.read_at(regs::PORTAL_CONTROL, last)?;
    let errors = bmu.read_at(regs::PORTAL_ERROR, last)?;
    regs::PORTAL_ERROR.write_at(bar, last, errors)?;
    bmu.clear_errors(bmu.errors()?)?;
    bmu.take_error_record()?;
    regs::PORTAL_RELEASE_BASE.write_at(bar, last, 0)?;
    let refused = control == 0 && u64::from(errors) == regs::error::CONFIG.mask();
    ensure!(
        refused,
        "a ring at {base:#x}: PORTAL_CONTROL {control:#x}, PORTAL_ERROR {errors:#x}"
    );
    let shifted = slice(&memory.mapping, 8, memory.config.layout.size() - 64)?;
    let config = PortalConfig {
        layout: Layout::new(3, 3),
        credits: 8,
        hysteresis: 1,
        batch: 1,
    };
    let driver = list.open_portal(shifted, &config);
    let refused = matches!(driver, Err(SetupError::Invalid { .. }));
    ensure!(refused, "the driver accepts a misaligned ring");
    Ok(())
}

fn map<T: Transport>(
    session: &Session<T>,
    len: usize,
    node: Option<u32>,
) -> Result<Arc<Mapping<T>>, Failure> {
    let wanted = MemoryRequest::new(len)
        .pages(session.domain.pages())
        .node(node);
    let memory = Memory::allocate(&wanted.label("hwpool-rings"))?;
    let placement = Placement::Anywhere {
        align: BORDER as u64,
    };
    Ok(Arc::new(session.domain.map(Arc::new(memory), placement)?))
}

fn slice<T: Transport>(
    mapping: &Arc<Mapping<T>>,
    start: usize,
    len: usize,
) -> Result<Slice<T>, Failure> {
    let missing = || Failure::Fail("the memory for rings is too small".into());
    mapping.slice(start..start + len).ok_or_else(missing)
}
