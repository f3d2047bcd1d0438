//! Rungs 6, 7, 8 and 13: free lists by the register path.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hwpool_devices::bmu::{Bmu, regs};
use hwpool_devices::bus::{Iova, Irq, Transport};
use hwpool_devices::family::{FreeList, ListConfig};
use hwpool_devices::reg::Field;

use super::Board;
use super::evidence::{Evidence, Failure, ensure};
use super::ladder::Session;
use super::portal::RingMemory;
use crate::dma::Slice;
use crate::report::{Plot, Series};

/// A list of the device, with rings in memory of ours.
pub(super) type List<T> = hwpool_devices::bmu::List<T, Slice<T>>;

/// Objects of the small pools that these rungs use, where the device takes as many.
const OBJECTS: u32 = 64;
/// Fewer objects than this leave no room between two thresholds.
const FEWEST_FOR_THRESHOLDS: u32 = 8;
/// How long an interrupt that must come may take: on a machine with much to do, its thread waits for its turn.
pub(super) const INTERRUPT: Duration = Duration::from_secs(1);
/// How long one that must not come is waited for.
const SILENCE: Duration = Duration::from_millis(20);

/// Finds every list empty right after a reset, by its count and by trying to take.
pub(super) fn stale<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let bmu = &board.session()?.bmu;
    let pools = bmu.capabilities().pools;
    let mut lists = Vec::new();
    let mut stale = 0u64;
    for _ in 0..pools {
        let mut list = small_list(bmu)?;
        stale += u64::from(list.available()?);
        ensure!(
            list.alloc()?.is_none(),
            "{} hands out a buffer that nobody gave it",
            list.id()
        );
        lists.push(list);
    }
    evidence.count("pools", pools);
    evidence.count("stale buffers", stale);
    ensure!(
        stale == 0,
        "{stale} buffers of a former owner are left after a reset"
    );
    Ok(())
}

/// Gives one buffer and takes it again, at the bottom and at the top of the address space.
pub(super) fn single<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let bmu = &board.session()?.bmu;
    for base in [low_base(bmu), high_base(bmu)] {
        let objects = objects(bmu, OBJECTS);
        let mut list = open_list(bmu, base, objects, objects)?;
        let some = BTreeSet::from([0, objects / 2, objects - 1]);
        for index in some {
            list.free(index)?;
            let full = list.available()?;
            ensure!(
                full == 1,
                "POOL_AVAILABLE is {full} after one free into an empty list"
            );
            let taken = list.alloc()?;
            ensure!(taken == Some(index), "gave object {index}, took {taken:?}");
            let empty = list.available()?;
            ensure!(
                empty == 0,
                "POOL_AVAILABLE is {empty} after the only buffer was taken"
            );
        }
        evidence.hex("from address", list.geometry().address(0));
        evidence.hex("to address", list.geometry().address(objects - 1));
    }
    Ok(())
}

/// Fills a list, sees one more refused, drains it, sees one more fail, and has bad frees refused one by one.
pub(super) fn capacity<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let bmu = &board.session()?.bmu;
    let objects = objects(bmu, OBJECTS);
    // A list with room for all but one; a device of one buffer has no other list.
    let capacity = (objects - 1).max(1);
    let mut list = open_list(bmu, low_base(bmu), objects, capacity)?;
    for index in 0..objects {
        list.free(index)?;
    }
    let available = list.available()?;
    ensure!(
        available == capacity,
        "POOL_AVAILABLE is {available} in a list full at {capacity}"
    );
    if objects > capacity {
        let last = list.geometry().address(capacity);
        let what = "the free over the capacity";
        expect_error(&list, what, regs::error::OVERFLOW, last)?;
    }
    let mut taken = 0;
    while list.alloc()?.is_some() {
        taken += 1;
    }
    ensure!(
        taken == capacity,
        "a list of {capacity} buffers gave {taken}"
    );
    drop(list);
    evidence.count("capacity", capacity);
    evidence.count("taken until empty", taken);
    evidence.text("refused", refusals(bmu)?);
    Ok(())
}

/// Makes each kind of bad free on purpose, past the driver's own checks; returns the kinds.
fn refusals<T: Transport>(bmu: &Arc<Bmu<T>>) -> Result<String, Failure> {
    let list = small_list(bmu)?;
    let free = |address| regs::POOL_FREE.write_at(bmu.operation(), list.id().number(), address);
    let inside = list.geometry().address(objects(bmu, OBJECTS) / 2);
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
    if stride(bmu) > 64 {
        cases.push(("a free inside of a buffer", inside + 64, regs::error::ALIGN));
    }
    free(inside)?;
    for (what, address, kind) in &cases {
        free(*address)?;
        expect_error(&list, what, kind.clone(), *address)?;
        let available = list.available()?;
        ensure!(
            available == 1,
            "POOL_AVAILABLE is {available} after {what} was refused, not 1"
        );
    }
    let kinds: Vec<&str> = cases.iter().map(|(_, _, kind)| &*kind.name).collect();
    Ok(kinds.join(" "))
}

/// Expects exactly one kind of error in pool and device, with its address and record, and clears it.
fn expect_error<T: Transport>(
    list: &List<T>,
    what: &str,
    kind: Field,
    address: u64,
) -> Result<(), Failure> {
    let bmu = list.bmu();
    let (errors, at) = list.take_errors()?;
    ensure!(
        u64::from(errors.0) == kind.mask(),
        "{what} reported {errors} instead of {}",
        kind.name
    );
    ensure!(
        at == address,
        "{what} at {address:#x} reported address {at:#x}"
    );
    let device = bmu.errors()?;
    ensure!(
        device == errors,
        "ERR_STATUS has {device}, POOL_ERROR had {errors}"
    );
    bmu.clear_errors(device)?;
    let Some(record) = bmu.take_error_record()? else {
        return Err(Failure::Fail(format!("{what} left no error record")));
    };
    let (seen, at, pool) = (record.kind, record.address, record.pool);
    ensure!(
        seen == errors && at == address && pool == list.id().number(),
        "{what} left a record of {seen} at {at:#x} in pool {pool}"
    );
    Ok(())
}

/// Runs a pool dry and lets it recover: one event and one interrupt each, then service as before.
pub(super) fn exhaustion<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let session = board.session()?;
    let bmu = &session.bmu;
    if !bmu.capabilities().thresholds {
        return Err(Failure::Skip("the device has no thresholds".into()));
    }
    let objects = objects(bmu, OBJECTS);
    if objects < FEWEST_FOR_THRESHOLDS {
        let why = format!("pools of {objects} buffers have no room for two thresholds");
        return Err(Failure::Skip(why));
    }
    cross_thresholds(bmu, objects, evidence)?;
    if bmu.capabilities().portals > 0 {
        starve_portal(session)?;
        evidence.text("event of the portal", "AVAILABLE once");
    }
    Ok(())
}

/// Takes all buffers and gives them back; sees each event once, and its interrupt.
fn cross_thresholds<T: Transport>(
    bmu: &Arc<Bmu<T>>,
    objects: u32,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let mut list = full_list(bmu, objects)?;
    let (low, high) = (objects / 4, objects / 2);
    list.set_thresholds(low, high)?;
    let last = bmu.vectors()?.saturating_sub(1);
    let irq = list.event_interrupt(last)?;
    let mut levels = vec![objects];
    let taken = run_dry(&mut list, objects, &mut levels)?;
    expect_event(&list, &irq, (true, false), "DEPLETED")?;
    for &index in &taken {
        list.free(index)?;
        levels.push(list.available()?);
    }
    evidence.series.push(fill_level(&levels));
    let filled = list.available()?;
    ensure!(
        filled == objects,
        "POOL_AVAILABLE is {filled} after all buffers were given back"
    );
    expect_event(&list, &irq, (false, true), "RECOVERED")?;
    evidence.count("taken until dry", taken.len() as u64);
    evidence.count("low threshold", low);
    evidence.count("high threshold", high);
    evidence.text("events", "DEPLETED once, RECOVERED once");
    Ok(())
}

/// Returns what POOL_AVAILABLE said after each operation, as a plot.
fn fill_level(levels: &[u32]) -> Series {
    let points = levels.iter().enumerate();
    Series {
        name: "fill level".into(),
        kind: Plot::Line,
        x: "operations".into(),
        y: "buffers".into(),
        points: points
            .map(|(n, level)| (n as f64, f64::from(*level)))
            .collect(),
    }
}

fn run_dry<T: Transport>(
    list: &mut List<T>,
    objects: u32,
    levels: &mut Vec<u32>,
) -> Result<Vec<u32>, Failure> {
    let mut taken = Vec::new();
    while let Some(index) = list.alloc()? {
        taken.push(index);
        levels.push(list.available()?);
    }
    ensure!(
        taken.len() == objects as usize,
        "took {} of {objects} buffers",
        taken.len()
    );
    ensure!(list.alloc()?.is_none(), "a list that ran dry gave one more");
    Ok(taken)
}

fn expect_event<T: Transport>(
    list: &List<T>,
    irq: &T::Irq,
    expected: (bool, bool),
    name: &str,
) -> Result<(), Failure> {
    let fired = irq.wait(INTERRUPT)?;
    let events = list.take_events()?;
    ensure!(
        events == expected,
        "(DEPLETED, RECOVERED) is {events:?} where {name} alone was due"
    );
    let again = irq.wait(SILENCE)?;
    ensure!(
        fired == 1 && again == 0,
        "{name} raised {} interrupts instead of 1",
        fired + again
    );
    Ok(())
}

/// Runs a pool dry through a portal, gives one buffer, and sees the event that buffers are available, and the buffer. The
/// list is one without thresholds: where the device has one vector, its events would come by the same.
fn starve_portal<T: Transport>(session: &Session<T>) -> Result<(), Failure> {
    let objects = objects(&session.bmu, OBJECTS);
    let list = &mut full_list(&session.bmu, objects)?;
    let memory = RingMemory::small(session)?;
    let mut portal = memory.open_portal(list)?;
    let all = portal.drain()?;
    ensure!(
        all.len() == objects as usize,
        "a portal drained {} of {objects} buffers",
        all.len()
    );
    ensure!(
        !portal.dequeue(&mut [0])?,
        "a pool that ran dry gave one more"
    );
    portal.take_event()?;
    let irq = portal.event_interrupt(0)?;
    portal.enqueue(&all[..1])?;
    portal.flush()?;
    let fired = irq.wait(INTERRUPT)?;
    ensure!(
        fired == 1,
        "AVAILABLE raised {fired} interrupts instead of 1"
    );
    ensure!(
        portal.take_event()?,
        "an interrupt without its event AVAILABLE"
    );
    let mut one = [0];
    ensure!(
        portal.dequeue(&mut one)?,
        "AVAILABLE was raised and there is no buffer"
    );
    ensure!(one[0] == all[0], "gave object {}, took {}", all[0], one[0]);
    portal.enqueue(&all)?;
    list.close_portals()?;
    Ok(())
}

/// Returns `wanted`, or as many objects as a pool of this device has at the most.
pub(super) fn objects<T: Transport>(bmu: &Bmu<T>, wanted: u32) -> u32 {
    bmu.capabilities().buffers.clamp(1, wanted.into()) as u32
}

/// Opens a small pool at the bottom of the address space.
pub(super) fn small_list<T: Transport>(bmu: &Arc<Bmu<T>>) -> Result<List<T>, Failure> {
    Ok(List::open(bmu, &small_list_config(bmu))?)
}

/// What a small pool at the bottom of the address space is to be.
pub(super) fn small_list_config<T: Transport>(bmu: &Bmu<T>) -> ListConfig {
    let objects = objects(bmu, OBJECTS);
    list_config(bmu, low_base(bmu), objects, objects)
}

/// Opens a pool at the bottom of the address space, and frees all its objects into it.
fn full_list<T: Transport>(bmu: &Arc<Bmu<T>>, objects: u32) -> Result<List<T>, Failure> {
    let mut list = open_list(bmu, low_base(bmu), objects, objects)?;
    for index in 0..objects {
        list.free(index)?;
    }
    Ok(list)
}

/// Opens a pool at `base` whose objects have 2 KiB, or the size nearest to it that the device takes.
pub(super) fn open_list<T: Transport>(
    bmu: &Arc<Bmu<T>>,
    base: Iova,
    objects: u32,
    capacity: u32,
) -> Result<List<T>, Failure> {
    Ok(List::open(bmu, &list_config(bmu, base, objects, capacity))?)
}

fn list_config<T: Transport>(bmu: &Bmu<T>, base: Iova, objects: u32, capacity: u32) -> ListConfig {
    ListConfig {
        base,
        stride: stride(bmu),
        objects,
        capacity,
    }
}

/// The lowest base that leaves room for a free below the range.
pub(super) fn low_base<T: Transport>(bmu: &Bmu<T>) -> Iova {
    Iova(stride(bmu).max(1 << 20))
}

/// The base of a small pool that ends where the device's addresses end.
fn high_base<T: Transport>(bmu: &Bmu<T>) -> Iova {
    let top = u64::MAX >> (64 - bmu.capabilities().address_width.min(63));
    Iova(top + 1 - stride(bmu) * u64::from(objects(bmu, OBJECTS)))
}

fn stride<T: Transport>(bmu: &Bmu<T>) -> u64 {
    let (min, max) = bmu.capabilities().stride;
    2048u64.clamp(min, max.max(min))
}
