//! Registers: mapped where the kernel allows it, else by `pread` and `pwrite`.
//!
//! The pages of the MSI-X table are never mapped: the kernel owns it, and keeps accesses by `pread` from it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use hwpool_devices::bus::{Bar, BusError, Doorbell};
use memmap2::{MmapOptions, MmapRaw};

use super::caps::RegionCap;
use super::device::{DeviceFd, Region, check_access};
use super::error::bus_error;
use crate::machine::PageSize;
use crate::order;

const FIRST_BAR: u16 = 0x10;
const BARS: u8 = 6;

/// A BAR of a [`Function`](super::Function).
#[derive(Clone)]
pub struct VfioBar {
    inner: Arc<Inner>,
}

struct Inner {
    /// Before the descriptor, so that it is the descriptor that closes the function.
    windows: Vec<Window>,
    region: Region,
    device: Arc<DeviceFd>,
}

/// A part of a BAR that is mapped.
struct Window {
    at: Range<u64>,
    map: MmapRaw,
}

impl VfioBar {
    /// Opens BAR `index` and maps what can be mapped of it around `msix`, the bytes of the MSI-X table in it.
    pub(super) fn open(
        device: &Arc<DeviceFd>,
        index: u8,
        msix: Option<Range<u64>>,
    ) -> Result<VfioBar, BusError> {
        if index >= BARS {
            return Err(BusError::NoBar { bar: index });
        }
        let region = device.region(index.into())?;
        let is_io = device.config_read32(FIRST_BAR + 4 * u16::from(index))? & 1 != 0;
        if region.size == 0 || is_io {
            return Err(BusError::NoBar { bar: index });
        }
        let windows = mappable(&region, msix, PageSize::Base.bytes() as u64);
        let windows = windows.into_iter().map(|at| map(device, &region, at));
        let inner = Inner {
            device: Arc::clone(device),
            windows: windows.collect::<Result<_, _>>()?,
            region,
        };
        Ok(VfioBar {
            inner: Arc::new(inner),
        })
    }

    /// Returns the parts that are mapped, in bytes from the start of the BAR: an access there is one load or store.
    pub fn mapped(&self) -> Vec<Range<u64>> {
        self.inner
            .windows
            .iter()
            .map(|window| window.at.clone())
            .collect()
    }

    fn read<const N: usize>(&self, offset: u64) -> Result<[u8; N], BusError> {
        let mut bytes = [0; N];
        self.inner
            .device
            .read(&self.inner.region, offset, &mut bytes)?;
        Ok(bytes)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), BusError> {
        self.inner.device.write(&self.inner.region, offset, bytes)
    }

    /// Returns the address of a mapped register, or `None` where it is reached by calls; checks the access.
    fn register<T>(&self, offset: u64) -> Result<Option<*mut T>, BusError> {
        let width = size_of::<T>() as u8;
        check_access(offset, width, self.inner.region.size)?;
        let end = offset + u64::from(width);
        let windows = &self.inner.windows;
        let window = windows
            .iter()
            .find(|window| window.at.start <= offset && end <= window.at.end);
        Ok(window.map(|window| {
            let within = (offset - window.at.start) as usize;
            window.map.as_mut_ptr().wrapping_add(within).cast()
        }))
    }
}

impl Bar for VfioBar {
    type Doorbell = VfioDoorbell;

    fn size(&self) -> u64 {
        self.inner.region.size
    }

    fn read32(&self, offset: u64) -> Result<u32, BusError> {
        match self.register::<u32>(offset)? {
            // SAFETY: `register` found the bytes in a window, which self keeps mapped; windows begin on pages and
            // the offset is a multiple of 4.
            Some(register) => Ok(unsafe { load(register) }),
            None => self.read(offset).map(u32::from_le_bytes),
        }
    }

    fn read64(&self, offset: u64) -> Result<u64, BusError> {
        match self.register::<u64>(offset)? {
            // SAFETY: as in read32, with a multiple of 8.
            Some(register) => Ok(unsafe { load(register) }),
            None => self.read(offset).map(u64::from_le_bytes),
        }
    }

    fn write32(&self, offset: u64, value: u32) -> Result<(), BusError> {
        let Some(register) = self.register::<u32>(offset)? else {
            return self.write(offset, &value.to_le_bytes());
        };
        // SAFETY: as in read32.
        unsafe { store(register, value) };
        Ok(())
    }

    fn write64(&self, offset: u64, value: u64) -> Result<(), BusError> {
        let Some(register) = self.register::<u64>(offset)? else {
            return self.write(offset, &value.to_le_bytes());
        };
        // SAFETY: as in read32, with a multiple of 8.
        unsafe { store(register, value) };
        Ok(())
    }

    fn read8(&self, offset: u64) -> Result<u8, BusError> {
        match self.register::<u8>(offset)? {
            // SAFETY: as in read32, with any offset.
            Some(register) => Ok(unsafe { load(register) }),
            None => self.read(offset).map(u8::from_le_bytes),
        }
    }

    fn write8(&self, offset: u64, value: u8) -> Result<(), BusError> {
        let Some(register) = self.register::<u8>(offset)? else {
            return self.write(offset, &value.to_le_bytes());
        };
        // SAFETY: as in read32, with any offset.
        unsafe { store(register, value) };
        Ok(())
    }

    fn read16(&self, offset: u64) -> Result<u16, BusError> {
        match self.register::<u16>(offset)? {
            // SAFETY: as in read32, with a multiple of 2.
            Some(register) => Ok(unsafe { load(register) }),
            None => self.read(offset).map(u16::from_le_bytes),
        }
    }

    fn write16(&self, offset: u64, value: u16) -> Result<(), BusError> {
        let Some(register) = self.register::<u16>(offset)? else {
            return self.write(offset, &value.to_le_bytes());
        };
        // SAFETY: as in read32, with a multiple of 2.
        unsafe { store(register, value) };
        Ok(())
    }

    fn doorbell(&self, offset: u64) -> Result<VfioDoorbell, BusError> {
        let register = self.register(offset)?;
        Ok(VfioDoorbell {
            register: register.unwrap_or(std::ptr::null_mut()),
            offset,
            bar: self.clone(),
        })
    }
}

impl fmt::Debug for VfioBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VfioBar")
            .field("region", &self.inner.region)
            .field("mapped", &self.mapped())
            .finish_non_exhaustive()
    }
}

/// A 64-bit register of a BAR: one store where it is mapped.
pub struct VfioDoorbell {
    /// Invariant: null, or an aligned word inside of a window of `bar`.
    register: *mut u64,
    offset: u64,
    bar: VfioBar,
}

// SAFETY: the pointer leads into a window that `bar` keeps mapped whoever holds it, and device memory takes stores
// from any thread.
unsafe impl Send for VfioDoorbell {}
// SAFETY: as for Send; a shared doorbell makes volatile stores of one aligned word.
unsafe impl Sync for VfioDoorbell {}

impl Doorbell for VfioDoorbell {
    #[inline]
    fn ring(&self, value: u64) -> Result<(), BusError> {
        if self.register.is_null() {
            return self.bar.write(self.offset, &value.to_le_bytes());
        }
        // SAFETY: by the invariant an aligned word of a window, mapped for as long as `bar` lives.
        unsafe { store(self.register, value) };
        Ok(())
    }
}

impl fmt::Debug for VfioDoorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VfioDoorbell")
            .field("offset", &self.offset)
            .field("mapped", &!self.register.is_null())
            .finish_non_exhaustive()
    }
}

/// Loads a register, in order.
///
/// # Safety
///
/// As for [`std::ptr::read_volatile`].
unsafe fn load<T: Copy + Into<u64>>(register: *const T) -> T {
    order::before_read();
    // SAFETY: the caller's promise.
    order::after_read(unsafe { register.read_volatile() })
}

/// Stores to a register, in order.
///
/// # Safety
///
/// As for [`std::ptr::write_volatile`].
#[inline(always)]
unsafe fn store<T>(register: *mut T, value: T) {
    order::before_write();
    // SAFETY: the caller's promise.
    unsafe { register.write_volatile(value) };
}

fn map(device: &DeviceFd, region: &Region, at: Range<u64>) -> Result<Window, BusError> {
    let len = (at.end - at.start) as usize;
    let offset = region.offset.saturating_add(at.start);
    let map = MmapOptions::new()
        .offset(offset)
        .len(len)
        .map_raw(&device.fd());
    let map = map.map_err(|error| {
        let errno = nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0));
        bus_error("mmap of a BAR", errno)
    })?;
    Ok(Window { at, map })
}

/// Chooses the parts of a region to map: what the kernel allows, in whole pages, around the MSI-X table.
fn mappable(region: &Region, msix: Option<Range<u64>>, page: u64) -> Vec<Range<u64>> {
    if !region.mappable || !order::KNOWN {
        return Vec::new();
    }
    let sparse = region.caps.iter().find_map(|cap| match cap {
        RegionCap::SparseMmap(areas) => Some(areas.clone()),
        _ => None,
    });
    let allowed = sparse.unwrap_or_else(|| std::iter::once(0..region.size).collect());
    let hole = msix.map_or(0..0, |table| whole_pages_around(&table, page));
    let parts = allowed.iter().flat_map(|area| {
        let end = area.end.min(region.size);
        [
            area.start..end.min(hole.start.max(area.start)),
            area.start.max(hole.end)..end,
        ]
    });
    // Without a hole the first part is empty or all of it, and the second is what is left.
    parts
        .filter_map(|part| {
            let start = part.start.checked_next_multiple_of(page)?;
            Some(start..part.end / page * page)
        })
        .filter(|part| part.start < part.end)
        .collect()
}

fn whole_pages_around(range: &Range<u64>, page: u64) -> Range<u64> {
    range.start / page * page..range.end.next_multiple_of(page)
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "lists of ranges are meant")]
mod tests {
    use super::*;

    fn region(size: u64, mappable: bool, caps: Vec<RegionCap>) -> Region {
        Region {
            index: 0,
            size,
            offset: 0,
            readable: true,
            writable: true,
            mappable,
            caps,
        }
    }

    const PAGE: u64 = 4096;

    #[test]
    fn a_plain_bar_is_mapped_whole() {
        let plain = region(0x10000, true, vec![]);
        assert_eq!(mappable(&plain, None, PAGE), [0..0x10000]);
        let closed = region(0x10000, false, vec![]);
        assert_eq!(mappable(&closed, None, PAGE), []);
        let small = region(0x800, true, vec![]);
        assert_eq!(mappable(&small, None, PAGE), [], "less than a page");
    }

    #[test]
    fn the_pages_of_the_msix_table_are_left_out() {
        let whole = region(0x10000, true, vec![RegionCap::MsixMappable]);
        assert_eq!(
            mappable(&whole, Some(0x2800..0x2900), PAGE),
            [0..0x2000, 0x3000..0x10000]
        );
        assert_eq!(mappable(&whole, Some(0..0x10), PAGE), [0x1000..0x10000]);
        assert_eq!(mappable(&whole, Some(0xf000..0x10000), PAGE), [0..0xf000]);
        assert_eq!(
            mappable(&whole, Some(0x1ff0..0x2010), PAGE),
            [0..0x1000, 0x3000..0x10000]
        );
    }

    #[test]
    fn only_sparse_areas_are_mapped_and_no_more_than_the_region() {
        let areas = RegionCap::SparseMmap(vec![0x1000..0x3000, 0x4800..0x7800, 0xf000..0x20000]);
        let sparse = region(0x10000, true, vec![areas]);
        let expected = [0x1000..0x3000, 0x5000..0x7000, 0xf000..0x10000];
        assert_eq!(mappable(&sparse, None, PAGE), expected);
        let around = mappable(&sparse, Some(0x2000..0x2010), PAGE);
        assert_eq!(around, [0x1000..0x2000, 0x5000..0x7000, 0xf000..0x10000]);
    }

    #[test]
    fn areas_that_make_no_sense_are_not_mapped() {
        let areas = RegionCap::SparseMmap(vec![0x20000..0x30000, 0x5000..0x5000]);
        assert_eq!(
            mappable(&region(0x10000, true, vec![areas]), None, PAGE),
            []
        );
    }
}
