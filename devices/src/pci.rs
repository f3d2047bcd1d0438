//! PCI configuration space: identity, capabilities, bus mastering.
//!
//! ```
//! use hwpool_devices::bus::{BusError, Transport};
//! use hwpool_devices::pci;
//!
//! /// Tells whether a function has vectors, and can be reset by itself.
//! fn is_fit<T: Transport>(function: &T) -> Result<bool, BusError> {
//!     Ok(pci::msix(function)?.is_some() && pci::has_flr(function)?)
//! }
//! ```
//!
//! Offsets are those of the PCI Local Bus and PCI Express base specifications.

use std::time::Duration;

use crate::bus::{BusError, Transport};
use crate::wait::{TimedOut, wait_for};

const COMMAND: u16 = 0x04;
const COMMAND_MEMORY_SPACE: u16 = 1 << 1;
const COMMAND_BUS_MASTER: u16 = 1 << 2;
const STATUS_HAS_CAPABILITIES: u32 = 1 << 20;
const CAPABILITIES: u16 = 0x34;
const CAPABILITY_POWER: u8 = 0x01;
const CAPABILITY_PCIE: u8 = 0x10;
const CAPABILITY_MSIX: u8 = 0x11;
const EXTENDED_AER: u16 = 0x0001;
const FIRST_EXTENDED: u16 = 0x100;
/// As many capabilities as fit: a list that is longer runs in a circle.
const MOST_CAPABILITIES: usize = 48;
const MOST_EXTENDED: usize = 960;
const TRANSACTIONS_PENDING: u32 = 1 << 21;

/// Who a function says it is.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Class code: base class, subclass, programming interface.
    pub class: u32,
    /// Revision id.
    pub revision: u8,
}

/// A PCI Express link as it was trained and as it could be.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Link {
    /// Generation that runs now: 1 is 2.5 GT/s, 3 is 8 GT/s.
    pub generation: u8,
    /// Lanes in use now.
    pub lanes: u8,
    /// Fastest generation that the function supports.
    pub max_generation: u8,
    /// Widest link that the function supports.
    pub max_lanes: u8,
}

/// The MSI-X capability.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Msix {
    /// Vectors in the table.
    pub vectors: u16,
    /// BAR and byte offset of the table.
    pub table: (u8, u32),
    /// BAR and byte offset of the pending bit array.
    pub pending: (u8, u32),
}

/// Error status of the Advanced Error Reporting capability.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct AerStatus {
    /// Uncorrectable errors, a bit a kind.
    pub uncorrectable: u32,
    /// Correctable errors, a bit a kind.
    pub correctable: u32,
}

/// Something that has a configuration space to read: a transport, or a copy of the space that somebody kept.
pub trait ConfigSpace {
    /// Reads the 32 bits at `offset`, a multiple of 4.
    ///
    /// # Errors
    ///
    /// Where nothing is there to be read.
    fn dword(&self, offset: u16) -> Result<u32, BusError>;
}

impl<T: Transport> ConfigSpace for T {
    fn dword(&self, offset: u16) -> Result<u32, BusError> {
        self.config_read32(offset)
    }
}

/// Reads vendor, device, class and revision.
///
/// Fails with [`BusError::Gone`] when nobody answers.
pub fn identity<T: Transport>(transport: &T) -> Result<Identity, BusError> {
    let ids = transport.config_read32(0)?;
    if ids == u32::MAX {
        return Err(BusError::Gone {
            evidence: "the vendor id in configuration space reads all ones".into(),
        });
    }
    let class = transport.config_read32(0x08)?;
    Ok(Identity {
        vendor: ids as u16,
        device: (ids >> 16) as u16,
        class: class >> 8,
        revision: class as u8,
    })
}

/// Turns the function's right to issue memory requests on or off and reads the command register back, which also
/// pushes the write to the device.
pub fn set_bus_master<T: Transport>(transport: &T, on: bool) -> Result<bool, BusError> {
    let command = transport.config_read32(COMMAND)? as u16;
    let wanted = if on {
        command | COMMAND_BUS_MASTER
    } else {
        command & !COMMAND_BUS_MASTER
    };
    transport.config_write16(COMMAND, wanted)?;
    Ok(transport.config_read32(COMMAND)? as u16 & COMMAND_BUS_MASTER != 0)
}

/// Turns the function's Memory Space on where it is off: until then it claims no access of its BARs.
///
/// Firmware and kernels do that; where neither is between, as over a socket, whoever opens the function does.
pub fn enable_memory<T: Transport>(transport: &T) -> Result<(), BusError> {
    let command = transport.config_read32(COMMAND)? as u16;
    match command & COMMAND_MEMORY_SPACE {
        0 => transport.config_write16(COMMAND, command | COMMAND_MEMORY_SPACE),
        _ => Ok(()),
    }
}

/// Waits until the function has no request of its own under way (Device Status, Transactions Pending).
///
/// A function without a PCI Express capability can't tell and counts as done.
pub fn wait_transactions_done<T: Transport, E: From<BusError> + From<TimedOut>>(
    transport: &T,
    limit: Duration,
) -> Result<(), E> {
    let Some(pcie) = find_capability(transport, CAPABILITY_PCIE)? else {
        return Ok(());
    };
    wait_for(
        transport,
        "end of the device's own transactions",
        limit,
        || {
            let status = transport.config_read32(pcie + 0x08)?;
            Ok((status & TRANSACTIONS_PENDING == 0).then_some(()))
        },
    )
}

/// Returns the offset of the Power Management Control/Status register, whose lowest two bits are the power state
/// (0 is D0); `None` for a function that is always on.
pub fn power_control<C: ConfigSpace>(config: &C) -> Result<Option<u16>, BusError> {
    let power = find_capability(config, CAPABILITY_POWER)?;
    Ok(power.map(|power| power + 0x04))
}

/// Tells whether the function has a PCI Express capability.
pub fn has_express<C: ConfigSpace>(config: &C) -> Result<bool, BusError> {
    Ok(find_capability(config, CAPABILITY_PCIE)?.is_some())
}

/// Tells whether extended configuration space can be read: a machine may reach no more than the first 256 bytes.
pub fn is_extended<C: ConfigSpace>(config: &C) -> Result<bool, BusError> {
    match config.dword(FIRST_EXTENDED) {
        Err(BusError::OutOfRange { .. }) => Ok(false),
        word => Ok(word? != u32::MAX),
    }
}

/// Follows the list of capabilities to its end; returns the offset that comes a second time, where it has no end.
pub fn capability_loop<C: ConfigSpace>(config: &C) -> Result<Option<u16>, BusError> {
    if config.dword(COMMAND)? & STATUS_HAS_CAPABILITIES == 0 {
        return Ok(None);
    }
    let mut seen = Vec::new();
    let mut at = config.dword(CAPABILITIES)? as u16 & 0xfc;
    while at >= 0x40 {
        if seen.contains(&at) {
            return Ok(Some(at));
        }
        seen.push(at);
        at = (config.dword(at)? >> 8) as u16 & 0xfc;
    }
    Ok(None)
}

/// Tells whether the function offers a function level reset.
pub fn has_flr<C: ConfigSpace>(config: &C) -> Result<bool, BusError> {
    let Some(pcie) = find_capability(config, CAPABILITY_PCIE)? else {
        return Ok(false);
    };
    Ok(config.dword(pcie + 0x04)? & (1 << 28) != 0)
}

/// Reads the state of the link; `None` where there is none: without a PCI Express capability, or of a function that
/// the root complex integrates and that therefore reports no lanes.
pub fn link<C: ConfigSpace>(config: &C) -> Result<Option<Link>, BusError> {
    let Some(pcie) = find_capability(config, CAPABILITY_PCIE)? else {
        return Ok(None);
    };
    let able = config.dword(pcie + 0x0c)?;
    let now = config.dword(pcie + 0x10)? >> 16;
    let link = Link {
        generation: (now & 0xf) as u8,
        lanes: (now >> 4 & 0x3f) as u8,
        max_generation: (able & 0xf) as u8,
        max_lanes: (able >> 4 & 0x3f) as u8,
    };
    Ok((link.max_lanes > 0).then_some(link))
}

/// Reads the MSI-X capability; `None` where there is none.
pub fn msix<C: ConfigSpace>(config: &C) -> Result<Option<Msix>, BusError> {
    let Some(msix) = find_capability(config, CAPABILITY_MSIX)? else {
        return Ok(None);
    };
    let place = |word: u32| ((word & 7) as u8, word & !7);
    Ok(Some(Msix {
        vectors: (config.dword(msix)? >> 16 & 0x7ff) as u16 + 1,
        table: place(config.dword(msix + 4)?),
        pending: place(config.dword(msix + 8)?),
    }))
}

/// Reads the error status registers; `None` without Advanced Error Reporting.
pub fn aer_status<C: ConfigSpace>(config: &C) -> Result<Option<AerStatus>, BusError> {
    let Some(aer) = find_extended(config, EXTENDED_AER)? else {
        return Ok(None);
    };
    Ok(Some(AerStatus {
        uncorrectable: config.dword(aer + 0x04)?,
        correctable: config.dword(aer + 0x10)?,
    }))
}

/// Finds a capability's offset by its id, in at most as many steps as there is room for.
pub fn find_capability<C: ConfigSpace>(config: &C, id: u8) -> Result<Option<u16>, BusError> {
    if config.dword(COMMAND)? & STATUS_HAS_CAPABILITIES == 0 {
        return Ok(None);
    }
    let mut at = config.dword(CAPABILITIES)? as u16 & 0xfc;
    for _ in 0..MOST_CAPABILITIES {
        if at < 0x40 {
            return Ok(None);
        }
        let header = config.dword(at)?;
        if header as u8 == id {
            return Ok(Some(at));
        }
        at = (header >> 8) as u16 & 0xfc;
    }
    Ok(None)
}

/// Finds an extended capability's offset by its id; there is none where configuration space ends before them, as that of a
/// conventional function does.
pub fn find_extended<C: ConfigSpace>(config: &C, id: u16) -> Result<Option<u16>, BusError> {
    let mut at = FIRST_EXTENDED;
    for _ in 0..MOST_EXTENDED {
        let header = match config.dword(at) {
            Err(BusError::OutOfRange { .. }) => return Ok(None),
            header => header?,
        };
        if header == 0 || header == u32::MAX {
            return Ok(None);
        }
        if header as u16 == id {
            return Ok(Some(at));
        }
        at = (header >> 20) as u16 & 0xffc;
        if at < FIRST_EXTENDED {
            return Ok(None);
        }
    }
    Ok(None)
}
