//! The function as a whole: identity, resets, interrupt, and which lists are in use.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::moves::by;
use super::plan::{Cell, Plan};
use crate::bus::{Bar, BusError, Transport};
use crate::description::{Bits, Clear, Depth, Description, Empty, Fill, Interrupt, Meaning, Set};
use crate::family::life::{self, ResetSteps, prove_alive};
use crate::family::{
    Breach, Claim, Described, Fact, Geometry, Identity, Limits, OpenError, OpenReset, ResetError,
    SetupError, check_identity, sized_bar,
};
use crate::pci;
use crate::reg::{Access, Register, Scope};
use crate::wait::wait_for;

/// Most values that a list may hold.
const MOST: u64 = 1 << 24;

/// A described device that was identified, reset and enabled. Every method may be called from any thread.
pub struct Device<T: Transport> {
    transport: Arc<T>,
    bar: T::Bar,
    described: &'static Described,
    identity: Identity,
    plans: Vec<Plan>,
    state: Mutex<State>,
}

/// What changes while the device is open.
#[derive(Default)]
struct State {
    lists: Claim,
    /// Lists that a reset filled and nobody emptied, a bit each.
    filled: u64,
}

impl<T: Transport> Device<T> {
    /// Identifies the device behind `transport`, resets it, verifies the reset, and enables it and its bus mastering,
    /// which its interrupt needs.
    ///
    /// Blocks for a reset.
    pub fn open(
        described: &'static Described,
        transport: Arc<T>,
        reset: OpenReset,
    ) -> Result<Device<T>, OpenError> {
        pci::identity(&*transport)?;
        pci::set_bus_master(&*transport, false)?;
        let description = described.description;
        let bar = sized_bar(&*transport, description.bar, description.size)?;
        let (identity, depths) = read_identity(&*transport, &bar, described)?;
        let plan = |(list, depth)| Plan::new(description, list, depth);
        let device = Device {
            transport,
            bar,
            described,
            identity,
            plans: (0..).zip(depths).map(plan).collect(),
            state: Mutex::default(),
        };
        device.reset(reset)?;
        if let Some(scratch) = described.about.scratch {
            life::keeps_writes(&device.bar, scratch, described.about.alive)?;
        }
        device.start()?;
        Ok(device)
    }

    /// Returns the description, and what is known by it.
    pub fn described(&self) -> &'static Described {
        self.described
    }

    /// Returns what the device is and can do.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the transport.
    pub fn transport(&self) -> &Arc<T> {
        &self.transport
    }

    /// Returns the registers' BAR.
    pub fn bar(&self) -> &T::Bar {
        &self.bar
    }

    /// Resets the device, until [`Device::start`]: refused while lists are in use.
    pub fn reset(&self, kind: OpenReset) -> Result<(), ResetError> {
        let mut state = self.state();
        refuse_while_in_use(&state)?;
        self.reset_now(&mut state, kind)
    }

    /// Turns bus mastering on and lets the lists work.
    pub fn start(&self) -> Result<(), BusError> {
        pci::set_bus_master(&*self.transport, true)?;
        self.enable(0..self.lists())
    }

    /// Takes the right to send interrupts away, and resets the device. Refused while lists are in use.
    pub fn close(&self) -> Result<(), ResetError> {
        refuse_while_in_use(&self.state())?;
        life::stop_dma(&*self.transport, self.description().reset.within)?;
        self.reset(OpenReset::Best)
    }

    /// Returns how many interrupt vectors there are to use.
    pub fn vectors(&self) -> Result<u16, BusError> {
        life::vectors(&*self.transport, self.identity.limits.vectors)
    }

    /// Enables interrupt `vector`, in the function and, where it is the described one, in the device, and returns it.
    pub fn interrupt(&self, vector: u16) -> Result<T::Irq, BusError> {
        let irq = life::interrupt(&*self.transport, self.identity.limits.vectors, vector)?;
        if let Some(enable) = self.irq(vector).and_then(|irq| irq.enable) {
            self.set_all(&enable, 0..self.lists())?;
        }
        Ok(irq)
    }

    /// Makes the device raise `vector`; `false` where it can't be told to.
    pub fn trigger(&self, vector: u16) -> Result<bool, BusError> {
        let Some((irq, raise)) = self.irq(vector).and_then(|irq| Some((irq, irq.raise?))) else {
            return Ok(false);
        };
        self.clear_pending(irq, 0)?;
        let to = Set {
            bits: raise,
            to: raise.mask() >> raise.low,
        };
        self.set_all(&to, 0..1).map(|()| true)
    }

    /// Takes a list into use. Returns its number, and whether the reset filled it.
    pub(super) fn claim_list(&self) -> Result<(u16, bool), SetupError> {
        let mut state = self.state();
        let count = self.lists();
        let taken = state.lists.take(count).ok_or(SetupError::AllInUse {
            what: "lists",
            count,
        })?;
        let bit = 1 << taken;
        let is_filled = state.filled & bit != 0;
        state.filled &= !bit;
        Ok((taken, is_filled))
    }

    /// Gives a list back: for others to use where it is empty or could be emptied, else after a reset.
    pub(super) fn release_list(&self, number: u16, is_empty: bool) {
        // Nobody takes a list into use while the device is reset.
        let mut state = self.state();
        let is_clean = is_empty || self.empty(&mut state, number).is_ok();
        state.lists.release(number, is_clean);
    }

    /// Clears what the last user of a list left: that a push was dropped, and that an interrupt is due.
    pub(super) fn forget(&self, number: u16) -> Result<(), BusError> {
        if let Some((cell, test)) = &self.plan(number).dropped {
            cell.write(&self.bar, test.bits.mask())?;
        }
        match &self.description().interrupt {
            Some(irq) => self.clear_pending(irq, number),
            None => Ok(()),
        }
    }

    /// Reads bits of a register of list `number`; all ones where the witness reads all ones too is [`BusError::Gone`].
    pub(super) fn bits(&self, bits: &Bits, number: u16) -> Result<u64, BusError> {
        read(&self.bar, self.described, bits, number)
    }

    /// Returns what is done to a list.
    pub(super) fn plan(&self, number: u16) -> &Plan {
        &self.plans[usize::from(number)]
    }

    pub(super) fn description(&self) -> &'static Description {
        self.described.description
    }

    fn lists(&self) -> u16 {
        self.description().lists()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Bit maps are never half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn irq(&self, vector: u16) -> Option<&'static Interrupt> {
        (self.description().interrupt.as_ref()).filter(|irq| irq.vector == vector)
    }

    fn cell(&self, register: usize, number: u16) -> Cell {
        Cell::of(self.description(), register, number)
    }

    fn clear_pending(&self, irq: &Interrupt, number: u16) -> Result<(), BusError> {
        let Some(bits) = irq.pending else {
            return Ok(());
        };
        let cell = self.cell(bits.register, number);
        match irq.clear {
            Clear::WriteOne => cell.write(&self.bar, bits.mask()),
            Clear::WriteZero => cell.write(&self.bar, cell.row.bits & !bits.mask()),
            Clear::Read => cell.read(&self.bar).map(|_| ()),
            Clear::Itself => Ok(()),
        }
    }

    /// Lets lists work.
    fn enable(&self, lists: std::ops::Range<u16>) -> Result<(), BusError> {
        let mut sets = self.description().enable.iter();
        sets.try_for_each(|set| self.set_all(set, lists.clone()))
    }

    /// Sets bits of a register: of one of each list, for those lists.
    fn set_all(&self, to: &Set, lists: std::ops::Range<u16>) -> Result<(), BusError> {
        let register = to.bits.register;
        (self.copies(register, lists))
            .try_for_each(|list| self.set_one(&self.cell(register, list), to))
    }

    /// Sets bits of a register, and leaves the others where reading them back has no effect.
    fn set_one(&self, cell: &Cell, to: &Set) -> Result<(), BusError> {
        let before = match cell.row.access {
            Access::ReadWrite => read_whole(&self.bar, cell, self.described.about.alive)?,
            _ => 0,
        };
        cell.write(&self.bar, to.bits.set(before & cell.row.bits, to.to))
    }

    /// Returns for which of `lists` a register must be accessed: once where it is the device's.
    fn copies(&self, register: usize, lists: std::ops::Range<u16>) -> std::ops::Range<u16> {
        match self.description().row(register).scope() {
            Scope::Pool => lists,
            _ => 0..1,
        }
    }

    /// Writes what resets `lists`.
    fn write_reset(&self, lists: std::ops::Range<u16>) -> Result<(), BusError> {
        let mut writes = self.description().reset.writes.iter();
        writes.try_for_each(|write| {
            let mut copies = self.copies(write.register, lists.clone());
            copies.try_for_each(|list| {
                self.cell(write.register, list)
                    .write(&self.bar, write.value)
            })
        })
    }

    /// Looks whether the reset of `lists` is over.
    fn is_ready(&self, lists: std::ops::Range<u16>) -> Result<Option<()>, ResetError> {
        let Some(until) = self.description().reset.until else {
            return Ok(Some(()));
        };
        for list in self.copies(until.bits.register, lists) {
            if self.bits(&until.bits, list)? != until.is {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    /// Resets the device, verified by what a reset must change and by what is in the lists after.
    fn reset_now(&self, state: &mut State, kind: OpenReset) -> Result<(), ResetError> {
        let reset = &self.description().reset;
        let all = 0..self.lists();
        let kind = match reset.writes.is_empty() {
            true => OpenReset::Best, // there is no other
            false => kind,
        };
        let has_flr = reset.flr && pci::has_flr(&*self.transport)?;
        if has_flr || !reset.writes.is_empty() {
            let mark = self.mark(has_flr && kind == OpenReset::Best)?;
            let steps = ResetSteps {
                soft: || self.write_reset(all.clone()),
                flr: reset.flr,
                count: || match mark {
                    Some(bits) => self.bits(&bits, 0).map(|count| Some(count as u32)),
                    None => Ok(None),
                },
                counter: mark.map_or(self.described.about.alive, |bits| {
                    self.description().row(bits.register)
                }),
                until: "the end of a reset (`reset.until`)",
                ready: || self.is_ready(all.clone()),
                timeout: reset.within,
            };
            life::reset(&*self.transport, kind, steps)?;
        } else if !reset.keeps_entries {
            let cause =
                "the function has no function level reset, and `reset.write` names no other";
            return Err(BusError::Reset {
                cause: cause.into(),
            }
            .into());
        }
        all.clone().try_for_each(|list| self.settle(state, list))?;
        state.lists.stuck = 0;
        Ok(())
    }

    /// Returns the bits that a reset must change: the count of resets, else a mark that is left in the scratch register.
    fn mark(&self, by_function: bool) -> Result<Option<Bits>, BusError> {
        let description = self.description();
        let scratch = description
            .scratch
            .filter(|_| description.reset.count.is_none());
        let Some(register) = scratch else {
            return Ok(description.reset.count);
        };
        let cell = self.cell(register, 0);
        let is_reset = description.is_reset(cell.row, by_function);
        let Some(after) = cell.row.reset.filter(|_| is_reset) else {
            return Ok(None);
        };
        let mark = !after & cell.row.bits & u64::from(u32::MAX);
        cell.write(&self.bar, mark)?;
        Ok(Some(Bits {
            register,
            low: 0,
            high: 31,
        }))
    }

    /// Empties a list of what outlived a reset, and sees that it is as a reset leaves it.
    fn settle(&self, state: &mut State, number: u16) -> Result<(), ResetError> {
        let description = self.description();
        let bit = 1 << number;
        if description.reset.keeps_entries {
            self.enable(number..number + 1)?;
            self.pop_all(number)?;
        }
        let is_filled = description.fill == Fill::Reset;
        match is_filled {
            true => state.filled |= bit,
            false => state.filled &= !bit,
        }
        let plan = self.plan(number);
        let expected = match is_filled {
            true => plan.depth,
            false => 0,
        };
        if let Some(bits) = description.level {
            self.expect(&bits, number, expected.into())?;
        }
        match description.empty {
            Empty::Flag(flag) if !is_filled => self.expect(&flag.bits, number, flag.is),
            _ => Ok(()),
        }
    }

    fn expect(&self, bits: &Bits, number: u16, expected: u64) -> Result<(), ResetError> {
        let value = self.bits(bits, number)?;
        match value == expected {
            true => Ok(()),
            false => Err(ResetError::NotClean {
                register: self.description().row(bits.register).place(number),
                value,
                expected,
            }),
        }
    }

    /// Empties one list: by its own reset, by the device's where nobody uses another list, else by pops.
    fn empty(&self, state: &mut State, number: u16) -> Result<(), ResetError> {
        let reset = &self.description().reset;
        let is_own = |write: &crate::description::Write| {
            self.description().row(write.register).scope() == Scope::Pool
        };
        let one = number..number + 1;
        if !reset.writes.is_empty() && reset.writes.iter().all(is_own) {
            self.write_reset(one.clone())?;
            let ready = || self.is_ready(one.clone());
            wait_for(
                &*self.transport,
                "the end of a list's reset (`reset.until`)",
                reset.within,
                ready,
            )?;
            self.settle(state, number)?;
        } else if state.lists.live == 1 << number {
            self.reset_now(state, OpenReset::Soft)?;
            pci::set_bus_master(&*self.transport, true)?;
            return Ok(self.enable(0..self.lists())?);
        } else {
            self.pop_all(number)?;
        }
        Ok(self.enable(one)?)
    }

    /// Takes whatever is in a list.
    fn pop_all(&self, number: u16) -> Result<(), ResetError> {
        by!((&*self.transport, &self.bar, self.plan(number)), by => by.empty()).map_err(|breach| {
            match breach {
                Breach::Bus(error) => error.into(),
                breach => ResetError::NotEmptied {
                    of: self.name(number),
                    breach: Box::new(breach),
                },
            }
        })
    }

    /// Returns a list's name in messages.
    pub(super) fn name(&self, number: u16) -> String {
        match self.lists() {
            1 => "the list".into(),
            _ => format!("list {number}"),
        }
    }
}

fn refuse_while_in_use(state: &State) -> Result<(), ResetError> {
    match state.lists.live.count_ones() {
        0 => Ok(()),
        count => Err(ResetError::InUse {
            what: format!("{count} lists and their buffers"),
        }),
    }
}

impl<T: Transport> Drop for Device<T> {
    /// Takes the device's right to send interrupts away. An orderly end is [`Device::close`].
    fn drop(&mut self) {
        let _ = pci::set_bus_master(&*self.transport, false);
    }
}

/// Reads bits and tells a device that is gone.
fn read(bar: &impl Bar, described: &Described, bits: &Bits, list: u16) -> Result<u64, BusError> {
    let cell = Cell::of(described.description, bits.register, list);
    read_whole(bar, &cell, described.about.alive).map(|value| bits.of(value))
}

/// Reads a register and tells a device that is gone.
fn read_whole(bar: &impl Bar, cell: &Cell, alive: &'static Register) -> Result<u64, BusError> {
    let value = cell.read(bar)?;
    if value == cell.row.all_ones() {
        prove_alive(bar, &cell.row.name, alive)?;
    }
    Ok(value)
}

/// Reads what the device behind `transport` is and can do. Writes nothing and resets nothing.
pub(super) fn identify<T: Transport>(
    transport: &T,
    described: &'static Described,
) -> Result<Identity, OpenError> {
    let description = described.description;
    let bar = sized_bar(transport, description.bar, description.size)?;
    read_identity(transport, &bar, described).map(|(identity, _)| identity)
}

/// Checks what identifies the device, and only then looks at anything else; returns how many values each list holds, too.
fn read_identity<T: Transport>(
    transport: &T,
    bar: &T::Bar,
    described: &'static Described,
) -> Result<(Identity, Vec<u32>), OpenError> {
    check_identity(bar, &described.about)?;
    let description = described.description;
    let depths = (0..description.lists()).map(|list| read_depth(bar, described, list));
    let depths: Vec<u32> = depths.collect::<Result<_, _>>()?;
    let least = depths.iter().copied().min().unwrap_or(0); // there is a list
    let vectors = pci::msix(transport)?.map_or(0, |msix| msix.vectors);
    if let Some(irq) = &description.interrupt
        && irq.vector >= vectors
    {
        return Err(OpenError::Otherwise {
            key: "interrupt.vector",
            what: "the number of MSI-X vectors of the function",
            found: vectors.into(),
            rule: format!("more than {}", irq.vector),
        });
    }
    Ok((identity(description, least, vectors), depths))
}

/// Returns how many values a list holds: no more than there are numbers or addresses to tell apart.
fn read_depth(bar: &impl Bar, described: &'static Described, list: u16) -> Result<u32, OpenError> {
    let description = described.description;
    let bits = match description.depth {
        Depth::Fixed(depth) => return Ok(depth),
        Depth::Register(bits) => bits,
    };
    let depth = read(bar, described, &bits, list)?;
    let most = most_values(description).min(MOST / u64::from(description.lists()));
    match (1..=most).contains(&depth) {
        true => Ok(depth as u32),
        false => Err(OpenError::Otherwise {
            key: "depth",
            what: &description.row(bits.register).name,
            found: depth,
            rule: format!("1 to {most} values, as many as `value` can tell apart"),
        }),
    }
}

/// Returns how many values there are.
fn most_values(description: &Description) -> u64 {
    let bits = description.value.bits();
    let first = match description.value.is {
        Meaning::Index { first } => first.into(),
        Meaning::Address { .. } => 0,
    };
    (u64::MAX >> (64 - bits)).saturating_add(1) - first
}

fn identity(description: &'static Description, depth: u32, vectors: u16) -> Identity {
    let (lists, within) = (description.lists(), description.reset.within);
    let bits = description.value.bits();
    let (kept, address_width, least) = match description.value.is {
        // Addresses never pass through the device: any will do.
        Meaning::Index { .. } => ("numbers", 64, Geometry::GRANULE),
        Meaning::Address { shift } => ("addresses", bits + u32::from(shift), 1 << shift),
    };
    let count = |count: u16, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let by = match description.source.as_str() {
        "" => String::new(),
        source => format!(", by {source}"),
    };
    Identity {
        limits: Limits {
            lists,
            vectors,
            objects: depth.into(),
            objects_by: "`depth` of its description".into(),
            stride: least.max(Geometry::GRANULE)..=1 << (address_width - 1).min(62),
            power_of_two: false,
            address_width,
            timeout: within,
            ways: vec!["register"],
        },
        counts: Vec::new(),
        absent: Vec::new(),
        halves: false,
        facts: vec![
            ("title", Fact::Text(description.title.as_str().into())),
            ("source", Fact::Text(description.source.as_str().into())),
            ("lists", Fact::Number(lists.into())),
            ("depth", Fact::Number(depth.into())),
            ("vectors", Fact::Number(vectors.into())),
            ("timeout_ms", Fact::Number(within.as_millis() as u64)),
        ],
        rows: vec![
            ("described", format!("{}{by}", description.title)),
            (
                "has",
                format!("{}, {}", count(lists, "list"), count(vectors, "vector")),
            ),
            ("list", format!("up to {depth} {kept} of buffers")),
        ],
    }
}

impl<T: Transport> fmt::Debug for Device<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("device", &self.transport.name())
            .field("description", &self.described.about.name)
            .finish_non_exhaustive()
    }
}
