//! The accesses that move objects.

use super::plan::{Cell, Code, Each, NotRead, Passes, Plan, Space};
use crate::bus::{BusError, Iova, Transport};
use crate::description::Meaning;
use crate::family::life::still_there;
use crate::family::plain::Moves;
use crate::family::{Breach, Geometry, Ledger};
use crate::wait::Deadline;

/// Moves a list's objects through one kind of port.
pub(super) struct By<'a, T: Transport, P> {
    transport: &'a T,
    bar: &'a T::Bar,
    plan: &'a Plan,
    port: &'a P,
}

/// What moves the objects of a list, but for its port: transport, BAR, and plan.
pub(super) type Parts<'a, T> = (&'a T, &'a <T as Transport>::Bar, &'a Plan);

impl<'a, T: Transport, P> By<'a, T, P> {
    #[inline]
    pub(super) fn new((transport, bar, plan): Parts<'a, T>, port: &'a P) -> Self {
        By {
            transport,
            bar,
            plan,
            port,
        }
    }
}

/// Why a pop gave no value. It fits into a register: a pop that gives one passes through none of the memory that a breach
/// takes.
enum NoValue {
    Empty,
    Failed(Box<Breach>),
}

impl From<Breach> for NoValue {
    #[cold]
    fn from(breach: Breach) -> Self {
        NoValue::Failed(Box::new(breach))
    }
}

impl From<BusError> for NoValue {
    #[cold]
    fn from(error: BusError) -> Self {
        Breach::from(error).into()
    }
}

/// Does something with what moves the objects of a list, compiled for each kind of port and chosen once.
macro_rules! by {
    ($list:expr, $by:ident => $do:expr) => {{
        let list = $list;
        match &list.2.port {
            $crate::described::plan::Port::Alone(port) => {
                let $by = &mut $crate::described::moves::By::new(list, port);
                $do
            }
            $crate::described::plan::Port::Word(port) => {
                let $by = &mut $crate::described::moves::By::new(list, port);
                $do
            }
            $crate::described::plan::Port::Halves(port) => {
                let $by = &mut $crate::described::moves::By::new(list, port);
                $do
            }
        }
    }};
}
pub(super) use by;

impl<T: Transport, P: Passes> By<'_, T, P> {
    /// Takes all that a pop gives.
    #[inline(always)]
    fn pop_raw(&self, each: &Each) -> Result<u64, NoValue> {
        let plan = self.plan;
        if !P::IS_ALONE && each.looks && !self.has_entry()? {
            return Err(NoValue::Empty);
        }
        let raw = match self.port.read(self.bar) {
            Ok(raw) => raw,
            Err(failed) => return Err(self.after_error(failed)),
        };
        if self.port.has_all_ones(raw) && self.is_no_entry(raw)? || each.nothing.holds(raw) {
            return Err(NoValue::Empty);
        }
        if !P::IS_ALONE
            && let Some((cell, value)) = &plan.acknowledge
        {
            cell.write(self.bar, *value)?;
        }
        Ok(raw)
    }

    /// Takes one, if there is one.
    fn pop_one(&self) -> Result<Option<u64>, Breach> {
        match self.pop_raw(&self.plan.each) {
            Ok(raw) => Ok(Some(raw)),
            Err(NoValue::Empty) => Ok(None),
            Err(NoValue::Failed(breach)) => Err(*breach),
        }
    }

    /// All ones were popped: by an error, a value, or nobody who is there any more.
    #[cold]
    fn is_no_entry(&self, raw: u64) -> Result<bool, NoValue> {
        still_there(self.bar, self.plan.popped, self.plan.alive)?;
        Ok(self.plan.is_error_empty && raw == self.port.all_ones())
    }

    /// A pop was answered with an error: there is no value, if errors say so and the device is there.
    #[cold]
    fn after_error(&self, failed: NotRead) -> NoValue {
        let says_empty = self.plan.is_error_empty && failed.is_first;
        match failed.error {
            error @ BusError::Gone { .. } => error.into(),
            error if !says_empty => error.into(),
            _ => match still_there(self.bar, self.plan.popped, self.plan.alive) {
                Ok(()) => NoValue::Empty,
                Err(error) => error.into(),
            },
        }
    }

    /// Looks whether there is a value, before one is popped.
    #[inline(never)]
    fn has_entry(&self) -> Result<bool, Breach> {
        if let Some((cell, empty)) = &self.plan.empty
            && empty.holds(self.look(cell)?)
        {
            return Ok(false);
        }
        let Some((cell, bits, expected)) = &self.plan.length else {
            return Ok(true);
        };
        match bits.of(self.look(cell)?) {
            0 => Ok(false),
            found if found == *expected => Ok(true),
            found => Err(Breach::Length {
                register: &cell.row.name,
                found,
                expected: *expected,
            }),
        }
    }

    /// Reads a register of which a read has no effect.
    #[inline]
    fn look(&self, cell: &Cell) -> Result<u64, Breach> {
        let value = cell.read(self.bar)?;
        if value == cell.row.all_ones() {
            still_there(self.bar, &cell.row.name, self.plan.alive)?;
        }
        Ok(value)
    }

    /// Returns for how many values there is room.
    fn room(&self, cell: &Cell, space: &Space) -> Result<u64, Breach> {
        let value = self.look(cell)?;
        Ok(match space {
            Space::Full(full) => u64::from(!full.holds(value)),
            Space::Left(bits) => bits.of(value),
            Space::Level(bits) => u64::from(self.plan.depth).saturating_sub(bits.of(value)),
        })
    }

    /// Returns what is pushed for an object.
    #[inline(always)]
    fn encode(code: &Code, geometry: &Geometry, index: u32) -> u64 {
        let value = match code.is {
            Meaning::Index { first } => u64::from(index) + u64::from(first),
            Meaning::Address { shift } => geometry.address(index) >> shift,
        };
        value << code.low
    }

    /// Returns the object that was popped, which is the host's now.
    #[inline(always)]
    fn decode(code: &Code, ledger: &mut Ledger, raw: u64) -> Result<u32, Breach> {
        let value = (raw >> code.low) & code.mask;
        match code.is {
            Meaning::Address { shift } => ledger.take(value << shift),
            Meaning::Index { first } => match value.checked_sub(first.into()).map(u32::try_from) {
                Some(Ok(number)) => ledger.take_number(number),
                _ => Err(Breach::NoSuchNumber {
                    number: u32::try_from(value).unwrap_or(u32::MAX),
                    objects: ledger.geometry().objects(),
                }),
            },
        }
    }

    #[inline(always)]
    fn push_raw(&self, value: u64) -> Result<(), BusError> {
        self.port.write(self.bar, value)?;
        match &self.plan.commit {
            Some((cell, value)) if !P::IS_ALONE => cell.write(self.bar, *value),
            _ => Ok(()),
        }
    }

    /// Looks whether the list has nothing, by a pop.
    pub(super) fn is_empty(&self) -> Result<bool, Breach> {
        Ok(self.pop_one()?.is_none())
    }

    /// Takes what a reset filled in: each number once.
    pub(super) fn take_numbers(&mut self) -> Result<(), Breach> {
        let depth = self.plan.depth;
        // Where they would lie does not matter: the device keeps numbers.
        let all = Geometry::new(Iova(Geometry::GRANULE), Geometry::GRANULE, depth);
        let mut ledger = Ledger::new(all.ok_or(Breach::Lost { held: depth })?);
        ledger.put_back(&(0..depth).collect::<Vec<u32>>());
        self.pop(&mut ledger, &mut Vec::new(), usize::MAX)?;
        match ledger.held() {
            0 => Ok(()),
            held => Err(Breach::Lost { held }),
        }
    }

    /// Takes what is in the list, whatever it is; more than it can hold is none.
    pub(super) fn empty(&self) -> Result<(), Breach> {
        let mut taken = 0;
        while self.pop_one()?.is_some() {
            taken += 1;
            if taken > self.plan.depth {
                return Err(Breach::Endless { taken });
            }
        }
        Ok(())
    }
}

impl<T: Transport, P: Passes> Moves for By<'_, T, P> {
    fn push(&mut self, geometry: &Geometry, objects: &[u32]) -> Result<(), Breach> {
        let each = &self.plan.each;
        let Some((cell, space)) = self.plan.room.as_ref().filter(|_| !P::IS_ALONE) else {
            for &index in objects {
                self.push_raw(Self::encode(&each.code, geometry, index))?;
            }
            return Ok(());
        };
        // One for all of them: a call may take no longer than the device for anything.
        let what = "room in the list (`full`)";
        let mut deadline = Deadline::new(self.transport, what, self.plan.patience);
        let mut left = 0;
        for &index in objects {
            while left == 0 {
                left = self.room(cell, space)?;
                if left == 0 {
                    deadline.relax(self.transport)?;
                }
            }
            self.push_raw(Self::encode(&each.code, geometry, index))?;
            left -= 1;
        }
        Ok(())
    }

    fn pop(
        &mut self,
        ledger: &mut Ledger,
        taken: &mut Vec<u32>,
        most: usize,
    ) -> Result<(), Breach> {
        let each = &self.plan.each;
        while taken.len() < most {
            let raw = match self.pop_raw(each) {
                Ok(raw) => raw,
                Err(NoValue::Empty) => break,
                Err(NoValue::Failed(breach)) => return Err(*breach),
            };
            taken.push(Self::decode(&each.code, ledger, raw)?);
        }
        Ok(())
    }

    /// Tells a device that drops what it was given from one that loses it.
    fn lost(&self, held: u32) -> Breach {
        match &self.plan.dropped {
            Some((cell, test)) if cell.read(self.bar).is_ok_and(|value| test.holds(value)) => {
                let register = &cell.row.name;
                Breach::Dropped { held, register }
            }
            _ => Breach::Lost { held },
        }
    }

    fn is_newest_first(&self) -> bool {
        self.plan.is_newest_first
    }
}
