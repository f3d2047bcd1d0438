//! A model, a driver on it, and a bench: one pool that is watched by a plain set.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod edge;
pub(crate) mod session;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hwpool::bringup::Options;
use hwpool::device::AnyTransport;
use hwpool::devices::bmu::{Layout, List, PortalConfig, PortalId, PortalRef, regs};
use hwpool::devices::bus::{Iova, Transport};
use hwpool::devices::family::{FreeList, ListConfig, OpenReset, PathError};
use hwpool::dma::{Memory, MemoryRequest, Placement, Slice};
use hwpool::sim::{Fault, InProcess};

/// Bytes from object to object.
pub(crate) const STRIDE: u64 = 2048;
/// Where pools begin: above 4 GiB and below 2^40. Nothing is mapped there.
pub(crate) const BASE: u64 = 1 << 36;
/// Objects of a bench's pool, and how many of them it gives to the device at the start.
pub(crate) const OBJECTS: u32 = 64;
pub(crate) const GIVEN: u32 = 32;
/// What is in an output that must stay as it is.
pub(crate) const UNTOUCHED: u32 = 0xdead_beef;

pub(crate) use session::Session;

pub(crate) type SimList = List<InProcess, Slice<InProcess>>;

/// Opens a model by the options of its address, such as `seed=3`.
pub(crate) fn model(options: &str) -> Arc<InProcess> {
    model_of("bmu", options)
}

/// Opens a model of a kind by the options of its address.
pub(crate) fn model_of(kind: &str, options: &str) -> Arc<InProcess> {
    match AnyTransport::open(&format!("sim:{kind}?{options}")).expect("the model opens") {
        AnyTransport::Sim(model) => model,
        _ => panic!("sim: opens a model"),
    }
}

/// What makes a climb brief, for tests that make many.
pub(crate) fn brief() -> Options {
    Options {
        buffers: 64,
        laps: 1,
        soak: Duration::from_millis(1),
        ..Options::default()
    }
}

/// Opens a list of `objects` on `session`.
pub(crate) fn list(session: &Session<InProcess>, objects: u32) -> SimList {
    List::open(&session.bmu, &list_config(objects)).expect("a list opens")
}

pub(crate) fn list_config(objects: u32) -> ListConfig {
    ListConfig {
        base: Iova(BASE),
        stride: STRIDE,
        objects,
        capacity: objects,
    }
}

/// Rings of 2^`log2` entries, all of them credits, each call announced at once.
pub(crate) fn portal_config(log2: u32) -> PortalConfig {
    let layout = Layout::new(log2, log2);
    let entries = layout.acquire_entries();
    PortalConfig {
        layout,
        credits: entries,
        hysteresis: entries / 4,
        batch: 1,
    }
}

/// Maps memory for the rings of a portal.
pub(crate) fn rings(session: &Session<InProcess>, layout: Layout) -> Slice<InProcess> {
    let memory = Memory::allocate(&MemoryRequest::new(layout.size())).expect("memory");
    let mapping = session
        .domain
        .map(Arc::new(memory), Placement::Anywhere { align: 64 })
        .expect("a mapping");
    Arc::new(mapping).slice(0..layout.size()).expect("a slice")
}

/// Opens a portal on `list`.
pub(crate) fn portal(
    session: &Session<InProcess>,
    list: &mut SimList,
    config: &PortalConfig,
) -> PortalId {
    list.open_portal(rings(session, config.layout), config)
        .expect("a portal opens")
}

/// A pool, with or without a portal, and the set of the objects that the test holds.
pub(crate) struct Bench {
    pub(crate) list: SimList,
    pub(crate) session: Session<InProcess>,
    pub(crate) model: Arc<InProcess>,
    pub(crate) held: BTreeSet<u32>,
    /// Whether time is real: the model was asked to run in a thread of its own.
    pub(crate) is_threaded: bool,
}

impl Bench {
    /// A bench on the register path: [`GIVEN`] objects are in the list.
    pub(crate) fn registers(options: &str) -> Bench {
        let model = model(options);
        let session = Session::open(model.clone()).expect("the device opens");
        let mut bench = Bench {
            list: list(&session, OBJECTS),
            session,
            model,
            held: (0..OBJECTS).collect(),
            is_threaded: options.contains("mode=threaded"),
        };
        bench.give(GIVEN).expect("the device takes objects");
        bench
    }

    /// A bench with a portal of 16 entries: [`GIVEN`] objects are given, and one is taken so that the rings run.
    pub(crate) fn rings(options: &str) -> Bench {
        let mut bench = Bench::registers(options);
        portal(&bench.session, &mut bench.list, &portal_config(4));
        assert_eq!(bench.take(1), Ok(true));
        bench
    }

    /// Returns the portal of the bench's pool.
    pub(crate) fn portal(&mut self) -> PortalRef<'_, InProcess, Slice<InProcess>> {
        self.list.first_portal().expect("the bench has a portal")
    }

    pub(crate) fn inject(&self, fault: Fault) {
        self.model.inject(fault).expect("the fault can happen");
    }

    /// Lets all writes that are under way arrive.
    pub(crate) fn settle(&self) {
        let _ = self.session.bmu.read(regs::SCRATCH);
    }

    /// Gives the lowest `n` objects that the test holds.
    pub(crate) fn give(&mut self, n: u32) -> Result<(), PathError> {
        let objects: Vec<u32> = self.held.iter().copied().take(n as usize).collect();
        assert_eq!(objects.len(), n as usize, "the test holds as many");
        self.list.give(&objects)?;
        for object in objects {
            self.held.remove(&object);
        }
        Ok(())
    }

    /// Takes `n` objects, sees that nobody has them, and that an output without success is untouched.
    pub(crate) fn take(&mut self, n: u32) -> Result<bool, PathError> {
        let mut out = vec![UNTOUCHED; n as usize];
        let result = self.list.take(&mut out);
        if result == Ok(true) {
            self.hold(&out);
        } else {
            assert_eq!(out, vec![UNTOUCHED; n as usize], "after {result:?}");
        }
        result
    }

    /// Notes that the test holds `objects` now; none may be held already.
    pub(crate) fn hold(&mut self, objects: &[u32]) {
        for &object in objects {
            assert!(object < OBJECTS, "there is no object {object}");
            assert!(self.held.insert(object), "object {object} is held twice");
        }
    }

    /// Closes everything, resets the device, and cycles every object through a fresh pool and portal.
    pub(crate) fn recovers(self) {
        let Bench {
            list: old,
            session,
            model,
            ..
        } = self;
        drop(old);
        session.bmu.reset(OpenReset::Best).expect("resets");
        session.bmu.start().expect("starts");
        let mut list = list(&session, OBJECTS);
        portal(&session, &mut list, &portal_config(4));
        let portal = |list: &mut SimList| list.first_portal().expect("a portal").drain();
        assert_eq!(portal(&mut list), Ok(vec![]), "nothing after a reset");
        let all: Vec<u32> = (0..OBJECTS).collect();
        list.give(&all).expect("enqueues");
        let mut drained = portal(&mut list).expect("drains");
        drained.sort_unstable();
        assert_eq!(drained, all, "each object exactly once");
        assert_eq!(list.close_portals(), Ok(vec![]));
        drop(list);
        session.bmu.close().expect("closes");
        drop(model);
    }

    /// Resets the device after faults that go on for ever, where only the reset itself can be asked for.
    pub(crate) fn resets(self) {
        let Bench { list, session, .. } = self;
        drop(list);
        session.bmu.reset(OpenReset::Best).expect("resets");
    }

    /// Returns the device's clock.
    pub(crate) fn now(&self) -> Duration {
        self.model.now()
    }
}
