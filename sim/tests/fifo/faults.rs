//! The faults that a FIFO can have.

use std::time::Duration;

use hwpool_devices::bus::{Bar, BusError, Irq, Transport};
use hwpool_sim::{Fault, FaultError, FaultKind, MODELS, SimConfig};

use crate::bench::{Bench, CONTROL, EVENT_SET, LEVEL, POP, RESET, RESET_COUNT, STATUS, VALID};

/// An enabled queue with three numbers.
fn with(fault: Fault) -> Bench {
    let bench = Bench::new(&[]);
    bench.push(&[4, 5, 6]);
    bench.get(LEVEL);
    bench.sim.inject(fault).unwrap();
    bench
}

#[test]
fn pops_hand_out_what_they_should_not_and_the_true_number_stays() {
    let bench = with(Fault::new(FaultKind::DuplicateBuffer).from(2));
    assert_eq!(bench.drain(), [4, 4, 5, 6]);
    let bench = with(Fault::new(FaultKind::OutOfRangeBuffer).on("POP"));
    assert_eq!(bench.drain(), [8, 4, 5, 6], "DEPTH");
    let bench = with(Fault::new(FaultKind::OutOfRangeBuffer).with(9));
    assert_eq!(bench.drain(), [9, 4, 5, 6]);
}

#[test]
fn a_push_gets_lost_and_a_count_is_wrong() {
    let bench = with(Fault::new(FaultKind::LostEntry));
    bench.push(&[1, 2]);
    assert_eq!(bench.drain(), [4, 5, 6, 2]);
    let bench = with(Fault::new(FaultKind::WrongCount).with(2));
    assert_eq!((bench.get(LEVEL), bench.get(LEVEL)), (5, 3));
}

#[test]
fn what_any_device_can_have_strikes_here_too() {
    let bench = with(Fault::new(FaultKind::ReadFails).on("POP"));
    assert!(matches!(
        bench.bar.read32(POP),
        Err(BusError::Failed { .. })
    ));
    assert_eq!(
        bench.get(POP),
        VALID | 4,
        "the read that failed took nothing"
    );
    let bench = with(Fault::new(FaultKind::ReadAllOnes).on("LEVEL"));
    assert_eq!((bench.get(LEVEL), bench.get(LEVEL)), (u32::MAX, 3));
    let bench = with(Fault::new(FaultKind::Stuck).on("STATUS").with(2));
    assert_eq!(bench.get(STATUS), 2);
    let bench = with(Fault::new(FaultKind::ResetDoesNothing).times(2));
    bench.set(RESET, 0x5445_5352);
    assert_eq!(bench.get(RESET_COUNT), 0);
    bench.sim.reset().unwrap();
    assert_eq!((bench.get(RESET_COUNT), bench.get(LEVEL)), (0, 3));
    let bench = with(Fault::new(FaultKind::Gone));
    assert_eq!((bench.get(POP), bench.get(POP)), (u32::MAX, u32::MAX));
}

#[test]
fn interrupts_get_lost_and_come_unasked() {
    let fired = |bench: &Bench| {
        let irq = bench.sim.irq(0).unwrap();
        bench.set(CONTROL, 3);
        bench.set(EVENT_SET, 1);
        bench.get(EVENT_SET); // behind both writes and what they sent
        irq.wait(Duration::from_micros(50)).unwrap()
    };
    assert_eq!(fired(&with(Fault::new(FaultKind::LostInterrupt))), 0);
    let bench = with(Fault::new(FaultKind::SpuriousInterrupt).on("CONTROL"));
    assert_eq!(fired(&bench), 2);
}

#[test]
fn each_kind_is_general_or_offered_or_refused() {
    let bench = Bench::new(&[]);
    let fifo = MODELS.iter().find(|model| model.name == "fifo").unwrap();
    for (name, kind) in FaultKind::ALL {
        let offered = fifo.faults.iter().any(|offer| offer.kind == *kind);
        let fault = Fault::new(*kind).on("SCRATCH");
        match bench.sim.inject(fault) {
            Ok(()) => assert!(kind.is_general() || offered, "{name}"),
            Err(FaultError::NotOffered { known, .. }) => {
                assert!(
                    !kind.is_general() && !offered && !known.contains(name),
                    "{name}"
                );
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
    let config = SimConfig::new("fifo").unwrap();
    let text = "[[fault]]\nkind = \"dma-fault\"\n";
    let message = config.parse_faults(text).unwrap_err().to_string();
    assert!(message.contains("duplicate-buffer"), "{message}");
}
