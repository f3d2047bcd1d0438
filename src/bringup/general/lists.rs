//! Rungs 6 and 7, and what others do with free lists by registers.

use std::collections::BTreeSet;

use hwpool_devices::bus::Transport;
use hwpool_devices::family::FreeList;

use super::device::{self, List, OBJECTS};
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Causes, Symptom, ensure};
use crate::bringup::{Evidence, Failure, driver};

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
        let mut list = device::small_list(bmu)?;
        stale += u64::from(list.available()?);
        let of = list.name();
        if bmu.capabilities().register_path {
            ensure!(list.alloc()?.is_none(), ListSymptom::NotGiven { of });
        }
        lists.push(list);
    }
    evidence.count("pools", pools);
    evidence.count("stale buffers", stale);
    ensure!(stale == 0, ListSymptom::Stale { stale });
    Ok(())
}

/// Gives one buffer and takes it again, at the bottom and at the top of the address space.
pub(super) fn single<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let bmu = &board.session()?.bmu;
    device::needs_register_path(bmu)?;
    for base in [device::low_base(bmu), device::high_base(bmu)] {
        let objects = device::objects(bmu, OBJECTS);
        let mut list = device::open_list(bmu, base, objects, objects)?;
        for gave in BTreeSet::from([0, objects / 2, objects - 1]) {
            list.free(gave)?;
            counts(list.available()?, 1, Counted::AfterOneFree)?;
            let took = list.alloc()?;
            ensure!(took == Some(gave), ListSymptom::Other { gave, took });
            counts(list.available()?, 0, Counted::AfterTheOnly)?;
        }
        evidence.hex("from address", list.geometry().address(0));
        evidence.hex("to address", list.geometry().address(objects - 1));
    }
    Ok(())
}

/// Fills a list, and takes until it is empty; `full` looks at it in between. Returns how many were taken.
pub(in crate::bringup) fn fill_and_drain<T: Transport>(
    list: &mut List<T>,
    capacity: u32,
    full: impl FnOnce(&List<T>) -> Result<(), Failure>,
) -> Result<u32, Failure> {
    let objects = list.geometry().objects();
    for index in 0..objects {
        list.free(index)?;
    }
    counts(list.available()?, capacity, Counted::Full { capacity })?;
    full(list)?;
    let mut taken = 0;
    while list.alloc()?.is_some() {
        taken += 1;
    }
    ensure!(taken == capacity, ListSymptom::Gave { capacity, taken });
    Ok(taken)
}

/// Fails unless a list's count is what it must be.
pub(in crate::bringup) fn counts(found: u32, expected: u32, when: Counted) -> Result<(), Failure> {
    ensure!(found == expected, ListSymptom::Count { found, when });
    Ok(())
}

/// When a list's count was looked at.
#[derive(Debug, Copy, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::bringup) enum Counted {
    #[error("after one free into an empty list")]
    AfterOneFree,
    #[error("after the only buffer was taken")]
    AfterTheOnly,
    #[error("in a list full at {capacity}")]
    Full { capacity: u32 },
    #[error("after {what} was refused, not 1")]
    Refused { what: &'static str },
    #[error("after all buffers were given back")]
    GivenBack,
}

/// What is wrong with a list.
#[derive(Debug, thiserror::Error)]
enum ListSymptom {
    #[error("{of} hands out a buffer that nobody gave it")]
    NotGiven { of: String },
    #[error("{stale} buffers of a former owner are left after a reset")]
    Stale { stale: u64 },
    #[error("POOL_AVAILABLE is {found} {when}")]
    Count { found: u32, when: Counted },
    #[error("gave object {gave}, took {took:?}")]
    Other { gave: u32, took: Option<u32> },
    #[error("a list of {capacity} buffers gave {taken}")]
    Gave { capacity: u32, taken: u32 },
}

impl Symptom for ListSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            ListSymptom::NotGiven { .. } | ListSymptom::Stale { .. } => driver::STALE,
            ListSymptom::Count { when, .. } => when.causes(),
            ListSymptom::Other { took: None, .. } => &[
                "the free did not reach the list: POOL_FREE is not decoded",
                "POOL_ALLOC is a constant in this bitstream",
            ],
            ListSymptom::Other { took: Some(_), .. } => &[
                "the list's memory mixes its entries up: an entry is read before it was written, or from another place",
            ],
            ListSymptom::Gave { .. } => &[
                "the list's memory is smaller than CAP_BUFFERS says, or its pointers wrap at another size",
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
            Counted::AfterOneFree
            | Counted::Full { .. }
            | Counted::Refused { .. }
            | Counted::GivenBack => &[
                "the count of buffers is not kept with the list: off by one, or not cleared by reset",
            ],
        }
    }
}
