//! Objects of a device in DPDK's own chunk, on a stand-in for DPDK whose pages are those of files.

use std::ffi::{CStr, CString, c_void};
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{EINVAL, EIO, ENOBUFS};

use super::{Dpdk, drain, own, with_faults};
use crate::abi::{Level, Page};
use crate::dpdk::{KNOWN, PAGES, errors, lines};
use crate::mempool::{Keeper, Mempool};
use crate::{ops, segments};

const PAGE: usize = 4096;

/// How DPDK keeps its pages.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Files {
    /// As with `--single-file-segments` or `--no-huge`.
    One,
    /// As with hugepages.
    EachPage,
    /// One file, whose last page comes first.
    Backwards,
    /// As in memory that an application brought.
    None,
}

/// DPDK's memory: pages of files, side by side.
struct Chunk {
    /// What its files are called in `/proc/self/maps`.
    name: String,
    address: *mut c_void,
    len: usize,
    _files: Vec<OwnedFd>,
}

impl Chunk {
    /// Maps pages, and has the stand-in know them.
    fn new(len: usize, files: Files) -> Chunk {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("dpdk-chunk-{}-", NEXT.fetch_add(1, Ordering::Relaxed));
        let (flags, rights) = (libc::MAP_SHARED, libc::PROT_READ | libc::PROT_WRITE);
        let anywhere = flags | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, wherever the kernel wants it.
        let address = unsafe { libc::mmap(null_mut(), len, rights, anywhere, -1, 0) };
        assert_ne!(address, libc::MAP_FAILED);
        let step = if files == Files::EachPage { PAGE } else { len };
        let offset = |begin| match files {
            Files::Backwards => len - PAGE - begin,
            _ => begin % step,
        };
        let mut open = Vec::new();
        for begin in (0..len).step_by(step) {
            let file = memfd(&name, step);
            let at = address.wrapping_byte_add(begin);
            // SAFETY: over a part of the mapping of above.
            let at = unsafe {
                libc::mmap(
                    at,
                    step,
                    rights,
                    flags | libc::MAP_FIXED,
                    file.as_raw_fd(),
                    0,
                )
            };
            assert_ne!(at, libc::MAP_FAILED);
            open.push(file);
        }
        let pages = (0..len).step_by(PAGE).map(|begin| Page {
            address: address.addr() + begin,
            len: PAGE,
            file: (files != Files::None)
                .then(|| (open[begin / step].as_raw_fd(), offset(begin) as u64)),
        });
        PAGES.set(pages.collect());
        KNOWN.set(true);
        Chunk {
            name,
            address,
            len,
            _files: open,
        }
    }

    fn has(&self, object: *mut c_void) -> bool {
        (self.address.addr()..self.address.addr() + self.len).contains(&object.addr())
    }

    /// Counts the files' mappings: DPDK's own and those of devices.
    fn maps(&self) -> usize {
        let maps = fs::read_to_string("/proc/self/maps").expect("maps");
        maps.matches(&self.name).count()
    }

    /// Counts the descriptors of the files.
    fn descriptors(&self) -> usize {
        let all = fs::read_dir("/proc/self/fd").expect("fd");
        let links = all.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links
            .filter(|link| link.to_string_lossy().contains(&self.name))
            .count()
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        PAGES.take();
        // SAFETY: the mapping of `new`.
        unsafe { libc::munmap(self.address, self.len) };
    }
}

fn memfd(name: &str, len: usize) -> OwnedFd {
    let name = CString::new(name).expect("no NUL");
    // SAFETY: a name that ends with a zero.
    let file = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    assert!(file >= 0);
    // SAFETY: it was opened just now, for us alone.
    let file = unsafe { OwnedFd::from_raw_fd(file) };
    // SAFETY: an open file.
    assert_eq!(unsafe { libc::ftruncate(file.as_raw_fd(), len as i64) }, 0);
    file
}

#[test]
fn pages_that_follow_each_other_in_a_file_are_one_piece() {
    let page = PAGE as u64;
    for (files, pieces) in [
        (Files::One, vec![(0, 4 * page)]),
        (Files::EachPage, vec![(0, page); 4]),
        (
            Files::Backwards,
            vec![
                (7 * page, page),
                (6 * page, page),
                (5 * page, page),
                (4 * page, page),
            ],
        ),
    ] {
        let chunk = Chunk::new(8 * PAGE, files);
        let first = NonNull::new(chunk.address.cast::<u8>().wrapping_add(64)).expect("mapped");
        // SAFETY: no device has it.
        let memory = unsafe { segments::memory("mp", first, 3 * PAGE + 64) }.expect("memory");
        let sources = memory.sources();
        let found = sources.iter().map(|source| (source.offset, source.len));
        assert_eq!(found.collect::<Vec<_>>(), pieces, "{files:?}");
        assert_eq!((memory.as_ptr(), memory.len()), (first, 3 * PAGE + 64));
        // SAFETY: as above.
        let past = unsafe { segments::memory("mp", first, 8 * PAGE) };
        assert!(past.is_err_and(|why| why.contains("no segment")));
    }
}

/// Returns what the driver asks for: bytes of the chunk, and its alignment.
fn wanted(dpdk: &Dpdk) -> (usize, usize) {
    let (mut least, mut align) = (0, 0);
    let size = dpdk.0.size;
    let len = ops::calc_mem_size(&*dpdk.0, size, 12, &mut least, &mut align);
    assert_eq!(least, 64, "DPDK may bring less");
    (len as usize, align)
}

/// Returns the lines that name who can't share the memory.
fn named() -> Vec<String> {
    let mut lines = lines(Level::Notice);
    lines.retain(|line| line.contains("not in DPDK's segments"));
    lines
}

fn is_left(dpdk: &Dpdk) -> bool {
    // SAFETY: made by `alloc`, and not yet freed.
    match unsafe { &*dpdk.0.pool_data.cast::<Mempool>() }.keeper() {
        Keeper::Device(device) => device.placed().is_none(),
        Keeper::Shared(_) => panic!("it is on no device"),
    }
}

#[test]
fn objects_of_a_device_lie_in_dpdks_chunk_and_it_lets_go_before_dpdk_takes_it_back() {
    for files in [Files::One, Files::EachPage] {
        for backend in [c"sim:bmu", own("fifo")] {
            let chunk = Chunk::new(1 << 20, files);
            let (maps, descriptors) = (chunk.maps(), chunk.descriptors());
            let mut dpdk = Dpdk::new(300, backend);
            assert_eq!(dpdk.alloc(), 0, "{:?}", errors());
            for _ in 0..3 {
                let (len, align) = wanted(&dpdk);
                assert!(len >= 300 * (64 + 2176) && len < chunk.len && len.is_multiple_of(PAGE));
                assert_eq!(align, PAGE, "no page of another mempool's");
                let shown = dpdk.populate_from(chunk.address, len);
                assert!(shown.iter().all(|object| chunk.has(*object)), "{files:?}");
                assert!(chunk.maps() > maps, "the model maps them");
                let mut got = vec![null_mut(); 300];
                assert_eq!(
                    (dpdk.get(&mut got), dpdk.get(&mut [null_mut()])),
                    (0, -ENOBUFS)
                );
                assert_eq!((dpdk.put(&got), dpdk.count()), (0, 300));
                assert_eq!(wanted(&dpdk), (64, 64), "nothing more");
                assert!(!is_left(&dpdk));
                dpdk.0.populated_size = 300;
                drain(&mut dpdk);
                assert!(is_left(&dpdk));
                assert_eq!((chunk.maps(), chunk.descriptors()), (maps, descriptors));
                assert_eq!(
                    (dpdk.get(&mut got[..1]), dpdk.put(&got[..1])),
                    (-ENOBUFS, -EINVAL)
                );
                assert_eq!(dpdk.count(), 0);
                errors();
            }
            dpdk.0.populated_size = 300;
            dpdk.populate_from(chunk.address, chunk.len);
            drop(dpdk);
            assert_eq!((chunk.maps(), chunk.descriptors()), (maps, descriptors));
            assert_eq!((named(), errors()), (vec![], vec![]));
        }
    }
}

#[test]
fn objects_still_out_are_told_when_the_chunk_was_left_before() {
    for out in [0, 1, 63] {
        let chunk = Chunk::new(1 << 20, Files::One);
        let mut dpdk = Dpdk::new(63, c"sim:bmu");
        assert_eq!(dpdk.alloc(), 0);
        dpdk.populate_from(chunk.address, chunk.len);
        assert_eq!(dpdk.get(&mut vec![null_mut(); out]), 0);
        drain(&mut dpdk);
        assert!(is_left(&dpdk));
        drop(dpdk);
        let lines = lines(Level::Notice);
        let told: Vec<_> = lines
            .iter()
            .filter(|line| line.contains("still out"))
            .collect();
        match out {
            0 => assert!(told.is_empty(), "{told:?}"),
            out => assert!(told[0].contains(&format!(" {out} objects")), "{told:?}"),
        }
    }
}

/// Populates with a chunk in which the objects can't lie; the mempool works all the same, and one line says why.
fn lies_elsewhere(backend: &'static CStr, chunk: &Chunk, len: usize, says: &str) {
    let mut dpdk = Dpdk::new(200, backend);
    assert_eq!(dpdk.alloc(), 0, "{:?}", errors());
    let (maps, descriptors) = (chunk.maps(), chunk.descriptors());
    let shown = dpdk.populate_from(chunk.address, len);
    assert!(!shown.iter().any(|object| chunk.has(*object)), "{says}");
    assert_eq!((chunk.maps(), chunk.descriptors()), (maps, descriptors));
    let mut got = vec![null_mut(); 200];
    assert_eq!((dpdk.get(&mut got), dpdk.put(&got)), (0, 0));
    let lines = named();
    assert!(
        lines.len() == 1 && lines[0].contains(says) && lines[0].contains("virtio_user"),
        "{lines:?}"
    );
    // It keeps its own memory until it is freed: objects are out meanwhile.
    drain(&mut dpdk);
    assert!(!is_left(&dpdk));
    assert_eq!(errors(), [""; 0]);
}

#[test]
fn where_the_chunk_can_not_be_mapped_one_line_names_who_can_not_share_the_memory() {
    let chunk = Chunk::new(1 << 20, Files::EachPage);
    let full = c"sim:bmu?iommu-entries=20";
    lies_elsewhere(
        full,
        &chunk,
        chunk.len,
        "all 20 DMA mappings of this device are used",
    );
    drop(chunk);
    let chunk = Chunk::new(1 << 20, Files::One);
    lies_elsewhere(c"sim:bmu", &chunk, 1 << 16, "the 65536 bytes at");
    drop(chunk);
    let chunk = Chunk::new(1 << 20, Files::None);
    lies_elsewhere(c"sim:bmu", &chunk, chunk.len, "no file behind the memory");
}

#[test]
fn a_chunk_from_outside_is_refused_unless_dpdk_was_asked_for_as_much() {
    let chunk = Chunk::new(1 << 20, Files::One);
    let mut dpdk = Dpdk::new(200, c"sim:bmu");
    assert_eq!(dpdk.alloc(), 0);
    KNOWN.set(false);
    let len = wanted(&dpdk).0;
    let outside = dpdk.allocate(2 * len);
    assert_eq!(dpdk.offer(outside, 2 * len), (-libc::ENOMEM, 0));
    assert!(errors()[0].contains("which DPDK does not know") && named().is_empty());
    assert_eq!(
        dpdk.offer(outside, len),
        (200, 200),
        "rte_mempool_populate_anon"
    );
    let lines = named();
    assert!(
        lines.len() == 1 && lines[0].contains("no segment"),
        "{lines:?}"
    );
    assert!(!is_left(&dpdk) && !chunk.has(dpdk.pointer(0)));
}

#[test]
fn a_mempool_of_one_object_has_memory_of_its_own() {
    let chunk = Chunk::new(1 << 20, Files::One);
    let mut dpdk = Dpdk::new(1, c"sim:bmu");
    assert_eq!(dpdk.alloc(), 0);
    let shown = dpdk.populate_from(chunk.address, chunk.len);
    assert!(!chunk.has(shown[0]));
    for _ in 0..3 {
        let mut got = [null_mut()];
        assert_eq!((dpdk.get(&mut got), dpdk.put(&got)), (0, 0), "it stays");
    }
    let lines = named();
    assert!(
        lines.len() == 1 && lines[0].contains("one object"),
        "{lines:?}"
    );
}

#[test]
fn mempools_side_by_side_have_the_addresses_of_the_application() {
    let chunk = Chunk::new(1 << 20, Files::One);
    let mut mempools = Vec::new();
    let mut next = chunk.address;
    for _ in 0..3 {
        let mut dpdk = Dpdk::new(60, c"sim:bmu?seed=5");
        assert_eq!(dpdk.alloc(), 0);
        let (len, align) = wanted(&dpdk);
        assert!(next.addr().is_multiple_of(align));
        dpdk.populate_from(next, len);
        next = next.wrapping_byte_add(len);
        mempools.push(dpdk);
    }
    assert_eq!(lines(Level::Notice), [""; 0], "no other addresses");
}

#[test]
fn a_device_that_breaks_while_it_is_populated_lets_go_of_the_chunk() {
    let (mut broken, mut absent) = (0, 0);
    for nth in (1..700).step_by(13) {
        let chunk = Chunk::new(5 << 20, Files::One);
        let (maps, descriptors) = (chunk.maps(), chunk.descriptors());
        errors(); // of the device before, that may have been found gone when it was freed
        let fault = format!("[[fault]]\nkind = \"gone\"\nnth = {nth}\n");
        let (file, address) = with_faults("chunk", &fault);
        let mut dpdk = Dpdk::new(2000, address);
        let made = dpdk.alloc();
        fs::remove_file(file).expect("the device has read it");
        if made != 0 {
            continue;
        }
        let (answer, _) = dpdk.offer(chunk.address, chunk.len);
        broken += u32::from(answer == -EIO);
        absent += u32::from(answer == -libc::ENODEV);
        if answer < 0 {
            assert!(is_left(&dpdk), "{nth}: {answer}");
            assert_eq!((chunk.maps(), chunk.descriptors()), (maps, descriptors));
            let lines = errors();
            assert!(
                lines.len() == 1 && lines[0].contains("gone"),
                "{nth}: {lines:?}"
            );
        }
        assert_eq!(named(), [""; 0], "not a matter of memory");
    }
    assert!(broken > 0 && absent > 0, "{broken} {absent}");
}
