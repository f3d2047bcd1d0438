//! PCI configuration space, as the design's file says it (PCI Express Base Specification 7.5).

use crate::design::{Capability, Design};

/// Bytes of configuration space.
pub(super) const SIZE: u64 = 4096;

/// Bytes of the BAR that holds the MSI-X table: its vectors from 0 on, and the pending bits.
pub(super) const MSIX_BAR_SIZE: u64 = 8192;
/// Where the pending bits begin.
pub(super) const PBA: u64 = 0x1000;

const COMMAND: usize = 0x04;
const COMMAND_MEMORY: u8 = 1 << 1;
const COMMAND_MASTER: u8 = 1 << 2;
/// Where firmware puts the first BAR, and the least distance to the next.
const BAR_ADDRESS: u64 = 0x8000_0000;
const BAR_DISTANCE: u64 = 0x10_0000;
const ERRORS: usize = 0x100;
const BAR0: usize = 0x10;
const POWER: usize = 0x40;
const EXPRESS: usize = 0x50;
const MSIX: usize = 0x90;
/// Device Control in the PCI Express capability, and Initiate Function Level Reset in its upper byte.
const DEVICE_CONTROL: usize = EXPRESS + 8;
const INITIATE_FLR: u8 = 1 << 7;
/// Function Mask in the upper byte of MSI-X Message Control.
const FUNCTION_MASK: u8 = 1 << 6;

/// What a write of configuration space started.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    Flr,
}

/// The bytes, and which bits of them writes change.
#[derive(Debug)]
pub(super) struct ConfigSpace {
    bytes: Vec<u8>,
    reset: Vec<u8>,
    writable: Vec<u8>,
    /// Bits that a 1 clears.
    clears: Vec<u8>,
    can_flr: bool,
}

impl ConfigSpace {
    pub(super) fn new(design: &Design) -> ConfigSpace {
        let mut space = ConfigSpace {
            bytes: vec![0; SIZE as usize],
            reset: Vec::new(),
            writable: vec![0; SIZE as usize],
            clears: vec![0; SIZE as usize],
            can_flr: design.pci.capabilities.contains(&Capability::Flr),
        };
        space.header(design);
        space.capabilities(design);
        space.reset = space.bytes.clone();
        space.power_up(design);
        space
    }

    /// Does what firmware does: assigns the BARs, and turns memory decoding on.
    fn power_up(&mut self, design: &Design) {
        let mut next = BAR_ADDRESS;
        for (bar, size) in bars(design) {
            let at = BAR0 + 4 * usize::from(bar);
            let address = next.next_multiple_of(size);
            self.put32(at, address as u32 | u32::from(self.bytes[at]));
            next = address + size.next_multiple_of(BAR_DISTANCE);
        }
        self.bytes[COMMAND] |= COMMAND_MEMORY;
    }

    /// Tells whether the function claims its BARs.
    pub(super) fn is_claiming(&self) -> bool {
        self.bytes[COMMAND] & COMMAND_MEMORY != 0
    }

    /// Tells whether the function may issue memory requests.
    pub(super) fn is_master(&self) -> bool {
        self.bytes[COMMAND] & COMMAND_MASTER != 0
    }

    /// Tells whether all vectors are masked at once.
    pub(super) fn masks_all(&self) -> bool {
        self.bytes[MSIX + 3] & FUNCTION_MASK != 0
    }

    /// Tells whether the function says that it can be reset.
    pub(super) fn can_flr(&self) -> bool {
        self.can_flr
    }

    /// Puts every register to its reset value.
    pub(super) fn reset(&mut self) {
        self.bytes.copy_from_slice(&self.reset);
    }

    /// Reads bytes; those past the end are 0.
    pub(super) fn read(&self, offset: u64, data: &mut [u8]) {
        for (at, byte) in (offset..).zip(data) {
            *byte = usize::try_from(at)
                .ok()
                .and_then(|at| self.bytes.get(at))
                .copied()
                .unwrap_or(0);
        }
    }

    /// Writes bytes; those past the end are dropped.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        let mut effect = Effect::None;
        for (at, byte) in (offset..).zip(data) {
            let Ok(at) = usize::try_from(at) else { break };
            let Some(writable) = self.writable.get(at).copied() else {
                break;
            };
            self.bytes[at] = self.bytes[at] & !writable | byte & writable;
            self.bytes[at] &= !(byte & self.clears[at]);
            if at == DEVICE_CONTROL + 1 && self.can_flr && byte & INITIATE_FLR != 0 {
                effect = Effect::Flr;
            }
        }
        effect
    }

    fn header(&mut self, design: &Design) {
        let pci = &design.pci;
        self.put16(0x00, pci.vendor);
        self.put16(0x02, pci.device);
        // Memory Space, Bus Master, SERR, Interrupt Disable.
        self.allow(COMMAND, &[0x06, 0x05]);
        self.put32(0x08, pci.class << 8 | u32::from(pci.revision));
        self.allow(0x0c, &[0xff]); // Cache Line Size: kept for software's sake
        for (bar, size) in bars(design) {
            self.bar(bar, size, pci.wide_bars);
        }
        self.put16(0x2c, pci.subsystem_vendor);
        self.put16(0x2e, pci.subsystem);
        self.allow(0x3c, &[0xff]); // Interrupt Line: a scratch byte of the firmware's
    }

    /// A memory BAR, not prefetchable: a read may have effects.
    fn bar(&mut self, bar: u8, size: u64, wide: bool) {
        let at = BAR0 + 4 * usize::from(bar);
        let mask = (!(size - 1)).to_le_bytes();
        self.allow(at, &mask[..if wide { 8 } else { 4 }]);
        self.bytes[at] = if wide { 0x4 } else { 0 };
    }

    fn capabilities(&mut self, design: &Design) {
        let pci = &design.pci;
        let has = |capability| pci.capabilities.contains(&capability);
        let mut next = 0;
        if pci.vectors > 0 {
            self.msix(pci.vectors, pci.msix_bar, next);
            next = MSIX;
        }
        if has(Capability::Express) {
            self.express(next);
            next = EXPRESS;
        }
        if has(Capability::Power) {
            self.put16(POWER, 0x01 | (next as u16) << 8);
            self.put16(POWER + 2, 3); // version 1.2, no PME
            self.put16(POWER + 4, 1 << 3); // No_Soft_Reset: D3hot keeps the state
            self.allow(POWER + 4, &[0x03]);
            next = POWER;
        }
        if has(Capability::Errors) {
            self.errors();
        }
        if next != 0 {
            self.put16(0x06, 1 << 4); // Capabilities List
            self.bytes[0x34] = next as u8;
        }
    }

    fn express(&mut self, next: usize) {
        self.put16(EXPRESS, 0x10 | (next as u16) << 8);
        self.put16(EXPRESS + 2, 2); // version 2, endpoint
        let flr = u32::from(self.can_flr) << 28;
        self.put32(EXPRESS + 4, flr | 1 << 15); // role-based error reporting
        self.put16(DEVICE_CONTROL, 1 << 4 | 2 << 12); // relaxed ordering, read request 512
        self.allow(DEVICE_CONTROL, &[0xff, 0x7f]);
        // 8 GT/s on 8 lanes, as capability and as status.
        self.put32(EXPRESS + 0x0c, 0x83);
        self.put16(EXPRESS + 0x12, 0x83);
        self.put32(EXPRESS + 0x2c, 0x0e);
    }

    fn msix(&mut self, vectors: u16, bar: u8, next: usize) {
        self.put16(MSIX, 0x11 | (next as u16) << 8);
        self.put16(MSIX + 2, vectors - 1);
        self.allow(MSIX + 3, &[0xc0]); // MSI-X Enable, Function Mask
        self.put32(MSIX + 4, u32::from(bar));
        self.put32(MSIX + 8, PBA as u32 | u32::from(bar));
    }

    /// Advanced Error Reporting, in which nothing is ever reported: masks and severities are kept.
    fn errors(&mut self) {
        self.put32(ERRORS, 0x0002_0001); // version 2, last of the list
        let uncorrectable = 0x07ff_f030u32.to_le_bytes();
        let correctable = 0x0000_f1c1u32.to_le_bytes();
        self.clears[ERRORS + 0x04..ERRORS + 0x08].copy_from_slice(&uncorrectable);
        self.clears[ERRORS + 0x10..ERRORS + 0x14].copy_from_slice(&correctable);
        self.allow(ERRORS + 0x08, &uncorrectable);
        self.allow(ERRORS + 0x0c, &uncorrectable);
        self.allow(ERRORS + 0x14, &correctable);
    }

    fn put16(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn put32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn allow(&mut self, at: usize, mask: &[u8]) {
        self.writable[at..at + mask.len()].copy_from_slice(mask);
    }
}

/// Returns all BARs with their sizes.
fn bars(design: &Design) -> impl Iterator<Item = (u8, u64)> {
    let msix = (design.pci.vectors > 0).then_some((design.pci.msix_bar, MSIX_BAR_SIZE));
    design
        .bars
        .iter()
        .map(|bar| (bar.bar, bar.size))
        .chain(msix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn space(more: &str) -> ConfigSpace {
        let text = format!(
            "schema = \"hwpool.rtl/1\"\ntop = \"t\"\nsources = [\"Cargo.toml\"]\nclock = \"clk\"\n\
             reset = {{ port = \"rst\", active = \"high\" }}\n{more}\n[[bars]]\nbar = 0\nport = \"s_\"\nsize = 4096\n\
             [[interrupts]]\nport = \"irq\"\nis = \"level\"\nvector = 3\n"
        );
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        ConfigSpace::new(&crate::design::parse(&text, "t.toml", folder).unwrap())
    }

    fn get(space: &ConfigSpace, offset: u64) -> u32 {
        let mut bytes = [0; 4];
        space.read(offset, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    #[test]
    fn ids_and_class_are_those_of_the_file() {
        let space = space(
            "pci = { vendor = 0xabcd, device = 0x4321, class = 0x088000, revision = 7, subsystem = 9 }",
        );
        assert_eq!(get(&space, 0), 0x4321_abcd);
        assert_eq!(get(&space, 8), 0x0880_0007);
        assert_eq!(get(&space, 0x2c), 0x0009_abcd);
    }

    #[test]
    fn the_capability_list_reaches_all_and_ends() {
        for (words, ids) in [
            ("", vec![0x10, 0x11]),
            ("pci = { capabilities = [] }", vec![0x11]),
            (
                "pci = { capabilities = [\"power\", \"express\"] }",
                vec![0x01, 0x10, 0x11],
            ),
        ] {
            let space = space(words);
            let mut at = get(&space, 0x34) & 0xff;
            let mut seen = Vec::new();
            while at != 0 && seen.len() < 10 {
                seen.push(get(&space, at.into()) & 0xff);
                at = get(&space, at.into()) >> 8 & 0xff;
            }
            assert_eq!(seen, ids);
        }
    }

    #[test]
    fn bars_are_sized_by_writing_ones_and_the_rest_stays() {
        let mut space = space("");
        assert_eq!(space.write(0, &[0xff; 64]), Effect::None);
        assert_eq!(get(&space, 0x10), 0xffff_f000);
        assert_eq!(get(&space, 0x14), 0xffff_e000, "the MSI-X table's");
        assert_eq!(get(&space, 0x18), 0);
        assert_eq!(get(&space, 0), 0x0001_1234);
        assert!(space.is_master());
        space.reset();
        assert!(!space.is_master());
    }

    #[test]
    fn firmware_has_been_there_and_a_reset_forgets_it() {
        let mut space = space("pci = { bar_bits = 64 }");
        assert!(space.is_claiming() && !space.is_master());
        assert_eq!((get(&space, 0x10), get(&space, 0x14)), (0x8000_0004, 0));
        assert_eq!(get(&space, 0x18), 0x8010_0004, "the MSI-X table's");
        space.reset();
        assert!(!space.is_claiming());
        assert_eq!(get(&space, 0x10), 4);
    }

    #[test]
    fn only_a_function_that_offers_it_is_reset_by_it() {
        let flr = |space: &mut ConfigSpace| space.write(DEVICE_CONTROL as u64, &[0, 0x80]);
        assert_eq!(flr(&mut space("")), Effect::Flr);
        assert_eq!(
            flr(&mut space("pci = { capabilities = [\"express\"] }")),
            Effect::None
        );
    }
}
