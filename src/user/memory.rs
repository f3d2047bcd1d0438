//! Memory shared with a peer: a mapping of its file, or of ours, that both sides may change at any time.
//!
//! There is no way to borrow the bytes. Words are single accesses; longer copies go word by word where they are
//! aligned, so that the other side never sees half a word.
//!
//! An access to a page that its file has no more raises SIGBUS, which ends the process. Who could do that to us?
//!
//! | file | maps it | kept from being shortened |
//! | --- | --- | --- |
//! | of a region, from a server | the client, by [`SharedMemory::map_of_peer`] | by a seal: without one nothing is mapped |
//! | of doorbells, to clients | our server | by a seal that it sets itself |
//! | of DMA memory, to a server | the client, when a server reaches for it by messages | by a seal where it is a [`Memory`](crate::dma::Memory); who maps another file by the transport answers for it |
//! | of DMA memory, from a client | the model, in `hwpool-sim` | by a seal: without one words are copied by the kernel, except of hugepages, see [`SimDevice`](crate::user::SimDevice) |

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::statfs::{HUGETLBFS_MAGIC, fstatfs};

use crate::dma::PageSize;

/// A mapped range of a file.
///
/// Invariant: `map` begins at a page, is at least `size` bytes, readable, writable, and stays mapped until this is
/// dropped.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    map: MmapRaw,
}

impl SharedMemory {
    /// Maps `len` bytes of `file` from `offset` on, for reading and writing.
    ///
    /// An offset that is no multiple of the page is refused, although `memmap2` would serve it: a mapping that begins
    /// within a page would have every word misaligned, and no peer needs one, for areas of regions begin at pages
    /// (vfio-user specification, VFIO_USER_DEVICE_GET_REGION_INFO; linux/vfio.h, sparse mmap).
    ///
    /// A file that ends before the range does is refused: an access past its end would kill the process. So would one
    /// after somebody has shortened the file: callers know who could, by the table of this module.
    pub(crate) fn map(file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<SharedMemory> {
        let page = PageSize::Base.bytes() as u64;
        if !offset.is_multiple_of(page) {
            let why =
                format!("the offset {offset:#x} is no multiple of the page of {page:#x} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let file = File::from(file.try_clone_to_owned()?);
        let end = offset.checked_add(len);
        let fits = end.is_some_and(|end| file.metadata().is_ok_and(|file| end <= file.len()));
        let (Ok(len), true, 1..) = (usize::try_from(len), fits, len) else {
            let why =
                format!("the range {offset:#x}+{len:#x} is empty or ends past the file's end");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        };
        let map = MmapOptions::new().offset(offset).len(len).map_raw(&file)?;
        Ok(SharedMemory { map })
    }

    /// Maps as [`SharedMemory::map`] does a file of a peer's, of which it keeps a descriptor, if it can't take the pages
    /// away again.
    pub(crate) fn map_of_peer(
        file: BorrowedFd<'_>,
        offset: u64,
        len: u64,
    ) -> io::Result<SharedMemory> {
        // First of all: the size that `map` looks at is the smallest that there will be.
        check_stays(file)?;
        SharedMemory::map(file, offset, len)
    }

    /// Returns the size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.map.len() as u64
    }

    /// Returns the word of `N` bytes at `offset`, or `None` where it is misaligned or outside.
    fn word<T>(&self, offset: u64) -> Option<NonNull<T>> {
        let width = size_of::<T>() as u64;
        let inside = offset
            .checked_add(width)
            .is_some_and(|end| end <= self.size());
        if !inside || !offset.is_multiple_of(width) {
            return None;
        }
        // SAFETY: offset + width <= size, so the result points into the mapping. `SharedMemory::map` refuses whatever
        // does not begin at a page, so a multiple of the width, 8 at most, is aligned.
        NonNull::new(unsafe { self.map.as_mut_ptr().add(offset as usize) }.cast())
    }

    /// Loads 32 bits by one access.
    pub(crate) fn load32(&self, offset: u64) -> Option<u32> {
        // SAFETY: `word` returns what lies aligned in the mapping; volatile, because others change it.
        self.word::<u32>(offset)
            .map(|word| u32::from_le(unsafe { word.read_volatile() }))
    }

    /// Loads 64 bits by one access.
    pub(crate) fn load64(&self, offset: u64) -> Option<u64> {
        // SAFETY: as for load32.
        self.word::<u64>(offset)
            .map(|word| u64::from_le(unsafe { word.read_volatile() }))
    }

    /// Stores 32 bits by one access.
    pub(crate) fn store32(&self, offset: u64, value: u32) -> Option<()> {
        // SAFETY: as for load32.
        self.word::<u32>(offset)
            .map(|word| unsafe { word.write_volatile(value.to_le()) })
    }

    /// Stores 64 bits by one access.
    pub(crate) fn store64(&self, offset: u64, value: u64) -> Option<()> {
        // SAFETY: as for load32.
        self.word::<u64>(offset)
            .map(|word| unsafe { word.write_volatile(value.to_le()) })
    }

    /// Copies out of the memory; `None` where the range is outside.
    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) -> Option<()> {
        self.check(offset, out.len())?;
        let mut at = offset;
        while let Some((step, rest)) = self.step(at, offset, out.len()) {
            let out = &mut out[(at - offset) as usize..];
            match step {
                Step::Word(word) => {
                    out[..8].copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
                }
                Step::Byte(byte) => out[0] = byte.load(Ordering::Relaxed),
            }
            at = rest;
        }
        Some(())
    }

    /// Copies into the memory, in rising order; `None` where the range is outside. Whoever sees a word sees those before
    /// it, and what was copied earlier: a device's entries are there before the status line that counts them (SPEC 7).
    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> Option<()> {
        self.check(offset, data.len())?;
        let mut at = offset;
        while let Some((step, rest)) = self.step(at, offset, data.len()) {
            let data = &data[(at - offset) as usize..];
            match (step, data.first_chunk()) {
                (Step::Word(word), Some(bytes)) => {
                    word.store(u64::from_ne_bytes(*bytes), Ordering::Release);
                }
                (Step::Byte(byte), _) => byte.store(data[0], Ordering::Relaxed),
                (Step::Word(_), None) => {}
            }
            at = rest;
        }
        Some(())
    }

    fn check(&self, offset: u64, len: usize) -> Option<()> {
        let end = offset.checked_add(len as u64)?;
        (end <= self.size()).then_some(())
    }

    /// Returns the access at `at` of a copy of `len` bytes from `from` on, and where the next one is.
    fn step(&self, at: u64, from: u64, len: usize) -> Option<(Step<'_>, u64)> {
        let end = from + len as u64;
        if at >= end {
            return None;
        }
        if at.is_multiple_of(8) && end - at >= 8 {
            let word = self.word::<u64>(at)?;
            // SAFETY: `word` lies aligned in the mapping, which outlives the borrow of self; every access that this
            // process makes to it meanwhile is volatile or atomic.
            return Some((
                Step::Word(unsafe { AtomicU64::from_ptr(word.as_ptr()) }),
                at + 8,
            ));
        }
        let byte = self.word::<u8>(at)?;
        // SAFETY: as above.
        Some((
            Step::Byte(unsafe { AtomicU8::from_ptr(byte.as_ptr()) }),
            at + 1,
        ))
    }
}

/// Refuses a file whose pages may go while it is mapped: one that can be shortened, or of hugepages, which an access
/// does not get back from an empty pool after somebody has punched a hole.
fn check_stays(file: BorrowedFd<'_>) -> io::Result<()> {
    let why = match can_be_shortened(file) {
        true => "its owner can shorten the file: it is no memfd sealed with F_SEAL_SHRINK",
        false if is_huge(file)? => "its owner can punch holes into hugepages",
        false => return Ok(()),
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// Tells whether no seal keeps a file from being shortened.
pub(crate) fn can_be_shortened(file: BorrowedFd<'_>) -> bool {
    // Files that know of no seals are refused by the kernel with EINVAL.
    let seals =
        fcntl(file, FcntlArg::F_GET_SEALS).map_or(SealFlag::empty(), SealFlag::from_bits_retain);
    !seals.contains(SealFlag::F_SEAL_SHRINK)
}

/// Tells whether a file consists of hugepages.
pub(crate) fn is_huge(file: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(fstatfs(file)?.filesystem_type() == HUGETLBFS_MAGIC)
}

enum Step<'a> {
    Word(&'a AtomicU64),
    Byte(&'a AtomicU8),
}

/// One 64-bit word of shared memory that is written often.
///
/// Invariant: `word` points into the mapping that `_memory` keeps, and is aligned.
#[derive(Debug)]
pub(crate) struct HotWord {
    word: NonNull<u64>,
    _memory: Arc<SharedMemory>,
}

// SAFETY: an address into memory that any thread may reach and that `_memory` keeps mapped; it is stored to by single
// volatile or atomic accesses alone.
unsafe impl Send for HotWord {}
// SAFETY: as for Send.
unsafe impl Sync for HotWord {}

impl HotWord {
    /// Finds the word at `offset`, or returns `None` where it is misaligned or outside.
    pub(crate) fn new(memory: Arc<SharedMemory>, offset: u64) -> Option<HotWord> {
        Some(HotWord {
            word: memory.word(offset)?,
            _memory: memory,
        })
    }

    /// Stores `value`: one plain store, never left out nor merged.
    #[inline]
    pub(crate) fn store(&self, value: u64) {
        // SAFETY: by the invariant the word is mapped and aligned.
        unsafe { self.word.write_volatile(value.to_le()) }
    }

    /// Puts the word to 0 if it is `value` still, in one step.
    pub(crate) fn clear_if(&self, value: u64) {
        // SAFETY: as for `load`.
        let word = unsafe { AtomicU64::from_ptr(self.word.as_ptr()) };
        let _ = word.compare_exchange(value.to_le(), 0, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Loads the word. Acquire: what its writer did before is seen after.
    #[inline]
    pub(crate) fn load(&self) -> u64 {
        // SAFETY: by the invariant the word is mapped and aligned for as long as the borrow of self; this process
        // accesses it by volatile or atomic accesses only.
        u64::from_le(unsafe { AtomicU64::from_ptr(self.word.as_ptr()) }.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;

    fn memory(len: u64) -> SharedMemory {
        let file = File::from(memfd_create(c"test", MFdFlags::MFD_CLOEXEC).unwrap());
        file.set_len(len).unwrap();
        SharedMemory::map(file.as_fd(), 0, len).unwrap()
    }

    #[test]
    fn copies_of_every_alignment_and_length_arrive() {
        let memory = memory(4096);
        let data: Vec<u8> = (0..64).collect();
        for at in 0..16 {
            for len in 0..40 {
                memory.write(0, &[0xee; 64]).unwrap();
                memory.write(at, &data[..len]).unwrap();
                let mut out = vec![0; len + 2];
                memory.read(at, &mut out).unwrap();
                assert_eq!(out[..len], data[..len], "{len} bytes at {at}");
                assert_eq!(out[len..], [0xee; 2], "{len} bytes at {at}");
            }
        }
    }

    #[test]
    fn nothing_outside_is_reached() {
        let memory = memory(4096);
        assert_eq!(memory.load64(4096), None);
        assert_eq!(memory.load64(4092), None);
        assert_eq!(memory.load32(2), None);
        assert_eq!(memory.store64(u64::MAX, 0), None);
        assert_eq!(memory.read(4090, &mut [0; 7]), None);
        assert_eq!(memory.write(u64::MAX, &[0; 2]), None);
        assert!(HotWord::new(Arc::new(memory), 4).is_none());
    }

    #[test]
    fn words_are_little_endian() {
        let memory = memory(4096);
        memory.store64(8, 0x0102).unwrap();
        memory.store32(16, 0x0304).unwrap();
        let mut out = [0; 12];
        memory.read(8, &mut out).unwrap();
        assert_eq!(out, [2, 1, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0]);
        assert_eq!(
            (memory.load64(8), memory.load32(16)),
            (Some(0x0102), Some(0x0304))
        );
    }

    #[test]
    fn a_range_that_does_not_begin_at_a_page_is_refused() {
        let file = File::from(memfd_create(c"test", MFdFlags::MFD_CLOEXEC).unwrap());
        let page = PageSize::Base.bytes() as u64;
        file.set_len(4 * page).unwrap();
        for offset in [4, 8, page - 1, page + 64] {
            let error = SharedMemory::map(file.as_fd(), offset, page).unwrap_err();
            assert!(error.to_string().contains("no multiple"), "{error}");
        }
        let second = SharedMemory::map(file.as_fd(), page, page).unwrap();
        assert_eq!(second.load64(8), Some(0));
    }

    #[test]
    fn of_a_peers_files_only_those_are_mapped_that_keep_their_pages() {
        let make = |flags| memfd_create(c"test", MFdFlags::MFD_CLOEXEC | flags).map(File::from);
        let seal = |file: &File, seal| fcntl(file, FcntlArg::F_ADD_SEALS(seal)).unwrap();
        let refused = |file: &File, len, word| {
            let error = SharedMemory::map_of_peer(file.as_fd(), 0, len).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        };
        let file = make(MFdFlags::MFD_ALLOW_SEALING).unwrap();
        file.set_len(8192).unwrap();
        seal(&file, SealFlag::F_SEAL_GROW);
        refused(&file, 4096, "shorten");
        seal(&file, SealFlag::F_SEAL_SHRINK);
        SharedMemory::map_of_peer(file.as_fd(), 0, 4096).unwrap();
        refused(&file, 8193, "past the file's end");
        let plain = tempfile::tempfile().unwrap();
        plain.set_len(8192).unwrap();
        refused(&plain, 4096, "shorten");
        // A kernel without hugepages makes none.
        if let Ok(huge) = make(MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_HUGETLB) {
            seal(&huge, SealFlag::F_SEAL_SHRINK);
            refused(&huge, 4096, "holes");
        }
    }

    #[test]
    fn a_range_past_the_end_of_its_file_is_refused() {
        let file = File::from(memfd_create(c"test", MFdFlags::MFD_CLOEXEC).unwrap());
        file.set_len(4096).unwrap();
        for (offset, len) in [(0, 4097), (4096, 1), (0, 0), (u64::MAX, 4096)] {
            assert!(
                SharedMemory::map(file.as_fd(), offset, len).is_err(),
                "{offset:#x}+{len:#x}"
            );
        }
    }
}
