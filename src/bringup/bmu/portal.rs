//! Rungs 9 and 10: portals, their rings and their DMA.

use std::error::Error;

use hwpool_devices::bmu::{ErrorBits, Layout, PortalConfig, regs};
use hwpool_devices::bus::{DmaBuffer, Iova, Transport};
use hwpool_devices::family::{Breach, FreeList, ListConfig, OpenReset, PathError, SetupError};

use super::device::{self, List, RingMemory, Session, map, objects, open_list, slice, small_list};
use super::{service, states};
use crate::bringup::general::{device as general, lists};
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};
use crate::dma::Slice;

/// Sends every buffer of a pool through the rings several times, in bursts of every size, and sees each exactly once.
pub(super) fn unique<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let session = &device::session(board)?;
    if session.bmu.capabilities().portals == 0 {
        return Err(Failure::Skip("the device has no portals".into()));
    }
    laps(board, session, evidence).map_err(|failure| by_lines(session, failure))
}

/// A portal that seems to stand still, or whose counts don't add up, may only say so: looks at its status lines by hand.
fn by_lines<T: Transport>(session: &Session<T>, failure: Failure) -> Failure {
    match is_by_counts(&failure) {
        true => service::wrong_line(session).unwrap_or(failure),
        false => failure,
    }
}

/// Tells whether a failure hangs on what the portal said of its counts: a wait that was given up, or a sum.
fn is_by_counts(failure: &Failure) -> bool {
    let Failure::Fail(symptom) = failure else {
        return false;
    };
    let error: &dyn Error = &**symptom;
    let is_sum = matches!(
        error.downcast_ref(),
        Some(PortalSymptom::Sum { .. } | PortalSymptom::Starved { .. })
    );
    let breach = match error.downcast_ref() {
        Some(PathError::Poisoned { breach, .. }) => breach,
        _ => return is_sum,
    };
    matches!(
        breach,
        Breach::TimedOut(_) | Breach::BadCount { .. } | Breach::Lost { .. }
    )
}

/// Sends every buffer of a pool through the rings, lap by lap.
fn laps<T: Transport>(
    board: &Board<'_, T>,
    session: &Session<T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let can = session.bmu.capabilities();
    let objects = objects(&session.bmu, board.options.buffers.clamp(64, 1 << 24));
    let config = PortalConfig::for_pool(objects, can.ring_log2);
    let memory = RingMemory::on_node(session, config, None)?;
    let mut list = List::open(&session.bmu, &beyond(session, &memory, objects))?;
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
        PortalSymptom::Sum {
            parked,
            held,
            objects
        }
    );
    let moved = u64::from(objects) * u64::from(board.options.laps);
    let entries = memory.config().layout.acquire_entries();
    evidence.count("buffers", objects);
    evidence.count("allocated and freed", moved);
    evidence.count("ring entries", entries);
    evidence.count("times round the ring", moved / u64::from(entries));
    evidence.count("doorbells", doorbells);
    Ok(())
}

/// A pool at addresses above its rings: a device that writes into buffers then does not hit those, which would look like
/// something else, and is found where buffers are memory.
fn beyond<T: Transport>(session: &Session<T>, rings: &RingMemory<T>, objects: u32) -> ListConfig {
    let limits = &session.bmu.identity().limits;
    let end = rings.mapping().iova().0 + rings.mapping().size() as u64;
    let base = end.next_multiple_of(general::stride(limits));
    general::list_config(limits, Iova(base), objects)
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
        if !taken {
            return Err(starved(list, n).into());
        }
        burst = if burst >= LARGEST { 1 } else { burst + 1 };
    }
    let one_more = list.take(&mut [0])?;
    ensure!(!one_more, PortalSymptom::OneMore);
    Ok(drained)
}

/// Says why a device that holds buffers gave not even `wanted`: what its counts don't account for was dropped.
fn starved<T: Transport>(list: &mut List<T>, wanted: usize) -> PortalSymptom {
    let held = list.ledger().held();
    let Some(status) = list.first_portal().map(|portal| portal.status()) else {
        return PortalSymptom::Starved { held, wanted };
    };
    let kept = status.available.saturating_add(status.acquire_tail.into());
    let (consumed, written) = (status.release_head, status.acquire_tail);
    match u64::from(consumed).checked_sub(kept) {
        None | Some(0) => PortalSymptom::Starved { held, wanted },
        Some(dropped) => PortalSymptom::Dropped {
            dropped,
            consumed,
            written,
            available: status.available,
        },
    }
}

/// Checks that each of `0..objects` stands in `taken` exactly once.
fn exactly_once(taken: &[u32], objects: u32) -> Result<(), Failure> {
    let mut seen = vec![false; objects as usize];
    for &index in taken {
        let twice = std::mem::replace(&mut seen[index as usize], true);
        ensure!(!twice, PortalSymptom::Twice { index });
    }
    match seen.iter().position(|seen| !seen) {
        None => Ok(()),
        Some(index) => Err(PortalSymptom::Missing { index }.into()),
    }
}

/// Runs portals with rings of each size, across page borders, between guard areas that must stay as they are; sees that nobody
/// writes into buffers; has a misaligned ring and all else that is forbidden refused; sees each status line, stop, quiesce and halt; and resets the device under a
/// portal that runs.
pub(super) fn dma<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    /// Rings beyond 2^11 entries differ in nothing but their size.
    const LARGEST_LOG2: u32 = 11;
    let session = &device::session(board)?;
    if session.bmu.capabilities().portals == 0 {
        return Err(Failure::Skip("the device has no portals".into()));
    }
    // First: buffers that are written to elsewhere may be anybody's memory.
    let buffers = untouched(session).map_err(|failure| by_lines(session, failure))?;
    let (min, max) = session.bmu.capabilities().ring_log2;
    let max = max.min(LARGEST_LOG2).max(min);
    let mut crossings = 0;
    for log2 in min..=max {
        crossings += guarded(session, log2).map_err(|failure| by_lines(session, failure))?;
    }
    misaligned(session)?;
    let halts = service::by_hand(session)?;
    let refused = states::portals(&session.bmu)?;
    for kind in [OpenReset::Best, OpenReset::Soft] {
        lists::taken_over(board, general::best_way(board.session()?)?, 1, kind)?;
    }
    evidence.text(
        "ring entries",
        format_args!("{} to {}", 1u32 << min, 1u32 << max),
    );
    evidence.count("4 KiB borders crossed", crossings);
    evidence.text("guard areas", "intact");
    evidence.count("buffers guarded", buffers);
    evidence.text("misaligned ring", "refused");
    evidence.count("refused in configuration", refused);
    evidence.count("ways to halt", halts);
    evidence.text("status line, stop, quiesce", "as specified");
    Ok(())
}

const GUARD: u64 = 0x5a5a_a5a5_3c3c_c3c3;
const BORDER: usize = 4096;

/// Places rings of 2^`log2` entries so that they begin 64 bytes before a page border, runs a few laps, and looks at
/// the memory around them. Returns how many borders lie within.
fn guarded<T: Transport>(session: &Session<T>, log2: u32) -> Result<u64, Failure> {
    let layout = Layout::new(log2, log2);
    let start = BORDER - 64;
    let end = start + layout.size();
    let mapping = map(&session.domain, end + BORDER, None)?;
    for offset in (0..mapping.size()).step_by(8) {
        mapping.store64(offset, GUARD);
    }
    run_laps(session, layout, slice(&mapping, start, layout.size()))?;
    let before = (0..start).step_by(8);
    let after = (end..mapping.size()).step_by(8);
    for offset in before.chain(after) {
        let found = mapping.load64(offset);
        ensure!(found == GUARD, PortalSymptom::Guard { found, offset });
    }
    Ok((end / BORDER) as u64)
}

/// Sends buffers that are memory through a portal, leaves them with the device, and sees that nobody wrote into
/// them. Returns how many that were.
fn untouched<T: Transport>(session: &Session<T>) -> Result<u32, Failure> {
    /// Most bytes that are mapped: of buffers that are larger only the first ones.
    const BYTES: u64 = 4 << 20;
    let stride = general::stride(&session.bmu.identity().limits);
    let wanted = (BYTES / stride).clamp(1, general::OBJECTS.into()) as u32;
    let objects = objects(&session.bmu, wanted);
    let bytes = (stride * u64::from(objects)).min(BYTES);
    let memory = map(&session.domain, bytes as usize, None)?;
    for offset in (0..memory.size()).step_by(8) {
        memory.store64(offset, pattern(offset));
    }
    let limits = &session.bmu.identity().limits;
    let config = general::list_config(limits, memory.iova(), objects);
    let mut list = List::open(&session.bmu, &config)?;
    let rings = RingMemory::small(session)?;
    rings.open_portal(&mut list)?;
    let all: Vec<u32> = (0..objects).collect();
    list.give(&all)?;
    for _ in 0..2 {
        let drained = drain_in_bursts(&mut list, 1)?;
        exactly_once(&drained, objects)?;
        list.give(&drained)?;
    }
    list.close_portals()?;
    list.available()?; // what the device has sent lands before the answer
    let changed = (0..memory.size())
        .step_by(8)
        .filter(|&offset| memory.load64(offset) != pattern(offset));
    let changed: Vec<usize> = changed.collect();
    let Some(&first) = changed.first() else {
        return Ok(objects);
    };
    let symptom = PortalSymptom::Buffer {
        found: memory.load64(first),
        index: first as u64 / stride,
        byte: first as u64 % stride,
        iova: memory.iova().0 + first as u64,
        words: changed.len() as u64,
        objects,
    };
    Err(symptom.into())
}

/// What a word of a guarded buffer holds: another one at each place, so that a copy of one shows too.
fn pattern(offset: usize) -> u64 {
    GUARD ^ offset as u64
}

/// Sends a pool round rings in `memory` twice, or as often as a small pool takes for that.
fn run_laps<T: Transport>(
    session: &Session<T>,
    layout: Layout,
    memory: Slice<T>,
) -> Result<(), Failure> {
    let entries = layout.acquire_entries();
    let objects = objects(&session.bmu, 2 * entries);
    let mut list = open_list(&session.bmu, objects, objects)?;
    let config = PortalConfig {
        layout,
        credits: entries,
        hysteresis: entries / 4,
        batch: 1,
    };
    list.open_portal(memory, &config)?;
    let all: Vec<u32> = (0..objects).collect();
    list.give(&all)?;
    for _ in 0..(4 * entries).div_ceil(objects).max(2) {
        let drained = drain_in_bursts(&mut list, 1)?;
        exactly_once(&drained, objects)?;
        list.give(&drained)?;
    }
    list.close_portals()?;
    Ok(())
}

/// Asks for rings 8 bytes off, past the driver's own check: the device must refuse to enable the portal.
fn misaligned<T: Transport>(session: &Session<T>) -> Result<(), Failure> {
    let bmu = &session.bmu;
    let mut list = small_list(bmu)?;
    let memory = RingMemory::small(session)?;
    let (bar, last) = (bmu.control(), bmu.capabilities().portals - 1);
    let base = memory.mapping().iova().0 + 8;
    regs::PORTAL_POOL.write_at(bar, last, list.id().number().into())?;
    regs::PORTAL_RELEASE_BASE.write_at(bar, last, base)?;
    let found = bmu.read_at(regs::PORTAL_RELEASE_BASE, last)?;
    if found != base && !bmu.capabilities().is_settled() {
        return driver_refuses(&mut list, &memory); // by 1.0 it may keep no low bits
    }
    regs::PORTAL_CONTROL.write_at(bar, last, regs::portal_control::ENABLE.mask() as u32)?;
    let control = bmu.read_at(regs::PORTAL_CONTROL, last)?;
    let errors = bmu.read_at(regs::PORTAL_ERROR, last)?;
    regs::PORTAL_ERROR.write_at(bar, last, errors)?;
    bmu.clear_errors(bmu.errors()?)?;
    bmu.take_error_record()?;
    regs::PORTAL_RELEASE_BASE.write_at(bar, last, 0)?;
    let errors = ErrorBits(errors);
    let refused = control == 0 && u64::from(errors.0) == regs::error::CONFIG.mask();
    ensure!(
        refused,
        PortalSymptom::Accepted {
            base,
            control,
            errors
        }
    );
    driver_refuses(&mut list, &memory)
}

/// Asks the driver for the same.
fn driver_refuses<T: Transport>(list: &mut List<T>, memory: &RingMemory<T>) -> Result<(), Failure> {
    let shifted = slice(memory.mapping(), 8, memory.config().layout.size() - 64);
    let config = PortalConfig {
        layout: Layout::new(3, 3),
        credits: 8,
        hysteresis: 1,
        batch: 1,
    };
    let driver = list.open_portal(shifted, &config);
    let refused = matches!(driver, Err(SetupError::Invalid { .. }));
    ensure!(refused, PortalSymptom::DriverAccepts);
    Ok(())
}

/// What is wrong with a portal.
#[derive(Debug, thiserror::Error)]
enum PortalSymptom {
    #[error("{parked} buffers were parked and {held} in the list, of {objects}")]
    Sum {
        parked: u32,
        held: u32,
        objects: u32,
    },
    #[error("the device holds {held} buffers and gave not even {wanted}")]
    Starved { held: u32, wanted: usize },
    #[error(
        "{dropped} buffers are lost: {consumed} release entries were consumed, {written} acquire entries written, and {available} buffers are in the list"
    )]
    Dropped {
        dropped: u64,
        consumed: u32,
        written: u32,
        available: u64,
    },
    #[error("a pool that was drained gave one more")]
    OneMore,
    #[error("object {index} came twice in one lap")]
    Twice { index: u32 },
    #[error("object {index} did not come back")]
    Missing { index: usize },
    #[error("the device wrote {found:#x} outside of its rings, at offset {offset:#x}")]
    Guard { found: u64, offset: usize },
    #[error(
        "the device wrote {found:#x} into buffer {index}, at byte {byte}, while it held it (IOVA {iova:#x}, {words} words of {objects} buffers in all)"
    )]
    Buffer {
        found: u64,
        index: u64,
        byte: u64,
        iova: u64,
        words: u64,
        objects: u32,
    },
    #[error("a ring at {base:#x}: PORTAL_CONTROL {control:#x}, PORTAL_ERROR {:#x}", errors.0)]
    Accepted {
        base: u64,
        control: u32,
        errors: ErrorBits,
    },
    #[error("the driver accepts a misaligned ring")]
    DriverAccepts,
}

impl Symptom for PortalSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            PortalSymptom::Sum { .. }
            | PortalSymptom::Starved { .. }
            | PortalSymptom::OneMore
            | PortalSymptom::Twice { .. }
            | PortalSymptom::Missing { .. } => {
                &["pointers of the rings run apart: head and tail wrap at different sizes"]
            }
            PortalSymptom::Dropped { .. } => &[
                "release entries are counted as consumed and their buffers dropped: a queue before the list is full, or two frees come at once",
            ],
            PortalSymptom::Buffer { .. } => &[
                "a DMA write of the logic into a buffer is under way still when the buffer is freed, or ends in the wrong one",
                "the device keeps its list, or something else of its own, in the buffers",
            ],
            PortalSymptom::Guard { .. } => &[
                "bursts are not split at 4 KiB borders or at MPS",
                "the ring's size is taken wrong",
            ],
            PortalSymptom::Accepted { .. } => &[
                "the device does not check the alignment of a ring's address, or does not report it in PORTAL_ERROR",
            ],
            // A mistake of this program's.
            PortalSymptom::DriverAccepts => &[],
        })
    }
}
