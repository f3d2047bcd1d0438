//! What a portal says and when, seen entry by entry: the status line, the end of a portal, quiesce, and what halts it
//! (SPEC 6, 9.1). The rings are driven by hand, past the driver, which would not do what is wrong.

use std::borrow::Cow;
use std::cell::Cell;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use hwpool_devices::bmu::regs::PortalState;
use hwpool_devices::bmu::{Bmu, ErrorBits, Layout, regs};
use hwpool_devices::bus::{BusError, DmaBuffer, Iova, Transport};
use hwpool_devices::reg::Field;
use hwpool_devices::wait::TimedOut;

use super::device::{List, Session, map, objects, open_list};
use crate::bringup::Failure;
use crate::bringup::symptom::{Blame, Symptom, ensure, wait_for};
use crate::dma::Mapping;

/// How long a device that must do nothing is looked at.
const QUIET: Duration = Duration::from_millis(1);
/// What lies behind the status line.
const GUARD: u64 = 0x5a5a_a5a5_3c3c_c3c3;
const EMPTY: u64 = 1 << 32;
const HALTED: u64 = 1 << 33;
const STOPPED: u64 = 1 << 34;

/// Runs a portal by hand through all of it; returns how many ways of halting it were tried.
pub(super) fn by_hand<T: Transport>(session: &Session<T>) -> Result<u64, Failure> {
    lines(session)?;
    no_others(session)?;
    quiesced(session)?;
    let halts = halts(session)?;
    match session.bmu.capabilities().is_settled() {
        true => judged_late(session).map(|()| halts + 1),
        false => Ok(halts),
    }
}

/// Returns what is wrong with the status lines and the stop of a portal that does write lines, if anything.
pub(super) fn wrong_line<T: Transport>(session: &Session<T>) -> Option<Failure> {
    let Err(Failure::Fail(symptom)) = lines(session) else {
        return None;
    };
    let error: &dyn Error = &*symptom;
    let is_wrong = (error.downcast_ref()).is_some_and(ServiceSymptom::is_of_lines);
    is_wrong.then_some(Failure::Fail(symptom))
}

/// Starts a portal, gives it buffers one by one, and stops it while one is announced: each status line as it must be.
fn lines<T: Transport>(session: &Session<T>) -> Result<(), Failure> {
    let hand = Hand::start(session, How::default())?;
    let (objects, ledger) = (hand.objects, "a portal was started");
    hand.expect(ledger, Line::new(1, EMPTY))?;
    for given in 1..=objects.min(2) {
        hand.give(given - 1)?;
        hand.ring(given, 0)?;
        let first = given == 1;
        let expected = Line {
            release_head: given,
            acquire_tail: 1,
            available: u64::from(given) - 1,
            ..Line::new(u64::from(given) + 1, if first { EMPTY } else { 0 })
        };
        hand.expect("a buffer was given", expected)?;
    }
    let mut given = objects.min(2);
    if objects > 2 {
        // A third buffer is announced, and then the first one is taken, so that acquire_head moves. One doorbell for both
        // would be two where it has to be written as halves.
        hand.give(given)?;
        given += 1;
        hand.ring(given, 0)?;
        let third = Line {
            release_head: given,
            acquire_tail: 1,
            available: 2,
            ..Line::new(4, 0)
        };
        hand.expect("a third buffer was given", third)?;
        hand.ring(given, 1)?;
        let moved = Line {
            release_head: given,
            acquire_head: 1,
            acquire_tail: 2,
            available: 1,
            ..Line::new(5, 0)
        };
        hand.expect("a buffer was taken", moved)?;
    }
    if objects > 3 {
        hand.give(given)?;
        given += 1;
        hand.ring(given, 1)?;
    }
    hand.stop()?;
    hand.has_stopped(given)
}

/// Has a portal consume less than its hysteresis, for which no status line is due: the last one has the next number.
fn no_others<T: Transport>(session: &Session<T>) -> Result<(), Failure> {
    let given = 3;
    let how = How {
        hysteresis: 2,
        ..How::default()
    };
    let hand = Hand::start(session, how)?;
    if hand.objects < given {
        return Ok(());
    }
    hand.expect("a portal was started", Line::new(1, EMPTY))?;
    (0..given).try_for_each(|index| hand.give(index))?;
    // A line is due for the first two, and none for the third.
    for (tail, after) in [(2, "two buffers were given"), (3, "a third one was given")] {
        hand.ring(tail, 0)?;
        let late = |timeout| ServiceSymptom::NotRead { after, timeout };
        hand.wait("the release entries' end", late, || {
            let head = hand.bmu.read_at(regs::PORTAL_RELEASE_HEAD, hand.portal)?;
            Ok((head == tail).then_some(()))
        })?;
    }
    hand.stop()?;
    hand.has_stopped(given)?;
    let (line, expected) = (hand.line(), 3);
    let is_right = line.sequence == expected;
    ensure!(is_right, ServiceSymptom::Needless { line, expected });
    Ok(())
}

/// Takes the memory of a status line away and halts the portal: the line that is refused then is no error more (SPEC 6.1).
///
/// Only a device that sees refused writes could take it for one.
pub(super) fn halts_unheard<T: Transport>(session: &Session<T>) -> Result<(), Failure> {
    let memory = map(&session.domain, regs::STATUS_LINE_SIZE, None)?;
    (0..memory.size())
        .step_by(8)
        .for_each(|at| memory.store64(at, 0));
    let how = How {
        status: Some(memory.iova()),
        ..How::default()
    };
    let hand = Hand::start(session, how)?;
    let what = "an entry of the wrong phase without a status line";
    let late = |timeout| ServiceSymptom::State {
        after: "a portal was started",
        state: PortalState::Running,
        timeout,
    };
    hand.wait("the first status line", late, || {
        Ok((memory.load64(24) != 0).then_some(()))
    })?;
    drop(memory);
    hand.memory.store64(0, hand.list.geometry().address(0));
    hand.ring(1, 0)?;
    hand.becomes(PortalState::Halted, what)?;
    // What is under way is done then.
    hand.bmu.quiesce()?;
    hand.bmu.resume()?;
    let found = hand.bmu.errors()?;
    let kind = regs::error::DMA_FAULT.low;
    let faults = hand.bmu.read_at(regs::ERR_COUNT, kind.into())?;
    ensure!(faults == 0, ServiceSymptom::Heard { found, faults });
    Ok(())
}

/// Quiesces the device and announces a buffer: nothing may be read or written until it goes on.
fn quiesced<T: Transport>(session: &Session<T>) -> Result<(), Failure> {
    let hand = Hand::start(session, How::default())?;
    hand.expect("a portal was started", Line::new(1, EMPTY))?;
    let (bmu, transport) = (&hand.bmu, &**hand.bmu.transport());
    let (enable, quiesce) = (regs::control::ENABLE.mask(), regs::control::QUIESCE.mask());
    regs::CONTROL.write(bmu.control(), (enable | quiesce) as u32)?;
    let limit = bmu.capabilities().timeout;
    let what = "STATUS.QUIESCED after CONTROL.QUIESCE";
    wait_for(transport, what, limit, ServiceSymptom::NotQuiesced, || {
        let status = bmu.read(regs::STATUS)?;
        Ok((regs::status::QUIESCED.of(status.into()) != 0).then_some(()))
    })?;
    hand.give(0)?;
    hand.ring(1, 0)?;
    let until = transport.now() + QUIET;
    while transport.now() < until {
        let head = bmu.read_at(regs::PORTAL_RELEASE_HEAD, hand.portal)?;
        let entry = hand.memory.load64(hand.layout.acquire_offset());
        let line = hand.line();
        let is_quiet = head == 0 && entry == 0 && line.sequence == 1;
        ensure!(is_quiet, ServiceSymptom::NotQuiet { head, entry, line });
        transport.relax();
    }
    regs::CONTROL.write(bmu.control(), enable as u32)?;
    let expected = Line {
        release_head: 1,
        acquire_tail: 1,
        ..Line::new(2, EMPTY)
    };
    hand.expect("QUIESCE was cleared", expected)?;
    hand.stop()
}

/// Writes a doorbell out of bounds while portals are not served: it halts the portal when they are (SPEC 4.3).
fn judged_late<T: Transport>(session: &Session<T>) -> Result<(), Failure> {
    let hand = Hand::start(session, How::default())?;
    hand.expect("a portal was started", Line::new(1, EMPTY))?;
    let bmu = &hand.bmu;
    regs::CONTROL.write(bmu.control(), 0)?;
    let beyond = hand.layout.release_entries() + 1;
    hand.ring(beyond, 0)?;
    let found = bmu.read_at(regs::PORTAL_STATUS, hand.portal)?;
    let is_held = PortalState::of(found) == PortalState::Running;
    ensure!(is_held, ServiceSymptom::JudgedEarly { found });
    regs::CONTROL.write(bmu.control(), regs::control::ENABLE.mask() as u32)?;
    let what = "a RELEASE_TAIL beyond the ring while CONTROL.ENABLE was 0";
    hand.has_halted(what, &regs::error::BAD_DOORBELL, beyond.into())
}

/// Does each thing that must halt a portal, one portal's life each.
fn halts<T: Transport>(session: &Session<T>) -> Result<u64, Failure> {
    let entries = u64::from(smallest(session).release_entries());
    let address = |hand: &Hand<T>| hand.list.geometry().address(0);
    let stale = regs::error::STALE_ENTRY;
    let bad = regs::error::BAD_DOORBELL;
    // An entry's low bits, a doorbell, and the kind.
    let cases = [
        ("an entry of the wrong phase", Some(0), 1, stale.clone()),
        ("an entry with a reserved bit", Some(0b10_0001), 1, stale),
        (
            "a RELEASE_TAIL beyond the ring",
            None,
            entries + 1,
            bad.clone(),
        ),
        (
            "an ACQUIRE_HEAD beyond what was written",
            None,
            1 << 32,
            bad,
        ),
    ];
    for (what, entry, doorbell, kind) in &cases {
        let hand = Hand::start(session, How::default())?;
        hand.expect("a portal was started", Line::new(1, EMPTY))?;
        let word = entry.map(|low| address(&hand) | low);
        if let Some(word) = word {
            hand.memory.store64(0, word);
        }
        hand.ring(*doorbell as u32, (doorbell >> 32) as u32)?;
        hand.has_halted(what, kind, word.unwrap_or(*doorbell))?;
    }
    Ok(cases.len() as u64)
}

fn smallest<T: Transport>(session: &Session<T>) -> Layout {
    let (log2, _) = session.bmu.capabilities().ring_log2;
    Layout::new(log2, log2)
}

/// How a portal is configured.
struct How {
    hysteresis: u32,
    /// Where its status line is, if not behind its rings.
    status: Option<Iova>,
}

impl Default for How {
    fn default() -> Self {
        How {
            hysteresis: 1,
            status: None,
        }
    }
}

/// A portal that is driven by hand: one credit, on a pool that is empty at first.
struct Hand<T: Transport> {
    // Field order is drop order: the pool goes before the memory of the rings.
    list: List<T>,
    bmu: Arc<Bmu<T>>,
    memory: Arc<Mapping<T>>,
    layout: Layout,
    portal: u16,
    objects: u32,
    /// The last status line that was as it must be.
    told: Cell<Line>,
}

impl<T: Transport> Hand<T> {
    fn start(session: &Session<T>, how: How) -> Result<Hand<T>, Failure> {
        let (bmu, layout) = (session.bmu.clone(), smallest(session));
        let objects = objects(&bmu, 8);
        let hand = Hand {
            list: open_list(&bmu, objects, objects)?,
            memory: map(&session.domain, layout.size(), None)?,
            portal: bmu.capabilities().portals - 1,
            layout,
            objects,
            told: Cell::new(Line::new(0, 0)),
            bmu,
        };
        let line = layout.status_offset()..layout.status_offset() + regs::STATUS_LINE_SIZE;
        for offset in (0..layout.size()).step_by(8) {
            let is_behind = offset >= line.end;
            hand.memory
                .store64(offset, if is_behind { GUARD } else { 0 });
        }
        hand.configure(how)?;
        let (portal, control) = (
            hand.portal,
            hand.bmu.read_at(regs::PORTAL_CONTROL, hand.portal)?,
        );
        ensure!(control == 1, ServiceSymptom::NotEnabled { portal, control });
        Ok(hand)
    }

    fn configure(&self, how: How) -> Result<(), BusError> {
        let (bar, portal) = (self.bmu.control(), self.portal);
        let (base, layout) = (self.memory.iova().0, self.layout);
        let (release, acquire) = layout.log2();
        let errors = regs::PORTAL_ERROR.row().bits as u32;
        regs::PORTAL_ERROR.write_at(bar, portal, errors)?;
        regs::PORTAL_POOL.write_at(bar, portal, self.list.id().number().into())?;
        regs::PORTAL_SIZES.write_at(bar, portal, release | acquire << 8)?;
        regs::PORTAL_RELEASE_BASE.write_at(bar, portal, base)?;
        let acquire = base + layout.acquire_offset() as u64;
        regs::PORTAL_ACQUIRE_BASE.write_at(bar, portal, acquire)?;
        let line = base + layout.status_offset() as u64;
        let line = how.status.map_or(line, |status| status.0);
        regs::PORTAL_STATUS_BASE.write_at(bar, portal, line)?;
        regs::PORTAL_CREDITS.write_at(bar, portal, 1)?;
        regs::PORTAL_HYSTERESIS.write_at(bar, portal, how.hysteresis)?;
        fence(Ordering::Release); // the zeroed rings come before ENABLE (SPEC 7)
        regs::PORTAL_CONTROL.write_at(bar, portal, 1)
    }

    /// Stores the release entry of object `index`, as entry `index`: the ring holds more than are ever given.
    fn give(&self, index: u32) -> Result<(), Failure> {
        let entry = self.list.geometry().address(index) | regs::ENTRY_PHASE;
        self.memory.store64(index as usize * 8, entry);
        Ok(())
    }

    fn ring(&self, tail: u32, head: u32) -> Result<(), BusError> {
        fence(Ordering::Release); // the entries come before the doorbell (SPEC 7)
        let value = u64::from(tail) | u64::from(head) << 32;
        regs::PORTAL_DOORBELL.write_at(self.bmu.operation(), self.portal, value)
    }

    /// Reads the status line in the order that SPEC 6.5 asks for.
    fn line(&self) -> Line {
        let word = |n: usize| {
            let word = self.memory.load64(self.layout.status_offset() + n * 8);
            self.memory.after_load();
            word
        };
        let (sequence, available, one, zero) = (word(3), word(2), word(1), word(0));
        Line {
            release_head: zero as u32,
            acquire_tail: (zero >> 32) as u32,
            acquire_head: one as u32,
            flags: one & !u64::from(u32::MAX),
            available,
            sequence,
        }
    }

    /// Waits for the status line that tells of as many release entries and lines, and compares all of it.
    fn expect(&self, after: &'static str, expected: Line) -> Result<(), Failure> {
        let late = |timeout| ServiceSymptom::NoLine {
            after,
            line: self.line(),
            timeout,
        };
        let waited = self.wait("a status line", late, || {
            let line = self.line();
            let is_there = line.release_head == expected.release_head
                && line.acquire_tail == expected.acquire_tail
                && line.sequence != 0;
            // What follows the words that were waited for may be on its way still.
            Ok((is_there && (line == expected || self.is_settled(&line)?)).then_some(()))
        });
        waited.map_err(|failure| self.untold(after, &expected).unwrap_or(failure))?;
        let line = self.line();
        let expected = Box::new(expected);
        ensure!(
            line == *expected,
            ServiceSymptom::Line {
                after,
                line,
                expected
            }
        );
        self.told.set(line);
        self.is_short()
    }

    /// Returns what is wrong with the status line, where the registers say that the portal did what it should tell of.
    fn untold(&self, after: &'static str, expected: &Line) -> Option<Failure> {
        let head = self.bmu.read_at(regs::PORTAL_RELEASE_HEAD, self.portal);
        let tail = self.bmu.read_at(regs::PORTAL_ACQUIRE_TAIL, self.portal);
        let (head, tail) = (head.ok()?, tail.ok()?);
        let (line, before) = (self.line(), Box::new(self.told.get()));
        let is_done = head == expected.release_head && tail == expected.acquire_tail;
        // One that is right by now came late, which is another matter.
        let is_told = line.release_head == head && line.acquire_tail == tail;
        if !is_done || is_told || line.sequence == 0 {
            return None;
        }
        let is_less = |now: u32, then: u32| (now.wrapping_sub(then) as i32) < 0;
        let went_back = is_less(line.release_head, before.release_head)
            || is_less(line.acquire_tail, before.acquire_tail);
        let symptom = if went_back {
            ServiceSymptom::Back {
                after,
                line,
                before,
            }
        } else if line.sequence == before.sequence {
            ServiceSymptom::Rare {
                after,
                line,
                head,
                tail,
            }
        } else {
            ServiceSymptom::Behind {
                after,
                line,
                head,
                tail,
            }
        };
        Some(symptom.into())
    }

    /// Tells whether a line stays as it is, over some reads of the device, which push what it has sent.
    fn is_settled(&self, line: &Line) -> Result<bool, BusError> {
        for _ in 0..8 {
            self.bmu.read_at(regs::PORTAL_STATUS, self.portal)?;
        }
        Ok(self.line() == *line)
    }

    /// Sees nothing written behind the 32 bytes.
    fn is_short(&self) -> Result<(), Failure> {
        let end = self.layout.status_offset() + regs::STATUS_LINE_SIZE;
        for offset in (end..self.layout.size()).step_by(8) {
            let (found, byte) = (
                self.memory.load64(offset),
                offset + regs::STATUS_LINE_SIZE - end,
            );
            ensure!(found == GUARD, ServiceSymptom::Long { found, byte });
        }
        Ok(())
    }

    fn stop(&self) -> Result<(), Failure> {
        regs::PORTAL_CONTROL.write_at(self.bmu.control(), self.portal, 0)?;
        self.becomes(PortalState::Disabled, "a portal was stopped")
    }

    /// Looks at what a portal left that stopped after `given` buffers were announced.
    fn has_stopped(&self, given: u32) -> Result<(), Failure> {
        let line = self.line();
        let is_stopped = line.flags & (STOPPED | HALTED) == STOPPED;
        ensure!(is_stopped, ServiceSymptom::NotStopped { line });
        let head = self.bmu.read_at(regs::PORTAL_RELEASE_HEAD, self.portal)?;
        let tail = self.bmu.read_at(regs::PORTAL_ACQUIRE_TAIL, self.portal)?;
        let is_consumed = line.release_head == given;
        ensure!(
            is_consumed,
            ServiceSymptom::NotConsumed { given, head, line }
        );
        let keeps = (head, tail) == (given, line.acquire_tail);
        let may_forget = !self.bmu.capabilities().is_settled();
        ensure!(
            keeps || may_forget,
            ServiceSymptom::Forgot { head, tail, line }
        );
        let held = self.list.available()?;
        let is_counted = held == given - line.acquire_tail && line.available == u64::from(held);
        ensure!(is_counted, ServiceSymptom::Held { given, held, line });
        self.is_short()
    }

    /// Waits until the portal halts for one reason, sees it reported, and disables it.
    fn has_halted(&self, what: &'static str, kind: &Field, value: u64) -> Result<(), Failure> {
        self.becomes(PortalState::Halted, what)?;
        let found = ErrorBits(self.bmu.read_at(regs::PORTAL_ERROR, self.portal)?);
        let at = self.bmu.read_at(regs::PORTAL_ERROR_ADDRESS, self.portal)?;
        let is_right = u64::from(found.0) == kind.mask() && at == value;
        let kind = kind.name.clone();
        ensure!(
            is_right,
            ServiceSymptom::Halt {
                what,
                found,
                at,
                kind,
                value
            }
        );
        let late = |timeout| ServiceSymptom::NoLine {
            after: what,
            line: self.line(),
            timeout,
        };
        self.wait("a status line with HALTED", late, || {
            Ok((self.line().flags & HALTED != 0).then_some(()))
        })?;
        let (line, head) = (self.line(), self.told.get().acquire_head);
        let is_acted_on = line.acquire_head == head || !self.bmu.capabilities().is_settled();
        ensure!(is_acted_on, ServiceSymptom::Head { what, head, line });
        self.bmu.clear_errors(self.bmu.errors()?)?;
        self.bmu.take_error_record()?;
        self.stop()
    }

    fn becomes(&self, state: PortalState, after: &'static str) -> Result<(), Failure> {
        let late = |timeout| ServiceSymptom::State {
            after,
            state,
            timeout,
        };
        let what = match state {
            PortalState::Halted => "halt of the portal",
            _ => "stop of the portal",
        };
        self.wait(what, late, || {
            let status = self.bmu.read_at(regs::PORTAL_STATUS, self.portal)?;
            Ok((PortalState::of(status) == state).then_some(()))
        })
    }

    fn wait(
        &self,
        what: &'static str,
        late: impl FnOnce(TimedOut) -> ServiceSymptom,
        look: impl Fn() -> Result<Option<()>, BusError>,
    ) -> Result<(), Failure> {
        let limit = self.bmu.capabilities().timeout;
        wait_for(&**self.bmu.transport(), what, limit, late, look)
    }
}

impl<T: Transport> Drop for Hand<T> {
    /// Best effort: leaves the portal disabled, so that its pool can go.
    fn drop(&mut self) {
        let _ = regs::CONTROL.write(self.bmu.control(), regs::control::ENABLE.mask() as u32);
        // One that halts while it stops is disabled by another write.
        for _ in 0..2 {
            let _ = self.stop();
        }
        let _ = regs::PORTAL_ERROR.write_at(
            self.bmu.control(),
            self.portal,
            regs::PORTAL_ERROR.row().bits as u32,
        );
    }
}

/// A status line (SPEC 6.5).
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
struct Line {
    release_head: u32,
    acquire_tail: u32,
    acquire_head: u32,
    flags: u64,
    available: u64,
    sequence: u64,
}

impl Line {
    fn new(sequence: u64, flags: u64) -> Line {
        Line {
            release_head: 0,
            acquire_tail: 0,
            acquire_head: 0,
            flags,
            available: 0,
            sequence,
        }
    }

    fn words(&self) -> String {
        let names = [(EMPTY, "EMPTY"), (HALTED, "HALTED"), (STOPPED, "STOPPED")];
        let set = names.iter().filter(|(bit, _)| self.flags & bit != 0);
        let flags: Vec<&str> = set.map(|(_, name)| *name).collect();
        format!(
            "release_head {}, acquire_tail {}, acquire_head {}, {}available {}, sequence {}",
            self.release_head,
            self.acquire_tail,
            self.acquire_head,
            flags
                .iter()
                .map(|flag| format!("{flag}, "))
                .collect::<String>(),
            self.available,
            self.sequence
        )
    }
}

/// What is wrong with how a portal serves.
#[derive(Debug, thiserror::Error)]
enum ServiceSymptom {
    #[error("PORTAL_CONTROL[{portal}] reads {control:#x} after a valid configuration was enabled")]
    NotEnabled { portal: u16, control: u32 },
    #[error("no status line as due after {after}: it says {}", line.words())]
    NoLine {
        after: &'static str,
        line: Line,
        #[source]
        timeout: TimedOut,
    },
    #[error("after {after} the status line says {}, and not {}", line.words(), expected.words())]
    Line {
        after: &'static str,
        line: Line,
        expected: Box<Line>,
    },
    #[error(
        "after {after} the status line went backwards: it said {}, and says {} now",
        before.words(), line.words()
    )]
    Back {
        after: &'static str,
        line: Line,
        before: Box<Line>,
    },
    #[error(
        "after {after} the status line stays behind: PORTAL_RELEASE_HEAD is {head}, PORTAL_ACQUIRE_TAIL is {tail}, and it says {}",
        line.words()
    )]
    Behind {
        after: &'static str,
        line: Line,
        head: u32,
        tail: u32,
    },
    #[error(
        "no status line was written after {after}: PORTAL_RELEASE_HEAD is {head}, PORTAL_ACQUIRE_TAIL is {tail}, and the last one says {}",
        line.words()
    )]
    Rare {
        after: &'static str,
        line: Line,
        head: u32,
        tail: u32,
    },
    #[error(
        "{} status lines were written where {expected} were due: the last one says {}",
        line.sequence, line.words()
    )]
    Needless { line: Line, expected: u64 },
    #[error("not all that was announced was consumed after {after}")]
    NotRead {
        after: &'static str,
        #[source]
        timeout: TimedOut,
    },
    #[error(
        "{faults} DMA_FAULT after a portal that had halted could not write its last status line: ERR_STATUS is {found}"
    )]
    Heard { found: ErrorBits, faults: u32 },
    #[error("the status line is longer than 32 bytes: {found:#x} was written at byte {byte}")]
    Long { found: u64, byte: usize },
    #[error("a portal became disabled without a status line with STOPPED: it says {}", line.words())]
    NotStopped { line: Line },
    #[error(
        "a portal stopped with {given} release entries announced and consumed {head}: the status line says {}",
        line.words()
    )]
    NotConsumed { given: u32, head: u32, line: Line },
    #[error(
        "PORTAL_RELEASE_HEAD is {head}, PORTAL_ACQUIRE_TAIL is {tail} after the portal was disabled: its last status line says {}",
        line.words()
    )]
    Forgot { head: u32, tail: u32, line: Line },
    #[error("{what}: the status line with HALTED has another acquire_head than {head}: {}", line.words())]
    Head {
        what: &'static str,
        head: u32,
        line: Line,
    },
    #[error(
        "PORTAL_STATUS is {found} after a doorbell out of bounds while CONTROL.ENABLE is 0, and not running"
    )]
    JudgedEarly { found: u32 },
    #[error("of {given} buffers {held} are in the list after the stop: the status line says {}", line.words())]
    Held { given: u32, held: u32, line: Line },
    #[error("{what}: PORTAL_ERROR is {found} at {at:#x} instead of {kind} at {value:#x}")]
    Halt {
        what: &'static str,
        found: ErrorBits,
        at: u64,
        kind: Cow<'static, str>,
        value: u64,
    },
    #[error("after {after}")]
    State {
        after: &'static str,
        state: PortalState,
        #[source]
        timeout: TimedOut,
    },
    #[error(transparent)]
    NotQuiesced(TimedOut),
    #[error(
        "DMA went on after STATUS.QUIESCED: {head} release entries were consumed, the acquire entry is {entry:#x}, the status line says {}",
        line.words()
    )]
    NotQuiet { head: u32, entry: u64, line: Line },
}

impl ServiceSymptom {
    /// Tells whether lines are written and are wrong, the last one at a stop among them.
    fn is_of_lines(&self) -> bool {
        matches!(
            self,
            ServiceSymptom::Line { .. }
                | ServiceSymptom::Back { .. }
                | ServiceSymptom::Behind { .. }
                | ServiceSymptom::Rare { .. }
                | ServiceSymptom::NotStopped { .. }
                | ServiceSymptom::NotConsumed { .. }
                | ServiceSymptom::Held { .. }
        )
    }
}

impl Symptom for ServiceSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            ServiceSymptom::NotEnabled { .. } => &[
                "the bit that enables the list or the portal is a constant, or writes to it are lost",
                "the device takes a correct configuration for a wrong one: its error bit says which part",
            ],
            ServiceSymptom::NoLine { .. } | ServiceSymptom::Line { .. } => &[
                "the status line is not made of the counts and flags of its moment, or not written when SPEC 6.5 says",
                "its words are put together at different times",
            ],
            ServiceSymptom::Back { .. } => &[
                "an older status line is written after a newer one: two that are under way change places, or the counts come from two places",
            ],
            ServiceSymptom::Behind { .. } => &[
                "the counts of a status line are latched before the doorbell is acted on: it tells of the moment before",
            ],
            ServiceSymptom::Rare { .. } => &[
                "not every status line that SPEC 6.5 asks for is written: PORTAL_HYSTERESIS is counted wrong, or one that is due gets lost",
            ],
            ServiceSymptom::Needless { .. } => &[
                "a status line is written after each doorbell, or PORTAL_HYSTERESIS is counted wrong",
            ],
            ServiceSymptom::NotRead { .. } => {
                &["the device does not act on a doorbell, or PORTAL_RELEASE_HEAD stands still"]
            }
            ServiceSymptom::Heard { .. } => &[
                "the refusal of the status line with HALTED is reported like any other: the portal is past that",
            ],
            ServiceSymptom::Long { .. } => &[
                "the DMA write of the status line has the length of a cache line, not of SPEC 6.5",
            ],
            ServiceSymptom::NotStopped { .. } => {
                &["the portal becomes disabled before its last status line is written"]
            }
            ServiceSymptom::NotConsumed { .. } | ServiceSymptom::Held { .. } => {
                &["the stop does not wait for the release entries that the last doorbell announced"]
            }
            ServiceSymptom::Forgot { .. } => {
                &["the counts are cleared when the portal is disabled, and not when it is enabled"]
            }
            ServiceSymptom::Head { .. } => {
                &["acquire_head is latched from the doorbell before its bounds are checked"]
            }
            ServiceSymptom::JudgedEarly { .. } => &[
                "the bounds of a doorbell are checked when it arrives, whether portals are served or not",
            ],
            ServiceSymptom::Halt { .. } => {
                &["PORTAL_ERROR or its address is not latched when the portal halts"]
            }
            ServiceSymptom::State {
                state: PortalState::Halted,
                ..
            } => &[
                "the device does not check phase and reserved bits of release entries, or the bounds of a doorbell",
                "a portal that halts does not stay so until it is disabled",
            ],
            ServiceSymptom::State { .. } => {
                &["the portal does not stop, or PORTAL_STATUS is a constant"]
            }
            ServiceSymptom::NotQuiesced(_) => &[
                "the device waits for something that does not come before it counts as quiesced",
                "STATUS.QUIESCED is a constant",
            ],
            ServiceSymptom::NotQuiet { .. } => &[
                "CONTROL.QUIESCE does not reach the portals' DMA: STATUS.QUIESCED says what is not so",
            ],
        })
    }
}
