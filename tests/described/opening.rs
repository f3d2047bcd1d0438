//! How described devices are chosen, opened and taken apart from others.

use std::sync::Arc;

use hwpool::device::{Session, recognition};
use hwpool::devices::description::{Fill, Sharing};
use hwpool::devices::family::{Choice, Described, Recognition};

use crate::build::*;
use crate::variants::{chosen, model};

#[test]
fn the_same_description_is_kept_once() {
    let (one, same) = (Described::keep(plain()), Described::keep(plain()));
    assert!(std::ptr::eq(one.unwrap(), same.unwrap()));
    let mut wrong = plain();
    wrong.name = "Plain".into();
    assert_eq!(Described::keep(wrong).unwrap_err().key, "name");
}

#[test]
fn only_who_names_a_description_has_it() {
    let mut description = plain();
    // Not that of the small FIFO.
    description.registers[ID].reset = Some(0x1234_5678);
    description.identity = Some((ID, 0x1234_5678));
    let model = model(&description);
    let found = recognition(&model, &Choice::Recognised).expect("it answers");
    assert!(matches!(found, Recognition::Unknown(_)), "{found:?}");
    let Recognition::Known(module) = recognition(&model, &chosen(&description)).unwrap() else {
        panic!("it was named");
    };
    let about = module.about();
    assert_eq!((about.name, about.module), ("plain", "described"));
}

/// One list is emptied while others hold objects, by whatever the device has.
#[test]
fn a_list_that_is_dropped_leaves_the_others_alone() {
    for fill in [Fill::Software, Fill::Reset] {
        let mut shared = copied(plain(), Sharing::Lists(3));
        shared.fill = fill;
        for description in [shared.clone(), crate::variants::own_resets(shared)] {
            let model = Arc::new(model(&description));
            let session = Session::open(model.clone(), &chosen(&description)).unwrap();
            let open = || crate::suite::family::list(&session, "register", 8);
            let (mut kept, mut dropped) = (open(), open());
            kept.give(&[3, 1, 2]).unwrap();
            dropped.give(&[5, 6]).unwrap();
            drop(dropped);
            let mut again = open();
            assert!(!again.take(&mut [0]).unwrap());
            let mut out = [0; 3];
            assert!(kept.take(&mut out).unwrap());
            assert_eq!((out, again.available()), ([3, 1, 2], Ok(Some(0))));
            assert_eq!(model.violations(), []);
        }
    }
}
