//! One list of a described device: values pushed and popped by registers, with the ledger of what the device holds.

use std::fmt;
use std::sync::Arc;

use super::device::Device;
use super::moves::by;
use super::plan::Plan;
use crate::bus::{BusError, Transport};
use crate::description::{Description, Empty, Meaning};
use crate::family::plain::{self, Plain};
use crate::family::{Breach, FreeList, Geometry, Ledger, ListConfig, PathError, SetupError};

/// One list of the device, in use by this driver alone.
///
/// Dropping it empties it in the device.
pub struct List<T: Transport> {
    device: Arc<Device<T>>,
    number: u16,
    /// The registers and what is done with them, here too: a hop less for each call.
    bar: T::Bar,
    plan: Plan,
    /// It may hold what the ledger does not know.
    is_unknown: bool,
    list: Plain,
}

impl<T: Transport> List<T> {
    /// Takes a list of the device into use, empty: all objects are with the host until they are given.
    pub fn open(device: &Arc<Device<T>>, config: &ListConfig) -> Result<List<T>, SetupError> {
        let geometry = check(device, config)?;
        let (number, is_filled) = device.claim_list()?;
        // From here on dropping it gives the list back.
        let mut list = List {
            device: device.clone(),
            number,
            bar: device.bar().clone(),
            plan: *device.plan(number),
            is_unknown: true,
            list: Plain::new(device.name(number), geometry),
        };
        if is_filled {
            let taken =
                by!((&**device.transport(), &list.bar, &list.plan), by => by.take_numbers());
            taken.map_err(|breach| list.contents(breach))?;
        }
        device.forget(number)?;
        list.expect_empty()?;
        list.is_unknown = false;
        Ok(list)
    }

    /// Returns which list of the device it is.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Returns the device.
    pub fn device(&self) -> &Arc<Device<T>> {
        &self.device
    }

    /// Fails where there is something in the list: by its count, or where there is none, by a pop.
    fn expect_empty(&self) -> Result<(), SetupError> {
        let found = match self.available()? {
            Some(count) => count,
            None => {
                let is_empty =
                    by!((&**self.device.transport(), &self.bar, &self.plan), by => by.is_empty());
                u32::from(!is_empty.map_err(|breach| self.contents(breach))?)
            }
        };
        match found {
            0 => Ok(()),
            found => Err(SetupError::NotEmpty {
                of: self.name(),
                found,
            }),
        }
    }

    /// Tells what is wrong with what the list held when it was opened.
    fn contents(&self, breach: Breach) -> SetupError {
        match breach {
            Breach::Bus(error) => error.into(),
            breach => SetupError::Contents {
                of: self.name(),
                breach: Box::new(breach),
            },
        }
    }
}

impl<T: Transport> FreeList for List<T> {
    fn name(&self) -> String {
        self.device.name(self.number)
    }

    fn ledger(&self) -> &Ledger {
        self.list.ledger()
    }

    fn poison(&self) -> Option<&Breach> {
        self.list.poison()
    }

    fn give(&mut self, objects: &[u32]) -> Result<(), PathError> {
        by!((&**self.device.transport(), &self.bar, &self.plan), by => self.list.give(by, objects))
    }

    fn take(&mut self, objects: &mut [u32]) -> Result<bool, PathError> {
        by!((&**self.device.transport(), &self.bar, &self.plan), by => self.list.take(by, objects))
    }

    /// Does nothing: every write is the device's at once.
    fn flush(&mut self) -> Result<(), PathError> {
        self.list.usable()
    }

    fn available(&self) -> Result<Option<u32>, BusError> {
        let count = |bits| self.device.bits(&bits, self.number);
        let level = self.device.description().level.map(count).transpose()?;
        Ok(level.map(|level| u32::try_from(level).unwrap_or(u32::MAX)))
    }

    fn drain(&mut self) -> Result<Vec<u32>, PathError> {
        by!((&**self.device.transport(), &self.bar, &self.plan), by => self.list.drain(by))
    }
}

impl<T: Transport> Drop for List<T> {
    /// Gives the list back. One that holds something, or whose state is not known, is emptied; where that fails nobody
    /// uses it before a reset that works.
    fn drop(&mut self) {
        let is_empty = !self.is_unknown && self.list.is_empty();
        self.device.release_list(self.number, is_empty);
    }
}

/// Checks a configuration against the device before anything is written.
fn check<T: Transport>(device: &Device<T>, config: &ListConfig) -> Result<Geometry, SetupError> {
    let limits = &device.identity().limits;
    let geometry = plain::geometry(limits, config)?;
    check_none(device.description(), config, &geometry)?;
    let Meaning::Address { shift } = device.description().value.is else {
        return Ok(geometry);
    };
    let invalid = |what, value, allowed| {
        Err(SetupError::Invalid {
            what,
            value,
            allowed,
        })
    };
    let granule = 1u64 << shift;
    if !config.stride.is_multiple_of(granule) {
        let allowed =
            format!("a multiple of {granule}: the device leaves {shift} bits of an address out");
        return invalid("stride", config.stride, allowed);
    }
    let top = u64::MAX >> (64 - limits.address_width);
    if !config.base.0.is_multiple_of(granule) || geometry.end() - 1 > top {
        let allowed = format!("a multiple of {granule}, with the pool at or below {top:#x}");
        return invalid("base address", config.base.0, allowed);
    }
    Ok(geometry)
}

/// Refuses objects of which one would be pushed as what the device says when it has none: it would never come back.
pub(super) fn check_none(
    description: &Description,
    config: &ListConfig,
    geometry: &Geometry,
) -> Result<(), SetupError> {
    let value = description.value;
    let none = match description.empty {
        Empty::Value(none) => none,
        Empty::BusError => u64::MAX >> (64 - description.width()),
        Empty::Mark(_) | Empty::Flag(_) | Empty::Level => return Ok(()),
    };
    if none & !value.mask() != 0 {
        return Ok(());
    }
    let code = value.of(none);
    let (what, is, is_object) = match value.is {
        Meaning::Index { first } => {
            let number = code.checked_sub(first.into());
            let is_object = number.is_some_and(|number| number < config.objects.into());
            (SetupError::OBJECTS, config.objects.into(), is_object)
        }
        Meaning::Address { shift } => {
            let is_object = geometry.index(code << shift).is_ok();
            ("base address", config.base.0, is_object)
        }
    };
    match is_object {
        false => Ok(()),
        true => Err(SetupError::Invalid {
            what,
            value: is,
            allowed: format!(
                "one with which no object is {none:#x}, by which the device says that it is empty"
            ),
        }),
    }
}

impl<T: Transport> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List")
            .field("number", &self.number)
            .field("held", &self.list.ledger().held())
            .field("poison", &self.list.poison())
            .finish_non_exhaustive()
    }
}
