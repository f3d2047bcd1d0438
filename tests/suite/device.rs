//! The function as a whole: identity, resets, errors, interrupts.

use std::sync::Arc;
use std::time::Duration;

use hwpool::devices::bmu::{Bmu, ErrorBits, Layout, PortalConfig, identify, regs};
use hwpool::devices::bus::{BusError, Iova, Irq, Transport};
use hwpool::devices::family::{FreeList, ListConfig, OpenReset, ResetError, SetupError};
use hwpool::devices::pci;

use super::{BASE, List, list, name_cases, open, portal};

name_cases!(
    identifies_without_touching,
    opens_enabled_with_bus_mastering,
    each_reset_is_seen,
    a_reset_is_refused_while_in_use,
    a_former_owner_leaves_nothing,
    vectors_fire_exactly_once,
    a_disabled_vector_waits,
    injected_errors_interrupt_and_are_recorded,
    there_is_no_vector_beyond_the_last,
    close_takes_the_right_to_dma_away,
    pools_and_portals_run_out_by_number,
    quiesce_stops_portals_and_resume_goes_on,
);

const SOON: Duration = Duration::from_secs(2);

fn identifies_without_touching<T: Transport>(transport: Arc<T>) {
    let can = identify(&*transport).expect("identity");
    assert!(can.pools >= 1 && can.vectors >= 1 && can.address_width >= 32);
    assert_eq!(identify(&*transport).expect("identity again"), can);
}

fn opens_enabled_with_bus_mastering<T: Transport>(transport: Arc<T>) {
    let bmu = Bmu::open(transport.clone(), OpenReset::Best).expect("opens");
    assert_eq!(bmu.read(regs::CONTROL).unwrap(), 1);
    assert_ne!(
        transport.config_read32(4).unwrap() & 4,
        0,
        "Bus Master is on"
    );
    drop(bmu);
    assert_eq!(
        transport.config_read32(4).unwrap() & 4,
        0,
        "Bus Master is off after drop"
    );
}

fn each_reset_is_seen<T: Transport>(transport: Arc<T>) {
    let bmu = Bmu::open(transport, OpenReset::Soft).expect("opens");
    for kind in [OpenReset::Best, OpenReset::Soft] {
        let before = bmu.read(regs::RESET_COUNT).unwrap();
        regs::SCRATCH.write(bmu.control(), 7).unwrap();
        bmu.reset(kind).expect("resets");
        assert_eq!(bmu.read(regs::RESET_COUNT).unwrap(), before + 1);
        assert_eq!(bmu.read(regs::SCRATCH).unwrap(), 0);
    }
}

fn a_reset_is_refused_while_in_use<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let list = list(&session, 8);
    let refused = session.bmu.reset(OpenReset::Best);
    assert_eq!(
        refused,
        Err(ResetError::InUse {
            what: "1 pools and 0 portals".into()
        })
    );
    drop(list);
    session
        .bmu
        .reset(OpenReset::Best)
        .expect("resets once nobody uses it");
}

fn a_former_owner_leaves_nothing<T: Transport>(transport: Arc<T>) {
    let session = open(transport.clone());
    let mut former = list(&session, 8);
    former.free(3).unwrap();
    // Its process dies here: nothing is closed, nothing is dropped.
    std::mem::forget(former);
    std::mem::forget(session);
    let session = open(transport);
    let mut fresh = list(&session, 8);
    assert_eq!(fresh.available().unwrap(), 0);
    assert_eq!(fresh.alloc().unwrap(), None);
}

fn vectors_fire_exactly_once<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    for vector in 0..session.bmu.capabilities().vectors {
        let irq = session.bmu.interrupt(vector).unwrap();
        session.bmu.trigger(vector).unwrap();
        assert_eq!(irq.wait(SOON).unwrap(), 1, "vector {vector}");
        assert_eq!(irq.wait(Duration::ZERO).unwrap(), 0, "vector {vector}");
    }
}

fn a_disabled_vector_waits<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let irq = session.bmu.interrupt(0).unwrap();
    session.bmu.enable_vector(0, false).unwrap();
    session.bmu.trigger(0).unwrap();
    session.bmu.trigger(0).unwrap();
    assert_eq!(session.bmu.read(regs::IRQ_PENDING).unwrap(), 1);
    assert_eq!(irq.wait(Duration::ZERO).unwrap(), 0);
    session.bmu.enable_vector(0, true).unwrap();
    assert_eq!(irq.wait(SOON).unwrap(), 1);
    assert_eq!(session.bmu.read(regs::IRQ_PENDING).unwrap(), 0);
}

fn injected_errors_interrupt_and_are_recorded<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let bmu = &session.bmu;
    let irq = bmu.error_interrupt(1 % bmu.capabilities().vectors).unwrap();
    bmu.enable_errors(ErrorBits(0x1ff)).unwrap();
    for kind in ErrorBits::KINDS {
        let bit = ErrorBits(kind.mask() as u32);
        regs::ERR_STATUS_SET.write(bmu.control(), bit.0).unwrap();
        assert_eq!(irq.wait(SOON).unwrap(), 1, "{}", kind.name);
        assert_eq!(bmu.errors().unwrap(), bit);
        let record = bmu.take_error_record().unwrap().expect("a record");
        assert_eq!((record.kind, record.source), (bit, 4));
        bmu.clear_errors(bit).unwrap();
        assert!(bmu.errors().unwrap().is_empty());
    }
    assert_eq!(bmu.error_counts().unwrap(), [1; 9]);
    assert_eq!(bmu.take_error_record().unwrap(), None);
}

fn there_is_no_vector_beyond_the_last<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let count = session.bmu.capabilities().vectors;
    let refused = session.bmu.interrupt(count).err();
    assert_eq!(
        refused,
        Some(BusError::NoVector {
            vector: count,
            count
        })
    );
}

fn close_takes_the_right_to_dma_away<T: Transport>(transport: Arc<T>) {
    let session = open(transport.clone());
    session.bmu.close().expect("closes");
    assert_eq!(transport.config_read32(4).unwrap() & 4, 0);
    assert_eq!(session.bmu.read(regs::CONTROL).unwrap(), 0, "reset");
    assert_eq!(
        pci::aer_status(&*transport)
            .unwrap()
            .map(|aer| aer.uncorrectable),
        Some(0)
    );
}

fn pools_and_portals_run_out_by_number<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let can = *session.bmu.capabilities();
    let mut lists: Vec<_> = (0..can.pools).map(|_| list(&session, 8)).collect();
    let numbers: Vec<u16> = lists.iter().map(|list| list.id().number()).collect();
    assert_eq!(numbers, (0..can.pools).collect::<Vec<_>>());
    let config = ListConfig {
        base: Iova(BASE),
        stride: 64,
        objects: 1,
        capacity: 1,
    };
    let refused = List::open(&session.bmu, &config).err();
    let all_in_use = |what, count| Some(SetupError::AllInUse { what, count });
    assert_eq!(refused, all_in_use("pools", can.pools));
    for number in 0..can.portals {
        assert_eq!(portal(&session, &mut lists[0], 3).number(), number);
    }
    let layout = Layout::new(3, 3);
    let config = PortalConfig {
        layout,
        credits: 8,
        hysteresis: 1,
        batch: 1,
    };
    let rings = super::rings(&session, layout);
    let refused = lists[0].open_portal(rings, &config).err();
    assert_eq!(refused, all_in_use("portals", can.portals));
    drop(lists);
    assert_eq!(list(&session, 8).id().number(), 0, "numbers are used again");
}

fn quiesce_stops_portals_and_resume_goes_on<T: Transport>(transport: Arc<T>) {
    let session = open(transport);
    let mut list = list(&session, 64);
    portal(&session, &mut list, 4);
    list.give(&super::all(16)).unwrap();
    let mut out = [0; 16];
    assert!(list.take(&mut out).unwrap());
    session.bmu.quiesce().expect("quiesces");
    list.give(&out).unwrap();
    assert_eq!(
        list.available().unwrap(),
        0,
        "a quiesced device reads no ring"
    );
    session.bmu.resume().unwrap();
    assert!(list.take(&mut out).unwrap());
    super::assert_each_once(out.to_vec(), 16);
}
