//! DMA memory as the device sees it: a second mapping of the host's memfd, reached by single atomic accesses; of files
//! that their owner may shorten at any time, words that the kernel copies; or memory that its host is asked for.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use hwpool_devices::bus::{DmaError, DmaSource};
use vm_memory::mmap::MmapRegionError;
use vm_memory::{FileOffset, MmapRegion, VolatileMemory, VolatileSlice};

/// Host memory that can be reached by asking its host alone, which may refuse or be gone.
///
/// It is called with the model's lock held, so it must not wait for anything that needs the model.
pub trait AskedMemory: fmt::Debug + Send + Sync {
    /// Reads from the device's address `iova` on; tells whether it was allowed.
    fn read(&self, iova: u64, bytes: &mut [u8]) -> bool;

    /// Writes from the device's address `iova` on, in rising order; tells whether it was allowed. What was written before
    /// is seen first.
    fn write(&self, iova: u64, bytes: &[u8]) -> bool;
}

/// One mapping of host memory.
#[derive(Debug)]
pub(crate) struct Memory(Pages);

#[derive(Debug)]
enum Pages {
    Mapped(MmapRegion),
    /// The file, and where in it the range begins.
    Copied(File, u64),
    /// Whom to ask, and the device's address at which the range begins.
    Asked(Arc<dyn AskedMemory>, u64),
}

/// How the device reaches memory.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// By a mapping: a page that the file has no more would kill the process.
    Mapped,
    /// By a system call for each word.
    Copied,
}

impl Memory {
    /// Lets the device reach the pages of `source`.
    ///
    /// A file that is shorter than the range is refused here: touching pages past its end would kill the process. So it
    /// would after the file's owner has shortened it: whoever passes on a file that is not sealed from a process that
    /// he does not trust has its words copied.
    pub(crate) fn new(source: DmaSource<'_>, reach: Reach) -> Result<Memory, DmaError> {
        let region = Memory::map(source)?;
        Ok(Memory(match reach {
            Reach::Mapped => Pages::Mapped(region),
            // That it can be mapped says that the file may be read and written.
            Reach::Copied => {
                let file = source.file.try_clone_to_owned();
                Pages::Copied(file.map_err(|e| os("dup", &e))?.into(), source.offset)
            }
        }))
    }

    /// Lets the device reach memory from its address `iova` on by asking.
    pub(crate) fn asked(host: Arc<dyn AskedMemory>, iova: u64) -> Memory {
        Memory(Pages::Asked(host, iova))
    }

    fn map(source: DmaSource<'_>) -> Result<MmapRegion, DmaError> {
        let owned = source
            .file
            .try_clone_to_owned()
            .map_err(|e| os("dup", &e))?;
        let file = File::from(owned);
        let file_len = file.metadata().map_err(|e| os("fstat", &e))?.len();
        let end = source.offset.checked_add(source.len);
        let len = usize::try_from(source.len).ok();
        let (Some(len), true) = (len, end.is_some_and(|end| end <= file_len)) else {
            return Err(DmaError::Os {
                call: "mmap",
                errno: 22,
                hint: format!(
                    "the range {:#x}+{:#x} ends past the file's {file_len:#x} bytes: size the file first",
                    source.offset, source.len
                ),
            });
        };
        MmapRegion::from_file(FileOffset::new(file, source.offset), len).map_err(|e| match e {
            MmapRegionError::Mmap(e) => os("mmap", &e),
            e => os("mmap", &std::io::Error::other(e)),
        })
    }

    /// Loads the words from byte `offset` on; false: the host refused. The caller has ordered them by what it acquired
    /// before.
    #[must_use]
    pub(crate) fn load_words(&self, offset: usize, words: &mut [u64]) -> bool {
        match &self.0 {
            Pages::Mapped(region) => load_mapped(region, offset, words),
            Pages::Copied(file, start) => {
                let places = (start + offset as u64..).step_by(8);
                places
                    .zip(words)
                    .for_each(|(at, word)| *word = copy_in(file, at));
            }
            Pages::Asked(host, start) => return ask_words(&**host, start + offset as u64, words),
        }
        true
    }

    /// Stores the words from byte `offset` on, in rising order; false: the host refused. Release: whoever sees one sees
    /// everything that the device stored before.
    #[must_use]
    pub(crate) fn store_words(&self, offset: usize, words: &[u64]) -> bool {
        match &self.0 {
            Pages::Mapped(region) => store_mapped(region, offset, words),
            Pages::Copied(file, start) => {
                let places = (start + offset as u64..).step_by(8);
                places
                    .zip(words)
                    .for_each(|(at, word)| copy_out(file, at, *word));
            }
            Pages::Asked(host, start) => {
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                return host.write(start + offset as u64, &bytes);
            }
        }
        true
    }
}

#[inline]
fn load_mapped(region: &MmapRegion, offset: usize, words: &mut [u64]) {
    let (lines, rest) = words.as_chunks_mut::<LINE>();
    let end = offset + size_of_val(lines);
    for (line, at) in lines.iter_mut().zip((offset..).step_by(8 * LINE)) {
        load_run(region, at, line);
    }
    load_run(region, end, rest);
}

#[inline]
fn store_mapped(region: &MmapRegion, offset: usize, words: &[u64]) {
    let (lines, rest) = words.as_chunks::<LINE>();
    for (line, at) in lines.iter().zip((offset..).step_by(8 * LINE)) {
        store_run(region, at, line);
    }
    store_run(region, offset + size_of_val(lines), rest);
}

/// Loads words whose place is checked once; of a line the compiler knows how many they are.
#[inline(always)]
fn load_run(region: &MmapRegion, offset: usize, words: &mut [u64]) {
    let cells = cells(region, offset, words.len());
    for (i, word) in words.iter_mut().enumerate() {
        *word = u64::from_le(cell(&cells, i).load(Ordering::Relaxed));
    }
}

/// Stores words as [`load_run`] loads them.
#[inline(always)]
fn store_run(region: &MmapRegion, offset: usize, words: &[u64]) {
    let cells = cells(region, offset, words.len());
    for (i, word) in words.iter().enumerate() {
        cell(&cells, i).store(word.to_le(), Ordering::Release);
    }
}

/// Words whose place is checked once: as many as a cache line has.
const LINE: usize = 8;

/// Finds a run of words.
#[inline]
fn cells(region: &MmapRegion, offset: usize, words: usize) -> VolatileSlice<'_> {
    match region.get_slice(offset, 8 * words) {
        Ok(cells) => cells,
        Err(_) => out_of_bounds(offset),
    }
}

/// Finds word `i` of a run; the compiler knows that it is there.
#[inline]
fn cell<'a>(cells: &'a VolatileSlice<'_>, i: usize) -> &'a AtomicU64 {
    match cells.get_atomic_ref(8 * i) {
        Ok(cell) => cell,
        Err(_) => out_of_bounds(8 * i),
    }
}

/// Reads a word; where the file has none any more it is all ones, as of a read that nobody answers on PCI.
#[cold]
fn copy_in(file: &File, at: u64) -> u64 {
    let mut bytes = [0; 8];
    match file.read_exact_at(&mut bytes, at) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => u64::MAX,
    }
}

/// Writes a word. What its owner has cut off is lost or grows again, as the file lets us: he gets what he asked for.
#[cold]
fn copy_out(file: &File, at: u64, value: u64) {
    fence(Ordering::Release);
    let _ = file.write_all_at(&value.to_le_bytes(), at);
}

/// Asks for a run of words.
#[cold]
fn ask_words(host: &dyn AskedMemory, iova: u64, words: &mut [u64]) -> bool {
    let mut bytes = vec![0; 8 * words.len()];
    let granted = host.read(iova, &mut bytes);
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    granted
}

/// Translation has checked every range before it comes here, and `SPEC.md` every alignment.
#[cold]
fn out_of_bounds(offset: usize) -> ! {
    unreachable!("byte {offset:#x} is misaligned or lies beyond a translated mapping")
}

fn os(call: &'static str, error: &std::io::Error) -> DmaError {
    let errno = error.raw_os_error().unwrap_or(0);
    DmaError::Os {
        call,
        errno,
        hint: format!("{error}; {}", advice(errno)),
    }
}

/// Says what to do about an errno of a call that maps a file, or keeps one.
fn advice(errno: i32) -> &'static str {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOMEM: i32 = 12;
    match errno {
        EMFILE => "this process has as many descriptors open as it may: raise `ulimit -n`",
        ENFILE => "the system has as many files open as it may: fs.file-max",
        ENOMEM => "no room for a mapping more: `ulimit -v`, vm.max_map_count",
        _ => "is the file a memfd, and the offset a multiple of its page?",
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;

    #[test]
    fn a_limit_is_named_where_one_is_met() {
        let hint = |errno| match os("dup", &std::io::Error::from_raw_os_error(errno)) {
            DmaError::Os { hint, .. } => hint,
            other => panic!("{other:?}"),
        };
        assert!(hint(24).contains("ulimit -n") && !hint(24).contains("memfd"));
        assert!(hint(23).contains("fs.file-max") && hint(12).contains("max_map_count"));
        assert!(hint(22).contains("memfd"));
    }

    #[test]
    fn runs_of_any_length_are_words_however_memory_is_reached() {
        let file = File::from(memfd_create("words", MFdFlags::MFD_CLOEXEC).unwrap());
        let len = 4096;
        file.set_len(len).unwrap();
        for reach in [Reach::Mapped, Reach::Copied] {
            let source = DmaSource {
                file: file.as_fd(),
                offset: 0,
                len,
            };
            let memory = Memory::new(source, reach).unwrap();
            for n in 0..=20 {
                let words: Vec<u64> = (1..=n).map(|word| word << 32 | n).collect();
                assert!(memory.store_words(24, &[u64::MAX; 21]));
                assert!(memory.store_words(24, &words));
                let mut found = vec![0; words.len()];
                assert!(memory.load_words(24, &mut found));
                assert_eq!(found, words, "{reach:?}");
                let one = |i| {
                    let mut word = [0];
                    assert!(memory.load_words(24 + 8 * i as usize, &mut word));
                    word[0]
                };
                let one_by_one: Vec<u64> = (0..=n).map(one).collect();
                assert_eq!(one_by_one, [words, vec![u64::MAX]].concat(), "{reach:?}");
            }
        }
    }
}
