use std::fs;
use std::os::unix::fs::MetadataExt;
use std::ptr::NonNull;

use hwpool_devices::bus::DmaSource;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};

use super::*;
use crate::dma::Segment;
use crate::dma::error::Shortage;
use crate::dma::memory::Held;
use crate::dma::request::LABEL_MAX;
use crate::dma::testing::skip;
use crate::machine::testing::FakeMachine;

const MIB: usize = 1 << 20;
/// More than any address space has: were the checks broken, `mmap` would still refuse before memory is touched.
const ABSURD: usize = 1 << 50;

fn base(len: usize) -> MemoryRequest {
    MemoryRequest::new(len).pages(Pages::Exactly(PageSize::Base))
}

fn file(memory: &Memory) -> &fs::File {
    match &memory.pages {
        Held::Own { file, .. } => file,
        Held::Foreign(_) => panic!("it was allocated here"),
    }
}

/// Returns a value in KiB of the mapping with this label, from `/proc/self/smaps`.
fn smaps(label: &str, key: &str) -> usize {
    let text = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut lines = text.lines();
    lines
        .find(|l| l.contains(&format!("/memfd:{label} ")))
        .expect("not mapped");
    let line = lines.find(|l| l.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn base_pages_are_whole_zeroed_and_populated() {
    let page = PageSize::Base.bytes();
    let memory = Memory::allocate(&base(3 * page + 1).label("hwpool-test-base")).unwrap();
    assert_eq!(memory.len(), 4 * page);
    assert_eq!(memory.page_size(), PageSize::Base);
    assert_eq!(memory.warnings(), []);
    assert!(memory.as_ptr().addr().get().is_multiple_of(page));
    // st_blocks counts the pages that exist.
    assert_eq!(
        file(&memory).metadata().unwrap().blocks() * 512,
        memory.len() as u64
    );
    assert_eq!(smaps("hwpool-test-base", "Rss:"), memory.len() / 1024);
    for offset in (0..memory.len()).step_by(page / 2) {
        // SAFETY: offset is below len, and nobody else has this memory.
        assert_eq!(unsafe { memory.as_ptr().add(offset).read_volatile() }, 0);
    }
}

#[test]
fn the_file_is_what_is_mapped() {
    use std::os::unix::fs::FileExt;
    let memory = Memory::allocate(&base(1)).unwrap();
    let mut byte = [0];
    // SAFETY: offset 5 is below len, and nobody else has this memory.
    unsafe { memory.as_ptr().add(5).write_volatile(0xa5) };
    file(&memory).read_exact_at(&mut byte, 5).unwrap();
    assert_eq!(byte, [0xa5]);
}

#[test]
fn nobody_can_shorten_or_lengthen_the_file() {
    let memory = Memory::allocate(&base(1)).unwrap();
    assert!(file(&memory).set_len(0).is_err());
    assert!(file(&memory).set_len(1 << 30).is_err());
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    let found = fcntl(file(&memory), FcntlArg::F_GET_SEALS).unwrap();
    assert_eq!(found, seals.bits());
    let flags = fcntl(file(&memory), FcntlArg::F_GETFD).unwrap();
    assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
}

#[test]
fn sources_stay_inside() {
    let memory = Memory::allocate(&base(1)).unwrap();
    let len = memory.len();
    assert_eq!(
        (memory.sources()[0].offset, memory.sources()[0].len),
        (0, len as u64)
    );
    let half = memory.source_range(len / 2, len / 2).unwrap();
    assert_eq!((half.offset, half.len), (len as u64 / 2, len as u64 / 2));
    assert!(memory.source_range(len / 2, len / 2 + 1).is_none());
    assert!(memory.source_range(usize::MAX, 2).is_none());
}

#[test]
fn nothing_is_no_memory() {
    let error = Memory::allocate(&MemoryRequest::new(0)).unwrap_err();
    assert_eq!(error, MemoryError::Empty);
}

#[test]
fn labels_that_cannot_name_a_memfd_are_refused() {
    assert!(Memory::allocate(&base(1).label(&"x".repeat(LABEL_MAX))).is_ok());
    for label in ["nul\0nul", &"x".repeat(LABEL_MAX + 1)] {
        let error = Memory::allocate(&base(1).label(label)).unwrap_err();
        assert!(matches!(error, MemoryError::Label { .. }), "{error}");
    }
}

#[test]
fn more_than_there_is_gives_an_error() {
    let error = Memory::allocate(&base(ABSURD)).unwrap_err();
    assert!(
        matches!(error, MemoryError::NoMemory { len, available, .. } if len == ABSURD && available > 0),
        "{error}"
    );
    for len in [usize::MAX, isize::MAX as usize + 1] {
        for pages in [Pages::Largest, Pages::Exactly(PageSize::Huge1G)] {
            let request = MemoryRequest::new(len).pages(pages);
            let error = Memory::allocate(&request).unwrap_err();
            assert_eq!(error, MemoryError::TooLong { len });
        }
    }
}

#[test]
fn base_memory_is_asked_for_before_it_is_touched() {
    let tree = FakeMachine::new();
    let page = PageSize::Base.bytes();
    tree.write("proc/meminfo", format!("MemAvailable: {} kB", page / 1024));
    assert!(Memory::allocate_on(&tree.tree(), &base(page)).is_ok());
    let error = Memory::allocate_on(&tree.tree(), &base(page + 1)).unwrap_err();
    let expected = MemoryError::NoMemory {
        label: String::from("hwpool"),
        len: 2 * page,
        available: page as u64,
    };
    assert_eq!(error, expected);
}

#[test]
fn more_hugepages_than_there_are_give_an_error() {
    let pages = Pages::Exactly(PageSize::Huge2M);
    let request = MemoryRequest::new(ABSURD).pages(pages).label("greedy");
    let error = Memory::allocate(&request).unwrap_err();
    match &error {
        MemoryError::NoHugepages { label, shortage } => {
            assert_eq!(
                (label.as_str(), shortage.wanted),
                ("greedy", ABSURD / (2 * MIB))
            );
            assert!(shortage.free < shortage.wanted);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn falling_back_to_base_pages_warns_with_the_numbers() {
    let tree = FakeMachine::new();
    tree.hugepages(PageSize::Huge2M, None, 3, 2, 1);
    let memory = Memory::allocate_on(&tree.tree(), &MemoryRequest::new(4 * MIB)).unwrap();
    assert_eq!(memory.page_size(), PageSize::Base);
    let [Warning::BasePages(shortage)] = memory.warnings() else {
        panic!("{:?}", memory.warnings());
    };
    assert_eq!((shortage.wanted, shortage.free, shortage.total), (2, 1, 3));
}

#[test]
fn small_memory_has_base_pages_without_a_warning() {
    let tree = FakeMachine::new();
    let memory = Memory::allocate_on(&tree.tree(), &MemoryRequest::new(MIB - 1)).unwrap();
    assert_eq!(memory.page_size(), PageSize::Base);
    assert_eq!(memory.warnings(), []);
}

#[test]
fn hugepages_that_vanish_after_counting_are_a_fallback() {
    let tree = FakeMachine::new();
    // The tree promises more than this machine can have.
    tree.hugepages(PageSize::Huge2M, None, 1 << 20, 1 << 20, 0);
    let real = Shortage::of(&Tree::running(), PageSize::Huge2M, 1, None);
    let request = MemoryRequest::new((real.total + 1) * 2 * MIB);
    let memory = Memory::allocate_on(&tree.tree(), &request).unwrap();
    assert_eq!(memory.page_size(), PageSize::Base);
    assert!(matches!(memory.warnings(), [Warning::BasePages(_)]));
}

#[test]
fn memory_tells_its_node_and_is_bound_to_one_that_exists() {
    let anywhere = Memory::allocate(&base(1)).unwrap();
    let Some(node) = anywhere.node() else {
        return skip("the kernel does not tell NUMA nodes");
    };
    let memory = Memory::allocate(&base(1).node(Some(node)).label("hwpool-test-node")).unwrap();
    assert_eq!(memory.node(), Some(node));
    assert_eq!(memory.warnings(), []);
    let maps = fs::read_to_string("/proc/self/numa_maps").unwrap();
    let line = maps
        .lines()
        .find(|l| l.contains("hwpool-test-node"))
        .unwrap();
    assert!(line.contains(&format!("bind:{node}")), "{line}");
}

#[test]
fn a_node_is_a_preference() {
    let missing = Memory::allocate(&base(1).node(Some(777))).unwrap();
    assert_eq!(missing.warnings(), [Warning::NodeMissing { node: 777 }]);

    let tree = FakeMachine::new();
    tree.write("sys/devices/system/node/node777/cpulist", "");
    let refused = Memory::allocate_on(&tree.tree(), &base(1).node(Some(777))).unwrap();
    let errno = libc::EINVAL;
    assert_eq!(
        refused.warnings(),
        [Warning::NodeRefused { node: 777, errno }]
    );

    let text = "Node 0 MemFree: 1 kB\nNode 0 FilePages: 0 kB\nNode 0 Shmem: 0 kB\n";
    tree.write("sys/devices/system/node/node0/meminfo", text);
    let full = Memory::allocate_on(&tree.tree(), &base(1).node(Some(0))).unwrap();
    let (node, len, available) = (0, full.len(), 1024);
    let warning = Warning::NodeFull {
        node,
        len,
        available,
    };
    assert_eq!(full.warnings(), [warning]);
}

#[test]
fn hugepage_memory_is_taken_where_it_is_free() {
    let wanted = Shortage::of(&Tree::running(), PageSize::Huge2M, 2, None);
    if !wanted.is_none() {
        return skip(wanted);
    }
    let request = MemoryRequest::new(3 * MIB).label("hwpool-test-huge");
    let memory = Memory::allocate(&request).unwrap();
    assert_eq!(memory.page_size(), PageSize::Huge2M);
    assert_eq!(memory.len(), 4 * MIB);
    assert_eq!(memory.warnings(), []);
    assert_eq!(smaps("hwpool-test-huge", "KernelPageSize:"), 2048);
    // Hugepages have a count of their own, and only those that exist are in it.
    assert_eq!(smaps("hwpool-test-huge", "Private_Hugetlb:"), 4096);
    assert!(file(&memory).set_len(0).is_err());
    // SAFETY: the last byte is inside, and nobody else has this memory.
    let last = unsafe { memory.as_ptr().add(4 * MIB - 1).read_volatile() };
    assert_eq!(last, 0);
}

#[test]
fn memory_crosses_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Memory>();
}

fn segments(lengths: &[usize]) -> Vec<Segment> {
    let segment = |len: &usize| Segment {
        file: tempfile::tempfile().unwrap().into(),
        offset: 3 * PageSize::Base.bytes() as u64,
        len: *len,
    };
    lengths.iter().map(segment).collect()
}

/// Takes `len` bytes at an address that nobody reads.
fn foreign(at: usize, len: usize, segments: Vec<Segment>) -> Result<Memory, MemoryError> {
    let first = NonNull::new(std::ptr::without_provenance_mut::<u8>(at)).unwrap();
    let bytes = NonNull::slice_from_raw_parts(first, len);
    // SAFETY: nobody accesses the bytes.
    unsafe { Memory::foreign("theirs", bytes, PageSize::Base, segments) }
}

#[test]
fn somebody_elses_memory_is_where_it_is_and_in_his_files() {
    let page = PageSize::Base.bytes();
    let first = 16 * page + 64;
    let memory = foreign(first, 3 * page - 128, segments(&[2 * page, page])).unwrap();
    assert_eq!(memory.as_ptr().addr().get(), first);
    assert_eq!((memory.len(), memory.before()), (3 * page - 128, 64));
    assert_eq!(memory.label(), "theirs");
    let sources = memory.sources();
    let shape = |source: &DmaSource<'_>| (source.offset, source.len);
    let (offset, len) = (3 * page as u64, page as u64);
    let shapes: Vec<_> = sources.iter().map(shape).collect();
    assert_eq!(shapes, [(offset, 2 * len), (offset, len)]);
    let range = |offset, len| memory.source_range(offset, len).as_ref().map(shape);
    assert_eq!(range(0, 2 * page - 64), Some((offset + 64, 2 * len - 64)));
    assert_eq!(range(2 * page - 64, 64), Some((offset, 64)));
    assert_eq!(range(2 * page - 64, page - 64), Some((offset, len - 64)));
    for (from, len) in [(0, 2 * page), (2 * page - 64, page), (usize::MAX, 2)] {
        assert_eq!(range(from, len), None, "{from} {len}");
    }
}

#[test]
fn segments_that_are_not_the_pages_of_the_bytes_are_refused() {
    let page = PageSize::Base.bytes();
    for (at, len, lengths) in [
        (16 * page, 2 * page, &[page][..]),
        (16 * page, 2 * page, &[3 * page]),
        (16 * page + 64, 2 * page, &[2 * page]),
        (16 * page, page, &[page / 2, page / 2]),
        (16 * page, page, &[page, 0]),
        (16 * page, page, &[]),
        (16 * page + 4, page / 2, &[page]),
        (usize::MAX - 63, page, &[page]),
        (16 * page, page, &[usize::MAX / page * page, 2 * page]),
    ] {
        let refused = foreign(at, len, segments(lengths));
        let is_told = matches!(refused, Err(MemoryError::Segments { .. }));
        assert!(is_told, "{at:#x} {len} {lengths:?}");
    }
    assert_eq!(
        foreign(page, 0, Vec::new()).unwrap_err(),
        MemoryError::Empty
    );
    let mut odd = segments(&[page]);
    odd[0].offset = 64;
    assert!(foreign(page, page, odd).is_err());
}
