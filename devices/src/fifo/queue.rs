//! The queue as a free list: numbers pushed and popped by registers, with the ledger of what the device holds.

use std::fmt;
use std::sync::Arc;

use crate::bus::{Bar, BusError, Transport};
use crate::family::life::still_there;
use crate::family::plain::{self, Moves, Plain};
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
    list: Plain,
}

impl<T: Transport> Queue<T> {
    /// Takes the device's queue into use, empty: all objects are with the host until they are given.
    pub fn open(fifo: &Arc<Fifo<T>>, config: &ListConfig) -> Result<Queue<T>, SetupError> {
        let geometry = plain::geometry(&fifo.identity().limits, config)?;
        fifo.claim_queue()?;
        // From here on dropping the queue gives it back.
        let queue = Queue {
            fifo: fifo.clone(),
            bar: fifo.bar().clone(),
            list: Plain::new(NAME.into(), geometry),
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
}

/// One access an object.
struct Registers<'a, B> {
    bar: &'a mut B,
}

impl<B: Bar> Registers<'_, B> {
    #[inline]
    fn pop_one(&mut self, ledger: &mut Ledger) -> Result<Option<u32>, Breach> {
        let value = regs::POP.take_at(self.bar, 0)?;
        let number = regs::pop::NUMBER.of(value.into()) as u32;
        if value == u32::MAX {
            // The device is gone, or it handed out a number that no object has.
            still_there(self.bar, "POP", ABOUT.alive)?;
            let objects = ledger.geometry().objects();
            return Err(Breach::NoSuchNumber { number, objects });
        }
        match regs::pop::VALID.of(value.into()) {
            0 => Ok(None),
            _ => ledger.take_number(number).map(Some),
        }
    }
}

impl<B: Bar> Moves for Registers<'_, B> {
    fn push(&mut self, _geometry: &Geometry, objects: &[u32]) -> Result<(), Breach> {
        for &index in objects {
            regs::PUSH.write(self.bar, index)?;
        }
        Ok(())
    }

    fn pop(
        &mut self,
        ledger: &mut Ledger,
        taken: &mut Vec<u32>,
        most: usize,
    ) -> Result<(), Breach> {
        while taken.len() < most
            && let Some(number) = self.pop_one(ledger)?
        {
            taken.push(number);
        }
        Ok(())
    }
}

impl<T: Transport> FreeList for Queue<T> {
    fn name(&self) -> String {
        NAME.into()
    }

    fn ledger(&self) -> &Ledger {
        self.list.ledger()
    }

    fn poison(&self) -> Option<&Breach> {
        self.list.poison()
    }

    fn give(&mut self, objects: &[u32]) -> Result<(), PathError> {
        let bar = &mut self.bar;
        self.list.give(&mut Registers { bar }, objects)
    }

    fn take(&mut self, objects: &mut [u32]) -> Result<bool, PathError> {
        let bar = &mut self.bar;
        self.list.take(&mut Registers { bar }, objects)
    }

    /// Does nothing: every write is the device's at once.
    fn flush(&mut self) -> Result<(), PathError> {
        self.list.usable()
    }

    fn available(&self) -> Result<Option<u32>, BusError> {
        self.available().map(Some)
    }

    fn drain(&mut self) -> Result<Vec<u32>, PathError> {
        let bar = &mut self.bar;
        self.list.drain(&mut Registers { bar })
    }
}

impl<T: Transport> Drop for Queue<T> {
    /// Gives the queue back. One that holds something, or whose state is not known, is emptied by a reset; where that
    /// fails nobody uses it before a reset that works.
    fn drop(&mut self) {
        let reset = || self.fifo.reset_now(OpenReset::Soft).is_ok() && self.fifo.start().is_ok();
        let clean = self.list.is_empty() || reset();
        self.fifo.release_queue(clean);
    }
}

impl<T: Transport> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("held", &self.list.ledger().held())
            .field("poison", &self.list.poison())
            .finish_non_exhaustive()
    }
}
