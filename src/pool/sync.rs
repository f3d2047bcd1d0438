//! The atomics of the lock-free parts, which loom replaces to explore every interleaving.

#[cfg(not(loom))]
use std::cell::UnsafeCell;
#[cfg(not(loom))]
use std::marker::PhantomData;
#[cfg(not(loom))]
use std::ptr::NonNull;
#[cfg(not(loom))]
use std::slice;

#[cfg(not(loom))]
use crate::pool::copy;
use crate::pool::in_place::{Fill, See};

#[cfg(not(loom))]
pub(super) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

#[cfg(loom)]
pub(super) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

/// Waits for another thread that is a few instructions from done: spins, then gives the processor away.
#[derive(Default)]
pub(super) struct Backoff {
    spins: u32,
}

impl Backoff {
    /// Spins before the processor is given away: about a microsecond, longer than a copy of a bulk takes.
    #[cfg(not(loom))]
    const SPINS: u32 = 64;

    #[cfg(not(loom))]
    pub(super) fn wait(&mut self) {
        if self.spins < Self::SPINS {
            self.spins += 1;
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }

    #[cfg(loom)]
    pub(super) fn wait(&mut self) {
        self.spins += 1;
        loom::thread::yield_now();
    }
}

/// Cells that threads copy in and out under a protocol of their own: `len` words from `first` on.
#[cfg(not(loom))]
pub(super) struct Cells {
    first: NonNull<UnsafeCell<u32>>,
    len: usize,
    /// Whether they came from a box of our own; else the memory is a caller's.
    own: bool,
}

// SAFETY: every access is through `write`, `read` and `view`, whose callers keep them apart.
#[cfg(not(loom))]
unsafe impl Send for Cells {}
// SAFETY: as above.
#[cfg(not(loom))]
unsafe impl Sync for Cells {}

#[cfg(not(loom))]
impl Cells {
    pub(super) fn new(len: usize) -> Cells {
        let words: Box<[_]> = (0..len).map(|_| UnsafeCell::new(0)).collect();
        Cells {
            first: NonNull::from(Box::leak(words)).cast(),
            len,
            own: true,
        }
    }

    /// Takes `len` words of a caller's.
    ///
    /// # Safety
    /// They are initialised, stay as long as this lives, and are used by nothing else.
    pub(super) unsafe fn at(first: NonNull<u32>, len: usize) -> Cells {
        Cells {
            first: first.cast(),
            len,
            own: false,
        }
    }

    /// Copies `from` to the words that start at `at`.
    ///
    /// # Safety
    /// There are these words, and no other thread accesses them at the same time.
    #[inline(always)]
    pub(super) unsafe fn write(&self, at: usize, from: &[u32]) {
        debug_assert!(at + from.len() <= self.len);
        // SAFETY: in bounds and alone, by the caller's promise; UnsafeCell<u32> has the layout of u32.
        unsafe {
            let to = UnsafeCell::raw_get(self.first.as_ptr().add(at));
            move_words(from.as_ptr(), to, from.len());
        }
    }

    /// Returns what shows them, and has them filled, for which no more is read from here.
    #[inline(always)]
    pub(super) fn view(&self) -> View<'_> {
        View {
            first: self.first,
            len: self.len,
            cells: PhantomData,
        }
    }

    /// Copies the words that start at `at` to `into`.
    ///
    /// # Safety
    /// There are these words, and no other thread writes them at the same time.
    #[inline(always)]
    pub(super) unsafe fn read(&self, at: usize, into: &mut [u32]) {
        debug_assert!(at + into.len() <= self.len);
        // SAFETY: in bounds and without a writer, by the caller's promise; UnsafeCell<u32> has the layout of u32.
        unsafe {
            let from = UnsafeCell::raw_get(self.first.as_ptr().add(at));
            move_words(from, into.as_mut_ptr(), into.len());
        }
    }
}

/// Words of [`Cells`], for those who read and write them in place.
#[cfg(not(loom))]
#[derive(Copy, Clone)]
pub(super) struct View<'cells> {
    first: NonNull<UnsafeCell<u32>>,
    len: usize,
    cells: PhantomData<&'cells Cells>,
}

#[cfg(not(loom))]
impl View<'_> {
    /// Shows `len` words that start at `at`.
    ///
    /// # Safety
    /// There are these words, and no other thread writes them at the same time.
    #[inline(always)]
    pub(super) unsafe fn show(self, at: usize, len: usize, see: impl See) {
        // SAFETY: the caller's promise.
        see.see(unsafe { self.words(at, len) });
    }

    /// Shows `len` words that start at `at`, and `rest` that start at the first.
    ///
    /// # Safety
    /// As [`show`](Self::show).
    #[inline(always)]
    pub(super) unsafe fn show_two(self, at: usize, len: usize, rest: usize, see: impl See) {
        // SAFETY: the caller's promise.
        unsafe { see.see_two(self.words(at, len), self.words(0, rest)) };
    }

    /// Has `len` words that start at `at` filled.
    ///
    /// # Safety
    /// There are these words, and no other thread accesses them at the same time.
    #[inline(always)]
    pub(super) unsafe fn fill(self, at: usize, len: usize, fill: impl Fill) {
        // SAFETY: the caller's promise.
        fill.fill(unsafe { self.words_mut(at, len) });
    }

    /// Has `len` words that start at `at` filled, and `rest` that start at the first.
    ///
    /// # Safety
    /// As [`fill`](Self::fill), and no word is among both.
    #[inline(always)]
    pub(super) unsafe fn fill_two(self, at: usize, len: usize, rest: usize, fill: impl Fill) {
        // SAFETY: the caller's promise.
        unsafe { fill.fill_two(self.words_mut(at, len), self.words_mut(0, rest)) };
    }

    /// # Safety
    /// As [`show`](Self::show).
    #[inline(always)]
    unsafe fn words<'a>(self, at: usize, len: usize) -> &'a [u32] {
        debug_assert!(at + len <= self.len);
        // SAFETY: in bounds and without a writer, by the caller's promise; UnsafeCell<u32> has the layout of u32.
        unsafe { slice::from_raw_parts(UnsafeCell::raw_get(self.first.as_ptr().add(at)), len) }
    }

    /// # Safety
    /// As [`fill`](Self::fill).
    #[inline(always)]
    unsafe fn words_mut<'a>(self, at: usize, len: usize) -> &'a mut [u32] {
        debug_assert!(at + len <= self.len);
        // SAFETY: in bounds and alone, by the caller's promise; initialised, and the layout as above.
        unsafe { slice::from_raw_parts_mut(UnsafeCell::raw_get(self.first.as_ptr().add(at)), len) }
    }
}

/// Copies few words in pieces that are soon read again, many by what the machine has for that.
///
/// # Safety
/// As [`copy::copy`].
#[cfg(not(loom))]
#[inline(always)]
unsafe fn move_words(from: *const u32, to: *mut u32, n: usize) {
    const FEW: usize = 64;
    // SAFETY: the caller's promise.
    unsafe {
        if n <= FEW {
            copy::copy(from, to, n, 0);
        } else {
            to.copy_from_nonoverlapping(from, n);
        }
    }
}

#[cfg(not(loom))]
impl Drop for Cells {
    fn drop(&mut self) {
        if self.own {
            let words = NonNull::slice_from_raw_parts(self.first, self.len);
            // SAFETY: `new` leaked them, and nobody has them after this.
            drop(unsafe { Box::from_raw(words.as_ptr()) });
        }
    }
}

/// Cells whose accesses loom checks for races.
#[cfg(loom)]
pub(super) struct Cells(Box<[loom::cell::UnsafeCell<u32>]>);

// SAFETY: every access is through methods whose callers keep them apart; loom checks that they do.
#[cfg(loom)]
unsafe impl Sync for Cells {}

#[cfg(loom)]
impl Cells {
    pub(super) fn new(len: usize) -> Cells {
        Cells((0..len).map(|_| loom::cell::UnsafeCell::new(0)).collect())
    }

    /// # Safety
    /// No other thread accesses these words at the same time.
    pub(super) unsafe fn write(&self, at: usize, from: &[u32]) {
        for (cell, value) in self.0[at..at + from.len()].iter().zip(from) {
            // SAFETY: in bounds, and alone by the caller's promise.
            cell.with_mut(|word| unsafe { *word = *value });
        }
    }

    pub(super) fn view(&self) -> &Cells {
        self
    }

    /// # Safety
    /// No other thread writes these words at the same time.
    pub(super) unsafe fn show(&self, at: usize, len: usize, see: impl See) {
        let mut words = vec![0; len];
        // SAFETY: the caller's promise.
        unsafe { self.read(at, &mut words) };
        see.see(&words);
    }

    /// # Safety
    /// As `show`.
    pub(super) unsafe fn show_two(&self, at: usize, len: usize, rest: usize, see: impl See) {
        let (mut first, mut second) = (vec![0; len], vec![0; rest]);
        // SAFETY: the caller's promise.
        unsafe {
            self.read(at, &mut first);
            self.read(0, &mut second);
        }
        see.see_two(&first, &second);
    }

    /// # Safety
    /// No other thread accesses these words at the same time.
    pub(super) unsafe fn fill(&self, at: usize, len: usize, fill: impl Fill) {
        let mut words = vec![0; len];
        fill.fill(&mut words);
        // SAFETY: the caller's promise.
        unsafe { self.write(at, &words) };
    }

    /// # Safety
    /// As `fill`.
    pub(super) unsafe fn fill_two(&self, at: usize, len: usize, rest: usize, fill: impl Fill) {
        let (mut first, mut second) = (vec![0; len], vec![0; rest]);
        fill.fill_two(&mut first, &mut second);
        // SAFETY: the caller's promise.
        unsafe {
            self.write(at, &first);
            self.write(0, &second);
        }
    }

    /// # Safety
    /// No other thread writes these words at the same time.
    pub(super) unsafe fn read(&self, at: usize, into: &mut [u32]) {
        for (cell, value) in self.0[at..at + into.len()].iter().zip(into) {
            // SAFETY: in bounds, and without a writer by the caller's promise.
            *value = cell.with(|word| unsafe { *word });
        }
    }
}
