//! Rung 13: a pool that runs dry and recovers, with its events.

use std::sync::Arc;
use std::time::Duration;

use hwpool_devices::bmu::{Bmu, regs};
use hwpool_devices::bus::{Irq, Transport};

use super::device::{self, List, RingMemory, Session};
use crate::bringup::general::device::{INTERRUPT, OBJECTS};
use crate::bringup::general::interrupts::counted;
use crate::bringup::general::lists::{Counted, counts};
use crate::bringup::rung::Board;
use crate::bringup::symptom::{Blame, Symptom, ensure};
use crate::bringup::{Evidence, Failure};
use crate::report::{Plot, Series};

/// Fewer objects than this leave no room between two thresholds.
const FEWEST: u32 = 8;
/// How long an interrupt that must not come is waited for.
const SILENCE: Duration = Duration::from_millis(20);

/// Runs a pool dry and lets it recover: one event and one interrupt each, then service as before.
pub(super) fn exhaustion<T: Transport>(
    board: &mut Board<'_, T>,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let session = &device::session(board)?;
    let bmu = &session.bmu;
    if !bmu.capabilities().thresholds {
        return Err(Failure::Skip("the device has no thresholds".into()));
    }
    device::needs_register_path(bmu)?;
    let objects = device::objects(bmu, OBJECTS);
    if objects < FEWEST {
        let why = format!("pools of {objects} buffers have no room for two thresholds");
        return Err(Failure::Skip(why));
    }
    cross_thresholds(bmu, objects, evidence)?;
    if bmu.capabilities().portals > 0 {
        starve_portal(session)?;
        evidence.text("event of the portal", "AVAILABLE once");
    }
    Ok(())
}

/// Takes all buffers and gives them back; sees each event once, and its interrupt.
fn cross_thresholds<T: Transport>(
    bmu: &Arc<Bmu<T>>,
    objects: u32,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let mut list = full_list(bmu, objects)?;
    let (low, high) = (objects / 4, objects / 2);
    list.set_thresholds(low, high)?;
    let last = bmu.vectors()?.saturating_sub(1);
    let irq = list.event_interrupt(last)?;
    let mut levels = vec![objects];
    let taken = run_dry(&mut list, objects, &mut levels)?;
    expect_event(&list, &irq, (true, false), "DEPLETED")?;
    for &index in &taken {
        list.free(index)?;
        levels.push(list.available()?);
    }
    evidence.series.push(fill_level(&levels));
    let level = regs::POOL_AVAILABLE.row();
    counts(level, list.available()?, objects, Counted::GivenBack)?;
    expect_event(&list, &irq, (false, true), "RECOVERED")?;
    let pool = list.id().number();
    drop(list);
    if bmu.capabilities().is_settled() {
        let found = bmu.read_at(regs::POOL_EVENT, pool)?;
        ensure!(found == 0, ThresholdSymptom::Emptied { found });
    }
    evidence.count("taken until dry", taken.len() as u64);
    evidence.count("low threshold", low);
    evidence.count("high threshold", high);
    evidence.text("events", "DEPLETED once, RECOVERED once");
    Ok(())
}

/// Returns what POOL_AVAILABLE said after each operation, as a plot.
fn fill_level(levels: &[u32]) -> Series {
    let points = levels.iter().enumerate();
    Series {
        name: "fill level".into(),
        kind: Plot::Line,
        x: "operations".into(),
        y: "buffers".into(),
        points: points
            .map(|(n, level)| (n as f64, f64::from(*level)))
            .collect(),
    }
}

fn run_dry<T: Transport>(
    list: &mut List<T>,
    objects: u32,
    levels: &mut Vec<u32>,
) -> Result<Vec<u32>, Failure> {
    let mut taken = Vec::new();
    while let Some(index) = list.alloc()? {
        taken.push(index);
        levels.push(list.available()?);
    }
    let count = taken.len();
    ensure!(
        count == objects as usize,
        ThresholdSymptom::Took { count, objects }
    );
    let one_more = list.alloc()?;
    ensure!(one_more.is_none(), ThresholdSymptom::OneMore("list"));
    Ok(taken)
}

fn expect_event<T: Transport>(
    list: &List<T>,
    irq: &T::Irq,
    expected: (bool, bool),
    name: &'static str,
) -> Result<(), Failure> {
    let fired = irq.wait(INTERRUPT)?;
    let events = list.take_events()?;
    ensure!(
        events == expected,
        ThresholdSymptom::Events { events, name }
    );
    let again = irq.wait(SILENCE)?;
    let fired = fired + again;
    ensure!(fired == 1, ThresholdSymptom::Fired { name, fired });
    Ok(())
}

/// Runs a pool dry through a portal, gives one buffer, and sees the event that buffers are available, and the buffer. The
/// list is one without thresholds: where the device has one vector, its events would come by the same.
fn starve_portal<T: Transport>(session: &Session<T>) -> Result<(), Failure> {
    let objects = device::objects(&session.bmu, OBJECTS);
    let list = &mut full_list(&session.bmu, objects)?;
    let memory = RingMemory::small(session)?;
    let mut portal = memory.open_portal(list)?;
    let all = portal.drain()?;
    let count = all.len();
    ensure!(
        count == objects as usize,
        ThresholdSymptom::Drained { count, objects }
    );
    let one_more = portal.dequeue(&mut [0])?;
    ensure!(!one_more, ThresholdSymptom::OneMore("pool"));
    portal.take_event()?;
    let irq = portal.event_interrupt(0)?;
    portal.enqueue(&all[..1])?;
    portal.flush()?;
    let fired = irq.wait(INTERRUPT)?;
    let name = "AVAILABLE";
    ensure!(fired == 1, ThresholdSymptom::Fired { name, fired });
    ensure!(portal.take_event()?, ThresholdSymptom::NoEvent);
    let (gave, mut took) = (all[0], [0]);
    let is_there = portal.dequeue(&mut took)?;
    ensure!(is_there, ThresholdSymptom::NoBuffer);
    let [took] = took;
    ensure!(took == gave, ThresholdSymptom::Other { gave, took });
    portal.enqueue(&all)?;
    list.close_portals()?;
    Ok(())
}

/// Opens a pool at the bottom of the address space, and frees all its objects into it.
fn full_list<T: Transport>(bmu: &Arc<Bmu<T>>, objects: u32) -> Result<List<T>, Failure> {
    let mut list = device::open_list(bmu, objects, objects)?;
    for index in 0..objects {
        list.free(index)?;
    }
    Ok(list)
}

/// What is wrong with thresholds and events.
#[derive(Debug, thiserror::Error)]
enum ThresholdSymptom {
    #[error("took {count} of {objects} buffers")]
    Took { count: usize, objects: u32 },
    #[error("a portal drained {count} of {objects} buffers")]
    Drained { count: usize, objects: u32 },
    #[error("a {0} that ran dry gave one more")]
    OneMore(&'static str),
    #[error("(DEPLETED, RECOVERED) is {events:?} where {name} alone was due")]
    Events {
        events: (bool, bool),
        name: &'static str,
    },
    #[error("{name} raised {fired} interrupts instead of 1")]
    Fired { name: &'static str, fired: u64 },
    #[error("POOL_EVENT is {found:#x} after a full pool was disabled")]
    Emptied { found: u32 },
    #[error("an interrupt without its event AVAILABLE")]
    NoEvent,
    #[error("AVAILABLE was raised and there is no buffer")]
    NoBuffer,
    #[error("gave object {gave}, took {took}")]
    Other { gave: u32, took: u32 },
}

impl Symptom for ThresholdSymptom {
    fn blame(&self) -> Blame {
        Blame::Device(match self {
            ThresholdSymptom::Took { .. }
            | ThresholdSymptom::Drained { .. }
            | ThresholdSymptom::Other { .. } => &[
                "the list's memory drops entries or mixes them up: its pointers wrap at another size",
            ],
            ThresholdSymptom::OneMore(_) => &[
                "the device hands out what it was never given: the list's empty condition is off by one",
            ],
            ThresholdSymptom::Events { .. } => &[
                "the threshold is compared with the wrong count, or its event is not latched once",
            ],
            ThresholdSymptom::Fired { fired, .. } => counted(*fired),
            ThresholdSymptom::Emptied { .. } => {
                &["emptying the list counts as falling below the threshold"]
            }
            ThresholdSymptom::NoEvent => {
                &["PORTAL_EVENT is not latched when the interrupt is sent, or is a constant"]
            }
            ThresholdSymptom::NoBuffer => {
                &["the event is raised before the buffer is there, or for another pool"]
            }
        })
    }
}
