//! Memory that a device reaches right now, whole or in pieces.

use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hwpool_devices::bus::{DmaBuffer, Iova, Transport};

use super::domain::{Domain, MapError, Placement};
use super::memory::Memory;
use crate::order;

/// Bytes of a word, the unit of access.
const WORD: usize = size_of::<u64>();

/// Memory mapped for a device. The device can reach it exactly as long as this lives.
///
/// Dropping it removes the mapping first and gives up the addresses next; only then may the memory go, and the
/// transport last. If the mapping can't be removed, memory and addresses are
/// [quarantined](super::Domain::quarantined). Stop the device before: what it does to addresses that are gone is an
/// error of the IOMMU at best.
pub struct Mapping<T: Transport> {
    // `drop` below runs before any field goes. Then in this order: nothing that needs the memory outlives it, and
    // the transport goes with the last reference to the domain.
    cells: Cells,
    iova: Iova,
    memory: Arc<Memory>,
    domain: Arc<Domain<T>>,
}

impl<T: Transport> Domain<T> {
    /// Lets the device reach all of `memory`, as one mapping for each of its files, side by side, until the result is dropped.
    ///
    /// Blocks while the kernel pins the pages.
    ///
    /// # Errors
    ///
    /// [`MapError`]. A failure that leaves open whether the mapping exists ([`DmaError::Os`](hwpool_devices::bus::DmaError::Os), as when a reply was
    /// lost) is followed by an attempt to remove it; if that fails too, the memory is
    /// [quarantined](Self::quarantined).
    pub fn map(
        self: &Arc<Self>,
        memory: Arc<Memory>,
        at: Placement,
    ) -> Result<Mapping<T>, MapError> {
        let iova = self.map_at(&memory, at)?;
        Ok(Mapping {
            cells: Cells::of(&memory),
            iova,
            memory,
            domain: Arc::clone(self),
        })
    }
}

impl<T: Transport> Mapping<T> {
    /// Returns the memory behind the mapping.
    pub fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Returns the domain that the mapping belongs to.
    pub fn domain(&self) -> &Arc<Domain<T>> {
        &self.domain
    }

    /// Returns where the device finds the first byte.
    pub fn iova(&self) -> Iova {
        self.iova
    }

    /// Cuts out the bytes of `range`, which keeps the mapping alive.
    ///
    /// Returns `None` where the range is empty, not inside, or does not start and end at multiples of 8. Pieces may
    /// overlap.
    pub fn slice(self: &Arc<Self>, range: Range<usize>) -> Option<Slice<T>> {
        Some(Slice {
            cells: self.cells.cut(&range)?,
            iova: self.iova.checked_add(range.start as u64)?,
            mapping: Arc::clone(self),
        })
    }
}

impl<T: Transport> Drop for Mapping<T> {
    fn drop(&mut self) {
        self.domain.unmap(self.iova, &self.memory);
    }
}

impl<T: Transport> fmt::Debug for Mapping<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("device", &self.domain.transport().name())
            .field("iova", &self.iova)
            .field("memory", &self.memory)
            .finish()
    }
}

/// A piece of a [`Mapping`]: a ring, a status line.
pub struct Slice<T: Transport> {
    cells: Cells,
    iova: Iova,
    /// Keeps alive what `cells` points to.
    mapping: Arc<Mapping<T>>,
}

impl<T: Transport> Slice<T> {
    /// Returns the mapping that this is a piece of.
    pub fn mapping(&self) -> &Arc<Mapping<T>> {
        &self.mapping
    }
}

impl<T: Transport> fmt::Debug for Slice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slice")
            .field("iova", &self.iova)
            .field("size", &self.size())
            .field("mapping", &self.mapping)
            .finish()
    }
}

/// Gives a device's view of what has `cells` and an `iova`: all of a mapping, or a piece.
macro_rules! dma_buffer {
    ($type:ident) => {
        impl<T: Transport> DmaBuffer for $type<T> {
            #[inline]
            fn iova(&self) -> Iova {
                self.iova
            }

            #[inline]
            fn size(&self) -> usize {
                self.cells.size()
            }

            #[inline]
            fn load64(&self, offset: usize) -> u64 {
                self.cells.load(offset)
            }

            #[inline]
            fn store64(&self, offset: usize, value: u64) {
                self.cells.store(offset, value);
            }

            #[inline]
            fn load_all(&self, offset: usize, words: &mut [u64]) {
                let cells = self.cells.run(offset, words.len());
                for (word, cell) in words.iter_mut().zip(cells) {
                    *word = u64::from_le(cell.load(Ordering::Relaxed));
                }
            }

            #[inline]
            fn store_all(&self, offset: usize, words: &[u64]) {
                let cells = self.cells.run(offset, words.len());
                for (word, cell) in words.iter().zip(cells) {
                    cell.store(word.to_le(), Ordering::Relaxed);
                }
            }

            #[inline]
            fn after_load(&self) {
                order::after_load();
            }

            #[inline]
            fn expect_load(&self, offset: usize) {
                ahead::load(self.cells.at(offset));
            }

            #[inline]
            fn expect_store(&self, offset: usize) {
                ahead::store(self.cells.at(offset));
            }
        }
    };
}

dma_buffer!(Mapping);
dma_buffer!(Slice);

/// Cells of a [`Memory`], located once, so that an access is a compare and a move.
///
/// Invariant: `first` is aligned to 8, and `count` words from it lie within a `Memory` that whoever holds this keeps
/// alive: the same struct has an `Arc` of it, directly or through a mapping. Private to this file.
struct Cells {
    first: NonNull<u64>,
    count: usize,
}

// SAFETY: `Cells` is an address into memory that any thread may reach (the invariant keeps it mapped, whoever holds
// it), and every access through it is atomic.
unsafe impl Send for Cells {}
// SAFETY: as for Send: shared use makes atomic accesses only.
unsafe impl Sync for Cells {}

impl Cells {
    /// Locates all of `memory`. Its pages are aligned to more than a word.
    fn of(memory: &Memory) -> Cells {
        Cells {
            first: memory.as_ptr().cast(),
            count: memory.len() / WORD,
        }
    }

    /// Locates the words of `range` (bytes), or returns `None` where that is not a run of words inside.
    fn cut(&self, range: &Range<usize>) -> Option<Cells> {
        let whole = range.start.is_multiple_of(WORD) && range.end.is_multiple_of(WORD);
        let inside = range.start < range.end && range.end <= self.size();
        (whole && inside).then(|| Cells {
            // SAFETY: start < end <= size, so the result points into the same memory; a multiple of 8 keeps it
            // aligned.
            first: unsafe { self.first.byte_add(range.start) },
            count: (range.end - range.start) / WORD,
        })
    }

    #[inline]
    fn size(&self) -> usize {
        self.count * WORD
    }

    #[inline]
    fn load(&self, offset: usize) -> u64 {
        u64::from_le(self.at(offset).load(Ordering::Relaxed))
    }

    #[inline]
    fn store(&self, offset: usize, value: u64) {
        self.at(offset).store(value.to_le(), Ordering::Relaxed);
    }

    /// Finds the word at a byte offset. Panics where there is none.
    #[inline]
    fn at(&self, offset: usize) -> &AtomicU64 {
        &self.run(offset, 1)[0]
    }

    /// Finds the `n` words from a byte offset on. Panics where there are none.
    #[inline]
    fn run(&self, offset: usize, n: usize) -> &[AtomicU64] {
        // Turns a multiple of 8 into the word's index, and anything else into a number beyond every count, because
        // its low bits come out on top: one compare checks both bounds and alignment.
        let index = offset.rotate_right(WORD.trailing_zeros());
        if index >= self.count || n > self.count - index {
            no_word(offset, self.size());
        }
        // SAFETY: index + n <= count, so by the invariant the words are aligned, and mapped for as long as the borrow
        // of self. This process accesses them atomically: here, or by Memory::as_ptr, whose documentation puts that on
        // the caller's unsafe block. What the device does is outside of the language's memory model; it can't tear
        // an aligned word on a platform with 64-bit atomics.
        unsafe { std::slice::from_raw_parts(self.first.add(index).as_ptr().cast(), n) }
    }
}

/// Asks the processor for cache lines before they are needed.
#[cfg(target_arch = "x86_64")]
mod ahead {
    use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};
    use std::ptr::from_ref;
    use std::sync::atomic::AtomicU64;

    #[inline]
    pub(super) fn load(word: &AtomicU64) {
        // SAFETY: a hint: it changes nothing that the language knows of, and faults nowhere.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from_ref(word).cast()) };
    }

    /// Asks for a line that no other processor has then, where the program is built for one that can ask so.
    #[inline]
    pub(super) fn store(word: &AtomicU64) {
        // SAFETY: as for `load`.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(from_ref(word).cast()) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod ahead {
    use std::sync::atomic::AtomicU64;

    pub(super) fn load(_: &AtomicU64) {}
    pub(super) fn store(_: &AtomicU64) {}
}

#[cold]
#[inline(never)]
fn no_word(offset: usize, size: usize) -> ! {
    panic!("no aligned 64-bit word at byte {offset:#x} of DMA memory of {size:#x} bytes");
}
