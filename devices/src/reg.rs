//! Typed registers.
//!
//! ```
//! mod regs {
//!     hwpool_devices::registers! {
//!         /// The device.
//!         DEVICE: Device, 0 @ 0x00 {
//!             /// Identifies the device.
//!             ID @ 0x00, Ro u32, reset 0x1234, "1";
//!             /// A read takes the oldest number.
//!             POP @ 0x20, Re u32, reset varies, "4";
//!         }
//!     }
//! }
//! use hwpool_devices::bus::{Bar, BusError};
//!
//! fn take(bar: &mut impl Bar) -> Result<(u32, u32), BusError> {
//!     let id = regs::ID.read(bar)?;
//!     Ok((id, regs::POP.take_at(bar, 0)?)) // `POP.read(bar)` does not compile
//! }
//! assert_eq!((regs::TABLE.len(), regs::POP.row().offset()), (2, 0x20));
//! ```
//!
//! A device's registers are one table, written with [`registers!`](crate::registers). They lie in banks, such as the
//! registers of each pool: a [`Bank`] says where its copies lie and what their index counts. From each row come a typed
//! constant, whose methods are those that the register's access allows, a variant of the table's `Id`, which models and
//! tools match exhaustively, and a [`Register`] in the table, from which tools list, look up, decode and check. The
//! access is a type, so that reading a register whose read has an effect is spelled [`take_at`](Reg::take_at) and can't
//! happen by accident.
//!
//! A [`Register`] owns its texts where they come from a file: a table may as well be made at run time.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use crate::bus::{Bar, BusError};

/// What a read and a write of a register do.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Access {
    /// Reads have no effect; writes are ignored.
    ReadOnly,
    /// Reads have no effect; writes replace the writable bits.
    ReadWrite,
    /// Reads have no effect; writing 1 to a bit clears it.
    WriteOneToClear,
    /// Reads have no effect; writing 1 to a bit sets it.
    WriteOneToSet,
    /// Reads give 0; a write acts.
    WriteOnly,
    /// A read acts: it takes something from the device. Writes are ignored.
    ReadEffect,
    /// Both act: a read takes something from the device, and a write gives it something.
    BothEffects,
}

impl Access {
    /// Returns the mnemonic that the specification uses.
    pub fn mnemonic(self) -> &'static str {
        match self {
            Access::ReadOnly => "RO",
            Access::ReadWrite => "RW",
            Access::WriteOneToClear => "W1C",
            Access::WriteOneToSet => "W1S",
            Access::WriteOnly => "WO",
            Access::ReadEffect => "RE",
            Access::BothEffects => "RWE",
        }
    }

    /// Tells whether a read changes nothing in the device.
    pub fn is_pure_read(self) -> bool {
        !self.reads_take() && self != Access::WriteOnly
    }

    /// Tells whether a read takes something from the device.
    pub fn reads_take(self) -> bool {
        matches!(self, Access::ReadEffect | Access::BothEffects)
    }

    /// Tells whether a write means anything.
    pub fn is_writable(self) -> bool {
        !matches!(self, Access::ReadOnly | Access::ReadEffect)
    }
}

/// A run of bits within a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The specification's mnemonic.
    pub name: Cow<'static, str>,
    /// Lowest bit.
    pub low: u8,
    /// Highest bit, inclusive.
    pub high: u8,
    /// What it means, with its unit.
    pub doc: Cow<'static, str>,
}

impl Field {
    /// Returns the field's bits as a mask within the register.
    pub const fn mask(&self) -> u64 {
        mask(self.low, self.high)
    }

    /// Extracts the field from a register's value.
    pub const fn of(&self, register: u64) -> u64 {
        (register & self.mask()) >> self.low
    }

    /// Returns the register's value with the field replaced; bits of `value` beyond the field are dropped.
    pub const fn set(&self, register: u64, value: u64) -> u64 {
        (register & !self.mask()) | ((value << self.low) & self.mask())
    }
}

/// Returns a mask of the bits from `low` to `high`, both inclusive.
#[doc(hidden)]
pub const fn mask(low: u8, high: u8) -> u64 {
    (u64::MAX >> (63 - (high - low))) << low
}

/// What the index of an array of registers counts.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The register is the device's; an index, if any, counts something of the register's own, such as kinds of error.
    Device,
    /// Pools: free lists of the device.
    Pool,
    /// Portals: ways to a pool by rings in host memory.
    Portal,
}

/// Registers that lie together and exist once for each thing that the scope counts.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
pub struct Bank {
    /// What its copies belong to.
    pub scope: Scope,
    /// BAR that holds it.
    pub bar: u8,
    /// Byte offset of the first copy in the BAR.
    pub base: u64,
    /// How many copies there are at most; a device may have fewer.
    pub count: u16,
    /// Bytes from one copy to the next; 0 where there is one.
    pub stride: u64,
}

impl Bank {
    /// Returns the byte offset of copy `index` in the BAR.
    ///
    /// # Panics
    ///
    /// When there are not as many.
    pub const fn offset_of(&self, index: u16) -> u64 {
        assert!(index < self.count, "the bank has not as many copies");
        self.base + index as u64 * self.stride
    }

    /// Returns which copy begins at byte `offset` of BAR `bar`.
    pub fn at(&self, bar: u8, offset: u64) -> Option<u16> {
        let distance = offset.checked_sub(self.base)?;
        let index = distance.checked_div(self.stride).unwrap_or(0);
        let begins = self.bar == bar && index * self.stride == distance;
        (begins && index < u64::from(self.count)).then_some(index as u16)
    }
}

/// One row of a device's register table.
///
/// A register is an array where its bank has several copies, or where it is several by itself ([`Register::own_count`]); never
/// both, so that one index says which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// The specification's name, in capitals.
    pub name: Cow<'static, str>,
    /// Where it lies, and what its index counts.
    pub bank: Bank,
    /// Byte offset of the (first) register in its bank.
    pub within: u64,
    /// How many there are in one copy of the bank: 1, or the size of an array.
    pub own_count: u16,
    /// Bytes from one of its own array to the next; 0 where there is one.
    pub own_stride: u64,
    /// Width in bytes, 4 or 8: the only width it may be accessed with.
    pub width: u8,
    /// What reads and writes do.
    pub access: Access,
    /// Value after reset, or `None` where it tells of the implementation or of the moment.
    pub reset: Option<u64>,
    /// Bits that exist; the rest are reserved: they read 0 and are written 0.
    pub bits: u64,
    /// Its fields from low to high; empty where the whole register is one number.
    pub fields: Cow<'static, [Field]>,
    /// Section of the specification.
    pub section: Cow<'static, str>,
    /// One line for people.
    pub doc: Cow<'static, str>,
}

impl Register {
    /// Returns what the index counts.
    pub const fn scope(&self) -> Scope {
        self.bank.scope
    }

    /// Returns the BAR that holds it.
    pub const fn bar(&self) -> u8 {
        self.bank.bar
    }

    /// Returns the byte offset of the (first) register in the BAR.
    pub const fn offset(&self) -> u64 {
        self.bank.base + self.within
    }

    /// Returns how many there are: 1, or the size of the array.
    pub const fn count(&self) -> u16 {
        if self.own_count == 1 {
            self.bank.count
        } else {
            self.own_count
        }
    }

    /// Returns the bytes from one of the array to the next; 0 where there is one.
    pub const fn stride(&self) -> u64 {
        if self.own_count == 1 {
            self.bank.stride
        } else {
            self.own_stride
        }
    }

    /// Returns the byte offset of register `index` of the array in the BAR.
    ///
    /// # Panics
    ///
    /// When there are not as many.
    pub fn offset_of(&self, index: u16) -> u64 {
        assert!(
            index < self.count(),
            "{} has {} registers, not index {index}",
            self.name,
            self.count()
        );
        self.offset() + u64::from(index) * self.stride()
    }

    /// Returns all ones of the register's width, what a read returns when nobody answers.
    pub const fn all_ones(&self) -> u64 {
        u64::MAX >> (64 - 8 * self.width as u32)
    }

    /// Returns the register's name, with its index where it is an array.
    pub fn place(&self, index: u16) -> String {
        match self.count() {
            1 => self.name.to_string(),
            _ => format!("{}[{index}]", self.name),
        }
    }

    /// Reads register `index` without any effect on the device.
    ///
    /// Returns `None`, and touches nothing, where a read would act or means nothing ([`Access::is_pure_read`]).
    pub fn peek(&self, bar: &impl Bar, index: u16) -> Option<Result<u64, BusError>> {
        self.access
            .is_pure_read()
            .then(|| self.read_raw(bar, index))
    }

    /// Writes register `index` with one access of its width.
    pub fn poke(&self, bar: &impl Bar, index: u16, value: u64) -> Result<(), BusError> {
        match self.width {
            4 => bar.write32(self.offset_of(index), value as u32),
            _ => bar.write64(self.offset_of(index), value),
        }
    }

    /// Reads register `index` whatever that does to the device.
    pub fn read_raw(&self, bar: &impl Bar, index: u16) -> Result<u64, BusError> {
        match self.width {
            4 => bar.read32(self.offset_of(index)).map(u64::from),
            _ => bar.read64(self.offset_of(index)),
        }
    }
}

/// Finds the register at `offset` of `bar` in a table: the row and the index in its array.
pub fn decode(table: &[Register], bar: u8, offset: u64) -> Option<(&Register, u16)> {
    table.iter().filter(|row| row.bar() == bar).find_map(|row| {
        let distance = offset.checked_sub(row.offset())?;
        let index = distance.checked_div(row.stride()).unwrap_or(0);
        let is_there = index * row.stride() == distance && index < u64::from(row.count());
        is_there.then_some((row, index as u16))
    })
}

/// Returns the first pair of rows of a table that claim the same byte or the same name.
pub fn find_overlap(table: &[Register]) -> Option<(&str, &str)> {
    let mut claims: Vec<(u8, u64, u64, &str)> = table
        .iter()
        .flat_map(|row| {
            let width = u64::from(row.width);
            (0..row.count()).map(move |i| (row.bar(), row.offset_of(i), width, &*row.name))
        })
        .collect();
    claims.sort_unstable();
    let bytes = claims
        .windows(2)
        .find(|w| w[0].0 == w[1].0 && w[0].1 + w[0].2 > w[1].1);
    let mut names: Vec<&str> = table.iter().map(|row| &*row.name).collect();
    names.sort_unstable();
    let name = names.windows(2).find(|w| w[0] == w[1]);
    bytes
        .map(|w| (w[0].3, w[1].3))
        .or(name.map(|w| (w[0], w[1])))
}

mod sealed {
    pub trait Sealed {}
}

/// The number type of a register: `u32` or `u64`, which is also the width of its accesses.
pub trait Word: sealed::Sealed + Copy + Eq + fmt::Debug + fmt::LowerHex {
    /// All ones, what a read returns when nobody answers.
    const ALL_ONES: Self;
    /// Reads one register of this width.
    fn read(bar: &impl Bar, offset: u64) -> Result<Self, BusError>;
    /// Writes one register of this width.
    fn write(bar: &impl Bar, offset: u64, value: Self) -> Result<(), BusError>;
    /// Widens the value.
    fn widen(self) -> u64;
}

impl sealed::Sealed for u32 {}
impl Word for u32 {
    const ALL_ONES: u32 = u32::MAX;
    fn read(bar: &impl Bar, offset: u64) -> Result<u32, BusError> {
        bar.read32(offset)
    }
    fn write(bar: &impl Bar, offset: u64, value: u32) -> Result<(), BusError> {
        bar.write32(offset, value)
    }
    fn widen(self) -> u64 {
        u64::from(self)
    }
}

impl sealed::Sealed for u64 {}
impl Word for u64 {
    const ALL_ONES: u64 = u64::MAX;
    fn read(bar: &impl Bar, offset: u64) -> Result<u64, BusError> {
        bar.read64(offset)
    }
    fn write(bar: &impl Bar, offset: u64, value: u64) -> Result<(), BusError> {
        bar.write64(offset, value)
    }
    fn widen(self) -> u64 {
        self
    }
}

/// Access markers of [`Reg`]: one type for each [`Access`].
pub mod access {
    use super::{Access, sealed::Sealed};

    /// A kind of access as a type.
    pub trait Kind: Sealed {
        /// The same as a value.
        const ACCESS: Access;
    }
    /// Registers whose reads have no effect.
    pub trait PureRead: Kind {}
    /// Registers whose writes act.
    pub trait Write: Kind {}

    macro_rules! kinds {
        ($($(#[$doc:meta])* $name:ident = $access:ident $(: $($ability:ident)+)?;)*) => {$(
            $(#[$doc])*
            #[derive(Debug, Copy, Clone)]
            pub enum $name {}
            impl Sealed for $name {}
            impl Kind for $name { const ACCESS: Access = Access::$access; }
            $($(impl $ability for $name {})+)?
        )*};
    }
    kinds! {
        /// [`Access::ReadOnly`].
        Ro = ReadOnly: PureRead;
        /// [`Access::ReadWrite`].
        Rw = ReadWrite: PureRead Write;
        /// [`Access::WriteOneToClear`].
        W1c = WriteOneToClear: PureRead Write;
        /// [`Access::WriteOneToSet`].
        W1s = WriteOneToSet: PureRead Write;
        /// [`Access::WriteOnly`].
        Wo = WriteOnly: Write;
        /// [`Access::ReadEffect`].
        Re = ReadEffect;
    }
}

/// A register of access `A` and width `W`, or an array of them.
#[derive(Debug)]
pub struct Reg<A, W> {
    row: &'static Register,
    kind: PhantomData<fn() -> (A, W)>,
}

impl<A, W> Copy for Reg<A, W> {}
impl<A, W> Clone for Reg<A, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: access::Kind, W: Word> Reg<A, W> {
    /// Makes the typed handle of a table row. Used by [`registers!`](crate::registers).
    #[doc(hidden)]
    pub const fn new(row: &'static Register) -> Self {
        assert!(size_of::<W>() == row.width as usize);
        assert!(
            row.own_count == 1 || row.bank.count == 1,
            "one index says which"
        );
        Reg {
            row,
            kind: PhantomData,
        }
    }

    /// Returns the table's row.
    pub const fn row(self) -> &'static Register {
        self.row
    }
}

impl<A: access::PureRead, W: Word> Reg<A, W> {
    /// Reads the register.
    pub fn read(self, bar: &impl Bar) -> Result<W, BusError> {
        self.read_at(bar, 0)
    }

    /// Reads register `index` of the array.
    pub fn read_at(self, bar: &impl Bar, index: u16) -> Result<W, BusError> {
        W::read(bar, self.row.offset_of(index))
    }
}

impl<A: access::Write, W: Word> Reg<A, W> {
    /// Writes the register.
    pub fn write(self, bar: &impl Bar, value: W) -> Result<(), BusError> {
        self.write_at(bar, 0, value)
    }

    /// Writes register `index` of the array.
    pub fn write_at(self, bar: &impl Bar, index: u16, value: W) -> Result<(), BusError> {
        W::write(bar, self.row.offset_of(index), value)
    }
}

impl<W: Word> Reg<access::Re, W> {
    /// Reads register `index` of the array and with that takes something from the device, exactly once.
    pub fn take_at(self, bar: &mut impl Bar, index: u16) -> Result<W, BusError> {
        W::read(bar, self.row.offset_of(index))
    }
}

/// Writes a device's register table: `TABLE`, an enum `Id` of its rows, a typed constant for each row, a module of
/// [`Field`]s where a row has some, and a module `banks` of the banks.
///
/// A bank reads `NAME: SCOPE, BAR @ BASE [COUNT; STRIDE] { rows }`, the brackets left out where there is one copy. A row
/// reads `NAME @ OFFSET, ACCESS WIDTH, reset VALUE|varies, "section" [COUNT; STRIDE] => module { fields };`, the offset
/// being that of the (first) register in its bank. The doc line above a row is also the row's text.
#[macro_export]
macro_rules! registers {
    (@reset varies) => { None };
    (@reset $value:literal) => { Some($value) };
    (@width u32) => { 4 };
    (@width u64) => { 8 };
    (@bits $width:ident) => { ($width::MAX as u64) };
    (@bits $width:ident $($low:literal $high:literal)+) => { (0 $(| $crate::reg::mask($low, $high))+) };
    (@count) => { 1 };
    (@count $count:literal $stride:literal) => { $count };
    (@stride) => { 0 };
    (@stride $count:literal $stride:literal) => { $stride };
    (
        $(
            #[doc = $bdoc:literal]
            $bank:ident : $scope:ident, $bar:literal @ $base:literal $([$copies:literal; $bstride:literal])? {
                $(
                    #[doc = $doc:literal]
                    $name:ident @ $within:literal, $access:ident $width:ident, reset $reset:tt, $section:literal
                    $([$count:literal; $stride:literal])?
                    $(=> $module:ident {
                        $( #[doc = $fdoc:literal] $field:ident = $low:literal ..= $high:literal ),+ $(,)?
                    })?
                    ;
                )+
            }
        )+
    ) => {
        /// Where registers lie.
        pub mod banks {
            $(
                #[doc = $bdoc]
                pub const $bank: $crate::reg::Bank = $crate::reg::Bank {
                    scope: $crate::reg::Scope::$scope,
                    bar: $bar,
                    base: $base,
                    count: $crate::registers!(@count $($copies $bstride)?),
                    stride: $crate::registers!(@stride $($copies $bstride)?),
                };
            )+
        }

        /// Every register, in the order of the specification.
        pub static TABLE: &[$crate::reg::Register] = &[$($($crate::reg::Register {
            name: std::borrow::Cow::Borrowed(stringify!($name)),
            bank: banks::$bank,
            within: $within,
            own_count: $crate::registers!(@count $($count $stride)?),
            own_stride: $crate::registers!(@stride $($count $stride)?),
            width: $crate::registers!(@width $width),
            access: <$crate::reg::access::$access as $crate::reg::access::Kind>::ACCESS,
            reset: $crate::registers!(@reset $reset),
            bits: $crate::registers!(@bits $width $($($low $high)+)?),
            fields: std::borrow::Cow::Borrowed(const { &[$($($module::$field),+)?] }),
            section: std::borrow::Cow::Borrowed($section),
            doc: std::borrow::Cow::Borrowed($doc.trim_ascii()),
        },)+)+];

        /// The registers of [`TABLE`], by the specification's names; the number of each is its place there.
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "the specification's mnemonics")]
        #[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
        pub enum Id {
            $($(
                #[doc = $doc]
                $name,
            )+)+
        }

        impl Id {
            /// Every register, in the order of the table.
            pub const ALL: &[Id] = &[$($(Id::$name,)+)+];

            /// Returns the table's row.
            pub fn row(self) -> &'static $crate::reg::Register {
                &TABLE[self as usize]
            }

            /// Returns the register whose row is at `place` of the table.
            pub fn from_place(place: usize) -> Option<Id> {
                Id::ALL.get(place).copied()
            }
        }

        $($(
            #[doc = $doc]
            #[doc = concat!(" Specification section ", $section, ".")]
            pub const $name: $crate::reg::Reg<$crate::reg::access::$access, $width> =
                $crate::reg::Reg::new(&TABLE[Id::$name as usize]);
            $(
                #[doc = concat!("Fields of [`", stringify!($name), "`].")]
                pub mod $module {
                    $(
                        #[doc = $fdoc]
                        pub const $field: $crate::reg::Field = $crate::reg::Field {
                            name: std::borrow::Cow::Borrowed(stringify!($field)),
                            low: $low,
                            high: $high,
                            doc: std::borrow::Cow::Borrowed($fdoc.trim_ascii()),
                        };
                    )+
                }
            )?
        )+)+
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Field = Field {
        name: Cow::Borrowed("WHOLE"),
        low: 0,
        high: 63,
        doc: Cow::Borrowed(""),
    };
    const MIDDLE: Field = Field {
        name: Cow::Borrowed("MIDDLE"),
        low: 8,
        high: 11,
        doc: Cow::Borrowed(""),
    };

    #[test]
    fn fields_cut_and_set_their_bits_only() {
        assert_eq!(WHOLE.mask(), u64::MAX);
        assert_eq!(MIDDLE.mask(), 0xf00);
        assert_eq!(MIDDLE.of(0xabcd), 0xb);
        assert_eq!(MIDDLE.set(0xabcd, 0x12), 0xa2cd);
        assert_eq!(WHOLE.set(1, u64::MAX), u64::MAX);
    }
}
