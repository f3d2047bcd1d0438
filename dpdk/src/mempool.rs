//! One mempool of DPDK's: a raw pool, and where its objects are.

use std::error::Error;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use hwpool::device::{Device, DeviceError};
use hwpool::devices::bus::{BusError, DmaError};
use hwpool::devices::family::{PathError, SetupError};
use hwpool::dma::{MapError, Memory, MemoryError, PageSize};
use hwpool::pool::{BackendError, CreateError, Pool, PoolBuilder, PoolError, RawError, RawPool};
use libc::{EINVAL, ENODEV, ENOMEM, ENOTCONN};

use crate::config::{self, Choice};
use crate::devices::Share;
use crate::log::{self, Level, causes, chain};
use crate::objects::Objects;
use crate::ops;
use crate::totals;

/// Objects that are put into a new list at once.
const BATCH: usize = 64;

/// Most objects that go the quick way: more than a cache of DPDK's sends at once.
const QUICK: usize = 1024;

/// What a mempool is made for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) name: String,
    pub(crate) objects: u32,
    /// Bytes from one object to the next: header, element and trailer.
    pub(crate) stride: usize,
    /// Bytes of the header, which lies before what DPDK calls the object.
    pub(crate) header: usize,
    pub(crate) node: Option<u32>,
    /// Devices see virtual addresses in this application; else physical ones.
    pub(crate) iova_is_address: bool,
    pub(crate) choice: Choice,
}

/// Why there is no mempool.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotMade {
    /// What DPDK is told.
    pub(crate) errno: c_int,
    /// What the log is told.
    pub(crate) text: String,
}

/// Why an operation did nothing.
#[derive(Debug)]
pub(crate) enum Refusal {
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

impl Refusal {
    const BROKEN: u8 = 16;

    /// Returns a bit that refusals of other kinds don't have.
    fn kind(&self) -> u8 {
        match self {
            Refusal::Short => 1,
            Refusal::Foreign(_) => 2,
            Refusal::Chunk { .. } => 4,
            Refusal::Pool(_) => 8,
            Refusal::Broken(_) => Refusal::BROKEN,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Short => f.write_str("there are fewer objects"),
            Refusal::Foreign(pointer) => write!(
                f,
                "{pointer:?} is no object of this mempool; nothing was taken"
            ),
            Refusal::Chunk { chunk, len } => write!(
                f,
                "the objects can't lie in the {len} bytes at {chunk:?}, which DPDK does not know: hwpool has them in memory that it maps for devices itself; use rte_mempool_populate_default"
            ),
            Refusal::Pool(text) | Refusal::Broken(text) => f.write_str(text),
        }
    }
}

/// A mempool's state; shared by all threads that use it.
pub(crate) struct Mempool {
    pool: RawPool,
    objects: Objects,
    /// The process that made it; [`ops::owner`].
    owner: u32,
    /// Set once DPDK populated the mempool with the memory.
    populated: AtomicBool,
    /// Whether to count: an atomic operation a call is a good part of what a call costs.
    counts: bool,
    /// The kinds of mistakes that were told. The first of each is, the others are not: nobody wants a line a packet.
    told: AtomicU8,
    /// Dropped after the pool that lies on it.
    _device: Option<Share>,
}

impl Mempool {
    /// Allocates the memory, opens the device and makes an empty list.
    pub(crate) fn new(request: &Request) -> Result<Mempool, NotMade> {
        let (pool, device) = match &request.choice {
            Choice::Software(name) => (build(request, |pool| pool.backend(name))?, None),
            Choice::Device(address) => {
                let (share, device) =
                    Share::of(address).map_err(|error| NotMade::no_device(&error))?;
                (on_device(request, &device)?, Some(share))
            }
        };
        for warning in pool.memory().warnings() {
            log::line(Level::Notice, &request.name, warning);
        }
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
            owner: ops::owner(),
            populated: AtomicBool::new(false),
            counts: config::is_on(config::STATS),
            told: AtomicU8::new(0),
            _device: device,
        })
    }

    /// Returns [`ops::owner`] as it was in the process that made it.
    #[inline(always)]
    pub(crate) fn owner(&self) -> u32 {
        self.owner
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
    ) -> Result<u32, Refusal> {
        let stride = self.pool.stride();
        let begin = chunk.addr() - self.pool.memory().as_ptr().addr().get();
        let end = ((begin + len) / stride).min(self.pool.objects() as usize);
        let indices = (begin.div_ceil(stride)..end).take(most as usize);
        let objects: Vec<_> = indices.map(|index| self.pointer(index as u32)).collect();
        objects.iter().copied().for_each(show);
        for batch in objects.chunks(BATCH) {
            self.put(batch)?;
        }
        Ok(objects.len() as u32)
    }

    /// Returns the address of an object, as DPDK knows it.
    pub(crate) fn pointer(&self, index: u32) -> *mut c_void {
        self.objects.pointer(index)
    }

    /// Takes objects in, all or none.
    pub(crate) fn put(&self, pointers: &[*mut c_void]) -> Result<(), Refusal> {
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
    ) -> Result<(), Refusal> {
        match self.objects.numbers(pointers, room) {
            Some(numbers) => {
                let put = self.pool.enqueue(numbers);
                put.map_err(|error| self.not_put(&error))
            }
            None => Err(Refusal::Foreign(self.objects.first_wrong(pointers))),
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
    pub(crate) fn get(&self, pointers: &mut [*mut c_void]) -> Result<(), Refusal> {
        let n = pointers.len();
        let got = match self.pool.dequeue_with(n, self.pointers_to(pointers)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::Short),
            Err(error @ PoolError::Poisoned { .. }) => Err(Refusal::Broken(chain(&error))),
            Err(error) => Err(Refusal::Pool(chain(&error))),
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
    fn not_put(&self, error: &RawError) -> Refusal {
        match error {
            RawError::NotOut { index } => self.freed_twice(*index),
            RawError::Give(PoolError::Refused { cause }) => {
                if let Some(PathError::Refused { index, .. }) = cause.downcast_ref() {
                    self.freed_twice(*index)
                } else if let Some(BackendError::Short) = cause.downcast_ref() {
                    let text = "more objects are freed than there are: one was freed twice";
                    Refusal::Pool(text.into())
                } else {
                    Refusal::Pool(chain(error))
                }
            }
            RawError::Give(PoolError::Poisoned { .. }) => Refusal::Broken(chain(error)),
            error => Refusal::Pool(chain(error)),
        }
    }

    fn freed_twice(&self, index: u32) -> Refusal {
        Refusal::Pool(format!("{:?} was freed twice", self.pointer(index)))
    }

    pub(crate) fn count(&self) -> u32 {
        self.pool.count()
    }

    /// Tells the log of a mistake, once for each kind.
    pub(crate) fn complain(&self, what: &str, refusal: &Refusal) {
        if !self.is_told(refusal.kind()) {
            let text = format_args!("{what}: {refusal}");
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

    /// Tells whether a kind of refusal was told, and has it told from now on.
    fn is_told(&self, kind: u8) -> bool {
        self.told.fetch_or(kind, Ordering::Relaxed) & kind != 0
    }

    /// Ends the mempool; what is still out goes with its memory.
    pub(crate) fn free(self) {
        totals::freed();
        let name = self.pool.name().to_string();
        let is_broken = self.is_told(Refusal::BROKEN);
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

fn on_device(request: &Request, device: &Device) -> Result<RawPool, NotMade> {
    let pool = |pool: PoolBuilder| pool.backend("bmu").device(device);
    if !request.iova_is_address {
        return build(request, pool);
    }
    // As the application has it, if the IOMMU can; nothing here needs it, since the list is kept by number.
    build(request, |builder| pool(builder).iova_is_address(true)).or_else(|error| {
        let made = build(request, pool)?;
        let text = format!(
            "the device knows the objects by other addresses than the application: {}",
            error.text
        );
        log::line(Level::Notice, &request.name, &text);
        Ok(made)
    })
}

fn build(
    request: &Request,
    with: impl FnOnce(PoolBuilder) -> PoolBuilder,
) -> Result<RawPool, NotMade> {
    let pool = Pool::builder(&request.name)
        .node(request.node)
        .checked(config::is_on(config::CHECKED));
    let pool = match request.iova_is_address {
        true => pool.size(request.stride).objects(request.objects),
        // Devices without an IOMMU are given physical addresses, which only hugepages keep.
        false => {
            let on_pages = OnPages::of(request)?;
            pool.size(on_pages.stride)
                .objects(on_pages.objects)
                .capacity(request.objects)
                .pages(hwpool::dma::Pages::Exactly(PageSize::Huge2M))
        }
    };
    with(pool)
        .build_raw()
        .map_err(|error| NotMade::no_pool(request, &error))
}

/// Objects of which as many as are wanted lie on one page each.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OnPages {
    /// Bytes from one object to the next.
    pub(crate) stride: usize,
    /// With those that are left out, as they lie on two pages.
    pub(crate) objects: u32,
}

impl OnPages {
    /// # Errors
    /// Where an object is larger than a page.
    pub(crate) fn of(request: &Request) -> Result<OnPages, NotMade> {
        let (page, stride) = (
            PageSize::Huge2M.bytes(),
            request.stride.next_multiple_of(64),
        );
        if stride > page {
            return Err(NotMade {
                errno: EINVAL,
                text: format!(
                    "objects of {stride} bytes with their headers are larger than a page of {page}, and physical addresses (--iova-mode=pa) don't go on from page to page: use smaller objects, or run with --iova-mode=va"
                ),
            });
        }
        // Were they side by side, next to none would lie on one page.
        if stride > page / 2 {
            return Ok(OnPages {
                stride: page,
                objects: request.objects,
            });
        }
        let wanted = u64::from(request.objects);
        let mut objects = wanted;
        loop {
            // Those that replace objects on two pages may lie on two pages again.
            match wanted - Self::whole(objects, stride as u64, page as u64) {
                0 => break,
                missing => objects += missing,
            }
        }
        Ok(OnPages {
            stride,
            objects: u32::try_from(objects).unwrap_or(u32::MAX),
        })
    }

    /// Returns how many objects, side by side from the start of a page on, lie on one page each.
    fn whole(objects: u64, stride: u64, page: u64) -> u64 {
        let ends = (objects * stride).saturating_sub(1) / page;
        // Page and object end together at each multiple of both.
        let both = stride >> stride.trailing_zeros().min(page.trailing_zeros());
        objects - (ends - ends / both)
    }
}

impl NotMade {
    fn no_device(error: &DeviceError) -> NotMade {
        NotMade {
            errno: if error.is_usage() { EINVAL } else { ENODEV },
            text: chain(error),
        }
    }

    fn no_pool(request: &Request, error: &CreateError) -> NotMade {
        let hint = match error {
            CreateError::Memory { .. } if !request.iova_is_address => {
                ": where devices see physical addresses (--iova-mode=pa) memory must be hugepages, besides those of DPDK itself; or run with --iova-mode=va"
            }
            _ => "",
        };
        NotMade {
            errno: errno(error),
            text: chain(error) + hint,
        }
    }
}

/// Returns what DPDK is told of a pool that can't be made: there is no memory, or the device can't have it mapped; the
/// device is gone; or something was asked for that can't be.
fn errno(error: &CreateError) -> c_int {
    let is_gone = |cause: &(dyn Error + 'static)| {
        let access = matches!(
            cause.downcast_ref(),
            Some(SetupError::Bus(BusError::Gone { .. }))
        );
        let mapping = matches!(
            cause.downcast_ref(),
            Some(DmaError::Os {
                errno: ENOTCONN,
                ..
            })
        );
        access || mapping
    };
    if causes(error).any(is_gone) {
        ENODEV
    } else if causes(error).any(|cause| cause.is::<MemoryError>() || cause.is::<MapError>()) {
        ENOMEM
    } else {
        EINVAL
    }
}
