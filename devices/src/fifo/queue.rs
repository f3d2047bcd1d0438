//! The queue as a free list: numbers pushed and popped by registers, with the ledger of what the device holds.

use std::fmt;
use std::sync::Arc;

use crate::bus::{BusError, Transport};
use crate::family::life::all_ones;
use crate::family::{
    Breach, FreeList, Geometry, Ledger, ListConfig, OpenReset, PathError, SetupError,
};
use crate::fifo::about::ABOUT;
use crate::fifo::device::Fifo;
use crate::fifo::regs;

/// The name of the list in messages.
const NAME: &str = "the queue";

/// The free list of the device, in use by this driver alone.
///
/// Dropping it empties the device: one that still holds numbers is reset.
pub struct Queue<T: Transport> {
    fifo: Arc<Fifo<T>>,
    bar: T::Bar,
    ledger: Ledger,
    poison: Option<Breach>,
    /// What a call takes before the caller's output is touched.
    scratch: Vec<u32>,
}

impl<T: Transport> Queue<T> {
    /// Takes the device's queue into use, empty: all objects are with the host until they are given.
    pub fn open(fifo: &Arc<Fifo<T>>, config: &ListConfig) -> Result<Queue<T>, SetupError> {
        let geometry = check(fifo, config)?;
        fifo.claim_queue()?;
        // From here on dropping the queue gives it back.
        let queue = Queue {
            fifo: fifo.clone(),
            bar: fifo.bar().clone(),
            ledger: Ledger::new(geometry),
            poison: None,
            scratch: Vec::new(),
        };
        queue.forget()?;
        match fifo.read(regs::LEVEL)? {
            0 => Ok(queue),
            found => Err(SetupError::NotEmpty {
                of: NAME.into(),
                found,
            }),
        }
    }

    /// Reads how many numbers the device says are in its queue.
    pub fn available(&self) -> Result<u32, BusError> {
        self.fifo.read(regs::LEVEL)
    }

    /// Has the event LOW come when the level falls below `low`; 0 for never.
    pub fn set_threshold(&self, low: u32) -> Result<(), BusError> {
        regs::THRESHOLD.write(&self.bar, low)
    }

    /// Lets the event LOW raise the interrupt and returns that.
    pub fn event_interrupt(&self) -> Result<T::Irq, BusError> {
        self.fifo.interrupt(0)
    }

    /// Reads and clears the event LOW.
    pub fn take_event(&self) -> Result<bool, BusError> {
        let event = self.fifo.read(regs::EVENT)?;
        regs::EVENT.write(&self.bar, event)?;
        Ok(regs::event::LOW.of(event.into()) != 0)
    }

    /// Clears what the last user left: threshold, event and errors.
    fn forget(&self) -> Result<(), BusError> {
        regs::THRESHOLD.write(&self.bar, 0)?;
        regs::EVENT.write(&self.bar, regs::EVENT.row().bits as u32)?;
        regs::ERROR.write(&self.bar, regs::ERROR.row().bits as u32)
    }

    /// Takes one object: `None` where the queue is empty.
    fn pop(&mut self) -> Result<Option<u32>, PathError> {
        let value = match regs::POP.take_at(&mut self.bar, 0) {
            Ok(u32::MAX) => return Err(self.all_ones()),
            Ok(value) => u64::from(value),
            Err(error) => return Err(self.breach(error.into())),
        };
        if regs::pop::VALID.of(value) == 0 {
            return Ok(None);
        }
        let number = regs::pop::NUMBER.of(value) as u32;
        let taken = self.ledger.take_number(number);
        taken.map(Some).map_err(|breach| self.breach(breach))
    }

    /// A pop read all ones: the device is gone, or it handed out a number that no object has.
    #[cold]
    fn all_ones(&mut self) -> PathError {
        let no_such_number = Breach::NoSuchNumber {
            number: regs::pop::NUMBER.of(u32::MAX.into()) as u32,
            objects: self.ledger.geometry().objects(),
        };
        self.breach(all_ones(&self.bar, "POP", ABOUT.alive, no_such_number))
    }

    fn usable(&self) -> Result<(), PathError> {
        match &self.poison {
            None => Ok(()),
            Some(breach) => Err(PathError::Poisoned {
                list: NAME.into(),
                breach: breach.clone(),
            }),
        }
    }

    /// Poisons the queue, unless it is already, and returns the error that every call fails with from now on.
    #[cold]
    fn breach(&mut self, breach: Breach) -> PathError {
        let breach = self.poison.get_or_insert(breach).clone();
        PathError::Poisoned {
            list: NAME.into(),
            breach,
        }
    }

    fn push_all(&mut self, objects: &[u32]) -> Result<(), PathError> {
        for &index in objects {
            let pushed = regs::PUSH.write(&self.bar, index);
            pushed.map_err(|error| self.breach(error.into()))?;
        }
        Ok(())
    }
}

impl<T: Transport> FreeList for Queue<T> {
    fn name(&self) -> String {
        NAME.into()
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn poison(&self) -> Option<&Breach> {
        self.poison.as_ref()
    }

    fn give(&mut self, objects: &[u32]) -> Result<(), PathError> {
        self.usable()?;
        let given = self.ledger.give_all(objects);
        given.map_err(|(index, why)| PathError::Refused { index, why })?;
        self.push_all(objects)
    }

    fn take(&mut self, objects: &mut [u32]) -> Result<bool, PathError> {
        self.usable()?;
        let mut taken = std::mem::take(&mut self.scratch);
        taken.clear();
        let result = self.take_into(&mut taken, objects.len());
        if let Ok(true) = result {
            objects.copy_from_slice(&taken);
        }
        self.scratch = taken;
        result
    }

    /// Does nothing: every write is the device's at once.
    fn flush(&mut self) -> Result<(), PathError> {
        self.usable()
    }

    fn available(&self) -> Result<Option<u32>, BusError> {
        self.available().map(Some)
    }

    fn drain(&mut self) -> Result<Vec<u32>, PathError> {
        self.usable()?;
        let mut drained = Vec::with_capacity(self.ledger.held() as usize);
        while let Some(index) = self.pop()? {
            drained.push(index);
        }
        match self.ledger.held() {
            0 => Ok(drained),
            held => Err(self.breach(Breach::Lost { held })),
        }
    }
}

impl<T: Transport> Queue<T> {
    /// Takes `count` objects, or none where there are not as many: those that there were go back, to the end.
    fn take_into(&mut self, taken: &mut Vec<u32>, count: usize) -> Result<bool, PathError> {
        while taken.len() < count {
            match self.pop()? {
                Some(index) => taken.push(index),
                None => {
                    self.give(taken)?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

impl<T: Transport> Drop for Queue<T> {
    /// Gives the queue back. One that holds something, or whose state is not known, is emptied by a reset; where that
    /// fails nobody uses it before a reset that works.
    fn drop(&mut self) {
        let is_empty = self.poison.is_none() && self.ledger.held() == 0;
        let reset = || self.fifo.reset_now(OpenReset::Soft).is_ok() && self.fifo.start().is_ok();
        let clean = is_empty || reset();
        self.fifo.release_queue(clean);
    }
}

/// Checks a configuration against the device before anything is written.
fn check<T: Transport>(fifo: &Fifo<T>, config: &ListConfig) -> Result<Geometry, SetupError> {
    let invalid = |what, value: u64, allowed: String| SetupError::Invalid {
        what,
        value,
        allowed,
    };
    let limits = &fifo.identity().limits;
    limits.check(config.objects, config.stride)?;
    if config.capacity != config.objects {
        let allowed = format!(
            "{}, the number of objects: the device knows no other limit than its depth",
            config.objects
        );
        return Err(invalid("capacity", config.capacity.into(), allowed));
    }
    let geometry = Geometry::new(config.base, config.stride, config.objects);
    geometry.ok_or_else(|| {
        let allowed = "a multiple of 64, not 0, with the pool below 2^64".into();
        invalid("base address", config.base.0, allowed)
    })
}

impl<T: Transport> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("held", &self.ledger.held())
            .field("poison", &self.poison)
            .finish_non_exhaustive()
    }
}
