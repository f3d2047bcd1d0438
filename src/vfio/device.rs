//! The device's own descriptor: regions, configuration space, reset.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use hwpool_devices::bus::BusError;
use hwpool_devices::pci::{self, ConfigSpace};
use nix::errno::Errno;
use vfio_bindings::bindings::vfio as abi;

use super::caps::{self, RegionCap};
use super::error::{VfioError, bus_error, hint};
use super::lender::{Kept, Lender};
use super::sys;
use crate::machine::{Bdf, SlowToClose, Tree, Watch};

/// Bytes of configuration space that PCI Express gives a function.
const CONFIG_SPACE: u64 = 4096;
const COMMAND: u16 = 0x04;
const COMMAND_MEMORY: u8 = 1 << 1;
/// The power state in the lowest byte of PMCSR.
const POWER_STATE: u8 = 0b11;
/// How long a function may take to D0: 10 ms by the PCI Power Management specification, and some for slow ones.
const POWER_UP: Duration = Duration::from_millis(100);

/// A region of a function: a BAR, the ROM, configuration space.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Region {
    /// Its number.
    pub index: u32,
    /// Length in bytes; 0 where the function does not have it.
    pub size: u64,
    /// Where it begins in the device's file.
    pub offset: u64,
    /// It can be read.
    pub readable: bool,
    /// It can be written.
    pub writable: bool,
    /// It, or parts of it, can be mapped.
    pub mappable: bool,
    /// Its capabilities.
    pub caps: Vec<RegionCap>,
}

/// The descriptor of a function.
#[derive(Debug)]
pub(super) struct DeviceFd {
    file: SlowToClose<File>,
    config: Region,
    resets: bool,
    /// Where PMCSR is.
    power: Option<u16>,
    /// Whoever has the function open as well, who may want it closed here first: it goes last.
    _lender: Option<Kept>,
}

impl ConfigSpace for DeviceFd {
    fn dword(&self, offset: u16) -> Result<u32, BusError> {
        self.config_read32(offset)
    }
}

impl DeviceFd {
    /// Takes the descriptor, learns where configuration space is, and wakes the function up. It is a duplicate of one that a
    /// `lender` has, if there is one.
    pub(super) fn new(
        bdf: Bdf,
        fd: OwnedFd,
        lender: Option<Lender>,
    ) -> Result<DeviceFd, VfioError> {
        let foreign = |what| VfioError::Foreign { bdf, what };
        let info = sys::device_info(fd.as_fd()).map_err(|errno| VfioError::Bus {
            bdf,
            source: bus_error("VFIO_DEVICE_GET_INFO", errno),
        })?;
        if info.flags & abi::VFIO_DEVICE_FLAGS_PCI == 0 {
            return Err(foreign("the kernel says that this is no PCI function"));
        }
        let index = abi::VFIO_PCI_CONFIG_REGION_INDEX;
        let config = region(fd.as_fd(), index).map_err(|source| VfioError::Bus { bdf, source })?;
        if config.size < 64 {
            return Err(foreign(
                "the kernel gives no access to its configuration space",
            ));
        }
        let resets = info.flags & abi::VFIO_DEVICE_FLAGS_RESET != 0;
        let file = SlowToClose::new(bdf, fd.into());
        let device = DeviceFd::awake(file, config, resets, lender.map(Kept::from));
        device.map_err(|source| VfioError::Bus { bdf, source })
    }

    /// Makes a device of its parts and brings it to D0: in another state it answers nothing, and an access to a mapped
    /// register would raise SIGBUS. The kernel wakes functions that it opens; a driver must not depend on it.
    fn awake(
        file: SlowToClose<File>,
        config: Region,
        resets: bool,
        lender: Option<Kept>,
    ) -> Result<DeviceFd, BusError> {
        let mut device = DeviceFd {
            file,
            config,
            resets,
            power: None,
            _lender: lender,
        };
        let Some(control) = pci::power_control(&device)? else {
            return Ok(device);
        };
        let status = device.config_read32(control)?;
        let state = status as u8 & POWER_STATE;
        if state != 0 {
            tracing::warn!("the function is in power state D{state}: it is brought to D0");
            // PME_Status, bit 15, is cleared by a one: it is not ours to clear.
            let on = status as u16 & !(1 << 15) & !u16::from(POWER_STATE);
            device.config_write(control, &on.to_le_bytes())?;
            wait_for_d0(POWER_UP, || device.config_read32(control))?;
        }
        device.power = Some(control);
        Ok(device)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Describes a region.
    pub(super) fn region(&self, index: u32) -> Result<Region, BusError> {
        region(self.fd(), index)
    }

    /// Reads `bytes.len()` bytes of a region in one access.
    pub(super) fn read(
        &self,
        region: &Region,
        offset: u64,
        bytes: &mut [u8],
    ) -> Result<(), BusError> {
        let width = bytes.len();
        let position = region.offset.saturating_add(offset);
        let done = self.file.read_at(bytes, position);
        check_transfer("pread", offset, width, done)
    }

    /// Writes `bytes` to a region in one access.
    pub(super) fn write(&self, region: &Region, offset: u64, bytes: &[u8]) -> Result<(), BusError> {
        let position = region.offset.saturating_add(offset);
        let done = self.file.write_at(bytes, position);
        check_transfer("pwrite", offset, bytes.len(), done)
    }

    /// Reads configuration space; beyond what the function has of it all bits are one, as on the bus.
    pub(super) fn config_read32(&self, offset: u16) -> Result<u32, BusError> {
        check_config(offset, 4)?;
        if u64::from(offset) >= self.config.size {
            return Ok(u32::MAX);
        }
        let mut bytes = [0; 4];
        self.read(&self.config, offset.into(), &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Writes configuration space. Memory decoding and power stay on: without them a mapped register would raise
    /// SIGBUS.
    pub(super) fn config_write(&self, offset: u16, bytes: &[u8]) -> Result<(), BusError> {
        let width = bytes.len() as u8;
        check_config(offset, width)?;
        let switched_off = match bytes[0] {
            low if offset == COMMAND && low & COMMAND_MEMORY == 0 => Some("memory decoding"),
            low if self.power == Some(offset) && low & POWER_STATE != 0 => Some("the function"),
            _ => None,
        };
        if let Some(what) = switched_off {
            return Err(BusError::Failed {
                offset: offset.into(),
                width,
                cause: format!("{what} can't be switched off while BARs may be mapped"),
            });
        }
        if u64::from(offset) >= self.config.size {
            return Err(BusError::OutOfRange {
                offset: offset.into(),
                width,
                len: self.config.size,
            });
        }
        self.write(&self.config, offset.into(), bytes)
    }

    /// Resets the function, by FLR or whatever else the kernel knows for it alone.
    pub(super) fn reset(&self, bdf: Bdf) -> Result<(), BusError> {
        if !self.resets {
            return Err(BusError::Reset {
                cause: "the kernel knows no way to reset this function alone".into(),
            });
        }
        let watch = Watch::of(&Tree::running(), bdf, "resetting");
        sys::reset(self.fd(), &watch).map_err(|errno| BusError::Reset {
            cause: format!(
                "VFIO_DEVICE_RESET failed with errno {errno}: {}",
                hint("VFIO_DEVICE_RESET", errno)
            ),
        })
    }
}

/// Reads PMCSR until it says D0.
fn wait_for_d0(limit: Duration, read: impl Fn() -> Result<u32, BusError>) -> Result<(), BusError> {
    let end = Instant::now() + limit;
    loop {
        let state = read()? as u8 & POWER_STATE;
        if state == 0 {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(BusError::Gone {
                evidence: format!(
                    "it stays in power state D{state} for {limit:?} after it was sent to D0: reset its slot, or take \
                     the board's power away and boot"
                ),
            });
        }
        std::thread::yield_now();
    }
}

fn region(fd: BorrowedFd<'_>, index: u32) -> Result<Region, BusError> {
    let (info, answer) = sys::region_info(fd, index)
        .map_err(|errno| bus_error("VFIO_DEVICE_GET_REGION_INFO", errno))?;
    let flag = |bit| info.flags & bit != 0;
    let first = if flag(abi::VFIO_REGION_INFO_FLAG_CAPS) {
        info.cap_offset
    } else {
        0
    };
    Ok(Region {
        index,
        size: info.size,
        offset: info.offset,
        readable: flag(abi::VFIO_REGION_INFO_FLAG_READ),
        writable: flag(abi::VFIO_REGION_INFO_FLAG_WRITE),
        mappable: flag(abi::VFIO_REGION_INFO_FLAG_MMAP),
        caps: caps::region(&answer, first),
    })
}

/// Makes an error of a transfer that failed or was cut short: a register is read whole or not at all.
fn check_transfer(
    call: &'static str,
    offset: u64,
    width: usize,
    done: std::io::Result<usize>,
) -> Result<(), BusError> {
    let cause = match done {
        Ok(bytes) if bytes == width => return Ok(()),
        Ok(bytes) => format!("{call} moved {bytes} of {width} bytes"),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENODEV) => return Err(bus_error(call, Errno::ENODEV)),
            Some(errno) => format!("{call} failed with errno {errno}: {}", hint(call, errno)),
            None => error.to_string(),
        },
    };
    Err(BusError::Failed {
        offset,
        width: width as u8,
        cause,
    })
}

fn check_config(offset: u16, width: u8) -> Result<(), BusError> {
    check_access(offset.into(), width, CONFIG_SPACE)
}

/// Checks that an access lies inside of `len` bytes and is aligned to its width.
pub(super) fn check_access(offset: u64, width: u8, len: u64) -> Result<(), BusError> {
    if offset.checked_add(width.into()).is_none_or(|end| end > len) {
        return Err(BusError::OutOfRange { offset, width, len });
    }
    if !offset.is_multiple_of(width.into()) {
        return Err(BusError::Misaligned { offset, width });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(size: u64, offset: u64) -> Region {
        Region {
            index: 7,
            size,
            offset,
            readable: true,
            writable: true,
            mappable: false,
            caps: vec![],
        }
    }

    fn bdf() -> Bdf {
        "0000:01:00.0".parse().unwrap()
    }

    /// A file with 256 bytes of configuration space at 4096.
    fn file() -> SlowToClose<File> {
        let memfd =
            nix::sys::memfd::memfd_create("config", nix::sys::memfd::MFdFlags::empty()).unwrap();
        let file = File::from(memfd);
        file.set_len(4096 + 256).unwrap();
        SlowToClose::new(bdf(), file)
    }

    /// A device whose file is an ordinary one.
    fn device() -> DeviceFd {
        DeviceFd::awake(file(), region(256, 4096), false, None).unwrap()
    }

    /// Configuration space with a power management capability at 0x40, in state D3hot with a PME pending.
    fn asleep() -> SlowToClose<File> {
        let file = file();
        for (offset, word) in [
            (0x04, 1u32 << 20),
            (0x34, 0x40),
            (0x40, 0x0001),
            (0x44, 0x8103),
        ] {
            file.write_all_at(&word.to_le_bytes(), 4096 + offset)
                .unwrap();
        }
        file
    }

    #[test]
    fn a_function_that_sleeps_is_woken_and_stays_awake() {
        let device = DeviceFd::awake(asleep(), region(256, 4096), false, None).unwrap();
        assert_eq!(device.config_read32(0x44), Ok(0x0100), "D0, PME left alone");
        let off = device.config_write(0x44, &3u32.to_le_bytes());
        assert!(
            matches!(&off, Err(BusError::Failed { cause, .. }) if cause.contains("switched off")),
            "{off:?}"
        );
        device.config_write(0x44, &0x0100u16.to_le_bytes()).unwrap();
        assert_eq!(device.config_read32(0x44), Ok(0x0100));
    }

    #[test]
    fn a_function_that_does_not_wake_up_is_told_by_its_state() {
        let limit = Duration::from_millis(1);
        let Err(BusError::Gone { evidence }) = wait_for_d0(limit, || Ok(0x0003)) else {
            panic!("it is in D3");
        };
        assert!(
            evidence.contains("D3") && evidence.contains("slot"),
            "{evidence}"
        );
        let reads = std::cell::Cell::new(3);
        let slow = wait_for_d0(Duration::from_secs(60), || {
            reads.set(reads.get() - 1);
            Ok(reads.get())
        });
        assert_eq!((slow, reads.get()), (Ok(()), 0));
    }

    #[test]
    fn configuration_space_is_read_where_the_function_has_it() {
        let device = device();
        device
            .config_write(0x10, &0x1234_5678u32.to_le_bytes())
            .unwrap();
        assert_eq!(device.config_read32(0x10), Ok(0x1234_5678));
        device.config_write(0x12, &0xabcdu16.to_le_bytes()).unwrap();
        assert_eq!(device.config_read32(0x10), Ok(0xabcd_5678));
        assert_eq!(
            device.config_read32(0x100),
            Ok(u32::MAX),
            "beyond conventional PCI"
        );
        assert!(matches!(
            device.config_write(0x100, &[0; 4]),
            Err(BusError::OutOfRange { len: 256, .. })
        ));
        assert!(matches!(
            device.config_read32(4096),
            Err(BusError::OutOfRange { .. })
        ));
        assert!(matches!(
            device.config_read32(0x11),
            Err(BusError::Misaligned { .. })
        ));
    }

    #[test]
    fn memory_decoding_stays_on() {
        let device = device();
        let off = device.config_write(COMMAND, &4u16.to_le_bytes());
        assert!(matches!(off, Err(BusError::Failed { .. })), "{off:?}");
        device.config_write(COMMAND, &2u16.to_le_bytes()).unwrap();
        assert_eq!(device.config_read32(COMMAND), Ok(2));
    }

    #[test]
    fn a_transfer_that_is_cut_short_is_an_error() {
        let device = device();
        let beyond = device.read(&region(4096, 4096), 254, &mut [0; 4]);
        assert!(
            matches!(&beyond, Err(BusError::Failed { cause, .. }) if cause.contains("2 of 4")),
            "{beyond:?}"
        );
        let wrapped = device.read(&region(4096, u64::MAX), 8, &mut [0; 4]);
        assert!(
            matches!(wrapped, Err(BusError::Failed { .. })),
            "{wrapped:?}"
        );
    }

    #[test]
    fn a_function_without_reset_says_so() {
        assert!(matches!(device().reset(bdf()), Err(BusError::Reset { .. })));
    }
}
