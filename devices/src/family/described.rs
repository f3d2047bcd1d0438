//! A kind of device that is known by a [`Description`] instead of by a module in code.

use std::borrow::Cow;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use crate::description::{Bits, Depth, Description, Empty, Mistake, Room, Test, When};
use crate::family::{About, ErrorGauges, Gauge, Gauges, Way};
use crate::reg::{Field, Register};

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
        gauges: gauges(description),
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

/// Returns what tells how the device fares, but for what nobody may look at.
fn gauges(description: &'static Description) -> Gauges {
    let gauge = |bits: Bits| {
        let row = description.row(bits.register);
        let is_told = !description.never.contains(&bits.register) && row.access.is_pure_read();
        let field = || Field {
            name: name(row, bits),
            low: bits.low,
            high: bits.high,
            doc: row.doc.clone(),
        };
        is_told.then(|| Gauge::field(row, field()))
    };
    let threshold = |when: When| {
        let interrupt = description.interrupt.as_ref();
        let interrupt = interrupt.filter(|interrupt| interrupt.when == when);
        interrupt?.threshold.and_then(gauge)
    };
    // A flag is read as set where its bits are not 0, so one that says no by ones is none.
    let sticky = description.full.sticky.filter(|test| test.is != 0);
    let sticky = sticky.and_then(|test| gauge(test.bits));
    Gauges {
        states: &[],
        enabled: None,
        capacity: match description.depth {
            Depth::Register(bits) => gauge(bits),
            Depth::Fixed(_) => None,
        },
        available: description.level.and_then(gauge),
        low: threshold(When::Below),
        high: threshold(When::Above),
        channels: None,
        errors: ErrorGauges::Flags {
            flags: Vec::leak(sticky.into_iter().collect()),
        },
        pending: None,
    }
}

/// Names bits of a register: as its field, where they are one.
fn name(row: &'static Register, bits: Bits) -> Cow<'static, str> {
    let is_it = |field: &&Field| (field.low, field.high) == (bits.low, bits.high);
    let field = row.fields.iter().find(is_it);
    field.map_or(row.name.clone(), |field| field.name.clone())
}
