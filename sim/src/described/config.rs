//! What a described device is made of, and what the function shows of it.

use std::borrow::Cow;
use std::sync::Arc;

use hwpool_devices::description::{Bits, Depth, Description, Empty, Meaning};

use super::device::Device;
use super::lies::Lie;
use super::offers::offers;
use super::reset;
use crate::config::SimConfig;
use crate::lies::Lies;
use crate::logic::{Logic, Options};
use crate::parameter::{ConfigError, Text};
use crate::shape::{Halves, Shape};

/// Ids of a board whose description names none.
const IDS: (u16, u16) = (0x1234, 0xf1f1);
/// The BAR of the MSI-X table, unless the registers lie there or next to it.
const MSIX_BARS: [u8; 2] = [4, 0];
const MSIX_BAR_SIZE: u64 = 0x2000;
const MSIX_PBA: u64 = 0x1000;
/// Smallest BAR.
const PAGE: u64 = 0x1000;
/// The depth of a device that tells it by a register, and the most that it can be.
const DEPTH: u64 = 1024;
const MOST: u64 = 1 << 24; // in all lists together

const KEYS: &[(&str, &str)] = &[("depth", "values that a list holds, as its register tells")];

/// The parameters of a described device.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) description: Arc<Description>,
    pub(super) depth: u32,
}

impl SimConfig {
    /// Configures the model of a described device with every default. Its name is the description's.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Description`] where the description does not pass its check.
    pub fn described(description: impl Into<Arc<Description>>) -> Result<SimConfig, ConfigError> {
        let description = description.into();
        let name = description.name.clone();
        if let Err(source) = description.check() {
            return Err(ConfigError::Description { name, source });
        }
        let depth = default_depth(&description);
        let keys = match description.depth {
            Depth::Fixed(_) => &[],
            Depth::Register(_) => KEYS,
        };
        let options = Box::new(Config { description, depth });
        Ok(SimConfig {
            own_lies: Lie::ALL,
            ..SimConfig::with(name.into(), keys, options)
        })
    }
}

impl Options for Config {
    fn set(&mut self, text: Text<'_>) -> Option<Result<(), ConfigError>> {
        let Depth::Register(bits) = self.description.depth else {
            return None;
        };
        let most = largest_depth(&self.description, &bits);
        let expected = "1 to 16777216, as many as its register, its numbers and its level can tell";
        let depth = || text.within(1..=most, expected);
        (text.key == "depth").then(|| depth().map(|n| self.depth = n as u32))
    }

    fn shape(&self, lies: Lies) -> Shape {
        let description = &self.description;
        let (vendor, device) = *description.ids.first().unwrap_or(&IDS);
        let msix_bar = MSIX_BARS[usize::from(description.bar > 2)];
        let size = description.size.next_power_of_two().max(PAGE);
        let mut bars = vec![(description.bar, size), (msix_bar, MSIX_BAR_SIZE)];
        bars.sort_unstable();
        let irq = description.interrupt.as_ref();
        let pending = irq.and_then(|irq| irq.pending.or(irq.threshold));
        let name = |register: Option<usize>| {
            let row = description.row(register.unwrap_or(description.alive));
            Cow::Owned(row.name.to_string())
        };
        Shape {
            vendor,
            device,
            class: 0x08_8000,
            bars: bars.into(),
            msix_bar,
            msix_pba: MSIX_PBA,
            vectors: irq.map_or(1, |irq| irq.vector + 1),
            table: Cow::Owned(description.registers.clone()),
            pools: description.copies(),
            portals: 0,
            lacks: Vec::new(),
            doorbells: None,
            interrupt_register: name(pending.map(|bits| bits.register)),
            reset_register: name(Some(reset::register(description))),
            faults: offers(description).into(),
            halves: Halves::Off,
            lies,
        }
    }

    fn make(&self, lies: Lies) -> Box<dyn Logic> {
        let description = Arc::clone(&self.description);
        Box::new(Device::new(description, self.depth, lies))
    }

    fn boxed(&self) -> Box<dyn Options> {
        Box::new(self.clone())
    }
}

fn default_depth(description: &Description) -> u32 {
    match description.depth {
        Depth::Fixed(depth) => depth,
        Depth::Register(bits) => DEPTH.min(largest_depth(description, &bits)) as u32,
    }
}

/// Returns how many values a list can hold so that what the description names can tell of all.
fn largest_depth(description: &Description, told: &Bits) -> u64 {
    let value = description.value;
    let counts = [Some(*told), description.level].into_iter().flatten();
    let counted = counts
        .map(|bits| bits.mask() >> bits.low)
        .min()
        .unwrap_or(MOST);
    let most = counted.min(MOST / u64::from(description.lists()));
    let Meaning::Index { first } = value.is else {
        return most;
    };
    let bits = value.mask();
    let empty = match description.empty {
        Empty::Value(word) if word & !bits == 0 => Some(word >> value.low),
        _ => None,
    };
    let after = empty
        .filter(|empty| *empty >= first.into())
        .unwrap_or((bits >> value.low).saturating_add(1));
    most.min(after - u64::from(first))
}
