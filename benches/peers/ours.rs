//! hwpool's side, and the sides of other Rust code: the loops of `rte.c`.

use std::arch::asm;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_queue::ArrayQueue;
use hwpool::Pool;
use hwpool::device::Device;
use hwpool::pool::{Batch, Slot, Slots, Worker};

use crate::Outcome;
use crate::pair::Lane;
use crate::rte::{OBJECTS, SIZE};

/// Objects that a keeping loop takes before it gives them back.
pub(crate) const KEEP: usize = 2048;
/// Objects of a batch from thread to thread.
pub(crate) const BATCH: usize = 32;

pub(crate) fn pool(backend: &str, objects: u32, cache: usize) -> Outcome<Pool> {
    pool_of(backend, objects, SIZE as usize, cache)
}

pub(crate) fn pool_of(backend: &str, objects: u32, size: usize, cache: usize) -> Outcome<Pool> {
    let pool = Pool::builder("bench").objects(objects).size(size);
    Ok(pool.backend(backend).cache(cache).build()?)
}

/// Makes a pool of the usual size and a worker on this thread.
pub(crate) fn worker(backend: &str, cache: usize) -> Outcome<Worker> {
    Ok(pool(backend, OBJECTS, cache)?.worker("bench")?)
}

/// Makes a pool without caches whose objects a device keeps, and a worker on this thread.
pub(crate) fn portal(device: &Device) -> Outcome<Worker> {
    let pool = Pool::builder("bench").objects(OBJECTS).size(SIZE as usize);
    let pool = pool.backend("bmu").device(device).cache(0).build()?;
    Ok(pool.worker("bench")?)
}

/// Bytes that this process has from the allocator.
pub(crate) fn allocated() -> u64 {
    // SAFETY: reads the allocator's counters.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as u64
}

/// Has the compiler believe that the objects are read and written here, by what rte.c does for it. The library's
/// `black_box` also stores the reference, which is a store more than the other side has.
#[inline(always)]
fn touch<T: ?Sized>(objects: &mut T) {
    // SAFETY: does nothing.
    unsafe {
        asm!("/* {0} */", in(reg) std::ptr::from_mut(objects).cast::<u8>(), options(nostack, preserves_flags))
    };
}

#[inline(always)]
fn take<S: Slots>(worker: &mut Worker, slots: &mut S, n: usize) {
    let taken = worker.take_into(slots, n).expect("the pool is sound");
    assert!(taken, "the pool has enough");
}

#[inline(always)]
fn give<S: Slots>(worker: &mut Worker, slots: &mut S, n: usize) {
    worker.give_from(slots, n).expect("the pool is sound");
}

pub(crate) fn hot<const N: usize>(mut worker: Worker) -> impl FnMut(u64) {
    let mut places = Places::new(Batch::<N>::new);
    move |rounds| hot_rounds(&mut worker, places.next(), rounds)
}

#[inline(never)]
fn hot_rounds<const N: usize>(worker: &mut Worker, batch: &mut Batch<N>, rounds: u64) {
    for _ in 0..rounds {
        take(worker, batch, N);
        touch(&mut *batch);
        give(worker, batch, N);
    }
}

/// As [`hot`], with one more counter of the kind that workers have.
pub(crate) fn counted<const N: usize>(mut worker: Worker) -> impl FnMut(u64) {
    let mut places = Places::new(Batch::<N>::new);
    let counter = Box::new(AtomicU64::new(0));
    move |rounds| counted_rounds(&mut worker, places.next(), &counter, rounds)
}

#[inline(never)]
fn counted_rounds<const N: usize>(
    worker: &mut Worker,
    batch: &mut Batch<N>,
    counter: &AtomicU64,
    rounds: u64,
) {
    for _ in 0..rounds {
        take(worker, batch, N);
        let so_far = counter.load(Ordering::Relaxed);
        counter.store(so_far + N as u64, Ordering::Relaxed);
        touch(&mut *batch);
        give(worker, batch, N);
    }
}

/// As [`hot`], with what a look at each object can't do without: it is noted when the object goes out, looked at when it
/// comes back, and noted again.
pub(crate) fn least_checks(mut worker: Worker) -> impl FnMut(u64) {
    let mut places = Places::new(Batch::<32>::new);
    let mut notes = vec![0; 1 << 13];
    move |rounds| least_rounds(&mut worker, places.next(), &mut notes, rounds)
}

#[inline(never)]
fn least_rounds(worker: &mut Worker, batch: &mut Batch<32>, notes: &mut [u32], rounds: u64) {
    let notes: &mut [u32; 1 << 13] = notes.try_into().expect("as many as the mask says");
    let place = |slot: &Slot| slot.index() as usize & ((1 << 13) - 1);
    for _ in 0..rounds {
        take(worker, batch, 32);
        batch.iter().for_each(|slot| notes[place(slot)] = 1);
        touch(&mut *batch);
        let all_out = batch.iter().fold(1, |all, slot| all & notes[place(slot)]);
        assert_eq!(all_out, 1, "noted above");
        batch.iter().for_each(|slot| notes[place(slot)] = 2);
        give(worker, batch, 32);
    }
}

/// Takes N by 32, writes to the beginning of each object, and gives them back.
pub(crate) fn written<const N: usize>(mut worker: Worker) -> impl FnMut(u64) {
    let mut slots = Vec::with_capacity(N);
    move |rounds| written_rounds::<N>(&mut worker, &mut slots, rounds)
}

#[inline(never)]
fn written_rounds<const N: usize>(worker: &mut Worker, slots: &mut Vec<Slot>, rounds: u64) {
    for _ in 0..rounds {
        for _ in 0..N / 32 {
            take(worker, slots, 32);
        }
        for slot in &mut *slots {
            worker.bytes_mut(slot)[..8].copy_from_slice(&rounds.to_ne_bytes());
        }
        for _ in 0..N / 32 {
            give(worker, slots, 32);
        }
    }
}

/// Where objects lie while they are out; see `PLACES` in rte.c.
struct Places<T> {
    places: Vec<Aligned<T>>,
    slice: usize,
}

#[repr(align(64))]
struct Aligned<T>(T);

impl<T> Places<T> {
    fn new(mut empty: impl FnMut() -> T) -> Places<T> {
        let places = (0..61).map(|_| Aligned(empty())).collect();
        Places { places, slice: 0 }
    }

    fn next(&mut self) -> &mut T {
        self.slice = (self.slice + 1) % self.places.len();
        &mut self.places[self.slice].0
    }
}

/// Slots by value, one at a time.
pub(crate) fn slots(mut worker: Worker) -> impl FnMut(u64) {
    move |rounds| slot_rounds(&mut worker, rounds)
}

#[inline(never)]
fn slot_rounds(worker: &mut Worker, rounds: u64) {
    for _ in 0..rounds {
        let taken = worker.take_slot().expect("the pool is sound");
        let mut slot = taken.expect("the pool has enough");
        touch(&mut slot);
        worker.give_slot(slot).expect("the pool is sound");
    }
}

/// What users do: takes 32, writes the first line of each, gives them back.
pub(crate) fn first_lines(mut worker: Worker) -> impl FnMut(u64) {
    let mut places = Places::new(Batch::<32>::new);
    move |rounds| first_line_rounds(&mut worker, places.next(), rounds)
}

#[inline(never)]
fn first_line_rounds(worker: &mut Worker, batch: &mut Batch<32>, rounds: u64) {
    for round in 0..rounds {
        take(worker, batch, 32);
        for slot in &mut *batch {
            write_line(worker.bytes_mut(slot), round);
        }
        touch(&mut *batch);
        give(worker, batch, 32);
    }
}

#[inline(always)]
fn write_line(bytes: &mut [u8], word: u64) {
    for place in bytes[..64].chunks_exact_mut(8) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
}

/// Owned buffers, one at a time.
pub(crate) fn buffers(mut worker: Worker) -> impl FnMut(u64) {
    move |rounds| buffer_rounds(&mut worker, rounds)
}

#[inline(never)]
fn buffer_rounds(worker: &mut Worker, rounds: u64) {
    for _ in 0..rounds {
        let taken = worker.take().expect("the pool is sound");
        let mut buffer = taken.expect("the pool has enough");
        touch(&mut buffer);
        drop(buffer);
    }
}

pub(crate) fn keep<const N: usize>(mut worker: Worker) -> impl FnMut(u64) {
    let mut slots = Vec::with_capacity(KEEP);
    move |rounds| keep_rounds::<N>(&mut worker, &mut slots, rounds)
}

#[inline(never)]
fn keep_rounds<const N: usize>(worker: &mut Worker, slots: &mut Vec<Slot>, rounds: u64) {
    for _ in 0..rounds {
        for _ in 0..KEEP / N {
            take(worker, slots, N);
        }
        touch(&mut *slots);
        for _ in 0..KEEP / N {
            give(worker, slots, N);
        }
    }
}

/// One round is the whole pattern.
pub(crate) fn random(mut worker: Worker, pattern: &'static [u32]) -> impl FnMut(u64) {
    let mut places = Places::new(|| Vec::with_capacity(64));
    move |rounds| random_rounds(&mut worker, places.next(), pattern, rounds)
}

#[inline(never)]
fn random_rounds(worker: &mut Worker, slots: &mut Vec<Slot>, pattern: &[u32], rounds: u64) {
    for _ in 0..rounds {
        for &n in pattern {
            take(worker, slots, n as usize);
            touch(&mut *slots);
            give(worker, slots, n as usize);
        }
    }
}

pub(crate) fn produce(mut worker: Worker, lane: Arc<Lane<Batch<BATCH>>>) -> impl FnMut(u64) {
    move |rounds| {
        for round in 0..rounds {
            // SAFETY: this loop alone puts.
            unsafe { lane.put(round, |batch| take(&mut worker, batch, BATCH)) };
        }
    }
}

pub(crate) fn consume(mut worker: Worker, lane: Arc<Lane<Batch<BATCH>>>) -> impl FnMut(u64) {
    move |rounds| {
        for round in 0..rounds {
            // SAFETY: this loop alone takes.
            unsafe { lane.take(round, |batch| give(&mut worker, batch, BATCH)) };
        }
    }
}

/// The limit: as many handles copied out of a cache and back, and nothing else.
pub(crate) fn memcpy<const N: usize>() -> impl FnMut(u64) {
    let mut cache = Aligned([1u32; 512]);
    let mut places = Places::new(|| [0; N]);
    move |rounds| {
        let cache = &mut cache.0;
        touch(cache);
        let handles = places.next();
        for _ in 0..rounds {
            handles.copy_from_slice(&cache[512 - N..]);
            touch(&mut *handles);
            cache[512 - N..].copy_from_slice(handles);
            touch(&mut *cache);
        }
    }
}

/// A queue that many would take for a free list.
pub(crate) fn queue() -> Arc<ArrayQueue<u32>> {
    let queue = ArrayQueue::new(OBJECTS as usize);
    (0..OBJECTS).for_each(|index| queue.push(index).expect("it holds that many"));
    Arc::new(queue)
}

#[inline(always)]
fn pop<const N: usize>(queue: &ArrayQueue<u32>) -> [u32; N] {
    std::array::from_fn(|_| queue.pop().expect("the queue has enough"))
}

#[inline(always)]
fn push(queue: &ArrayQueue<u32>, handles: &[u32]) {
    for &handle in handles {
        queue.push(handle).expect("the queue has room");
    }
}

pub(crate) fn queue_hot<const N: usize>(queue: Arc<ArrayQueue<u32>>) -> impl FnMut(u64) {
    move |rounds| {
        for _ in 0..rounds {
            let mut handles = pop::<N>(&queue);
            touch(&mut handles);
            push(&queue, &handles);
        }
    }
}

pub(crate) fn queue_keep(queue: Arc<ArrayQueue<u32>>) -> impl FnMut(u64) {
    let mut handles = [0; KEEP];
    move |rounds| {
        for _ in 0..rounds {
            handles.fill_with(|| queue.pop().expect("the queue has enough"));
            touch(&mut handles);
            push(&queue, &handles);
        }
    }
}

pub(crate) fn queue_produce(
    queue: Arc<ArrayQueue<u32>>,
    lane: Arc<Lane<[u32; BATCH]>>,
) -> impl FnMut(u64) {
    move |rounds| {
        for round in 0..rounds {
            // SAFETY: this loop alone puts.
            unsafe { lane.put(round, |handles| *handles = pop(&queue)) };
        }
    }
}

pub(crate) fn queue_consume(
    queue: Arc<ArrayQueue<u32>>,
    lane: Arc<Lane<[u32; BATCH]>>,
) -> impl FnMut(u64) {
    move |rounds| {
        for round in 0..rounds {
            // SAFETY: this loop alone takes.
            unsafe { lane.take(round, |handles| push(&queue, handles)) };
        }
    }
}
