//! DMA memory as the device sees it: a second mapping of the host's memfd, reached by single atomic accesses.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};

use hwpool_devices::bus::{DmaError, DmaSource};
use vm_memory::mmap::MmapRegionError;
use vm_memory::{FileOffset, MmapRegion, VolatileMemory};

/// One mapping of host memory.
#[derive(Debug)]
pub(crate) struct Memory {
    region: MmapRegion,
}

impl Memory {
    /// Maps the pages of `source` for the device.
    ///
    /// A file that is shorter than the range is refused here: touching pages past its end would kill the process. So it
    /// would after the file's owner has shortened it: whoever passes a file on from another process trusts that one
    /// with the life of this one, or has checked that the file is sealed.
    pub(crate) fn map(source: DmaSource<'_>) -> Result<Memory, DmaError> {
        let owned = source
            .file
            .try_clone_to_owned()
            .map_err(|e| os("dup", &e))?;
        let file = File::from(owned);
        let file_len = file.metadata().map_err(|e| os("fstat", &e))?.len();
        let end = source.offset.checked_add(source.len);
        let len = usize::try_from(source.len).ok();
        let (Some(len), true) = (len, end.is_some_and(|end| end <= file_len)) else {
            return Err(DmaError::Os {
                call: "mmap",
                errno: 22,
                hint: format!(
                    "the range {:#x}+{:#x} ends past the file's {file_len:#x} bytes: size the file first",
                    source.offset, source.len
                ),
            });
        };
        let region = MmapRegion::from_file(FileOffset::new(file, source.offset), len).map_err(
            |e| match e {
                MmapRegionError::Mmap(e) => os("mmap", &e),
                e => os("mmap", &std::io::Error::other(e)),
            },
        )?;
        Ok(Memory { region })
    }

    /// Loads the word at byte `offset`; the caller has ordered it by what it acquired before.
    #[inline]
    pub(crate) fn load(&self, offset: usize) -> u64 {
        match self.region.get_atomic_ref::<AtomicU64>(offset) {
            Ok(word) => u64::from_le(word.load(Ordering::Relaxed)),
            Err(_) => out_of_bounds(offset),
        }
    }

    /// Stores the word at byte `offset`. Release: whoever sees it sees everything that the device stored before.
    #[inline]
    pub(crate) fn store(&self, offset: usize, value: u64) {
        match self.region.get_atomic_ref::<AtomicU64>(offset) {
            Ok(word) => word.store(value.to_le(), Ordering::Release),
            Err(_) => out_of_bounds(offset),
        }
    }
}

/// Translation has checked every range before it comes here, and `SPEC.md` every alignment.
#[cold]
fn out_of_bounds(offset: usize) -> ! {
    unreachable!("byte {offset:#x} is misaligned or lies beyond a translated mapping")
}

fn os(call: &'static str, error: &std::io::Error) -> DmaError {
    DmaError::Os {
        call,
        errno: error.raw_os_error().unwrap_or(0),
        hint: format!("{error}; is the file a memfd, and the offset a multiple of its page?"),
    }
}
