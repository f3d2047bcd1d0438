//! The model's parameters by name, and what the function shows of a BMU that is made of them (SPEC 3).

use std::borrow::Cow;
use std::ops::RangeInclusive;

use hwpool_devices::bmu::regs;
use hwpool_devices::reg::Bank;

use super::config::Config;
use super::device::Bmu;
use super::faults;
use super::lies::Lie;
use crate::lies::Lies;
use crate::logic::{Logic, ModelInfo, Options};
use crate::parameter::{ConfigError, Text};
use crate::shape::{Halves, Shape};

/// The model.
pub(crate) const MODEL: ModelInfo = ModelInfo {
    name: "bmu",
    doc: "hwpool's reference buffer management unit: pools, portals, thresholds, MSI-X",
    keys: &[
        ("pools", "pools, 1 to 64"),
        ("portals", "portals, 0 to 64"),
        ("vectors", "MSI-X vectors, 1 to 32"),
        ("buffers", "buffers that one pool can hold"),
        ("address-width", "address bits, 32 to 64"),
        ("stride-min", "smallest stride in bytes, a power of two"),
        ("stride-max", "largest stride in bytes, a power of two"),
        ("ring-min", "entries of the smallest ring, a power of two"),
        ("ring-max", "entries of the largest ring, a power of two"),
        (
            "timeout-ms",
            "time that the device may take, in milliseconds",
        ),
        ("minor", "minor version of the specification, 0 to 65535"),
        ("register-path", "on or off: POOL_ALLOC and POOL_FREE"),
        ("thresholds", "on or off: events of pools"),
        ("natural-align", "on or off: POOL_CONTROL.NATURAL_ALIGN"),
        (
            "injection",
            "on or off: registers that raise errors and events",
        ),
        (
            "halves",
            "off, on or only: 64-bit registers may, or must, be accessed as two of 32 bits",
        ),
        (
            "power-of-two",
            "on or off: only strides that are powers of two",
        ),
        (
            "write-faults",
            "on or off: whether DMA writes that are refused are seen, or lost without a word",
        ),
        (
            "emptying-ms",
            "most milliseconds in which a list is emptied, half of which it takes; 0: none",
        ),
    ],
    faults: faults::OFFERS,
    lies: Lie::ALL,
    options: || Box::new(Config::default()),
};

const STRIDE: &str = "a power of two from 64 to 1073741824, the smallest not above the largest";
const RING: &str = "a power of two from 8 to 1048576, the smallest not above the largest";

impl Options for Config {
    fn set(&mut self, text: Text<'_>) -> Option<Result<(), ConfigError>> {
        let number = |range, expected| text.within(range, expected);
        let done = match text.key {
            "pools" => number(1..=64, "1 to 64").map(|n| self.pools = n as u16),
            "portals" => number(0..=64, "0 to 64").map(|n| self.portals = n as u16),
            "vectors" => number(1..=32, "1 to 32").map(|n| self.vectors = n as u16),
            "buffers" => {
                number(1..=u64::from(u32::MAX), "1 to 4294967295").map(|n| self.buffers = n)
            }
            "address-width" => number(32..=64, "32 to 64").map(|n| self.address_width = n as u8),
            "stride-min" => (text.log2(6..=30, STRIDE)).map(|n| set_low(&mut self.stride_log2, n)),
            "stride-max" => (text.log2(6..=30, STRIDE)).map(|n| set_high(&mut self.stride_log2, n)),
            "ring-min" => (text.log2(3..=20, RING)).map(|n| set_low(&mut self.ring_log2, n)),
            "ring-max" => (text.log2(3..=20, RING)).map(|n| set_high(&mut self.ring_log2, n)),
            "timeout-ms" => number(1..=65535, "1 to 65535").map(|n| self.timeout_ms = n as u16),
            "minor" => number(0..=65535, "0 to 65535").map(|n| self.minor = n as u16),
            "register-path" => text.switch().map(|on| self.register_path = on),
            "thresholds" => text.switch().map(|on| self.thresholds = on),
            "natural-align" => text.switch().map(|on| self.natural_align = on),
            "injection" => text.switch().map(|on| self.injection = on),
            "power-of-two" => text.switch().map(|on| self.power_of_two = on),
            "emptying-ms" => number(0..=65535, "0 to 65535").map(|n| self.emptying_ms = n as u16),
            "write-faults" => text.switch().map(|on| self.write_faults = on),
            "halves" => halves(text).map(|halves| self.halves = halves),
            _ => return None,
        };
        Some(done)
    }

    fn shape(&self, lies: Lies) -> Shape {
        let pages = Bank {
            count: self.portals,
            ..regs::banks::PORTAL_PAGE
        };
        Shape {
            vendor: regs::VENDOR_ID,
            device: regs::DEVICE_ID,
            class: 0x08_8000,
            bars: Cow::Borrowed(&[
                (regs::CONTROL_BAR, regs::CONTROL_BAR_SIZE),
                (regs::OPERATION_BAR, regs::OPERATION_BAR_SIZE),
                (regs::MSIX_BAR, regs::MSIX_BAR_SIZE),
            ]),
            msix_bar: regs::MSIX_BAR,
            msix_pba: regs::MSIX_PBA_OFFSET,
            vectors: self.vectors,
            table: Cow::Borrowed(regs::TABLE),
            pools: self.pools,
            portals: self.portals,
            lacks: self.lacks(),
            doorbells: (self.portals > 0 && self.halves != Halves::Only).then_some(pages),
            interrupt_register: "IRQ_TRIGGER".into(),
            reset_register: "RESET".into(),
            faults: faults::OFFERS.into(),
            halves: self.halves,
            lies,
        }
    }

    fn make(&self, lies: Lies) -> Box<dyn Logic> {
        Box::new(Bmu::new(self.clone(), lies))
    }

    fn boxed(&self) -> Box<dyn Options> {
        Box::new(self.clone())
    }
}

fn halves(text: Text<'_>) -> Result<Halves, ConfigError> {
    match text.value {
        "off" => Ok(Halves::Off),
        "on" => Ok(Halves::On),
        "only" => Ok(Halves::Only),
        _ => Err(text.refused("off, on or only")),
    }
}

fn set_low(range: &mut RangeInclusive<u8>, low: u8) {
    *range = low..=low.max(*range.end());
}

fn set_high(range: &mut RangeInclusive<u8>, high: u8) {
    *range = high.min(*range.start())..=high;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_moves_the_other_where_it_must() {
        let mut config = Config::default();
        for (key, value) in [("ring-max", "8"), ("stride-min", "2097152")] {
            config.set(Text { key, value }).unwrap().unwrap();
        }
        assert_eq!((config.ring_log2, config.stride_log2), (3..=3, 21..=21));
    }
}
