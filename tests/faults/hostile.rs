//! A device that does anything at any time, and a driver that is asked for anything: no panic, no object twice, no wait
//! without end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hwpool::devices::bmu::regs;
use hwpool::devices::bus::Transport;
use hwpool::devices::family::{FreeList, OpenReset, PathError};
use hwpool::sim::{Fault, FaultKind, InProcess};
use proptest::prelude::*;

use crate::rig::{self, OBJECTS, Session, SimList, UNTOUCHED};

#[derive(Debug, Clone)]
enum Step {
    Inject(Fault),
    Enqueue(u32),
    Dequeue(u32),
    Free(u32),
    Alloc(u32),
    Flush,
    DrainPortal,
    Drain,
    Look,
    ClosePortal,
    OpenPortal(u32),
    OpenList,
    Reset(bool),
    Quiesce,
    OpenDevice,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => fault().prop_map(Step::Inject),
        8 => (1..40u32).prop_map(Step::Enqueue),
        8 => (1..40u32).prop_map(Step::Dequeue),
        3 => (1..5u32).prop_map(Step::Free),
        3 => (1..5u32).prop_map(Step::Alloc),
        1 => Just(Step::Flush),
        1 => Just(Step::DrainPortal),
        1 => Just(Step::Drain),
        1 => Just(Step::Look),
        1 => Just(Step::ClosePortal),
        3 => (3..6u32).prop_map(Step::OpenPortal),
        2 => Just(Step::OpenList),
        1 => any::<bool>().prop_map(Step::Reset),
        1 => Just(Step::Quiesce),
        1 => Just(Step::OpenDevice),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    let kinds: Vec<FaultKind> = crate::of_bmu().map(|(_, kind)| kind).collect();
    let names: Vec<&str> = regs::TABLE.iter().map(|row| &*row.name).collect();
    let register = prop_oneof![
        2 => Just(None),
        1 => Just(Some("PORTAL_DOORBELL")),
        1 => Just(Some("POOL_ALLOC")),
        2 => prop::sample::select(names).prop_map(Some),
    ];
    let value = prop_oneof![
        0..4u64,
        0..100_000_000u64,
        any::<u64>(),
        Just(rig::BASE + 7 * rig::STRIDE),
    ];
    (
        prop::sample::select(kinds),
        register,
        1..12u64,
        0..4u64,
        value,
    )
        .prop_map(|(kind, register, nth, times, value)| Fault {
            kind,
            register: match kind {
                FaultKind::Stuck => register.or(Some("PORTAL_STATUS")),
                _ => register,
            }
            .map(Into::into),
            index: None,
            nth,
            times,
            // A doorbell that comes late comes within seconds: the model's clock goes on to it in one step.
            value: match kind {
                FaultKind::DelayedDoorbell => value % 1_000_000_000,
                _ => value,
            },
        })
}

/// The driver in whatever state it is; field order is drop order.
struct Host {
    list: Option<SimList>,
    session: Option<Session<InProcess>>,
    model: Arc<InProcess>,
    /// What the test holds, while the list is sound.
    held: BTreeSet<u32>,
}

impl Host {
    fn new(model: Arc<InProcess>) -> Host {
        let mut host = Host {
            list: None,
            session: None,
            model,
            held: BTreeSet::new(),
        };
        host.open_device();
        host
    }

    fn open_device(&mut self) {
        self.list = None;
        self.session = None;
        self.session = Session::open(self.model.clone()).ok();
        self.open_list();
    }

    fn open_list(&mut self) {
        self.list = None;
        let bmu = self.session.as_ref().map(|session| session.bmu.clone());
        self.list = bmu.and_then(|bmu| SimList::open(&bmu, &rig::list_config(OBJECTS)).ok());
        self.held = (0..OBJECTS).collect();
    }

    fn open_portal(&mut self, log2: u32) {
        let (Some(session), Some(list)) = (&self.session, &mut self.list) else {
            return;
        };
        if list.first_portal().is_some() {
            return;
        }
        let config = rig::portal_config(log2);
        let _ = list.open_portal(rig::rings(session, config.layout), &config);
    }

    fn act(&mut self, step: Step) {
        match step {
            Step::Inject(fault) => self.model.inject(fault).expect("a fault that can happen"),
            Step::OpenDevice => self.open_device(),
            Step::OpenList => self.open_list(),
            Step::OpenPortal(log2) => self.open_portal(log2),
            Step::Reset(best) => self.reset(best),
            Step::Quiesce => self.quiesce(),
            other => self.move_objects(other),
        }
    }

    fn reset(&mut self, best: bool) {
        self.list = None;
        let kind = if best {
            OpenReset::Best
        } else {
            OpenReset::Soft
        };
        if let Some(session) = &self.session
            && session.bmu.reset(kind).is_ok()
        {
            let _ = session.bmu.start();
        }
        self.open_list();
    }

    fn quiesce(&mut self) {
        if let Some(session) = &self.session {
            let _ = session.bmu.quiesce();
            let _ = session.bmu.resume();
        }
    }

    fn move_objects(&mut self, step: Step) {
        let Some(list) = &mut self.list else {
            return;
        };
        let was_sound = list.poison().is_none();
        let some: Vec<u32> = match step {
            Step::Enqueue(n) | Step::Free(n) => {
                self.held.iter().copied().take(n as usize).collect()
            }
            _ => vec![],
        };
        let mut out = match step {
            Step::Dequeue(n) | Step::Alloc(n) => vec![UNTOUCHED; n as usize],
            _ => vec![],
        };
        let given = |result: Result<(), PathError>| result.map(|()| vec![]);
        let result = match (&step, list.first_portal()) {
            (Step::Enqueue(_), _) => given(list.give(&some)),
            (Step::Free(_), _) => given(list.free_all(&some)),
            (Step::Dequeue(_), _) => filled(list.take(&mut out), out),
            (Step::Alloc(_), _) => filled(list.alloc_all(&mut out), out),
            (Step::Flush, _) => given(list.flush()),
            (Step::DrainPortal, Some(mut portal)) => portal.drain(),
            (Step::Drain, _) => list.drain(),
            (Step::ClosePortal, _) => list.close_portals(),
            _ => {
                let _ = (list.available(), list.take_errors(), list.take_events());
                Ok(vec![])
            }
        };
        self.settle(was_sound, &some, result);
    }

    fn settle(&mut self, was_sound: bool, given: &[u32], result: Result<Vec<u32>, PathError>) {
        match result {
            Ok(taken) => {
                assert!(
                    was_sound || taken.is_empty(),
                    "a poisoned list gives nothing"
                );
                for object in given {
                    self.held.remove(object);
                }
                for object in taken {
                    assert!(object < OBJECTS);
                    assert!(self.held.insert(object), "object {object} is held twice");
                }
            }
            Err(PathError::Refused { index, why }) => panic!("{index} was held: {why}"),
            Err(PathError::Poisoned { breach, .. }) => {
                let poison = self.list.as_ref().and_then(|list| list.poison().cloned());
                assert_eq!(poison, Some(breach));
            }
            Err(other) => panic!("{other}"),
        }
    }
}

fn filled(result: Result<bool, PathError>, out: Vec<u32>) -> Result<Vec<u32>, PathError> {
    if !matches!(result, Ok(true)) {
        assert!(out.iter().all(|&o| o == UNTOUCHED), "untouched");
    }
    result.map(|all| if all { out } else { vec![] })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_a_device_does_breaks_the_driver(
        seed in any::<u32>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let model = rig::model(&format!("seed={seed}&timeout-ms=2"));
        let mut host = Host::new(model.clone());
        for step in steps {
            let before = model.now();
            let text = format!("{step:?}");
            host.act(step);
            let took = model.now() - before;
            prop_assert!(took < Duration::from_secs(3), "{} took {:?}", text, took);
        }
    }
}
