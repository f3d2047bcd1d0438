//! The faults that a described device can have, by what its description says.

use hwpool_devices::description::{Description, Meaning, Room};

use crate::faults::{FaultKind, Offer};

const ALWAYS: [Offer; 4] = [
    Offer::new(
        FaultKind::DuplicateBuffer,
        "a pop gives the value that it gave last, and the next one stays; where a write takes the value, that write is lost",
    ),
    Offer::new(
        FaultKind::OutOfRangeBuffer,
        "a pop gives `value`, or the number past the last (an address of all ones) if 0, and the next one stays",
    ),
    Offer::new(
        FaultKind::LostEntry,
        "a value that is pushed does not get into the list",
    ),
    Offer::new(
        FaultKind::WrongEmpty,
        "a list says once that it is empty while it is not, or the reverse",
    ),
];
const COUNT: Offer = Offer::new(
    FaultKind::WrongCount,
    "`value` (1) is added to what the level or the vacancy reads",
);
const MISALIGNED: Offer = Offer::new(
    FaultKind::MisalignedBuffer,
    "a pop gives an address whose lowest bit is another, and the next one stays",
);
const SWAPPED: Offer = Offer::new(
    FaultKind::SwappedHalves,
    "a pop reads the upper half of a value in the place of the lower, and the reverse",
);
const KEEPS: Offer = Offer::new(
    FaultKind::ResetKeepsEntries,
    "a reset leaves the list as it is",
);
const STUCK: Offer = Offer::new(
    FaultKind::StuckInterrupt,
    "the pending bits of the interrupt are not cleared",
);

/// Returns what can go wrong with a device.
pub(super) fn offers(description: &Description) -> Vec<Offer> {
    let counts = description.level.is_some() || matches!(description.full.shown, Room::Vacancy(_));
    let reset = &description.reset;
    let pending = description.interrupt.as_ref().and_then(|irq| irq.pending);
    let some = [
        (counts, COUNT),
        (
            matches!(description.value.is, Meaning::Address { .. }),
            MISALIGNED,
        ),
        (description.width() == 64, SWAPPED),
        (
            (!reset.writes.is_empty() || reset.flr) && !reset.keeps_entries,
            KEEPS,
        ),
        (pending.is_some(), STUCK),
    ];
    let some = some.into_iter().filter(|(has, _)| *has);
    ALWAYS
        .into_iter()
        .chain(some.map(|(_, offer)| offer))
        .collect()
}
