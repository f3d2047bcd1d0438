//! Pools: created, asked, closed.

use std::ffi::{CString, c_int};
use std::sync::Arc;

use hwpool::dma::{PageSize, Pages};
use hwpool::pool::{CloseError, CloseReport, CreateError, PoolBuilder};

use crate::abi::{
    self, CHECKED, NO_CACHE, NO_IOVA, PAGES_1G, PAGES_2M, PAGES_ANY, PAGES_BASE, SPREAD,
    hwpool_close_report, hwpool_pool, hwpool_pool_info, hwpool_pool_options, hwpool_pool_stats,
};
use crate::device::{Device, number};
use crate::failure::{self, Failure, guarded};
use crate::handles::{self, Kind};
use crate::status::Status;
use crate::text::{optional, required};

/// Most bytes of an object: with any alignment, and rounded up for any device, one begins less than 2^32 after another.
pub(crate) const MAX_SIZE: u32 = 1 << 30;

/// A pool, with the strings that C may look at as long as it is not closed.
pub(crate) struct Pool {
    pub(crate) pool: hwpool::Pool,
    /// Where the device finds object 0.
    pub(crate) iova: u64,
    strings: [CString; 2],
}

impl Kind for Pool {
    type Handle = hwpool_pool;
    const WHAT: &'static str = "a pool";
}

impl Pool {
    fn info(&self) -> hwpool_pool_info {
        let pool = &self.pool;
        let memory = pool.memory();
        let [name, backend] = &self.strings;
        hwpool_pool_info {
            name: name.as_ptr(),
            backend: backend.as_ptr(),
            base: memory.as_ptr().as_ptr().cast(),
            iova: self.iova,
            stride: pool.stride() as u64,
            size: pool.size() as u64,
            page_size: memory.page_size().bytes() as u64,
            objects: pool.objects(),
            cache: pool.cache() as u32,
            node: number(memory.node()),
            reserved: 0,
        }
    }

    fn stats(&self) -> hwpool_pool_stats {
        let stats = self.pool.stats();
        hwpool_pool_stats {
            objects: stats.objects,
            free: stats.free,
            cached: stats.cached,
            reserved: 0,
            taken: stats.taken,
            given: stats.given,
            late: stats.late,
            refills: stats.refills,
            flushes: stats.flushes,
            shortages: stats.shortages,
            backend_enqueues: stats.backend_enqueues,
            backend_dequeues: stats.backend_dequeues,
        }
    }
}

/// # Safety
/// As `hwpool.h` says: a structure of `size` bytes with strings in it, and a place for a handle.
#[unsafe(no_mangle)]
unsafe extern "C" fn hwpool_pool_create(
    options: *const hwpool_pool_options,
    size: usize,
    pool: *mut *mut hwpool_pool,
) -> c_int {
    guarded(|| {
        // SAFETY: null, or readable for `size` bytes by the caller's promise.
        let options = unsafe { abi::read(options, size) }?;
        // SAFETY: null, or a place for a handle by the caller's promise.
        let place = unsafe { abi::place(pool) }?;
        // SAFETY: its strings are null or strings, by the caller's promise.
        let builder = unsafe { builder(&options) }?;
        let pool = builder.build().map_err(|error| not_created(&error))?;
        let strings = [pool.name(), pool.backend()].map(failure::text);
        let iova = pool.iova(0).map_or(NO_IOVA, |iova| iova.0);
        let new = Pool {
            pool,
            iova,
            strings,
        };
        place.write(handles::insert(Arc::new(new)));
        Ok(Status::Ok)
    })
}

/// Turns options into what makes the pool.
///
/// # Safety
/// The strings are null, or strings.
unsafe fn builder(options: &hwpool_pool_options) -> Result<PoolBuilder, Failure> {
    let refused = |text: String| Err(Failure::new(Status::Argument, text));
    // SAFETY: the caller's promise.
    let name = unsafe { required(options.name, "the pool's name") }?;
    // SAFETY: as above.
    let backend = unsafe { optional(options.backend, "the backend's name") }?;
    if options.size > MAX_SIZE {
        return refused(format!(
            "objects of {} bytes: at most {MAX_SIZE}",
            options.size
        ));
    }
    if options.flags & !(CHECKED | SPREAD) != 0 || options.reserved != 0 {
        let (flags, reserved) = (options.flags, options.reserved);
        return refused(format!(
            "flags {flags:#x} and reserved {reserved:#x}: this library knows {:#x} and 0",
            CHECKED | SPREAD
        ));
    }
    let mut builder = hwpool::Pool::builder(name)
        .objects(options.objects)
        .size(options.size as usize)
        .spread(options.flags & SPREAD != 0)
        .checked(options.flags & CHECKED != 0)
        .node(options.node.checked_sub(1));
    if options.align != 0 {
        builder = builder.align(options.align as usize);
    }
    builder = match options.cache {
        0 => builder,
        NO_CACHE => builder.cache(0),
        cache => builder.cache(cache as usize),
    };
    builder = match options.pages {
        PAGES_ANY => builder,
        PAGES_BASE => builder.pages(Pages::Exactly(PageSize::Base)),
        PAGES_2M => builder.pages(Pages::Exactly(PageSize::Huge2M)),
        PAGES_1G => builder.pages(Pages::Exactly(PageSize::Huge1G)),
        pages => {
            return refused(format!(
                "pages {pages}: {PAGES_ANY} to {PAGES_1G} are known"
            ));
        }
    };
    let mut best = None;
    if !options.device.is_null() {
        let device = handles::find::<Device>(options.device)?;
        builder = builder.device(&device.device);
        best = Some(device.backend.clone());
    }
    Ok(match backend.or(best.as_deref()) {
        Some(backend) => builder.backend(backend),
        None => builder,
    })
}

fn not_created(error: &CreateError) -> Failure {
    let status = match error {
        CreateError::Memory { .. }
        | CreateError::ForkMark { .. }
        | CreateError::MemoryMisaligned { .. } => Status::Memory,
        CreateError::Backend { .. } | CreateError::Fill { .. } | CreateError::BadIova { .. } => {
            Status::Backend
        }
        CreateError::TooManyPools { .. } => Status::Limit,
        _ => Status::Argument,
    };
    Failure::of(status, error).within("the pool can't be created".into())
}

/// # Safety
/// As `hwpool.h` says: a structure of `size` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn hwpool_pool_get_info(
    pool: *const hwpool_pool,
    info: *mut hwpool_pool_info,
    size: usize,
) -> c_int {
    guarded(|| {
        let pool = handles::find::<Pool>(pool)?;
        // SAFETY: null, or writable for `size` bytes by the caller's promise.
        unsafe { abi::write(info, size, pool.info()) }?;
        Ok(Status::Ok)
    })
}

/// # Safety
/// As `hwpool.h` says: a structure of `size` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn hwpool_pool_get_stats(
    pool: *const hwpool_pool,
    stats: *mut hwpool_pool_stats,
    size: usize,
) -> c_int {
    guarded(|| {
        let pool = handles::find::<Pool>(pool)?;
        // SAFETY: null, or writable for `size` bytes by the caller's promise.
        unsafe { abi::write(stats, size, pool.stats()) }?;
        Ok(Status::Ok)
    })
}

/// # Safety
/// As `hwpool.h` says: null, or a structure of `size` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn hwpool_pool_close(
    pool: *mut hwpool_pool,
    report: *mut hwpool_close_report,
    size: usize,
) -> c_int {
    guarded(|| {
        let is_wanted = !report.is_null();
        if is_wanted {
            abi::check::<hwpool_close_report>(report, size)?;
        }
        let pool = handles::remove::<Pool>(pool)?.pool.clone();
        let (known, failure) = match pool.close() {
            Ok(known) => {
                let failure = (!known.is_clean()).then(|| unclean(&known));
                (known, failure)
            }
            Err(error) => not_closed(error)?,
        };
        if is_wanted {
            // SAFETY: writable for `size` bytes by the caller's promise.
            unsafe { abi::write(report, size, counts(&known)) }?;
        }
        failure.map_or(Ok(Status::Ok), Err)
    })
}

fn unclean(report: &CloseReport) -> Failure {
    Failure::new(Status::Unclean, report.to_string())
}

/// Returns what is known nevertheless, with the failure, or nothing but that.
fn not_closed(error: CloseError) -> Result<(CloseReport, Option<Failure>), Failure> {
    let status = match error {
        CloseError::AlreadyClosed { .. } => Status::Closed,
        CloseError::OtherProcess { .. } => Status::Forked,
        _ => Status::Backend,
    };
    let failure = Failure::of(status, &error);
    match error {
        CloseError::Drain { report, .. } => Ok((*report, Some(failure))),
        _ => Err(failure),
    }
}

fn counts(report: &CloseReport) -> hwpool_close_report {
    let sum = |each: fn(&hwpool::pool::HolderBalance) -> u64| -> u64 {
        report.holders.iter().map(each).sum()
    };
    hwpool_close_report {
        objects: report.objects,
        returned: report.returned,
        lost: report.out.len() as u32,
        cached: sum(|holder| holder.cached) as u32,
        doubled: report.invented.len() as u32,
        workers: sum(|holder| holder.workers as u64) as u32,
        taken: report.stats.taken,
        given: report.stats.given,
    }
}
