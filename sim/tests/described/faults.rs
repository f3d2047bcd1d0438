//! The faults that described devices can have.

use std::time::Duration;

use hwpool_devices::bus::{Bar, Irq, Transport};
use hwpool_devices::description::{Description, Empty, Meaning, Passage, Pop, Room};
use hwpool_sim::{Fault, FaultError, FaultKind, SimConfig};

use crate::build::*;

/// An enabled queue with three numbers.
fn with(fault: Fault) -> Bench {
    of(plain(), fault)
}

fn of(description: Description, fault: Fault) -> Bench {
    let bench = Bench::new(description);
    bench.push(&[4, 5, 6]);
    bench.get(STATUS);
    bench.sim.inject(fault).unwrap();
    bench
}

#[test]
fn pops_give_what_they_should_not_and_the_true_value_stays() {
    let bench = with(Fault::new(FaultKind::DuplicateBuffer).from(2));
    assert_eq!(bench.drain(), [4, 4, 5, 6]);
    let bench = with(Fault::new(FaultKind::OutOfRangeBuffer).on("POP"));
    assert_eq!(bench.drain(), [MANY, 4, 5, 6]);
    let bench = with(Fault::new(FaultKind::OutOfRangeBuffer).with(77));
    assert_eq!(bench.drain(), [77, 4, 5, 6]);
    let bench = with(Fault::new(FaultKind::LostEntry));
    bench.push(&[1, 2]);
    assert_eq!(bench.drain(), [4, 5, 6, 2]);
    let mut addresses = plain();
    addresses.value.is = Meaning::Address { shift: 12 };
    let bench = of(addresses, Fault::new(FaultKind::MisalignedBuffer));
    assert_eq!(bench.drain(), [5, 4, 5, 6]);
}

#[test]
fn a_write_that_takes_gets_lost() {
    let bench = Bench::new(acknowledged(plain()));
    bench.set(PUSH, 4);
    bench.set(GIVE, 4);
    let fault = Fault::new(FaultKind::DuplicateBuffer).on("TAKE");
    bench.sim.inject(fault).unwrap();
    bench.set(TAKE, 1);
    assert_eq!(bench.get(POP), VALID | 4);
    bench.set(TAKE, 1);
    assert_eq!(bench.get(POP), 0);
    let unlooked = Fault::new(FaultKind::OutOfRangeBuffer).on("POP");
    bench.sim.inject(unlooked).unwrap();
    bench.set(PUSH, 5);
    bench.set(GIVE, 4);
    assert_eq!(bench.get(POP), VALID | MANY);
    bench.set(TAKE, 1);
    assert_eq!(bench.get(POP), VALID | 5, "what was not seen stays");
}

#[test]
fn a_list_says_the_reverse_of_what_is_so() {
    let fault = || Fault::new(FaultKind::WrongEmpty);
    let bench = with(fault());
    assert_eq!((bench.get(POP), bench.get(POP)), (0, VALID | 4));
    let bench = Bench::new(plain());
    bench.push(&[4]);
    assert_eq!(bench.get(POP), VALID | 4);
    bench.sim.inject(fault()).unwrap();
    assert_eq!((bench.get(POP), bench.get(POP)), (VALID | 4, 0));
    let mut flagged = plain();
    flagged.empty = Empty::Flag(flag(STATUS, 1, 1));
    let bench = of(flagged, fault());
    let status = [bench.get(STATUS), bench.get(STATUS)];
    assert_eq!(status, [READY | IS_EMPTY, READY]);
    let mut counted = plain();
    counted.empty = Empty::Level;
    let bench = of(counted, fault().times(2));
    assert_eq!(
        (bench.get(LEVEL), bench.get(LEVEL), bench.get(LEVEL)),
        (0, 0, 3)
    );
}

#[test]
fn counts_are_wrong_and_levels_are_stuck() {
    let bench = with(Fault::new(FaultKind::WrongCount).with(2));
    assert_eq!((bench.get(LEVEL), bench.get(LEVEL)), (5, 3));
    let mut vacant = plain();
    vacant.level = None;
    vacant.full.shown = Room::Vacancy(bits(ERROR, 8, 15));
    let bench = of(vacant, Fault::new(FaultKind::WrongCount));
    assert_eq!((bench.get(ERROR), bench.get(ERROR)), (6 << 8, 5 << 8));
    let bench = with(Fault::new(FaultKind::Stuck).on("LEVEL").with(1));
    assert_eq!((bench.drain().len(), bench.get(LEVEL)), (3, 1));
}

#[test]
fn halves_are_exchanged() {
    let bench = Bench::new(halves(plain(), Passage::LowFirst));
    for value in [7, 8] {
        bench.set(PUSH, value);
        bench.set(PUSH_HIGH, 0x11);
    }
    bench.get(LEVEL);
    let fault = Fault::new(FaultKind::SwappedHalves).on("POP").times(1);
    bench.sim.inject(fault).unwrap();
    let popped = [POP, POP_HIGH, POP, POP_HIGH].map(|register| bench.get(register));
    assert_eq!(popped, [0x11, 7, 8, 0x11]);
    bench.no_violations();
}

#[test]
fn resets_do_nothing_or_leave_entries() {
    let bench = with(Fault::new(FaultKind::ResetDoesNothing));
    bench.set(RESET, KEY);
    assert_eq!((bench.get(RESETS), bench.get(LEVEL)), (0, 3));
    let bench = with(Fault::new(FaultKind::ResetKeepsEntries));
    bench.set(RESET, KEY);
    bench.until("READY", || bench.get(STATUS) & READY != 0);
    bench.set(CONTROL, 1);
    assert_eq!((bench.get(RESETS), bench.drain()), (1, vec![4, 5, 6]));
    // One of the function as well.
    let bench = with(Fault::new(FaultKind::ResetKeepsEntries));
    bench.sim.reset().unwrap();
    bench.set(CONTROL, 1);
    assert_eq!((bench.get(RESETS), bench.drain()), (1, vec![4, 5, 6]));
}

#[test]
fn interrupts_get_lost_or_are_not_cleared() {
    let fired = |bench: &Bench| {
        let irq = bench.sim.irq(0).unwrap();
        bench.set(CONTROL, 3);
        bench.set(EVENT_SET, 1);
        bench.get(STATUS); // behind both writes and what they sent
        irq.wait(Duration::from_micros(50)).unwrap()
    };
    assert_eq!(fired(&with(Fault::new(FaultKind::LostInterrupt))), 0);
    let bench = with(Fault::new(FaultKind::StuckInterrupt));
    assert_eq!(fired(&bench), 1);
    bench.set(EVENT, 1);
    assert_eq!(bench.get(EVENT), 1);
    bench.set(EVENT, 1);
    assert_eq!(bench.get(EVENT), 0);
}

#[test]
fn a_device_that_is_gone_reads_all_ones() {
    let bench = with(Fault::new(FaultKind::Gone).from(2));
    let read = [POP, POP, STATUS].map(|register| bench.get(register));
    assert_eq!(read, [VALID | 4, 0xffff_ffff, 0xffff_ffff]);
    assert!(bench.sim.bar(0).unwrap().read32(0).is_ok());
}

#[test]
fn each_kind_is_general_or_offered_or_refused() {
    let mut poor = plain();
    (poor.level, poor.interrupt) = (None, None);
    poor.reset.keeps_entries = true;
    for (name, description) in [
        ("plain", plain()),
        ("poor", poor),
        ("halves", halves(plain(), Passage::LowFirst)),
    ] {
        let config = SimConfig::described(description.clone()).unwrap();
        let bench = Bench::new(description);
        for (kind_name, kind) in FaultKind::ALL {
            let offered = config.offers().iter().any(|offer| offer.kind == *kind);
            match bench.sim.inject(Fault::new(*kind).on("SCRATCH")) {
                Ok(()) => assert!(kind.is_general() || offered, "{kind_name} of {name}"),
                Err(FaultError::NotOffered { known, .. }) => {
                    let refused = !kind.is_general() && !offered && !known.contains(kind_name);
                    assert!(refused, "{kind_name} of {name}");
                }
                Err(error) => panic!("{kind_name} of {name}: {error}"),
            }
        }
    }
    let config = SimConfig::described(halves(plain(), Passage::LowFirst)).unwrap();
    for kind in config.offers().iter().map(|offer| offer.kind) {
        let text = format!(
            "[[fault]]\nkind = \"{}\"\nregister = \"POP\"\n",
            kind.name()
        );
        assert_eq!(
            config.parse_faults(&text),
            Ok(vec![Fault::new(kind).on("POP")])
        );
    }
    assert_eq!(config.offers().len(), 9, "all that there are");
    let offers = |d: Description| {
        let offers = SimConfig::described(d).unwrap().offers();
        offers.iter().map(|offer| offer.kind).collect::<Vec<_>>()
    };
    let reads = matches!(plain().pop, Pop::Read { .. });
    assert!(reads && offers(plain()).contains(&FaultKind::WrongCount));
    assert!(!offers(plain()).contains(&FaultKind::SwappedHalves));
    assert!(offers(halves(plain(), Passage::LowFirst)).contains(&FaultKind::SwappedHalves));
}
