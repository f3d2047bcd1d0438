//! A free list whose objects travel by register accesses alone: what its drivers do alike.

use crate::family::{Breach, Geometry, Ledger, Limits, ListConfig, PathError, SetupError};

/// How a list's objects are moved, one after the other.
pub(crate) trait Moves {
    /// Gives `objects` to the device.
    fn push(&mut self, geometry: &Geometry, objects: &[u32]) -> Result<(), Breach>;

    /// Takes objects into `taken` until it has `most`, or the device has none.
    fn pop(&mut self, ledger: &mut Ledger, taken: &mut Vec<u32>, most: usize)
    -> Result<(), Breach>;

    /// Tells why the device has no more while it should hold `held` objects.
    fn lost(&self, held: u32) -> Breach {
        Breach::Lost { held }
    }

    /// Tells whether the object that was given last leaves first.
    fn is_newest_first(&self) -> bool {
        false
    }
}

/// What the driver knows of such a list: its name, which objects the device holds, and what poisoned it.
pub(crate) struct Plain {
    name: String,
    ledger: Ledger,
    poison: Option<Breach>,
    /// What a call takes before the caller's output is touched.
    scratch: Vec<u32>,
}

impl Plain {
    /// Makes a list whose objects are all with the host.
    pub(crate) fn new(name: String, geometry: Geometry) -> Plain {
        Plain {
            name,
            ledger: Ledger::new(geometry),
            poison: None,
            scratch: Vec::new(),
        }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn poison(&self) -> Option<&Breach> {
        self.poison.as_ref()
    }

    /// Tells whether the device holds nothing, for all that is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.poison.is_none() && self.ledger.held() == 0
    }

    /// Fails when the list is poisoned.
    #[inline(always)]
    pub(crate) fn usable(&self) -> Result<(), PathError> {
        match &self.poison {
            None => Ok(()),
            Some(breach) => Err(self.poisoned(breach)),
        }
    }

    #[cold]
    fn poisoned(&self, breach: &Breach) -> PathError {
        PathError::Poisoned {
            list: self.name.clone(),
            breach: breach.clone(),
        }
    }

    /// Poisons the list, unless it is already, and returns the error that every call fails with from now on.
    #[cold]
    pub(crate) fn breach(&mut self, breach: Breach) -> PathError {
        let breach = self.poison.get_or_insert(breach).clone();
        self.poisoned(&breach)
    }

    /// As [`FreeList::give`](crate::family::FreeList::give).
    pub(crate) fn give(
        &mut self,
        moves: &mut impl Moves,
        objects: &[u32],
    ) -> Result<(), PathError> {
        self.usable()?;
        let given = self.ledger.give_all(objects);
        given.map_err(|(index, why)| PathError::Refused { index, why })?;
        let pushed = moves.push(self.ledger.geometry(), objects);
        pushed.map_err(|breach| self.breach(breach))
    }

    /// As [`FreeList::take`](crate::family::FreeList::take).
    pub(crate) fn take(
        &mut self,
        moves: &mut impl Moves,
        objects: &mut [u32],
    ) -> Result<bool, PathError> {
        self.usable()?;
        let mut taken = std::mem::take(&mut self.scratch);
        taken.clear();
        // What went well is said anew: an error is large, and a result that is kept is copied with all the room for one.
        match self.take_into(moves, &mut taken, objects.len()) {
            Ok(is_enough) => {
                if is_enough {
                    objects.copy_from_slice(&taken);
                }
                self.scratch = taken;
                Ok(is_enough)
            }
            Err(error) => {
                self.scratch = taken;
                Err(error)
            }
        }
    }

    /// Takes `count` objects, or none where there are not as many: those that there were go back, so that they leave in
    /// the same order again.
    fn take_into(
        &mut self,
        moves: &mut impl Moves,
        taken: &mut Vec<u32>,
        count: usize,
    ) -> Result<bool, PathError> {
        let popped = moves.pop(&mut self.ledger, taken, count);
        popped.map_err(|breach| self.breach(breach))?;
        if taken.len() < count {
            if moves.is_newest_first() {
                taken.reverse();
            }
            self.give(moves, taken)?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Takes all objects that the device has.
    ///
    /// Fails where the device should still hold objects after it said that it has none.
    pub(crate) fn drain(&mut self, moves: &mut impl Moves) -> Result<Vec<u32>, PathError> {
        self.usable()?;
        let mut drained = Vec::with_capacity(self.ledger.held() as usize);
        let popped = moves.pop(&mut self.ledger, &mut drained, usize::MAX);
        popped.map_err(|breach| self.breach(breach))?;
        match self.ledger.held() {
            0 => Ok(drained),
            held => Err(self.breach(moves.lost(held))),
        }
    }
}

/// Checks a configuration against the device before anything is written.
pub(crate) fn geometry(limits: &Limits, config: &ListConfig) -> Result<Geometry, SetupError> {
    let invalid = |what, value: u64, allowed: String| SetupError::Invalid {
        what,
        value,
        allowed,
    };
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
