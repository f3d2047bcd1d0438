//! Registers by their place, for functions whose registers hwpool does not know.

use anyhow::Context;
use hwpool::device::recognition;
use hwpool::devices::bus::{Bar, BusError, Transport};
use hwpool::devices::family::{Choice, Recognition};
use hwpool::devices::reg::Register;
use serde_json::{Value, json};

use super::exit::Usage;
use super::watch::{Readings, Shown};

/// Where a register is: `0:0x10` in BAR 0, `config:0x34` in configuration space.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(super) struct Place {
    space: Space,
    offset: u64,
    /// Bits of the one access that is made.
    width: u32,
}

#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Space {
    Bar(u8),
    Config,
}

impl Place {
    /// Reads `SPACE:OFFSET`; `None` where the text has no colon and so is the name of a register.
    pub(super) fn parse(text: &str, width: Option<u32>) -> anyhow::Result<Option<Place>> {
        let Some((space, offset)) = text.split_once(':') else {
            return match width {
                None => Ok(None),
                Some(_) => Err(usage(format!(
                    "`{text}` has a width of its own: --width goes with a place such as 0:0x10"
                ))),
            };
        };
        let space = match space {
            "config" => Space::Config,
            bar => match bar.parse() {
                Ok(bar @ 0..=5) => Space::Bar(bar),
                _ => {
                    return Err(usage(format!(
                        "`{text}`: a place is BAR:OFFSET with a BAR from 0 to 5, or config:OFFSET"
                    )));
                }
            },
        };
        let width = width.ok_or_else(|| {
            usage(format!(
                "`{text}`: add --width 32 or another, the bits of the one access"
            ))
        })?;
        let place = Place {
            space,
            offset: number(offset)?,
            width,
        };
        match (space, width) {
            (Space::Bar(_), 8 | 16 | 32 | 64) | (Space::Config, 16 | 32) => Ok(Some(place)),
            (Space::Bar(_), _) => Err(usage(format!(
                "a BAR is read and written by 8, 16, 32 or 64 bits, not {width}"
            ))),
            (Space::Config, _) => Err(usage(format!(
                "configuration space is read by 32 bits and written by 16 or 32, not {width}"
            ))),
        }
    }

    /// Refuses a value that is wider than the access.
    pub(super) fn check_value(&self, value: u64) -> anyhow::Result<()> {
        if self.width < 64 && value >> self.width != 0 {
            return Err(usage(format!(
                "{value:#x} has more than {} bits",
                self.width
            )));
        }
        Ok(())
    }

    /// Refuses a read that can't be made, or one that, on a device that hwpool knows, takes something from it.
    fn check_read<T: Transport>(
        &self,
        transport: &T,
        choice: &Choice,
        with_effect: bool,
    ) -> anyhow::Result<()> {
        if self.space == Space::Config && self.width != 32 {
            return Err(usage("configuration space is read by 32 bits".into()));
        }
        let Space::Bar(bar) = self.space else {
            return Ok(());
        };
        let Recognition::Known(module) = recognition(transport, choice)? else {
            tracing::warn!(
                "{}: hwpool does not know this device, so it can't know what a read of {self} does to it",
                transport.name()
            );
            return Ok(());
        };
        match self.taken_by(module.about().registers, bar) {
            Some(row) if !with_effect => Err(usage(format!(
                "{self} is {}, and a read takes a buffer from the device{}: add --with-effect to do that",
                row.name,
                section(row)
            ))),
            _ => Ok(()),
        }
    }

    /// Finds a register whose read acts among the bytes of the access.
    fn taken_by<'t>(&self, table: &'t [Register], bar: u8) -> Option<&'t Register> {
        let end = self.offset.saturating_add(u64::from(self.width / 8));
        let touches = |row: &Register| {
            (0..row.count()).any(|index| {
                let at = row.offset_of(index);
                at < end && self.offset < at + u64::from(row.width)
            })
        };
        table
            .iter()
            .find(|row| row.bar() == bar && row.access.reads_take() && touches(row))
    }

    fn read<T: Transport>(&self, transport: &T) -> Result<u64, BusError> {
        match (self.space, self.width) {
            (Space::Config, _) => transport.config_read32(self.config_offset()).map(u64::from),
            (Space::Bar(bar), 8) => transport.bar(bar)?.read8(self.offset).map(u64::from),
            (Space::Bar(bar), 16) => transport.bar(bar)?.read16(self.offset).map(u64::from),
            (Space::Bar(bar), 32) => transport.bar(bar)?.read32(self.offset).map(u64::from),
            (Space::Bar(bar), _) => transport.bar(bar)?.read64(self.offset),
        }
    }

    fn write<T: Transport>(&self, transport: &T, value: u64) -> Result<(), BusError> {
        match (self.space, self.width) {
            (Space::Config, 16) => transport.config_write16(self.config_offset(), value as u16),
            (Space::Config, _) => transport.config_write32(self.config_offset(), value as u32),
            (Space::Bar(bar), 8) => transport.bar(bar)?.write8(self.offset, value as u8),
            (Space::Bar(bar), 16) => transport.bar(bar)?.write16(self.offset, value as u16),
            (Space::Bar(bar), 32) => transport.bar(bar)?.write32(self.offset, value as u32),
            (Space::Bar(bar), _) => transport.bar(bar)?.write64(self.offset, value),
        }
    }

    /// Offsets beyond 16 bits become one that every transport refuses.
    fn config_offset(&self) -> u16 {
        u16::try_from(self.offset).unwrap_or(u16::MAX)
    }

    /// Tells what a write does, behind a verb.
    pub(super) fn write_text(&self, value: u64) -> String {
        format!("{} to {self}", self.value_text(value))
    }

    fn value_text(&self, value: u64) -> String {
        format!("{value:#0digits$x}", digits = self.width as usize / 4 + 2)
    }
}

impl Shown for Place {
    fn text(&self, value: u64) -> String {
        format!("{:<26} {}\n", self.to_string(), self.value_text(value))
    }

    fn json(&self, value: u64) -> Value {
        json!({ "place": self.to_string(), "offset": self.offset, "width": self.width, "value": value })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.space {
            Space::Bar(bar) => write!(f, "{bar}:{:#x}", self.offset),
            Space::Config => write!(f, "config:{:#x}", self.offset),
        }
    }
}

/// Reads the register at `place` with exactly one access.
pub(super) fn get<T: Transport>(
    transport: &T,
    choice: &Choice,
    place: Place,
    with_effect: bool,
    readings: &Readings<'_>,
) -> anyhow::Result<()> {
    place.check_read(transport, choice, with_effect)?;
    let read = |place: &Place| {
        let value = place.read(transport);
        value.with_context(|| format!("{}: reading {place}", transport.name()))
    };
    readings.show(transport.name(), &[place], read, |_, _| true)
}

/// Writes the register at `place` with exactly one access and no read before or after.
pub(super) fn set<T: Transport>(transport: &T, place: Place, value: u64) -> anyhow::Result<()> {
    let written = place.write(transport, value);
    written.with_context(|| format!("{}: writing {place}", transport.name()))
}

/// Reads a number: decimal, or hexadecimal with 0x; underscores may group digits.
pub(super) fn number(text: &str) -> anyhow::Result<u64> {
    let digits = text.replace('_', "");
    let parsed = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16),
        None => digits.parse(),
    };
    parsed.map_err(|_| usage(format!("`{text}` is no number: write 10 or 0xa")))
}

fn usage(message: String) -> anyhow::Error {
    Usage(message).into()
}

/// Says where a register is specified: a section of our own specifications, or what a description names; nothing where
/// that is not known.
pub(super) fn section(row: &Register) -> String {
    match row.section.chars().next() {
        None => String::new(),
        Some(first) if first.is_ascii_digit() => format!(" (SPEC {})", row.section),
        Some(_) => format!(" ({})", row.section),
    }
}
