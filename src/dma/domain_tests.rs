use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::time::Duration;

use hwpool_devices::bus::{Bar, BusError, DmaBuffer, DmaLimits, DmaSource, Doorbell, Irq};

use super::*;
use crate::dma::mapping::Mapping;
use crate::dma::testing::skip;
use crate::dma::{MemoryRequest, PageSize, Pages, Segment};

const MIB: u64 = 1 << 20;
/// 16 MiB from 1 MiB on.
const START: Iova = Iova(MIB);

/// A bar, doorbell or interrupt that there is none of.
#[derive(Clone)]
enum Never {}

impl Doorbell for Never {
    fn ring(&self, _: u64) -> Result<(), BusError> {
        match *self {}
    }
}

impl Irq for Never {
    fn wait(&self, _: Duration) -> Result<u64, BusError> {
        match *self {}
    }
}

impl Bar for Never {
    type Doorbell = Never;
    fn size(&self) -> u64 {
        match *self {}
    }
    fn read32(&self, _: u64) -> Result<u32, BusError> {
        match *self {}
    }
    fn read64(&self, _: u64) -> Result<u64, BusError> {
        match *self {}
    }
    fn write32(&self, _: u64, _: u32) -> Result<(), BusError> {
        match *self {}
    }
    fn write64(&self, _: u64, _: u64) -> Result<(), BusError> {
        match *self {}
    }
    fn doorbell(&self, _: u64) -> Result<Never, BusError> {
        match *self {}
    }
}

/// Calls of one kind: how many there were, and which one shall fail, from 1.
#[derive(Default)]
struct Calls {
    made: u32,
    failing: Option<(u32, DmaError)>,
}

impl Calls {
    fn next(&mut self) -> Result<(), DmaError> {
        self.made += 1;
        match &self.failing {
            Some((call, error)) if *call == self.made => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

#[derive(Default)]
struct State {
    mapped: BTreeMap<Iova, u64>,
    maps: Calls,
    unmaps: Calls,
    /// Whether a map that fails with [`DmaError::Os`] takes place all the same.
    lost_reply: bool,
    /// Where the device finds what it is asked for next, last first, if it finds it by itself.
    physical: Vec<Iova>,
}

/// A transport with an IOMMU and nothing else.
#[derive(Default)]
struct Fake {
    state: Mutex<State>,
    /// Bytes of addresses beyond the usual 16 MiB.
    more_room: u64,
}

impl Fake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail_map(&self, call: u32, error: DmaError) {
        self.state().maps.failing = Some((call, error));
    }

    fn fail_unmap(&self, call: u32, error: DmaError) {
        self.state().unmaps.failing = Some((call, error));
    }
}

impl Transport for Fake {
    type Bar = Never;
    type Irq = Never;

    fn name(&self) -> &str {
        "fake:iommu"
    }
    fn bar(&self, bar: u8) -> Result<Never, BusError> {
        Err(BusError::NoBar { bar })
    }
    fn config_read32(&self, _: u16) -> Result<u32, BusError> {
        Ok(u32::MAX)
    }
    fn config_write32(&self, _: u16, _: u32) -> Result<(), BusError> {
        Ok(())
    }
    fn config_write16(&self, _: u16, _: u16) -> Result<(), BusError> {
        Ok(())
    }
    fn irq_count(&self) -> Result<u16, BusError> {
        Ok(0)
    }
    fn irq(&self, vector: u16) -> Result<Never, BusError> {
        Err(BusError::NoVector { vector, count: 0 })
    }
    fn reset(&self) -> Result<(), BusError> {
        Ok(())
    }
    fn dma_limits(&self) -> Result<DmaLimits, DmaError> {
        Ok(DmaLimits {
            ranges: vec![0..=17 * MIB + self.more_room - 1],
            page_sizes: PageSize::Base.bytes() as u64 | (2 << 20),
            entries_left: 8,
        })
    }
    fn dma_address(&self, _: DmaSource<'_>) -> Result<Option<Iova>, DmaError> {
        Ok(self.state().physical.pop())
    }
    fn dma_map(&self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
        let mut state = self.state();
        let result = state.maps.next();
        if result.is_ok() || state.lost_reply {
            state.mapped.insert(iova, source.len);
        }
        result
    }
    fn dma_unmap(&self, iova: Iova, len: u64) -> Result<(), DmaError> {
        let mut state = self.state();
        state.unmaps.next()?;
        if state.mapped.get(&iova) != Some(&len) {
            return Err(DmaError::NotMapped { iova, len });
        }
        state.mapped.remove(&iova);
        Ok(())
    }
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn relax(&self) {}
}

fn os_error() -> DmaError {
    DmaError::Os {
        call: "sendmsg",
        errno: libc::EIO,
        hint: String::from("the test says so"),
    }
}

fn exists() -> DmaError {
    let (iova, len) = (START, MIB);
    DmaError::Exists { iova, len }
}

fn domain() -> (Arc<Fake>, Arc<Domain<Fake>>) {
    let transport = Arc::new(Fake::default());
    let domain = Domain::new(Arc::clone(&transport), 48).unwrap();
    (transport, domain)
}

fn memory(pages: usize) -> Arc<Memory> {
    let request = MemoryRequest::new(pages * PageSize::Base.bytes())
        .pages(Pages::Exactly(PageSize::Base))
        .label("domain-test");
    Arc::new(Memory::allocate(&request).unwrap())
}

const ANYWHERE: Placement = Placement::Anywhere { align: 1 };

/// Memory of somebody else's in as many files as there are lengths, in pages, from this far into the first page on. The
/// address is none that anybody reads.
fn foreign(before: usize, lengths: &[usize]) -> Arc<Memory> {
    let page = PageSize::Base.bytes();
    let all = lengths.iter().sum::<usize>() * page;
    let segment = |pages: &usize| Segment {
        file: tempfile::tempfile().unwrap().into(),
        offset: 0,
        len: pages * page,
    };
    let first = std::ptr::without_provenance_mut::<u8>(16 * page + before);
    let bytes = NonNull::slice_from_raw_parts(NonNull::new(first).unwrap(), all - before);
    let segments = lengths.iter().map(segment).collect();
    // SAFETY: nobody accesses the bytes.
    Arc::new(unsafe { Memory::foreign("foreign", bytes, PageSize::Base, segments) }.unwrap())
}

#[test]
fn memory_of_several_files_is_one_range_of_addresses() {
    let (transport, domain) = domain();
    let page = PageSize::Base.bytes() as u64;
    let free = domain.iovas().available();
    let memory = foreign(64, &[1, 3, 2]);
    let mapping = domain.map(Arc::clone(&memory), ANYWHERE).unwrap();
    assert_eq!(mapping.iova(), Iova(START.0 + 64));
    assert_eq!(mapping.size() as u64, 6 * page - 64);
    let at = |pages| Iova(START.0 + pages * page);
    let expected = BTreeMap::from([(at(0), page), (at(1), 3 * page), (at(4), 2 * page)]);
    assert_eq!(transport.state().mapped, expected);
    drop(mapping);
    assert!(transport.state().mapped.is_empty());
    assert_eq!(domain.iovas().available(), free);
    let wanted = Iova(8 * MIB + 64);
    let mapping = domain.map(Arc::clone(&memory), Placement::Fixed(wanted));
    assert_eq!(mapping.unwrap().iova(), wanted);
    for at in [
        Placement::Fixed(Iova(8 * MIB)),
        Placement::Fixed(Iova(8)),
        Placement::Anywhere { align: 128 },
    ] {
        let refused = domain.map(Arc::clone(&memory), at);
        assert!(matches!(refused, Err(MapError::Address { .. })), "{at:?}");
    }
    assert_eq!(domain.iovas().available(), free);
}

#[test]
fn where_one_file_can_not_be_mapped_none_is() {
    for (error, unmaps) in [
        (DmaError::NoEntries { limit: 8 }, 2),
        (os_error(), 3), // it may be mapped all the same
    ] {
        let (transport, domain) = domain();
        let free = domain.iovas().available();
        transport.fail_map(3, error.clone());
        let memory = foreign(0, &[1, 1, 1, 1]);
        let refused = domain.map(Arc::clone(&memory), ANYWHERE);
        assert!(matches!(refused, Err(MapError::Refused { source, .. }) if source == error));
        assert_eq!(transport.state().unmaps.made, unmaps);
        assert!(transport.state().mapped.is_empty());
        assert_eq!(domain.iovas().available(), free);
        assert_eq!((domain.quarantined(), Arc::strong_count(&memory)), (0, 1));
    }
}

#[test]
fn a_file_that_stays_mapped_keeps_all_addresses() {
    let page = PageSize::Base.bytes() as u64;
    for failing in 1..=3 {
        let (transport, domain) = domain();
        transport.fail_unmap(failing, os_error());
        drop(domain.map(foreign(0, &[1, 1, 1]), ANYWHERE).unwrap());
        assert_eq!(transport.state().unmaps.made, 3, "the others are removed");
        assert_eq!(domain.quarantined(), 3 * page);
        let next = domain.map(memory(1), ANYWHERE).unwrap();
        assert_eq!(next.iova(), Iova(START.0 + 3 * page));
    }
}

#[test]
fn without_an_iommu_several_files_must_follow_each_other() {
    let page = PageSize::Base.bytes() as u64;
    let found = |pages: u64| Iova(2 * MIB + pages * page);
    let (transport, domain) = domain();
    transport.state().physical = vec![found(1), found(0)];
    let mapping = domain.map(foreign(64, &[1, 1]), ANYWHERE).unwrap();
    assert_eq!(mapping.iova(), Iova(2 * MIB + 64));
    transport.state().physical = vec![found(5), found(3)];
    let refused = domain.map(foreign(64, &[1, 1]), ANYWHERE);
    let source = DmaError::Elsewhere {
        iova: found(5),
        len: 2 * page - 64,
    };
    assert!(matches!(refused, Err(MapError::Refused { source: told, .. }) if told == source));
}

#[test]
fn a_mapping_lives_as_long_as_its_value() {
    let (transport, domain) = domain();
    let free = domain.iovas().available();
    let memory = memory(3);
    let mapping = domain.map(Arc::clone(&memory), ANYWHERE).unwrap();
    assert_eq!(mapping.iova(), START);
    assert_eq!(DmaBuffer::iova(&mapping), START);
    let expected = BTreeMap::from([(START, memory.len() as u64)]);
    assert_eq!(transport.state().mapped, expected);
    assert_eq!(transport.state().maps.made, 1);
    drop(mapping);
    assert!(transport.state().mapped.is_empty());
    assert_eq!(domain.iovas().available(), free);
    assert_eq!(Arc::strong_count(&memory), 1);
    assert_eq!(domain.quarantined(), 0);
}

#[test]
fn a_mapping_keeps_transport_and_memory() {
    let (transport, domain) = domain();
    let mapping = domain.map(memory(1), ANYWHERE).unwrap();
    let alive = Arc::downgrade(&transport);
    drop((transport, domain));
    assert!(alive.upgrade().is_some());
    mapping.store64(0, 1);
    drop(mapping);
    assert!(alive.upgrade().is_none());
}

#[test]
fn placement_is_honoured_or_refused() {
    let (transport, domain) = domain();
    let aligned = domain.map(memory(1), Placement::Anywhere { align: 2 * MIB });
    assert_eq!(aligned.unwrap().iova(), Iova(2 * MIB));
    let fixed = domain
        .map(memory(2), Placement::Fixed(Iova(4 * MIB)))
        .unwrap();
    assert_eq!(fixed.iova(), Iova(4 * MIB));
    let maps = transport.state().maps.made;
    for at in [
        Placement::Fixed(Iova(4 * MIB)),
        Placement::Fixed(Iova(0)),
        Placement::Anywhere { align: 32 * MIB },
        Placement::Anywhere { align: 3 },
    ] {
        let error = domain.map(memory(1), at).unwrap_err();
        assert!(matches!(error, MapError::Address { .. }), "{at:?}: {error}");
    }
    assert_eq!(
        transport.state().maps.made,
        maps,
        "refused before the transport is asked"
    );
}

#[test]
fn hugepage_mappings_lie_at_multiples_of_their_size() {
    let pages = Pages::Exactly(PageSize::Huge2M);
    let memory = match Memory::allocate(&MemoryRequest::new(1).pages(pages)) {
        Ok(memory) => Arc::new(memory),
        Err(error) => return skip(error),
    };
    let (_, domain) = domain();
    let mapping = domain.map(memory, ANYWHERE).unwrap();
    assert_eq!(mapping.iova(), Iova(2 * MIB));
}

/// As much as there is of 1 GiB: the number of pages must not matter.
#[test]
fn hugepage_memory_is_mapped_by_one_call_however_much_it_is() {
    let allocate = |pages: u64| {
        let request = MemoryRequest::new((pages * 2 * MIB) as usize);
        Memory::allocate(&request.pages(Pages::Exactly(PageSize::Huge2M)))
    };
    let memory = match allocate(512).or_else(|_| allocate(32)) {
        Ok(memory) => Arc::new(memory),
        Err(error) => return skip(error),
    };
    let transport = Arc::new(Fake {
        more_room: 1 << 30,
        ..Fake::default()
    });
    let domain = Domain::new(Arc::clone(&transport), 48).unwrap();
    let mapping = domain.map(memory, ANYWHERE).unwrap();
    assert_eq!(transport.state().maps.made, 1, "{} bytes", mapping.size());
    drop(mapping);
    assert_eq!(transport.state().unmaps.made, 1);
}

#[test]
fn words_are_shared_with_the_memory_and_little_endian() {
    let (_, domain) = domain();
    let mapping = domain.map(memory(1), ANYWHERE).unwrap();
    let last = mapping.size() - 8;
    mapping.store64(last, 0x0807_0605_0403_0201);
    let mut bytes = [0u8; 8];
    for (index, byte) in bytes.iter_mut().enumerate() {
        // SAFETY: the last eight bytes are inside, and nobody else has this memory.
        *byte = unsafe { mapping.memory().as_ptr().add(last + index).read_volatile() };
    }
    assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(mapping.load64(last), 0x0807_0605_0403_0201);
    assert_eq!(mapping.load64(last - 8), 0);
}

#[test]
fn accesses_past_the_end_or_between_words_panic() {
    let (_, domain) = domain();
    let mapping = Arc::new(domain.map(memory(1), ANYWHERE).unwrap());
    let slice = mapping.slice(64..128).unwrap();
    let size = mapping.size();
    for offset in [size, size - 4, 1, 4, 7, usize::MAX, usize::MAX - 7, 1 << 63] {
        let load = catch_unwind(AssertUnwindSafe(|| mapping.load64(offset)));
        let store = catch_unwind(AssertUnwindSafe(|| mapping.store64(offset, 1)));
        assert!(load.is_err() && store.is_err(), "{offset:#x}");
    }
    for offset in [64, 60, 1] {
        let load = catch_unwind(AssertUnwindSafe(|| slice.load64(offset)));
        assert!(load.is_err(), "{offset:#x}");
    }
}

#[test]
fn runs_of_words_are_words_and_panic_past_the_end() {
    let (_, domain) = domain();
    let mapping = Arc::new(domain.map(memory(1), ANYWHERE).unwrap());
    let slice = mapping.slice(64..128).unwrap();
    slice.store_all(40, &[1, 2, 3]);
    assert_eq!([104, 112, 120].map(|at| mapping.load64(at)), [1, 2, 3]);
    let mut words = [0; 2];
    mapping.load_all(112, &mut words);
    assert_eq!(words, [2, 3]);
    for (offset, n) in [(48, 3), (0, 9), (64, 1), (4, 1), (usize::MAX - 7, 2)] {
        let load = catch_unwind(|| slice.load_all(offset, &mut vec![0; n]));
        let store = catch_unwind(|| slice.store_all(offset, &vec![0; n]));
        assert!(load.is_err() && store.is_err(), "{offset:#x}, {n} words");
    }
    assert_eq!(mapping.load64(128), 0);
}

#[test]
fn slices_are_pieces_of_the_mapping_and_keep_it() {
    let (transport, domain) = domain();
    let mapping = Arc::new(domain.map(memory(1), ANYWHERE).unwrap());
    let size = mapping.size();
    let slice = mapping.slice(64..128).unwrap();
    assert_eq!((slice.iova(), slice.size()), (Iova(START.0 + 64), 64));
    slice.store64(56, 7);
    assert_eq!(mapping.load64(120), 7);
    #[expect(clippy::reversed_empty_ranges, reason = "to be refused")]
    for range in [64..64, 128..64, 4..64, 0..12, 0..size + 8, size..size + 8] {
        assert!(mapping.slice(range.clone()).is_none(), "{range:?}");
    }
    assert!(mapping.slice(0..size).is_some());
    drop(mapping);
    assert_eq!(transport.state().mapped.len(), 1);
    drop(slice);
    assert!(transport.state().mapped.is_empty());
}

#[test]
fn a_failing_unmap_quarantines_memory_and_addresses() {
    let (transport, domain) = domain();
    transport.fail_unmap(1, os_error());
    let memory = memory(2);
    let len = memory.len() as u64;
    let alive = Arc::downgrade(&memory);
    drop(domain.map(memory, ANYWHERE).unwrap());
    assert!(alive.upgrade().is_some(), "the device may still reach it");
    assert_eq!(domain.quarantined(), len);
    let next = domain.map(self::memory(1), ANYWHERE).unwrap();
    assert_eq!(next.iova(), Iova(START.0 + len));
    let again = domain
        .map(self::memory(1), Placement::Fixed(START))
        .unwrap_err();
    assert!(matches!(again, MapError::Address { .. }), "{again}");
}

#[test]
fn a_refused_map_gives_memory_and_addresses_back() {
    let (transport, domain) = domain();
    transport.fail_map(1, DmaError::NoEntries { limit: 8 });
    let memory = memory(1);
    let error = domain.map(Arc::clone(&memory), ANYWHERE).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("fake:iommu: mapping the memory of domain-test at 0x100000"),
        "{text}"
    );
    assert_eq!(Arc::strong_count(&memory), 1);
    assert_eq!(transport.state().unmaps.made, 0);
    assert_eq!(domain.map(memory, ANYWHERE).unwrap().iova(), START);
}

#[test]
fn a_map_with_a_lost_reply_is_undone() {
    for lost_reply in [true, false] {
        let (transport, domain) = domain();
        transport.fail_map(1, os_error());
        transport.state().lost_reply = lost_reply;
        domain.map(memory(1), ANYWHERE).unwrap_err();
        assert!(transport.state().mapped.is_empty());
        assert_eq!(domain.quarantined(), 0);
        assert_eq!(domain.map(memory(1), ANYWHERE).unwrap().iova(), START);
    }
}

#[test]
fn a_map_that_can_neither_be_confirmed_nor_undone_is_quarantined() {
    let (transport, domain) = domain();
    transport.fail_map(1, os_error());
    transport.fail_unmap(1, os_error());
    let memory = memory(1);
    let alive = Arc::downgrade(&memory);
    let len = memory.len() as u64;
    domain.map(memory, ANYWHERE).unwrap_err();
    assert!(alive.upgrade().is_some());
    assert_eq!(domain.quarantined(), len);
}

#[test]
fn somebody_elses_mapping_is_left_alone_and_avoided() {
    let (transport, domain) = domain();
    transport.fail_map(1, exists());
    domain.map(memory(1), ANYWHERE).unwrap_err();
    assert_eq!(transport.state().unmaps.made, 0);
    let page = PageSize::Base.bytes() as u64;
    let next = domain.map(memory(1), ANYWHERE).unwrap();
    assert_eq!(next.iova(), Iova(START.0 + page));

    let fixed = Placement::Fixed(Iova(8 * MIB));
    transport.fail_map(3, exists());
    assert!(matches!(
        domain.map(memory(1), fixed),
        Err(MapError::Refused { .. })
    ));
    assert!(domain.map(memory(1), fixed).is_ok());
}

#[test]
fn a_device_that_reaches_no_address_has_no_domain() {
    for width in [0, 20, 65] {
        let error = Domain::new(Arc::new(Fake::default()), width).unwrap_err();
        assert!(matches!(error, DomainError::Addresses { .. }), "{error}");
    }
}

#[test]
fn mappings_cross_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Mapping<Fake>>();
    check::<crate::dma::Slice<Fake>>();
}

/// Tells what went wrong in a child that has copies of a mapping, its domain and their transport; 0 is nothing.
fn end_in_child(transport: &Arc<Fake>, domain: Arc<Domain<Fake>>, mapping: Mapping<Fake>) -> i32 {
    let told = domain.map(mapping.memory().clone(), ANYWHERE);
    if !matches!(told, Err(MapError::OtherProcess { .. })) {
        return 1;
    }
    drop((mapping, domain));
    let state = transport.state();
    match (state.maps.made, state.unmaps.made) {
        (1, 0) if Arc::strong_count(transport) > 1 => 0,
        (1, 0) => 2,
        _ => 3,
    }
}

#[test]
fn a_child_of_fork_changes_nothing_and_keeps_the_transport() {
    let (transport, domain) = domain();
    let mapping = domain.map(memory(1), ANYWHERE).unwrap();
    // SAFETY: the child waits for nobody, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = end_in_child(&transport, domain, mapping);
        // SAFETY: ends the child alone.
        unsafe { libc::_exit(code) };
    }
    let mut status = -1;
    // SAFETY: waits for the child that was just made.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(libc::WIFEXITED(status), "{status}");
    assert_eq!(libc::WEXITSTATUS(status), 0, "that went wrong in the child");
    drop((mapping, domain));
    assert_eq!(transport.state().unmaps.made, 1);
    assert_eq!(Arc::strong_count(&transport), 1);
}
