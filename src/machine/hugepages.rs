//! Hugepages by node and size (Linux, admin-guide/mm/hugetlbpage), counted.

use super::Tree;

/// Hugepages of one size, on one node or in the whole machine, as they were when they were counted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hugepages {
    /// The NUMA node; `None` for the whole machine.
    pub node: Option<u32>,
    /// Size of a page in bytes.
    pub bytes: u64,
    /// Pages that there are.
    pub total: u64,
    /// Pages that nobody uses.
    pub free: u64,
    /// Pages beyond what was reserved, which go when they are no longer used. They count in `total`, and not in the
    /// number that the kernel is given.
    pub surplus: u64,
    /// Of the free pages, on all nodes, those that are not promised to mappings that have not touched them yet.
    unpromised: u64,
}

impl Hugepages {
    /// Counts those of every size, by node, then by size. On a kernel without NUMA they are those of the machine.
    pub fn all(tree: &Tree) -> Vec<Hugepages> {
        let nodes = tree.nodes().into_iter();
        let by_node: Vec<_> = nodes
            .flat_map(|node| of_every_size(tree, Some(node)))
            .collect();
        match by_node.is_empty() {
            true => of_every_size(tree, None),
            false => by_node,
        }
    }

    /// Returns the sizes that the kernel has, in bytes, smallest first; none where it has no hugepages.
    pub fn sizes(tree: &Tree) -> Vec<u64> {
        sizes_in(tree, None)
    }

    /// Counts those of one size; `None` where there is no such size or node.
    pub fn count(tree: &Tree, bytes: u64, node: Option<u32>) -> Option<Hugepages> {
        let directory = directory(bytes, node);
        let count = |file: &str| tree.number(&format!("{directory}/{file}"));
        Some(Hugepages {
            node,
            bytes,
            total: count("nr_hugepages")?,
            free: count("free_hugepages")?,
            surplus: count("surplus_hugepages").unwrap_or(0),
            unpromised: unpromised(tree, bytes),
        })
    }

    /// Returns how many can be had: free, and promised to nobody.
    pub fn available(&self) -> u64 {
        self.free.min(self.unpromised)
    }

    /// Returns the file that sets their number.
    pub fn path(&self) -> String {
        format!("{}/nr_hugepages", directory(self.bytes, self.node))
    }
}

/// Returns the directory that counts hugepages of a size, in the whole machine or on one node.
pub(crate) fn directory(bytes: u64, node: Option<u32>) -> String {
    format!("{}/hugepages-{}kB", sizes(node), bytes >> 10)
}

/// Returns the directory that has one for each size.
fn sizes(node: Option<u32>) -> String {
    match node {
        None => "/sys/kernel/mm/hugepages".into(),
        Some(node) => format!("/sys/devices/system/node/node{node}/hugepages"),
    }
}

fn of_every_size(tree: &Tree, node: Option<u32>) -> Vec<Hugepages> {
    let counts = sizes_in(tree, node)
        .into_iter()
        .filter_map(|bytes| Hugepages::count(tree, bytes, node));
    counts.collect()
}

/// Reads the sizes that there are, smallest first.
fn sizes_in(tree: &Tree, node: Option<u32>) -> Vec<u64> {
    let size = |name: &String| {
        let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
        kib.parse::<u64>().ok()?.checked_mul(1024)
    };
    let names = tree.names(&sizes(node));
    let mut sizes: Vec<_> = names.iter().filter_map(size).collect();
    sizes.sort_unstable();
    sizes
}

/// The kernel counts promises for the whole machine only.
fn unpromised(tree: &Tree, bytes: u64) -> u64 {
    let at = directory(bytes, None);
    let count = |file: &str| tree.number::<u64>(&format!("{at}/{file}"));
    match count("free_hugepages").zip(count("resv_hugepages")) {
        Some((free, promised)) => free.saturating_sub(promised),
        None => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::super::PageSize;
    use super::super::testing::FakeMachine;
    use super::*;

    #[test]
    fn all_sizes_are_found_by_node_then_by_size() {
        let machine = FakeMachine::new();
        machine.hugepages(PageSize::Huge1G, Some(0), 1, 1, 0);
        machine.hugepages(PageSize::Huge2M, Some(0), 4, 2, 0);
        machine.hugepages(PageSize::Huge2M, Some(10), 6, 3, 0);
        machine.write("/sys/devices/system/node/node0/hugepages/odd/free", "1");
        let found = Hugepages::all(&machine.tree());
        let found: Vec<_> = found
            .iter()
            .map(|pages| (pages.node, pages.bytes, pages.total))
            .collect();
        let (mib, gib) = (2 << 20, 1 << 30);
        assert_eq!(
            found,
            [(Some(0), mib, 4), (Some(0), gib, 1), (Some(10), mib, 6)]
        );
    }

    #[test]
    fn without_numa_those_of_the_machine_count() {
        let machine = FakeMachine::new();
        machine.hugepages(PageSize::Huge2M, None, 10, 8, 3);
        let found = Hugepages::all(&machine.tree());
        assert_eq!((found.len(), found[0].node), (1, None));
        assert_eq!((found[0].free, found[0].available()), (8, 5));
    }
}
