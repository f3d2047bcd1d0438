//! What keeps the objects of a mempool in a device: a raw pool, in memory of hwpool's that the device has mapped.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

use hwpool::devices::family::PathError;
use hwpool::dma::Memory;
use hwpool::pool::{BackendError, CloseError, PoolError, RawCloseReport, RawError, RawPool};
use libc::EINVAL;

use crate::create::{self, NotMade, Request};
use crate::devices::Share;
use crate::log::chain;
use crate::not_done::NotDone;
use crate::objects::Objects;

/// Objects whose numbers have room on the stack.
const FEW: usize = 64;

/// A raw pool, and where its objects are. In the process that made it alone.
pub(crate) struct OnDevice {
    pool: RawPool,
    objects: Objects,
    /// Set once DPDK populated the mempool with the memory.
    populated: AtomicBool,
    /// Dropped after the pool that lies on it.
    _device: Share,
}

impl OnDevice {
    /// Allocates the memory, and makes an empty list on the first of these devices that has room for it.
    pub(crate) fn new(request: &Request, addresses: &[String]) -> Result<OnDevice, NotMade> {
        let (pool, device) = create::pool(request, addresses)?;
        let first = pool.memory().as_ptr().expose_provenance().get() + request.header;
        let objects = Objects::new(first, pool.stride(), pool.objects());
        let too_large = || NotMade {
            errno: EINVAL,
            text: "the pool spans more memory than pointers can be told apart in".into(),
        };
        Ok(OnDevice {
            objects: objects.ok_or_else(too_large)?,
            pool,
            populated: AtomicBool::new(false),
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

    /// Returns the objects that lie wholly in a chunk of the memory, `most` of them at most. They are out.
    pub(crate) fn add(&self, chunk: *const c_void, len: usize, most: u32) -> Vec<*mut c_void> {
        let stride = self.pool.stride();
        let begin = chunk.addr() - self.pool.memory().as_ptr().addr().get();
        let end = ((begin + len) / stride).min(self.pool.objects() as usize);
        let indices = (begin.div_ceil(stride)..end).take(most as usize);
        indices.map(|index| self.pointer(index as u32)).collect()
    }

    /// Returns the address of an object, as DPDK knows it.
    pub(crate) fn pointer(&self, index: u32) -> *mut c_void {
        self.objects.pointer(index)
    }

    /// Takes objects in, all or none.
    pub(crate) fn put(&self, pointers: &[*mut c_void]) -> Result<(), NotDone> {
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
    pub(crate) fn get(&self, pointers: &mut [*mut c_void]) -> Result<(), NotDone> {
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

    pub(crate) fn count(&self) -> u32 {
        self.pool.count()
    }

    /// Ends it; what is still out goes with the memory.
    pub(crate) fn close(self) -> Result<RawCloseReport, CloseError> {
        self.pool.close()
    }
}
