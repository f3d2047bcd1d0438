//! What a FIFO is made of, and what the function shows of it (SPEC 1).

use std::borrow::Cow;

use hwpool_devices::fifo::regs;

use super::Fifo;
use super::lies::Lie;
use crate::faults::{FaultKind, Offer};
use crate::lies::Lies;
use crate::logic::{Logic, ModelInfo, Options};
use crate::parameter::{ConfigError, Text};
use crate::shape::{Halves, Shape};

/// The model.
pub(crate) const MODEL: ModelInfo = ModelInfo {
    name: "fifo",
    doc: "the small free list: a queue of buffer numbers behind 32-bit registers",
    keys: &[("depth", "numbers that the queue holds, 1 to 16777216")],
    faults: FAULTS,
    lies: Lie::ALL,
    options: || Box::new(Config { depth: 1 << 20 }),
};

/// The faults that only such a queue can have.
const FAULTS: &[Offer] = &[
    Offer::new(
        FaultKind::DuplicateBuffer,
        "POP gives the number that it gave last, and the oldest one stays",
    ),
    Offer::new(
        FaultKind::OutOfRangeBuffer,
        "POP gives the number `value`, or DEPTH if 0, and the oldest one stays",
    ),
    Offer::new(
        FaultKind::LostEntry,
        "a number that is written to PUSH does not get into the queue",
    ),
    Offer::new(
        FaultKind::WrongCount,
        "`value` (1) is added to what LEVEL reads",
    ),
];

/// The parameters of a FIFO.
#[derive(Debug, Clone)]
struct Config {
    depth: u32,
}

impl Options for Config {
    fn set(&mut self, text: Text<'_>) -> Option<Result<(), ConfigError>> {
        match text.key {
            "depth" => {
                let depth = text.within(1..=1 << 24, "1 to 16777216");
                Some(depth.map(|n| self.depth = n as u32))
            }
            _ => None,
        }
    }

    fn shape(&self, lies: Lies) -> Shape {
        Shape {
            vendor: regs::VENDOR_ID,
            device: regs::DEVICE_ID,
            class: 0x08_8000,
            bars: Cow::Borrowed(&[
                (regs::BAR, regs::BAR_SIZE),
                (regs::MSIX_BAR, regs::MSIX_BAR_SIZE),
            ]),
            msix_bar: regs::MSIX_BAR,
            msix_pba: regs::MSIX_PBA_OFFSET,
            vectors: 1,
            table: Cow::Borrowed(regs::TABLE),
            pools: 1,
            portals: 0,
            lacks: Vec::new(),
            doorbells: None,
            interrupt_register: "EVENT".into(),
            reset_register: "RESET".into(),
            faults: FAULTS.into(),
            halves: Halves::Off,
            lies,
        }
    }

    fn make(&self, lies: Lies) -> Box<dyn Logic> {
        Box::new(Fifo::new(self.depth, lies))
    }

    fn boxed(&self) -> Box<dyn Options> {
        Box::new(self.clone())
    }
}
