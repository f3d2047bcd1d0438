//! Rungs 6 and 7, and what others do with free lists by registers.

use std::collections::BTreeSet;

use hwpool_devices::bus::Transport;
use hwpool_devices::family::{Breach, FreeList, OpenReset, PathError};
use hwpool_devices::reg::Register;

use super::device::{self, OBJECTS};
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Causes, Symptom, ensure};
use crate::bringup::{Evidence, Failure, driver};
use crate::device::Session;

/// Finds every list empty after a reset by whoever opened the device, and after each kind of reset of lists that are not empty.
pub(in crate::bringup) fn stale<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let session = board.session()?;
    let way = device::plain_way(session).or_else(|_| device::best_way(session))?;
    let level = board.about()?.level;
    look_for_stale(session, level, way, evidence)?;
    let lists = session.driver.identity().limits.lists;
    for kind in [OpenReset::Best, OpenReset::Soft] {
        taken_over(board, way, lists, kind)?;
        look_for_stale(session, level, way, &mut Evidence::default())?;
    }
    Ok(())
}

/// Resets the device under a former owner, whose lists are not empty and whose portals run. The session has it again after.
pub(in crate::bringup) fn taken_over<T: Transport>(
    board: &Board<'_, T>,
    way: &str,
    wanted: u16,
    kind: OpenReset,
) -> Result<(), Failure> {
    /// As many as show that something is left.
    const LEFT: u32 = 4;
    let session = board.session()?;
    let config = device::small_config(&session.driver.identity().limits);
    let mut held = device::lists(session, &config, way, None, wanted)?;
    let objects: Vec<u32> = (0..LEFT.min(config.objects)).collect();
    for list in &mut held {
        list.give(&objects)?;
        list.flush()?;
    }
    let next = board.module()?.open(board.transport()?.clone(), kind)?;
    drop(held);
    drop(next);
    session.driver.start()?;
    Ok(())
}

/// Finds every list empty, by its count and by trying to take.
fn look_for_stale<T: Transport>(
    session: &Session<T>,
    level: Option<&'static Register>,
    way: &str,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let limits = &session.driver.identity().limits;
    let config = device::small_config(limits);
    let mut lists = device::lists(session, &config, way, None, limits.lists)?;
    let mut stale = 0u64;
    for list in &mut lists {
        let left = list.available()?.unwrap_or(0);
        stale += u64::from(left);
        if left > 0 {
            continue; // what it hands out is what it counts
        }
        let of = list.name();
        let took = list.take(&mut [0]).map_err(|error| not_empty(&of, error))?;
        ensure!(!took, ListSymptom::NotGiven { of });
        counts(level, list.available()?, 0, Counted::AfterNothing)?;
    }
    evidence.count("lists", lists.len() as u64);
    evidence.count("stale buffers", stale);
    ensure!(stale == 0, ListSymptom::Stale { stale });
    Ok(())
}

/// What the driver refuses to take from an empty list, the device hands out without having it.
fn not_empty(of: &str, error: PathError) -> Failure {
    match error {
        PathError::Poisoned {
            breach:
                Breach::NoSuchNumber { .. } | Breach::OutOfRange { .. } | Breach::Misaligned { .. },
            ..
        } => ListSymptom::Ungiven {
            of: of.into(),
            error,
        }
        .into(),
        error => error.into(),
    }
}

/// Gives one buffer and takes it again, at the bottom and at the top of the address space.
pub(in crate::bringup) fn single<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let session = board.session()?;
    let limits = &session.driver.identity().limits;
    let level = board.about()?.level;
    let way = device::plain_way(session)?;
    for base in [device::low_base(limits), device::high_base(limits)] {
        let objects = device::objects(limits, OBJECTS);
        let config = device::list_config(limits, base, objects);
        let mut list = session.open_list(&config, way, None)?;
        for gave in BTreeSet::from([0, objects / 2, objects - 1]) {
            list.give(&[gave])?;
            counts(level, list.available()?, 1, Counted::AfterOneFree)?;
            let took = take_one(&mut *list)?;
            ensure!(took == Some(gave), ListSymptom::Other { gave, took });
            counts(level, list.available()?, 0, Counted::AfterTheOnly)?;
        }
        let geometry = list.ledger().geometry();
        evidence.hex("from address", geometry.address(0));
        evidence.hex("to address", geometry.address(objects - 1));
    }
    Ok(())
}

/// Takes one object: `None` where the list has none.
pub(in crate::bringup) fn take_one(list: &mut dyn FreeList) -> Result<Option<u32>, PathError> {
    let mut one = [0];
    Ok(list.take(&mut one)?.then_some(one[0]))
}

/// Fails unless a list's count is what it must be; of a device that does not count, nothing can be told.
pub(in crate::bringup) fn counts(
    level: impl Into<Option<&'static Register>>,
    found: impl Into<Option<u32>>,
    expected: u32,
    when: Counted,
) -> Result<(), Failure> {
    if let (Some(level), Some(found)) = (level.into(), found.into()) {
        let level = device::name(level);
        ensure!(found == expected, ListSymptom::Count { level, found, when });
    }
    Ok(())
}

/// Fails unless a list gave as many objects as it was full at.
pub(in crate::bringup) fn gave(capacity: u32, taken: u32) -> Result<(), Failure> {
    ensure!(taken == capacity, ListSymptom::Gave { capacity, taken });
    Ok(())
}

/// When a list's count was looked at.
#[derive(Debug, Copy, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::bringup) enum Counted {
    #[error("after one free into an empty list")]
    AfterOneFree,
    #[error("after the only buffer was taken")]
    AfterTheOnly,
    #[error("after a take from an empty list")]
    AfterNothing,
    #[error("in a list full at {capacity}")]
    Full { capacity: u32 },
    #[error("after {what} was refused, not 1")]
    Refused { what: &'static str },
    #[error("after the pool was disabled and enabled again")]
    EnabledAgain,
    #[error("after all buffers were given back")]
    GivenBack,
}

/// What is wrong with a list.
#[derive(Debug, thiserror::Error)]
enum ListSymptom {
    #[error("{of} hands out a buffer that nobody gave it")]
    NotGiven { of: String },
    #[error("{of} is empty and hands something out")]
    Ungiven {
        of: String,
        #[source]
        error: PathError,
    },
    #[error("{stale} buffers of a former owner are left after a reset")]
    Stale { stale: u64 },
    #[error("{level} is {found} {when}")]
    Count {
        level: &'static str,
        found: u32,
        when: Counted,
    },
    #[error("gave object {gave}, took {took:?}")]
    Other { gave: u32, took: Option<u32> },
    #[error("a list of {capacity} buffers gave {taken}")]
    Gave { capacity: u32, taken: u32 },
}

impl Symptom for ListSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            ListSymptom::NotGiven { .. } | ListSymptom::Stale { .. } => driver::STALE,
            ListSymptom::Ungiven { .. } => &[
                "a take from an empty list is not refused: the device hands out what it was never given",
                "the register that hands out is a constant in this bitstream",
            ],
            ListSymptom::Count { when, .. } => when.causes(),
            ListSymptom::Other { took: None, .. } => &[
                "the free did not reach the list: the register that takes it is not decoded",
                "the register that hands out is a constant in this bitstream",
            ],
            ListSymptom::Other { took: Some(_), .. } => &[
                "the list's memory mixes its entries up: an entry is read before it was written, or from another place",
            ],
            ListSymptom::Gave { .. } => &[
                "the list's memory is smaller than the device says, or its pointers wrap at another size",
            ],
        })
    }
}

impl Counted {
    fn causes(self) -> Causes {
        match self {
            Counted::AfterTheOnly => &[
                "the device hands a buffer out and keeps it: the list's read pointer is not advanced",
                "the count of buffers is not kept with the list",
            ],
            Counted::AfterNothing => {
                &["a take from an empty list is counted, or moves its read pointer, all the same"]
            }
            Counted::Full { .. } => &[
                "the list's memory is smaller than the device says",
                "the count of buffers is not kept with the list: off by one, or not cleared by reset",
            ],
            Counted::AfterOneFree => &[
                "the count of buffers is not kept with the list: off by one, or not cleared by reset",
                "a read is answered before the write ahead of it is done",
            ],
            Counted::EnabledAgain => &["disabling a pool does not empty its list"],
            Counted::Refused { .. } | Counted::GivenBack => &[
                "the count of buffers is not kept with the list: off by one, or not cleared by reset",
            ],
        }
    }
}
