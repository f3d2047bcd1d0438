//! Values that a child of `fork` finds wiped: how it learns that what it has is a copy of its parent's.
//!
//! A child has a copy of every free list, cache and driver's state, while memory of pools and registers of devices are one
//! and the same for both. So a child must use none of it. The kernel fills pages with zeros in every child, before it runs
//! and however it was made (`MADV_WIPEONFORK`, Linux 4.14): no handler has to run, and looking costs a load.

use std::io;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::{MmapMut, MmapOptions};

/// What a [`Wiped`] may hold.
///
/// # Safety
/// All bytes zero is a value of it, it has nothing to drop, and what can change is atomic.
pub(crate) unsafe trait Wipeable: Sync {}

// SAFETY: zero is a number.
unsafe impl Wipeable for AtomicUsize {}

/// A value in a page of its own, which is all zeros in a child of the process that made it.
pub(crate) struct Wiped<T> {
    value: NonNull<T>,
    _page: MmapMut,
}

// SAFETY: it owns the value, which any thread may look at, and which has nothing to drop.
unsafe impl<T: Wipeable> Send for Wiped<T> {}
// SAFETY: as above.
unsafe impl<T: Wipeable> Sync for Wiped<T> {}

const PAGE: usize = 4096;
/// Two cache lines, because processors fetch them in pairs.
const PLACE: usize = 128;

impl<T: Wipeable> Wiped<T> {
    /// Maps a page for `value`, each time at another place in it, so that values don't compete for one line of a cache.
    ///
    /// # Errors
    /// Where there is no memory, or the kernel is older than 4.14.
    pub(crate) fn new(value: T) -> io::Result<Wiped<T>> {
        const { assert!(size_of::<T>() <= PLACE && align_of::<T>() <= PLACE) };
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let mut page = MmapOptions::new().len(PAGE).map_anon()?;
        wipe_on_fork(&mut page)?;
        let place = NEXT.fetch_add(1, Ordering::Relaxed) % (PAGE / PLACE) * PLACE;
        let at = page[place..].as_mut_ptr().cast::<T>();
        // SAFETY: the page has room and alignment for a value at each of its places, and nobody else knows it.
        unsafe { at.write(value) };
        let value = NonNull::new(at).expect("a page is somewhere");
        Ok(Wiped { value, _page: page })
    }

    /// Returns where the value is, as long as this lives.
    #[cfg(feature = "pool")]
    pub(crate) fn as_ptr(&self) -> NonNull<T> {
        self.value
    }
}

fn wipe_on_fork(page: &mut MmapMut) -> io::Result<()> {
    let (at, len) = (page.as_mut_ptr(), page.len());
    // SAFETY: says something of a mapping that is ours, and changes nothing in this process.
    match unsafe { libc::madvise(at.cast(), len, libc::MADV_WIPEONFORK) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl<T: Wipeable> Deref for Wiped<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the page lives as long as this, and has the value or zeros, which are one.
        unsafe { self.value.as_ref() }
    }
}

/// The process that something belongs to. What its children have of it are copies.
pub(crate) struct Home(Wiped<AtomicUsize>);

impl Home {
    /// Makes the mark of this process.
    ///
    /// # Errors
    /// As [`Wiped::new`].
    pub(crate) fn here() -> io::Result<Home> {
        Wiped::new(AtomicUsize::new(1)).map(Home)
    }

    /// Tells whether this is the process that made the mark.
    pub(crate) fn is_here(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_finds_zeros_and_the_parent_its_value() {
        let value = Wiped::new(AtomicUsize::new(7)).unwrap();
        // SAFETY: the child only looks and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let seen = value.load(Ordering::Relaxed);
            // SAFETY: ends the child alone.
            unsafe { libc::_exit(seen as i32) };
        }
        let mut status = -1;
        // SAFETY: waits for the child that was just made.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "the child saw zeros");
        assert_eq!(value.load(Ordering::Relaxed), 7);
    }
}
