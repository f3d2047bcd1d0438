//! DPDK's `rte_mempool` behind the shim `rte.c`, opened at run time.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::ptr;

use crate::Outcome;

/// Objects of the pools that time is measured on: the number that a ring of DPDK wastes no memory at.
pub(crate) const OBJECTS: u32 = 8191;
/// Bytes of their objects.
pub(crate) const SIZE: u32 = 2048;

/// A loop of the shim: so many rounds on a pool.
pub(crate) type Loop = unsafe extern "C" fn(*mut c_void, u64);

/// DPDK, running. There is one a process, and it stays until the end.
#[derive(Copy, Clone)]
pub(crate) struct Rte {
    library: *mut c_void,
}

// SAFETY: dlsym may be called from any thread, and the library is never closed.
unsafe impl Send for Rte {}

impl Rte {
    /// Opens the shim and starts DPDK's environment with `arguments`.
    pub(crate) fn start(shim: &Path, arguments: &str) -> Outcome<Rte> {
        let path = CString::new(shim.as_os_str().as_encoded_bytes())?;
        // SAFETY: a path that ends with a NUL; what is opened is the shim, whose constructors are DPDK's.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        if library.is_null() {
            // SAFETY: dlopen has just failed, so there is a message, which stays until the next call.
            let message = unsafe { CStr::from_ptr(libc::dlerror()) };
            return Err(message.to_string_lossy().into());
        }
        let rte = Rte { library };
        let arguments: Vec<CString> = std::iter::once("hwpool-bench")
            .chain(arguments.split_whitespace())
            .map(CString::new)
            .collect::<Result<_, _>>()?;
        // DPDK reorders and keeps what it is given.
        let mut argv: Vec<*mut c_char> = arguments.into_iter().map(CString::into_raw).collect();
        let argc = argv.len() as c_int;
        argv.push(ptr::null_mut());
        let argv = argv.leak().as_mut_ptr();
        // SAFETY: the signature that rte.c has.
        let start: extern "C" fn(c_int, *mut *mut c_char) -> c_int = unsafe { rte.symbol("start") };
        if start(argc, argv) < 0 {
            return Err("rte_eal_init refused its arguments".into());
        }
        Ok(rte)
    }

    pub(crate) fn version(self) -> String {
        // SAFETY: the signature that rte.c has; it returns a constant string.
        unsafe {
            let version: extern "C" fn() -> *const c_char = self.symbol("version");
            CStr::from_ptr(version()).to_string_lossy().into_owned()
        }
    }

    /// Tells whether this is a later DPDK than 22.11, which the targets are for.
    pub(crate) fn is_newer(self) -> bool {
        let version = self.version();
        let year = version.trim_start_matches("DPDK ").split('.').next();
        year.and_then(|year| year.parse().ok())
            .is_some_and(|year: u32| year > 22)
    }

    /// Makes the calling thread one of DPDK's, with caches.
    pub(crate) fn adopt_thread(self) {
        // SAFETY: the signature that rte.c has.
        let adopt: extern "C" fn() -> c_int = unsafe { self.symbol("thread") };
        assert_eq!(adopt(), 0, "rte_thread_register");
    }

    pub(crate) fn allocated(self) -> u64 {
        // SAFETY: the signature that rte.c has.
        let allocated: extern "C" fn() -> u64 = unsafe { self.symbol("allocated") };
        allocated()
    }

    pub(crate) fn pool(self, ops: &str, objects: u32, size: u32, cache: u32) -> Outcome<RtePool> {
        let name = CString::new(ops)?;
        // SAFETY: the signature that rte.c has.
        let create: extern "C" fn(*const c_char, c_uint, c_uint, c_uint) -> *mut c_void =
            unsafe { self.symbol("create") };
        let pool = create(name.as_ptr(), objects, size, cache);
        if pool.is_null() {
            return Err(format!("DPDK made no pool of {objects} objects with {ops}").into());
        }
        Ok(RtePool { rte: self, pool })
    }

    /// Makes a pool of packet buffers, as network programs have them.
    pub(crate) fn packets(self, objects: u32, cache: u32) -> Outcome<RtePool> {
        // SAFETY: the signature that rte.c has.
        let create: extern "C" fn(c_uint, c_uint) -> *mut c_void =
            unsafe { self.symbol("packets") };
        let pool = create(objects, cache);
        if pool.is_null() {
            return Err(format!("DPDK made no pool of {objects} packet buffers").into());
        }
        Ok(RtePool { rte: self, pool })
    }

    /// Returns the function of the shim that is called `bench_` and `name`.
    ///
    /// # Safety
    /// `F` is the type of a pointer to a function with the signature that rte.c has.
    unsafe fn symbol<F: Copy>(self, name: &str) -> F {
        let name = CString::new(format!("bench_{name}")).expect("names have no NUL");
        // SAFETY: the library is open.
        let at = unsafe { libc::dlsym(self.library, name.as_ptr()) };
        assert!(!at.is_null(), "the shim has no {name:?}");
        assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
        // SAFETY: the caller's promise, and the sizes are equal.
        unsafe { std::mem::transmute_copy(&at) }
    }
}

/// A pool of DPDK's.
pub(crate) struct RtePool {
    rte: Rte,
    pool: *mut c_void,
}

// SAFETY: DPDK's pools are for any thread that is one of DPDK's.
unsafe impl Send for RtePool {}
// SAFETY: as above.
unsafe impl Sync for RtePool {}

impl RtePool {
    /// Returns the loop `name` of the shim.
    pub(crate) fn rounds(&self, name: &str) -> impl FnMut(u64) + use<> {
        // SAFETY: every loop has this signature.
        let rounds: Loop = unsafe { self.rte.symbol(name) };
        let pool = self.pool;
        // SAFETY: benchmarks' pools are never destroyed while their loops can run: the case owns both.
        move |n| unsafe { rounds(pool, n) }
    }

    /// Returns the loop that takes and gives as many objects as `pattern` says.
    pub(crate) fn random(&self, pattern: &'static [u32]) -> impl FnMut(u64) + use<> {
        // SAFETY: the signature that rte.c has.
        let rounds: unsafe extern "C" fn(*mut c_void, u64, *const u32) =
            unsafe { self.rte.symbol("random") };
        let pool = self.pool;
        // SAFETY: as in `rounds`, and the pattern is as long as rte.c expects.
        move |n| unsafe { rounds(pool, n, pattern.as_ptr()) }
    }
}

impl Drop for RtePool {
    fn drop(&mut self) {
        // SAFETY: the signature that rte.c has.
        let destroy: extern "C" fn(*mut c_void) = unsafe { self.rte.symbol("destroy") };
        destroy(self.pool);
    }
}
