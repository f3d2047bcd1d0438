//! A kind of device that is known by a [`Description`] instead of by a module in code.

use std::ptr;
use std::sync::{Mutex, PoisonError};

use crate::description::{Bits, Description, Empty, Mistake, Room, Test};
use crate::family::{About, Way};
use crate::reg::Register;

/// Objects travel by register accesses.
static REGISTER: Way = Way {
    name: "register",
    backend: "described",
    doc: "the register accesses that a description names",
};

/// Every description that was kept.
static KEPT: Mutex<Vec<&'static Described>> = Mutex::new(Vec::new());

/// A description that was checked and is kept for the life of the process, with what is known of such a device.
#[derive(Debug)]
pub struct Described {
    /// What was said of the device.
    pub description: &'static Description,
    /// The same in terms that every kind of device has.
    pub about: About,
}

impl Described {
    /// Checks a description and keeps it; the same one twice gives the same reference.
    ///
    /// # Errors
    ///
    /// The first mistake in it.
    pub fn keep(description: Description) -> Result<&'static Described, Mistake> {
        description.check()?;
        // What is kept is never changed.
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.iter().find(|kept| *kept.description == description) {
            return Ok(known);
        }
        let description: &'static Description = Box::leak(Box::new(description));
        let about = about(description);
        let new: &'static Described = Box::leak(Box::new(Described { description, about }));
        kept.push(new);
        Ok(new)
    }
}

impl PartialEq for Described {
    fn eq(&self, other: &Described) -> bool {
        ptr::eq(self.description, other.description)
    }
}

impl Eq for Described {}

fn about(description: &'static Description) -> About {
    let row = |register: usize| description.row(register);
    let of = |bits: Option<Bits>| bits.map(|bits| row(bits.register));
    About {
        name: &description.name,
        module: "described",
        title: &description.title,
        doc: &description.doc,
        ids: &description.ids,
        bars: Box::leak(Box::new([(description.bar, description.size)])),
        registers: &description.registers,
        identity: (description.identity).map(|(register, value)| (row(register), value)),
        version: None,
        maker: None,
        alive: row(description.alive),
        level: of(description.level),
        scratch: description.scratch.map(row),
        // Who counts resets reads the whole register.
        reset_count: of(
            (description.reset.count).filter(|bits| bits.mask() == row(bits.register).bits)
        ),
        watched: Vec::leak(watched(description)),
        halves: None,
        ways: std::slice::from_ref(&REGISTER),
    }
}

/// Returns the registers that tell what happened to the device, each once.
fn watched(description: &'static Description) -> Vec<&'static Register> {
    let test = |test: Test| Some(test.bits.register);
    let told = [
        match description.empty {
            Empty::Flag(flag) => test(flag),
            _ => None,
        },
        match description.full.shown {
            Room::Flag(flag) => test(flag),
            Room::Vacancy(bits) => Some(bits.register),
            _ => None,
        },
        description.level.map(|bits| bits.register),
        description.full.sticky.and_then(test),
        description.reset.count.map(|bits| bits.register),
    ];
    let mut watched: Vec<usize> = Vec::new();
    for register in told.into_iter().flatten() {
        if !watched.contains(&register) && !description.never.contains(&register) {
            watched.push(register);
        }
    }
    (watched.into_iter())
        .map(|register| description.row(register))
        .collect()
}
