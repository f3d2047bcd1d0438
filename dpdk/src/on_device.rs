//! What keeps the objects of a mempool in a device: a raw pool, in memory that the device has mapped.
//!
//! The objects lie in the chunk that DPDK brings, where the device can have it mapped: DPDK's other processes and whoever looks
//! into EAL's segments find them there. The pool is made when the chunk comes, and goes before DPDK takes the chunk back, with
//! the last object that DPDK takes off its list. Else they lie in memory of hwpool's own, for which the mempool's log has the
//! reason; it outlives every object.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hwpool::devices::family::PathError;
use hwpool::dma::Memory;
use hwpool::pool::{
    BackendError, CloseError, MIN_ALIGN, PoolError, RawCloseReport, RawError, RawPool,
};
use libc::{EINVAL, ENOMEM};

use crate::create::{Devices, NotMade, Request};
use crate::log::{self, Level, chain};
use crate::not_done::NotDone;
use crate::objects::Objects;
use crate::segments;

/// Objects whose numbers have room on the stack.
const FEW: usize = 64;

/// Pages up to this size a mempool has for itself: a page of two mempools can't be at its own address for both, and a device
/// reaches all of it. Of larger ones that would be most of the machine's memory.
const MOST_PAGE: usize = 2 << 20;

/// Devices, and the pool on one as soon as it is known where the objects lie. In the process that made it alone.
pub(crate) struct OnDevice {
    /// Null before, and after DPDK took the chunk back. DPDK neither takes nor gives objects while it populates or frees.
    placed: AtomicPtr<Placed>,
    /// Bytes of a chunk that DPDK was asked for, or 0.
    asked: AtomicUsize,
    request: Request,
    devices: Mutex<Devices>,
}

/// A raw pool, and where its objects are.
pub(crate) struct Placed {
    pool: RawPool,
    objects: Objects,
    is_in_chunk: bool,
    /// Set once DPDK populated the mempool with the memory.
    populated: AtomicBool,
}

impl OnDevice {
    /// Opens a device, and makes an empty list if it is known already that the objects lie in memory of our own: on the first
    /// of these devices that has room for it.
    pub(crate) fn new(request: &Request, addresses: &[String]) -> Result<OnDevice, NotMade> {
        let on_device = OnDevice {
            placed: AtomicPtr::default(),
            asked: AtomicUsize::new(0),
            request: request.clone(),
            devices: Mutex::new(Devices::new(addresses)?),
        };
        if let Some(why) = &request.beside {
            on_device.lie_beside(why)?;
        }
        Ok(on_device)
    }

    fn pool(&self, memory: Option<&Arc<Memory>>) -> Result<RawPool, NotMade> {
        let devices = self.devices.lock();
        let mut devices = devices.unwrap_or_else(PoisonError::into_inner);
        devices.pool(&self.request, memory)
    }

    /// Returns the pool, if it is known where it is.
    #[inline]
    pub(crate) fn placed(&self) -> Option<&Placed> {
        // SAFETY: null, or from a box in `place`, which stays until DPDK has the last object off its list or frees the mempool;
        // it does nothing else with it then.
        unsafe { self.placed.load(Ordering::Acquire).as_ref() }
    }

    /// Returns bytes of a chunk in which all objects have room wherever it begins, and the alignment that it should have;
    /// `None` where they lie elsewhere.
    pub(crate) fn room(&self, page: usize) -> Option<(usize, usize)> {
        if self.placed().is_some() || self.request.beside.is_some() {
            return None;
        }
        let align = if page <= MOST_PAGE { page } else { MIN_ALIGN };
        let align = align.max(MIN_ALIGN);
        let all = self.bytes().checked_add(MIN_ALIGN)?;
        let all = all.checked_next_multiple_of(align)?;
        self.asked.store(all, Ordering::Relaxed);
        Some((all, align))
    }

    /// Tells whether a chunk is as DPDK was asked for, so that it may be DPDK that brings it, from wherever.
    pub(crate) fn asked_for(&self, len: usize) -> bool {
        self.asked.load(Ordering::Relaxed) == len
    }

    fn bytes(&self) -> usize {
        (self.request.spacing()).saturating_mul(self.request.objects as usize)
    }

    /// Has the objects lie in a chunk of DPDK's if they can; else in memory of our own, and tells the log why. They lie
    /// nowhere yet.
    pub(crate) fn settle(&self, chunk: *mut c_void, len: usize) -> Result<(), NotMade> {
        match self.lie_in(chunk, len) {
            Ok(()) => Ok(()),
            // Of memory alone: a device that won't have such objects at all, or is gone, won't have them elsewhere.
            Err(why) if why.errno == ENOMEM => self.lie_beside(&why.text),
            Err(why) => Err(why),
        }
    }

    fn lie_in(&self, chunk: *mut c_void, len: usize) -> Result<(), NotMade> {
        let elsewhere = |text| NotMade {
            errno: ENOMEM,
            text,
        };
        let skip = chunk.addr().next_multiple_of(MIN_ALIGN) - chunk.addr();
        let (begin, left) = (chunk.wrapping_byte_add(skip), len.saturating_sub(skip));
        let first = NonNull::new(begin.cast::<u8>()).filter(|_| self.bytes() <= left);
        let first = first.ok_or_else(|| {
            let (objects, needed) = (self.request.objects, self.bytes());
            elsewhere(format!(
                "the {len} bytes at {chunk:?} have no room for {objects} objects side by side, {needed} bytes"
            ))
        })?;
        // SAFETY: DPDK takes the chunk back when it has the last object off its list, or freed the mempool; the pool goes
        // before, or with that.
        let memory = unsafe { segments::memory(&self.request.name, first, self.bytes()) };
        let memory = Arc::new(memory.map_err(elsewhere)?);
        let pool = self.pool(Some(&memory))?;
        self.place(pool, true)
    }

    fn lie_beside(&self, why: &str) -> Result<(), NotMade> {
        let pool = self.pool(None)?;
        self.place(pool, false)?;
        tell_who_cannot_share(&self.request.name, why);
        Ok(())
    }

    fn place(&self, pool: RawPool, is_in_chunk: bool) -> Result<(), NotMade> {
        let first = pool.memory().as_ptr().expose_provenance().get() + self.request.header;
        let objects = Objects::new(first, pool.stride(), pool.objects());
        let too_large = || NotMade {
            errno: EINVAL,
            text: "the pool spans more memory than pointers can be told apart in".into(),
        };
        let placed = Placed {
            objects: objects.ok_or_else(too_large)?,
            pool,
            is_in_chunk,
            // What lies in a chunk that comes DPDK populates by itself.
            populated: AtomicBool::new(is_in_chunk),
        };
        let placed = Box::into_raw(Box::new(placed));
        self.placed.store(placed, Ordering::Release);
        Ok(())
    }

    /// Tells whether the objects lie in a chunk of DPDK's.
    pub(crate) fn is_in_chunk(&self) -> bool {
        self.placed().is_some_and(|placed| placed.is_in_chunk)
    }

    /// Ends the pool, and has the device let go of its memory; what is still out goes with the memory. `None` where there is
    /// none.
    pub(crate) fn leave(&self) -> Option<Result<RawCloseReport, CloseError>> {
        let placed = self.placed.swap(null_mut(), Ordering::AcqRel);
        // SAFETY: from a box in `place`, and taken out just now, by nobody else; DPDK frees or populates, and does nothing else
        // meanwhile.
        let placed = NonNull::new(placed).map(|placed| unsafe { Box::from_raw(placed.as_ptr()) });
        placed.map(|placed| placed.pool.close())
    }

    /// Tells whether an address lies in the memory of the objects.
    pub(crate) fn has(&self, address: *const c_void) -> bool {
        self.placed().is_some_and(|placed| placed.has(address))
    }

    /// Returns the memory of the objects for DPDK to populate the mempool with; `None` where it has been asked for before.
    pub(crate) fn memory(&self) -> Option<&Memory> {
        let placed = self.placed()?;
        let again = placed.populated.swap(true, Ordering::Relaxed);
        (!again).then(|| &**placed.pool.memory())
    }

    /// Returns the objects that lie wholly in a chunk of the memory, `most` of them at most. They are out.
    pub(crate) fn add(&self, chunk: *const c_void, len: usize, most: u32) -> Vec<*mut c_void> {
        let placed = self.placed();
        placed.map_or(Vec::new(), |placed| placed.add(chunk, len, most))
    }

    /// Takes objects in, all or none.
    pub(crate) fn put(&self, pointers: &[*mut c_void]) -> Result<(), NotDone> {
        match self.placed() {
            Some(placed) => placed.put(pointers),
            None => Err(NotDone::Foreign(
                pointers.first().copied().unwrap_or(null_mut()),
            )),
        }
    }

    /// Fills `pointers` with objects, all or none; untouched where it fails.
    pub(crate) fn get(&self, pointers: &mut [*mut c_void]) -> Result<(), NotDone> {
        match self.placed() {
            Some(placed) => placed.get(pointers),
            None => Err(NotDone::Short),
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.placed().map_or(0, |placed| placed.pool.count())
    }
}

impl Drop for OnDevice {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Placed {
    fn has(&self, address: *const c_void) -> bool {
        let memory = self.pool.memory();
        let begin = memory.as_ptr().addr().get();
        (begin..begin + memory.len()).contains(&address.addr())
    }

    fn add(&self, chunk: *const c_void, len: usize, most: u32) -> Vec<*mut c_void> {
        let stride = self.pool.stride();
        let end = chunk.addr() + len;
        let (chunk, memory) = (chunk.addr(), self.pool.memory().as_ptr().addr().get());
        let begin = chunk.saturating_sub(memory);
        let end = (end.saturating_sub(memory) / stride).min(self.pool.objects() as usize);
        let indices = (begin.div_ceil(stride)..end).take(most as usize);
        indices.map(|index| self.pointer(index as u32)).collect()
    }

    /// Returns the address of an object, as DPDK knows it.
    pub(crate) fn pointer(&self, index: u32) -> *mut c_void {
        self.objects.pointer(index)
    }

    /// Takes objects in, all or none.
    fn put(&self, pointers: &[*mut c_void]) -> Result<(), NotDone> {
        if pointers.len() <= FEW {
            self.put_by(pointers, &mut [MaybeUninit::uninit(); FEW])
        } else {
            let mut room = Vec::with_capacity(pointers.len());
            self.put_by(pointers, room.spare_capacity_mut())
        }
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

    /// Fills `pointers` with objects, all or none; untouched where it fails.
    fn get(&self, pointers: &mut [*mut c_void]) -> Result<(), NotDone> {
        let (n, mut rest) = (pointers.len(), pointers);
        let got = self.pool.dequeue_with(n, |numbers| {
            let (here, next) = std::mem::take(&mut rest).split_at_mut(numbers.len());
            self.objects.pointers(numbers, here);
            rest = next;
        });
        match got {
            Ok(true) => Ok(()),
            Ok(false) => Err(NotDone::Short),
            Err(error @ PoolError::Poisoned { .. }) => Err(NotDone::Broken(chain(&error))),
            Err(error) => Err(NotDone::Pool(chain(&error))),
        }
    }

    #[cold]
    fn not_put(&self, error: &RawError) -> NotDone {
        match error {
            RawError::NotOut { index } => NotDone::Twice(self.pointer(*index)),
            RawError::Give(PoolError::Refused { cause }) => {
                if let Some(PathError::Refused { index, .. }) = cause.downcast_ref() {
                    NotDone::Twice(self.pointer(*index))
                } else if let Some(BackendError::Short) = cause.downcast_ref() {
                    NotDone::Full
                } else {
                    NotDone::Pool(chain(error))
                }
            }
            RawError::Give(PoolError::Poisoned { .. }) => NotDone::Broken(chain(error)),
            error => NotDone::Pool(chain(error)),
        }
    }
}

/// Tells the log who can't reach the objects of a device: they look into DPDK's memory, and none of them asks a mempool.
fn tell_who_cannot_share(name: &str, why: &str) {
    let text = format_args!(
        "the objects are in memory of hwpool's own, not in DPDK's segments ({why}): net_memif with zero-copy=yes, virtio_user and secondary processes can't reach them; those need ring, stack or a mempool of DPDK's own"
    );
    log::line(Level::Notice, name, &text);
}
