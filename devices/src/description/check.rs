//! The rules that no type holds: what a description may not say, each with the key that says it.

use std::fmt;

use super::{
    Bits, Clear, Depth, Description, Empty, Fill, Interrupt, Meaning, Passage, Pop, Port, Room,
    Set, Sharing, Test, When, Write,
};
use crate::reg::{Access, Register, Scope, find_overlap};

/// Most values that all lists may hold together.
const MOST: u32 = 1 << 24;
/// Most copies of the registers.
const COPIES: u16 = 64;
/// Most registers, and most bytes of their BAR. BAR 5 has 32 bits.
const REGISTERS: usize = 4096;
const SIZE: u64 = 1 << 40;
const SIZE_OF_BAR_5: u64 = 1 << 30;
/// Most low bits of an address that a value may leave out.
const SHIFT: u8 = 12;
/// Longest time for a reset, in milliseconds.
const LONGEST_RESET: u128 = 60_000;

/// What is wrong with a description, and which of its keys says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key, with its table: `empty.value`.
    pub key: &'static str,
    /// The register that it is about, by its place in [`Description::registers`]; `None` where it is about none.
    pub register: Option<usize>,
    /// What is wrong, as a sentence without its full stop.
    pub why: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.key, self.why)
    }
}

impl std::error::Error for Mistake {}

type Checked = Result<(), Mistake>;

/// What a mistake is about: a key, and a register where it is about one.
struct Of(&'static str, Option<usize>);

impl From<&'static str> for Of {
    fn from(key: &'static str) -> Of {
        Of(key, None)
    }
}

impl From<(&'static str, usize)> for Of {
    fn from((key, register): (&'static str, usize)) -> Of {
        Of(key, Some(register))
    }
}

fn ensure(holds: bool, of: impl Into<Of>, why: impl FnOnce() -> String) -> Checked {
    match holds {
        true => Ok(()),
        false => {
            let Of(key, register) = of.into();
            Err(Mistake {
                key,
                register,
                why: why(),
            })
        }
    }
}

impl Description {
    /// Returns the row of a register.
    ///
    /// # Panics
    ///
    /// When there is none; in what [`Description::check`] passes there is.
    pub fn row(&self, register: usize) -> &Register {
        &self.registers[register]
    }

    /// Returns how many lists the device has.
    pub fn lists(&self) -> u16 {
        match self.sharing {
            Sharing::Lists(count) => count,
            Sharing::One | Sharing::Windows(_) => 1,
        }
    }

    /// Returns how many copies there are of the registers of a list.
    pub fn copies(&self) -> u16 {
        match self.sharing {
            Sharing::One => 1,
            Sharing::Lists(count) | Sharing::Windows(count) => count,
        }
    }

    /// Tells whether a reset puts a register back, the device's own or one of the function.
    pub fn is_reset(&self, row: &Register, by_function: bool) -> bool {
        if by_function && self.reset.flr {
            return true;
        }
        let Some(last) = self.reset.writes.last() else {
            return false;
        };
        // One that is written for each list resets that list, and what all lists share stays.
        let is_of_one = self.lists() > 1 && self.row(last.register).scope() == Scope::Pool;
        !is_of_one || row.scope() == Scope::Pool
    }

    /// Returns the width of what is popped and pushed, in bits.
    pub fn width(&self) -> u8 {
        match self.pop.from() {
            Port::Whole(register) => self.registers.get(register).map_or(0, |row| row.width * 8),
            Port::Halves { .. } => 64,
        }
    }

    /// Finds the first mistake: a description that passes can be driven and modelled.
    ///
    /// # Errors
    ///
    /// The key, and what is wrong with what it says.
    pub fn check(&self) -> Result<(), Mistake> {
        self.check_name()?;
        self.check_place()?;
        self.check_identity()?;
        self.check_pop()?;
        self.check_push()?;
        self.check_depth()?;
        self.check_value()?;
        self.check_empty()?;
        self.check_full()?;
        self.check_enable()?;
        self.check_reset()?;
        self.interrupt
            .as_ref()
            .map_or(Ok(()), |irq| self.check_interrupt(irq))?;
        self.never
            .iter()
            .try_for_each(|&register| self.exists(register, "never"))
    }

    fn check_name(&self) -> Checked {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let starts = self.name.starts_with(|c: char| c.is_ascii_lowercase());
        ensure(
            starts && self.name.chars().all(plain) && self.name.len() <= 32,
            "name",
            || {
                format!(
                    "`{}` is not 1 to 32 small letters, digits and dashes with a letter first",
                    self.name
                )
            },
        )
    }

    fn check_place(&self) -> Checked {
        ensure(self.bar <= 5, "at.bar", || {
            format!("{} is no BAR: there are 0 to 5", self.bar)
        })?;
        let most = if self.bar == 5 { SIZE_OF_BAR_5 } else { SIZE };
        ensure((1..=most).contains(&self.size), "at.size", || {
            format!("{:#x} is not 1 to {most:#x}", self.size)
        })?;
        ensure(
            (1..=REGISTERS).contains(&self.registers.len()),
            "registers",
            || format!("there are {}, not 1 to {REGISTERS}", self.registers.len()),
        )?;
        if let Sharing::Lists(count) | Sharing::Windows(count) = self.sharing {
            ensure((2..=COPIES).contains(&count), "instances.count", || {
                format!("{count} is not 2 to {COPIES}")
            })?;
        }
        (0..self.registers.len()).try_for_each(|register| self.check_register(register))?;
        let Some((one, other)) = find_overlap(&self.registers) else {
            return Ok(());
        };
        let register = self.registers.iter().rposition(|row| row.name == other);
        ensure(false, Of("registers", register), || match one == other {
            true => format!(
                "`{one}` is there twice, or its copies overlap: `instances.stride` is too small"
            ),
            false => format!("`{one}` and `{other}` share a byte"),
        })
    }

    fn check_register(&self, register: usize) -> Checked {
        let row = self.row(register);
        let name = &row.name;
        ensure(row.bar() == self.bar, ("at.bar", register), || {
            format!("{name} lies in BAR {}", row.bar())
        })?;
        ensure(matches!(row.width, 4 | 8), ("at.width", register), || {
            format!("{name} has {} bytes: accesses have 4 or 8", row.width)
        })?;
        ensure(
            row.own_count == 1 || row.bank.count == 1,
            ("registers", register),
            || format!("{name} is an array in each of several copies"),
        )?;
        let end = self.end_of(row);
        ensure(
            end.is_some_and(|end| end <= self.size),
            ("at.size", register),
            || format!("{name} lies past the BAR's {:#x} bytes", self.size),
        )?;
        ensure(
            row.offset().is_multiple_of(row.width.into())
                && row.stride().is_multiple_of(row.width.into()),
            ("registers", register),
            || {
                format!(
                    "{name} at {:#x} is not aligned to its {} bytes",
                    row.offset(),
                    row.width
                )
            },
        )?;
        let copies = self.copies();
        ensure(
            row.scope() == Scope::Device || row.scope() == Scope::Pool && row.bank.count == copies,
            ("instances.count", register),
            || format!("{name} has {} copies, the device {copies}", row.bank.count),
        )
    }

    /// Returns where the last of a register's copies ends, unless that is nowhere.
    fn end_of(&self, row: &Register) -> Option<u64> {
        let last = u64::from(row.count().checked_sub(1)?).checked_mul(row.stride())?;
        let first = row.bank.base.checked_add(row.within)?;
        first.checked_add(last)?.checked_add(row.width.into())
    }

    fn check_identity(&self) -> Checked {
        if let Some((register, value)) = self.identity {
            self.readable(register, "identity.register")?;
            ensure(
                self.row(register).width == 4,
                ("identity.register", register),
                || {
                    format!(
                        "{} has 64 bits: a device is identified by 32",
                        self.row(register).name
                    )
                },
            )?;
            ensure(value != 0 && value != u32::MAX, "identity.value", || {
                format!("{value:#x} identifies nothing: a register that is not there reads so")
            })?;
        }
        self.readable(self.alive, "alive")?;
        let (row, is_identity) = (
            self.row(self.alive),
            self.identity.is_some_and(|(at, _)| at == self.alive),
        );
        let all = u64::MAX >> (64 - 8 * u32::from(row.width));
        ensure(
            is_identity || row.bits != all,
            ("alive", self.alive),
            || {
                format!(
                    "{} may read all ones by what is said of it: name the bits that it has, or another register",
                    row.name
                )
            },
        )?;
        self.scratch.map_or(Ok(()), |scratch| {
            self.readable(scratch, "scratch")?;
            self.writable(scratch, "scratch")?;
            ensure(!self.acts(scratch), ("scratch", scratch), || {
                format!(
                    "a write of {} does something: a scratch register keeps what is written, and that is all",
                    self.row(scratch).name
                )
            })
        })
    }

    /// Tells whether a write of a register gives, takes, resets or raises.
    fn acts(&self, register: usize) -> bool {
        let taken = match &self.pop {
            Pop::Acknowledge { then, .. } => Some(then),
            Pop::Read { .. } | Pop::LengthFirst { .. } => None,
        };
        let writes = (taken.into_iter())
            .chain(&self.push.then)
            .chain(&self.reset.writes);
        let raise = self.interrupt.as_ref().and_then(|irq| irq.raise);
        self.push.to.registers().any(|to| to == register)
            || writes.map(|write| write.register).any(|to| to == register)
            || raise.is_some_and(|bits| bits.register == register)
    }

    fn check_pop(&self) -> Checked {
        let from = self.pop.from();
        self.check_port(from, "pop.read")?;
        let takes = !matches!(self.pop, Pop::Acknowledge { .. });
        for register in from.registers() {
            let row = self.row(register);
            ensure(
                row.access.reads_take() == takes,
                ("pop.read", register),
                || match takes {
                    true => format!(
                        "{} is said to be {}: a read of it takes a value",
                        row.name,
                        row.access.mnemonic()
                    ),
                    false => format!(
                        "{} is said to be {}: a read of it only looks, `pop.then` takes",
                        row.name,
                        row.access.mnemonic()
                    ),
                },
            )?;
        }
        match &self.pop {
            Pop::Read { .. } => Ok(()),
            Pop::Acknowledge { then, .. } => {
                self.of_list(then.register, "pop.then")?;
                self.check_write(then, "pop.then")
            }
            Pop::LengthFirst { length, expect, .. } => {
                self.of_list(length.register, "pop.length")?;
                self.check_bits(length, "pop.length")?;
                ensure(*expect != 0, "pop.expect", || {
                    "a length of 0 says that there is nothing".into()
                })?;
                self.fits(*expect, length, "pop.expect")
            }
        }
    }

    fn check_push(&self) -> Checked {
        self.check_port(self.push.to, "push.write")?;
        for register in self.push.to.registers() {
            self.writable(register, "push.write")?;
        }
        let (pop, push) = (self.pop.from(), self.push.to);
        let alike = matches!((pop, push), (Port::Whole(a), Port::Whole(b)) if self.row(a).width == self.row(b).width)
            || matches!((pop, push), (Port::Halves { .. }, Port::Halves { .. }));
        ensure(alike, "push.write", || {
            "values are pushed and popped with the same width".into()
        })?;
        self.push.then.as_ref().map_or(Ok(()), |then| {
            self.of_list(then.register, "push.then")?;
            self.check_write(then, "push.then")
        })
    }

    fn check_value(&self) -> Checked {
        let value = self.value;
        ensure(
            value.low <= value.high && value.high < self.width(),
            "value.bits",
            || {
                format!(
                    "{}:{} is not within the {} bits that are popped",
                    value.high,
                    value.low,
                    self.width()
                )
            },
        )?;
        let bits = value.high - value.low + 1;
        match value.is {
            Meaning::Index { first } => {
                let most = u64::from(first) + u64::from(self.fixed_depth()) - 1;
                ensure(bits >= 64 || most >> bits == 0, "value.bits", || {
                    format!("{bits} bits can't hold {most}, the number of the last object")
                })
            }
            Meaning::Address { shift } => {
                ensure(shift <= SHIFT, "value.shift", || {
                    format!("{shift} is more than {SHIFT}")
                })?;
                ensure(
                    bits + shift >= 16 && u32::from(bits) + u32::from(shift) <= 64,
                    "value.shift",
                    || format!("{bits} bits shifted by {shift} are no address of 16 to 64 bits"),
                )?;
                ensure(self.fill == Fill::Software, "fill", || {
                    "a reset can't fill in addresses, which the host chooses".into()
                })
            }
        }
    }

    fn check_empty(&self) -> Checked {
        match self.empty {
            Empty::Value(empty) => {
                let all = u64::MAX >> (64 - self.width());
                ensure(empty <= all, "empty.value", || {
                    format!(
                        "{empty:#x} has more than the {} bits that are popped",
                        self.width()
                    )
                })?;
                ensure(!self.is_legal(empty), "empty.value", || {
                    format!(
                        "{empty:#x} is an object's number as well: with `value.first` = 1 none would be 0"
                    )
                })
            }
            Empty::Mark(test) => self.check_mark(&test),
            Empty::Flag(test) => {
                self.of_list(test.bits.register, "empty.flag")?;
                self.check_test(&test, "empty.flag")?;
                ensure(
                    !self.pop.from().registers().any(|r| r == test.bits.register),
                    "empty.flag",
                    || "it is read before the pop, and this read would be one".into(),
                )
            }
            Empty::Level => ensure(self.level.is_some(), "empty.level", || {
                "there is no `level` that could be 0".into()
            }),
            Empty::BusError => Ok(()),
        }
    }

    /// Bits that are popped beside the value: not of it.
    fn check_mark(&self, test: &Test) -> Checked {
        let Port::Whole(register) = self.pop.from() else {
            return ensure(false, "empty.flag", || {
                "a value in two halves has no bits beside it: name a register that is read before"
                    .into()
            });
        };
        self.in_register(&test.bits, "empty.flag")?;
        ensure(
            test.bits.register == register,
            ("empty.flag", test.bits.register),
            || "it is not popped".into(),
        )?;
        self.fits(test.is, &test.bits, "empty.is")?;
        let apart = test.bits.high < self.value.low || test.bits.low > self.value.high;
        ensure(apart, "empty.flag", || {
            "it shares bits with `value.bits`".into()
        })
    }

    /// Tells whether what is popped so is the number of an object for certain.
    fn is_legal(&self, popped: u64) -> bool {
        let Meaning::Index { first } = self.value.is else {
            return false; // where objects lie the driver knows, and refuses it then
        };
        let value = self.value.of(popped);
        let beside = popped & !self.value.mask();
        let first = u64::from(first);
        beside == 0 && (first..first + u64::from(self.fixed_depth())).contains(&value)
    }

    fn check_full(&self) -> Checked {
        match self.full.shown {
            Room::Counted => ensure(!self.full.look, "full.look", || {
                "nothing is named that could be looked at".into()
            })?,
            Room::Flag(test) => {
                self.of_list(test.bits.register, "full.flag")?;
                self.check_test(&test, "full.flag")?;
            }
            Room::Vacancy(bits) => {
                self.of_list(bits.register, "full.vacancy")?;
                self.check_bits(&bits, "full.vacancy")?;
            }
            Room::Level => ensure(self.level.is_some(), "full.level", || {
                "there is no `level` to compare with `depth`".into()
            })?,
        }
        self.full.sticky.map_or(Ok(()), |test| {
            self.check_test(&test, "full.sticky")?;
            // A write of ones clears it.
            self.written(test.bits.register, test.bits.mask(), "full.sticky")
        })
    }

    fn check_depth(&self) -> Checked {
        let most = MOST / u32::from(self.lists());
        match self.depth {
            Depth::Fixed(depth) => ensure((1..=most).contains(&depth), "depth", || {
                format!("{depth} is not 1 to {most}, {MOST} in all lists together")
            })?,
            Depth::Register(bits) => self.check_bits(&bits, "depth")?,
        }
        self.level.map_or(Ok(()), |bits| {
            self.of_list(bits.register, "level")?;
            self.check_bits(&bits, "level")
        })
    }

    fn check_enable(&self) -> Checked {
        self.enable
            .iter()
            .try_for_each(|set| self.check_set(set, "enable"))
    }

    fn check_reset(&self) -> Checked {
        let reset = &self.reset;
        reset
            .writes
            .iter()
            .try_for_each(|write| self.check_write(write, "reset.write"))?;
        ensure(
            !reset.writes.is_empty() || reset.flr || reset.keeps_entries,
            "reset.keeps",
            || "nothing resets the device, so that the entries stay".into(),
        )?;
        ensure(
            (1..=LONGEST_RESET).contains(&reset.within.as_millis()),
            "reset.within-ms",
            || format!("{} is not 1 to {LONGEST_RESET}", reset.within.as_millis()),
        )?;
        ensure(
            self.fill == Fill::Software || !reset.keeps_entries,
            "reset.keeps",
            || "a reset that fills the list keeps nothing".into(),
        )?;
        reset
            .until
            .map_or(Ok(()), |test| self.check_test(&test, "reset.until"))?;
        reset
            .count
            .map_or(Ok(()), |bits| self.check_bits(&bits, "reset.count"))
    }

    fn check_interrupt(&self, irq: &Interrupt) -> Checked {
        ensure(irq.vector < 32, "interrupt.vector", || {
            format!("{} is not 0 to 31", irq.vector)
        })?;
        irq.enable
            .map_or(Ok(()), |set| self.check_set(&set, "interrupt.enable"))?;
        if let Some(bits) = irq.pending {
            self.in_register(&bits, "interrupt.pending")?;
            let clears_by_read = irq.clear == Clear::Read;
            let row = self.row(bits.register);
            ensure(
                clears_by_read == (row.access == Access::ReadEffect),
                ("interrupt.clear", bits.register),
                || format!("{} is said to be {}", row.name, row.access.mnemonic()),
            )?;
            if matches!(irq.clear, Clear::WriteOne | Clear::WriteZero) {
                self.written(bits.register, bits.mask(), "interrupt.clear")?;
            }
        }
        if let Some(bits) = irq.raise {
            self.in_register(&bits, "interrupt.raise")?;
            self.written(bits.register, bits.mask(), "interrupt.raise")?;
        }
        let waits = matches!(irq.when, When::Below | When::Above);
        ensure(
            waits == irq.threshold.is_some(),
            "interrupt.threshold",
            || match waits {
                true => "the level that it waits for is not named".into(),
                false => "only `below` and `above` have one".into(),
            },
        )?;
        irq.threshold.map_or(Ok(()), |bits| {
            self.in_register(&bits, "interrupt.threshold")?;
            self.written(bits.register, bits.mask(), "interrupt.threshold")
        })
    }

    fn check_port(&self, port: Port, key: &'static str) -> Checked {
        port.registers()
            .try_for_each(|register| self.of_list(register, key))?;
        let Port::Halves { low, high } = port else {
            return Ok(());
        };
        ensure(
            low != high && self.row(low).width == 4 && self.row(high).width == 4,
            key,
            || "halves are two registers of 32 bits".into(),
        )?;
        ensure(self.passage != Passage::Whole, "at.halves", || {
            "nothing says which half comes first".into()
        })
    }

    /// A register that tells of one list: where there are several, each has its own.
    fn of_list(&self, register: usize, key: &'static str) -> Checked {
        self.exists(register, key)?;
        let row = self.row(register);
        let is_told = !matches!(self.sharing, Sharing::Lists(_)) || row.scope() == Scope::Pool;
        ensure(is_told, (key, register), || {
            format!("{} is shared: it can't tell the lists apart", row.name)
        })
    }

    /// Bits of a register that may be read at any time.
    fn check_bits(&self, bits: &Bits, key: &'static str) -> Checked {
        self.in_register(bits, key)?;
        self.readable(bits.register, key)
    }

    fn check_test(&self, test: &Test, key: &'static str) -> Checked {
        self.check_bits(&test.bits, key)?;
        self.fits(test.is, &test.bits, key)
    }

    fn check_set(&self, set: &Set, key: &'static str) -> Checked {
        self.in_register(&set.bits, key)?;
        self.written(set.bits.register, set.bits.mask(), key)?;
        self.fits(set.to, &set.bits, key)
    }

    fn check_write(&self, write: &Write, key: &'static str) -> Checked {
        self.writable(write.register, key)?;
        let width = 8 * u32::from(self.row(write.register).width);
        ensure(
            write.value <= u64::MAX >> (64 - width),
            (key, write.register),
            || {
                format!(
                    "{:#x} has more than the {width} bits of {}",
                    write.value,
                    self.row(write.register).name
                )
            },
        )?;
        self.written(write.register, write.value, key)
    }

    /// What is written has no bits but those of its register: the others are written 0.
    fn written(&self, register: usize, value: u64, key: &'static str) -> Checked {
        self.writable(register, key)?;
        let row = self.row(register);
        ensure(value & !row.bits == 0, (key, register), || {
            format!(
                "{value:#x} has bits that {} has not: there are {:#x}",
                row.name, row.bits
            )
        })
    }

    fn in_register(&self, bits: &Bits, key: &'static str) -> Checked {
        self.exists(bits.register, key)?;
        let row = self.row(bits.register);
        ensure(
            bits.low <= bits.high && bits.high < 8 * row.width,
            (key, bits.register),
            || {
                format!(
                    "{}:{} is not within the {} bits of {}",
                    bits.high,
                    bits.low,
                    8 * row.width,
                    row.name
                )
            },
        )
    }

    fn fits(&self, value: u64, bits: &Bits, key: &'static str) -> Checked {
        ensure(
            value <= bits.mask() >> bits.low,
            (key, bits.register),
            || {
                format!(
                    "{value:#x} has more than the {} bits that it is compared with or written to",
                    bits.high - bits.low + 1
                )
            },
        )
    }

    fn exists(&self, register: usize, key: &'static str) -> Checked {
        ensure(register < self.registers.len(), key, || {
            format!("there is no register {register} in the table")
        })
    }

    fn readable(&self, register: usize, key: &'static str) -> Checked {
        self.exists(register, key)?;
        let row = self.row(register);
        ensure(row.access.is_pure_read(), (key, register), || {
            format!(
                "{} is said to be {}: it can't be read without an effect",
                row.name,
                row.access.mnemonic()
            )
        })
    }

    fn writable(&self, register: usize, key: &'static str) -> Checked {
        self.exists(register, key)?;
        let row = self.row(register);
        ensure(row.access.is_writable(), (key, register), || {
            format!(
                "{} is said to be {}: writes to it do nothing",
                row.name,
                row.access.mnemonic()
            )
        })
    }

    /// Returns how many values a list holds at the least, by the description alone.
    fn fixed_depth(&self) -> u32 {
        match self.depth {
            Depth::Fixed(depth) => depth,
            Depth::Register(_) => 1,
        }
    }
}
