//! A SoC of LiteX's parts (rtl/litex), which `HWPOOL_LITEX` names the folder of: what the ladder does not look at.

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Served, can_build, serve};
use hwpool::devices::bus::{Bar, Irq, Transport};
use hwpool::devices::description::Description;
use hwpool_rtl::design;

const SOURCE: u64 = 0x10_0000;
const TARGET: u64 = SOURCE + 0x8000;
const SIZE: u64 = 0x1_0000;
const SEEDS: u64 = 8;

/// The SoC behind a socket, with the places that LiteX gave its registers.
struct Soc {
    served: Served,
    described: Description,
}

impl Soc {
    fn new(folder: &Path, seed: u64) -> Self {
        let served = serve(&design::read(&folder.join("soc.toml")).unwrap(), Some(seed));
        let described = hwpool_describe::read(&folder.join("litex.toml")).unwrap();
        Self { served, described }
    }

    fn at(&self, name: &str) -> u64 {
        let mut all = self.described.registers.iter();
        let found = all.find(|register| register.name == name);
        found.unwrap_or_else(|| panic!("no {name}")).offset()
    }

    fn write(&self, name: &str, value: u32) {
        self.served.bar().write32(self.at(name), value).unwrap();
    }

    fn read(&self, name: &str) -> u32 {
        self.served.bar().read32(self.at(name)).unwrap()
    }

    /// Copies, until nothing moves any more.
    fn copy(&self, source: u64, target: u64, len: u32) {
        for (side, address) in [("READER", source), ("WRITER", target)] {
            self.write(&format!("COPIER_{side}_ENABLE"), 0);
            self.write(&format!("COPIER_{side}_BASE_HIGH"), 0);
            self.write(&format!("COPIER_{side}_BASE_LOW"), address as u32);
            self.write(&format!("COPIER_{side}_LENGTH"), len);
        }
        self.write("COPIER_WRITER_ENABLE", 1);
        self.write("COPIER_READER_ENABLE", 1);
        self.served.monitor.settled();
    }
}

/// The folder, where there is one; what must not be skipped is not asked of this.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("HWPOOL_LITEX").filter(|_| can_build());
    if folder.is_none() {
        eprintln!("skipped: HWPOOL_LITEX names no folder that rtl/litex/soc.py wrote");
    }
    folder.map(PathBuf::from)
}

#[test]
fn the_copy_engine_of_litex_copies_and_interrupts() {
    let Some(folder) = folder() else { return };
    for seed in 0..SEEDS {
        let soc = Soc::new(&folder, seed);
        let memory = soc.served.map(SOURCE, SIZE);
        let copied = soc.served.client.irq(1).unwrap();
        soc.write("COPIER_EV_ENABLE", 1);
        let len = 4 * (1 + seed as usize * 13);
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..2 {
            let bytes: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
            memory.write(SOURCE, &bytes);
            soc.copy(SOURCE, TARGET, len as u32);
            assert_eq!(soc.read("COPIER_WRITER_DONE"), 1, "seed {seed}");
            assert_eq!(memory.read(TARGET, len), bytes, "seed {seed}");
            assert_eq!(memory.read(TARGET + len as u64, 64), [0; 64]);
            assert_eq!(copied.wait(Duration::from_secs(5)).unwrap(), 1);
            assert_eq!(soc.read("COPIER_EV_PENDING"), 1);
            soc.write("COPIER_EV_PENDING", 1);
        }
        assert_eq!(soc.served.monitor.fault(), None, "seed {seed}");
    }
}

/// LiteX's engines look at no answer: they count an error as done, and what they could not read as 0.
#[test]
fn what_is_not_mapped_is_not_reached_and_litex_calls_it_done() {
    let Some(folder) = folder() else { return };
    let soc = Soc::new(&folder, 1);
    let memory = soc.served.map(SOURCE, SIZE);
    memory.write(SOURCE, &[0x55; SIZE as usize]);
    soc.copy(SOURCE + SIZE - 32, TARGET, 64);
    assert_eq!(soc.read("COPIER_WRITER_DONE"), 1);
    assert_eq!(memory.read(TARGET, 32), [0x55; 32]);
    assert_eq!(memory.read(TARGET + 32, 32), [0; 32]);
    assert_eq!(soc.served.monitor.fault(), None);
}
