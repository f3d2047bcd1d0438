//! What of the client's memory the design may reach, and reaching it.
//!
//! A file that came with a mapping is read and written by system calls: one that its owner shortens makes a call fail, and
//! no mapping can end this process. Memory without a file, and hugepages, whose files can't be written, are asked for by
//! messages. In which order the bytes of one burst land is the kernel's affair; what an earlier burst wrote is there first.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use hwpool::user::server::{ClientMemory, DmaMapping, Errno, Peer};
use nix::sys::statfs::{HUGETLBFS_MAGIC, fstatfs};

/// The client's memory.
#[derive(Debug, Default)]
pub(crate) struct Dma {
    windows: BTreeMap<u64, Window>,
    /// The function may issue memory requests: Bus Master Enable.
    is_master: bool,
    refused: Refused,
}

#[derive(Debug)]
struct Window {
    size: u64,
    readable: bool,
    writable: bool,
    pages: Pages,
}

#[derive(Debug)]
enum Pages {
    /// The file, and where in it the window begins.
    File(File, u64),
    Asked(ClientMemory),
}

/// Accesses that were refused: the first is told, the others are counted.
#[derive(Debug, Default)]
struct Refused(u64);

/// What an access was refused for.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Why {
    NotMaster,
    NotMapped,
    Failed,
}

impl Dma {
    /// Lets the design reach what the client maps.
    pub(crate) fn map(&mut self, peer: &Peer, mapping: DmaMapping) -> Result<(), Errno> {
        let pages = match mapping.file {
            Some((file, offset)) if !is_huge(&file) => Pages::File(file.into(), offset),
            _ => Pages::Asked(peer.memory()?),
        };
        let window = Window {
            size: mapping.size,
            readable: mapping.readable,
            writable: mapping.writable,
            pages,
        };
        self.windows.insert(mapping.iova, window);
        Ok(())
    }

    pub(crate) fn unmap(&mut self, iova: u64) {
        self.windows.remove(&iova);
    }

    pub(crate) fn set_master(&mut self, is_master: bool) {
        self.is_master = is_master;
    }

    /// Returns how many accesses were refused since the last call.
    pub(crate) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused.0)
    }

    /// Reads memory; tells whether all of it could be.
    pub(crate) fn read(&mut self, iova: u64, bytes: &mut [u8]) -> bool {
        if let Err(why) = self.check(iova, bytes.len() as u64, |window| window.readable) {
            return self.refuse("read", iova, bytes.len(), why);
        }
        let mut done = 0;
        while done < bytes.len() {
            let at = iova + done as u64;
            let Some((start, window)) = self.window(at) else {
                break;
            };
            let len = window.left(start, at).min(bytes.len() - done);
            if !window.read(start, at, &mut bytes[done..done + len]) {
                return self.refuse("read", at, len, Why::Failed);
            }
            done += len;
        }
        true
    }

    /// Writes the bytes of `data` that `mask` names; tells whether all of it could be. Nothing is written where any byte
    /// of the range is not mapped.
    pub(crate) fn write(&mut self, iova: u64, data: &[u8], mask: &[bool]) -> bool {
        if let Err(why) = self.check(iova, data.len() as u64, |window| window.writable) {
            return self.refuse("write", iova, data.len(), why);
        }
        for run in runs(mask) {
            let mut done = run.start;
            while done < run.end {
                let at = iova + done as u64;
                let Some((start, window)) = self.window(at) else {
                    break;
                };
                let len = window.left(start, at).min(run.end - done);
                if !window.write(start, at, &data[done..done + len]) {
                    return self.refuse("write", at, len, Why::Failed);
                }
                done += len;
            }
        }
        true
    }

    fn window(&self, at: u64) -> Option<(u64, &Window)> {
        let (start, window) = self.windows.range(..=at).next_back()?;
        (at - start < window.size).then_some((*start, window))
    }

    /// Checks every byte of a range before any is touched.
    fn check(&self, iova: u64, len: u64, allows: impl Fn(&Window) -> bool) -> Result<(), Why> {
        if !self.is_master {
            return Err(Why::NotMaster);
        }
        // The last byte and not the end, which does not fit where the last byte is the last there is.
        let last = iova
            .checked_add(len.saturating_sub(1))
            .ok_or(Why::NotMapped)?;
        let mut at = iova;
        loop {
            let (start, window) = self
                .window(at)
                .filter(|(_, window)| allows(window))
                .ok_or(Why::NotMapped)?;
            match start.checked_add(window.size) {
                Some(next) if next <= last => at = next,
                _ => return Ok(()),
            }
        }
    }

    #[cold]
    fn refuse(&mut self, what: &str, iova: u64, len: usize, why: Why) -> bool {
        self.refused.0 += 1;
        if self.refused.0 > 1 {
            return false;
        }
        let why = match why {
            Why::NotMaster => {
                "bus mastering is off: the driver has not set Bus Master Enable".into()
            }
            Why::Failed => "its memory can't be reached any more".into(),
            Why::NotMapped => self.neighbours(iova),
        };
        tracing::warn!(
            "the design's DMA {what} of {len} bytes at {iova:#x} is answered with an error, and touches nothing: {why}; more are counted"
        );
        false
    }

    /// Says what is mapped near an address.
    fn neighbours(&self, iova: u64) -> String {
        let mut text = String::from("the client has not mapped it so");
        let before = self.windows.range(..=iova).next_back();
        let after = self.windows.range(iova..).next();
        for (start, window) in before
            .into_iter()
            .chain(after.filter(|after| Some(*after) != before))
        {
            let last = start.saturating_add(window.size - 1);
            let rights = match (window.readable, window.writable) {
                (true, true) => "",
                (true, false) => " for reading",
                (false, _) => " for writing",
            };
            let _ = write!(text, "; near it is {start:#x} to {last:#x}{rights}");
        }
        text
    }
}

impl PartialEq for Window {
    fn eq(&self, other: &Window) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Window {
    /// Returns how many bytes there are from `at` on.
    fn left(&self, start: u64, at: u64) -> usize {
        usize::try_from(self.size - (at - start)).unwrap_or(usize::MAX)
    }

    fn read(&self, start: u64, at: u64, bytes: &mut [u8]) -> bool {
        match &self.pages {
            Pages::File(file, offset) => file.read_exact_at(bytes, offset + (at - start)).is_ok(),
            Pages::Asked(client) => client.read(at, bytes).is_ok(),
        }
    }

    fn write(&self, start: u64, at: u64, bytes: &[u8]) -> bool {
        match &self.pages {
            Pages::File(file, offset) => {
                // Past its end a write would make the file longer, which a client that shortened it did not mean.
                let end = offset + (at - start) + bytes.len() as u64;
                let fits = file.metadata().is_ok_and(|file| end <= file.len());
                fits && file.write_all_at(bytes, offset + (at - start)).is_ok()
            }
            Pages::Asked(client) => client.write(at, bytes).is_ok(),
        }
    }
}

/// Returns the runs of bytes that are true.
fn runs(mask: &[bool]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, _) in mask.iter().enumerate().filter(|(_, named)| **named) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

fn is_huge(file: &impl AsFd) -> bool {
    fstatfs(file).is_ok_and(|system| system.filesystem_type() == HUGETLBFS_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dma(windows: &[(u64, u64, bool, bool)]) -> (Dma, File) {
        let file = tempfile::tempfile().unwrap();
        file.set_len(0x10000).unwrap();
        let mut dma = Dma {
            is_master: true,
            ..Dma::default()
        };
        for (start, size, readable, writable) in windows.iter().copied() {
            let pages = Pages::File(file.try_clone().unwrap(), start);
            dma.windows.insert(
                start,
                Window {
                    size,
                    readable,
                    writable,
                    pages,
                },
            );
        }
        (dma, file)
    }

    #[test]
    fn a_write_that_is_partly_outside_touches_nothing() {
        let (mut dma, file) = dma(&[(0x1000, 0x1000, true, true)]);
        assert!(!dma.write(0x1ff8, &[0xff; 16], &[true; 16]));
        let mut bytes = [0; 16];
        file.read_exact_at(&mut bytes, 0x1ff8).unwrap();
        assert_eq!(bytes, [0; 16]);
        assert_eq!(dma.take_refused(), 1);
    }

    #[test]
    fn neighbouring_windows_are_one_range_and_their_rights_count() {
        let (mut dma, _file) = dma(&[(0x1000, 0x1000, true, true), (0x2000, 0x1000, true, false)]);
        assert!(dma.write(0x1ff0, &[7; 16], &[true; 16]));
        assert!(!dma.write(0x1ff8, &[7; 16], &[true; 16]), "not for writing");
        let mut bytes = [0; 16];
        assert!(dma.read(0x1ff8, &mut bytes));
        assert_eq!(bytes, [7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(!dma.read(u64::MAX - 3, &mut bytes));
    }

    #[test]
    fn the_last_addresses_can_be_mapped_too() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(0x1000).unwrap();
        let mut dma = Dma {
            is_master: true,
            ..Dma::default()
        };
        let window = Window {
            size: 0x1000,
            readable: true,
            writable: true,
            pages: Pages::File(file, 0),
        };
        dma.windows.insert(u64::MAX - 0xfff, window);
        assert!(dma.write(u64::MAX - 7, &[7; 8], &[true; 8]));
        let mut bytes = [0; 8];
        assert!(dma.read(u64::MAX - 7, &mut bytes));
        assert_eq!(bytes, [7; 8]);
        assert!(!dma.read(u64::MAX - 6, &mut bytes));
    }

    #[test]
    fn only_the_bytes_of_the_mask_are_written_and_only_by_a_master() {
        let (mut dma, file) = dma(&[(0, 0x1000, true, true)]);
        assert!(dma.write(0, &[1, 2, 3, 4], &[true, false, true, true]));
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(bytes, [1, 0, 3, 4]);
        dma.set_master(false);
        assert!(!dma.read(0, &mut bytes));
    }

    #[test]
    fn a_file_that_was_shortened_is_refused_and_not_made_longer() {
        let (mut dma, file) = dma(&[(0, 0x1000, true, true)]);
        file.set_len(8).unwrap();
        assert!(dma.write(0, &[1; 8], &[true; 8]));
        assert!(!dma.write(8, &[1; 8], &[true; 8]));
        assert!(!dma.read(8, &mut [0; 8]));
        assert_eq!(file.metadata().unwrap().len(), 8);
    }
}
