//! Hugepages by node and size, reserved and released.

use std::path::PathBuf;

use super::Writer;
use crate::machine::{Hugepages, Tree};

/// Why pages were not reserved or released. What had been changed is changed back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HugepageError {
    /// There are none of such a size, or no such node.
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

impl Hugepages {
    /// Finds those of a size on a node; without a node the first.
    ///
    /// # Errors
    ///
    /// [`HugepageError::NoPool`].
    pub fn find(tree: &Tree, bytes: u64, node: Option<u32>) -> Result<Hugepages, HugepageError> {
        let mut all = Hugepages::all(tree).into_iter();
        let fits = |one: &Hugepages| one.bytes == bytes && (node.is_none() || one.node == node);
        all.find(fits).ok_or(HugepageError::NoPool { bytes, node })
    }

    /// Returns node and size, for the beginning of a sentence.
    pub fn place(&self) -> String {
        let node = self
            .node
            .map_or(String::new(), |node| format!("node {node}, "));
        format!("{node}{}: ", size_text(self.bytes))
    }

    /// Adds `pages`, or none where the kernel does not find as many. Returns what there is then.
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
    ) -> Result<Hugepages, HugepageError> {
        let wanted = self.number_after(true, pages);
        self.set(tree, writer, wanted)?;
        let now = Hugepages::find(tree, self.bytes, self.node)?;
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

    /// Gives `pages` free pages back to the system, or none where fewer are free. Returns what there is then.
    ///
    /// # Errors
    ///
    /// [`HugepageError::InUse`], [`HugepageError::Taken`], [`HugepageError::Write`].
    pub fn release(
        &self,
        tree: &Tree,
        writer: &mut dyn Writer,
        pages: u64,
    ) -> Result<Hugepages, HugepageError> {
        let free = self.available().min(self.reserved());
        if pages > free {
            return Err(HugepageError::InUse {
                place: self.place(),
                wanted: pages,
                free,
                had: self.total,
            });
        }
        self.set(tree, writer, self.number_after(false, pages))?;
        let now = Hugepages::find(tree, self.bytes, self.node)?;
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

/// Returns a size as people write it.
pub fn size_text(bytes: u64) -> String {
    let units = [
        (60, "EiB"),
        (50, "PiB"),
        (40, "TiB"),
        (30, "GiB"),
        (20, "MiB"),
        (10, "KiB"),
    ];
    let unit = units
        .iter()
        .find(|(bits, _)| bytes >> bits > 0 && bytes.is_multiple_of(1 << bits));
    match unit {
        Some((bits, name)) => format!("{} {name}", bytes >> bits),
        None => format!("{bytes} bytes"),
    }
}
