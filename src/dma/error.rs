//! What can go wrong with DMA memory, and what can go less well than asked for.

use std::fmt;

use crate::machine::{Hugepages, PageSize, Tree, hugepage_directory};

/// Hugepages that were wanted, beside those that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shortage {
    /// The size of the pages.
    pub page_size: PageSize,
    /// How many pages the memory needs.
    pub wanted: usize,
    /// How many were free, and not reserved by anybody.
    pub free: usize,
    /// How many the system (or the node) has in all.
    pub total: usize,
    /// The NUMA node that was looked at, or `None` for the whole system.
    pub node: Option<u32>,
    /// The sizes of hugepages that the kernel has, in bytes, smallest first.
    pub sizes: Vec<u64>,
}

impl Shortage {
    /// Compares `wanted` hugepages with those that are there, on `node` where one is given.
    ///
    /// A size that the CPU lacks, or a node that is not there, has 0 pages. The numbers are old as soon as they are read:
    /// they choose the page size and word the messages, and whether memory is there is decided by the allocation.
    pub(super) fn of(tree: &Tree, size: PageSize, wanted: usize, node: Option<u32>) -> Shortage {
        let found = Hugepages::count(tree, size.bytes() as u64, node);
        let (free, total) = found.map_or((0, 0), |found| (found.available(), found.total));
        let clamp = |pages: u64| usize::try_from(pages).unwrap_or(usize::MAX);
        Shortage {
            page_size: size,
            wanted,
            free: clamp(free),
            total: clamp(total),
            node,
            sizes: Hugepages::sizes(tree),
        }
    }

    /// Tells whether there are enough pages after all.
    pub(super) fn is_none(&self) -> bool {
        self.free >= self.wanted
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shortage { wanted, free, .. } = self;
        write!(
            f,
            "{wanted} hugepages of {} wanted, {free} free",
            self.page_size
        )?;
        if let Some(node) = self.node {
            write!(f, " on NUMA node {node}")?;
        }
        if self.is_none() {
            return f.write_str(
                ": another process was faster, or a hugetlb cgroup limit holds them back",
            );
        }
        if !self.sizes.contains(&(self.page_size.bytes() as u64)) {
            return self.no_such_size(f);
        }
        let total = self.total.saturating_add(wanted - free);
        let directory = hugepage_directory(self.page_size.bytes() as u64, self.node);
        write!(
            f,
            ": reserve them with `echo {total} > {directory}/nr_hugepages`"
        )?;
        if self.page_size.bytes() > PageSize::Huge2M.bytes() {
            let (count, unit) = self.page_size.in_unit();
            write!(
                f,
                " or, surely, at boot with `hugepagesz={count}{unit} hugepages=N`"
            )?;
        }
        Ok(())
    }
}

impl Shortage {
    /// Names what there is in place of a directory that is not there.
    fn no_such_size(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has = |size: &PageSize| self.sizes.contains(&(size.bytes() as u64));
        let sizes: Vec<_> = PageSize::HUGE.iter().filter(|size| has(size)).collect();
        let Some((first, rest)) = sizes.split_first() else {
            return f.write_str(": this kernel has no hugepages");
        };
        write!(f, ": this kernel has no pages of that size, but of {first}")?;
        rest.iter().try_for_each(|size| write!(f, ", {size}"))?;
        f.write_str(": ask for one of them")
    }
}

/// Why DMA memory could not be allocated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The length is 0.
    #[error("DMA memory of 0 bytes was asked for")]
    Empty,
    /// The length is more than any file can have.
    #[error("DMA memory of {len:#x} bytes is longer than a file can be")]
    TooLong {
        /// The length asked for, in bytes.
        len: usize,
    },
    /// The label can't be the name of a memfd.
    #[error("label {label:?} can't name DMA memory: it has a NUL byte or more than {max} bytes")]
    Label {
        /// The label as given.
        label: String,
        /// The longest that is allowed, in bytes.
        max: usize,
    },
    /// Hugepages were demanded and there are too few.
    #[error("no DMA memory for {label}: {shortage}")]
    NoHugepages {
        /// Whose memory.
        label: String,
        /// The numbers.
        shortage: Shortage,
    },
    /// There is not enough ordinary memory.
    #[error(
        "no DMA memory for {label}: {len} bytes wanted, {available} available: ask for less, or free some memory"
    )]
    NoMemory {
        /// Whose memory.
        label: String,
        /// The length in bytes, whole pages.
        len: usize,
        /// What the kernel says is available, in bytes.
        available: u64,
    },
    /// The segments of somebody else's memory are not its pages.
    #[error(
        "the memory of {label}, {len} bytes at {address:#x}, is not in the segments that were named: whole pages of {page_size}, as many as it takes, from a multiple of 8"
    )]
    Segments {
        /// Whose memory.
        label: String,
        /// Where it begins.
        address: usize,
        /// Its length in bytes.
        len: usize,
        /// The size of the pages.
        page_size: PageSize,
    },
    /// A call of the operating system failed.
    #[error("{call} for {len} bytes of DMA memory for {label} failed with errno {errno}: {hint}")]
    Os {
        /// Whose memory.
        label: String,
        /// The length in bytes, whole pages.
        len: usize,
        /// The system call by name.
        call: &'static str,
        /// Its errno.
        errno: i32,
        /// The probable cause and what to do about it.
        hint: &'static str,
    },
}

/// Something about allocated memory that is worse than it could be.
///
/// The memory works; the device or the CPU is slower with it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The memory has base pages because there were too few hugepages.
    BasePages(Shortage),
    /// There is no NUMA node of the number asked for.
    NodeMissing {
        /// The node asked for.
        node: u32,
    },
    /// The NUMA node asked for had too little memory, so the pages are wherever there was some.
    NodeFull {
        /// The node asked for.
        node: u32,
        /// Bytes wanted.
        len: usize,
        /// Bytes available on the node, in pages of the size used.
        available: u64,
    },
    /// The kernel refused to bind the memory to the NUMA node asked for.
    NodeRefused {
        /// The node asked for.
        node: u32,
        /// Why: the errno of `mbind`.
        errno: i32,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::BasePages(shortage) => {
                write!(f, "using pages of {}: {shortage}", PageSize::Base)
            }
            Warning::NodeMissing { node } => write!(
                f,
                "no NUMA node {node} in /sys/devices/system/node: using memory of any node"
            ),
            Warning::NodeFull {
                node,
                len,
                available,
            } => write!(
                f,
                "not on NUMA node {node}: {len} bytes wanted, {available} available there: \
                 free memory on that node, or reserve hugepages on it"
            ),
            Warning::NodeRefused { node, errno } => write!(
                f,
                "not bound to NUMA node {node}: mbind failed with errno {errno}: \
                 probably the process' cpuset or seccomp filter does not allow it"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::testing::FakeMachine;

    #[test]
    fn reserved_pages_are_not_free() {
        let machine = FakeMachine::new();
        machine.hugepages(PageSize::Huge2M, None, 10, 8, 3);
        let found = Shortage::of(&machine.tree(), PageSize::Huge2M, 6, None);
        assert_eq!((found.free, found.total, found.wanted), (5, 10, 6));
    }

    #[test]
    fn a_node_has_its_own_count_but_shares_the_reservations() {
        let machine = FakeMachine::new();
        machine.hugepages(PageSize::Huge2M, None, 10, 10, 7);
        machine.hugepages(PageSize::Huge2M, Some(1), 4, 4, 0);
        let found = Shortage::of(&machine.tree(), PageSize::Huge2M, 1, Some(1));
        assert_eq!((found.free, found.total, found.node), (3, 4, Some(1)));
    }

    #[test]
    fn sizes_and_nodes_that_do_not_exist_have_no_pages() {
        let machine = FakeMachine::new();
        let free = |size, node| Shortage::of(&machine.tree(), size, 1, node).free;
        assert_eq!(free(PageSize::Huge1G, None), 0);
        assert_eq!(free(PageSize::Huge2M, Some(9)), 0);
    }

    fn shortage(free: usize, node: Option<u32>) -> Shortage {
        Shortage {
            page_size: PageSize::Huge2M,
            wanted: 8,
            free,
            total: 20,
            node,
            sizes: vec![2 << 20, 1 << 30],
        }
    }

    #[test]
    fn a_shortage_tells_the_command_that_ends_it() {
        assert_eq!(
            shortage(3, None).to_string(),
            "8 hugepages of 2 MiB wanted, 3 free: reserve them with \
             `echo 25 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages`"
        );
        assert!(shortage(3, Some(1)).to_string().contains(
            "on NUMA node 1: reserve them with \
             `echo 25 > /sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages`"
        ));
    }

    #[test]
    fn a_size_that_the_kernel_lacks_is_answered_with_those_that_it_has() {
        let machine = FakeMachine::new();
        let told = |size| Shortage::of(&machine.tree(), size, 1, None).to_string();
        assert!(told(PageSize::Huge2M).ends_with(": this kernel has no hugepages"));
        for size in [PageSize::Huge2M, PageSize::Huge512M] {
            machine.hugepages(size, None, 0, 0, 0);
        }
        assert_eq!(
            told(PageSize::Huge1G),
            "1 hugepages of 1 GiB wanted, 0 free: this kernel has no pages of that size, but of 2 MiB, 512 MiB: ask for \
             one of them"
        );
        assert!(told(PageSize::Huge512M).ends_with(
            "/hugepages-524288kB/nr_hugepages` or, surely, at boot with `hugepagesz=512M hugepages=N`"
        ));
    }

    #[test]
    fn enough_free_pages_are_not_answered_with_reserving_more() {
        let text = shortage(8, None).to_string();
        assert!(
            text.contains("another process") && !text.contains("echo"),
            "{text}"
        );
    }
}
