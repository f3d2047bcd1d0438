//! PCI configuration space (SPEC 3): values, write masks, capabilities.

use crate::lies::Lie;
use crate::shape::Shape;

/// Command register: the function claims its BARs.
pub(crate) const COMMAND_MEMORY: u16 = 1 << 1;
/// Command register: the function may issue memory requests.
pub(crate) const COMMAND_MASTER: u16 = 1 << 2;
/// Offset of the command register.
pub(crate) const COMMAND: u16 = 0x04;
/// Offset of the first base address register.
pub(crate) const BAR0: u16 = 0x10;
/// Offset of the PCI Express capability.
pub(crate) const EXPRESS: u16 = 0x40;
/// Offset of Device Control.
pub(crate) const DEVICE_CONTROL: u16 = EXPRESS + 0x08;
/// Device Control: Initiate Function Level Reset.
pub(crate) const INITIATE_FLR: u16 = 1 << 15;
/// Offset of the MSI-X capability.
pub(crate) const MSIX: u16 = 0x80;
/// Offset of MSI-X Message Control.
pub(crate) const MSIX_CONTROL: u16 = MSIX + 2;
/// MSI-X Message Control: MSI-X Enable.
pub(crate) const MSIX_ENABLE: u16 = 1 << 15;
/// MSI-X Message Control: Function Mask.
pub(crate) const MSIX_FUNCTION_MASK: u16 = 1 << 14;
/// Offset of Advanced Error Reporting.
const AER: usize = 0x100;
/// Device Status: Transactions Pending.
const TRANSACTIONS_PENDING: u16 = 1 << 5;
/// Link Status and Capabilities: 8 GT/s on 8 lanes.
const LINK: u16 = 3 | 8 << 4;
/// Where the firmware puts the first BAR, and the least distance to the next.
const BAR_ADDRESS: u64 = 0xfe80_0000;
const BAR_DISTANCE: u64 = 0x10_0000;
/// The BAR that has no second half: memory of 32 bits, below the others.
const LAST_BAR: u8 = 5;

/// What a write of configuration space started.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    Flr,
    /// Command or MSI-X Message Control changed: messages held back may go now.
    Messages,
}

/// The 4096 bytes with the bits that writes change.
#[derive(Debug)]
pub(crate) struct ConfigSpace {
    bytes: Vec<u8>,
    reset: Vec<u8>,
    writable: Vec<u8>,
    clears: Vec<u8>,
}

impl ConfigSpace {
    /// Makes the space as reset leaves it.
    pub(crate) fn new(shape: &Shape) -> ConfigSpace {
        let mut space = ConfigSpace {
            bytes: vec![0; 4096],
            reset: Vec::new(),
            writable: vec![0; 4096],
            clears: vec![0; 4096],
        };
        space.header(shape);
        space.express();
        space.msix(shape);
        space.errors();
        space.lie(shape);
        space.reset = space.bytes.clone();
        space
    }

    /// Does what firmware does: assigns the BARs, and turns memory decoding on where it is one that does.
    pub(crate) fn power_up(&mut self, shape: &Shape, decodes: bool) {
        let mut next = BAR_ADDRESS;
        for (bar, size) in shape.bars.iter() {
            let low = usize::from(BAR0) + usize::from(*bar) * 4;
            let kind = u32::from(self.bytes[low] & 0xf);
            if *bar == LAST_BAR {
                self.set32(
                    low,
                    (BAR_ADDRESS - size) as u32 & !(*size as u32 - 1) | kind,
                );
                continue;
            }
            let address = next.next_multiple_of(*size);
            self.set32(low, address as u32 | kind);
            self.set32(low + 4, (address >> 32) as u32);
            next = address + size.next_multiple_of(BAR_DISTANCE);
        }
        let command = if decodes { COMMAND_MEMORY } else { 0 };
        self.set16(usize::from(COMMAND), command);
    }

    /// Puts every register to its reset value (SPEC 9.2, function level reset).
    pub(crate) fn reset(&mut self) {
        self.bytes.copy_from_slice(&self.reset);
    }

    pub(crate) fn command(&self) -> u16 {
        self.get16(COMMAND)
    }

    pub(crate) fn msix_control(&self) -> u16 {
        self.get16(MSIX_CONTROL)
    }

    pub(crate) fn set_pending(&mut self, pending: bool) {
        let at = usize::from(EXPRESS) + 0x0a;
        let old = self.get16(at as u16) & !TRANSACTIONS_PENDING;
        self.set16(at, old | if pending { TRANSACTIONS_PENDING } else { 0 });
    }

    /// Reads `width` bytes, 1, 2 or 4; bytes past the end read 0.
    pub(crate) fn read(&self, offset: u16, width: u8) -> u32 {
        (0..usize::from(width.min(4)))
            .map(|i| u32::from(*self.bytes.get(usize::from(offset) + i).unwrap_or(&0)) << (8 * i))
            .sum()
    }

    /// Writes `width` bytes, 1, 2 or 4; bytes past the end are dropped.
    pub(crate) fn write(&mut self, offset: u16, width: u8, value: u32) -> Effect {
        for i in 0..usize::from(width.min(4)) {
            self.write_byte(usize::from(offset) + i, (value >> (8 * i)) as u8);
        }
        let control = self.get16(DEVICE_CONTROL);
        if control & INITIATE_FLR != 0 {
            self.set16(usize::from(DEVICE_CONTROL), control & !INITIATE_FLR);
            return Effect::Flr;
        }
        let touches = |at: u16| offset < at + 2 && at < offset + u16::from(width);
        if touches(COMMAND) || touches(MSIX_CONTROL) {
            return Effect::Messages;
        }
        Effect::None
    }

    fn write_byte(&mut self, at: usize, value: u8) {
        let Some(byte) = self.bytes.get_mut(at) else {
            return;
        };
        let writable = self.writable[at];
        *byte = (*byte & !writable) | (value & writable);
        *byte &= !(value & self.clears[at]);
    }

    fn header(&mut self, shape: &Shape) {
        self.set16(0x00, shape.vendor);
        self.set16(0x02, shape.device);
        self.allow16(
            COMMAND,
            COMMAND_MEMORY | COMMAND_MASTER | 1 << 6 | 1 << 8 | 1 << 10,
        );
        self.set16(0x06, 1 << 4); // Capabilities List
        self.clears[0x07] = 0xf9; // error bits of the status register
        self.set32(0x08, shape.class << 8 | 1);
        self.writable[0x0c] = 0xff; // Cache Line Size: kept for software's sake
        for (bar, size) in shape.bars.iter() {
            let low = usize::from(BAR0) + usize::from(*bar) * 4;
            let writable = !(size - 1);
            self.allow32(low, writable as u32);
            if *bar != LAST_BAR {
                self.set32(low, 0x4); // 64-bit memory, not prefetchable
                self.allow32(low + 4, (writable >> 32) as u32);
            }
        }
        self.set16(0x2c, shape.vendor);
        self.set16(0x2e, 0x0001);
        self.bytes[0x34] = EXPRESS as u8;
        self.writable[0x3c] = 0xff; // Interrupt Line: a scratch byte of the firmware's
    }

    fn express(&mut self) {
        let at = usize::from(EXPRESS);
        self.set16(at, 0x10 | MSIX << 8);
        self.set16(at + 2, 2); // version 2, endpoint
        self.set32(at + 4, 1 << 28 | 1 << 15 | 1); // FLR, role-based error reporting, payload 256
        self.set16(at + 8, 1 << 5 | 2 << 12 | 1 << 4); // payload 256, read request 512, relaxed ordering
        self.allow16(DEVICE_CONTROL, 0x7fff | INITIATE_FLR);
        self.clears[at + 0x0a] = 0x0f;
        self.set32(at + 0x0c, u32::from(LINK));
        self.allow16(EXPRESS + 0x10, 0x00c3);
        self.set16(at + 0x12, LINK);
        self.allow16(EXPRESS + 0x28, 0x001f);
        self.set32(at + 0x2c, 0x0e); // 2.5, 5 and 8 GT/s
    }

    fn msix(&mut self, shape: &Shape) {
        let at = usize::from(MSIX);
        self.set16(at, 0x11);
        self.set16(at + 2, shape.vectors - 1);
        self.allow16(MSIX_CONTROL, MSIX_ENABLE | MSIX_FUNCTION_MASK);
        self.set32(at + 4, u32::from(shape.msix_bar));
        self.set32(at + 8, shape.msix_pba as u32 | u32::from(shape.msix_bar));
    }

    fn errors(&mut self) {
        self.set32(AER, 0x0002_0001); // version 2, last of the list
        self.clear32(AER + 0x04, 0x07ff_f030);
        self.allow32(AER + 0x08, 0x07ff_f030);
        self.allow32(AER + 0x0c, 0x07ff_f030);
        self.clear32(AER + 0x10, 0x0000_f1c1);
        self.allow32(AER + 0x14, 0x0000_f1c1);
    }

    /// Puts what the function lies about in the place of what is so.
    fn lie(&mut self, shape: &Shape) {
        let (express, msix) = (usize::from(EXPRESS), usize::from(MSIX));
        let tells = |lie| shape.lies.tell(lie);
        if tells(Lie::BridgeHeader) {
            self.bytes[0x0e] = 1;
        }
        if tells(Lie::NoFlr) {
            self.bytes[express + 7] &= !0x10;
        }
        if tells(Lie::NoExpress) {
            self.bytes[0x34] = MSIX as u8;
        }
        if tells(Lie::NoAer) {
            self.set32(AER, 0);
        }
        if tells(Lie::NoMsix) {
            self.bytes[express + 1] = 0;
        }
        if tells(Lie::MsixOutside) {
            self.set32(msix + 4, 0x10_0000 | u32::from(shape.msix_bar));
        }
        if tells(Lie::MsixElsewhere) {
            self.set32(msix + 4, 0x800 | u32::from(shape.msix_bar));
        }
        if tells(Lie::VectorMore) {
            self.set16(msix + 2, shape.vectors);
        }
        if tells(Lie::ManyVectors) {
            self.set16(msix + 2, 2047);
        }
        if tells(Lie::CapabilityLoop) {
            self.bytes[msix + 1] = EXPRESS as u8;
        }
        if tells(Lie::InterruptPin) {
            self.bytes[0x3d] = 1;
        }
        if tells(Lie::Prefetchable) {
            let of_registers = |(bar, _): &&(u8, u64)| *bar != shape.msix_bar;
            let last = shape.bars.iter().rfind(of_registers);
            let (bar, _) = last.expect("a device has registers");
            self.bytes[usize::from(BAR0) + usize::from(*bar) * 4] |= 0x8;
        }
    }

    fn get16(&self, at: u16) -> u16 {
        self.read(at, 2) as u16
    }

    fn set16(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn set32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn allow16(&mut self, at: u16, mask: u16) {
        let at = usize::from(at);
        self.writable[at..at + 2].copy_from_slice(&mask.to_le_bytes());
    }

    fn allow32(&mut self, at: usize, mask: u32) {
        self.writable[at..at + 4].copy_from_slice(&mask.to_le_bytes());
    }

    fn clear32(&mut self, at: usize, mask: u32) {
        self.clears[at..at + 4].copy_from_slice(&mask.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimConfig;

    fn shape(vectors: u16) -> Shape {
        let mut config = SimConfig::default();
        config.set("vectors", &vectors.to_string()).unwrap();
        config.shape()
    }

    #[test]
    fn the_capability_list_reaches_all_and_ends() {
        let space = ConfigSpace::new(&shape(32));
        let mut at = space.read(0x34, 1) as u16;
        let mut seen = Vec::new();
        while at != 0 && seen.len() < 10 {
            seen.push(space.read(at, 1));
            at = space.read(at + 1, 1) as u16;
        }
        assert_eq!(seen, [0x10, 0x11]);
        assert_eq!(space.read(0x100, 4) & 0xffff, 1);
        assert_eq!(space.read(MSIX_CONTROL, 2), 31);
    }

    #[test]
    fn bars_are_sized_by_writing_ones() {
        let mut space = ConfigSpace::new(&shape(1));
        for (i, size) in [0x1_0000u32, 0x8_0000, 0x2000].into_iter().enumerate() {
            let at = BAR0 + 8 * i as u16;
            space.write(at, 4, u32::MAX);
            assert_eq!(space.read(at, 4), !(size - 1) | 4);
        }
    }

    #[test]
    fn writes_change_only_what_they_may() {
        let mut space = ConfigSpace::new(&shape(1));
        space.power_up(&shape(1), true);
        assert_eq!(space.write(0, 4, 0), Effect::None);
        assert_eq!(space.read(0, 4), 0xb0f5_1234);
        assert_eq!(space.write(COMMAND, 2, 0xffff), Effect::Messages);
        assert_eq!(space.read(COMMAND, 2), 0x0546);
        assert_eq!(space.write(DEVICE_CONTROL, 2, 0xffff), Effect::Flr);
        assert_eq!(space.read(DEVICE_CONTROL, 2), 0x7fff);
        space.reset();
        assert_eq!(space.read(COMMAND, 2), 0);
        assert_eq!(space.read(BAR0, 4), 4);
        assert_eq!(space.read(5000, 4), 0);
    }

    #[test]
    fn no_legacy_interrupt_and_a_truthful_link() {
        let space = ConfigSpace::new(&shape(1));
        assert_eq!(space.read(0x3d, 1), 0);
        assert_eq!(space.read(EXPRESS + 0x12, 2), 0x83);
        assert_eq!(space.read(EXPRESS + 4, 4) >> 28 & 1, 1);
    }
}
