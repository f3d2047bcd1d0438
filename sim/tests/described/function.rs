//! What the function shows: BARs, ids, registers that are not to be touched, the depth.

use hwpool_devices::bus::{Bar, Transport};
use hwpool_devices::description::{Depth, Description, Empty, Sharing};
use hwpool_sim::ViolationKind::{NeverTouched, WrongWidth};
use hwpool_sim::{ConfigError, Mode, SimConfig};

use crate::build::*;

/// Returns the kind and the size of a BAR, as firmware finds it.
fn sized(bench: &Bench, bar: u8) -> (u32, u64) {
    let at = 0x10 + 4 * u16::from(bar);
    let read = |at| {
        let before = bench.sim.config_read32(at).unwrap();
        bench.sim.config_write32(at, u32::MAX).unwrap();
        let mask = bench.sim.config_read32(at).unwrap();
        bench.sim.config_write32(at, before).unwrap();
        u64::from(mask)
    };
    let low = read(at);
    let high = if low & 4 != 0 {
        read(at + 4)
    } else {
        0xffff_ffff
    };
    (low as u32 & 0xf, !(high << 32 | low & !0xf) + 1)
}

#[test]
fn each_bar_has_its_size_and_the_msix_table_another() {
    let cases = [
        (0, 0x400, 4, 0x1000),
        (1, 0x2345, 4, 0x4000),
        (2, 0x1_0000, 4, 0x1_0000),
        (3, 0x400, 0, 0x1000),
        (4, 1 << 40, 0, 1 << 40),
        (5, 1 << 30, 0, 1 << 30),
    ];
    for (bar, size, msix, expected) in cases {
        let mut description = plain();
        (description.bar, description.size) = (bar, size);
        for row in &mut description.registers {
            row.bank.bar = bar;
        }
        let bench = Bench::new(description);
        let kind = if bar == 5 { 0 } else { 4 };
        assert_eq!(sized(&bench, bar), (kind, expected), "BAR {bar}");
        assert_eq!(sized(&bench, msix), (4, 0x2000), "BAR {bar}");
        assert_eq!(bench.sim.config_read32(0x84).unwrap(), u32::from(msix));
        assert_eq!(bench.get(ID), 0x4f46_4946);
        bench.no_violations();
    }
}

#[test]
fn ids_and_vectors_are_the_descriptions() {
    let mut description = plain();
    let bench = Bench::new(description.clone());
    assert_eq!(bench.sim.config_read32(0).unwrap(), 0xf1f1_1234);
    assert_eq!(bench.sim.config_read32(0x80).unwrap() >> 16 & 0x7ff, 0);
    description.ids = vec![(0x10ee, 0x7024), (0x10ee, 0x7028)];
    description.interrupt.as_mut().unwrap().vector = 5;
    let bench = Bench::new(description);
    assert_eq!(bench.sim.config_read32(0).unwrap(), 0x7024_10ee);
    assert_eq!(bench.sim.config_read32(0x80).unwrap() >> 16 & 0x7ff, 5);
}

#[test]
fn registers_that_are_never_touched_and_widths() {
    let mut description = plain();
    description.never = vec![POP, LENGTH, RESET];
    let bench = Bench::new(description);
    bench.get(POP);
    bench.set(RESET, KEY);
    bench.until("READY", || bench.get(STATUS) & READY != 0);
    bench.no_violations();
    bench.get(LENGTH);
    bench.get(RESET);
    let places: Vec<String> = ["LENGTH", "RESET"].map(String::from).into();
    let found = bench.violations();
    assert!(
        found.iter().all(|(kind, _)| *kind == NeverTouched),
        "{found:?}"
    );
    assert_eq!(
        found
            .into_iter()
            .map(|(_, place)| place)
            .collect::<Vec<_>>(),
        places
    );
    bench.sim.bar(0).unwrap().read64(0).unwrap();
    assert_eq!(bench.violations(), [(WrongWidth, "ID".into())]);
}

#[test]
fn plain_registers_keep_what_their_access_says() {
    use hwpool_devices::reg::Access;
    let mut description = plain();
    let cases = [
        (TAKE, Access::ReadWrite, 0x35),
        (GIVE, Access::WriteOneToClear, 0xca),
        (LENGTH, Access::WriteOneToSet, 0xff),
        (POP_HIGH, Access::ReadOnly, 0xca),
        (PUSH_HIGH, Access::WriteOnly, 0),
    ];
    for (register, access, _) in cases {
        let row = &mut description.registers[register];
        (row.access, row.reset, row.bits) = (access, Some(0xca), 0xff);
    }
    let bench = Bench::new(description);
    for (register, access, after) in cases {
        let before = if access == Access::WriteOnly { 0 } else { 0xca };
        assert_eq!(bench.get(register), before, "{access:?}");
        if access != Access::ReadOnly {
            bench.set(register, 0x35);
        }
        assert_eq!(bench.get(register), after, "{access:?}");
    }
    bench.no_violations();
}

#[test]
fn a_depth_that_a_register_tells_is_an_option() {
    let mut description = plain();
    description.depth = Depth::Register(bits(DEPTH, 0, 24));
    let bench = Bench::new(description.clone());
    assert_eq!(bench.get(DEPTH), 1024);
    let bench = Bench::with(description.clone(), &[("depth", "3")]);
    bench.push(&[0, 1, 2]);
    assert_eq!((bench.get(DEPTH), bench.get(STATUS)), (3, READY | IS_FULL));
    let is_largest = |description: &Description, depth: u64| {
        let mut config = SimConfig::described(description.clone()).unwrap();
        let mut takes = |depth: u64| config.set("depth", &depth.to_string()).is_ok();
        takes(depth) && !takes(depth + 1)
    };
    assert!(is_largest(&description, 1 << 24));
    description.empty = Empty::Value(0xff);
    assert!(
        is_largest(&description, 0xff),
        "which means that there is none"
    );
    description.level = Some(bits(LEVEL, 0, 5));
    assert!(is_largest(&description, 63), "the level counts no further");
    let mut lists = copied(plain(), Sharing::Lists(64));
    lists.depth = description.depth;
    assert!(is_largest(&lists, 1 << 18));
    let fixed = SimConfig::described(plain()).unwrap().set("depth", "3");
    assert!(
        matches!(fixed, Err(ConfigError::UnknownKey { .. })),
        "{fixed:?}"
    );
}

#[test]
fn every_key_is_taken_and_an_unknown_one_names_them() {
    let mut description = plain();
    description.depth = Depth::Register(bits(DEPTH, 0, 24));
    let mut config = SimConfig::described(description).unwrap();
    let own = config.keys().iter();
    let keys: Vec<&str> = SimConfig::KEYS
        .iter()
        .chain(own)
        .map(|(key, _)| *key)
        .collect();
    assert!(keys.contains(&"depth"));
    for key in keys {
        let error = config.set(key, "?").err();
        let unknown = matches!(error, Some(ConfigError::UnknownKey { .. }) | None);
        assert!(!unknown, "{key}");
    }
    let text = config.set("dept", "3").unwrap_err().to_string();
    assert!(text.contains("depth") && text.contains("seed"), "{text}");
}

#[test]
fn a_description_with_a_mistake_is_refused() {
    let mut description = plain();
    description.bar = 6;
    let error = SimConfig::described(description).unwrap_err();
    let text = error.to_string();
    let ConfigError::Description { source, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(source.key, "at.bar");
    assert!(text.contains("`plain`"), "{text}");
}

#[test]
fn registers_far_up_are_found() {
    let mut description = plain();
    description.size = 1 << 40;
    description.registers[LEVEL].within = (1 << 40) - 4;
    let bench = Bench::new(description);
    bench.push(&[1, 2]);
    assert_eq!(bench.get(LEVEL), 2);
    bench.no_violations();
}

#[test]
fn real_time_resets_at_once() {
    let mut config = SimConfig::described(plain()).unwrap();
    config.mode = Mode::Threaded;
    assert_eq!(config.name(), "plain");
    let sim = hwpool_sim::InProcess::open("plain", "sim:plain.toml", config).unwrap();
    let bar = sim.bar(0).unwrap();
    let at = |register: usize| 4 * register as u64;
    bar.write32(at(CONTROL), 1).unwrap();
    bar.write32(at(PUSH), 5).unwrap();
    assert_eq!(bar.read32(at(LEVEL)).unwrap(), 1);
    bar.write32(at(RESET), KEY as u32).unwrap();
    assert_eq!(bar.read32(at(STATUS)).unwrap() & 1, 1);
    assert_eq!(bar.read32(at(LEVEL)).unwrap(), 0);
    assert!(sim.violations().is_empty());
}
