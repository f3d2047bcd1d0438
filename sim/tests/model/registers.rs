//! The register table, typed a second time from SPEC.md, against the model and against `regs.rs`.

use hwpool_devices::bmu::regs::TABLE;
use hwpool_devices::bus::{Bar, BusError, Transport};
use hwpool_devices::reg::Scope;
use hwpool_sim::ViolationKind::{
    AbsentPart, MemorySpaceOff, Misaligned, NoRegister, ReadOnlyWrite, ReservedBits, WrongWidth,
};

use crate::bench::{Bench, config, pool, portal};

/// Name, BAR, offset, bits, access, value after reset; section 4 of SPEC.md.
///
/// Where the table says *var*, the value is what the model's defaults make of it.
const GOLDEN: &[(&str, u8, u64, u8, &str, u64)] = &[
    ("MAGIC", 0, 0x0000, 32, "RO", 0x3155_4d42),
    ("VERSION", 0, 0x0004, 32, "RO", 0x0001_0001),
    ("IMPLEMENTATION", 0, 0x0008, 32, "RO", 0x0001_0001),
    ("LIVENESS", 0, 0x000c, 32, "RW", 0),
    ("SCRATCH", 0, 0x0010, 64, "RW", 0),
    ("CAP_COUNTS", 0, 0x0020, 32, "RO", 0x0020_4040),
    ("CAP_RINGS", 0, 0x0024, 32, "RO", 0x1003),
    ("CAP_ADDRESS", 0, 0x0028, 32, "RO", 0x0014_0630),
    ("CAP_FEATURES", 0, 0x002c, 32, "RO", 0x31f),
    ("CAP_BUFFERS", 0, 0x0030, 64, "RO", 0x100_0000),
    ("CAP_TIMEOUT", 0, 0x0038, 32, "RO", 100),
    ("CAP_EMPTYING", 0, 0x003c, 32, "RO", 5),
    ("CONTROL", 0, 0x0040, 32, "RW", 0),
    ("STATUS", 0, 0x0044, 32, "RO", 1),
    ("RESET", 0, 0x0048, 32, "WO", 0),
    ("RESET_COUNT", 0, 0x004c, 32, "RO", 0),
    ("ERR_STATUS", 0, 0x0080, 32, "W1C", 0),
    ("ERR_STATUS_SET", 0, 0x0084, 32, "W1S", 0),
    ("ERR_ENABLE_SET", 0, 0x0088, 32, "W1S", 0),
    ("ERR_ENABLE_CLEAR", 0, 0x008c, 32, "W1C", 0),
    ("ERR_RECORD", 0, 0x0090, 64, "RO", 0),
    ("ERR_ADDRESS", 0, 0x0098, 64, "RO", 0),
    ("ERR_RECORD_CLEAR", 0, 0x00a0, 32, "WO", 0),
    ("ERR_VECTOR", 0, 0x00a4, 32, "RW", 0),
    ("ERR_COUNT", 0, 0x00c0, 32, "RO", 0),
    ("IRQ_PENDING", 0, 0x0100, 32, "RO", 0),
    ("IRQ_ENABLE_SET", 0, 0x0104, 32, "W1S", 0),
    ("IRQ_ENABLE_CLEAR", 0, 0x0108, 32, "W1C", 0),
    ("IRQ_TRIGGER", 0, 0x010c, 32, "WO", 0),
    ("POOL_CONTROL", 0, 0x4000, 32, "RW", 0),
    ("POOL_STATUS", 0, 0x4004, 32, "RO", 0),
    ("POOL_BASE", 0, 0x4008, 64, "RW", 0),
    ("POOL_END", 0, 0x4010, 64, "RW", 0),
    ("POOL_STRIDE", 0, 0x4018, 32, "RW", 0),
    ("POOL_CAPACITY", 0, 0x401c, 32, "RW", 0),
    ("POOL_AVAILABLE", 0, 0x4020, 32, "RO", 0),
    ("POOL_LOW", 0, 0x4024, 32, "RW", 0),
    ("POOL_HIGH", 0, 0x4028, 32, "RW", 0),
    ("POOL_EVENT", 0, 0x402c, 32, "W1C", 0),
    ("POOL_EVENT_SET", 0, 0x4030, 32, "W1S", 0),
    ("POOL_EVENT_ENABLE", 0, 0x4034, 32, "RW", 0),
    ("POOL_VECTOR", 0, 0x4038, 32, "RW", 0),
    ("POOL_ERROR", 0, 0x403c, 32, "W1C", 0),
    ("POOL_ERROR_SET", 0, 0x4040, 32, "W1S", 0),
    ("POOL_ERROR_ADDRESS", 0, 0x4048, 64, "RO", 0),
    ("PORTAL_CONTROL", 0, 0x8000, 32, "RW", 0),
    ("PORTAL_STATUS", 0, 0x8004, 32, "RO", 0),
    ("PORTAL_POOL", 0, 0x8008, 32, "RW", 0),
    ("PORTAL_SIZES", 0, 0x800c, 32, "RW", 0),
    ("PORTAL_RELEASE_BASE", 0, 0x8010, 64, "RW", 0),
    ("PORTAL_ACQUIRE_BASE", 0, 0x8018, 64, "RW", 0),
    ("PORTAL_STATUS_BASE", 0, 0x8020, 64, "RW", 0),
    ("PORTAL_CREDITS", 0, 0x8028, 32, "RW", 0),
    ("PORTAL_HYSTERESIS", 0, 0x802c, 32, "RW", 0),
    ("PORTAL_EVENT", 0, 0x8030, 32, "W1C", 0),
    ("PORTAL_EVENT_SET", 0, 0x8034, 32, "W1S", 0),
    ("PORTAL_EVENT_ENABLE", 0, 0x8038, 32, "RW", 0),
    ("PORTAL_VECTOR", 0, 0x803c, 32, "RW", 0),
    ("PORTAL_ERROR", 0, 0x8040, 32, "W1C", 0),
    ("PORTAL_ERROR_SET", 0, 0x8044, 32, "W1S", 0),
    ("PORTAL_ERROR_ADDRESS", 0, 0x8048, 64, "RO", 0),
    ("PORTAL_RELEASE_HEAD", 0, 0x8050, 32, "RO", 0),
    ("PORTAL_ACQUIRE_TAIL", 0, 0x8054, 32, "RO", 0),
    ("POOL_ALLOC", 2, 0x0000, 64, "RE", 0),
    ("POOL_FREE", 2, 0x0008, 64, "WO", 0),
    ("PORTAL_DOORBELL", 2, 0x4_0000, 64, "WO", 0),
];

/// BAR, first byte, byte past the last, what an index counts, how many, bytes from one to the next; section 4 of SPEC.md.
const GOLDEN_BANKS: &[(u8, u64, u64, Scope, u16, u64)] = &[
    (0, 0x0000, 0x00c0, Scope::Device, 1, 0),
    (0, 0x00c0, 0x00e4, Scope::Device, 9, 4),
    (0, 0x0100, 0x4000, Scope::Device, 1, 0),
    (0, 0x4000, 0x8000, Scope::Pool, 64, 0x100),
    (0, 0x8000, 0xc000, Scope::Portal, 64, 0x100),
    (2, 0x0000, 0x4_0000, Scope::Pool, 64, 0x1000),
    (2, 0x4_0000, 0x8_0000, Scope::Portal, 64, 0x1000),
];

#[test]
fn arrays_count_what_the_specification_says() {
    for (row, golden) in TABLE.iter().zip(GOLDEN) {
        let place = |bank: &&(u8, u64, u64, Scope, u16, u64)| {
            bank.0 == golden.1 && (bank.1..bank.2).contains(&golden.2)
        };
        let bank = GOLDEN_BANKS.iter().find(place).expect("a bank");
        let found = (row.scope(), row.count(), row.stride());
        assert_eq!(found, (bank.3, bank.4, bank.5), "{}", row.name);
        let last = golden.2 + u64::from(bank.4 - 1) * bank.5;
        assert_eq!(row.offset_of(bank.4 - 1), last, "{}", row.name);
    }
}

fn read(bench: &Bench, bar: u8, offset: u64, bits: u8) -> u64 {
    let bar = if bar == 0 {
        &bench.control
    } else {
        &bench.operation
    };
    match bits {
        32 => bar.read32(offset).unwrap().into(),
        _ => bar.read64(offset).unwrap(),
    }
}

#[test]
fn the_table_is_the_specification() {
    let table: Vec<_> = (TABLE.iter())
        .map(|r| {
            (
                &*r.name,
                r.bar(),
                r.offset(),
                r.width * 8,
                r.access.mnemonic(),
            )
        })
        .collect();
    let golden: Vec<_> = (GOLDEN.iter())
        .map(|&(name, bar, offset, bits, access, _)| (name, bar, offset, bits, access))
        .collect();
    assert_eq!(table, golden);
}

#[test]
fn every_register_of_every_array_has_its_reset_value() {
    let bench = Bench::closed(config(&[("emptying-ms", "5")]));
    for (row, golden) in TABLE.iter().zip(GOLDEN) {
        for index in 0..row.count() {
            let value = read(&bench, row.bar(), row.offset_of(index), row.width * 8);
            assert_eq!(value, golden.5, "{}[{index}]", row.name);
            if let Some(reset) = row.reset {
                assert_eq!(value, reset, "{}[{index}]", row.name);
            }
        }
    }
    bench.no_violations();
}

#[test]
fn writable_registers_keep_what_is_written_and_lose_it_in_a_reset() {
    let bench = Bench::closed(config(&[]));
    let plain = |name: &str| name != "LIVENESS" && !name.ends_with("_CONTROL") && name != "CONTROL";
    let writable = || {
        TABLE
            .iter()
            .filter(|r| r.access.mnemonic() == "RW" && plain(&r.name))
    };
    for row in writable() {
        let last = row.offset_of(row.count() - 1);
        row.poke(&bench.control, row.count() - 1, row.bits).unwrap();
        assert_eq!(
            read(&bench, 0, last, row.width * 8),
            row.bits,
            "{}",
            row.name
        );
    }
    bench.set(0x48, 0x5445_5352);
    bench.until("READY", || bench.get(0x44) == 1);
    for row in writable() {
        let last = row.offset_of(row.count() - 1);
        assert_eq!(read(&bench, 0, last, row.width * 8), 0, "{}", row.name);
    }
    assert_eq!(writable().count(), 19);
    bench.no_violations();
}

#[test]
fn liveness_reads_the_complement() {
    let bench = Bench::closed(config(&[]));
    bench.set(0x0c, 0x1234_5678);
    assert_eq!(bench.get(0x0c), !0x1234_5678);
}

#[test]
fn a_wrong_width_reads_0_and_writes_nothing() {
    let bench = Bench::stepped();
    bench.set64(0x10, 0x1111_2222_3333_4444);
    assert_eq!(bench.control.read32(0x10), Ok(0));
    assert_eq!(bench.control.read32(0x14), Ok(0));
    assert_eq!(bench.control.read64(0x00), Ok(0));
    bench.set(0x14, 5);
    bench.set64(0x40, 0);
    assert_eq!(bench.get64(0x10), 0x1111_2222_3333_4444);
    assert_eq!(bench.get(0x40), 1);
    bench.violated(&[WrongWidth; 5]);
}

#[test]
fn a_hole_reads_0_and_a_misaligned_access_fails() {
    let bench = Bench::stepped();
    assert_eq!(bench.get(0x1c), 0);
    bench.set(0x3ff0, 1);
    assert_eq!(bench.operation.read64(0x10), Ok(0));
    bench.violated(&[NoRegister; 3]);
    let misaligned = BusError::Misaligned {
        offset: 2,
        width: 4,
    };
    assert_eq!(bench.control.read32(2), Err(misaligned));
    assert!(matches!(
        bench.control.write64(0xfffc, 0),
        Err(BusError::OutOfRange { .. })
    ));
    assert!(matches!(
        bench.control.read32(u64::MAX - 1),
        Err(BusError::OutOfRange { .. })
    ));
    bench.violated(&[Misaligned, NoRegister, NoRegister]);
    assert!(matches!(bench.sim.bar(1), Err(BusError::NoBar { bar: 1 })));
    assert!(bench.control.doorbell(0x1_0000).is_err() && bench.control.doorbell(4).is_err());
}

#[test]
fn a_write_to_a_read_only_register_changes_nothing() {
    let bench = Bench::stepped();
    bench.set(0x00, 0);
    bench.operation.write64(0, 5).unwrap();
    assert_eq!(bench.get(0x00), 0x3155_4d42);
    bench.violated(&[ReadOnlyWrite; 2]);
}

#[test]
fn absent_parts_read_0_and_ignore_writes() {
    let bench = Bench::new(config(&[
        ("pools", "2"),
        ("portals", "0"),
        ("vectors", "5"),
        ("write-faults", "off"),
    ]));
    assert_eq!(bench.get(0x20), 0x0005_0002);
    assert_eq!(bench.get(0x2c), 0x1d, "no PORTALS");
    assert_eq!((bench.get(pool(2) + 4), bench.get(portal(0) + 4)), (0, 0));
    bench.violated(&[AbsentPart; 2]);
    bench.set(pool(2) + 0x38, 1);
    assert_eq!(bench.get(pool(2) + 0x38), 0);
    assert_eq!(bench.alloc(2), 0);
    bench.ring_raw(0x4_0000, 1);
    bench.settle();
    bench.violated(&[AbsentPart; 4]);
    bench.set(0x104, u32::MAX);
    assert_eq!(bench.get(0x104), 0x1f);
}

#[test]
fn without_memory_space_nothing_answers() {
    let bench = Bench::stepped();
    bench.sim.config_write16(4, 0).unwrap();
    assert_eq!(bench.get(0), u32::MAX);
    assert_eq!(bench.get64(0x10), u64::MAX);
    bench.set(0x40, 0);
    bench.settle();
    bench.violated(&[MemorySpaceOff; 3]);
    bench.sim.config_write16(4, 6).unwrap();
    assert_eq!(bench.get(0x40), 1);
}

#[test]
fn features_can_be_left_out() {
    let bench = Bench::new(config(&[
        ("thresholds", "off"),
        ("register-path", "off"),
        ("injection", "off"),
        ("natural-align", "off"),
        ("write-faults", "off"),
        ("minor", "7"),
    ]));
    assert_eq!((bench.get(0x04), bench.get(0x2c)), (0x0001_0007, 2));
    bench.no_violations();
    bench.set(pool(0) + 0x24, 1);
    assert_eq!(bench.get(pool(0) + 0x24), 0, "POOL_LOW");
    bench.set(0x84, 1);
    assert_eq!(bench.get(0x80), 0, "nothing was injected");
    assert_eq!(bench.alloc(0), 0);
    bench.violated(&[AbsentPart; 4]);
    bench.set(pool(0), 2);
    assert_eq!(bench.get(pool(0)), 0, "NATURAL_ALIGN");
    bench.violated(&[ReservedBits]);
}
