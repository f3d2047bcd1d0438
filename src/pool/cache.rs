//! [`Cache`]: a worker's cache and counters, where a take or give is a few instructions.
//!
//! ```text
//!   slots: │ coldest … │ … hottest │ (room) │ room for a refill │
//!          ▲          half         ▲        ▲ size          size + half
//!        first                    top
//! ```
//!
//! Last in, first out, never more than `size`. What the quick ways here can't do, `refill.rs` does.
//!
//! A take lowers `top` and a give raises it, by addresses, because each instruction of these counts (6 are a cycle). The
//! bounds that they compare with lie out of reach while something needs a look at each object (checked mode, or the pool
//! is closed), so that looking costs nothing while it is off. In a child of `fork` top and bounds are zeros, which has the
//! same effect.
//!
//! One thread uses the slots, the worker's. [`Local`] stands for that: who has one is on that thread.

use std::cell::UnsafeCell;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use crate::fork::{Wipeable, Wiped};
use crate::pool::checked::HolderId;
use crate::pool::copy;

/// What the quick ways need.
#[repr(C, align(128))]
pub(super) struct Hot {
    /// After the hottest slot, within the cache's slots.
    top: AtomicPtr<u32>,
    /// A quick take must leave `top` above this address: the one before the first slot, or out of reach.
    below: AtomicIsize,
    /// A quick give must leave `top` below this address: the one after that of `size` slots, or out of reach.
    above: AtomicIsize,
    taken: AtomicU64,
    tag_word: AtomicU32,
    /// The cache that this is of.
    cache: AtomicPtr<Cache>,
}

// SAFETY: atomics of plain numbers and pointers, for all of which zeros are values.
unsafe impl Wipeable for Hot {}

/// A worker's cache and counters. One thread, the worker's, uses the slots; any thread may read the counters.
pub(super) struct Cache {
    hot: Wiped<Hot>,
    pub(super) holder: HolderId,
    pub(super) size: usize,
    pub(super) calls: Calls,
    /// The slots, from `Box::into_raw`: a box itself would claim to be alone.
    lines: NonNull<[UnsafeCell<Line>]>,
}

// Addresses of a process are below 2^63, and an array's bytes are fewer: no sum or difference of both overflows, and one
// comparison tells whether there is enough.
const _: () = assert!(usize::BITS == 64, "signed addresses want 64 bits");

/// Counters of the slow paths.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) acquired: AtomicU64,
    pub(super) released: AtomicU64,
    pub(super) refills: AtomicU64,
    pub(super) flushes: AtomicU64,
    pub(super) shortages: AtomicU64,
    pub(super) enqueues: AtomicU64,
    pub(super) dequeues: AtomicU64,
}

/// What workers did, in objects (the first four) and calls.
#[derive(Debug, Copy, Clone, Default)]
pub(super) struct Tally {
    /// Taken by users.
    pub(super) taken: u64,
    /// Obtained from the backend.
    pub(super) acquired: u64,
    /// Let go to the backend.
    pub(super) released: u64,
    /// In caches.
    pub(super) cached: u64,
    pub(super) refills: u64,
    pub(super) flushes: u64,
    pub(super) shortages: u64,
    pub(super) enqueues: u64,
    pub(super) dequeues: u64,
}

impl Tally {
    /// Counts the objects that users gave: what was let go or is cached, less what the backend put in, plus what left.
    pub(super) fn given(&self) -> u64 {
        // Each number is read at its own moment while its thread goes on, so the sum may be off by a few: never below 0.
        (self.taken + self.released + self.cached).saturating_sub(self.acquired)
    }

    pub(super) fn add(&mut self, other: &Tally) {
        self.taken += other.taken;
        self.acquired += other.acquired;
        self.released += other.released;
        self.cached += other.cached;
        self.refills += other.refills;
        self.flushes += other.flushes;
        self.shortages += other.shortages;
        self.enqueues += other.enqueues;
        self.dequeues += other.dequeues;
    }
}

/// Words in a cache line, so that the slots start at one.
#[repr(align(64))]
struct Line(#[allow(dead_code, reason = "accessed through `Cache::words`")] [u32; WORDS]);

const WORDS: usize = 16;

// SAFETY: the slots are accessed only with a `Local`, which is on the worker's thread.
unsafe impl Send for Cache {}
// SAFETY: as above; the rest is atomic or constant.
unsafe impl Sync for Cache {}

impl Drop for Cache {
    fn drop(&mut self) {
        // SAFETY: it came from `Box::into_raw` in `new`, and is freed here only.
        drop(unsafe { Box::from_raw(self.lines.as_ptr()) });
    }
}

/// Bounds that no address is within.
const ALL_TOO_LOW: isize = isize::MAX;
const ALL_TOO_HIGH: isize = isize::MIN;

/// Returns the bytes of as many slots, which are in memory somewhere.
#[inline(always)]
fn bytes(slots: usize) -> isize {
    (slots * size_of::<u32>()) as isize
}

/// What any thread may call.
impl Cache {
    /// Makes an empty cache for `size` slots, whose quick ways are off.
    fn new(size: usize, tag_word: u32, holder: HolderId) -> io::Result<Arc<Cache>> {
        let words = size + size / 2;
        let lines: Box<[UnsafeCell<Line>]> = (0..words.div_ceil(WORDS))
            .map(|_| UnsafeCell::new(Line([0; WORDS])))
            .collect();
        let hot = Wiped::new(Hot {
            top: AtomicPtr::new(ptr::null_mut()),
            below: AtomicIsize::new(ALL_TOO_LOW),
            above: AtomicIsize::new(ALL_TOO_HIGH),
            taken: AtomicU64::new(0),
            tag_word: AtomicU32::new(tag_word),
            cache: AtomicPtr::new(ptr::null_mut()),
        })?;
        let lines = NonNull::new(Box::into_raw(lines)).expect("a box is somewhere");
        let cache = Arc::new(Cache {
            hot,
            holder,
            size,
            calls: Calls::default(),
            lines,
        });
        cache.set_cached(0);
        let itself = Arc::as_ptr(&cache).cast_mut();
        cache.hot.cache.store(itself, Ordering::Relaxed);
        Ok(cache)
    }

    fn first(&self) -> *mut u32 {
        self.lines.as_ptr().cast()
    }

    /// Counts the slots in it.
    pub(super) fn cached(&self) -> usize {
        let top = self.hot.top.load(Ordering::Relaxed).addr();
        top.saturating_sub(self.first().addr()) / size_of::<u32>()
    }

    /// Switches the quick ways on or off. Release: who sees the switch sees why it was made.
    pub(super) fn set_quick(&self, on: bool) {
        let first = self.first().addr() as isize;
        let (below, above) = match on {
            true => (first - 1, first + bytes(self.size) + 1),
            false => (ALL_TOO_LOW, ALL_TOO_HIGH),
        };
        self.hot.below.store(below, Ordering::Release);
        self.hot.above.store(above, Ordering::Release);
    }

    pub(super) fn tally(&self) -> Tally {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tally {
            taken: read(&self.hot.taken),
            acquired: read(&self.calls.acquired),
            released: read(&self.calls.released),
            cached: self.cached() as u64,
            refills: read(&self.calls.refills),
            flushes: read(&self.calls.flushes),
            shortages: read(&self.calls.shortages),
            enqueues: read(&self.calls.enqueues),
            dequeues: read(&self.calls.dequeues),
        }
    }

    /// Says how many of the words, from the first on, are slots.
    pub(super) fn set_cached(&self, n: usize) {
        debug_assert!(n <= self.size);
        let top = self.first().wrapping_add(n);
        self.hot.top.store(top, Ordering::Relaxed);
    }

    /// Counts what users took past the quick way.
    #[inline(always)]
    pub(super) fn count_taken(&self, n: usize) {
        bump(&self.hot.taken, n as u64);
    }

    /// Returns all words: `size` for slots, and half as many for a refill.
    ///
    /// # Safety
    /// On the worker's thread, and nothing else uses them as long as they are borrowed.
    #[allow(clippy::mut_from_ref, reason = "the caller answers for being alone")]
    #[inline(always)]
    pub(super) unsafe fn words(&self) -> &mut [u32] {
        // SAFETY: that many are there, from `new` on, in memory that is for this; alone by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.first(), self.size + self.size / 2) }
    }
}

/// Adds to a counter that only one thread writes: a plain load and store.
#[inline(always)]
pub(super) fn bump(counter: &AtomicU64, n: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(n),
        Ordering::Relaxed,
    );
}

/// A worker's hold on its cache, which stays on the thread that it was made on: the worker's.
pub(super) struct OwnCache {
    cache: Arc<Cache>,
    /// Of `cache`, without a detour.
    hot: NonNull<Hot>,
}

impl OwnCache {
    /// Makes the cache of a worker of this thread.
    pub(super) fn new(size: usize, tag_word: u32, holder: HolderId) -> io::Result<OwnCache> {
        let cache = Cache::new(size, tag_word, holder)?;
        let hot = cache.hot.as_ptr();
        Ok(OwnCache { cache, hot })
    }

    pub(super) fn shared(&self) -> &Arc<Cache> {
        &self.cache
    }

    #[inline(always)]
    pub(super) fn local(&self) -> Local<'_> {
        // SAFETY: `cache` keeps it; `hot` has this on the thread that made it.
        unsafe { Local::new(self.hot.as_ref()) }
    }
}

/// The cache of a worker, on that worker's thread.
#[derive(Copy, Clone)]
pub(super) struct Local<'cache> {
    hot: &'cache Hot,
    /// Neither Send nor Sync.
    _thread: PhantomData<*mut ()>,
}

impl<'cache> Local<'cache> {
    /// # Safety
    /// This is the thread of the worker whose cache it is, and the cache lives.
    #[inline(always)]
    pub(super) unsafe fn new(hot: &'cache Hot) -> Local<'cache> {
        Local {
            hot,
            _thread: PhantomData,
        }
    }

    #[inline(always)]
    pub(super) fn as_ptr(self) -> *const Hot {
        self.hot
    }

    /// Returns the cache; `None` in a child of the process that it is of.
    pub(super) fn cache(self) -> Option<&'cache Cache> {
        // SAFETY: null in a child, else the cache that has `hot`, which lives by the promise to `new`.
        unsafe { self.hot.cache.load(Ordering::Relaxed).as_ref() }
    }

    /// Fills `to` with the hottest slots; false where it has too few, or the quick way is off.
    #[inline(always)]
    pub(super) fn pop(self, to: &mut [MaybeUninit<u32>]) -> bool {
        let Some(hottest) = self.hottest(to.len()) else {
            return false;
        };
        let (from, n) = (hottest.first, hottest.n);
        hottest.take();
        // SAFETY: from `from` on lie `n` slots; `to` is not within the cache, and nobody else uses the cache meanwhile.
        unsafe { copy::copy(from, to.as_mut_ptr().cast(), n, 0) };
        true
    }

    /// Finds the `n` hottest slots, which stay; `None` where it has too few, or the quick way is off.
    #[inline(always)]
    pub(super) fn hottest(self, n: usize) -> Option<Hottest<'cache>> {
        let top = self.hot.top.load(Ordering::Relaxed);
        let rest = (top.addr() as isize).wrapping_sub(bytes(n));
        // Acquire: pairs with `set_quick`.
        let is_enough = rest > self.hot.below.load(Ordering::Acquire);
        is_enough.then(|| Hottest {
            local: self,
            first: top.wrapping_sub(n),
            n,
        })
    }

    /// Takes in `words`, if they fit and are slots of this cache's pool; the caller forgets them on true.
    #[inline(always)]
    pub(super) fn push(self, words: &[u32]) -> bool {
        let Some(room) = self.room(words.len()) else {
            return false;
        };
        // Copied before all are looked at, in one pass: above `top` lies nothing.
        let tag_word = self.hot.tag_word.load(Ordering::Relaxed);
        // SAFETY: there is room for `n` words at `top`; `words` are not within the cache, which nobody else uses meanwhile.
        let sound = unsafe { copy::copy(words.as_ptr(), room.top, room.n, tag_word) };
        if sound {
            room.keep();
        }
        sound
    }

    /// Finds room for `n` slots above the hottest; `None` where there is not as much, or the quick way is off.
    #[inline(always)]
    pub(super) fn room(self, n: usize) -> Option<Room<'cache>> {
        let top = self.hot.top.load(Ordering::Relaxed);
        let raised = (top.addr() as isize).wrapping_add(bytes(n));
        // Acquire: pairs with `set_quick`.
        let is_room = raised < self.hot.above.load(Ordering::Acquire);
        is_room.then_some(Room {
            local: self,
            top,
            n,
        })
    }
}

/// The hottest slots of a cache, which its thread alone uses as long as this lives.
pub(super) struct Hottest<'cache> {
    local: Local<'cache>,
    first: *const u32,
    n: usize,
}

impl Hottest<'_> {
    /// Returns their words, the coldest first.
    #[inline(always)]
    pub(super) fn words(&self) -> &[u32] {
        // SAFETY: from `first` to the top lie as many slots, and nothing else uses the cache as long as this is borrowed.
        unsafe { std::slice::from_raw_parts(self.first, self.n) }
    }

    /// Lets the cache forget them: they are the caller's now.
    #[inline(always)]
    pub(super) fn take(self) {
        let hot = self.local.hot;
        hot.top.store(self.first.cast_mut(), Ordering::Relaxed);
        bump(&hot.taken, self.n as u64);
    }
}

/// Room above the hottest slot of a cache, which its thread alone uses as long as this lives.
pub(super) struct Room<'cache> {
    local: Local<'cache>,
    top: *mut u32,
    n: usize,
}

impl Room<'_> {
    /// Returns where the words of slots go.
    #[inline(always)]
    pub(super) fn words(&mut self) -> &mut [u32] {
        // SAFETY: as many words lie between the top and the end of the cache, all initialised when it was made, and nothing
        // else uses it as long as this is borrowed.
        unsafe { std::slice::from_raw_parts_mut(self.top, self.n) }
    }

    /// Has the cache keep what was written, which are slots of its pool.
    #[inline(always)]
    pub(super) fn keep(self) {
        let top = self.top.wrapping_add(self.n);
        self.local.hot.top.store(top, Ordering::Relaxed);
    }
}
