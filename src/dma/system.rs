//! What the kernel's pseudo files tell about memory: free hugepages (Linux, admin-guide/mm/hugetlbpage), available
//! memory, and both by NUMA node.
//!
//! These numbers are old as soon as they are read. They choose the page size and word the messages; whether memory is
//! there is decided by the allocation itself. The one exception is ordinary memory, where the kernel would rather
//! kill a process than refuse.

use std::fs;
use std::path::{Path, PathBuf};

use super::PageSize;
use super::error::Shortage;

/// The pseudo file systems below one root directory.
#[derive(Debug)]
pub(super) struct System {
    root: PathBuf,
}

impl System {
    /// Looks at the running system.
    pub(super) fn running() -> System {
        System::at(Path::new("/"))
    }

    /// Looks at a tree that has `sys` and `proc` under `root`.
    pub(super) fn at(root: &Path) -> System {
        System {
            root: root.to_path_buf(),
        }
    }

    /// Compares `wanted` hugepages with those that are there, on `node` where one is given.
    ///
    /// A file that is missing, as for a size that the CPU lacks, counts as 0 pages.
    pub(super) fn hugepages(&self, size: PageSize, wanted: usize, node: Option<u32>) -> Shortage {
        let everywhere = self.hugepage_directory(size, None);
        // Free pages include those that other mappings have reserved and not touched yet.
        let reserved = number(&everywhere.join("resv_hugepages")).unwrap_or(0);
        let unreserved = number(&everywhere.join("free_hugepages"))
            .unwrap_or(0)
            .saturating_sub(reserved);
        let here = self.hugepage_directory(size, node);
        let free = number(&here.join("free_hugepages")).unwrap_or(0);
        Shortage {
            page_size: size,
            wanted,
            free: free.min(unreserved),
            total: number(&here.join("nr_hugepages")).unwrap_or(0),
            node,
        }
    }

    /// Returns how many bytes of ordinary memory can be had, as far as the kernel tells.
    ///
    /// On a node, file pages count as available: the kernel drops them before it gives up.
    pub(super) fn available(&self, node: Option<u32>) -> Option<u64> {
        let Some(node) = node else {
            let text = fs::read_to_string(self.root.join("proc/meminfo")).ok()?;
            return meminfo(&text, "MemAvailable:");
        };
        let path = format!("sys/devices/system/node/node{node}/meminfo");
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        let files = meminfo(&text, "FilePages:")?.saturating_sub(meminfo(&text, "Shmem:")?);
        meminfo(&text, "MemFree:")?.checked_add(files)
    }

    /// Tells whether the system has a NUMA node of that number.
    pub(super) fn has_node(&self, node: u32) -> bool {
        let path = format!("sys/devices/system/node/node{node}");
        self.root.join(path).is_dir()
    }

    fn hugepage_directory(&self, size: PageSize, node: Option<u32>) -> PathBuf {
        self.root
            .join(hugepage_directory(size, node).trim_start_matches('/'))
    }
}

/// Returns the directory that counts hugepages of a size, in the whole system or on one node.
pub(super) fn hugepage_directory(size: PageSize, node: Option<u32>) -> String {
    let name = format!("hugepages-{}kB", size.bytes() >> 10);
    match node {
        None => format!("/sys/kernel/mm/hugepages/{name}"),
        Some(node) => format!("/sys/devices/system/node/node{node}/hugepages/{name}"),
    }
}

fn number(path: &Path) -> Option<usize> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Finds `key` in a meminfo file, with or without the `Node 0` in front, and returns its value in bytes.
fn meminfo(text: &str, key: &str) -> Option<u64> {
    let line = text
        .lines()
        .find(|l| l.split_whitespace().any(|w| w == key))?;
    let value = line.split(key).nth(1)?.split_whitespace().next()?;
    value.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dma::testing::FakeSystem;

    #[test]
    fn reserved_pages_are_not_free() {
        let tree = FakeSystem::new();
        tree.hugepages(PageSize::Huge2M, None, 10, 8, 3);
        let found = tree.system().hugepages(PageSize::Huge2M, 6, None);
        assert_eq!((found.free, found.total, found.wanted), (5, 10, 6));
    }

    #[test]
    fn a_node_has_its_own_count_but_shares_the_reservations() {
        let tree = FakeSystem::new();
        tree.hugepages(PageSize::Huge2M, None, 10, 10, 7);
        tree.hugepages(PageSize::Huge2M, Some(1), 4, 4, 0);
        let found = tree.system().hugepages(PageSize::Huge2M, 1, Some(1));
        assert_eq!((found.free, found.total, found.node), (3, 4, Some(1)));
    }

    #[test]
    fn sizes_and_nodes_that_do_not_exist_have_no_pages() {
        let tree = FakeSystem::new();
        let system = tree.system();
        assert_eq!(system.hugepages(PageSize::Huge1G, 1, None).free, 0);
        assert_eq!(system.hugepages(PageSize::Huge2M, 1, Some(9)).free, 0);
        assert_eq!(system.available(Some(9)), None);
    }

    #[test]
    fn available_memory_is_read_in_bytes() {
        let tree = FakeSystem::new();
        tree.write("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    8 kB\n");
        tree.write(
            "sys/devices/system/node/node1/meminfo",
            "Node 1 MemFree:  5 kB\nNode 1 FilePages: 4 kB\nNode 1 Shmem: 1 kB\n",
        );
        assert_eq!(tree.system().available(None), Some(8 << 10));
        assert_eq!(tree.system().available(Some(1)), Some(8 << 10));
    }

    #[test]
    fn nonsense_in_a_file_is_no_answer() {
        let tree = FakeSystem::new();
        tree.write("proc/meminfo", "MemAvailable: many kB\n");
        assert_eq!(tree.system().available(None), None);
        tree.write("proc/meminfo", "MemAvailable: 18446744073709551615 kB\n");
        assert_eq!(tree.system().available(None), None);
    }
}
