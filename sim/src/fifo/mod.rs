//! The FIFO's logic: what the device does, written from `SPEC.md` alone.
//!
//! [`Fifo`] holds the registers and the queue; `config` is what the model takes from its user, `lies` which rules it can break.

mod config;
mod lies;

use std::collections::VecDeque;

use hwpool_devices::fifo::regs::Id;

use crate::agenda::Agenda;
use crate::faults::FaultKind;
use crate::lies::Lies;
use crate::logic::Logic;
use crate::shape::Slot;
use crate::violation::ViolationKind;
use crate::world::World;
pub(crate) use config::MODEL;
use lies::Lie;

/// CONTROL.ENABLE and CONTROL.IRQ_ENABLE.
const ENABLE: u32 = 1;
const IRQ_ENABLE: u32 = 2;
/// ERROR: why a push was refused.
const OVERFLOW: u32 = 1;
const RANGE: u32 = 2;
const DISABLED: u32 = 4;
/// EVENT.LOW.
const LOW: u32 = 1;
/// STATUS.EMPTY and STATUS.FULL.
const EMPTY: u32 = 2;
const FULL: u32 = 4;
/// POP.VALID.
const VALID: u32 = 1 << 31;
/// How long a reset by RESET takes, in picoseconds.
const RESET_TIME: u64 = 10_000_000;
/// How long each step of a reset takes that is too slow, in picoseconds, and how many there are.
const SLOW_STEPS: (u64, u8) = (2_000_000_000, 10);

/// The RESET that was asked for is over, or one of its steps where there are more.
#[derive(Debug)]
struct Ready {
    more: u8,
}

/// Registers and state of the device.
#[derive(Debug)]
pub(crate) struct Fifo {
    depth: u32,
    lies: Lies,
    agenda: Agenda<Ready>,
    ready: bool,
    reset_count: u32,
    scratch: u32,
    control: u32,
    error: u32,
    threshold: u32,
    event: u32,
    queue: VecDeque<u32>,
    /// How often each number is in the queue: more than once is the host's mistake.
    held: Vec<u16>,
    /// The number handed out last, for who hands it out again.
    last_out: Option<u32>,
    /// What LEVEL counts beside the queue: nothing, where nothing lies.
    miscounted: i32,
    /// LEVEL before the last push, where a read overtakes that.
    overtaken: Option<u32>,
}

impl Fifo {
    fn new(depth: u32, lies: Lies) -> Fifo {
        Fifo {
            depth,
            lies,
            agenda: Agenda::new(),
            ready: true,
            reset_count: 0,
            scratch: 0,
            control: 0,
            error: 0,
            threshold: 0,
            event: 0,
            queue: VecDeque::new(),
            held: vec![0; depth as usize],
            last_out: None,
            miscounted: 0,
            overtaken: None,
        }
    }

    fn level(&self) -> u32 {
        self.queue.len() as u32
    }

    fn status(&self) -> u32 {
        let (empty, full) = (self.queue.is_empty(), self.level() == self.depth);
        let mut status = u32::from(self.ready) | u32::from(empty) << 1 | u32::from(full) << 2;
        for (lie, set, clear) in [
            (Lie::AlwaysEmpty, EMPTY, 0),
            (Lie::NeverEmpty, 0, EMPTY),
            (Lie::NeverFull, 0, FULL),
        ] {
            if self.lies.tell(lie) {
                status = (status | set) & !clear;
            }
        }
        status
    }

    /// LEVEL, unless a fault changes it.
    fn shown_level(&mut self, world: &mut World) -> u32 {
        let wrong = world.faults.hit(FaultKind::WrongCount, "LEVEL", 0);
        let level = self.overtaken.take().unwrap_or_else(|| self.level());
        let level = level.wrapping_add_signed(self.miscounted);
        level.wrapping_add(wrong.unwrap_or(0) as u32) & 0x01ff_ffff
    }

    /// POP: takes the oldest number; 0 if there is none (SPEC 4.1, 4.3).
    fn pop(&mut self, world: &mut World) -> u32 {
        if self.control & ENABLE == 0 && !self.lies.tell(Lie::PopsDisabled) {
            return self.nothing();
        }
        let before = self.level();
        let Some(number) = self.take(world) else {
            self.miscounted -= i32::from(self.lies.tell(Lie::EmptyPopCounts));
            return self.nothing();
        };
        if self.level() < before && self.falls_below(before) {
            self.set_event(world, LOW);
        }
        VALID | number
    }

    /// What a pop reads that takes nothing (SPEC 4.3).
    fn nothing(&self) -> u32 {
        let shown = self.lies.tell(Lie::EmptyPopReads);
        self.last_out.filter(|_| shown).unwrap_or(0)
    }

    /// Tells whether a pop from the level `before` takes it below THRESHOLD (SPEC 5).
    fn falls_below(&self, before: u32) -> bool {
        let threshold = self.threshold;
        match threshold {
            0 => before == 1 && self.lies.tell(Lie::LowWhenOff),
            _ if self.lies.tell(Lie::LowEarly) => before == threshold + 1,
            _ if self.lies.tell(Lie::LowLate) => before + 1 == threshold,
            _ if self.lies.tell(Lie::LowAgain) => before <= threshold,
            _ => before == threshold,
        }
    }

    /// Takes the oldest number; faults may hand out another one, and the true one then stays.
    fn take(&mut self, world: &mut World) -> Option<u32> {
        let is_stack = self.lies.tell(Lie::Stack);
        let next = if is_stack {
            self.queue.back()
        } else {
            self.queue.front()
        };
        let oldest = *next?;
        let again = world.faults.hit(FaultKind::DuplicateBuffer, "POP", 0);
        if let Some(last) = self.last_out.filter(|_| again.is_some()) {
            return Some(last);
        }
        if let Some(value) = world.faults.hit(FaultKind::OutOfRangeBuffer, "POP", 0) {
            let number = if value == 0 { self.depth.into() } else { value };
            return Some(number as u32 & 0x00ff_ffff);
        }
        if is_stack {
            self.queue.pop_back();
        } else {
            self.queue.pop_front();
        }
        self.held[oldest as usize] -= 1;
        self.last_out = Some(oldest);
        Some(oldest)
    }

    /// PUSH: gives a number (SPEC 4.2).
    fn push(&mut self, world: &mut World, number: u32) {
        let refusal = self.refusal(number);
        if refusal != 0 {
            self.error |= refusal & !self.hidden();
            self.miscounted += i32::from(self.lies.tell(Lie::CountsRefused));
            return;
        }
        if world.faults.hit(FaultKind::LostEntry, "PUSH", 0).is_some() {
            return;
        }
        let before = self.level();
        self.overtaken = Some(before).filter(|_| self.lies.tell(Lie::ReadsOvertake));
        let held = &mut self.held[number as usize];
        if *held > 0 {
            world.violation(ViolationKind::GivenTwice, "PUSH".into(), number.into());
        }
        *held = held.saturating_add(1);
        self.queue.push_back(number);
        if before + 1 == self.threshold && self.lies.tell(Lie::LowRising) {
            self.set_event(world, LOW);
        }
    }

    /// The error of a push: 0 where nothing forbids it, else of the first rule that does (SPEC 4.2).
    fn refusal(&self, number: u32) -> u32 {
        let holds = match self.lies.tell(Lie::HoldsHalf) {
            true => self.depth / 2,
            false => self.depth,
        };
        let rules = [
            (self.control & ENABLE == 0, DISABLED),
            (number >= self.depth, RANGE),
            (self.level() >= holds, OVERFLOW),
        ];
        let mut broken = rules.iter().filter(|(is_broken, _)| *is_broken);
        let reported = match self.lies.tell(Lie::LastRule) {
            true => broken.next_back(),
            false => broken.next(),
        };
        reported.map_or(0, |(_, error)| *error)
    }

    /// The errors that are reported nowhere.
    fn hidden(&self) -> u32 {
        let hides = [
            (Lie::HidesOverflow, OVERFLOW),
            (Lie::HidesRange, RANGE),
            (Lie::HidesDisabled, DISABLED),
        ];
        let hidden = hides.iter().filter(|(lie, _)| self.lies.tell(*lie));
        hidden.map(|(_, error)| error).sum()
    }

    /// CONTROL: an interrupt that has waited for its enable is sent now (SPEC 5).
    fn set_control(&mut self, world: &mut World, value: u32) {
        let lies = self.lies;
        let was = if lies.tell(Lie::RepeatsEnable) {
            0
        } else {
            self.control
        };
        let is_enabled = value & !was & IRQ_ENABLE != 0 && !lies.tell(Lie::ForgetsEvent);
        if value & ENABLE == 0 && lies.tell(Lie::DisableEmpties) {
            self.queue.clear();
            self.held.fill(0);
        }
        self.control = value;
        if is_enabled && (self.event & LOW != 0 || lies.tell(Lie::EnableFires)) {
            world.message(0);
        }
    }

    /// THRESHOLD: no event comes of it (SPEC 5).
    fn set_threshold(&mut self, world: &mut World, value: u32) {
        self.threshold = value;
        let works = self.control & ENABLE != 0;
        let sets = self.lies.tell(Lie::LowAtWrite) || works && self.lies.tell(Lie::LowAtLateWrite);
        if self.level() < value && sets {
            self.set_event(world, LOW);
        }
    }

    /// Sets events; one that is new is an interrupt (SPEC 5).
    fn set_event(&mut self, world: &mut World, events: u32) {
        let was = if self.lies.tell(Lie::RepeatsEvent) {
            0
        } else {
            self.event
        };
        let new = events & !was;
        self.event |= events;
        let is_enabled = self.control & IRQ_ENABLE != 0 || self.lies.tell(Lie::IgnoresIrqEnable);
        if new != 0 && is_enabled {
            world.message(0);
        }
    }

    /// RESET: starts a reset where the key is right (SPEC 6).
    fn soft_reset(&mut self, world: &mut World, key: u32) {
        let broken = |world: &mut World| world.faults.hit(FaultKind::ResetDoesNothing, "RESET", 0);
        let is_key = key == 0x5445_5352 || self.lies.tell(Lie::AnyKey);
        if !is_key || broken(world).is_some() {
            return;
        }
        self.wipe();
        if !world.instant {
            self.ready = false;
            let more = if self.lies.tell(Lie::SlowReset) {
                SLOW_STEPS.1
            } else {
                0
            };
            self.agenda.plan(world.now + RESET_TIME, Ready { more });
        }
    }

    /// Empties the queue and puts every register to its reset value (SPEC 6).
    fn wipe(&mut self) {
        let resets = if self.lies.tell(Lie::ResetCountsFive) {
            5
        } else {
            1
        };
        let mut new = Fifo {
            reset_count: (self.reset_count + resets) & 0x7fff_ffff,
            ..Fifo::new(self.depth, self.lies)
        };
        self.keep(&mut new);
        *self = new;
    }

    /// Keeps in `new` what a reset leaves of the device that lies.
    fn keep(&mut self, new: &mut Fifo) {
        let keeps = |lie| self.lies.tell(lie);
        if keeps(Lie::ResetKeepsThreshold) {
            new.threshold = self.threshold;
        }
        if keeps(Lie::ResetKeepsIrqEnable) {
            new.control = self.control & IRQ_ENABLE;
        }
        if keeps(Lie::ResetKeepsEvent) {
            new.event = self.event;
        }
        if keeps(Lie::ResetKeepsError) {
            new.error = self.error;
        }
        if keeps(Lie::ResetKeepsQueue) {
            new.queue = std::mem::take(&mut self.queue);
            new.held = std::mem::take(&mut self.held);
        }
    }
}

impl Logic for Fifo {
    fn read(&mut self, world: &mut World, slot: Slot) -> u64 {
        let Some(id) = Id::from_place(slot.place.into()) else {
            return 0;
        };
        if !self.ready && id != Id::STATUS {
            world.violation(ViolationKind::InReset, id.row().place(0), 0);
            return 0;
        }
        let word = match id {
            Id::IDENTITY => 0x4f46_4946,
            Id::VERSION => 0x0001_0000,
            Id::DEPTH => self.depth,
            Id::SCRATCH => self.scratch,
            Id::CONTROL => self.control,
            Id::STATUS => self.status(),
            Id::LEVEL => self.shown_level(world),
            Id::ERROR => self.error,
            Id::POP => self.pop(world),
            Id::RESET_COUNT => self.reset_count,
            Id::THRESHOLD => self.threshold,
            Id::EVENT | Id::EVENT_SET => self.event,
            Id::PUSH | Id::RESET => 0,
        };
        word.into()
    }

    fn write(&mut self, world: &mut World, slot: Slot, value: u64) {
        let Some(id) = Id::from_place(slot.place.into()) else {
            return;
        };
        if !self.ready {
            return world.violation(ViolationKind::InReset, id.row().place(0), value);
        }
        let word = value as u32;
        match id {
            Id::SCRATCH => self.scratch = word,
            Id::CONTROL => self.set_control(world, word),
            Id::ERROR if self.lies.tell(Lie::ErrorStays) => {}
            Id::ERROR => self.error &= !word,
            Id::PUSH => self.push(world, word),
            Id::RESET => self.soft_reset(world, word),
            Id::THRESHOLD => self.set_threshold(world, word),
            Id::EVENT => self.event &= !word,
            Id::EVENT_SET => self.set_event(world, word),
            // Writes that the function keeps from here.
            Id::IDENTITY
            | Id::VERSION
            | Id::DEPTH
            | Id::STATUS
            | Id::LEVEL
            | Id::POP
            | Id::RESET_COUNT => {}
        }
    }

    fn reset(&mut self, _world: &mut World) {
        if self.lies.tell(Lie::FlrDoesNothing) {
            return;
        }
        let threshold = self.threshold;
        self.wipe();
        if self.lies.tell(Lie::FlrKeepsThreshold) {
            self.threshold = threshold;
        }
    }

    fn vanish(&mut self) {
        self.wipe();
    }

    fn next_at(&self) -> Option<u64> {
        self.agenda.next_at()
    }

    fn run_next(&mut self, world: &mut World) {
        match self.agenda.pop() {
            Some(Ready { more: 0 }) => self.ready = true,
            Some(Ready { more }) => {
                let next = Ready { more: more - 1 };
                self.agenda.plan(world.now + SLOW_STEPS.0, next);
            }
            None => {}
        }
    }
}
