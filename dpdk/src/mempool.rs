//! One mempool of DPDK's: a raw pool, and where its objects are.

use std::ffi::c_void;
use std::fmt;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use hwpool::devices::family::PathError;
use hwpool::dma::Memory;
use hwpool::pool::{BackendError, PoolError, RawError, RawPool};
use libc::EINVAL;

use crate::abi::RteMempool;
use crate::config;
use crate::create::{self, NotMade, Request};
use crate::devices::Share;
use crate::drain::{Drain, Drained};
use crate::log::{self, Level, chain};
use crate::objects::Objects;
use crate::owner;
use crate::totals;

/// Objects that are put into a new list at once.
const BATCH: usize = 64;

/// Most objects that go the quick way: more than a cache of DPDK's sends at once.
const QUICK: usize = 1024;

/// Why an operation did nothing.
#[derive(Debug)]
pub(crate) enum NotDone {
    /// Not as many objects as asked for: the everyday answer of an empty pool.
    Short,
    /// A pointer at which no object of this mempool begins.
    Foreign(*mut c_void),
    /// Memory that the application brought from outside of DPDK, in which objects can't lie.
    Chunk {
        /// Where it begins.
        chunk: *mut c_void,
        /// Its length in bytes.
        len: usize,
    },
    /// What the pool said.
    Pool(String),
    /// The pool is poisoned: its device is gone, or said what can't be.
    Broken(String),
}

impl NotDone {
    const BROKEN: u8 = 16;

    /// Returns a bit that other kinds don't have.
    fn kind(&self) -> u8 {
        match self {
            NotDone::Short => 1,
            NotDone::Foreign(_) => 2,
            NotDone::Chunk { .. } => 4,
            NotDone::Pool(_) => 8,
            NotDone::Broken(_) => NotDone::BROKEN,
        }
    }
}

impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotDone::Short => f.write_str("there are fewer objects"),
            NotDone::Foreign(pointer) => write!(
                f,
                "{pointer:?} is no object of this mempool; nothing was taken"
            ),
            NotDone::Chunk { chunk, len } => write!(
                f,
                "the objects can't lie in the {len} bytes at {chunk:?}, which DPDK does not know: hwpool has them in memory that it maps for devices itself; use rte_mempool_populate_default"
            ),
            NotDone::Pool(text) | NotDone::Broken(text) => f.write_str(text),
        }
    }
}

/// A mempool's state; shared by all threads that use it.
pub(crate) struct Mempool {
    pool: RawPool,
    objects: Objects,
    /// The process that made it; [`owner::number`].
    owner: u32,
    /// Set once DPDK populated the mempool with the memory.
    populated: AtomicBool,
    /// Whether to count: an atomic operation a call is a good part of what a call costs.
    counts: bool,
    /// The kinds of mistakes that were told. The first of each is, the others are not: nobody wants a line a packet.
    told: AtomicU8,
    drain: Drain,
    /// Dropped after the pool that lies on it.
    _device: Option<Share>,
}

impl Mempool {
    /// Returns what `alloc` made; `None` where it did not, in another process, or where `free` was there already.
    pub(crate) fn of<'a>(mempool: *const RteMempool) -> Option<&'a Mempool> {
        let own = Mempool::own(mempool);
        // SAFETY: DPDK hands out its own mempool.
        if own.is_none() && !unsafe { (*mempool).pool_data }.is_null() {
            owner::tell_foreign();
        }
        own
    }

    /// As [`of`](Self::of), and tells nobody.
    #[inline(always)]
    pub(crate) fn own<'a>(mempool: *const RteMempool) -> Option<&'a Mempool> {
        let owner = owner::current();
        if owner == 0 {
            return None;
        }
        // SAFETY: DPDK hands out its own mempool; what is in `pool_data` came from `alloc`, and stays until `free`, during
        // and after which DPDK does not call.
        let own = unsafe { (*mempool).pool_data.cast::<Mempool>().as_ref() }?;
        // A branch, which is foretold: what follows need not wait for the numbers.
        if own.owner != owner {
            return of_another();
        }
        Some(own)
    }

    /// Allocates the memory, opens the device and makes an empty list.
    pub(crate) fn new(request: &Request) -> Result<Mempool, NotMade> {
        let (pool, device) = create::pool(request)?;
        let first = pool.memory().as_ptr().expose_provenance().get() + request.header;
        let objects = Objects::new(first, pool.stride(), pool.objects());
        let too_large = || NotMade {
            errno: EINVAL,
            text: "the pool spans more memory than pointers can be told apart in".into(),
        };
        let objects = objects.ok_or_else(too_large)?;
        totals::made();
        Ok(Mempool {
            objects,
            pool,
            owner: owner::number(),
            populated: AtomicBool::new(false),
            counts: config::is_on(config::STATS),
            told: AtomicU8::new(0),
            drain: Drain::default(),
            _device: device,
        })
    }

    /// Tells whether an address lies in the memory of the objects.
    pub(crate) fn has(&self, address: *const c_void) -> bool {
        let memory = self.pool.memory();
        let begin = memory.as_ptr().addr().get();
        (begin..begin + memory.len()).contains(&address.addr())
    }

    /// Returns the memory of the objects for DPDK to populate the mempool with; `None` where it has been asked for before.
    pub(crate) fn memory(&self) -> Option<&Memory> {
        let again = self.populated.swap(true, Ordering::Relaxed);
        (!again).then(|| &**self.pool.memory())
    }

    /// Shows the objects that lie wholly in a chunk of the memory to `show`, `most` of them, and puts them into the list.
    ///
    /// Returns how many there were.
    pub(crate) fn populate(
        &self,
        chunk: *const c_void,
        len: usize,
        most: u32,
        show: impl FnMut(*mut c_void),
    ) -> Result<u32, NotDone> {
        let stride = self.pool.stride();
        let begin = chunk.addr() - self.pool.memory().as_ptr().addr().get();
        let end = ((begin + len) / stride).min(self.pool.objects() as usize);
        let indices = (begin.div_ceil(stride)..end).take(most as usize);
        let objects: Vec<_> = indices.map(|index| self.pointer(index as u32)).collect();
        objects.iter().copied().for_each(show);
        for batch in objects.chunks(BATCH) {
            self.put(batch)?;
        }
        self.drain.shown(objects.len() as u32);
        Ok(objects.len() as u32)
    }

    /// Returns the address of an object, as DPDK knows it.
    pub(crate) fn pointer(&self, index: u32) -> *mut c_void {
        self.objects.pointer(index)
    }

    /// Takes objects in, all or none.
    pub(crate) fn put(&self, pointers: &[*mut c_void]) -> Result<(), NotDone> {
        let put = if pointers.len() <= BATCH {
            self.put_by(pointers, &mut [MaybeUninit::uninit(); BATCH])
        } else {
            self.put_by(
                pointers,
                Vec::with_capacity(pointers.len()).spare_capacity_mut(),
            )
        };
        if self.counts {
            totals::put(pointers.len(), put.is_ok());
        }
        put
    }

    /// Takes objects in by their numbers, for which there is room.
    fn put_by(
        &self,
        pointers: &[*mut c_void],
        room: &mut [MaybeUninit<u32>],
    ) -> Result<(), NotDone> {
        match self.objects.numbers(pointers, room) {
            Some(numbers) => {
                let put = self.pool.enqueue(numbers);
                put.map_err(|error| self.not_put(&error))
            }
            None => Err(NotDone::Foreign(self.objects.first_wrong(pointers))),
        }
    }

    /// Tells whether the list is a ring in memory, and nobody counts what it does.
    #[inline(always)]
    pub(crate) fn is_uncounted_ring(&self) -> bool {
        self.pool.is_ring() && !self.counts
    }

    /// As [`put`](Self::put), where that is a copy in memory; false where it is more, or did not work: nothing was done then.
    #[inline(always)]
    pub(crate) fn put_quickly(&self, pointers: &[*mut c_void]) -> bool {
        let mut room = [MaybeUninit::uninit(); QUICK];
        if pointers.len() > QUICK {
            return false;
        }
        let done = match self.objects.numbers(pointers, &mut room) {
            // SAFETY: objects have these numbers, of which the pool has as many.
            Some(numbers) => unsafe { self.pool.enqueue_quickly(numbers) },
            None => false,
        };
        if done && self.counts {
            totals::put(pointers.len(), true);
        }
        done
    }

    /// Fills `pointers` with objects, all or none; untouched where it fails.
    pub(crate) fn get(&self, pointers: &mut [*mut c_void]) -> Result<(), NotDone> {
        let n = pointers.len();
        let got = match self.pool.dequeue_with(n, self.pointers_to(pointers)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(NotDone::Short),
            Err(error @ PoolError::Poisoned { .. }) => Err(NotDone::Broken(chain(&error))),
            Err(error) => Err(NotDone::Pool(chain(&error))),
        };
        if self.counts {
            totals::got(n, got.is_ok());
        }
        got
    }

    /// As [`get`](Self::get), where that is a copy in memory; false where it is more, or did not work: nothing was done then.
    #[inline(always)]
    pub(crate) fn get_quickly(&self, pointers: &mut [*mut c_void]) -> bool {
        let n = pointers.len();
        let done = self.pool.dequeue_quickly(n, self.pointers_to(pointers));
        if done && self.counts {
            totals::got(n, true);
        }
        done
    }

    /// Returns what writes the pointers of objects, run by run.
    #[inline(always)]
    fn pointers_to<'a>(&'a self, pointers: &'a mut [*mut c_void]) -> impl FnMut(&[u32]) + 'a {
        let mut rest = pointers;
        move |numbers| {
            let n = numbers.len().min(rest.len()); // no more than there are, so that nothing here can panic
            let (here, next) = std::mem::take(&mut rest).split_at_mut(n);
            self.objects.pointers(numbers, here);
            rest = next;
        }
    }

    #[cold]
    fn not_put(&self, error: &RawError) -> NotDone {
        match error {
            RawError::NotOut { index } => self.freed_twice(*index),
            RawError::Give(PoolError::Refused { cause }) => {
                if let Some(PathError::Refused { index, .. }) = cause.downcast_ref() {
                    self.freed_twice(*index)
                } else if let Some(BackendError::Short) = cause.downcast_ref() {
                    let text = "more objects are freed than there are: one was freed twice";
                    NotDone::Pool(text.into())
                } else {
                    NotDone::Pool(chain(error))
                }
            }
            RawError::Give(PoolError::Poisoned { .. }) => NotDone::Broken(chain(error)),
            error => NotDone::Pool(chain(error)),
        }
    }

    fn freed_twice(&self, index: u32) -> NotDone {
        NotDone::Pool(format!("{:?} was freed twice", self.pointer(index)))
    }

    pub(crate) fn count(&self) -> u32 {
        self.pool.count()
    }

    /// Tells the log of a mistake, once for each kind.
    pub(crate) fn complain(&self, what: &str, why: &NotDone) {
        if !self.is_told(why.kind()) {
            let text = format_args!("{what}: {why}");
            log::line(Level::Error, self.pool.name(), &text);
        }
    }

    /// Tells the log that the objects are not in memory that was offered for them.
    pub(crate) fn note_other_memory(&self, chunk: *mut c_void, len: usize) {
        let text = format_args!(
            "populate: the objects are in memory that hwpool maps for devices itself, not in the {len} bytes at {chunk:?}"
        );
        log::line(Level::Notice, self.pool.name(), &text);
    }

    /// Tells whether a kind of mistake was told, and has it told from now on.
    fn is_told(&self, kind: u8) -> bool {
        self.told.fetch_or(kind, Ordering::Relaxed) & kind != 0
    }

    /// Returns what remembers the gets that failed while DPDK frees the mempool.
    pub(crate) fn drain(&self) -> &Drain {
        &self.drain
    }

    /// Ends the mempool, of which DPDK drained so many objects while `cached` lay in its caches; what is still out goes with
    /// the memory.
    pub(crate) fn free(self, drained: Option<Drained>, cached: u32) {
        totals::freed();
        let name = self.pool.name().to_string();
        let is_broken = self.is_told(NotDone::BROKEN);
        if let Some(drained) = drained {
            if self.counts {
                totals::drained(drained);
            }
            // What broke keeps what it has.
            if !is_broken {
                tell_out(&name, drained.missing.saturating_sub(cached));
            }
        }
        match self.pool.close() {
            // What broke it also keeps it from being emptied.
            Err(_) if is_broken => {}
            Ok(report) if report.invented == 0 => {}
            Ok(report) => {
                let text = format!(
                    "{} objects came out of the backend that were not in it",
                    report.invented
                );
                log::line(Level::Error, &name, &text);
            }
            Err(error) => log::line(Level::Error, &name, &chain(&error)),
        }
    }
}

/// Tells of objects that were out when their mempool was freed: whoever has one has a pointer to nothing.
fn tell_out(name: &str, out: u32) {
    if out > 0 {
        totals::still_out(out);
        let text = format_args!("{out} objects were still out when the mempool was freed");
        log::line(Level::Notice, name, &text);
    }
}

#[cold]
#[inline(never)]
fn of_another<'a>() -> Option<&'a Mempool> {
    None
}
