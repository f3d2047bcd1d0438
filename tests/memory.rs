//! What a pool costs beyond its buffers: at most 8 bytes an object, counted at the allocator.
//!
//! A binary of its own, with one test: the count is of the whole process. The model of a device keeps its list in this
//! process too, so for a pool in a device the driver's own parts are counted: the ledger, and the rings, whose size does
//! not grow with the pool.

use std::alloc::{GlobalAlloc, Layout as Shape, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use hwpool::Pool;
use hwpool::devices::bmu::PortalConfig;
use hwpool::devices::bus::Iova;
use hwpool::devices::family::{Geometry, Ledger};

/// Counts the bytes that are allocated.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; the count is beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, shape: Shape) -> *mut u8 {
        LIVE.fetch_add(shape.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(shape) }
    }

    unsafe fn dealloc(&self, at: *mut u8, shape: Shape) {
        LIVE.fetch_sub(shape.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, shape) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most bytes beside an object's own.
const MOST: usize = 8;
/// What a pool may cost however small it is.
const FIXED: usize = 4096;

/// Returns what `make` made and the bytes that are allocated for it now.
fn cost<R>(make: impl FnOnce() -> R) -> (R, usize) {
    let before = LIVE.load(Ordering::Relaxed);
    let made = make();
    (made, LIVE.load(Ordering::Relaxed) - before)
}

#[test]
fn at_most_eight_bytes_an_object() {
    // A power of two, and the worst case of what is rounded up to one.
    for objects in [65536u32, 32769] {
        let most = MOST * objects as usize + FIXED;
        for backend in ["ring", "stack"] {
            let builder = Pool::builder("memory").objects(objects).size(64);
            let (pool, bytes) = cost(|| builder.backend(backend).build().expect("a pool"));
            eprintln!("{backend}, {objects} objects: {bytes} bytes");
            assert!(
                bytes <= most,
                "{backend}: {bytes} bytes for {objects} objects"
            );
            assert!(
                bytes >= objects as usize,
                "the count is blind: {bytes} bytes"
            );
            drop(pool);
        }
        let geometry = Geometry::new(Iova(1 << 32), 64, objects).expect("a geometry");
        let (ledger, bytes) = cost(|| Ledger::new(geometry));
        let config = PortalConfig::for_pool(objects, (3, 16));
        let rings = config.layout.size() + 4 * config.credits as usize;
        eprintln!("bmu, {objects} objects: ledger {bytes} bytes, rings {rings} bytes");
        assert!(
            bytes + rings <= most,
            "ledger {bytes} bytes, rings {rings} bytes"
        );
        drop(ledger);
    }
}
