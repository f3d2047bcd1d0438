//! Hugepages by node and size (Linux, admin-guide/mm/hugetlbpage): counted, reserved and released.

use std::path::PathBuf;

use super::{Tree, Writer};

/// Hugepages of one size, on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The NUMA node; `None` on a kernel without NUMA.
    pub node: Option<u32>,
    /// Size of a page.
    pub bytes: u64,
    /// Pages in the pool.
    pub total: u64,
    /// Pages that nobody uses. Some of them may be promised to mappings that have not touched them yet.
    pub free: u64,
    /// Pages beyond what was reserved, which go when they are no longer used.
    pub surplus: u64,
    directory: String,
}

/// Why pages were not reserved or released. What had been changed is changed back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HugepageError {
    /// There is no such pool.
    #[error("no hugepages of {bytes} bytes{}: `hwpool hugepages status` lists what there is",
            node.map_or(String::new(), |node| format!(" on node {node}")))]
    NoPool {
        /// Size of a page.
        bytes: u64,
        /// The node.
        node: Option<u32>,
    },
    /// The kernel found fewer pages than asked for.
    #[error(
        "{place}the kernel found {got} of {wanted} pages, and they were given back: memory is too full or too \
         fragmented; `echo 1 > /proc/sys/vm/compact_memory`, or reserve at boot (hugepagesz={kib}K hugepages={wanted})",
        kib = bytes >> 10
    )]
    TooFew {
        /// Size and node, in words.
        place: String,
        /// Size of a page.
        bytes: u64,
        /// Pages asked for.
        wanted: u64,
        /// Pages found.
        got: u64,
    },
    /// Fewer pages are free than shall be released.
    #[error(
        "{place}{free} pages are free, and {wanted} shall be released: end the programs that use the others"
    )]
    InUse {
        /// Size and node, in words.
        place: String,
        /// Pages asked for.
        wanted: u64,
        /// Pages that are free.
        free: u64,
    },
    /// The number could not be written.
    #[error("{path}: the kernel refuses {value}: only root may write it, and in a container nobody may", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What was to be written.
        value: u64,
        /// What the kernel said.
        source: std::io::Error,
    },
}

impl Pool {
    /// Reads all pools, by node, then by size.
    pub fn all(tree: &Tree) -> Vec<Pool> {
        let at = "/sys/devices/system/node";
        let nodes = tree.names(at).into_iter();
        let mut nodes: Vec<u32> = nodes
            .filter_map(|name| name.strip_prefix("node")?.parse().ok())
            .collect();
        nodes.sort_unstable();
        let mut pools: Vec<_> = nodes
            .iter()
            .flat_map(|node| pools_in(tree, Some(*node), &format!("{at}/node{node}/hugepages")))
            .collect();
        if pools.is_empty() {
            pools = pools_in(tree, None, "/sys/kernel/mm/hugepages");
        }
        pools
    }

    /// Finds the pool of a size on a node; without a node the first.
    ///
    /// # Errors
    ///
    /// [`HugepageError::NoPool`].
    pub fn find(tree: &Tree, bytes: u64, node: Option<u32>) -> Result<Pool, HugepageError> {
        let mut pools = Pool::all(tree).into_iter();
        let fits = |pool: &Pool| pool.bytes == bytes && (node.is_none() || pool.node == node);
        pools
            .find(fits)
            .ok_or(HugepageError::NoPool { bytes, node })
    }

    /// Returns the file that sets the number of pages.
    pub fn path(&self) -> String {
        format!("{}/nr_hugepages", self.directory)
    }

    /// Returns node and size, for the beginning of a sentence.
    pub fn place(&self) -> String {
        let node = self
            .node
            .map_or(String::new(), |node| format!("node {node}, "));
        format!("{node}{}: ", size_text(self.bytes))
    }

    /// Adds `pages`, or none where the kernel does not find as many. Returns the pool as it is then.
    ///
    /// Blocks while the kernel moves memory: seconds, for large numbers.
    ///
    /// # Errors
    ///
    /// [`HugepageError::TooFew`], [`HugepageError::Write`].
    pub fn reserve(
        &self,
        tree: &Tree,
        writer: &mut dyn Writer,
        pages: u64,
    ) -> Result<Pool, HugepageError> {
        let wanted = self.total.saturating_add(pages);
        self.set(tree, writer, wanted)?;
        let now = Pool::find(tree, self.bytes, self.node)?;
        if now.total >= wanted {
            return Ok(now);
        }
        self.set(tree, writer, self.total)?;
        Err(HugepageError::TooFew {
            place: self.place(),
            bytes: self.bytes,
            wanted: pages,
            got: now.total.saturating_sub(self.total),
        })
    }

    /// Gives `pages` free pages back to the system, or none where fewer are free. Returns the pool as it is then.
    ///
    /// # Errors
    ///
    /// [`HugepageError::InUse`], [`HugepageError::Write`].
    pub fn release(
        &self,
        tree: &Tree,
        writer: &mut dyn Writer,
        pages: u64,
    ) -> Result<Pool, HugepageError> {
        if pages > self.free {
            return Err(HugepageError::InUse {
                place: self.place(),
                wanted: pages,
                free: self.free,
            });
        }
        self.set(tree, writer, self.total.saturating_sub(pages))?;
        Pool::find(tree, self.bytes, self.node)
    }

    fn set(&self, tree: &Tree, writer: &mut dyn Writer, value: u64) -> Result<(), HugepageError> {
        let path = tree.path(&self.path());
        let written = writer.write(&path, &value.to_string());
        written.map_err(|source| HugepageError::Write {
            path,
            value,
            source,
        })
    }
}

fn pools_in(tree: &Tree, node: Option<u32>, at: &str) -> Vec<Pool> {
    let names = tree.names(at).into_iter();
    let mut pools: Vec<_> = names
        .filter_map(|name| {
            let kib: u64 = name
                .strip_prefix("hugepages-")?
                .strip_suffix("kB")?
                .parse()
                .ok()?;
            let directory = format!("{at}/{name}");
            let count = |file: &str| tree.number(&format!("{directory}/{file}"));
            Some(Pool {
                node,
                bytes: kib.checked_mul(1024)?,
                total: count("nr_hugepages")?,
                free: count("free_hugepages")?,
                surplus: count("surplus_hugepages").unwrap_or(0),
                directory,
            })
        })
        .collect();
    pools.sort_by_key(|pool| pool.bytes);
    pools
}

/// Returns a size as people write it.
pub fn size_text(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units
        .iter()
        .find(|(bits, _)| bytes >> bits > 0 && bytes.is_multiple_of(1 << bits));
    match unit {
        Some((bits, name)) => format!("{} {name}", bytes >> bits),
        None => format!("{bytes} bytes"),
    }
}
