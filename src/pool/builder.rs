//! [`PoolBuilder`]: what a new pool shall be, checked before anything is made.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock};

use hwpool_devices::bus::Iova;

use crate::device::Device;
use crate::dma::{Memory, MemoryRequest, Pages};
use crate::fork::Wiped;
use crate::often::Often;
use crate::pool::backend::{Backend, BackendError, BackendRequest};
use crate::pool::error::CreateError;
use crate::pool::guard::{Guard, Parts};
use crate::pool::handle::Pool;
use crate::pool::ledger::Ledger;
use crate::pool::lifeline::Lifeline;
use crate::pool::limits::{MAX_ALIGN, MAX_CACHE, MIN_ALIGN};
use crate::pool::raw::RawPool;
use crate::pool::registry::{self, Maker};
use crate::pool::roster::Roster;
use crate::pool::shared::{Direct, Shared};
use crate::pool::slot::{MAX_OBJECTS, Tag};
use crate::pool::store::Store;

/// Cache of a worker where none was asked for, in a pool that is large enough.
const DEFAULT_CACHE: usize = 512;

/// Objects that a new pool gives its backend at a time.
const FILL: usize = 1024;

/// What a new pool shall be. Objects and size must be set; the rest has defaults.
#[derive(Clone)]
#[must_use = "a builder makes nothing until build is called"]
pub struct PoolBuilder {
    name: String,
    objects: u32,
    size: usize,
    align: usize,
    spread: bool,
    cache: Option<usize>,
    backend: String,
    pages: Option<Pages>,
    node: Option<u32>,
    device: Option<Device>,
    checked: bool,
    iova_is_address: bool,
    capacity: Option<u32>,
}

impl PoolBuilder {
    pub(super) fn new(name: &str) -> PoolBuilder {
        PoolBuilder {
            name: name.to_owned(),
            objects: 0,
            size: 0,
            align: MIN_ALIGN,
            spread: false,
            cache: None,
            backend: "ring".to_owned(),
            pages: None,
            node: None,
            device: None,
            checked: false,
            iova_is_address: false,
            capacity: None,
        }
    }

    /// Sets the number of objects, 1 to [`MAX_OBJECTS`].
    pub fn objects(self, objects: u32) -> PoolBuilder {
        PoolBuilder { objects, ..self }
    }

    /// Sets the bytes of an object, from 1.
    pub fn size(self, bytes: usize) -> PoolBuilder {
        PoolBuilder {
            size: bytes,
            ..self
        }
    }

    /// Sets the alignment of objects in bytes, a power of two from [`MIN_ALIGN`], which is the default, to
    /// [`MAX_ALIGN`].
    pub fn align(self, bytes: usize) -> PoolBuilder {
        PoolBuilder {
            align: bytes,
            ..self
        }
    }

    /// Has objects begin an odd number of alignments apart, one alignment more an object where their size makes it even.
    ///
    /// Objects that begin a power of two apart have their first lines in few sets of the processor's caches, where they
    /// drive each other out: 2048 bytes apart, a first-level cache of 32 KiB and 8 ways holds 16 of them. Writing to the
    /// beginnings of 32 objects took 0.62 to 0.82 of the time with this, to those of 512 objects 0.76 to 1.07 (Zen 4). Off
    /// where it is not set, because 64 bytes of 2048 are a 32nd of the memory.
    pub fn spread(self, on: bool) -> PoolBuilder {
        PoolBuilder { spread: on, ..self }
    }

    /// Sets how many objects each worker may cache; 0 for none.
    ///
    /// Where it is not set, it is 512 or an eighth of the objects, whichever is less: what lies in one worker's cache
    /// is out of the others' reach.
    pub fn cache(self, objects: usize) -> PoolBuilder {
        PoolBuilder {
            cache: Some(objects),
            ..self
        }
    }

    /// Sets the backend by name; `ring` where it is not set. See [`backends`](crate::pool::backends).
    pub fn backend(self, name: &str) -> PoolBuilder {
        PoolBuilder {
            backend: name.to_owned(),
            ..self
        }
    }

    /// Sets which pages the memory is made of; where it is not set, those that its device can have mapped, or the largest
    /// to be had.
    pub fn pages(self, pages: Pages) -> PoolBuilder {
        PoolBuilder {
            pages: Some(pages),
            ..self
        }
    }

    /// Sets the NUMA node of the memory; the device's where it is not set.
    pub fn node(self, node: impl Into<Option<u32>>) -> PoolBuilder {
        PoolBuilder {
            node: node.into(),
            ..self
        }
    }

    /// Sets the device that a hardware backend keeps the free list in; shared by any number of pools.
    pub fn device(self, device: &Device) -> PoolBuilder {
        PoolBuilder {
            device: Some(device.clone()),
            ..self
        }
    }

    /// Starts the pool in checked mode, which knows of each object from the beginning then; see [`Pool::set_checked`].
    pub fn checked(self, on: bool) -> PoolBuilder {
        PoolBuilder {
            checked: on,
            ..self
        }
    }

    /// Has the device find the memory at the addresses that it has in this process, for those who hand addresses on and
    /// have no room for two. Fails where the IOMMU has something else there.
    pub fn iova_is_address(self, on: bool) -> PoolBuilder {
        PoolBuilder {
            iova_is_address: on,
            ..self
        }
    }

    /// Sets how many objects `ring` and `stack` hold at most in a raw pool: fewer than all where some are never used, so that
    /// one too many still shows that an object was freed twice. All where it is not set, at least 1 and at most all in any
    /// case. Backends that remember what is out need it not and don't look at it, nor does [`build`](Self::build).
    pub fn capacity(self, objects: u32) -> PoolBuilder {
        PoolBuilder {
            capacity: Some(objects),
            ..self
        }
    }

    /// Makes the pool: memory, backend, and all objects inside.
    ///
    /// # Errors
    /// Where what was asked for makes no sense, or can't be had; nothing is left behind then.
    pub fn build(mut self) -> Result<Pool, CreateError> {
        let stride = self.check()?;
        let cache = self.check_cache()?;
        let maker = self.find_maker(stride)?;
        let tag = Tag::acquire().ok_or_else(|| CreateError::TooManyPools {
            pool: self.name.clone(),
        })?;
        let memory = self.allocate(stride)?;
        self.check_memory(&memory, stride)?;
        let store = self.make_store(&maker, &memory, stride, self.objects)?;
        let iova = self.check_iova(&store, stride)?;
        let ledger = (!maker.trusted).then(|| Ledger::new(self.objects));
        let guard = self.guard(store, tag.word(), ledger)?;
        guard
            .fill(FILL)
            .map_err(|(first, error)| self.not_filled(first, error))?;
        let pool = Pool::from_shared(Shared {
            guard,
            base: memory.as_ptr(),
            stride,
            cache,
            iova,
            tag,
            memory,
            lifeline: Lifeline::new(),
            epoch: AtomicU32::new(0),
            table: OnceLock::new(),
            roster: Mutex::new(Roster::new()),
            parked: Mutex::default(),
            direct: Direct::default(),
            kept: Often::default(),
            strays: Often::default(),
        });
        if self.checked {
            pool.set_checked(true);
            pool.shared().note_all_free();
        }
        Ok(pool)
    }

    /// Makes a raw pool, for callers who have indices and no ownership: memory and backend, and all objects *out*. The
    /// caller gives them in one by one, as they become usable. Has no caches; in checked mode it remembers what is out.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_raw(self) -> Result<RawPool, CreateError> {
        self.build_raw_with(PoolBuilder::allocate)
    }

    /// Makes a raw pool as [`build_raw`](Self::build_raw), whose objects lie in memory that is there already, object 0 first.
    /// Its pages and its node are as they are. The pool touches no byte of it, so others may, and pools may overlap.
    ///
    /// # Errors
    /// As `build_raw`; and where the memory is too small, or does not begin at a multiple of the alignment.
    pub fn build_raw_in(self, memory: &Arc<Memory>) -> Result<RawPool, CreateError> {
        self.build_raw_with(|_, _| Ok(Arc::clone(memory)))
    }

    fn build_raw_with(
        mut self,
        memory: impl FnOnce(&PoolBuilder, usize) -> Result<Arc<Memory>, CreateError>,
    ) -> Result<RawPool, CreateError> {
        let stride = self.check()?;
        let maker = self.find_maker(stride)?;
        let memory = memory(&self, stride)?;
        self.check_memory(&memory, stride)?;
        let capacity = self.capacity.unwrap_or(self.objects).clamp(1, self.objects);
        let store = self.make_store(&maker, &memory, stride, capacity)?;
        self.check_iova(&store, stride)?;
        let remembers = self.checked || !maker.trusted;
        let ledger = remembers.then(|| Ledger::all_claimed(self.objects));
        Ok(RawPool {
            guard: self.guard(store, 0, ledger)?,
            stride,
            memory,
        })
    }

    /// Finds what makes the backend. A device that it lies in is the pool's from then on, and is asked whether it can hold
    /// the objects before any memory is taken for them.
    fn find_maker(&mut self, stride: usize) -> Result<Maker, CreateError> {
        let maker = registry::find(&self.name, &self.backend, self.device.as_ref())?;
        if let Some(device) = &maker.device {
            let checked = device.limits().check(self.objects, stride as u64);
            checked.map_err(|cause| CreateError::Backend {
                pool: self.name.clone(),
                backend: self.backend.clone(),
                cause: cause.into(),
            })?;
            self.device = Some(device.clone());
        }
        Ok(maker)
    }

    fn guard(
        &self,
        store: Store,
        tag_word: u32,
        ledger: Option<Ledger>,
    ) -> Result<Guard, CreateError> {
        let size = Wiped::new(AtomicUsize::new(self.size));
        Ok(Guard::new(Parts {
            pool: self.name.clone(),
            backend: self.backend.clone(),
            objects: self.objects,
            tag_word,
            store,
            ledger,
            size: size.map_err(|cause| CreateError::ForkMark {
                pool: self.name.clone(),
                cause,
            })?,
        }))
    }

    /// Checks the numbers and returns the stride.
    fn check(&self) -> Result<usize, CreateError> {
        let pool = || self.name.clone();
        if self.name.is_empty() {
            return Err(CreateError::EmptyName);
        }
        if self.objects == 0 {
            return Err(CreateError::NoObjects { pool: pool() });
        }
        if self.objects > MAX_OBJECTS {
            return Err(CreateError::TooManyObjects {
                pool: pool(),
                objects: self.objects,
            });
        }
        if self.size == 0 {
            return Err(CreateError::NoSize { pool: pool() });
        }
        if !self.align.is_power_of_two() || !(MIN_ALIGN..=MAX_ALIGN).contains(&self.align) {
            return Err(CreateError::BadAlign {
                pool: pool(),
                align: self.align,
            });
        }
        self.stride().ok_or_else(|| CreateError::TooLarge {
            pool: pool(),
            objects: self.objects,
            size: self.size,
        })
    }

    /// Returns the bytes from one object to the next; `None` where all of them fit no address space.
    fn stride(&self) -> Option<usize> {
        let stride = self.size.checked_next_multiple_of(self.align)?;
        let is_even = (stride / self.align).is_multiple_of(2);
        let stride = match self.spread && is_even {
            true => stride.checked_add(self.align)?,
            false => stride,
        };
        // Larger than asked for, on a device that takes nothing else.
        let is_power = self
            .device
            .as_ref()
            .is_some_and(|device| device.limits().power_of_two);
        let stride = match is_power {
            true => stride.checked_next_power_of_two()?,
            false => stride,
        };
        let len = stride.checked_mul(self.objects as usize)?;
        (len <= isize::MAX as usize).then_some(stride)
    }

    fn check_cache(&self) -> Result<usize, CreateError> {
        let limit = MAX_CACHE.min(self.objects as usize);
        match self.cache {
            None => Ok(DEFAULT_CACHE.min(self.objects as usize / 8)),
            Some(cache) if cache <= limit => Ok(cache),
            Some(cache) => Err(CreateError::CacheTooLarge {
                pool: self.name.clone(),
                cache,
                limit,
            }),
        }
    }

    /// Returns the node that was set, else the device's: it reads and writes the memory all the time.
    fn memory_node(&self) -> Option<u32> {
        self.node
            .or_else(|| self.device.as_ref().and_then(Device::node))
    }

    fn memory_pages(&self) -> Pages {
        let of_device = || self.device.as_ref().map(Device::pages);
        self.pages.or_else(of_device).unwrap_or_default()
    }

    fn allocate(&self, stride: usize) -> Result<Arc<Memory>, CreateError> {
        let request = MemoryRequest::new(stride * self.objects as usize)
            .pages(self.memory_pages())
            .node(self.memory_node())
            .label(&self.name);
        let memory = Memory::allocate(&request).map_err(|cause| CreateError::Memory {
            pool: self.name.clone(),
            cause,
        })?;
        Ok(Arc::new(memory))
    }

    /// The pool's arithmetic rests on it.
    fn check_memory(&self, memory: &Memory, stride: usize) -> Result<(), CreateError> {
        let address = memory.as_ptr().addr().get();
        if !address.is_multiple_of(self.align) {
            return Err(CreateError::MemoryMisaligned {
                pool: self.name.clone(),
                address,
                align: self.align,
            });
        }
        let needed = stride * self.objects as usize;
        if memory.len() < needed {
            return Err(CreateError::MemoryTooSmall {
                pool: self.name.clone(),
                len: memory.len(),
                needed,
            });
        }
        Ok(())
    }

    fn make_store(
        &self,
        maker: &Maker,
        memory: &Arc<Memory>,
        stride: usize,
        capacity: u32,
    ) -> Result<Store, CreateError> {
        let request = BackendRequest {
            pool: &self.name,
            objects: self.objects,
            capacity,
            stride,
            size: self.size,
            align: self.align,
            memory,
            iova: self
                .iova_is_address
                .then(|| Iova(memory.as_ptr().addr().get() as u64)),
            node: self.memory_node(),
            device: self.device.clone(),
        };
        (maker.make)(&request).map_err(|cause| CreateError::Backend {
            pool: self.name.clone(),
            backend: self.backend.clone(),
            cause,
        })
    }

    fn check_iova(&self, store: &Store, stride: usize) -> Result<Option<Iova>, CreateError> {
        let Some(iova) = store.iova() else {
            return Ok(None);
        };
        let len = stride as u64 * u64::from(self.objects);
        if iova.0 % self.align as u64 != 0 || iova.checked_add(len).is_none() {
            return Err(CreateError::BadIova {
                pool: self.name.clone(),
                iova: iova.0,
                align: self.align,
            });
        }
        Ok(Some(iova))
    }

    fn not_filled(&self, first: u32, error: BackendError) -> CreateError {
        CreateError::Fill {
            pool: self.name.clone(),
            backend: self.backend.clone(),
            first,
            cause: error.into(),
        }
    }
}

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("name", &self.name)
            .field("objects", &self.objects)
            .field("size", &self.size)
            .field("align", &self.align)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// Starts to describe a new pool, by the name that its reports and logs will have.
    pub fn builder(name: &str) -> PoolBuilder {
        PoolBuilder::new(name)
    }
}
