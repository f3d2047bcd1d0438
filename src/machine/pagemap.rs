//! Where the pages of this process lie in the machine's memory (Linux, admin-guide/mm/pagemap).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::{PageSize, Tree};

const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// The table of this process.
#[derive(Debug)]
pub(crate) struct Pagemap(File);

/// What the table says of a page.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// It is not in memory.
    Absent,
    /// It is in memory, and the kernel does not tell this process where.
    Hidden,
    /// Its physical address.
    At(u64),
}

impl Pagemap {
    pub(crate) fn open(tree: &Tree) -> io::Result<Pagemap> {
        File::open(tree.path("/proc/self/pagemap")).map(Pagemap)
    }

    /// Looks up the page at `address` of this process.
    pub(crate) fn frame(&self, address: u64) -> io::Result<Frame> {
        let mut entry = [0; 8];
        // One for each base page of the process, whatever the size of the page that it is in.
        let page = PageSize::Base.bytes() as u64;
        self.0.read_exact_at(&mut entry, address / page * 8)?;
        Ok(match u64::from_le_bytes(entry) {
            entry if entry & PRESENT == 0 => Frame::Absent,
            entry if entry & FRAME == 0 => Frame::Hidden,
            entry => Frame::At((entry & FRAME) * page),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeMachine;
    use super::*;

    #[test]
    fn an_entry_tells_where_a_page_is_or_that_it_does_not() {
        let machine = FakeMachine::new();
        let entries = [1u64 << 62, PRESENT, PRESENT | 1 << 56 | 5];
        let bytes: Vec<u8> = entries.into_iter().flat_map(u64::to_le_bytes).collect();
        machine.write("/proc/self/pagemap", bytes);
        let pagemap = Pagemap::open(&machine.tree()).unwrap();
        let page = PageSize::Base.bytes() as u64;
        let frames: Vec<_> = (0..3)
            .map(|n| pagemap.frame(n * page + 7).unwrap())
            .collect();
        assert_eq!(frames, [Frame::Absent, Frame::Hidden, Frame::At(5 * page)]);
        assert!(pagemap.frame(3 * page).is_err(), "beyond the table");
    }
}
