//! Another implementation of the protocol, rust-vmm's `vfio_user`: its client opens our server, our client its server.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hwpool::devices::bmu::regs;
use hwpool::devices::bus::{Bar, DmaSource, Doorbell, Iova, Irq, Transport};
use hwpool::sim::SimConfig;
use hwpool::user::server::Server;
use hwpool::user::{Client, PATIENCE, SimDevice};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::memfd::{MFdFlags, memfd_create};
use vfio_bindings::bindings::vfio;
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, ServerBackend, ServerRegion, SparseArea};

use crate::peer::sealed;

const MSIX: u32 = vfio::VFIO_PCI_MSIX_IRQ_INDEX;

fn socket() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("hwpool-interop-{}-{n}.sock", std::process::id()))
}

fn memory(len: u64) -> File {
    let file = File::from(memfd_create(c"memory", MFdFlags::MFD_CLOEXEC).unwrap());
    file.set_len(len).unwrap();
    file
}

#[test]
fn their_client_drives_our_server() {
    let path = socket();
    let mut config = SimConfig::default();
    config.set("mode", "threaded").unwrap();
    let mut device = SimDevice::new("bmu", config).unwrap();
    let server = Server::bind(&path).unwrap();
    let stop = server.stop_handle();
    let serving = thread::spawn(move || server.run(&mut device));

    let mut client = vfio_user::Client::new(&path).expect("their client opens");
    let mut word = [0; 4];
    client.region_read(0, 0, &mut word).unwrap();
    assert_eq!(&word, b"BMU1");
    let mut ids = [0; 4];
    client
        .region_read(vfio::VFIO_PCI_CONFIG_REGION_INDEX, 0, &mut ids)
        .unwrap();
    assert_eq!(ids, [0x34, 0x12, 0xf5, 0xb0]);
    client
        .region_write(0, 0xc, &0x1234_5678u32.to_le_bytes())
        .unwrap();
    client.region_read(0, 0xc, &mut word).unwrap();
    assert_eq!(u32::from_le_bytes(word), !0x1234_5678, "liveness");

    let bar = client
        .region(regs::OPERATION_BAR.into())
        .expect("the doorbells' region");
    assert_eq!(bar.size, regs::OPERATION_BAR_SIZE);
    assert!(bar.file_offset.is_some());
    let area = bar.sparse_areas[0];
    assert_eq!(
        (area.offset, area.size),
        (
            regs::banks::PORTAL_PAGE.base,
            64 * regs::banks::PORTAL_PAGE.stride
        )
    );

    let file = memory(0x2000);
    client
        .dma_map(0, 0x10_0000, 0x2000, file.as_raw_fd())
        .unwrap();
    client.dma_unmap(0x10_0000, 0x2000).unwrap();
    assert_eq!(client.get_irq_info(MSIX).unwrap().count, 32);
    let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).unwrap();
    let flags = vfio::VFIO_IRQ_SET_DATA_EVENTFD | vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
    client
        .set_irqs(MSIX, flags, 3, 1, &[bell.as_fd().as_raw_fd()])
        .unwrap();
    let flags = vfio::VFIO_IRQ_SET_DATA_NONE | vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
    client.set_irqs(MSIX, flags, 3, 1, &[]).unwrap();
    // A reply has come since, so the server has acted.
    client.region_read(0, 0, &mut word).unwrap();
    assert_eq!(bell.read().unwrap_or(0), 1);
    client.reset().unwrap();
    client.shutdown().unwrap();
    drop(client);

    // The next client, ours, finds the same device.
    let ours = Client::open(path.to_str().unwrap(), "user:ours", PATIENCE).unwrap();
    assert_eq!(ours.bar(0).unwrap().read32(0).unwrap(), 0x3155_4d42);
    drop(ours);
    stop.stop();
    serving.join().unwrap().unwrap();
    assert!(!path.exists(), "the socket's file goes with the server");
}

/// A device behind their server: memory, and what happened to it.
struct Backend {
    memory: Vec<u8>,
    eventfds: Vec<File>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Backend {
    fn note(&self, what: String) -> io::Result<()> {
        self.log.lock().unwrap().push(what);
        Ok(())
    }
}

impl ServerBackend for Backend {
    fn region_read(&mut self, _: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        data.copy_from_slice(&self.memory[offset as usize..][..data.len()]);
        Ok(())
    }

    fn region_write(&mut self, _: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        self.memory[offset as usize..][..data.len()].copy_from_slice(data);
        for eventfd in &self.eventfds {
            nix::unistd::write(eventfd, &1u64.to_ne_bytes())?;
        }
        Ok(())
    }

    fn dma_map(
        &mut self,
        _: DmaMapFlags,
        offset: u64,
        address: u64,
        size: u64,
        file: Option<File>,
    ) -> io::Result<()> {
        let file = file.is_some();
        self.note(format!(
            "map {address:#x}+{size:#x} at {offset:#x} file {file}"
        ))
    }

    fn dma_unmap(&mut self, _: DmaUnmapFlags, address: u64, size: u64) -> io::Result<()> {
        self.note(format!("unmap {address:#x}+{size:#x}"))
    }

    fn reset(&mut self) -> io::Result<()> {
        self.note("reset".into())
    }

    fn set_irqs(
        &mut self,
        index: u32,
        flags: u32,
        start: u32,
        count: u32,
        fds: Vec<File>,
    ) -> io::Result<()> {
        self.eventfds = fds;
        self.note(format!("irqs {index} {flags:#x} {start}+{count}"))
    }
}

/// Describes a region of theirs; with a file, its second page may be mapped.
fn their_region(index: u32, size: u64, file: Option<&File>) -> ServerRegion {
    let read_write = vfio::VFIO_REGION_INFO_FLAG_READ | vfio::VFIO_REGION_INFO_FLAG_WRITE;
    let mmap = file.map_or(0, |_| vfio::VFIO_REGION_INFO_FLAG_MMAP);
    let area = vfio::vfio_region_sparse_mmap_area {
        offset: 0x1000,
        size: 0x1000,
    };
    ServerRegion {
        region_info: vfio::vfio_region_info {
            argsz: 32,
            index,
            flags: read_write | mmap,
            size,
            ..Default::default()
        },
        sparse_areas: file.map(|_| SparseArea { area }).into_iter().collect(),
        mmap_fd: file.map(AsRawFd::as_raw_fd),
    }
}

#[test]
fn our_client_drives_their_server() {
    let path = socket();
    let file = sealed(0x2000);
    let regions = (0..9).map(|index| match index {
        0 => their_region(0, 0x2000, Some(&file)),
        7 => their_region(7, 0x1000, None),
        _ => their_region(index, 0, None),
    });
    let irqs = (0..5).map(|index| IrqInfo {
        index,
        flags: 1,
        count: if index == MSIX { 4 } else { 0 },
    });
    let server = vfio_user::Server::new(&path, true, irqs.collect(), regions.collect()).unwrap();
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut backend = Backend {
        memory: vec![0; 0x2000],
        eventfds: Vec::new(),
        log: Arc::clone(&log),
    };
    let serving = thread::spawn(move || {
        let _ = server.run(&mut backend);
    });

    let client = Client::open(path.to_str().unwrap(), "user:theirs", PATIENCE).expect("opens");
    let bar = client.bar(0).unwrap();
    bar.write32(8, 0x0102_0304).unwrap();
    bar.write64(16, 5).unwrap();
    assert_eq!(bar.read32(8).unwrap(), 0x0102_0304);
    assert_eq!(bar.read64(16).unwrap(), 5);
    client.config_write16(4, 6).unwrap();
    assert_eq!(client.config_read32(4).unwrap(), 6);
    bar.doorbell(0x1040).unwrap().ring(77).unwrap();
    let mut mapped = [0; 8];
    nix::sys::uio::pread(&file, &mut mapped, 0x1040).unwrap();
    assert_eq!(u64::from_le_bytes(mapped), 77, "a store, not a message");

    assert_eq!(client.irq_count().unwrap(), 4);
    let irq = client.irq(1).unwrap();
    bar.write32(8, 0).unwrap();
    assert_eq!(irq.wait(Duration::from_secs(5)).unwrap(), 1);
    let buffers = memory(0x3000);
    let source = DmaSource {
        file: buffers.as_fd(),
        offset: 0x1000,
        len: 0x2000,
    };
    client.dma_map(Iova(0x10_0000), source).unwrap();
    client.dma_unmap(Iova(0x10_0000), 0x2000).unwrap();
    client.reset().unwrap();
    drop((bar, irq, client));
    serving.join().unwrap();
    assert_eq!(
        *log.lock().unwrap(),
        [
            "irqs 2 0x24 1+1",
            "map 0x100000+0x2000 at 0x1000 file true",
            "unmap 0x100000+0x2000",
            "reset"
        ]
    );
    let _ = std::fs::remove_file(path);
}
