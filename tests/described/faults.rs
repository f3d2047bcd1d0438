//! What the driver says of described devices that have a fault.

use std::sync::Arc;

use hwpool::device::{DeviceError, Session};
use hwpool::devices::description::{Description, Fill, Passage, Sharing};
use hwpool::devices::family::{
    Breach, FreeList, OpenError, OpenReset, PathError, ResetError, SetupError,
};
use hwpool::sim::{Fault, FaultKind, InProcess};

use crate::build::*;
use crate::suite::family::list;
use crate::variants::{chosen, model, model_with};

type Opened = (Arc<InProcess>, Session<InProcess>);

fn opened(description: &Description) -> Opened {
    let model = Arc::new(model(description));
    let session = Session::open(model.clone(), &chosen(description)).expect("it opens");
    (model, session)
}

/// A list with three objects on a device that then has a fault.
fn with(description: &Description, fault: Fault) -> (Opened, Box<dyn FreeList>) {
    let (model, session) = opened(description);
    let mut list = list(&session, "register", 8);
    list.give(&[4, 5, 6]).unwrap();
    list.available().unwrap();
    model.inject(fault).unwrap();
    ((model, session), list)
}

/// Takes two objects, which poisons the list; the output stays, and a reset heals.
fn poisoned(description: &Description, fault: Fault) -> Breach {
    let ((model, session), mut list) = with(description, fault);
    let mut out = [99; 2];
    let refused = list.take(&mut out);
    let Err(PathError::Poisoned { breach, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((out, list.poison()), ([99; 2], Some(&breach)));
    drop(list);
    if !matches!(breach, Breach::Gone { .. } | Breach::Bus(_)) {
        let mut next = crate::suite::family::list(&session, "register", 8);
        assert!(!next.take(&mut [0]).unwrap(), "the drop emptied it");
    }
    drop(model);
    breach
}

#[test]
fn what_is_handed_out_wrongly_poisons_the_list() {
    let fault = Fault::new(FaultKind::DuplicateBuffer).from(2);
    let twice = Breach::Duplicate {
        address: 4,
        index: 4,
    };
    assert_eq!(poisoned(&plain(), fault), twice);
    let outside = Breach::NoSuchNumber {
        number: 8,
        objects: 8,
    };
    assert_eq!(
        poisoned(&plain(), Fault::new(FaultKind::OutOfRangeBuffer)),
        outside
    );
    let addresses = halves(plain(), Passage::LowFirst);
    let swapped = poisoned(&addresses, Fault::new(FaultKind::SwappedHalves));
    assert!(matches!(swapped, Breach::OutOfRange { .. }), "{swapped:?}");
}

#[test]
fn a_device_that_is_gone_is_told_from_one_that_is_empty() {
    for description in [
        plain(),
        halves(plain(), Passage::HighFirst),
        acknowledged(plain()),
        {
            let mut description = plain();
            description.empty = hwpool::devices::description::Empty::BusError;
            description
        },
    ] {
        let gone = poisoned(&description, Fault::new(FaultKind::Gone));
        let is_gone = matches!(
            gone,
            Breach::Gone {
                register: "POP" | "POP_HIGH",
                witness: "STATUS"
            }
        );
        assert!(is_gone, "{gone:?}");
    }
}

#[test]
fn what_was_lost_is_missed_when_the_list_is_drained() {
    let ((model, _session), mut list) = with(&plain(), Fault::new(FaultKind::LostEntry));
    list.give(&[1, 2]).unwrap();
    let refused = list.drain();
    let lost = Breach::Lost { held: 1 };
    assert!(
        matches!(&refused, Err(PathError::Poisoned { breach, .. }) if *breach == lost),
        "{refused:?}"
    );
    drop(model);
}

fn reset_error(result: Result<Session<InProcess>, DeviceError>) -> ResetError {
    match result {
        Err(DeviceError::Open {
            source: OpenError::Reset(error),
            ..
        }) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reset_that_does_nothing_shows_by_count_or_mark() {
    let mut by_mark = plain();
    by_mark.reset.count = None;
    for (mut description, register) in [(plain(), "RESETS"), (by_mark, "SCRATCH")] {
        description.reset.flr = false;
        let model = model(&description);
        model
            .inject(Fault::new(FaultKind::ResetDoesNothing).times(9))
            .unwrap();
        let error = reset_error(Session::open(Arc::new(model), &chosen(&description)));
        assert!(
            matches!(&error, ResetError::NoEffect { register: said, .. } if said == register),
            "{error:?}"
        );
    }
}

#[test]
fn a_reset_that_leaves_entries_shows_by_the_level() {
    let (model, session) = opened(&plain());
    let mut list = list(&session, "register", 8);
    list.give(&[4, 5, 6]).unwrap();
    model
        .inject(Fault::new(FaultKind::ResetKeepsEntries))
        .unwrap();
    drop(list);
    let driver = &session.driver;
    let mut used = crate::suite::family::config(&session, 8);
    used.objects = 8;
    let refused = driver.clone().open_list(&used, "register", None).err();
    assert!(
        matches!(refused, Some(SetupError::AllInUse { .. })),
        "{refused:?}"
    );
    driver.reset(OpenReset::Soft).expect("the next reset works");
    driver.start().unwrap();
    crate::suite::family::list(&session, "register", 8);
}

#[test]
fn what_a_reset_should_have_filled_in_is_looked_at() {
    let mut description = plain();
    description.fill = Fill::Reset;
    let (model, session) = opened(&description);
    model
        .inject(Fault::new(FaultKind::DuplicateBuffer).from(2))
        .unwrap();
    let config = crate::suite::family::config(&session, 8);
    let driver = &session.driver;
    let refused = driver.clone().open_list(&config, "register", None).err();
    let text = refused
        .expect("it is not as the reset should leave it")
        .to_string();
    let says = "the list does not hold what a reset leaves: the device handed out 0x0, object 0, which is out";
    assert!(text.starts_with(says), "{text}");
    // The list was given back by a reset, which filled it again.
    driver
        .clone()
        .open_list(&config, "register", None)
        .expect("it is sound now");
}

#[test]
fn what_the_device_tells_of_itself_must_fit_the_description() {
    let mut description = plain();
    description.depth = hwpool::devices::description::Depth::Register(bits(DEPTH, 0, 15));
    let model = model_with(&description, &[("depth", "100")]);
    description.value.high = 4;
    let refused = Session::open(Arc::new(model), &chosen(&description)).err();
    let Some(DeviceError::Open { source, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        matches!(
            &source,
            OpenError::Otherwise {
                key: "depth",
                found: 100,
                ..
            }
        ),
        "{source:?}"
    );
}

/// Lists of one device are in each other's way neither while they are open nor when they are dropped, whatever the order.
#[test]
fn lists_run_beside_each_other() {
    let description = copied(plain(), Sharing::Lists(3));
    let (model, session) = opened(&description);
    let mut lists: Vec<_> = (0..3).map(|_| list(&session, "register", 8)).collect();
    for (number, list) in lists.iter_mut().enumerate() {
        list.give(&[number as u32, 7]).unwrap();
        assert_eq!(list.name(), format!("list {number}"));
    }
    for (number, mut list) in lists.into_iter().enumerate() {
        let mut out = [0];
        assert!(list.take(&mut out).unwrap());
        assert_eq!((out[0] as usize, list.available()), (number, Ok(Some(1))));
    }
    assert_eq!(model.violations(), []);
}
