//! The register table, typed a second time from SPEC.md, against the model and against `regs.rs`.

use hwpool_devices::bus::{Bar, Transport};
use hwpool_devices::fifo::regs::TABLE;
use hwpool_sim::ViolationKind::{
    MemorySpaceOff, NoRegister, ReadOnlyWrite, ReservedBits, WrongWidth,
};
use hwpool_sim::{InProcess, SimConfig};

use crate::bench::{Bench, CONTROL, LEVEL, POP, PUSH};

/// Name, offset, access, value after reset, bits that exist; section 3 of SPEC.md.
///
/// Where the table has no value, it is what the model's defaults make of it.
const GOLDEN: &[(&str, u64, &str, u32, u32)] = &[
    ("IDENTITY", 0x00, "RO", 0x4f46_4946, u32::MAX),
    ("VERSION", 0x04, "RO", 0x0001_0000, u32::MAX),
    ("DEPTH", 0x08, "RO", 0x0010_0000, 0x01ff_ffff),
    ("SCRATCH", 0x0c, "RW", 0, 0x7fff_ffff),
    ("CONTROL", 0x10, "RW", 0, 3),
    ("STATUS", 0x14, "RO", 3, 7),
    ("LEVEL", 0x18, "RO", 0, 0x01ff_ffff),
    ("ERROR", 0x1c, "W1C", 0, 7),
    ("POP", 0x20, "RE", 0, 0x80ff_ffff),
    ("PUSH", 0x24, "WO", 0, 0x00ff_ffff),
    ("RESET", 0x28, "WO", 0, u32::MAX),
    ("RESET_COUNT", 0x2c, "RO", 0, 0x7fff_ffff),
    ("THRESHOLD", 0x30, "RW", 0, 0x01ff_ffff),
    ("EVENT", 0x34, "W1C", 0, 1),
    ("EVENT_SET", 0x38, "W1S", 0, 1),
];

#[test]
fn the_table_is_the_specification() {
    let table: Vec<_> = (TABLE.iter())
        .map(|r| {
            (
                &*r.name,
                r.bar(),
                r.offset(),
                r.width,
                r.access.mnemonic(),
                r.bits,
            )
        })
        .collect();
    let golden: Vec<_> = (GOLDEN.iter())
        .map(|&(name, offset, access, _, bits)| (name, 0, offset, 4, access, u64::from(bits)))
        .collect();
    assert_eq!(table, golden);
    for (row, golden) in TABLE.iter().zip(GOLDEN) {
        let varies = ["DEPTH", "POP", "RESET_COUNT"].contains(&golden.0);
        let reset = (!varies).then_some(u64::from(golden.3));
        assert_eq!(row.reset, reset, "{}", row.name);
    }
}

#[test]
fn every_register_has_its_reset_value() {
    let config = SimConfig::new("fifo").unwrap();
    let sim = InProcess::open("fifo", "sim:fifo", config).unwrap();
    let bar = sim.bar(0).unwrap();
    for &(name, offset, _, reset, _) in GOLDEN {
        assert_eq!(bar.read32(offset), Ok(reset), "{name}");
    }
    assert_eq!(sim.violations(), []);
}

#[test]
fn configuration_space_is_that_of_the_specification() {
    let bench = Bench::closed(&[]);
    assert_eq!(bench.sim.config_read32(0), Ok(0xf1f0_1234));
    assert_eq!(
        bench.sim.config_read32(8).map(|word| word >> 8),
        Ok(0x08_8000)
    );
    assert_eq!(bench.sim.irq_count(), Ok(1));
    let sizes: Vec<_> = (0..6)
        .map(|bar| bench.sim.bar(bar).map(|bar| bar.size()))
        .collect();
    let there = |bar: usize| sizes[bar].as_ref().ok().copied();
    let found: Vec<_> = (0..6).map(there).collect();
    assert_eq!(found, [Some(0x1000), None, None, None, Some(0x2000), None]);
    // A BAR is sized by writing ones; the one that there is not stays 0.
    for (at, size) in [(0x10, !0xfff | 4), (0x18, 0), (0x20, !0x1fff | 4)] {
        bench.sim.config_write32(at, u32::MAX).unwrap();
        assert_eq!(bench.sim.config_read32(at), Ok(size), "{at:#x}");
    }
}

#[test]
fn other_accesses_read_0_and_change_nothing() {
    let bench = Bench::new(&[]);
    bench.push(&[1, 2]);
    assert_eq!(bench.bar.read64(POP), Ok(0), "a wrong width takes nothing");
    bench.bar.write64(PUSH - 4, 5 << 32).unwrap();
    assert_eq!(bench.get(0x3c), 0);
    bench.set(0x800, 1);
    bench.set(LEVEL, 7);
    bench.set(POP, 7);
    assert_eq!(bench.drain(), [1, 2]);
    let kinds: Vec<_> = bench
        .violations()
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    let expected = [
        WrongWidth,
        WrongWidth,
        NoRegister,
        NoRegister,
        ReadOnlyWrite,
        ReadOnlyWrite,
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn reserved_bits_are_dropped_and_reported() {
    let bench = Bench::closed(&[]);
    bench.set(0x0c, u32::MAX);
    assert_eq!(bench.get(0x0c), 0x7fff_ffff);
    bench.set(CONTROL, 4);
    assert_eq!(bench.get(CONTROL), 0);
    let found = bench.violations();
    assert_eq!(
        found,
        [
            (ReservedBits, "SCRATCH".into()),
            (ReservedBits, "CONTROL".into())
        ]
    );
}

#[test]
fn without_memory_space_nothing_answers() {
    let bench = Bench::new(&[]);
    bench.push(&[3]);
    bench.sim.config_write16(4, 4).unwrap();
    assert_eq!(bench.get(POP), u32::MAX);
    bench.sim.config_write16(4, 6).unwrap();
    assert_eq!(bench.drain(), [3]);
    assert_eq!(bench.violations()[0].0, MemorySpaceOff);
}

#[test]
fn keys_and_configurations_of_other_models_are_refused() {
    let mut config = SimConfig::new("fifo").unwrap();
    for (key, value) in [("pools", "1"), ("depth", "0"), ("depth", "16777217")] {
        assert!(config.set(key, value).is_err(), "{key}={value}");
    }
    let other = InProcess::open("bmu", "sim:bmu", config).unwrap_err();
    assert!(other.to_string().contains("`fifo`"), "{other}");
    let unknown = SimConfig::new("fofi").unwrap_err().to_string();
    assert!(unknown.contains("bmu, fifo"), "{unknown}");
}
