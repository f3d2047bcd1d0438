//! The slow operations, which a program does at its start, at its end and now and then, and which no peer has the like
//! of: timed alone. `cargo bench --bench own [-- FILTER]`.

use divan::{Bencher, black_box};
use hwpool::devices::bus::DmaLimits;
use hwpool::dma::{IovaAllocator, Memory, MemoryRequest, PageSize, Pages};
use hwpool::pool::{ObjectState, Pool};

fn main() {
    divan::main();
}

fn pool(backend: &str, objects: u32) -> Pool {
    let pool = Pool::builder("own").objects(objects).size(64);
    pool.pages(Pages::Exactly(PageSize::Base))
        .backend(backend)
        .build()
        .expect("there is memory")
}

/// A range of addresses that many small ranges are taken from and come back to: the pattern of a program with many pools.
#[divan::bench(args = [16, 256, 4096])]
fn iova_allocate_and_free(bencher: Bencher, held: u64) {
    let limits = DmaLimits {
        ranges: vec![0..=u64::MAX >> 16],
        page_sizes: 1 << 12,
        entries_left: u64::MAX,
    };
    let mut iovas = IovaAllocator::new(&limits, 48).expect("a range");
    for _ in 0..held {
        iovas.allocate(1 << 12, 1 << 12).expect("room");
    }
    bencher.bench_local(|| {
        let iova = iovas.allocate(black_box(1 << 21), 1 << 21).expect("room");
        iovas.free(iova, 1 << 21).expect("it was taken");
    });
}

#[divan::bench(args = [1 << 16, 1 << 20, 1 << 24])]
fn memory_allocate_and_free(len: usize) -> Memory {
    let request = MemoryRequest::new(len).pages(Pages::Exactly(PageSize::Base));
    Memory::allocate(&request).expect("there is memory")
}

#[divan::bench(args = ["ring", "stack", "bmu"], consts = [1024, 65536])]
fn pool_build_and_close<const OBJECTS: u32>(backend: &str) {
    pool(backend, OBJECTS).close().expect("nothing is out");
}

#[divan::bench]
fn worker_attach_and_detach(bencher: Bencher) {
    let pool = pool("ring", 1024);
    bencher.bench_local(|| drop(pool.worker("own").expect("the only one of this thread")));
}

#[divan::bench]
fn pool_stats(bencher: Bencher) {
    let pool = pool("ring", 1024);
    bencher.bench_local(|| pool.stats());
}

/// Counts what is out, as a tool for leaks does.
#[divan::bench(args = [1024, 65536])]
fn pool_walk_checked(bencher: Bencher, objects: u32) {
    let pool = pool("ring", objects);
    pool.set_checked(true);
    bencher.bench_local(|| {
        let mut out = 0;
        pool.walk(|object| out += u32::from(matches!(object.state, ObjectState::Out { .. })));
        out
    });
}
