//! One mempool of DPDK's: what keeps its objects, and what is the same whatever that is.

use std::alloc::Layout;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};

use hwpool::pool::{CloseError, FreeList, Order, RawCloseReport};
use libc::{EINVAL, ENOMEM};

use crate::abi::RteMempool;
use crate::config::{self, Choice};
use crate::create::{NotMade, Request};
use crate::dpdk;
use crate::drain::{Drain, Drained};
use crate::log::{self, Level, chain};
use crate::not_done::NotDone;
use crate::on_device::OnDevice;
use crate::owner;
use crate::places::{Places, Spacing};
use crate::shared::{NotPut, Parts, Shared};
use crate::totals;

/// Objects that are put into a new list at once.
const BATCH: usize = 64;

/// Tells the builds of this library apart, whose processes must not share what they lay out in different ways, as far as
/// version and sizes do; room for the number of forks in the low 16 bits.
const BUILD: u64 = build(
    env!("CARGO_PKG_VERSION").as_bytes(),
    &[
        size_of::<Mempool>(),
        size_of::<Shared>(),
        size_of::<Places>(),
        size_of::<FreeList>(),
    ],
);

/// A mempool's state; shared by all threads that use it. It lies in memory that DPDK's processes have at one address, and
/// each of them can use it, unless its objects are in a device.
pub(crate) struct Mempool {
    /// Whose it is, and of which build of this library; [`stamp`].
    stamp: u64,
    keeper: Keeper,
    /// Whether to count: an atomic operation a call is a good part of what a call costs.
    counts: bool,
    /// The kinds of mistakes that were told. The first of each is, the others are not: nobody wants a line a packet.
    told: AtomicU8,
    drain: Drain,
}

/// What keeps the objects.
#[allow(
    clippy::large_enum_variant,
    reason = "there is one a mempool, in place, where other processes find it"
)]
pub(crate) enum Keeper {
    Shared(Shared),
    /// In the process that made it alone, where this points.
    Device(Box<OnDevice>),
}

impl Mempool {
    /// Returns what `alloc` made; `None` where it did not, where this process can't use it, or where `free` was there
    /// already.
    pub(crate) fn of<'a>(mempool: *const RteMempool) -> Option<&'a Mempool> {
        let own = Mempool::own(mempool).filter(|own| own.is_here());
        // SAFETY: DPDK hands out its own mempool.
        if own.is_none() && !unsafe { (*mempool).pool_data }.is_null() {
            owner::tell_foreign();
        }
        own
    }

    /// As [`of`](Self::of), and tells nobody; what lies on a device may be another process's.
    #[inline(always)]
    pub(crate) fn own<'a>(mempool: *const RteMempool) -> Option<&'a Mempool> {
        // SAFETY: DPDK hands out its own mempool; what is in `pool_data` came from `alloc`, and stays until `free`, during
        // and after which DPDK does not call.
        let own = unsafe { (*mempool).pool_data.cast::<Mempool>().as_ref() }?;
        // A branch, which is foretold: what follows need not wait for the numbers.
        if own.stamp != stamp() {
            return of_another();
        }
        Some(own)
    }

    /// Tells whether this process can use it: what is in a device, the process can that has the device.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self.keeper, Keeper::Shared(_)) || owner::has_devices()
    }

    /// Makes a mempool without objects, in memory that DPDK's processes share.
    pub(crate) fn new(request: &Request) -> Result<NonNull<Mempool>, NotMade> {
        let made = match &request.choice {
            Choice::Software(order) => Mempool::shared(request, *order)?,
            Choice::Devices(addresses) => {
                let on_device = OnDevice::new(request, addresses)?;
                let place = allocate(request, Layout::new::<Mempool>())?.cast();
                owner::become_owner_of_device();
                // SAFETY: the place was allocated for it just now.
                unsafe { place.write(Mempool::on(Keeper::Device(Box::new(on_device)))) };
                place
            }
        };
        totals::made();
        Ok(made)
    }

    fn shared(request: &Request, order: Order) -> Result<NonNull<Mempool>, NotMade> {
        let cannot_be = |text: &str| NotMade {
            errno: EINVAL,
            text: text.into(),
        };
        if request.objects == 0 {
            return Err(cannot_be("a mempool of zero objects has none to give"));
        }
        let spacing = Spacing::new(request.stride, request.page);
        let spacing = spacing.ok_or_else(|| cannot_be("objects of 128 GiB are too large"))?;
        let parts = Parts::new(Layout::new::<Mempool>(), order, request.objects);
        let parts = parts.map_err(|_| cannot_be("there are too many objects"))?;
        let block = allocate(request, parts.block)?;
        let remembers = config::is_on(config::CHECKED);
        // SAFETY: allocated after this layout just now, zeroed, and not freed before `free`.
        let shared = unsafe { Shared::new(block, &parts, spacing, request.header, remembers) };
        let place = block.cast();
        // SAFETY: the block begins with room for it.
        unsafe { place.write(Mempool::on(Keeper::Shared(shared))) };
        Ok(place)
    }

    fn on(keeper: Keeper) -> Mempool {
        Mempool {
            stamp: stamp(),
            keeper,
            counts: config::is_on(config::STATS),
            told: AtomicU8::new(0),
            drain: Drain::default(),
        }
    }

    pub(crate) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Shows the objects of a chunk to `show`, `most` of them, and puts them into the list. Returns how many there were.
    pub(crate) fn populate(
        &self,
        chunk: *mut c_void,
        len: usize,
        most: u32,
        is_empty: bool,
        show: impl FnMut(*mut c_void),
    ) -> Result<u32, NotDone> {
        let objects = match &self.keeper {
            Keeper::Shared(shared) => {
                if is_empty {
                    shared.clear();
                    self.drain.none_shown();
                }
                let added = shared.add(chunk, len, most);
                added.map_err(|why| NotDone::Chunk {
                    chunk,
                    len,
                    why: Some(why),
                })?
            }
            Keeper::Device(device) => device.add(chunk, len, most),
        };
        objects.iter().copied().for_each(show);
        for batch in objects.chunks(BATCH) {
            // SAFETY: nothing is said.
            if !unsafe { self.put_quickly::<false>(batch) } {
                self.put(batch)?;
            }
        }
        self.drain.shown(objects.len() as u32);
        Ok(objects.len() as u32)
    }

    /// Takes objects in, all or none.
    pub(crate) fn put(&self, pointers: &[*mut c_void]) -> Result<(), NotDone> {
        let put = match &self.keeper {
            Keeper::Shared(shared) => shared.put(pointers).map_err(|why| match why {
                NotPut::Foreign(pointer) => NotDone::Foreign(pointer),
                NotPut::Twice(pointer) => NotDone::Twice(pointer),
                NotPut::Full => NotDone::Full,
            }),
            Keeper::Device(device) => device.put(pointers),
        };
        if self.counts {
            totals::put(pointers.len(), put.is_ok());
        }
        put
    }

    /// Tells whether the list is a ring in memory.
    #[inline(always)]
    pub(crate) fn is_ring(&self) -> bool {
        matches!(&self.keeper, Keeper::Shared(shared) if shared.is_ring())
    }

    /// Returns the list if it is a ring in memory, and nobody counts what it does.
    #[inline(always)]
    pub(crate) fn uncounted_ring(&self) -> Option<&Shared> {
        match &self.keeper {
            Keeper::Shared(shared) if shared.is_bare_ring() && !self.counts => Some(shared),
            _ => None,
        }
    }

    /// As [`put`](Self::put), where that is a copy in memory; false where it is more, or did not work: nothing was done then.
    ///
    /// # Safety
    /// The processor has AVX2, if that is said.
    #[inline(always)]
    pub(crate) unsafe fn put_quickly<const AVX2: bool>(&self, pointers: &[*mut c_void]) -> bool {
        let Keeper::Shared(shared) = &self.keeper else {
            return false;
        };
        // SAFETY: the caller's promise.
        let done = unsafe { shared.put_quickly::<AVX2>(pointers) };
        if done && self.counts {
            totals::put(pointers.len(), true);
        }
        done
    }

    /// Fills `pointers` with objects, all or none; untouched where it fails.
    pub(crate) fn get(&self, pointers: &mut [*mut c_void]) -> Result<(), NotDone> {
        let n = pointers.len();
        let got = match &self.keeper {
            Keeper::Shared(shared) => match shared.get(pointers) {
                true => Ok(()),
                false => Err(NotDone::Short),
            },
            Keeper::Device(device) => device.get(pointers),
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
        let Keeper::Shared(shared) = &self.keeper else {
            return false;
        };
        let done = shared.get_quickly(pointers);
        if done && self.counts {
            totals::got(n, true);
        }
        done
    }

    pub(crate) fn count(&self) -> u32 {
        match &self.keeper {
            Keeper::Shared(shared) => shared.count(),
            Keeper::Device(device) => device.count(),
        }
    }

    /// Tells the log of a mistake in a mempool of this name, once for each kind.
    pub(crate) fn complain(&self, name: &str, what: &str, why: &NotDone) {
        if !self.is_told(why.kind()) {
            log::line(Level::Error, name, &format_args!("{what}: {why}"));
        }
    }

    /// Tells whether a kind of mistake was told, and has it told from now on.
    fn is_told(&self, kind: u8) -> bool {
        self.told.fetch_or(kind, Ordering::Relaxed) & kind != 0
    }

    /// Tells whether it was told that a device broke.
    fn is_broken(&self) -> bool {
        self.told.load(Ordering::Relaxed) & NotDone::BROKEN != 0
    }

    /// Returns what remembers the gets that failed while DPDK frees the mempool.
    pub(crate) fn drain(&self) -> &Drain {
        &self.drain
    }

    /// Ends a mempool of this name, of which DPDK drained so many objects while `cached` lay in its caches; what is still out
    /// goes with the memory.
    ///
    /// # Safety
    /// It came from [`new`](Self::new), in this process where it is on a device, and nobody uses it any more.
    pub(crate) unsafe fn free(
        this: NonNull<Mempool>,
        name: &str,
        drained: Option<Drained>,
        cached: u32,
    ) {
        totals::freed();
        // SAFETY: the caller's promise; what is read out is not used in its place again.
        let state = unsafe { this.read() };
        // SAFETY: as above; it begins the block that was allocated.
        unsafe { dpdk::free(this.cast()) };
        if let Some(drained) = drained {
            if state.counts {
                totals::drained(drained);
            }
            // What broke keeps what it has.
            if !state.is_broken() {
                tell_out(name, drained.missing.saturating_sub(cached));
            }
        }
        if let Keeper::Device(device) = &state.keeper {
            state.leave(device, name);
        }
    }

    /// Ends the pool on a device of a mempool of this name, if there is one, and tells the log what is wrong with it.
    pub(crate) fn leave(&self, device: &OnDevice, name: &str) {
        if let Some(closed) = device.leave() {
            tell_closed(closed, name, self.is_broken());
        }
    }
}

fn tell_closed(closed: Result<RawCloseReport, CloseError>, name: &str, is_broken: bool) {
    match closed {
        // What broke it also keeps it from being emptied.
        Err(_) if is_broken => {}
        Ok(report) if report.invented == 0 => {}
        Ok(report) => {
            let text = format!(
                "{} objects came out of the backend that were not in it",
                report.invented
            );
            log::line(Level::Error, name, &text);
        }
        Err(error) => log::line(Level::Error, name, &chain(&error)),
    }
}

/// Allocates a block of zeros of DPDK's.
fn allocate(request: &Request, layout: Layout) -> Result<NonNull<u8>, NotMade> {
    dpdk::allocate(layout, request.socket).ok_or_else(|| NotMade {
        errno: ENOMEM,
        text: format!(
            "DPDK has no {} bytes left for the list of the mempool's objects: give it more memory (-m)",
            layout.size()
        ),
    })
}

/// Tells of objects that were out when their mempool was freed: whoever has one has a pointer to nothing.
fn tell_out(name: &str, out: u32) {
    if out > 0 {
        totals::still_out(out);
        let text = format_args!("{out} objects were still out when the mempool was freed");
        log::line(Level::Notice, name, &text);
    }
}

/// Returns what mempools of this process and those that share them with it are stamped with.
#[inline(always)]
fn stamp() -> u64 {
    BUILD.wrapping_add(owner::forks())
}

/// Hashes a version and a size (FNV-1a), and leaves the low 16 bits free.
const fn build(version: &[u8], sizes: &[usize]) -> u64 {
    let (mut hash, mut at) = (0xcbf2_9ce4_8422_2325, 0);
    while at < sizes.len() {
        hash = (hash ^ sizes[at] as u64).wrapping_mul(0x100_0000_01b3);
        at += 1;
    }
    at = 0;
    while at < version.len() {
        hash = (hash ^ version[at] as u64).wrapping_mul(0x100_0000_01b3);
        at += 1;
    }
    hash << 16 | 1
}

#[cold]
#[inline(never)]
fn of_another<'a>() -> Option<&'a Mempool> {
    None
}
