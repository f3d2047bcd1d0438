//! The VFIO layer alone, on a function that is none of ours: QEMU's teaching device `edu` (QEMU, docs/specs/edu.rst),
//! at the address in `HWPOOL_EDU`.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use hwpool::device::{AnyTransport, DeviceError};
use hwpool::devices::bus::{Bar, BusError, DmaBuffer, DmaError, Doorbell, Iova, Irq, Transport};
use hwpool::devices::pci;
use hwpool::dma::{Domain, Mapping, Memory, MemoryRequest, PageSize, Pages, Placement};
use hwpool::vfio::{Backend, Function, Notice, VfioBar};

const IDENTIFICATION: u64 = 0x00;
const LIVENESS: u64 = 0x04;
const FACTORIAL: u64 = 0x08;
const STATUS: u64 = 0x20;
const STATUS_COMPUTING: u32 = 1;
const INTERRUPT_STATUS: u64 = 0x24;
const INTERRUPT_RAISE: u64 = 0x60;
const INTERRUPT_ACKNOWLEDGE: u64 = 0x64;
const DMA_SOURCE: u64 = 0x80;
const DMA_DESTINATION: u64 = 0x88;
const DMA_COUNT: u64 = 0x90;
const DMA_COMMAND: u64 = 0x98;
const DMA_START: u64 = 1;
const DMA_TO_MEMORY: u64 = 2;
const DMA_INTERRUPT: u64 = 4;
/// The device's own 4096 bytes, at an address that only its DMA engine knows.
const OWN_BUFFER: u64 = 0x4_0000;

const SOON: Duration = Duration::from_secs(10);
/// Bits of an IOVA that edu drives as QEMU configures it.
const ADDRESS_WIDTH: u32 = 28;

struct Edu {
    function: Arc<Function>,
    registers: VfioBar,
    address: String,
}

/// Opens the device, or says that there is none and returns `None`.
fn edu() -> Option<Edu> {
    let Ok(address) = std::env::var("HWPOOL_EDU") else {
        eprintln!("skipped: HWPOOL_EDU names no device");
        return None;
    };
    let function = match AnyTransport::open(&address) {
        Ok(AnyTransport::Vfio(function)) => function,
        other => panic!("{address} does not open: {:?}", other.err()),
    };
    let registers = function.bar(0).expect("BAR 0");
    Some(Edu {
        function,
        registers,
        address,
    })
}

impl Edu {
    /// Waits until DMA that was started is over.
    fn wait_dma(&self) {
        let deadline = self.function.now() + SOON;
        while self.registers.read64(DMA_COMMAND).unwrap() & DMA_START != 0 {
            assert!(self.function.now() < deadline, "DMA does not end");
            self.function.relax();
        }
    }

    fn dma(&self, source: u64, destination: u64, count: u64, flags: u64) {
        self.registers.write64(DMA_SOURCE, source).unwrap();
        self.registers
            .write64(DMA_DESTINATION, destination)
            .unwrap();
        self.registers.write64(DMA_COUNT, count).unwrap();
        self.registers
            .write64(DMA_COMMAND, DMA_START | flags)
            .unwrap();
        self.wait_dma();
    }

    fn bdf(&self) -> String {
        let target = self.address["vfio:".len()..].split('?').next();
        target.unwrap().to_string()
    }

    fn mapping(
        &self,
        domain: &Arc<Domain<Function>>,
        pages: Pages,
        len: usize,
    ) -> Mapping<Function> {
        let memory = Memory::allocate(&MemoryRequest::new(len).pages(pages)).expect("memory");
        let at = Placement::Anywhere { align: 4096 };
        domain.map(Arc::new(memory), at).expect("a mapping")
    }
}

#[test]
fn identity_and_regions() {
    let Some(edu) = edu() else { return };
    let ids = pci::identity(&*edu.function).unwrap();
    assert_eq!((ids.vendor, ids.device), (0x1234, 0x11e8));
    assert_eq!(edu.registers.size(), 1 << 20);
    let mapped = edu.registers.mapped();
    assert_eq!(mapped.first(), Some(&(0..1 << 20)), "all of it: {mapped:?}");
    for bar in 1..8 {
        assert_eq!(edu.function.bar(bar).err(), Some(BusError::NoBar { bar }));
    }
    let config = edu.function.region(7).unwrap();
    assert!(
        config.readable && config.writable && !config.mappable && config.size >= 256,
        "{config:?}"
    );
    assert_eq!(
        edu.function.config_read32(4).unwrap() & 4,
        0,
        "Bus Master is off at open"
    );
    assert_eq!(
        edu.function.config_read32(0xffc).unwrap(),
        u32::MAX,
        "no extended space"
    );
    let wanted = match edu.address.rsplit_once("backend=") {
        Some((_, "cdev")) => Backend::Cdev,
        _ => Backend::Group,
    };
    assert_eq!(edu.function.backend(), wanted);
}

#[test]
fn registers_are_single_accesses() {
    let Some(edu) = edu() else { return };
    let registers = &edu.registers;
    assert_eq!(registers.read32(IDENTIFICATION), Ok(0x0100_00ed));
    for value in [0, 1, 0x1234_5678, u32::MAX] {
        registers.write32(LIVENESS, value).unwrap();
        assert_eq!(registers.read32(LIVENESS), Ok(!value));
    }
    registers.write32(FACTORIAL, 10).unwrap();
    let deadline = edu.function.now() + SOON;
    while registers.read32(STATUS).unwrap() & STATUS_COMPUTING != 0 {
        assert!(edu.function.now() < deadline);
    }
    assert_eq!(registers.read32(FACTORIAL), Ok(3_628_800));
    registers
        .write64(DMA_SOURCE, 0x0123_4567_89ab_cdef)
        .unwrap();
    assert_eq!(registers.read64(DMA_SOURCE), Ok(0x0123_4567_89ab_cdef));
    registers.doorbell(DMA_SOURCE).unwrap().ring(0x55).unwrap();
    assert_eq!(registers.read64(DMA_SOURCE), Ok(0x55));
    assert!(matches!(
        registers.read32(2),
        Err(BusError::Misaligned { .. })
    ));
    assert!(matches!(
        registers.read64((1 << 20) - 4),
        Err(BusError::OutOfRange { .. })
    ));
    assert!(registers.doorbell(1 << 20).is_err());
}

#[test]
fn dma_goes_where_it_is_mapped_and_nowhere_else() {
    let Some(edu) = edu() else { return };
    let domain = Domain::new(edu.function.clone(), ADDRESS_WIDTH).unwrap();
    pci::set_bus_master(&*edu.function, true).unwrap();
    let base = Pages::Exactly(PageSize::Base);
    let (out, back) = (
        edu.mapping(&domain, base, 8192),
        edu.mapping(&domain, base, 4096),
    );
    for word in (0..4096).step_by(8) {
        out.store64(word, 0xa5a5_0000 + word as u64);
    }
    edu.dma(out.iova().0, OWN_BUFFER, 4096, 0);
    edu.dma(OWN_BUFFER, back.iova().0, 4096, DMA_TO_MEMORY);
    for word in (0..4096).step_by(8) {
        assert_eq!(back.load64(word), 0xa5a5_0000 + word as u64, "word {word}");
        assert_eq!(out.load64(4096 + word), 0, "nothing behind it");
    }
    // The IOMMU stops what is no longer mapped; the write goes nowhere.
    let gone = back.iova().0;
    drop(back);
    let other = edu.mapping(&domain, base, 4096);
    let elsewhere = if other.iova().0 == gone {
        gone + (1 << 20)
    } else {
        gone
    };
    // Whoever runs this looks for the address in what the kernel logs of its IOMMU.
    eprintln!("nothing is mapped at {elsewhere:#x}");
    edu.dma(OWN_BUFFER, elsewhere, 4096, DMA_TO_MEMORY);
    for word in (0..4096).step_by(8) {
        assert_eq!(other.load64(word), 0, "word {word}");
    }
    assert_eq!(domain.quarantined(), 0);
}

#[test]
fn hugepages_are_one_mapping() {
    let Some(edu) = edu() else { return };
    let domain = Domain::new(edu.function.clone(), ADDRESS_WIDTH).unwrap();
    let before = edu.function.dma_limits().unwrap().entries_left;
    let huge = edu.mapping(&domain, Pages::Exactly(PageSize::Huge2M), 32 << 20);
    let after = edu.function.dma_limits().unwrap().entries_left;
    assert!(
        after == before || after == before - 1,
        "{before} to {after}"
    );
    pci::set_bus_master(&*edu.function, true).unwrap();
    let last = huge.size() - 4096;
    huge.store64(last, 77);
    edu.dma(huge.iova().0 + last as u64, OWN_BUFFER, 8, 0);
    edu.dma(OWN_BUFFER, huge.iova().0, 8, DMA_TO_MEMORY);
    assert_eq!(huge.load64(0), 77);
}

#[test]
fn mistakes_with_mappings_have_names() {
    let Some(edu) = edu() else { return };
    let function = &edu.function;
    let page = PageSize::Base.bytes();
    let request = MemoryRequest::new(2 * page).pages(Pages::Exactly(PageSize::Base));
    let memory = Memory::allocate(&request).unwrap();
    let limits = function.dma_limits().unwrap();
    assert!(
        limits.ranges.len() >= 2,
        "a window that the IOMMU keeps is left out: {limits:?}"
    );
    // iommufd tells the IOMMU's page, which is smaller than the system's where that has 64 KiB.
    let smallest = edu.address.contains("backend=cdev").then_some(4096);
    assert!(
        limits.page() == page as u64 || Some(limits.page()) == smallest,
        "{limits:?}"
    );
    let at = Iova(0x100_0000);
    function.dma_map(at, memory.sources()[0]).unwrap();
    let again = function.dma_map(at, memory.sources()[0]);
    assert!(matches!(again, Err(DmaError::Exists { .. })), "{again:?}");
    let part = function.dma_unmap(at, page as u64);
    assert!(matches!(part, Err(DmaError::NotMapped { .. })), "{part:?}");
    function.dma_unmap(at, 2 * page as u64).unwrap();
    let twice = function.dma_unmap(at, 2 * page as u64);
    assert!(
        matches!(twice, Err(DmaError::NotMapped { .. })),
        "{twice:?}"
    );
    // Behind a window that the IOMMU keeps: on x86 that of interrupt messages, on arm64 that of its interrupt controller.
    let kept = Iova(limits.ranges[0].end() + 1);
    let msi = function.dma_map(kept, memory.sources()[0]);
    assert!(
        matches!(msi, Err(DmaError::OutOfAperture { .. })),
        "{kept:?}: {msi:?}"
    );
    let odd = function.dma_map(Iova(0x100_0800), memory.sources()[0]);
    assert!(matches!(odd, Err(DmaError::Misaligned { .. })), "{odd:?}");
}

#[test]
fn interrupts_fire_exactly_once() {
    let Some(edu) = edu() else { return };
    // Messages are writes of the device's.
    pci::set_bus_master(&*edu.function, true).unwrap();
    assert_eq!(edu.function.irq_count(), Ok(1));
    let irq = edu.function.irq(0).expect("MSI");
    let same = edu.function.irq(0).expect("the same");
    assert!(matches!(
        edu.function.irq(1),
        Err(BusError::NoVector {
            vector: 1,
            count: 1
        })
    ));
    for round in 0..3 {
        edu.registers.write32(INTERRUPT_RAISE, 0x10).unwrap();
        assert_eq!(irq.wait(SOON), Ok(1), "round {round}");
        assert_eq!(edu.registers.read32(INTERRUPT_STATUS), Ok(0x10));
        edu.registers.write32(INTERRUPT_ACKNOWLEDGE, 0x10).unwrap();
        assert_eq!(same.wait(Duration::ZERO), Ok(0));
    }
    edu.registers.write64(DMA_COUNT, 0).unwrap();
    edu.dma(OWN_BUFFER, OWN_BUFFER, 0, DMA_TO_MEMORY | DMA_INTERRUPT);
    assert_eq!(irq.wait(SOON), Ok(1), "DMA that ends interrupts");
    edu.registers.write32(INTERRUPT_ACKNOWLEDGE, 0x100).unwrap();
    assert_eq!(edu.function.notices().wait(Duration::ZERO), Ok(None));
}

#[test]
fn the_legacy_interrupt_fires_once_until_it_is_unmasked() {
    let Some(edu) = edu() else { return };
    let intx = edu.function.intx().expect("INTx");
    for round in 0..3 {
        edu.registers.write32(INTERRUPT_RAISE, 1).unwrap();
        assert_eq!(intx.wait(SOON), Ok(1), "round {round}");
        assert_eq!(intx.wait(Duration::ZERO), Ok(0), "the kernel masks it");
        edu.registers.write32(INTERRUPT_ACKNOWLEDGE, 1).unwrap();
        intx.unmask().unwrap();
        assert_eq!(intx.wait(Duration::ZERO), Ok(0), "its cause is gone");
    }
    // A level that is still there fires as soon as it may.
    edu.registers.write32(INTERRUPT_RAISE, 1).unwrap();
    assert_eq!(intx.wait(SOON), Ok(1));
    intx.unmask().unwrap();
    assert_eq!(intx.wait(SOON), Ok(1));
    assert!(edu.function.irq(0).is_err(), "one kind at a time");
    drop(intx);
    edu.registers.write32(INTERRUPT_ACKNOWLEDGE, 1).unwrap();
    edu.function.irq(0).expect("MSI, once INTx is off");
}

#[test]
fn a_hot_reset_names_what_it_would_reset() {
    let Some(edu) = edu() else { return };
    let affected = edu.function.affected().expect("it is behind a port");
    let list: Vec<String> = affected.iter().map(|each| each.bdf.to_string()).collect();
    assert_eq!(list, [edu.bdf()], "alone on its bus");
    assert!(affected[0].is_ours);
    edu.function.hot_reset().expect("a bus of its own");
    assert_eq!(edu.registers.read32(IDENTIFICATION), Ok(0x0100_00ed));
}

/// Opens the files that lead to the function by its way in.
fn files(bdf: &str, backend: Backend) -> [std::fs::File; 2] {
    let device = std::path::Path::new("/sys/bus/pci/devices").join(bdf);
    let [function, iommu] = match backend {
        Backend::Group => {
            let group = std::fs::read_link(device.join("iommu_group")).unwrap();
            let number = group.file_name().unwrap().to_str().unwrap();
            [format!("/dev/vfio/{number}"), "/dev/vfio/vfio".into()]
        }
        Backend::Cdev => {
            let mut entries = std::fs::read_dir(device.join("vfio-dev")).unwrap();
            let name = entries.next().unwrap().unwrap().file_name();
            let path = format!("/dev/vfio/devices/{}", name.to_str().unwrap());
            [path, "/dev/iommu".into()]
        }
    };
    let open = |path: &str| std::fs::File::options().read(true).write(true).open(path);
    [function, iommu].map(|path| open(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
}

#[test]
fn descriptors_that_were_handed_over_lead_to_the_function() {
    let Some(edu) = edu() else { return };
    let (bdf, backend) = (edu.bdf(), edu.function.backend());
    drop(edu);
    let handed = files(&bdf, backend);
    let [fd, iommu] = handed.each_ref().map(AsRawFd::as_raw_fd);
    let address = format!("vfio:{bdf}?fd={fd}&iommu={iommu}");
    let Ok(AnyTransport::Vfio(function)) = AnyTransport::open(&address) else {
        panic!("{address} does not open");
    };
    assert_eq!(function.backend(), backend, "told by the file");
    let registers = function.bar(0).unwrap();
    assert_eq!(registers.read32(IDENTIFICATION), Ok(0x0100_00ed));
    let refusal = |address: &str| match AnyTransport::open(address).err() {
        Some(DeviceError::Vfio { source, .. }) => source.to_string(),
        other => panic!("{other:?}"),
    };
    let again = refusal(&address);
    assert!(again.contains("taken already"), "{again}");
    drop((registers, function));
    // The number still stands for something, but for nothing that keeps the function open.
    AnyTransport::open(&format!("vfio:{bdf}")).expect("nobody else has it open");
    // A context of the parent's serves again: what the function had in it went with it.
    let [again, _] = files(&bdf, backend);
    let fd = again.as_raw_fd();
    AnyTransport::open(&format!("vfio:{bdf}?fd={fd}&iommu={iommu}")).expect("the same context");
    let closed = refusal(&format!("vfio:{bdf}?fd=999&iommu={iommu}"));
    assert!(closed.contains("close-on-exec"), "{closed}");
}

#[test]
fn a_token_that_nobody_asked_for_is_refused() {
    let Some(edu) = edu() else { return };
    let joint = if edu.address.contains('?') { '&' } else { '?' };
    let token = "14d63f20-8445-11ea-8900-1f9ce7d5650d";
    let address = format!("{}{joint}token={token}", edu.address);
    drop(edu);
    let Some(DeviceError::Vfio { source, .. }) = AnyTransport::open(&address).err() else {
        panic!("edu has no virtual functions")
    };
    let text = source.to_string();
    assert!(text.contains("errno"), "{text}");
}

#[test]
fn a_function_has_one_owner_at_a_time() {
    let Some(edu) = edu() else { return };
    let second = AnyTransport::open(&edu.address).err();
    let text = match &second {
        Some(DeviceError::Vfio { source, .. }) => source.to_string(),
        other => panic!("{other:?}"),
    };
    let is_named = text.contains("is open in process") || text.contains("another process");
    assert!(is_named, "{text}");
    let address = edu.address.clone();
    drop(edu);
    AnyTransport::open(&address).expect("it opens again once it was closed");
}

#[test]
fn memory_decoding_can_not_be_switched_off() {
    let Some(edu) = edu() else { return };
    let refused = edu.function.config_write16(4, 0);
    assert!(
        matches!(refused, Err(BusError::Failed { .. })),
        "{refused:?}"
    );
    assert_eq!(edu.registers.read32(IDENTIFICATION), Ok(0x0100_00ed));
}

#[test]
fn unbinding_asks_for_the_function_back() {
    let Some(edu) = edu() else { return };
    let bdf = edu.bdf();
    let driver = "/sys/bus/pci/drivers/vfio-pci";
    let unbind = std::thread::spawn({
        let bdf = bdf.clone();
        move || std::fs::write(format!("{driver}/unbind"), bdf)
    });
    let notices = edu.function.notices();
    let asked = notices.wait(SOON).unwrap();
    let Some(Notice::ReleaseRequested { until }) = asked else {
        panic!("{asked:?}")
    };
    assert!(until > std::time::Instant::now(), "there is time to close");
    assert_eq!(notices.clone().wait(SOON), Ok(asked), "each waiter hears");
    assert_eq!(
        edu.registers.read32(IDENTIFICATION),
        Ok(0x0100_00ed),
        "still there"
    );
    assert!(!unbind.is_finished(), "it waits for this process");
    let address = edu.address.clone();
    drop(edu);
    unbind.join().unwrap().expect("unbound");
    let unbound = AnyTransport::open(&address).expect_err("nobody's now");
    let DeviceError::Vfio { source, .. } = unbound else {
        panic!("{unbound:?}")
    };
    assert!(
        source.to_string().contains("bound to no driver"),
        "{source}"
    );
    std::fs::write(format!("{driver}/bind"), bdf).expect("bound again");
    AnyTransport::open(&address).expect("it opens again");
}

#[test]
fn a_reset_works_or_says_why_not() {
    let Some(edu) = edu() else { return };
    edu.registers.write32(LIVENESS, 5).unwrap();
    match edu.function.reset() {
        Ok(()) => assert_eq!(edu.registers.read32(IDENTIFICATION), Ok(0x0100_00ed)),
        Err(BusError::Reset { cause }) => assert!(cause.contains("reset"), "{cause}"),
        Err(other) => panic!("{other}"),
    }
}
