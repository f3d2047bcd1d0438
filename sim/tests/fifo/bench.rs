//! A hand-written client of the FIFO: plain register accesses, straight from SPEC.md.

use hwpool_devices::bus::{Bar, Transport};
use hwpool_sim::{InProcess, SimBar, SimConfig, ViolationKind};

pub(crate) const DEPTH: u64 = 0x08;
pub(crate) const CONTROL: u64 = 0x10;
pub(crate) const STATUS: u64 = 0x14;
pub(crate) const LEVEL: u64 = 0x18;
pub(crate) const ERROR: u64 = 0x1c;
pub(crate) const POP: u64 = 0x20;
pub(crate) const PUSH: u64 = 0x24;
pub(crate) const RESET: u64 = 0x28;
pub(crate) const RESET_COUNT: u64 = 0x2c;
pub(crate) const THRESHOLD: u64 = 0x30;
pub(crate) const EVENT: u64 = 0x34;
pub(crate) const EVENT_SET: u64 = 0x38;
/// POP: there was a number.
pub(crate) const VALID: u32 = 1 << 31;

/// One model with its registers.
pub(crate) struct Bench {
    pub(crate) sim: InProcess,
    pub(crate) bar: SimBar,
}

impl Bench {
    /// Opens a model with a queue of 8 and enables it.
    pub(crate) fn new(keys: &[(&str, &str)]) -> Bench {
        let bench = Bench::closed(keys);
        bench.set(CONTROL, 1);
        bench
    }

    /// Opens a model with a queue of 8, with bus mastering on, which messages need.
    pub(crate) fn closed(keys: &[(&str, &str)]) -> Bench {
        let mut config = SimConfig::new("fifo").unwrap();
        config.set("depth", "8").unwrap();
        for (key, value) in keys {
            config.set(key, value).unwrap();
        }
        let sim = InProcess::open("fifo", "sim:fifo", config).unwrap();
        sim.config_write16(4, 6).unwrap();
        let bar = sim.bar(0).unwrap();
        Bench { sim, bar }
    }

    pub(crate) fn get(&self, offset: u64) -> u32 {
        self.bar.read32(offset).unwrap()
    }

    pub(crate) fn set(&self, offset: u64, value: u32) {
        self.bar.write32(offset, value).unwrap();
    }

    pub(crate) fn push(&self, numbers: &[u32]) {
        for number in numbers {
            self.set(PUSH, *number);
        }
    }

    /// Pops until nothing comes.
    pub(crate) fn drain(&self) -> Vec<u32> {
        let pop = || Some(self.get(POP)).filter(|word| word & VALID != 0);
        std::iter::from_fn(pop).map(|word| word & !VALID).collect()
    }

    /// Waits in the model's time.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = self.sim.now() + std::time::Duration::from_millis(500);
        while !is_so() {
            assert!(self.sim.now() < deadline, "{what} did not happen");
            self.sim.relax();
        }
    }

    pub(crate) fn violations(&self) -> Vec<(ViolationKind, String)> {
        let found = self.sim.violations().into_iter();
        found.map(|v| (v.kind, v.place)).collect()
    }

    pub(crate) fn no_violations(&self) {
        assert_eq!(self.violations(), []);
    }
}
