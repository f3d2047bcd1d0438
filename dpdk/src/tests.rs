//! The driver as DPDK uses it, on a stand-in for DPDK.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{EINVAL, EIO, ENOBUFS, ENODEV, ENOMEM, ENOTSUP};

use crate::abi::{Level, ObjectCallback, RteMempool, RteMempoolInfo};
use crate::create::{OnPages, Request};
use crate::dpdk::{
    self, CACHED, KNOWN, PAGE, PHYSICAL, PHYSICAL_BASE, PRIMARY, SHOW, errors, lines,
};
use crate::mempool::{Keeper, Mempool};

use crate::{config, hot, ops, table, totals};

#[path = "chunk_tests.rs"]
mod chunks;

/// A mempool as DPDK makes it, and the memory that it allocated for it.
struct Dpdk(Box<RteMempool>, Vec<Box<[Line]>>);

/// Memory as DPDK aligns it.
#[derive(Copy, Clone)]
#[repr(align(64))]
struct Line {
    _bytes: [u8; 64],
}

const HEADER: usize = 64;
const ELEMENT: usize = 2176;

impl Dpdk {
    fn new(objects: u32, config: &'static CStr) -> Dpdk {
        let mut name: [c_char; 26] = [0; 26];
        name[..2].copy_from_slice(&[b'm' as c_char, b'p' as c_char]);
        let mempool = Box::new(RteMempool {
            name,
            pool_data: null_mut(),
            pool_config: config.as_ptr().cast_mut().cast(),
            memzone: null_mut(),
            flags: 0,
            socket_id: -1,
            size: objects,
            cache_size: 0,
            elt_size: ELEMENT as u32,
            header_size: HEADER as u32,
            trailer_size: 0,
            private_data_size: 0,
            ops_index: 0,
            local_cache: null_mut(),
            populated_size: objects,
        });
        Dpdk(mempool, Vec::new())
    }

    fn alloc(&mut self) -> c_int {
        ops::alloc(&mut *self.0)
    }

    /// Populates, and returns the objects that DPDK was shown.
    fn populate(&mut self) -> Vec<*mut c_void> {
        let (mut least, mut align) = (0, 0);
        let size = self.0.size;
        let len = ops::calc_mem_size(&*self.0, size, 0, &mut least, &mut align) as usize;
        assert!(least <= len && align == 64);
        let chunk = self.allocate(len);
        self.populate_from(chunk, len)
    }

    fn allocate(&mut self, len: usize) -> *mut c_void {
        self.1
            .push(vec![Line { _bytes: [0; 64] }; len.div_ceil(64)].into_boxed_slice());
        self.1.last_mut().expect("there").as_mut_ptr().cast()
    }

    fn populate_from(&mut self, chunk: *mut c_void, len: usize) -> Vec<*mut c_void> {
        extern "C" fn seen(_: *mut RteMempool, list: *mut c_void, object: *mut c_void, iova: u64) {
            let physical = if dpdk::iova_is_address() {
                0
            } else {
                PHYSICAL_BASE
            };
            assert_eq!(iova, object as u64 ^ physical);
            // SAFETY: the list is the caller's, below; DPDK writes a header before each object, as here.
            unsafe {
                (*list.cast::<Vec<*mut c_void>>()).push(object);
                object.cast::<u8>().sub(24).write_bytes(0x5a, 24 + ELEMENT);
            }
        }
        let mut list: Vec<*mut c_void> = Vec::new();
        let argument = (&raw mut list).cast();
        let count = self.populate_by(chunk, len, seen, argument);
        assert_eq!(count, self.0.size as c_int);
        list
    }

    /// Offers memory, and returns what populating says and how many objects were shown.
    fn offer(&mut self, chunk: *mut c_void, len: usize) -> (c_int, u32) {
        extern "C" fn seen(_: *mut RteMempool, count: *mut c_void, _: *mut c_void, _: u64) {
            // SAFETY: the counter below.
            unsafe { *count.cast::<u32>() += 1 };
        }
        let mut count = 0u32;
        let answer = self.populate_by(chunk, len, seen, (&raw mut count).cast());
        (answer, count)
    }

    fn populate_by(
        &mut self,
        chunk: *mut c_void,
        len: usize,
        show: ObjectCallback,
        argument: *mut c_void,
    ) -> c_int {
        SHOW.set(Some((ops::populate, show, argument)));
        let size = self.0.size;
        let iova = chunk as u64 ^ if PHYSICAL.get() { PHYSICAL_BASE } else { 0 };
        ops::populate(&mut *self.0, size, chunk, iova, len, Some(show), argument)
    }

    fn made(objects: u32, config: &'static CStr) -> (Dpdk, Vec<*mut c_void>) {
        let mut dpdk = Dpdk::new(objects, config);
        assert_eq!(dpdk.alloc(), 0, "{:?}", errors());
        let list = dpdk.populate();
        (dpdk, list)
    }

    /// Takes every object out, as DPDK does after a populate that failed, before it gives the chunks back.
    fn give_back(&mut self) {
        for left in (0..self.0.size).rev() {
            assert_eq!(self.get(&mut [null_mut()]), 0);
            self.0.populated_size = left;
        }
    }

    fn put(&mut self, objects: &[*mut c_void]) -> c_int {
        put(&mut *self.0, objects)
    }

    fn get(&mut self, objects: &mut [*mut c_void]) -> c_int {
        get(&mut *self.0, objects)
    }

    fn count(&self) -> u32 {
        ops::get_count(&*self.0)
    }

    /// Returns an object of a device, whoever has it.
    fn pointer(&self, index: u32) -> *mut c_void {
        // SAFETY: made by `alloc`, and not yet freed.
        match unsafe { &*self.0.pool_data.cast::<Mempool>() }.keeper() {
            Keeper::Device(device) => device.placed().expect("a pool").pointer(index),
            Keeper::Shared(_) => panic!("it is on no device"),
        }
    }
}

fn put(mempool: *mut RteMempool, objects: &[*mut c_void]) -> c_int {
    let (enqueue, _) = hot::widths()[0];
    // SAFETY: as many objects as it is told.
    unsafe { enqueue(mempool, objects.as_ptr(), objects.len() as u32) }
}

fn get(mempool: *mut RteMempool, objects: &mut [*mut c_void]) -> c_int {
    let (_, dequeue) = hot::widths()[0];
    // SAFETY: as much room as it is told.
    unsafe { dequeue(mempool, objects.as_mut_ptr(), objects.len() as u32) }
}

impl Drop for Dpdk {
    fn drop(&mut self) {
        ops::free(&mut *self.0);
        // DPDK frees again what it never had made.
        ops::free(&mut *self.0);
    }
}

/// Takes objects off DPDK's list as it does when it frees a mempool.
fn drain(dpdk: &mut Dpdk) {
    let mut room = [null_mut()];
    while dpdk.0.populated_size > 0 {
        dpdk.get(&mut room);
        dpdk.0.populated_size -= 1;
    }
}

#[test]
fn objects_still_out_when_a_mempool_is_freed_are_told_and_counted_as_no_gets() {
    for (objects, cached) in [(2, 0), (2, 1), (63, 7)] {
        for out in 0..=objects {
            let (mut dpdk, _) = Dpdk::made(objects, c"ring");
            // An application's own failure is none of DPDK's.
            assert_eq!(dpdk.get(&mut vec![null_mut(); 64]), -ENOBUFS);
            assert_eq!(dpdk.get(&mut vec![null_mut(); out as usize]), 0);
            if out == objects {
                assert_eq!(dpdk.get(&mut [null_mut()]), -ENOBUFS);
            }
            drain(&mut dpdk);
            // SAFETY: made by `alloc`, and not yet freed.
            let state = unsafe { &*dpdk.0.pool_data.cast::<Mempool>() };
            let drained = state.drain().result(&dpdk.0).expect("it was drained");
            assert_eq!((drained.found, drained.missing), (objects - out, out));
            CACHED.set(cached);
            drop(dpdk);
            CACHED.set(0);
            let lines = lines(Level::Notice);
            let told: Vec<_> = lines
                .iter()
                .filter(|line| line.contains("still out"))
                .collect();
            match out.saturating_sub(cached) {
                0 => assert!(told.is_empty(), "{told:?}"),
                left => assert!(told[0].contains(&format!(" {left} objects")), "{told:?}"),
            }
        }
    }
}

#[test]
fn nothing_is_shown_twice() {
    let (mut dpdk, _) = Dpdk::made(64, c"sim:bmu");
    assert_eq!(dpdk.offer(null_mut(), 64), (0, 0));
    assert_eq!(dpdk.count(), 64);
    let (mut dpdk, _) = Dpdk::made(64, c"ring");
    let chunk = dpdk.1[0].as_mut_ptr().cast();
    assert_eq!(dpdk.offer(chunk, 1 << 16), (-ENOMEM, 0));
    assert!(errors()[0].contains("lie already"));
    assert_eq!(dpdk.count(), 64);
}

#[test]
fn what_was_given_back_may_be_brought_again() {
    for backend in [c"ring", c"stack"] {
        let (mut dpdk, shown) = Dpdk::made(64, backend);
        dpdk.give_back();
        let chunk = &mut dpdk.1[0];
        let (at, len) = (chunk.as_mut_ptr().cast(), size_of_val(&**chunk));
        assert_eq!(dpdk.populate_from(at, len), shown);
        assert_eq!(dpdk.count(), 64);
        dpdk.give_back();
        let elsewhere = dpdk.populate();
        assert_eq!(dpdk.count(), 64);
        assert_eq!(
            (dpdk.put(&shown[..1]), dpdk.get(&mut [null_mut()])),
            (-EINVAL, 0)
        );
        assert!(elsewhere.iter().all(|at| !shown.contains(at)));
    }
}

#[test]
fn a_child_of_fork_is_refused_and_leaves_the_parents_mempool_alone() {
    for backend in backends() {
        a_child_is_refused(Dpdk::made(64, backend).0);
    }
}

fn a_child_is_refused(mut dpdk: Dpdk) {
    // SAFETY: the child calls what is below, and leaves without running anything of this process.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = dpdk.get(&mut [null_mut()]) == -EINVAL;
        // One of its own makes the child no owner of its parent's.
        let has_own = Dpdk::new(8, c"ring").alloc() == 0;
        let still_refused = dpdk.get(&mut [null_mut()]) == -EINVAL;
        ops::free(&mut *dpdk.0);
        let is_left_alone = !dpdk.0.pool_data.is_null();
        let is_right = refused && has_own && still_refused && is_left_alone;
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(if is_right { 0 } else { 1 }) };
    }
    let mut status = -1;
    // SAFETY: waits for the child of above.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child was refused");
    assert_eq!(dpdk.get(&mut [null_mut(); 64]), 0);
}

#[test]
fn memory_from_outside_of_dpdk_is_refused_for_a_device_and_the_mempool_stays_usable() {
    for backend in [c"sim:bmu", own("fifo")] {
        let mut dpdk = Dpdk::new(64, backend);
        assert_eq!(dpdk.alloc(), 0);
        let mut chunk = vec![0u8; 1 << 20];
        for _ in 0..2 {
            let refused = dpdk.offer(chunk.as_mut_ptr().cast(), chunk.len());
            assert_eq!(refused, (-ENOMEM, 0));
        }
        let lines = errors();
        assert!(
            lines.len() == 1 && lines[0].contains("1048576 bytes"),
            "{lines:?}"
        );
        dpdk.populate();
        assert_eq!(dpdk.count(), 64);
    }
}

#[test]
fn memory_of_dpdks_stands_for_the_drivers_own_on_a_device() {
    KNOWN.set(true);
    let mut dpdk = Dpdk::new(64, c"sim:bmu");
    assert_eq!(dpdk.alloc(), 0);
    let mut chunk = vec![0u8; 1 << 16];
    let within = chunk.as_ptr_range();
    let shown = dpdk.populate_from(chunk.as_mut_ptr().cast(), chunk.len());
    assert!(
        shown
            .iter()
            .all(|at| !within.contains(&at.cast_const().cast()))
    );
}

#[test]
fn objects_in_software_lie_in_the_chunks_that_are_brought_and_nowhere_else() {
    for page in [0, 4096, 2 << 20] {
        PAGE.set(page);
        for (backend, pieces) in [(c"ring", 1), (c"stack", 1), (c"ring", 7), (c"stack", 7)] {
            let mut dpdk = Dpdk::new(70, backend);
            assert_eq!(dpdk.alloc(), 0, "{:?}", errors());
            let mut shown = Vec::new();
            for _ in 0..pieces {
                let len = 70 / pieces * 8192;
                let chunk = dpdk.allocate(len);
                let (size, populated) = (dpdk.0.size, shown.len());
                dpdk.0.size = 70 / pieces as u32;
                shown.extend(dpdk.populate_from(chunk, len));
                dpdk.0.size = size;
                let is_in = |at: &*mut c_void| {
                    let begin = at.addr() - HEADER;
                    begin >= chunk.addr() && begin + HEADER + ELEMENT <= chunk.addr() + len
                };
                assert!(shown[populated..].iter().all(is_in), "{page}");
            }
            let all: BTreeSet<_> = shown.iter().copied().collect();
            let mut got = [null_mut(); 70];
            for _ in 0..3 {
                assert_eq!((all.len(), dpdk.get(&mut got)), (70, 0));
                assert_eq!(BTreeSet::from(got), all);
                let mut wrong = got;
                wrong[69] = wrong[69].wrapping_byte_add(64);
                assert_eq!(dpdk.put(&wrong), -EINVAL);
                let parts = got.chunks(9).map(|part| put(&mut *dpdk.0, part));
                assert_eq!(parts.sum::<c_int>(), 0);
            }
            assert_eq!(dpdk.put(&got[..1]), -EINVAL, "it was freed twice");
            errors();
        }
    }
}

#[test]
fn a_device_is_driven_the_best_way_that_it_has() {
    let (mut dpdk, _) = Dpdk::made(64, c"sim:bmu?portals=0");
    let mut all = [null_mut(); 64];
    assert_eq!((dpdk.get(&mut all), dpdk.put(&all)), (0, 0));
}

/// An address of the model with faults, whose file is written for the occasion.
fn with_faults(name: &str, faults: &str) -> (std::path::PathBuf, &'static CStr) {
    let file = std::env::temp_dir().join(format!("hwpool-dpdk-{}-{name}", std::process::id()));
    std::fs::write(&file, faults).expect("a file of faults");
    let address = CString::new(format!("sim:bmu?faults={}", file.display()));
    // What DPDK is given lives as long as the program.
    let address = Box::leak(address.expect("no zero in it").into_boxed_c_str());
    (file, address)
}

#[test]
fn a_device_that_lies_or_is_gone_fails_gets_with_one_line_and_hurts_nobody() {
    for (name, fault) in [
        ("gone", "kind = \"gone\"\nnth = 400"),
        ("twice", "kind = \"duplicate-buffer\"\nnth = 5"),
        ("outside", "kind = \"out-of-range-buffer\"\nnth = 5"),
        ("between", "kind = \"misaligned-buffer\"\nnth = 5"),
        ("lost", "kind = \"lost-entry\"\nnth = 5"),
    ] {
        let (file, address) = with_faults(name, &format!("[[fault]]\n{fault}\n"));
        let (mut dpdk, _) = Dpdk::made(64, address);
        std::fs::remove_file(file).expect("the device has read it");
        let (mut other, _) = Dpdk::made(64, c"sim:bmu");
        let mark: *mut c_void = std::ptr::without_provenance_mut(0x77);
        let mut got = [mark; 8];
        let failed = (0..10_000).find_map(|_| {
            let answer = dpdk.get(&mut got);
            if answer != 0 {
                return Some(answer);
            }
            let answer = dpdk.put(&got);
            got = [mark; 8];
            (answer != 0).then_some(answer)
        });
        assert_eq!(failed, Some(-EIO), "{name}");
        assert_eq!(got, [mark; 8], "{name}: DPDK's cache breaks otherwise");
        let object = dpdk.pointer(0);
        for _ in 0..1000 {
            assert_eq!((dpdk.get(&mut got), dpdk.put(&[object])), (-EIO, -EIO));
        }
        assert_eq!(got, [mark; 8], "{name}");
        let lines = errors();
        assert!(
            lines.len() == 1 && lines[0].contains("poisoned"),
            "{lines:?}"
        );
        let mut all = [mark; 64];
        assert_eq!((other.get(&mut all), other.put(&all)), (0, 0));
    }
}

/// Makes, populates, uses and frees a mempool; returns the first errno.
fn live(config: &'static CStr, objects: u32) -> c_int {
    let mut dpdk = Dpdk::new(objects, config);
    let made = dpdk.alloc();
    if made != 0 {
        return made;
    }
    let (populated, _) = dpdk.offer(null_mut(), 64);
    if populated < 0 {
        return populated;
    }
    let mut got = [null_mut(); 64];
    let mut round = || match dpdk.get(&mut got) {
        0 => dpdk.put(&got),
        error => error,
    };
    (0..20)
        .map(|_| round())
        .find(|answer| *answer != 0)
        .unwrap_or(0)
}

#[test]
fn a_device_may_go_at_any_access() {
    let mut answers = BTreeSet::new();
    for nth in (1..700).step_by(7) {
        let fault = format!("[[fault]]\nkind = \"gone\"\nnth = {nth}\n");
        let (file, address) = with_faults("any", &fault);
        let answer = live(address, 2000);
        std::fs::remove_file(file).expect("the device has read it");
        let lines = errors();
        // It may also go while the mempool is freed, or after that.
        let told = if answer == 0 { 0..=1 } else { 1..=1 };
        assert!(told.contains(&lines.len()), "{nth}: {answer}, {lines:?}");
        assert!(lines.iter().all(|line| line.contains("gone")), "{lines:?}");
        answers.insert(answer);
    }
    assert_eq!(answers, BTreeSet::from([-ENODEV, -EIO, 0]));
}

#[test]
fn each_kind_of_mistake_is_told_once() {
    let (mut dpdk, shown) = Dpdk::made(64, c"sim:bmu");
    for _ in 0..1000 {
        assert_eq!(dpdk.put(&[null_mut()]), -EINVAL);
        assert_eq!(dpdk.put(&shown[..1]), -EINVAL);
        assert_eq!(dpdk.get(&mut [null_mut(); 65]), -ENOBUFS);
    }
    let lines = errors();
    assert!(
        lines.len() == 2
            && lines[0].contains("no object of this")
            && lines[1].contains("freed twice"),
        "{lines:?}"
    );
}

fn backends() -> [&'static CStr; 5] {
    let banks = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/data/described/banks.toml"
    );
    [c"ring", c"stack", c"sim:bmu", own("fifo"), own(banks)]
}

/// A device for one mempool: it has few lists, and other tests run at the same time.
fn own(model: &str) -> &'static CStr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let seed = NEXT.fetch_add(1, Ordering::Relaxed);
    leaked(format!("sim:{model}?seed={seed}"))
}

fn leaked(address: String) -> &'static CStr {
    Box::leak(CString::new(address).expect("no NUL").into_boxed_c_str())
}

#[test]
fn objects_go_in_and_come_out_as_the_same_pointers() {
    for backend in backends() {
        let (mut dpdk, shown) = Dpdk::made(300, backend);
        let all: BTreeSet<_> = shown.iter().copied().collect();
        assert_eq!((all.len(), dpdk.count()), (300, 300));
        assert!(
            all.iter()
                .all(|object| (*object as usize).is_multiple_of(64))
        );
        let mut got = vec![null_mut(); 300];
        for part in got.chunks_mut(70) {
            assert_eq!(dpdk.get(part), 0, "{backend:?}");
        }
        assert_eq!(got.iter().copied().collect::<BTreeSet<_>>(), all);
        assert_eq!(dpdk.count(), 0);
        assert_eq!(dpdk.put(&got), 0);
        assert_eq!(dpdk.count(), 300);
        assert_eq!(errors(), [""; 0]);
    }
}

#[test]
fn a_failed_get_leaves_the_array_alone() {
    for backend in backends() {
        let (mut dpdk, _) = Dpdk::made(64, backend);
        let mark: *mut c_void = std::ptr::without_provenance_mut(0x77);
        let mut got = [mark; 65];
        assert_eq!(dpdk.get(&mut got), -ENOBUFS);
        assert_eq!(got, [mark; 65], "DPDK's cache breaks otherwise");
        assert_eq!(dpdk.get(&mut got[..64]), 0, "and nothing was taken");
        assert_eq!(errors(), [""; 0], "an empty pool is no mistake");
    }
}

#[test]
fn foreign_pointers_are_refused_with_one_line_and_no_harm() {
    for backend in backends() {
        let (mut dpdk, shown) = Dpdk::made(64, backend);
        let (mut other, others) = Dpdk::made(64, c"ring");
        let mut got = [null_mut(); 2];
        assert_eq!(
            (dpdk.get(&mut got), other.get(&mut [null_mut(); 2])),
            (0, 0)
        );
        let inside = got[0].wrapping_byte_add(8);
        for wrong in [
            others[0],
            inside,
            null_mut(),
            got[0].wrapping_byte_sub(HEADER),
        ] {
            assert_eq!(dpdk.put(&[got[0], wrong]), -EINVAL);
        }
        let lines = errors();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("mp: free:") && lines[0].contains("no object of this mempool"));
        assert_eq!((dpdk.count(), other.count()), (62, 62), "all or none");
        assert_eq!(dpdk.put(&got), 0);
        assert!(shown.contains(&got[0]));
    }
}

#[test]
fn a_double_free_is_refused_at_once_by_a_device_and_when_it_shows_in_software() {
    let (mut dpdk, _) = Dpdk::made(64, c"sim:bmu");
    let mut got = [null_mut(); 4];
    assert_eq!(dpdk.get(&mut got), 0);
    assert_eq!(dpdk.put(&got[..1]), 0);
    assert_eq!(dpdk.put(&got[..1]), -EINVAL);
    assert_eq!(dpdk.put(&got[1..]), 0, "the pool goes on");
    assert_eq!(dpdk.count(), 64);
    let lines = errors();
    let says = format!("{:?} was freed twice", got[0]);
    assert!(lines.len() == 1 && lines[0].contains(&says), "{lines:?}");
    for backend in [c"ring", c"stack"] {
        let (mut dpdk, shown) = Dpdk::made(64, backend);
        assert_eq!(dpdk.get(&mut [null_mut()]), 0);
        assert_eq!(dpdk.put(&shown[..2]), -EINVAL, "one more than was out");
        assert_eq!((dpdk.put(&shown[..1]), dpdk.count()), (0, 64));
        let lines = errors();
        assert!(
            lines.len() == 1 && lines[0].contains("freed twice"),
            "{lines:?}"
        );
        assert_eq!(dpdk.count(), 64);
    }
}

#[test]
fn what_cannot_be_made_is_an_errno_and_a_line() {
    for (config, objects, errno, says) in [
        (c"nonsense", 64, EINVAL, "neither ring nor stack"),
        (c"sim:nothing", 64, EINVAL, "no model `nothing`"),
        (c"vfio:0000:7f:00.0", 64, ENODEV, "0000:7f:00.0"),
        (c"user:/nowhere/bmu.sock", 64, ENODEV, "/nowhere/bmu.sock"),
        (c"sim:bmu?buffers=100", 128, EINVAL, "100"),
        (c"sim:bmu?stride-max=1024", 64, EINVAL, "1024"),
        (c"sim:bmu?iommu-entries=1", 64, ENOMEM, "1 DMA mappings"),
        (c"ring", 0, EINVAL, "zero objects"),
    ] {
        let mut dpdk = Dpdk::new(objects, config);
        let made = dpdk.alloc();
        let lines = errors();
        assert_eq!(made, -errno, "{config:?}: {lines:?}");
        assert!(
            lines.len() == 1 && lines[0].contains(says),
            "{config:?}: {lines:?}"
        );
        assert_eq!(
            (dpdk.get(&mut [null_mut()]), dpdk.put(&[null_mut()])),
            (-EINVAL, -EINVAL)
        );
        assert_eq!(dpdk.count(), 0);
    }
}

#[test]
fn secondary_processes_have_mempools_in_software_only() {
    PRIMARY.set(false);
    assert_eq!(Dpdk::new(64, c"sim:bmu").alloc(), -ENOTSUP);
    assert!(errors()[0].contains("secondary process"));
    let (mut dpdk, _) = Dpdk::made(64, c"ring");
    assert_eq!(dpdk.get(&mut [null_mut(); 64]), 0);
}

#[test]
fn mempools_on_one_address_share_the_device() {
    let (mut first, _) = Dpdk::made(64, c"sim:bmu?seed=99");
    let (second, _) = Dpdk::made(64, c"sim:bmu?seed=99");
    drop(second);
    assert_eq!(first.get(&mut [null_mut(); 64]), 0);
}

/// A device has a list a mempool; the next device has those that find none, or that are too large.
#[test]
fn mempools_lie_on_the_first_device_that_has_room() {
    let small = concat!(
        "sim:",
        env!("CARGO_MANIFEST_DIR"),
        "/../describe/devices/pulp-mailbox.toml"
    );
    let both = leaked(format!("{small} {small}?seed=2"));
    let made = [Dpdk::made(16, both), Dpdk::made(16, both)];
    for (objects, says) in [(16, "lists of the device are in use"), (17, "`depth`")] {
        assert_eq!(Dpdk::new(objects, both).alloc(), -EINVAL);
        let lines = errors();
        assert_eq!(lines.len(), 1, "{lines:?}");
        let each = lines[0].matches(says).count();
        assert!(
            each == 2 && lines[0].contains("HWPOOL_BACKEND"),
            "{lines:?}"
        );
    }
    for (mut dpdk, _) in made {
        let mut all = [null_mut(); 16];
        assert_eq!((dpdk.get(&mut all), dpdk.put(&all)), (0, 0));
    }
    Dpdk::made(16, both);
}

#[test]
fn vectors_of_all_widths_move_the_same_objects_and_refuse_the_same_pointers() {
    const N: usize = 131;
    for backend in backends() {
        let (mut dpdk, shown) = Dpdk::made(N as u32, backend);
        let all = BTreeSet::from_iter(&shown);
        for (enqueue, dequeue) in hot::widths() {
            let mut got = [null_mut(); N];
            // SAFETY: as much room as it is told.
            let answer = unsafe { dequeue(&mut *dpdk.0, got.as_mut_ptr(), N as u32) };
            assert_eq!(answer, 0);
            assert_eq!(BTreeSet::from_iter(&got), all);
            // SAFETY: as many objects as it is told.
            let mut put = |objects: &[*mut c_void]| unsafe {
                enqueue(&mut *dpdk.0, objects.as_ptr(), objects.len() as u32)
            };
            for wrong in 0..N {
                let mut foreign = got;
                foreign[wrong] = foreign[wrong].wrapping_byte_add(64);
                assert_eq!(put(&foreign), -EINVAL, "{wrong}");
            }
            assert_eq!((0..N).map(|n| put(&got[n..=n])).sum::<c_int>(), 0);
            assert_eq!(dpdk.count(), N as u32);
        }
        errors();
    }
}

#[test]
fn threads_share_a_mempool() {
    struct Pointers([usize; 8]);
    for backend in backends() {
        let (mut dpdk, _) = Dpdk::made(64, backend);
        let address = (&raw mut *dpdk.0).expose_provenance();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    let mempool = std::ptr::with_exposed_provenance_mut::<RteMempool>(address);
                    for _ in 0..2000 {
                        let mut got = [null_mut(); 8];
                        if get(mempool, &mut got) == 0 {
                            let marks = Pointers(got.map(|object| object as usize));
                            for (object, mark) in got.iter().zip(&marks.0) {
                                // SAFETY: an object that is ours alone.
                                unsafe { object.cast::<usize>().write(*mark) };
                            }
                            for (object, mark) in got.iter().zip(&marks.0) {
                                // SAFETY: as above.
                                assert_eq!(unsafe { object.cast::<usize>().read() }, *mark);
                            }
                            assert_eq!(put(mempool, &got), 0);
                        }
                    }
                });
            }
        });
        assert_eq!(dpdk.count(), 64, "{backend:?}");
    }
}

#[test]
fn hugepage_objects_on_two_pages_are_left_out_where_addresses_are_physical() {
    PHYSICAL.set(true);
    let mut dpdk = Dpdk::new(2000, c"sim:bmu");
    if dpdk.alloc() != 0 {
        let lines = errors();
        assert!(lines[0].contains("must be hugepages"), "{lines:?}");
        assert!(
            std::env::var_os("HWPOOL_NO_SKIP").is_none(),
            "must not be skipped: {lines:?}"
        );
        return eprintln!("skipped: no free hugepages");
    }
    let shown = dpdk.populate();
    let page = |address: usize| address / (2 << 20);
    for object in &shown {
        let begin = *object as usize - HEADER;
        assert_eq!(
            page(begin),
            page(begin + HEADER + ELEMENT - 1),
            "{object:?}"
        );
    }
    assert_eq!((shown.len(), dpdk.count()), (2000, 2000));
    assert_eq!(dpdk.put(&shown[..1]), -EINVAL, "those left out are no room");
    assert!(errors()[0].contains("freed twice"));
}

fn on_pages(objects: u32, stride: usize) -> Result<OnPages, c_int> {
    let request = Request {
        name: "mp".into(),
        objects,
        stride,
        header: HEADER,
        socket: -1,
        node: None,
        page: 0,
        iova_is_address: false,
        beside: None,
        choice: config::Choice::Devices(vec!["sim:bmu".into()]),
    };
    OnPages::of(&request).map_err(|error| error.errno)
}

#[test]
fn as_many_objects_as_are_wanted_lie_on_one_page_whatever_their_size() {
    const PAGE: u64 = 2 << 20;
    for stride in (64..=PAGE).step_by(8 * 1031) {
        for wanted in [1, 2, 3, 7, 100, 4095] {
            let layout = on_pages(wanted, stride as usize).expect("a layout");
            let len = layout.stride as u64;
            assert!(len >= stride && len.is_multiple_of(64), "{stride}");
            let is_whole = |at: &u64| at * len / PAGE == ((at + 1) * len - 1) / PAGE;
            let whole = (0..u64::from(layout.objects)).filter(is_whole).count();
            assert_eq!(whole, wanted as usize, "of {stride}: {layout:?}");
            let most = 2 * (u64::from(wanted) * stride + PAGE);
            assert!(u64::from(layout.objects) * len <= most, "{layout:?}");
        }
    }
}

#[test]
fn objects_larger_than_a_page_are_refused_where_addresses_are_physical() {
    assert_eq!(on_pages(8, (2 << 20) + 1), Err(EINVAL));
    PHYSICAL.set(true);
    let mut dpdk = Dpdk::new(8, c"sim:bmu");
    dpdk.0.elt_size = 2 << 20;
    assert_eq!(dpdk.alloc(), -EINVAL);
    let lines = errors();
    assert!(
        lines.len() == 1 && lines[0].contains("larger than a page of 2097152"),
        "{lines:?}"
    );
}

#[test]
fn the_table_of_operations_is_whole() {
    let ops = table::operations();
    let name: Vec<u8> = ops
        .name
        .iter()
        .flat_map(|byte| byte.to_ne_bytes())
        .take_while(|byte| *byte != 0)
        .collect();
    assert_eq!(name, b"hwpool");
    let (mut chunk, mut align) = (0, 0);
    let calc = ops.calc_mem_size.expect("there");
    let (dpdk, _) = Dpdk::made(64, c"sim:bmu");
    assert_eq!(
        calc(&*dpdk.0, 1000, 12, &mut chunk, &mut align),
        64,
        "a token"
    );
    assert_eq!((chunk, align), (64, 64));
    let (dpdk, _) = Dpdk::made(64, c"ring");
    let stride = HEADER + ELEMENT;
    let all = calc(&*dpdk.0, 1000, 12, &mut chunk, &mut align) as usize;
    assert!(all >= 1000 * stride && all < 1003 * stride);
    assert!(chunk >= stride && align == 64);
    let mut info = RteMempoolInfo {
        contig_block_size: 7,
    };
    assert_eq!(ops.get_info.expect("there")(std::ptr::null(), &mut info), 0);
    assert_eq!(info.contig_block_size, 0);
    assert!(ops.alloc.is_some() && ops.enqueue.is_some() && ops.dequeue.is_some());
    assert!(ops.get_count.is_some() && ops.free.is_some() && ops.populate.is_some());
    assert!(totals::line().starts_with("HWPOOL: "));
}
