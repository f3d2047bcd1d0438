//! Memory in pages of one size, as a memfd: made, sized, sealed, mapped, bound to a NUMA node, populated, in that order.
//!
//! The order is not free: a seal against growing comes after the size, and the binding before the first page.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::{RwLock, mpsc};
use std::thread;

use memmap2::{Advice, MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::error::{MemoryError, Shortage, Warning};
use super::memory::{Held, Memory};
use super::numa;
use super::request::MemoryRequest;
use crate::machine::{PageSize, Tree};

/// Bytes that are worth a thread of their own: to clear them takes some ten milliseconds.
const SHARE: usize = 128 << 20;

/// A memfd that shall be, with everything that making it needs to know.
pub(super) struct Memfd<'a> {
    tree: &'a Tree,
    label: &'a str,
    node: Option<u32>,
    size: PageSize,
    /// Whole pages, and not longer than a mapping can be.
    len: usize,
}

impl<'a> Memfd<'a> {
    /// Plans to take the request's memory in pages of `size` from `node`.
    pub(super) fn new(
        tree: &'a Tree,
        request: &'a MemoryRequest,
        node: Option<u32>,
        size: PageSize,
    ) -> Result<Self, MemoryError> {
        let len = size
            .round_up(request.len)
            .filter(|len| isize::try_from(*len).is_ok())
            .ok_or(MemoryError::TooLong { len: request.len })?;
        Ok(Memfd {
            tree,
            label: &request.label,
            node,
            size,
            len,
        })
    }

    /// Compares the hugepages that it needs with those that are there.
    pub(super) fn hugepages(&self, node: Option<u32>) -> Shortage {
        let wanted = self.len / self.size.bytes();
        Shortage::of(self.tree, self.size, wanted, node)
    }

    /// Makes it, with all of its pages.
    pub(super) fn allocate(&self) -> Result<Memory, MemoryError> {
        self.check_base_memory()?;
        let file = self.open()?;
        self.fix_size(&file)?;
        let map = self.map(&file)?;
        let warnings = Vec::from_iter(self.bind(&map));
        self.populate(&file, &map)?;
        Ok(Memory {
            pages: Held::Own { map, file },
            page_size: self.size,
            label: self.label.to_owned(),
            warnings,
        })
    }

    /// Refuses what can't be had. Populating base pages beyond what there is would wake the OOM killer instead of
    /// failing; hugepages are reserved by `mmap`, which fails cleanly.
    fn check_base_memory(&self) -> Result<(), MemoryError> {
        if self.size.is_huge() {
            return Ok(());
        }
        match self.tree.available_memory(None) {
            Some(available) if available < self.len as u64 => Err(self.exhausted()),
            _ => Ok(()),
        }
    }

    fn open(&self) -> Result<File, MemoryError> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let flags = flags
            | match self.size {
                PageSize::Base => MFdFlags::empty(),
                size => MFdFlags::MFD_HUGETLB | of_size(size),
            };
        match memfd_create(self.label, flags) {
            Ok(file) => Ok(File::from(file)),
            // The CPU or the kernel has no pages of this size.
            Err(Errno::ENODEV) if self.size.is_huge() => Err(self.exhausted()),
            Err(errno) => Err(self.os(
                "memfd_create",
                errno,
                "the kernel lacks memfd or hugetlbfs, or the process has too many open files (ulimit -n)",
            )),
        }
    }

    /// Gives the file its length, for ever.
    fn fix_size(&self, file: &File) -> Result<(), MemoryError> {
        let hint =
            "the length is beyond what the kernel allows for a memfd or the process (ulimit -f)";
        file.set_len(self.len as u64)
            .map_err(|error| self.os("ftruncate", errno_of(&error), hint))?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(file, FcntlArg::F_ADD_SEALS(seals)).map_err(|errno| {
            self.os(
                "fcntl(F_ADD_SEALS)",
                errno,
                "the kernel can't seal hugepages: it is older than Linux 4.16",
            )
        })?;
        Ok(())
    }

    /// Maps the file, shared. Hugepages are reserved here.
    fn map(&self, file: &File) -> Result<MmapRaw, MemoryError> {
        let map = MmapOptions::new().len(self.len).map_raw(file);
        map.map_err(|error| match errno_of(&error) {
            Errno::ENOMEM => self.exhausted(),
            errno => self.os("mmap", errno, "no known cause; see mmap(2)"),
        })
    }

    /// Binds to the node where it has enough pages; a node is a preference, so the rest is a warning.
    fn bind(&self, map: &MmapRaw) -> Option<Warning> {
        let node = self.node?;
        if let Some(available) = self.available(node).filter(|a| *a < self.len as u64) {
            return Some(Warning::NodeFull {
                node,
                len: self.len,
                available,
            });
        }
        let errno = numa::bind(map, node).err()? as i32;
        Some(Warning::NodeRefused { node, errno })
    }

    fn available(&self, node: u32) -> Option<u64> {
        if !self.size.is_huge() {
            return self.tree.available_memory(Some(node));
        }
        let free = self.hugepages(Some(node)).free as u64;
        Some(free.saturating_mul(self.size.bytes() as u64))
    }

    /// Makes every page exist, so that none can be missing later.
    fn populate(&self, file: &File, map: &MmapRaw) -> Result<(), MemoryError> {
        let result = match populate_shares(map, self.shares()) {
            // Linux before 5.14 does not know the advice.
            Err(Errno::EINVAL) => allocate_pages(file, self.len),
            result => result,
        };
        result.map_err(|errno| match errno {
            // EFAULT is what a page fault gives that would have been a SIGBUS.
            Errno::ENOMEM | Errno::ENOSPC | Errno::EFAULT => self.exhausted(),
            errno => self.os("madvise", errno, "EHWPOISON (133) tells of broken memory"),
        })
    }

    /// Divides the length into whole pages for as many threads as are worth it.
    fn shares(&self) -> Vec<Range<usize>> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let threads = processors.min(self.len / SHARE).max(1);
        let pages = (self.len / self.size.bytes()).div_ceil(threads);
        let share = pages * self.size.bytes();
        (0..self.len)
            .step_by(share)
            .map(|start| start..self.len.min(start + share))
            .collect()
    }

    fn exhausted(&self) -> MemoryError {
        let label = self.label.to_owned();
        if self.size.is_huge() {
            let shortage = self.hugepages(None);
            return MemoryError::NoHugepages { label, shortage };
        }
        MemoryError::NoMemory {
            label,
            len: self.len,
            available: self.tree.available_memory(None).unwrap_or(0),
        }
    }

    fn os(&self, call: &'static str, errno: Errno, hint: &'static str) -> MemoryError {
        MemoryError::Os {
            label: self.label.to_owned(),
            len: self.len,
            call,
            errno: errno as i32,
            hint,
        }
    }
}

/// Makes the pages of all shares exist, each share from a thread of its own but the first: the kernel clears them, which
/// is most of what a large pool costs to make.
///
/// All begin together, because a thread that starts maps memory, and waits for those who populate already.
fn populate_shares(map: &MmapRaw, shares: Vec<Range<usize>>) -> Result<(), Errno> {
    let populate = |share: &Range<usize>| {
        map.advise_range(Advice::PopulateWrite, share.start, share.len())
            .map_err(|error| errno_of(&error))
    };
    let (first, others) = shares.split_first().expect("memory is never empty");
    let (started, starts) = mpsc::channel();
    let gate = RwLock::new(());
    thread::scope(|scope| {
        let closed = gate.write();
        let mut helpers = Vec::new();
        for share in others {
            let (started, gate) = (started.clone(), &gate);
            let work = move || {
                _ = started.send(());
                drop(gate.read());
                populate(share)
            };
            helpers.push((share, thread::Builder::new().spawn_scoped(scope, work)));
        }
        let begun = helpers.iter().filter(|(_, helper)| helper.is_ok());
        starts.iter().take(begun.count()).for_each(drop);
        drop(closed);
        let mut result = populate(first);
        for (share, helper) in helpers {
            // Where there was no thread to be had, or it died, this one does its work.
            let done = helper.ok().and_then(|helper| helper.join().ok());
            result = result.and(done.unwrap_or_else(|| populate(share)));
        }
        result
    })
}

/// Allocates the file's pages without touching the mapping; the CPU's page tables fill on first use.
fn allocate_pages(file: &File, len: usize) -> Result<(), Errno> {
    let len = libc::off_t::try_from(len).map_err(|_| Errno::EFBIG)?;
    fallocate(file, FallocateFlags::empty(), 0, len)
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// The flag for hugepages of a size: its logarithm, from bit `MFD_HUGE_SHIFT` on (linux/memfd.h).
fn of_size(size: PageSize) -> MFdFlags {
    MFdFlags::from_bits_retain(size.bytes().ilog2() << 26)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn shares_cover_everything_in_whole_pages() {
        let tree = Tree::running();
        let request = MemoryRequest::new(3 * SHARE + 5);
        let memfd = Memfd::new(&tree, &request, None, PageSize::Huge2M).unwrap();
        let mut end = 0;
        for share in memfd.shares() {
            assert_eq!(share.start, end);
            assert!(share.len() >= SHARE && share.len() % PageSize::Huge2M.bytes() == 0);
            end = share.end;
        }
        assert_eq!(end, memfd.len);
    }

    #[test]
    fn shares_make_every_page_exist() {
        let tree = Tree::running();
        let page = PageSize::Base.bytes();
        let request = MemoryRequest::new(5 * page);
        let memfd = Memfd::new(&tree, &request, None, PageSize::Base).unwrap();
        let file = memfd.open().unwrap();
        memfd.fix_size(&file).unwrap();
        let map = memfd.map(&file).unwrap();
        let shares = vec![0..2 * page, 2 * page..4 * page, 4 * page..5 * page];
        populate_shares(&map, shares).unwrap();
        assert_eq!(file.metadata().unwrap().blocks() * 512, 5 * page as u64);
    }

    #[test]
    fn the_way_of_older_kernels_allocates_every_page_too() {
        let tree = Tree::running();
        let request = MemoryRequest::new(5 * PageSize::Base.bytes());
        let memfd = Memfd::new(&tree, &request, None, PageSize::Base).unwrap();
        let file = memfd.open().unwrap();
        memfd.fix_size(&file).unwrap();
        assert_eq!(file.metadata().unwrap().blocks(), 0);
        allocate_pages(&file, memfd.len).unwrap();
        let bytes = file.metadata().unwrap().blocks() * 512;
        assert_eq!(bytes, memfd.len as u64);
    }
}
