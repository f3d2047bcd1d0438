//! The driver on the stepped model against a plain set of what the host has: random calls, ring sizes and seeds.
//!
//! Whatever is asked, every object is in exactly one place; bulk calls do all or nothing; nothing is left after a reset;
//! and the model, which records every breach of the specification, has nothing to record.

mod rig;

use std::collections::BTreeSet;
use std::sync::Arc;

use hwpool::devices::bmu::{Layout, PortalConfig};
use hwpool::devices::bus::Transport;
use hwpool::devices::family::{FreeList, Misuse, OpenReset, PathError};
use hwpool::sim::InProcess;
use proptest::prelude::*;

use rig::{Session, SimList, UNTOUCHED};

#[derive(Debug, Clone)]
enum Step {
    Enqueue(usize),
    Dequeue(usize),
    Free(usize),
    Alloc(usize),
    /// Gives an object that the device has, among some that it has not.
    FreeTwice(usize),
    Flush,
    DrainPortal,
    Drain,
    Close,
    Reopen,
    Reset(OpenReset),
}

fn step(objects: usize) -> impl Strategy<Value = Step> {
    let n = 0..=objects + 2;
    prop_oneof![
        8 => n.clone().prop_map(Step::Enqueue),
        8 => n.clone().prop_map(Step::Dequeue),
        3 => n.clone().prop_map(Step::Free),
        3 => n.clone().prop_map(Step::Alloc),
        2 => n.prop_map(Step::FreeTwice),
        2 => Just(Step::Flush),
        1 => Just(Step::DrainPortal),
        1 => Just(Step::Drain),
        1 => Just(Step::Close),
        1 => Just(Step::Reopen),
        1 => prop_oneof![Just(OpenReset::Best), Just(OpenReset::Soft)].prop_map(Step::Reset),
    ]
}

fn config() -> impl Strategy<Value = PortalConfig> {
    (3..6u32, 3..6u32)
        .prop_flat_map(|(release, acquire)| {
            let smaller = 1u32 << release.min(acquire);
            let layout = Just(Layout::new(release, acquire));
            (layout, 1..=1u32 << acquire, 1..=smaller / 2, 1..40u32)
        })
        .prop_map(|(layout, credits, hysteresis, batch)| PortalConfig {
            layout,
            credits,
            hysteresis,
            batch,
        })
}

#[derive(Debug, Clone)]
struct Plan {
    seed: u64,
    objects: u32,
    config: PortalConfig,
    steps: Vec<Step>,
}

fn plan() -> impl Strategy<Value = Plan> {
    (any::<u64>(), 1..100u32, config()).prop_flat_map(|(seed, objects, config)| {
        let steps = prop::collection::vec(step(objects as usize), 1..60);
        steps.prop_map(move |steps| Plan {
            seed,
            objects,
            config,
            steps,
        })
    })
}

/// The driver and the reference beside it. Field order is drop order.
struct Run {
    list: Option<SimList>,
    session: Session<InProcess>,
    model: Arc<InProcess>,
    objects: u32,
    config: PortalConfig,
    /// What the host has: all that the device has not.
    host: BTreeSet<u32>,
}

impl Run {
    fn new(plan: &Plan) -> Run {
        let model = rig::model(&format!("seed={}", plan.seed));
        let session = Session::open(model.clone()).expect("the device opens");
        let mut run = Run {
            list: None,
            session,
            model,
            objects: plan.objects,
            config: plan.config,
            host: BTreeSet::new(),
        };
        run.open_list();
        run
    }

    fn open_list(&mut self) {
        self.list = Some(rig::list(&self.session, self.objects));
        self.host = (0..self.objects).collect();
        self.open_portal();
    }

    fn open_portal(&mut self) {
        let list = self.list.as_mut().expect("a list");
        rig::portal(&self.session, list, &self.config);
    }

    fn act(&mut self, step: &Step) -> Result<(), PathError> {
        match *step {
            Step::Enqueue(n) => self.give(n, true),
            Step::Free(n) => self.give(n, false),
            Step::Dequeue(n) => self.take(n, true),
            Step::Alloc(n) => self.take(n, false),
            Step::FreeTwice(n) => self.give_twice(n),
            Step::Flush => self.running().flush(),
            Step::DrainPortal => self.drain_portal(),
            Step::Drain => self.drain(),
            Step::Close => self.close(),
            Step::Reopen => {
                self.close()?;
                self.open_portal();
                Ok(())
            }
            Step::Reset(kind) => self.reset(kind),
        }
    }

    fn list(&mut self) -> &mut SimList {
        self.list.as_mut().expect("a list")
    }

    /// The list, with its portal opened if it is closed.
    fn running(&mut self) -> &mut SimList {
        if self.list().first_portal().is_none() {
            self.open_portal();
        }
        self.list()
    }

    fn give(&mut self, n: usize, by_portal: bool) -> Result<(), PathError> {
        let some: Vec<u32> = self.host.iter().rev().copied().take(n).collect();
        let list = self.running();
        match by_portal {
            true => list.give(&some)?,
            false => {
                list.free_all(&some)?;
                self.let_pass();
            }
        }
        self.host.retain(|object| !some.contains(object));
        Ok(())
    }

    /// Lets the device put what came by the register path into the rings: until then a portal may call the pool empty.
    fn let_pass(&self) {
        let _ = self.session.bmu.errors();
        (0..40).for_each(|_| self.model.relax());
    }

    fn take(&mut self, n: usize, by_portal: bool) -> Result<(), PathError> {
        let inside = self.objects as usize - self.host.len();
        let mut out = vec![UNTOUCHED; n];
        let list = self.running();
        let full = match by_portal {
            true => list.take(&mut out)?,
            false => list.alloc_all(&mut out)?,
        };
        match full {
            true => self.receive(&out),
            false => {
                assert_eq!(out, vec![UNTOUCHED; n], "a short call leaves its output");
                // The register path does not reach what lies in rings; one portal alone reaches everything.
                assert!(!by_portal || n > inside, "{inside} inside, {n} refused");
            }
        }
        Ok(())
    }

    fn give_twice(&mut self, n: usize) -> Result<(), PathError> {
        let Some(inside) = (0..self.objects).find(|object| !self.host.contains(object)) else {
            return Ok(());
        };
        let mut some: Vec<u32> = self.host.iter().copied().take(n).collect();
        some.push(inside);
        let list = self.running();
        let refused = PathError::Refused {
            index: inside,
            why: Misuse::DoubleFree,
        };
        assert_eq!(list.give(&some), Err(refused.clone()));
        assert_eq!(list.free_all(&some), Err(refused));
        Ok(())
    }

    fn drain_portal(&mut self) -> Result<(), PathError> {
        let drained = drain_portal(self.running())?;
        self.receive(&drained);
        assert_eq!(self.host.len(), self.objects as usize, "drained of all");
        Ok(())
    }

    /// Drains the list, whether its portal is open or not.
    fn drain(&mut self) -> Result<(), PathError> {
        let drained = self.list().drain()?;
        self.receive(&drained);
        assert_eq!(self.host.len(), self.objects as usize, "drained of all");
        assert!(self.list().first_portal().is_none(), "by registers now");
        Ok(())
    }

    fn close(&mut self) -> Result<(), PathError> {
        let list = self.list();
        if list.first_portal().is_none() {
            return Ok(());
        }
        let parked = list.close_portals()?;
        let inside = list.available().expect("a count");
        self.receive(&parked);
        assert_eq!(inside as usize + self.host.len(), self.objects as usize);
        Ok(())
    }

    fn reset(&mut self, kind: OpenReset) -> Result<(), PathError> {
        self.list = None;
        self.session.bmu.reset(kind).expect("resets");
        self.session.bmu.start().expect("starts");
        self.open_list();
        let list = self.running();
        assert!(
            drain_portal(list)?.is_empty(),
            "nothing is left after a reset"
        );
        assert_eq!(list.alloc()?, None);
        Ok(())
    }

    /// The host has `taken` now; each was with the device.
    fn receive(&mut self, taken: &[u32]) {
        for &object in taken {
            assert!(object < self.objects, "there is no object {object}");
            assert!(self.host.insert(object), "object {object} is held twice");
        }
    }

    /// What must hold between any two calls.
    fn check(&self) {
        let ledger = self.list.as_ref().expect("a list").ledger();
        assert!(ledger.outside().eq(self.host.iter().copied()));
        assert_eq!(self.model.violations(), [], "the driver broke a rule");
        let errors = self.session.bmu.errors().expect("reads");
        assert!(errors.is_empty(), "the device reports {errors}");
    }

    /// Everything comes back through the portal and its close, each exactly once.
    fn finish(mut self) -> Result<(), PathError> {
        self.close()?;
        let list = self.list.as_mut().expect("a list");
        let mut rest = Vec::new();
        while let Some(object) = list.alloc()? {
            rest.push(object);
        }
        list.expect_empty()?;
        self.receive(&rest);
        assert!(self.host.iter().copied().eq(0..self.objects));
        self.list = None;
        self.session.bmu.close().expect("closes");
        assert_eq!(self.model.violations(), []);
        Ok(())
    }
}

/// Takes all that the list's portal reaches.
fn drain_portal(list: &mut SimList) -> Result<Vec<u32>, PathError> {
    list.first_portal().expect("a portal").drain()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_driver_does_what_a_set_does(plan in plan()) {
        let mut run = Run::new(&plan);
        for step in &plan.steps {
            let result = run.act(step);
            prop_assert_eq!(result, Ok(()), "{:?}", step);
            run.check();
        }
        prop_assert_eq!(run.finish(), Ok(()));
    }
}

/// The line that counts the second filling of the acquire ring is on its way when the host has taken all of it; the one
/// before was the first, for the head had moved by less than the hysteresis.
#[test]
fn a_status_line_lies_two_fillings_and_the_hysteresis_behind() {
    let plan = Plan {
        seed: 7801537858633395854,
        objects: 25,
        config: PortalConfig {
            layout: Layout::new(4, 3),
            credits: 8,
            hysteresis: 2,
            batch: 26,
        },
        steps: vec![
            Step::Free(5),
            Step::Free(12),
            Step::Dequeue(1),
            Step::Dequeue(17),
        ],
    };
    let mut run = Run::new(&plan);
    for step in &plan.steps {
        assert_eq!(run.act(step), Ok(()), "{step:?}");
        run.check();
    }
    assert_eq!(run.finish(), Ok(()));
}
