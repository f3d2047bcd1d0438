//! What is known of a free list that is described by data instead of by code.
//!
//! ```
//! use hwpool_devices::description::Description;
//!
//! /// Says what is wrong with a description that was made by hand.
//! fn judge(description: &Description) {
//!     if let Err(mistake) = description.check() {
//!         println!("{}: {mistake}", description.name);
//!     }
//! }
//! ```
//!
//! A [`Description`] says of one kind of device what no register file says: which read takes a value, which value means
//! "empty", what a value is, who fills the list. From it come a driver and a model, which share it and no behaviour. It is
//! read from a file by the crate `hwpool-describe`; whoever makes one by hand asks [`Description::check`].
//!
//! Every choice is a closed enum. What does not fit is a device module in code; the folders of this crate show how.

mod check;
mod parts;

use std::time::Duration;

pub use check::Mistake;
pub use parts::{Bits, Port, Set, Test, Write};

use crate::reg::{Register, mask};

/// One kind of device whose free list is a queue or a stack behind registers.
///
/// Registers are named by their place in [`Description::registers`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name in options and reports: small letters, digits and dashes.
    pub name: String,
    /// Its name in sentences.
    pub title: String,
    /// One line for people.
    pub doc: String,
    /// Where its registers are documented.
    pub source: String,
    /// Vendor and device ids that boards with it use; none where each board has its own.
    pub ids: Vec<(u16, u16)>,
    /// The BAR of the registers, 0 to 5.
    pub bar: u8,
    /// Bytes that the BAR must have at the least.
    pub size: u64,
    /// How values of 64 bits pass.
    pub passage: Passage,
    /// What the copies of the registers are, where there are several.
    pub sharing: Sharing,
    /// All registers that may be accessed. Those of one list have the scope pool where there are several lists or windows.
    pub registers: Vec<Register>,
    /// A register of 32 bits that identifies the device, and what it reads: never 0 and never all ones.
    pub identity: Option<(usize, u32)>,
    /// A register that never reads all ones while the device is there, and whose read has no effect.
    pub alive: usize,
    /// A register that keeps what is written and has no effect.
    pub scratch: Option<usize>,
    /// What lets the list work, in order, after each reset.
    pub enable: Vec<Set>,
    /// How a value is taken.
    pub pop: Pop,
    /// How a value is given.
    pub push: Push,
    /// How the device says that it has no value.
    pub empty: Empty,
    /// How the device says that it takes no more.
    pub full: Full,
    /// What a value is.
    pub value: Value,
    /// How many values a list holds.
    pub depth: Depth,
    /// Where the device counts the values in a list.
    pub level: Option<Bits>,
    /// Who puts the values into a list after a reset.
    pub fill: Fill,
    /// In which order values leave.
    pub order: Order,
    /// What resets the device.
    pub reset: Reset,
    /// Its interrupt.
    pub interrupt: Option<Interrupt>,
    /// Registers that are never touched but for what the description uses them for: no dump reads them, no check writes them.
    pub never: Vec<usize>,
}

/// How values of 64 bits pass a bus.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
pub enum Passage {
    /// Each value is one access.
    #[default]
    Whole,
    /// As two accesses of 32 bits, the low half first. The first half of a pop takes the value, the last half of a push gives it.
    LowFirst,
    /// The same, the high half first.
    HighFirst,
}

/// What several copies of the registers are.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
pub enum Sharing {
    /// There is one list, with one copy.
    #[default]
    One,
    /// Each copy is a list of its own.
    Lists(u16),
    /// Each copy is a window onto one and the same list. The driver uses the first one.
    Windows(u16),
}

/// How a value is taken from a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pop {
    /// A read takes it.
    Read {
        /// What is read.
        from: Port,
    },
    /// A read looks at it, and a write takes it.
    Acknowledge {
        /// What is read.
        from: Port,
        /// What is written then.
        then: Write,
    },
    /// A register tells how long the oldest entry is, and is read first; then a read takes the value.
    LengthFirst {
        /// Tells the length.
        length: Bits,
        /// What the length must be, in the device's unit.
        expect: u64,
        /// What is read then.
        from: Port,
    },
}

impl Pop {
    /// Returns what the value is read from.
    pub fn from(&self) -> Port {
        match self {
            Pop::Read { from } | Pop::Acknowledge { from, .. } | Pop::LengthFirst { from, .. } => {
                *from
            }
        }
    }
}

/// How a value is given to a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// What the value is written to.
    pub to: Port,
    /// What must be written then, where the value alone is not enough.
    pub then: Option<Write>,
}

/// How a device says that it has no value.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Empty {
    /// A pop reads this, with all bits of the port.
    Value(u64),
    /// Bits of what a pop reads, beside the value.
    Mark(Test),
    /// Bits of another register, which is read before each pop.
    Flag(Test),
    /// [`Description::level`] is 0, read before each pop.
    Level,
    /// The pop is answered with a bus error, which may reach the host as all ones.
    BusError,
}

/// How a device says that it takes no more values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// What shows it.
    pub shown: Room,
    /// The driver has to look before it pushes: a push into a full list does harm.
    pub look: bool,
    /// Bits that stay set after a push was dropped, and are cleared by a write of ones; `None` where it is dropped silently.
    pub sticky: Option<Test>,
}

/// What shows that a list takes no more values.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Room {
    /// Nothing does: the driver counts.
    Counted,
    /// Bits of a register.
    Flag(Test),
    /// A count of the values for which there is room.
    Vacancy(Bits),
    /// [`Description::level`], against [`Description::depth`].
    Level,
}

/// What a value is.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Value {
    /// Lowest bit of it, in what is popped and pushed.
    pub low: u8,
    /// Highest bit, inclusive.
    pub high: u8,
    /// What it stands for.
    pub is: Meaning,
}

impl Value {
    /// Returns its bits as a mask within what is popped and pushed.
    pub const fn mask(&self) -> u64 {
        mask(self.low, self.high)
    }

    /// Returns how many bits it has.
    pub const fn bits(&self) -> u32 {
        (self.high - self.low) as u32 + 1
    }

    /// Extracts it from what was popped.
    pub const fn of(&self, popped: u64) -> u64 {
        (popped & self.mask()) >> self.low
    }
}

/// What a value stands for.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// The number of an object, counted from `first`.
    Index {
        /// The value of object 0: 1 where a device uses 0 for "none".
        first: u32,
    },
    /// The address of an object, shifted down.
    Address {
        /// How many low bits of the address are left out.
        shift: u8,
    },
}

/// How many values a list holds.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Depth {
    /// So many, 1 to 2^24.
    Fixed(u32),
    /// As many as a register says.
    Register(Bits),
}

/// Who puts values into a list after a reset.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Fill {
    /// Software: it is empty.
    Software,
    /// The device: each number is in it, once.
    Reset,
}

/// In which order values leave a list.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Order {
    /// The oldest first.
    Fifo,
    /// The newest first.
    Lifo,
    /// In any.
    Any,
}

/// What resets a device. Where nothing does, a list is emptied by pops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// What is written, in order; a register of each list is written for each.
    pub writes: Vec<Write>,
    /// What tells that the reset is over; it is over at once where that is `None`.
    pub until: Option<Test>,
    /// How long it may take.
    pub within: Duration,
    /// Counts resets of any kind.
    pub count: Option<Bits>,
    /// The values in a list outlive it: the driver pops what is left.
    pub keeps_entries: bool,
    /// A function level reset does the same to the logic.
    pub flr: bool,
}

/// The interrupt of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupt {
    /// Its MSI-X vector.
    pub vector: u16,
    /// What lets it be sent.
    pub enable: Option<Set>,
    /// The bits that say why it was sent.
    pub pending: Option<Bits>,
    /// How those are cleared.
    pub clear: Clear,
    /// Bits that raise it when they are written 1, as if it had happened.
    pub raise: Option<Bits>,
    /// The level that it waits for.
    pub threshold: Option<Bits>,
    /// When it is sent.
    pub when: When,
}

/// How pending bits are cleared.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Clear {
    /// By a write of ones.
    WriteOne,
    /// By a write of zeros.
    WriteZero,
    /// By a read.
    Read,
    /// By themselves, when what raised them is over.
    Itself,
}

/// When an interrupt is sent.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum When {
    /// The level fell below the threshold.
    Below,
    /// The level rose above the threshold.
    Above,
    /// The list had no value and has one.
    Filled,
    /// The list had a value and has none.
    Emptied,
}
