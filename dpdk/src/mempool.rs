//! One mempool of DPDK's: a raw pool, and where its objects are.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use hwpool::device::{Device, DeviceError};
use hwpool::dma::PageSize;
use hwpool::pool::{CreateError, Pool, PoolBuilder, PoolError, RawError, RawPool};
use libc::{EINVAL, ENODEV, ENOMEM};

use crate::config::{self, Choice};
use crate::devices::Share;
use crate::dpdk;
use crate::log::{self, Level, chain};
use crate::objects::Objects;
use crate::totals;

/// Objects that are put into a new list at once.
const BATCH: usize = 64;
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
    /// What the pool said.
    Pool(String),
    /// The pool is poisoned: its device is gone, or said what can't be.
    Broken(String),
}

/// A mempool's state; shared by all threads that use it.
pub(crate) struct Mempool {
    pool: RawPool,
    objects: Objects,
    /// Objects before this one have been shown to DPDK.
    shown: AtomicU32,
    /// Whether to count: an atomic operation a call is a good part of what a call costs.
    counts: bool,
    /// The first mistake is told, the others are not: nobody wants a line a packet.
    complained: AtomicBool,
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
            shown: AtomicU32::new(0),
            counts: config::is_on(config::STATS),
            complained: AtomicBool::new(false),
            _device: device,
        })
    }

    /// Shows `most` objects to `show`, with the addresses that devices know them by, and puts them into the list. Where
    /// those are physical, objects that lie on two pages are left out.
    ///
    /// Returns how many there were.
    pub(crate) fn populate(
        &self,
        most: u32,
        header: usize,
        mut show: impl FnMut(*mut c_void, u64),
    ) -> Result<u32, Refusal> {
        let mut pages = Pages::of(&self.pool);
        let mut batch = Vec::with_capacity(BATCH);
        let mut shown = 0;
        let first = self.shown.load(Ordering::Relaxed);
        for index in first..self.pool.objects() {
            if shown == most {
                break;
            }
            self.shown.store(index + 1, Ordering::Relaxed);
            let object = self.pointer(index);
            let Some(iova) = pages.iova(object as usize - header, self.pool.stride()) else {
                continue;
            };
            show(object, iova + header as u64);
            shown += 1;
            batch.push(object);
            if batch.len() == BATCH || shown == most {
                self.put(&batch)?;
                batch.clear();
            }
        }
        match batch.is_empty() {
            true => Ok(shown),
            false => self.put(&batch).map(|()| shown),
        }
    }

    /// Returns the address of an object, as DPDK knows it.
    pub(crate) fn pointer(&self, index: u32) -> *mut c_void {
        self.objects.pointer(index)
    }

    /// Takes objects in, all or none.
    pub(crate) fn put(&self, pointers: &[*mut c_void]) -> Result<(), Refusal> {
        let put = match self.objects.first_wrong(pointers) {
            None => self.put_ours(pointers),
            Some(wrong) => Err(Refusal::Foreign(wrong)),
        };
        if self.counts {
            totals::put(pointers.len(), put.is_ok());
        }
        put
    }

    /// As [`put`](Self::put), where that is a copy in memory; false where it is more, or did not work: nothing was done then.
    #[inline(always)]
    pub(crate) fn put_quickly(&self, pointers: &[*mut c_void]) -> bool {
        let done = self.objects.are_objects(pointers)
            // SAFETY: as in `put_ours`.
            && unsafe { self.pool.enqueue_quickly(pointers.len(), self.numbers_of(pointers)) };
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

    /// Takes in what has been looked at: objects begin at all pointers.
    fn put_ours(&self, pointers: &[*mut c_void]) -> Result<(), Refusal> {
        // SAFETY: a number for each pointer, and the pool has as many objects as they are numbers of.
        let put = unsafe {
            self.pool
                .enqueue_with(pointers.len(), self.numbers_of(pointers))
        };
        put.map_err(|error| self.not_put(&error))
    }

    /// Returns what writes the numbers of objects, run by run.
    #[inline(always)]
    fn numbers_of<'a>(&'a self, pointers: &'a [*mut c_void]) -> impl FnMut(&mut [u32]) + 'a {
        let mut rest = pointers;
        move |numbers| {
            let (these, others) = rest.split_at(numbers.len().min(rest.len()));
            self.objects.numbers(these, numbers);
            rest = others;
        }
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
            RawError::NotOut { index } => {
                Refusal::Pool(format!("{:?} was freed twice", self.pointer(*index)))
            }
            RawError::Give(PoolError::Refused { .. })
                if self.pool.count() >= self.pool.objects() =>
            {
                Refusal::Pool("more objects are freed than there are: one was freed twice".into())
            }
            RawError::Give(PoolError::Poisoned { .. }) => Refusal::Broken(chain(error)),
            error => Refusal::Pool(chain(error)),
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.pool.count()
    }

    /// Tells the log of a mistake, once.
    pub(crate) fn complain(&self, text: &str) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            log::line(Level::Error, self.pool.name(), &text);
        }
    }

    /// Ends the mempool; what is still out goes with its memory.
    pub(crate) fn free(self) {
        totals::freed();
        let name = self.pool.name().to_string();
        match self.pool.close() {
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
        .size(request.stride)
        .node(request.node)
        .checked(config::is_on(config::CHECKED));
    let pool = match request.iova_is_address {
        true => pool.objects(request.objects),
        // Devices without an IOMMU are given physical addresses, which only hugepages keep.
        false => pool
            .objects(request.objects.saturating_add(request.on_two_pages()))
            .pages(hwpool::dma::Pages::Exactly(PageSize::Huge2M)),
    };
    with(pool)
        .build_raw()
        .map_err(|error| NotMade::no_pool(request, &error))
}

impl Request {
    /// Returns how many objects may lie on two pages at most: one a page.
    fn on_two_pages(&self) -> u32 {
        let page = PageSize::Huge2M.bytes();
        let len = self
            .stride
            .next_multiple_of(64)
            .saturating_mul(self.objects as usize);
        // One more for each page that these make longer.
        (len / page + len / page / (page / self.stride.min(page)) + 2) as u32
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
        let is_memory = matches!(error, CreateError::Memory { .. });
        let hint = match is_memory && !request.iova_is_address {
            true => {
                ": where devices see physical addresses (--iova-mode=pa) memory must be hugepages, besides those of DPDK itself; or run with --iova-mode=va"
            }
            false => "",
        };
        NotMade {
            errno: if is_memory { ENOMEM } else { EINVAL },
            text: chain(error) + hint,
        }
    }
}

/// The addresses by which devices know pages, asked for once a page.
struct Pages {
    size: usize,
    /// Physical addresses: those of two pages have nothing to do with each other.
    physical: bool,
    known: Option<(usize, u64)>,
}

impl Pages {
    fn of(pool: &RawPool) -> Pages {
        Pages {
            size: pool.memory().page_size().bytes(),
            physical: !dpdk::iova_is_address(),
            known: None,
        }
    }

    /// Returns the address for devices of `len` bytes at `address`; `None` where they have none in one piece.
    fn iova(&mut self, address: usize, len: usize) -> Option<u64> {
        if !self.physical {
            return Some(address as u64);
        }
        let page = address / self.size * self.size;
        if address + len > page + self.size {
            return None;
        }
        let iova = match self.known {
            Some((known, iova)) if known == page => iova,
            _ => dpdk::iova(page)?,
        };
        self.known = Some((page, iova));
        Some(iova + (address - page) as u64)
    }
}
