//! Rung 8: a list that is full, one that is empty, and bad frees.

use std::borrow::Cow;
use std::sync::Arc;

use hwpool_devices::bmu::{Bmu, ErrorBits, ErrorRecord, regs};
use hwpool_devices::bus::{Bar, Transport};
use hwpool_devices::reg::{Field, Register};

use super::device::{self, List};
use super::{halves, states};
use crate::bringup::general::device::{OBJECTS, low_base, stride};
use crate::bringup::general::lists::{Counted, counts, gave};
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};

/// What counts a list.
const LEVEL: &Register = regs::POOL_AVAILABLE.row();

/// Sees what a pool's configuration forbids refused. Fills a list, sees one more refused, drains it, sees one more fail, and
/// has bad frees refused one by one.
pub(super) fn capacity<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let bmu = &device::session(board)?.bmu;
    let refused = states::pools(bmu)?;
    evidence.count("refused in configuration", refused);
    device::needs_register_path(bmu)?;
    let objects = device::objects(bmu, OBJECTS);
    // A list with room for all but one; a device of one buffer has no other list.
    let capacity = (objects - 1).max(1);
    let mut list = device::open_list(bmu, objects, capacity)?;
    let taken = fill_and_drain(&mut list, capacity, |list| match objects > capacity {
        true => {
            let last = list.geometry().address(capacity);
            let what = "the free over the capacity";
            expect_error(list, what, regs::error::OVERFLOW, last)
        }
        false => Ok(()),
    })?;
    drop(list);
    evidence.count("capacity", capacity);
    evidence.count("taken until empty", taken);
    evidence.text("refused", refusals(bmu)?);
    if bmu.capabilities().natural_align && bmu.capabilities().is_settled() {
        natural(bmu)?;
        evidence.text("natural alignment", "rounded down to its buffer");
    }
    if bmu.capabilities().injection && bmu.capabilities().is_settled() {
        lowest_first(bmu.control())?;
    }
    if bmu.capabilities().halves {
        halves::interleaved(bmu)?;
        evidence.text("halves", "apart for each page");
    }
    // The last list was not empty when its pool was disabled.
    let again = device::small_list(bmu)?;
    counts(LEVEL, again.available()?, 0, Counted::EnabledAgain)?;
    Ok(())
}

/// Fills a list, and takes until it is empty; `full` looks at it in between. Returns how many were taken.
fn fill_and_drain<T: Transport>(
    list: &mut List<T>,
    capacity: u32,
    full: impl FnOnce(&List<T>) -> Result<(), Failure>,
) -> Result<u32, Failure> {
    let objects = list.geometry().objects();
    for index in 0..objects {
        list.free(index)?;
    }
    let available = list.available()?;
    counts(LEVEL, available, capacity, Counted::Full { capacity })?;
    full(list)?;
    let mut taken = 0;
    while list.alloc()?.is_some() {
        taken += 1;
    }
    gave(capacity, taken)?;
    Ok(taken)
}

/// Makes each kind of bad free on purpose, past the driver's own checks; returns the kinds.
fn refusals<T: Transport>(bmu: &Arc<Bmu<T>>) -> Result<String, Failure> {
    let list = device::small_list(bmu)?;
    let free = |address| regs::POOL_FREE.write_at(bmu.operation(), list.id().number(), address);
    let inside = list.geometry().address(device::objects(bmu, OBJECTS) / 2);
    let mut cases = vec![
        (
            "a free below the range",
            list.geometry().base() - 64,
            regs::error::RANGE,
        ),
        (
            "a free just past the range",
            list.geometry().end(),
            regs::error::RANGE,
        ),
        ("a double free", inside, regs::error::DOUBLE_FREE),
    ];
    // In buffers of 64 bytes no address but the first is a multiple of 64.
    if stride(&bmu.identity().limits) > 64 {
        cases.push(("a free inside of a buffer", inside + 64, regs::error::ALIGN));
    }
    free(inside)?;
    for (what, address, kind) in &cases {
        let (what, address) = (*what, *address);
        free(address)?;
        expect_error(&list, what, kind.clone(), address)?;
        counts(LEVEL, list.available()?, 1, Counted::Refused { what })?;
    }
    let kinds: Vec<&str> = cases.iter().map(|(_, _, kind)| &*kind.name).collect();
    Ok(kinds.join(" "))
}

/// Frees an address inside of a buffer, by hand, for the driver never does: the buffer is freed, once, and comes back.
fn natural<T: Transport>(bmu: &Arc<Bmu<T>>) -> Result<(), Failure> {
    let (control, pool) = (bmu.control(), bmu.capabilities().pools - 1);
    let stride = stride(&bmu.identity().limits);
    let base = low_base(&bmu.identity().limits).0.next_multiple_of(stride);
    bmu.await_emptied(pool)?;
    regs::POOL_BASE.write_at(control, pool, base)?;
    regs::POOL_END.write_at(control, pool, base + stride)?;
    regs::POOL_STRIDE.write_at(control, pool, stride as u32)?;
    regs::POOL_CAPACITY.write_at(control, pool, 1)?;
    let both = regs::pool_control::ENABLE.mask() | regs::pool_control::NATURAL_ALIGN.mask();
    regs::POOL_CONTROL.write_at(control, pool, both as u32)?;
    let seen = free_inside(bmu, pool, base, base + stride - 8);
    regs::POOL_CONTROL.write_at(control, pool, 0)?;
    seen
}

/// Frees `inside` twice in a pool of the one buffer at `base`, and takes it.
fn free_inside<T: Transport>(
    bmu: &Arc<Bmu<T>>,
    pool: u16,
    base: u64,
    inside: u64,
) -> Result<(), Failure> {
    let mut operation = bmu.operation().clone();
    let errors = || regs::POOL_ERROR.read_at(bmu.control(), pool).map(ErrorBits);
    regs::POOL_FREE.write_at(&operation, pool, inside)?;
    let found = errors()?;
    ensure!(found.0 == 0, RefusalSymptom::Natural { inside, found });
    regs::POOL_FREE.write_at(&operation, pool, inside)?;
    let (what, found) = ("a second free inside of a buffer", errors()?);
    let kind = regs::error::DOUBLE_FREE;
    let is_right = u64::from(found.0) == kind.mask();
    let kind = kind.name;
    ensure!(is_right, RefusalSymptom::Kind { what, found, kind });
    regs::POOL_ERROR.write_at(bmu.control(), pool, found.0)?;
    bmu.clear_errors(bmu.errors()?)?;
    bmu.take_error_record()?;
    let gave = regs::POOL_ALLOC.take_at(&mut operation, pool)?;
    ensure!(
        gave == base,
        RefusalSymptom::Unaligned { inside, base, gave }
    );
    Ok(())
}

/// Injects two kinds of error by one write: the lower one is the first, and neither has an address (SPEC 4.4).
fn lowest_first(bar: &impl Bar) -> Result<(), Failure> {
    let (first, second) = (regs::error::RANGE, regs::error::OVERFLOW);
    regs::ERR_RECORD_CLEAR.write(bar, 1)?;
    regs::ERR_STATUS_SET.write(bar, (first.mask() | second.mask()) as u32)?;
    let record = regs::ERR_RECORD.read(bar)?;
    let address = regs::ERR_ADDRESS.read(bar)?;
    let expected = regs::err_record::VALID.mask()
        | regs::err_record::KIND.set(0, first.low.into())
        | regs::err_record::SOURCE.set(0, 4);
    let is_right = record == expected && address == 0;
    ensure!(
        is_right,
        Injected {
            record,
            expected,
            address
        }
    );
    regs::ERR_STATUS.write(bar, (first.mask() | second.mask()) as u32)?;
    regs::ERR_RECORD_CLEAR.write(bar, 1)?;
    Ok(())
}

/// The record of two injected errors is wrong.
#[derive(Debug, thiserror::Error)]
#[error(
    "ERR_RECORD is {record:#x} at {address:#x} after RANGE and OVERFLOW were injected by one write, and not {expected:#x} at 0x0"
)]
struct Injected {
    record: u64,
    expected: u64,
    address: u64,
}

impl Symptom for Injected {
    fn blame(&self) -> Blame {
        Blame::Device(&[
            "ERR_RECORD takes the last of several kinds, not the lowest",
            "ERR_ADDRESS is latched from something that has no meaning for an injected error",
        ])
    }
}

/// Expects exactly one kind of error in pool and device, with its address and record, and clears it.
fn expect_error<T: Transport>(
    list: &List<T>,
    what: &'static str,
    kind: Field,
    address: u64,
) -> Result<(), Failure> {
    let bmu = list.bmu();
    let (found, at) = list.take_errors()?;
    let is_right = u64::from(found.0) == kind.mask();
    let kind = kind.name;
    ensure!(is_right, RefusalSymptom::Kind { what, found, kind });
    ensure!(at == address, RefusalSymptom::Address { what, address, at });
    let device = bmu.errors()?;
    ensure!(device == found, RefusalSymptom::Device { device, found });
    bmu.clear_errors(device)?;
    let Some(record) = bmu.take_error_record()? else {
        return Err(RefusalSymptom::NoRecord { what }.into());
    };
    let same = (record.kind, record.address, record.pool) == (found, address, list.id().number());
    ensure!(same, RefusalSymptom::Record { what, record });
    Ok(())
}

/// What is wrong with how a bad free is refused.
#[derive(Debug, thiserror::Error)]
enum RefusalSymptom {
    #[error("{what} reported {found} instead of {kind}")]
    Kind {
        what: &'static str,
        found: ErrorBits,
        kind: Cow<'static, str>,
    },
    #[error("{what} at {address:#x} reported address {at:#x}")]
    Address {
        what: &'static str,
        address: u64,
        at: u64,
    },
    #[error("a free of {inside:#x} with NATURAL_ALIGN reported {found}")]
    Natural { inside: u64, found: ErrorBits },
    #[error("a free of {inside:#x} with NATURAL_ALIGN gave {gave:#x} back, and not {base:#x}")]
    Unaligned { inside: u64, base: u64, gave: u64 },
    #[error("ERR_STATUS has {device}, POOL_ERROR had {found}")]
    Device { device: ErrorBits, found: ErrorBits },
    #[error("{what} left no error record")]
    NoRecord { what: &'static str },
    #[error("{what} left a record of {} at {:#x} in pool {}", record.kind, record.address, record.pool)]
    Record {
        what: &'static str,
        record: ErrorRecord,
    },
}

impl Symptom for RefusalSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            RefusalSymptom::Kind { .. } => {
                &["the device does not check what is freed: RANGE, ALIGN, DOUBLE_FREE, OVERFLOW"]
            }
            RefusalSymptom::Natural { .. } | RefusalSymptom::Unaligned { .. } => &[
                "NATURAL_ALIGN does not round down to the start of the buffer: the list holds addresses that are no buffers",
            ],
            RefusalSymptom::Address { .. } => {
                &["POOL_ERROR_ADDRESS is not latched with the error, or is a constant"]
            }
            RefusalSymptom::Device { .. } => {
                &["the device's error bits are not set and cleared as those of its pools"]
            }
            RefusalSymptom::NoRecord { .. } | RefusalSymptom::Record { .. } => {
                &["ERR_RECORD or ERR_ADDRESS is not latched with the first error, or is a constant"]
            }
        })
    }
}
