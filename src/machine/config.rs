//! Configuration space as sysfs shows it, and what hwpool wants to know from it.

use hwpool_devices::bus::BusError;
use hwpool_devices::pci::{self, ConfigSpace};

use super::bdf::directory;
use super::slow::Watch;
use super::{Bdf, Tree};

const CAPABILITY_PCIE: u8 = 0x10;
const EXTENDED_ACS: u16 = 0x000d;
const UPSTREAM: u32 = 5;
const PCIE_TO_PCI: u32 = 7;
const PCI_TO_PCIE: u32 = 8;
/// Source validation, request redirect, completion redirect, upstream forwarding: what the kernel wants of a bridge
/// before it tells the functions below it apart (PCIe 7.7.11).
const ACS_WANTED: u16 = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4;
/// What sysfs shows to a user who may not see more.
const HEADER: usize = 64;

/// A copy of a function's configuration space.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    bytes: Vec<u8>,
}

/// What a bridge does against traffic between the functions below it.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Acs {
    /// There is no such capability.
    Absent,
    /// There is one; these of the wanted controls are off.
    Off(u16),
    On,
    /// The upstream port of a switch has one port below it on each path: its downstream ports decide.
    NotNeeded,
    /// Below a bridge to conventional PCI all share a bus, and requests carry the bridge's own address.
    Shared,
}

/// Sizes of requests in bytes.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) struct Requests {
    pub(crate) max_payload: u32,
    pub(crate) max_payload_supported: u32,
    pub(crate) max_read: u32,
}

impl ConfigSpace for Config {
    fn dword(&self, offset: u16) -> Result<u32, BusError> {
        let at = usize::from(offset);
        let word = self
            .bytes
            .get(at..at + 4)
            .and_then(|word| word.try_into().ok());
        // A function without extended space reads zero there, and so does what this user may not see.
        Ok(word.map_or(0, u32::from_le_bytes))
    }
}

impl Config {
    /// Reads the header, which has ids and BARs and tells whether the function answers. Each word is an access to the
    /// board, so that no more is read than is needed.
    pub(crate) fn header(tree: &Tree, bdf: Bdf) -> Option<Config> {
        let bytes: [u8; HEADER] = read(tree, bdf, |path| tree.first(path))?;
        Some(Config {
            bytes: bytes.into(),
        })
    }

    /// Reads all of a function that answers, where this user may see its capabilities.
    pub(crate) fn whole(tree: &Tree, bdf: Bdf) -> Option<Config> {
        let bytes = read(tree, bdf, |path| tree.bytes(path))?;
        // They are behind what everybody may read.
        let config = (bytes.len() > HEADER).then_some(Config { bytes })?;
        (!config.is_gone()).then_some(config)
    }

    /// Tells whether nobody answered. The ids alone don't tell: those of a virtual function read all ones.
    pub(crate) fn is_gone(&self) -> bool {
        (self.word(0), self.word(8)) == (u32::MAX, u32::MAX)
    }

    /// Returns vendor and device id.
    pub(crate) fn ids(&self) -> (u16, u16) {
        let word = self.word(0);
        (word as u16, (word >> 16) as u16)
    }

    /// Returns BAR `index` as the function's register has it.
    pub(crate) fn bar(&self, index: u16) -> u32 {
        self.word(0x10 + 4 * index)
    }

    pub(crate) fn has_flr(&self) -> bool {
        pci::has_flr(self).unwrap_or(false)
    }

    pub(crate) fn msix_vectors(&self) -> Option<u16> {
        Some(pci::msix(self).ok()??.vectors)
    }

    pub(crate) fn acs(&self) -> Acs {
        match self.port_type() {
            // A bridge without the capability is one of conventional PCI.
            None | Some(PCIE_TO_PCI | PCI_TO_PCIE) => return Acs::Shared,
            Some(UPSTREAM) if !self.is_multifunction() => return Acs::NotNeeded,
            Some(_) => {}
        }
        let Ok(Some(at)) = pci::find_extended(self, EXTENDED_ACS) else {
            return Acs::Absent;
        };
        let word = self.word(at + 4);
        let (able, controls) = (word as u16, (word >> 16) as u16);
        // What can't be switched on is not needed, by the specification: the bridge does no such traffic.
        match ACS_WANTED & able & !controls {
            0 => Acs::On,
            off => Acs::Off(off),
        }
    }

    /// Reads the type of the port from PCI Express Capabilities (PCIe 7.5.3.2).
    fn port_type(&self) -> Option<u32> {
        let at = pci::find_capability(self, CAPABILITY_PCIE).ok()??;
        Some(self.word(at) >> 20 & 0xf)
    }

    fn is_multifunction(&self) -> bool {
        self.word(0xc) >> 23 & 1 != 0
    }

    /// Reads Device Capabilities and Device Control (PCIe 7.5.3); `None` without a PCI Express capability.
    pub(crate) fn requests(&self) -> Option<Requests> {
        let at = pci::find_capability(self, CAPABILITY_PCIE).ok()??;
        let (able, control) = (self.word(at + 4), self.word(at + 8));
        let bytes = |code: u32| 128 << (code & 7);
        Some(Requests {
            max_payload: bytes(control >> 5),
            max_payload_supported: bytes(able),
            max_read: bytes(control >> 12),
        })
    }

    fn word(&self, offset: u16) -> u32 {
        self.dword(offset).unwrap_or(0)
    }
}

/// Reads the copy that sysfs gives. The kernel has readers wait while a function is being reset.
fn read<T>(tree: &Tree, bdf: Bdf, bytes: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let _watch = Watch::of(tree, bdf, "reading the configuration space of");
    bytes(&format!("{}/config", directory(bdf)))
}
