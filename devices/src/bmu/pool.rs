//! A pool of the device: its free list, configured, with the ledger of what the device holds, and the register path.

use std::sync::Arc;

use crate::bmu::about::ABOUT;
use crate::bmu::claims::PoolId;
use crate::bmu::device::Bmu;
use crate::bmu::errors::ErrorBits;
use crate::bmu::regs;
use crate::bus::{BusError, Transport};
use crate::family::life::still_there;
use crate::family::{Breach, Geometry, Ledger, ListConfig, Misuse, PathError, SetupError};
use crate::reg::{Reg, access};
use crate::words::Words;

/// One pool of the device, with what the driver knows of it. Dropping it disables the pool.
pub(super) struct Pool<T: Transport> {
    bmu: Arc<Bmu<T>>,
    id: PoolId,
    operation: Words<T::Bar>,
    ledger: Ledger,
    poison: Option<Breach>,
}

impl<T: Transport> Pool<T> {
    /// Takes a free pool of the device, configures it, reads its range back and enables it, empty.
    ///
    /// All objects are with the host until they are given.
    pub(super) fn open(bmu: &Arc<Bmu<T>>, config: &ListConfig) -> Result<Pool<T>, SetupError> {
        let geometry = check(bmu, config)?;
        let id = bmu.claim_pool()?;
        // From here on dropping it gives the pool back.
        let pool = Pool {
            bmu: bmu.clone(),
            id,
            operation: bmu.operation().clone(),
            ledger: Ledger::new(geometry),
            poison: None,
        };
        pool.configure(config)?;
        Ok(pool)
    }

    /// Returns the pool's number.
    pub(super) fn id(&self) -> PoolId {
        self.id
    }

    /// Returns the device.
    pub(super) fn bmu(&self) -> &Arc<Bmu<T>> {
        &self.bmu
    }

    /// Returns where the objects lie.
    pub(super) fn geometry(&self) -> &Geometry {
        self.ledger.geometry()
    }

    /// Returns which objects the device holds.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Returns what poisoned the list.
    pub(super) fn poison(&self) -> Option<&Breach> {
        self.poison.as_ref()
    }

    /// Takes one object by the register path: `None` where the list is empty.
    ///
    /// Costs one round trip to the device. Objects that a portal keeps in its acquire ring are not in the list.
    pub(super) fn alloc(&mut self) -> Result<Option<u32>, PathError> {
        self.usable_by_registers()?;
        let address = match regs::POOL_ALLOC.take_at(&mut self.operation, self.id.0) {
            Ok(0) => return Ok(None),
            Ok(u64::MAX) => return Err(self.all_ones()),
            Ok(address) => address,
            Err(error) => return Err(self.breach(error.into())),
        };
        self.ledger
            .take(address)
            .map(Some)
            .map_err(|breach| self.breach(breach))
    }

    /// Fills `objects` by the register path, all of it (`true`) or, where there are not as many, nothing.
    ///
    /// Costs one round trip an object. On `false` and on an error `objects` is untouched.
    pub(super) fn alloc_all(&mut self, objects: &mut [u32]) -> Result<bool, PathError> {
        let mut taken = Vec::with_capacity(objects.len());
        while taken.len() < objects.len() {
            match self.alloc()? {
                Some(index) => taken.push(index),
                None => {
                    self.free_all(&taken)?;
                    return Ok(false);
                }
            }
        }
        objects.copy_from_slice(&taken);
        Ok(true)
    }

    /// Gives all of `objects` by the register path, one posted write each, or refuses them all.
    pub(super) fn free_all(&mut self, objects: &[u32]) -> Result<(), PathError> {
        self.usable_by_registers()?;
        self.give_all(objects)?;
        for &index in objects {
            let address = self.ledger.geometry().address(index);
            regs::POOL_FREE
                .write_at(&self.operation, self.id.0, address)
                .map_err(|error| self.breach(error.into()))?;
        }
        Ok(())
    }

    /// Fails, and poisons the list, where the device should still hold objects after it said that it is empty.
    pub(super) fn expect_empty(&mut self) -> Result<(), PathError> {
        self.usable()?;
        match self.ledger.held() {
            0 => Ok(()),
            held => Err(self.breach(Breach::Lost { held })),
        }
    }

    /// Reads how many objects are in the device's list; those in acquire rings are not.
    ///
    /// Costs a round trip, and is exact only while nobody moves objects.
    pub(super) fn available(&self) -> Result<u32, BusError> {
        self.bmu.read_at(regs::POOL_AVAILABLE, self.id.0)
    }

    /// Sets the thresholds (SPEC 5.2): DEPLETED below `low` (0: off), RECOVERED from `high` on.
    pub(super) fn set_thresholds(&self, low: u32, high: u32) -> Result<(), SetupError> {
        if !self.bmu.capabilities().thresholds {
            let allowed = "none: the device has no thresholds".into();
            return Err(invalid("low threshold", low.into(), allowed));
        }
        if low > high {
            return Err(invalid(
                "low threshold",
                low.into(),
                format!("at most the high one, {high}"),
            ));
        }
        self.write(regs::POOL_HIGH, high)?;
        self.write(regs::POOL_LOW, low)?;
        Ok(())
    }

    /// Lets threshold events raise `vector` and returns its interrupt.
    pub(super) fn event_interrupt(&self, vector: u16) -> Result<T::Irq, BusError> {
        let irq = self.bmu.interrupt(vector)?;
        self.write(regs::POOL_VECTOR, vector.into())?;
        self.write(
            regs::POOL_EVENT_ENABLE,
            regs::pool_event_enable::EVENTS.mask() as u32,
        )?;
        Ok(irq)
    }

    /// Reads and clears the threshold events: `(depleted, recovered)`.
    pub(super) fn take_events(&self) -> Result<(bool, bool), BusError> {
        let events = self.bmu.read_at(regs::POOL_EVENT, self.id.0)?;
        self.write(regs::POOL_EVENT, events)?;
        let is_set = |field: crate::reg::Field| field.of(events.into()) != 0;
        Ok((
            is_set(regs::pool_event::DEPLETED),
            is_set(regs::pool_event::RECOVERED),
        ))
    }

    /// Reads and clears the pool's errors and the address of the first.
    pub(super) fn take_errors(&self) -> Result<(ErrorBits, u64), BusError> {
        let errors = self.bmu.read_at(regs::POOL_ERROR, self.id.0)?;
        let address = self.bmu.read_at(regs::POOL_ERROR_ADDRESS, self.id.0)?;
        self.write(regs::POOL_ERROR, errors)?;
        Ok((ErrorBits(errors), address))
    }

    /// Fails when the list is poisoned.
    #[inline]
    pub(super) fn usable(&self) -> Result<(), PathError> {
        match &self.poison {
            None => Ok(()),
            Some(breach) => Err(PathError::Poisoned {
                list: self.id.to_string(),
                breach: breach.clone(),
            }),
        }
    }

    /// Fails when the list is poisoned, or the device has no registers that move objects (SPEC 4.2).
    fn usable_by_registers(&self) -> Result<(), PathError> {
        self.usable()?;
        match self.bmu.capabilities().register_path {
            true => Ok(()),
            false => Err(PathError::NoWay {
                list: self.id.to_string(),
                way: "register path",
            }),
        }
    }

    /// Poisons the list, unless it is already, and returns the error that every call fails with from now on.
    #[cold]
    pub(super) fn breach(&mut self, breach: Breach) -> PathError {
        let breach = self.poison.get_or_insert(breach).clone();
        PathError::Poisoned {
            list: self.id.to_string(),
            breach,
        }
    }

    /// An allocation read all ones: the device is gone, or it handed out an address that no buffer has (SPEC 4).
    #[cold]
    fn all_ones(&mut self) -> PathError {
        let out_of_range = Breach::OutOfRange {
            address: u64::MAX,
            base: self.geometry().base(),
            end: self.geometry().end(),
        };
        let control = self.bmu.control();
        self.breach(
            still_there(control, "POOL_ALLOC", ABOUT.alive)
                .err()
                .unwrap_or(out_of_range),
        )
    }

    /// Notes that all of `objects` go to the device; refuses them all when one can't.
    #[inline]
    pub(super) fn give_all(&mut self, objects: &[u32]) -> Result<(), PathError> {
        self.ledger
            .give_all(objects)
            .map_err(|(index, why): (u32, Misuse)| PathError::Refused { index, why })
    }

    /// The ledger, for a portal that serves this list.
    #[inline]
    pub(super) fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    fn configure(&self, config: &ListConfig) -> Result<(), SetupError> {
        self.forget()?;
        let end = self.geometry().end();
        regs::POOL_BASE.write_at(self.bmu.control(), self.id.0, config.base.0)?;
        regs::POOL_END.write_at(self.bmu.control(), self.id.0, end)?;
        self.write(regs::POOL_STRIDE, config.stride as u32)?;
        self.write(regs::POOL_CAPACITY, config.capacity)?;
        // SPEC 5.1: a free must not overtake the range, and a device that drops address bits shows here.
        self.read_back(regs::POOL_BASE, config.base.0)?;
        self.read_back(regs::POOL_END, end)?;
        self.bmu.await_emptied(self.id.0)?;
        // By 1.0 it may be that only a pool with a threshold is armed when it is enabled (SPEC 5.2).
        let arms = self.bmu.capabilities().thresholds && !self.bmu.capabilities().is_settled();
        if arms {
            self.write(regs::POOL_LOW, 1)?;
        }
        self.write(regs::POOL_CONTROL, regs::pool_control::ENABLE.mask() as u32)?;
        self.check_enabled()?;
        match arms {
            true => Ok(self.write(regs::POOL_LOW, 0)?),
            false => Ok(()),
        }
    }

    /// Clears what the last list of this number left: thresholds, interrupts, events and errors.
    fn forget(&self) -> Result<(), BusError> {
        if self.bmu.capabilities().thresholds {
            self.write(regs::POOL_EVENT_ENABLE, 0)?;
            self.write(regs::POOL_LOW, 0)?;
            self.write(regs::POOL_HIGH, 0)?;
            self.write(regs::POOL_EVENT, regs::POOL_EVENT.row().bits as u32)?;
        }
        self.write(regs::POOL_ERROR, regs::POOL_ERROR.row().bits as u32)
    }

    fn check_enabled(&self) -> Result<(), SetupError> {
        let control = self.bmu.read_at(regs::POOL_CONTROL, self.id.0)?;
        if regs::pool_control::ENABLE.of(control.into()) != 0 {
            return Ok(());
        }
        let (errors, value) = self.take_errors()?;
        Err(SetupError::Refused {
            of: self.id.to_string(),
            errors: errors.into(),
            value,
        })
    }

    fn read_back(&self, reg: Reg<access::Rw, u64>, written: u64) -> Result<(), SetupError> {
        let found = self.bmu.read_at(reg, self.id.0)?;
        if found == written {
            return Ok(());
        }
        let register = &*reg.row().name;
        Err(SetupError::ReadBack {
            register,
            of: self.id.to_string(),
            written,
            found,
        })
    }

    fn write<A: access::Write>(&self, reg: Reg<A, u32>, value: u32) -> Result<(), BusError> {
        reg.write_at(self.bmu.control(), self.id.0, value)
    }
}

impl<T: Transport> Drop for Pool<T> {
    /// Disables the pool and gives its number back. A pool that stays enabled is never used again before a reset.
    fn drop(&mut self) {
        let disabled = self
            .write(regs::POOL_CONTROL, 0)
            .and_then(|()| self.bmu.read_at(regs::POOL_CONTROL, self.id.0))
            .is_ok_and(|control| regs::pool_control::ENABLE.of(control.into()) == 0);
        self.bmu.release_pool(self.id, disabled);
    }
}

/// Checks a configuration against the device and SPEC 5.1 before anything is written.
fn check<T: Transport>(bmu: &Bmu<T>, config: &ListConfig) -> Result<Geometry, SetupError> {
    let can = bmu.capabilities();
    bmu.identity().limits.check(config.objects, config.stride)?;
    if config.capacity == 0 || config.capacity > config.objects {
        let allowed = format!("1 to the number of objects, {}", config.objects);
        return Err(invalid("capacity", config.capacity.into(), allowed));
    }
    let misplaced = || {
        let bits = can.address_width;
        invalid(
            "base address",
            config.base.0,
            format!("a multiple of 64, not 0, with the pool below 2^{bits}"),
        )
    };
    let geometry =
        Geometry::new(config.base, config.stride, config.objects).ok_or_else(misplaced)?;
    let fits = can.address_width >= 64 || geometry.end() <= 1 << can.address_width;
    if fits { Ok(geometry) } else { Err(misplaced()) }
}

fn invalid(what: &'static str, value: u64, allowed: String) -> SetupError {
    SetupError::Invalid {
        what,
        value,
        allowed,
    }
}
