//! Bindings of functions of one group, in any order, with a death at any change, and with functions that the kernel
//! finds anew meanwhile: nothing is lost on the way, no binding
//! loses what it needs, and in the end the machine is as it was.

use std::collections::BTreeSet;
use std::io;

use hwpool::host::bind::{BindError, Journals, Kept, Plan, Request};
use hwpool::host::{Function, Reason, Writer};
use hwpool::vfio::Bdf;
use proptest::prelude::*;

use super::binding::until_death;
use super::kernel::{Death, FakeKernel};
use super::machine::{BMU, Machine, Spec, bmu, home, nic, port};

const SECOND: &str = "0000:01:00.1";
const BARE: &str = "0000:01:00.2";
const ON_VFIO: &str = "0000:01:00.3";
const BRIDGE: &str = "0000:00:04.0";
const MEMBERS: [&str; 5] = [BMU, SECOND, BARE, ON_VFIO, BRIDGE];

fn bdf(text: &str) -> Bdf {
    text.parse().expect("an address")
}

/// A group of two network controllers, one function without a driver, one that somebody else has bound to VFIO, and a
/// bridge that is in the way.
struct Board {
    machine: Machine,
    functions: Vec<Spec>,
    before: Vec<(String, String)>,
}

/// How a binding is asked for.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Reach {
    Plain,
    WholeGroup,
    Override,
}

impl Board {
    fn new() -> Board {
        let bare = Spec {
            bdf: BARE,
            driver: None,
            ..bmu()
        };
        let on_vfio = Spec {
            bdf: ON_VFIO,
            ..bmu()
        };
        let bridge = Spec {
            driver: Some("shpchp"),
            ..port(BRIDGE, 7, None)
        };
        let (first, second) = (nic(BMU, "e1000e", 7), nic(SECOND, "igb", 7));
        let functions = vec![first, second, bare, on_vfio, bridge];
        let machine = Machine::new();
        functions.iter().for_each(|spec| machine.add(spec));
        let mut board = Board {
            machine,
            functions,
            before: Vec::new(),
        };
        board.probe_again(ON_VFIO).expect("the kernel probes");
        board.before = board.machine.contents();
        board
    }

    /// Lets the kernel make what belongs to a function on VFIO.
    fn probe_again(&self, name: &str) -> io::Result<()> {
        let mut kernel = self.kernel();
        for file in ["drivers/vfio-pci/unbind", "drivers_probe"] {
            let path = self.machine.path(&format!("/sys/bus/pci/{file}"));
            kernel.write(&path, name)?;
        }
        Ok(())
    }

    fn kernel(&self) -> FakeKernel<'_> {
        FakeKernel::new(&self.machine, &self.functions)
    }

    fn journals(&self) -> Journals {
        Journals::at(&self.machine.path("/run/hwpool"))
    }

    fn bind(&self, name: &str, reach: Reach, writer: &mut dyn Writer) -> Result<Plan, BindError> {
        let request = Request {
            device: bdf(name),
            driver: "vfio-pci".into(),
            owner: None,
            whole_group: reach == Reach::WholeGroup,
            overrides: match reach {
                Reach::Override => vec![Reason::Group],
                _ => Vec::new(),
            },
        };
        self.carry_out(writer, |journals| {
            Plan::bind(&self.machine.tree(), journals, &request).map(Some)
        })
        .map(|plan| plan.expect("a plan"))
    }

    fn unbind(&self, name: &str, writer: &mut dyn Writer) -> Result<Plan, BindError> {
        self.carry_out(writer, |journals| {
            Plan::unbind(&self.machine.tree(), journals, bdf(name), None, &[]).map(Some)
        })
        .map(|plan| plan.expect("a plan"))
    }

    fn recover(&self, name: &str, writer: &mut dyn Writer) -> Result<Option<Plan>, BindError> {
        self.carry_out(writer, |journals| {
            Plan::recover(&self.machine.tree(), journals, bdf(name), &[])
        })
    }

    /// Gives back what is there, and drops what was kept of the rest.
    fn forget(&self, name: &str, writer: &mut dyn Writer) {
        let plan = self.carry_out(writer, |journals| {
            let plan = Plan::recover(&self.machine.tree(), journals, bdf(name), &[])?;
            Ok(plan.map(Plan::forgetting))
        });
        assert!(plan.expect("recovers").is_some());
    }

    /// Lets the kernel find a function again, and as another device where it was programmed meanwhile.
    fn find_again(&mut self, name: &str, is_programmed: bool) {
        const OTHER: (u16, u16) = (0x10ee, 0x9038);
        let function = Function::read(&self.machine.tree(), bdf(name)).expect("the function");
        let spec = self.functions.iter().find(|spec| spec.bdf == name);
        let spec = spec.expect("one of them");
        let now = (function.vendor, function.device);
        let ids = match (is_programmed, now == OTHER) {
            (false, _) => now,
            (true, false) => OTHER,
            (true, true) => spec.ids,
        };
        self.kernel().find_again(name, ids);
        let contents = self.machine.contents();
        for file in ["vendor", "device", "config"] {
            let path = format!("{}/{file}", home(spec));
            let is_it = |entry: &&(String, String)| entry.0 == path.trim_start_matches('/');
            let entry = contents.iter().find(is_it).expect("a file").clone();
            let before = self.before.iter_mut().find(|old| old.0 == entry.0);
            *before.expect("a file") = entry;
        }
    }

    fn carry_out(
        &self,
        writer: &mut dyn Writer,
        plan: impl Fn(&Journals) -> Result<Option<Plan>, BindError>,
    ) -> Result<Option<Plan>, BindError> {
        let journals = self.journals();
        let lock = journals.lock()?;
        let plan = plan(&journals)?;
        if let Some(plan) = &plan {
            plan.execute(&self.machine.tree(), writer, &journals, &lock)?;
        }
        Ok(plan)
    }

    fn driver(&self, name: &str) -> Option<String> {
        let function = Function::read(&self.machine.tree(), bdf(name));
        function.expect("the function").driver
    }

    /// Tells whether VFIO would take the group.
    fn is_whole(&self) -> bool {
        let drivers = MEMBERS.iter().filter_map(|name| self.driver(name));
        drivers
            .into_iter()
            .all(|driver| !["e1000e", "igb", "shpchp"].contains(&driver.as_str()))
    }

    /// Functions that are not on the driver that they had.
    fn touched(&self) -> impl Iterator<Item = &'static str> {
        let is_touched = |spec: &&Spec| self.driver(spec.bdf).as_deref() != spec.driver;
        self.functions
            .iter()
            .filter(is_touched)
            .map(|spec| spec.bdf)
    }
}

#[test]
fn a_binding_that_was_widened_gives_everything_back() {
    for by_unbind in [true, false] {
        let board = Board::new();
        let kernel = &mut board.kernel();
        board.bind(BMU, Reach::Override, kernel).expect("binds");
        assert!(!board.is_whole());
        board.bind(BMU, Reach::WholeGroup, kernel).expect("widens");
        assert!(board.is_whole());
        match by_unbind {
            true => drop(board.unbind(BMU, kernel).expect("unbinds")),
            false => drop(board.recover(BMU, kernel).expect("recovers")),
        }
        assert_eq!(board.machine.contents(), board.before);
    }
}

#[test]
fn a_death_while_a_binding_is_widened_is_an_interruption() {
    for at in 1..40 {
        let board = Board::new();
        let kernel = &mut board.kernel();
        board.bind(BMU, Reach::Override, kernel).expect("binds");
        let death = Death { at, after: true };
        let ended = until_death(kernel, death, |writer| {
            board.bind(BMU, Reach::WholeGroup, writer)
        });
        if ended.is_some() {
            assert!(at > 4, "{at}");
            return;
        }
        let record = board.journals().of(bdf(BMU)).expect("readable");
        assert!(!record.expect("a journal").is_done, "{at}");
        board.recover(BMU, kernel).expect("recovers");
        assert_eq!(board.machine.contents(), board.before, "{at}");
    }
}

/// Where widening fails, the binding from before stays, and the journal tells of no more than it needs.
#[test]
fn a_binding_that_cant_be_widened_stays_as_it_was() {
    let board = Board::new();
    let mut kernel = board.kernel();
    board
        .bind(BMU, Reach::Override, &mut kernel)
        .expect("binds");
    let narrow = board.machine.contents();
    kernel.refusing = vec!["vfio-pci"];
    let result = board.bind(BMU, Reach::WholeGroup, &mut kernel);
    assert!(matches!(result, Err(BindError::PutBack { .. })));
    assert_eq!(board.machine.contents(), narrow);
    let record = board.journals().of(bdf(BMU)).expect("readable");
    let record = record.expect("a journal");
    assert_eq!((record.is_done, record.before.len()), (true, 1));
    board.unbind(BMU, &mut board.kernel()).expect("unbinds");
    assert_eq!(board.machine.contents(), board.before);
}

#[test]
fn what_another_binding_needs_is_given_back_with_that_one() {
    for [first, second] in [[BMU, SECOND], [SECOND, BMU]] {
        let board = Board::new();
        let kernel = &mut board.kernel();
        board.bind(BMU, Reach::WholeGroup, kernel).expect("binds");
        board.bind(SECOND, Reach::Plain, kernel).expect("binds");
        let plan = board.unbind(first, kernel).expect("unbinds");
        let needs = |kept: &Kept| kept.needed_by == bdf(second);
        assert!(plan.steps.is_empty() && plan.kept.iter().all(needs));
        assert!(board.is_whole(), "{second} needs the whole group");
        board.unbind(second, kernel).expect("unbinds");
        assert_eq!(board.machine.contents(), board.before);
        assert!(board.journals().all().expect("readable").is_empty());
    }
}

#[test]
fn a_journal_of_another_device_needs_nothing_of_the_one_that_is_there() {
    let mut board = Board::new();
    let bind = |board: &Board, name| board.bind(name, Reach::WholeGroup, &mut board.kernel());
    bind(&board, BMU).expect("binds");
    board.find_again(BMU, true);
    bind(&board, SECOND).expect("binds the new one, too");
    let plan = board.unbind(SECOND, &mut board.kernel()).expect("unbinds");
    assert!(plan.kept.iter().all(|kept| kept.bdf != bdf(BMU)));
    board.forget(BMU, &mut board.kernel());
    assert_eq!(board.machine.contents(), board.before);
}

/// Sequences that are tried; of these, each takes some 50 ms.
const CASES: u32 = 60;

#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Verb {
    Bind(Reach),
    Unbind,
    Recover,
    /// The kernel removes the function and finds it again.
    FindAgain,
    /// The same, as another device.
    Program,
}

#[derive(Debug, Clone)]
struct Act {
    verb: Verb,
    name: &'static str,
    /// At most one death, and not in each act.
    death: Option<Death>,
}

fn act() -> impl Strategy<Value = Act> {
    let verb = prop_oneof![
        2 => Just(Verb::Bind(Reach::Plain)),
        3 => Just(Verb::Bind(Reach::WholeGroup)),
        2 => Just(Verb::Bind(Reach::Override)),
        3 => Just(Verb::Unbind),
        2 => Just(Verb::Recover),
        2 => Just(Verb::FindAgain),
        1 => Just(Verb::Program),
    ];
    let death = (1..12usize, any::<bool>()).prop_map(|(at, after)| Death { at, after });
    let name = prop::sample::select(&MEMBERS[..4]);
    (verb, name, prop::option::of(death)).prop_map(|(verb, name, death)| Act { verb, name, death })
}

/// The machine, and the bindings that were promised a group that VFIO takes.
struct Run {
    board: Board,
    promised: BTreeSet<Bdf>,
}

impl Run {
    fn act(&mut self, act: &Act) {
        if matches!(act.verb, Verb::FindAgain | Verb::Program) {
            self.board.find_again(act.name, act.verb == Verb::Program);
            // By no doing of hwpool.
            if !self.board.is_whole() {
                self.promised.clear();
            }
            return self.check(act);
        }
        let board = &self.board;
        let never = Death {
            at: usize::MAX,
            after: false,
        };
        let death = act.death.unwrap_or(never);
        let ended = until_death(&mut board.kernel(), death, |writer| match act.verb {
            Verb::Bind(reach) => board.bind(act.name, reach, writer).map(Some),
            Verb::Unbind => board.unbind(act.name, writer).map(Some),
            Verb::Recover => board.recover(act.name, writer),
            Verb::FindAgain | Verb::Program => unreachable!("done above"),
        });
        match (ended, act.verb) {
            (Some(Ok(Some(plan))), Verb::Bind(_)) if plan.overridden.is_empty() => {
                self.promised.insert(bdf(act.name));
            }
            (Some(Err(BindError::Interrupted { .. } | BindError::Refused { .. })), _) => {}
            // Another device is where one was that is to be given back.
            (Some(Err(BindError::Missing { missing, .. })), _)
                if missing.iter().all(|one| one.found.is_some()) => {}
            // The kernel has no driver but VFIO's for it.
            (Some(Err(BindError::PutBack { .. } | BindError::Unchanged { .. })), Verb::Unbind)
                if act.name == ON_VFIO => {}
            (Some(Err(error)), _) => panic!("{act:?}: {error}"),
            _ => {}
        }
        self.check(act);
    }

    fn check(&mut self, act: &Act) {
        let records = self.board.journals().all().expect("readable");
        let noted = |name: &str| {
            let mut states = records.iter().flat_map(|record| &record.before);
            states.any(|state| state.bdf == bdf(name))
        };
        for name in self.board.touched() {
            assert!(noted(name), "{act:?}: {name} is in no journal");
        }
        let is_bound = |device: &Bdf| {
            let mut records = records.iter();
            records.any(|record| record.device == *device && record.is_done)
        };
        self.promised.retain(is_bound);
        let is_kept = self.promised.is_empty() || self.board.is_whole();
        assert!(is_kept, "{act:?}: {:?} lost their group", self.promised);
    }

    /// Gives all back, first by `recover`, or by `unbind` where the number of what is left is odd.
    fn finish(&self) {
        let kernel = &mut self.board.kernel();
        loop {
            let records = self.board.journals().all().expect("readable");
            let Some(record) = records.last() else { break };
            let name = record.device.to_string();
            let given_back = match records.len() % 2 {
                1 => self.board.unbind(&name, kernel),
                _ => self
                    .board
                    .recover(&name, kernel)
                    .map(|plan| plan.expect("a plan")),
            };
            match given_back {
                Ok(plan) if !plan.is_incomplete() => {}
                Ok(_) | Err(BindError::Missing { .. }) => self.board.forget(&name, kernel),
                Err(error) => panic!("{name}: {error}"),
            }
        }
        assert_eq!(self.board.machine.contents(), self.board.before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_any_order_with_deaths_all_is_given_back(acts in prop::collection::vec(act(), 1..14)) {
        let mut run = Run { board: Board::new(), promised: BTreeSet::new() };
        acts.iter().for_each(|act| run.act(act));
        run.finish();
    }
}
