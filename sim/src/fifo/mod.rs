//! The FIFO's logic: what the device does, written from `SPEC.md` alone.
//!
//! [`Fifo`] holds the registers and the queue; `config` is what the model takes from its user.

mod config;

use std::collections::VecDeque;

use hwpool_devices::fifo::regs::Id;

use crate::agenda::Agenda;
use crate::faults::FaultKind;
use crate::logic::Logic;
use crate::shape::Slot;
use crate::violation::ViolationKind;
use crate::world::World;
pub(crate) use config::MODEL;

/// CONTROL.ENABLE and CONTROL.IRQ_ENABLE.
const ENABLE: u32 = 1;
const IRQ_ENABLE: u32 = 2;
/// ERROR: why a push was refused.
const OVERFLOW: u32 = 1;
const RANGE: u32 = 2;
const DISABLED: u32 = 4;
/// EVENT.LOW.
const LOW: u32 = 1;
/// POP.VALID.
const VALID: u32 = 1 << 31;
/// How long a reset by RESET takes, in picoseconds.
const RESET_TIME: u64 = 10_000_000;

/// The RESET that was asked for is over.
#[derive(Debug)]
struct Ready;

/// Registers and state of the device.
#[derive(Debug)]
pub(crate) struct Fifo {
    depth: u32,
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
    /// The number handed out last, for the fault that hands it out again.
    last_out: Option<u32>,
}

impl Fifo {
    fn new(depth: u32) -> Fifo {
        Fifo {
            depth,
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
        }
    }

    fn level(&self) -> u32 {
        self.queue.len() as u32
    }

    fn status(&self) -> u32 {
        let (empty, full) = (self.queue.is_empty(), self.level() == self.depth);
        u32::from(self.ready) | u32::from(empty) << 1 | u32::from(full) << 2
    }

    /// LEVEL, unless a fault changes it.
    fn shown_level(&self, world: &mut World) -> u32 {
        let wrong = world.faults.hit(FaultKind::WrongCount, "LEVEL", 0);
        self.level().wrapping_add(wrong.unwrap_or(0) as u32) & 0x01ff_ffff
    }

    /// POP: takes the oldest number; 0 if there is none (SPEC 4.1, 4.3).
    fn pop(&mut self, world: &mut World) -> u32 {
        if self.control & ENABLE == 0 {
            return 0;
        }
        let before = self.level();
        let Some(number) = self.take(world) else {
            return 0;
        };
        if self.threshold != 0 && before == self.threshold && self.level() < before {
            self.set_event(world, LOW);
        }
        VALID | number
    }

    /// Takes the oldest number; faults may hand out another one, and the true one then stays.
    fn take(&mut self, world: &mut World) -> Option<u32> {
        let oldest = *self.queue.front()?;
        let again = world.faults.hit(FaultKind::DuplicateBuffer, "POP", 0);
        if let Some(last) = self.last_out.filter(|_| again.is_some()) {
            return Some(last);
        }
        if let Some(value) = world.faults.hit(FaultKind::OutOfRangeBuffer, "POP", 0) {
            let number = if value == 0 { self.depth.into() } else { value };
            return Some(number as u32 & 0x00ff_ffff);
        }
        self.queue.pop_front();
        self.held[oldest as usize] -= 1;
        self.last_out = Some(oldest);
        Some(oldest)
    }

    /// PUSH: gives a number (SPEC 4.2).
    fn push(&mut self, world: &mut World, number: u32) {
        let refusal = if self.control & ENABLE == 0 {
            DISABLED
        } else if number >= self.depth {
            RANGE
        } else if self.level() == self.depth {
            OVERFLOW
        } else {
            0
        };
        self.error |= refusal;
        if refusal != 0 || world.faults.hit(FaultKind::LostEntry, "PUSH", 0).is_some() {
            return;
        }
        let held = &mut self.held[number as usize];
        if *held > 0 {
            world.violation(ViolationKind::GivenTwice, "PUSH".into(), number.into());
        }
        *held = held.saturating_add(1);
        self.queue.push_back(number);
    }

    /// CONTROL: an interrupt that has waited for its enable is sent now (SPEC 5).
    fn set_control(&mut self, world: &mut World, value: u32) {
        let enabled = value & !self.control & IRQ_ENABLE != 0;
        self.control = value;
        if enabled && self.event & LOW != 0 {
            world.message(0);
        }
    }

    /// Sets events; one that is new is an interrupt (SPEC 5).
    fn set_event(&mut self, world: &mut World, events: u32) {
        let new = events & !self.event;
        self.event |= events;
        if new != 0 && self.control & IRQ_ENABLE != 0 {
            world.message(0);
        }
    }

    /// RESET: starts a reset where the key is right (SPEC 6).
    fn soft_reset(&mut self, world: &mut World, key: u32) {
        let broken = |world: &mut World| world.faults.hit(FaultKind::ResetDoesNothing, "RESET", 0);
        if key != 0x5445_5352 || broken(world).is_some() {
            return;
        }
        self.wipe();
        if !world.instant {
            self.ready = false;
            self.agenda.plan(world.now + RESET_TIME, Ready);
        }
    }

    /// Empties the queue and puts every register to its reset value.
    fn wipe(&mut self) {
        let reset_count = (self.reset_count + 1) & 0x7fff_ffff;
        *self = Fifo {
            reset_count,
            ..Fifo::new(self.depth)
        };
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
            Id::ERROR => self.error &= !word,
            Id::PUSH => self.push(world, word),
            Id::RESET => self.soft_reset(world, word),
            Id::THRESHOLD => self.threshold = word,
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

    fn reset(&mut self) {
        self.wipe();
    }

    fn vanish(&mut self) {
        self.wipe();
    }

    fn next_at(&self) -> Option<u64> {
        self.agenda.next_at()
    }

    fn run_next(&mut self, _world: &mut World) {
        if let Some(Ready) = self.agenda.pop() {
            self.ready = true;
        }
    }
}
