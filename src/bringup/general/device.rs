//! What general rungs ask of a device of any kind.

use std::time::Duration;

use hwpool_devices::bus::{Iova, Transport};
use hwpool_devices::family::{FreeList, Limits, ListConfig, SetupError};
use hwpool_devices::reg::Register;

use crate::bringup::Failure;
use crate::device::{ListError, Session};

/// Objects of the small lists of most rungs, where the device takes as many.
pub(in crate::bringup) const OBJECTS: u32 = 64;
/// How long an interrupt that must come may take: on a machine with much to do, its thread waits for its turn.
pub(in crate::bringup) const INTERRUPT: Duration = Duration::from_secs(1);

/// Returns `wanted`, or as many objects as a list of this device has at the most.
pub(in crate::bringup) fn objects(limits: &Limits, wanted: u32) -> u32 {
    limits.objects.clamp(1, wanted.into()) as u32
}

/// Bytes from one object to the next in the rungs' lists: 2 KiB, or what is nearest to it that the device takes.
pub(in crate::bringup) fn stride(limits: &Limits) -> u64 {
    let (min, max) = (*limits.stride.start(), *limits.stride.end());
    2048u64.clamp(min, max.max(min))
}

/// The lowest base that leaves room for a free below the range.
pub(in crate::bringup) fn low_base(limits: &Limits) -> Iova {
    Iova(stride(limits).max(1 << 20))
}

/// The base of a small list that ends where the device's addresses end.
pub(super) fn high_base(limits: &Limits) -> Iova {
    let top = u64::MAX >> (64 - limits.address_width.min(63));
    Iova(top + 1 - stride(limits) * u64::from(objects(limits, OBJECTS)))
}

/// What a list at `base` is to be, full at the number of its objects.
pub(in crate::bringup) fn list_config(limits: &Limits, base: Iova, objects: u32) -> ListConfig {
    ListConfig {
        base,
        stride: stride(limits),
        objects,
        capacity: objects,
    }
}

/// What a small list at the bottom of the address space is to be.
pub(in crate::bringup) fn small_config(limits: &Limits) -> ListConfig {
    list_config(limits, low_base(limits), objects(limits, OBJECTS))
}

/// Returns the way in which objects travel without rings, so that each that was given is in the device's list; a rung
/// that needs it is skipped on a device that has none.
pub(in crate::bringup) fn plain_way<T: Transport>(
    session: &Session<T>,
) -> Result<&'static str, Failure> {
    let limits = &session.driver.identity().limits;
    let config = small_config(limits);
    let has_no_rings = |way: &&&'static str| session.driver.ring_bytes(&config, way) == 0;
    let plain = limits.ways.iter().find(has_no_rings).copied();
    plain.ok_or_else(|| Failure::Skip("the device has no register path".into()))
}

/// Returns the best way in which objects travel.
pub(in crate::bringup) fn best_way<T: Transport>(
    session: &Session<T>,
) -> Result<&'static str, Failure> {
    let ways = &session.driver.identity().limits.ways;
    let best = ways.first().copied();
    best.ok_or_else(|| Failure::Skip("the device moves no objects".into()))
}

/// Opens lists, at most `wanted` and at least one: as many as there are, of lists and of what moves their objects.
pub(super) fn lists<T: Transport>(
    session: &Session<T>,
    config: &ListConfig,
    way: &str,
    node: Option<u32>,
    wanted: u16,
) -> Result<Vec<Box<dyn FreeList>>, Failure> {
    let mut lists = Vec::new();
    while lists.len() < usize::from(wanted) {
        match session.open_list(config, way, node) {
            Ok(list) => lists.push(list),
            Err(ListError::Setup(SetupError::AllInUse { .. })) if !lists.is_empty() => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(lists)
}

/// Returns a register's name: those of the tables of this program live as long as it does.
pub(in crate::bringup) fn name(register: &'static Register) -> &'static str {
    &register.name
}
