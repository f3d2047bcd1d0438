//! What tells how a device fares, as data of its kind, and the one reader of it.
//!
//! A device that another program drives can be looked at: nothing is written, and no register is read whose read has an
//! effect.

use super::{About, Identity};
use crate::bus::{BusError, Transport};
use crate::reg::{Field, Register};

/// A number that a device tells: a register, or a field of it. Its read has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gauge {
    /// The register; where it is an array, the index says whose.
    pub register: &'static Register,
    /// The field, where the number is a part of the register.
    pub field: Option<Field>,
}

impl Gauge {
    /// Makes a number of a whole register.
    pub const fn whole(register: &'static Register) -> Gauge {
        Gauge {
            register,
            field: None,
        }
    }

    /// Makes a number of one field.
    pub const fn field(register: &'static Register, field: Field) -> Gauge {
        let field = Some(field);
        Gauge { register, field }
    }

    /// Returns the name of the field, or of the register.
    pub fn name(&self) -> &str {
        match &self.field {
            Some(field) => &field.name,
            None => &self.register.name,
        }
    }
}

/// What tells how a device and its lists fare; what is `None` or empty a kind of device does not tell.
#[derive(Debug)]
pub struct Gauges {
    /// Bits that say in which state the device is.
    pub states: &'static [Gauge],
    /// Tells whether a list is in use.
    pub enabled: Option<Gauge>,
    /// Objects that a list may hold: [`Limits::objects`](super::Limits::objects) where no register says so.
    pub capacity: Option<Gauge>,
    /// Objects in a list.
    pub available: Option<Gauge>,
    /// Objects below which a list tells that it runs low; 0 where that is off.
    pub low: Option<Gauge>,
    /// Objects at which a list tells that it has enough again, or too many; 0 where that is off.
    pub high: Option<Gauge>,
    /// What moves the objects of lists, where the device counts that.
    pub channels: Option<ChannelGauges>,
    /// What went wrong.
    pub errors: ErrorGauges,
    /// Interrupt vectors that wait to be sent, a bit a vector.
    pub pending: Option<Gauge>,
}

/// What tells of the ways by which a device moves objects in memory of the host's.
#[derive(Debug)]
pub struct ChannelGauges {
    /// What one is called: `portal`.
    pub name: &'static str,
    /// Its state, a number.
    pub state: Gauge,
    /// The names of the states, from 0 on; one in state 0 is not in use.
    pub states: &'static [&'static str],
    /// The list that it serves.
    pub list: Gauge,
    /// Objects that the device took in by it, modulo 2^32.
    pub given: Gauge,
    /// Objects that the device handed out by it, modulo 2^32.
    pub taken: Gauge,
}

/// How a device tells what went wrong.
#[derive(Debug)]
pub enum ErrorGauges {
    /// It counts: a register a kind.
    Counts {
        /// The counters; the index is the kind.
        counts: &'static Register,
        /// A register whose fields are the kinds in their order, by name.
        kinds: &'static Register,
    },
    /// It remembers kinds that happened, a bit each, until somebody clears them.
    Flags {
        /// The bits.
        flags: &'static [Gauge],
    },
}

/// How a device and its lists fare, as the device says; nothing of it is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// States of the device, and whether it is in them.
    pub states: Vec<(&'static str, bool)>,
    /// Lists in use; all that there are where the device does not tell.
    pub lists: Vec<ObservedList>,
    /// Ways in use.
    pub channels: Vec<ObservedChannel>,
    /// Kinds of error with how often each happened.
    pub error_counts: Vec<(&'static str, u64)>,
    /// Kinds of error that are remembered only, and whether one is.
    pub error_flags: Vec<(&'static str, bool)>,
    /// Resets since power-up, where the device counts them.
    pub resets: Option<u64>,
    /// Interrupt vectors that wait to be sent, a bit a vector.
    pub pending: Option<u64>,
}

/// How a list fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedList {
    /// Its number in the device, from 0.
    pub index: u16,
    /// Objects that it may hold.
    pub capacity: u64,
    /// Objects in it.
    pub available: Option<u64>,
    /// Objects below which it tells that it runs low; 0: off.
    pub low: Option<u64>,
    /// Objects at which it tells that it has enough again, or too many; 0: off.
    pub high: Option<u64>,
}

/// How a way fares by which objects move.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedChannel {
    /// What it is called: `portal`.
    pub name: &'static str,
    /// Its number in the device, from 0.
    pub index: u16,
    /// Its state.
    pub state: &'static str,
    /// The list that it serves.
    pub list: u16,
    /// Objects that the device took in by it, modulo 2^32.
    pub given: u32,
    /// Objects that the device handed out by it, modulo 2^32.
    pub taken: u32,
}

/// Reads how a device fares. Nothing is written, and nothing is read whose read has an effect.
///
/// # Errors
///
/// [`BusError::Gone`] where nobody answers, else as a read of a register.
pub fn observe<T: Transport>(
    transport: &T,
    about: &About,
    identity: &Identity,
) -> Result<Observed, BusError> {
    let look = Look {
        transport,
        identity,
    };
    let alive = about.alive;
    if look.register(alive, 0)? == alive.all_ones() {
        let evidence = format!("{} reads all ones", alive.name);
        return Err(BusError::Gone { evidence });
    }
    let gauges = &about.gauges;
    let resets = about.reset_count.map(|row| look.register(row, 0));
    let (error_counts, error_flags) = look.errors(&gauges.errors)?;
    Ok(Observed {
        states: look.flags(gauges.states)?,
        lists: look.lists(gauges)?,
        channels: match &gauges.channels {
            Some(channels) => look.channels(channels)?,
            None => Vec::new(),
        },
        error_counts,
        error_flags,
        resets: resets.transpose()?,
        pending: look.number(gauges.pending.as_ref(), 0)?,
    })
}

/// A device that is looked at.
struct Look<'a, T> {
    transport: &'a T,
    identity: &'a Identity,
}

/// Counts and flags of errors, by kind.
type Errors = (Vec<(&'static str, u64)>, Vec<(&'static str, bool)>);

impl<T: Transport> Look<'_, T> {
    /// Reads one of a register; one whose read acts counts as 0, and no table names such a one.
    fn register(&self, row: &Register, index: u16) -> Result<u64, BusError> {
        let bar = self.identity.bar(self.transport, row.bar())?;
        row.peek(&bar, index).unwrap_or(Ok(0))
    }

    fn gauge(&self, gauge: &Gauge, index: u16) -> Result<u64, BusError> {
        let value = self.register(gauge.register, index)?;
        Ok(gauge.field.as_ref().map_or(value, |field| field.of(value)))
    }

    /// Reads a number; `None` where the kind, or this device, does not have it.
    fn number(&self, gauge: Option<&Gauge>, index: u16) -> Result<Option<u64>, BusError> {
        let gauge = gauge.filter(|gauge| index < self.identity.registers(gauge.register));
        gauge.map(|gauge| self.gauge(gauge, index)).transpose()
    }

    fn flags(&self, flags: &'static [Gauge]) -> Result<Vec<(&'static str, bool)>, BusError> {
        let read = |flag: &'static Gauge| Ok((flag.name(), self.gauge(flag, 0)? != 0));
        flags.iter().map(read).collect()
    }

    fn lists(&self, gauges: &Gauges) -> Result<Vec<ObservedList>, BusError> {
        let mut lists = Vec::new();
        for index in 0..self.identity.limits.lists {
            if self.number(gauges.enabled.as_ref(), index)? == Some(0) {
                continue;
            }
            let capacity = self.number(gauges.capacity.as_ref(), index)?;
            lists.push(ObservedList {
                index,
                capacity: capacity.unwrap_or(self.identity.limits.objects),
                available: self.number(gauges.available.as_ref(), index)?,
                low: self.number(gauges.low.as_ref(), index)?,
                high: self.number(gauges.high.as_ref(), index)?,
            });
        }
        Ok(lists)
    }

    fn channels(&self, gauges: &ChannelGauges) -> Result<Vec<ObservedChannel>, BusError> {
        let mut channels = Vec::new();
        for index in 0..self.identity.registers(gauges.state.register) {
            let state = self.gauge(&gauges.state, index)? as usize;
            if state == 0 {
                continue;
            }
            channels.push(ObservedChannel {
                name: gauges.name,
                index,
                state: gauges.states.get(state).copied().unwrap_or("unknown"),
                list: self.gauge(&gauges.list, index)? as u16,
                given: self.gauge(&gauges.given, index)? as u32,
                taken: self.gauge(&gauges.taken, index)? as u32,
            });
        }
        Ok(channels)
    }

    fn errors(&self, errors: &ErrorGauges) -> Result<Errors, BusError> {
        match errors {
            ErrorGauges::Flags { flags } => Ok((Vec::new(), self.flags(flags)?)),
            ErrorGauges::Counts { counts, kinds } => {
                let count = |(index, kind): (u16, &'static Field)| {
                    Ok((&*kind.name, self.register(counts, index)?))
                };
                let all = (0..counts.count()).zip(kinds.fields.iter());
                let all = all.map(count).collect::<Result<_, BusError>>();
                Ok((all?, Vec::new()))
            }
        }
    }
}

impl Gauges {
    /// Returns every register that is read for it.
    pub fn registers(&self) -> Vec<&'static Register> {
        let one = [
            &self.enabled,
            &self.capacity,
            &self.available,
            &self.low,
            &self.high,
            &self.pending,
        ];
        let one = one.into_iter().flatten();
        let channel = self.channels.iter();
        let channel = channel.flat_map(|all| [&all.state, &all.list, &all.given, &all.taken]);
        let (flags, count): (&[Gauge], _) = match &self.errors {
            ErrorGauges::Flags { flags } => (flags, None),
            ErrorGauges::Counts { counts, .. } => (&[], Some(*counts)),
        };
        let gauges = self.states.iter().chain(one).chain(channel).chain(flags);
        gauges.map(|gauge| gauge.register).chain(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::family::ErrorGauges;
    use crate::modules;

    /// Who looks at a device that another program drives must take nothing from it.
    #[test]
    fn what_is_looked_at_is_in_the_table_and_its_read_has_no_effect() {
        for kind in modules::kinds() {
            let registers = kind.gauges.registers();
            assert!(registers.len() > 5, "{}: {}", kind.name, registers.len());
            for register in registers {
                let is_it = |row: &crate::reg::Register| std::ptr::eq(row, register);
                assert!(kind.registers.iter().any(is_it), "{}", register.name);
                assert!(register.access.is_pure_read(), "{}", register.name);
            }
            if let ErrorGauges::Counts { counts, kinds } = &kind.gauges.errors {
                let (counts, kinds) = (usize::from(counts.count()), kinds.fields.len());
                assert_eq!(counts, kinds, "{}: a counter a kind", kind.name);
            }
        }
    }
}
