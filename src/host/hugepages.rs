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
    /// Pages that nobody uses.
    pub free: u64,
    /// Pages beyond what was reserved, which go when they are no longer used. They count in `total`, and not in the
    /// number that the kernel is given.
    pub surplus: u64,
    /// Of the free pages, on all nodes, those that are not promised to mappings that have not touched them yet.
    unpromised: u64,
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
        "{place}there are {had} pages, and of {wanted} more the kernel found {got}, which were given back: memory is \
         too full or too fragmented; `echo 1 > /proc/sys/vm/compact_memory`, or reserve at boot (hugepagesz={kib}K hugepages={wanted})",
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
        /// Pages before, and again now.
        had: u64,
    },
    /// The kernel gave back fewer pages than it was told to: others began to use them meanwhile.
    #[error(
        "{place}of {wanted} pages the kernel could release {got}: there were {had}, and there are {} now; the others \
         came into use meanwhile",
        had.saturating_sub(*got)
    )]
    Taken {
        /// Size and node, in words.
        place: String,
        /// Pages asked for.
        wanted: u64,
        /// Pages released.
        got: u64,
        /// Pages before.
        had: u64,
    },
    /// Fewer pages are free than shall be released.
    #[error(
        "{place}of {had} pages {free} are free and promised to nobody, and {wanted} shall be released: end the \
         programs that use the others"
    )]
    InUse {
        /// Size and node, in words.
        place: String,
        /// Pages asked for.
        wanted: u64,
        /// Pages that are free, and promised to nobody.
        free: u64,
        /// Pages that there are.
        had: u64,
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
        for pool in &mut pools {
            pool.unpromised = unpromised(tree, pool.bytes);
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
        let wanted = self.number_after(true, pages);
        self.set(tree, writer, wanted)?;
        let now = Pool::find(tree, self.bytes, self.node)?;
        if now.reserved() >= wanted {
            return Ok(now);
        }
        self.set(tree, writer, self.reserved())?;
        Err(HugepageError::TooFew {
            place: self.place(),
            bytes: self.bytes,
            wanted: pages,
            got: now.reserved().saturating_sub(self.reserved()),
            had: self.total,
        })
    }

    /// Gives `pages` free pages back to the system, or none where fewer are free. Returns the pool as it is then.
    ///
    /// # Errors
    ///
    /// [`HugepageError::InUse`], [`HugepageError::Taken`], [`HugepageError::Write`].
    pub fn release(
        &self,
        tree: &Tree,
        writer: &mut dyn Writer,
        pages: u64,
    ) -> Result<Pool, HugepageError> {
        let free = self.free.min(self.unpromised).min(self.reserved());
        if pages > free {
            return Err(HugepageError::InUse {
                place: self.place(),
                wanted: pages,
                free,
                had: self.total,
            });
        }
        self.set(tree, writer, self.number_after(false, pages))?;
        let now = Pool::find(tree, self.bytes, self.node)?;
        let got = self.total.saturating_sub(now.total);
        if got >= pages {
            return Ok(now);
        }
        // What came into use meanwhile the kernel counts as surplus now: it belongs to the reserved ones again.
        self.set(tree, writer, self.number_after(false, got))?;
        Err(HugepageError::Taken {
            place: self.place(),
            wanted: pages,
            got,
            had: self.total,
        })
    }

    /// Returns the number that the kernel has to be given for `pages` more (`up`) or fewer.
    pub fn number_after(&self, up: bool, pages: u64) -> u64 {
        match up {
            true => self.reserved().saturating_add(pages),
            false => self.reserved().saturating_sub(pages),
        }
    }

    fn reserved(&self) -> u64 {
        self.total.saturating_sub(self.surplus)
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
                unpromised: u64::MAX,
                directory,
            })
        })
        .collect();
    pools.sort_by_key(|pool| pool.bytes);
    pools
}

/// The kernel counts promises for the whole machine only.
fn unpromised(tree: &Tree, bytes: u64) -> u64 {
    let at = format!("/sys/kernel/mm/hugepages/hugepages-{}kB", bytes >> 10);
    let count = |file: &str| tree.number::<u64>(&format!("{at}/{file}"));
    match count("free_hugepages").zip(count("resv_hugepages")) {
        Some((free, promised)) => free.saturating_sub(promised),
        None => u64::MAX,
    }
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
