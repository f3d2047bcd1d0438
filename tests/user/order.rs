//! A client that posts its writes, as hypervisors do, and rings doorbells in mapped memory.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use hwpool::devices::bmu::regs;
use hwpool::devices::bus::{Bar, DmaSource, Doorbell, Iova, Irq, Transport};
use hwpool::sim::SimConfig;
use hwpool::user::codec::{Command, Header, RegionAccess};
use hwpool::user::{Client, ClientError, PATIENCE, SimDevice, UserBar, UserDoorbell, server};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::peer::message;

/// Where the rings and the status line are, and where the pool's buffers would be.
const MEMORY: u64 = 0x10_0000;
const BUFFERS: u64 = 1 << 36;
const STRIDE: u64 = 2048;
const ROUNDS: u64 = 64;
const PATIENT: Duration = Duration::from_secs(5);

/// A client that drives the device by hand, and the socket that it posts on besides.
struct Rig {
    client: Client,
    wire: UnixStream,
    control: UserBar,
    doorbell: UserDoorbell,
    memory: File,
}

impl Rig {
    fn new() -> (Rig, thread::JoinHandle<SimDevice>) {
        Rig::over(Ok)
    }

    fn over(
        adapt: impl Fn(Client) -> Result<Client, ClientError>,
    ) -> (Rig, thread::JoinHandle<SimDevice>) {
        let mut config = SimConfig::default();
        config.set("mode", "threaded").unwrap();
        let mut device = SimDevice::new("bmu", config).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let serving = thread::spawn(move || {
            server::serve_stream(theirs, &mut device);
            device
        });
        let wire = ours.try_clone().unwrap();
        let client = Client::from_stream(ours, "user:order", PATIENCE);
        let client = client.and_then(adapt).unwrap();
        let operation = client.bar(regs::OPERATION_BAR).unwrap();
        let doorbell = operation.doorbell(regs::PORTAL_DOORBELL.row().offset_of(0));
        let memory = File::from(memfd_create(c"rings", MFdFlags::MFD_CLOEXEC).unwrap());
        memory.set_len(0x1000).unwrap();
        let rig = Rig {
            control: client.bar(0).unwrap(),
            doorbell: doorbell.unwrap(),
            client,
            wire,
            memory,
        };
        (rig, serving)
    }

    /// Makes a pool, and a portal with rings of 16 entries that is not enabled yet.
    fn configure(&self) {
        self.client.config_write16(4, 6).unwrap();
        let source = DmaSource {
            file: self.memory.as_fd(),
            offset: 0,
            len: 0x1000,
        };
        self.client.dma_map(Iova(MEMORY), source).unwrap();
        let wide = |offset, value| self.control.write64(offset, value).unwrap();
        let narrow = |offset, value| self.control.write32(offset, value).unwrap();
        narrow(regs::CONTROL.row().offset(), 1);
        wide(regs::POOL_BASE.row().offset_of(0), BUFFERS);
        wide(regs::POOL_END.row().offset_of(0), BUFFERS + ROUNDS * STRIDE);
        narrow(regs::POOL_STRIDE.row().offset_of(0), STRIDE as u32);
        narrow(regs::POOL_CAPACITY.row().offset_of(0), ROUNDS as u32);
        narrow(regs::POOL_CONTROL.row().offset_of(0), 1);
        narrow(regs::PORTAL_SIZES.row().offset_of(0), 4 << 8 | 4);
        wide(regs::PORTAL_RELEASE_BASE.row().offset_of(0), MEMORY);
        wide(regs::PORTAL_ACQUIRE_BASE.row().offset_of(0), MEMORY + 0x400);
        wide(regs::PORTAL_STATUS_BASE.row().offset_of(0), MEMORY + 0x800);
        narrow(regs::PORTAL_CREDITS.row().offset_of(0), 1);
        narrow(regs::PORTAL_HYSTERESIS.row().offset_of(0), 1);
        assert_eq!(self.read(regs::POOL_STATUS.row().offset_of(0)) & 1, 1);
    }

    fn read(&self, offset: u64) -> u32 {
        self.control.read32(offset).unwrap()
    }

    /// Writes a register and does not wait.
    fn post(&mut self, offset: u64, value: u32) {
        let bytes = message(&Header::posted(0xffff, Command::RegionWrite), |m| {
            let (region, count) = (0, 4);
            RegionAccess {
                offset,
                region,
                count,
            }
            .encode(m);
            m.extend(value.to_le_bytes());
        });
        self.wire.write_all(&bytes).unwrap();
    }

    fn await_value(&self, offset: u64, value: u32) {
        let deadline = Instant::now() + PATIENT;
        while self.read(offset) != value {
            assert!(Instant::now() < deadline, "{offset:#x} is not {value}");
        }
    }
}

#[test]
fn a_doorbell_behind_a_posted_enable_belongs_to_the_portals_new_life() {
    counts_in_its_new_life(Rig::new());
}

/// The doorbell is mapped, so the model's own thread asks for memory, amid the accesses of this one.
#[test]
fn memory_without_a_file_is_reached_by_the_models_thread_amid_the_clients_accesses() {
    counts_in_its_new_life(Rig::over(Client::without_files));
}

fn counts_in_its_new_life((mut rig, serving): (Rig, thread::JoinHandle<SimDevice>)) {
    rig.configure();
    let control = regs::PORTAL_CONTROL.row().offset_of(0);
    for n in 0..ROUNDS {
        // The rings are zero, but for one buffer to release.
        let entry = (BUFFERS + n * STRIDE) | 1;
        nix::sys::uio::pwrite(&rig.memory, &[0; 0x1000], 0).unwrap();
        nix::sys::uio::pwrite(&rig.memory, &entry.to_le_bytes(), 0).unwrap();
        rig.post(control, 1);
        rig.doorbell.ring(1).unwrap();
        rig.await_value(regs::PORTAL_RELEASE_HEAD.row().offset_of(0), 1);
        assert_eq!(
            rig.read(regs::ERR_STATUS.row().offset()),
            0,
            "no error, round {n}"
        );
        rig.control.write32(control, 0).unwrap();
        rig.await_value(regs::PORTAL_STATUS.row().offset_of(0), 0);
    }
    drop(rig);
    serving.join().unwrap();
}

#[test]
fn a_doorbell_of_a_portal_that_stays_disabled_is_an_error_all_the_same() {
    let (rig, serving) = Rig::new();
    rig.configure();
    let disabled = 1 << 4;
    let irq = rig.client.irq(0).unwrap();
    let narrow = |offset, value| rig.control.write32(offset, value).unwrap();
    narrow(regs::ERR_VECTOR.row().offset(), 0);
    narrow(regs::ERR_ENABLE_SET.row().offset(), disabled);
    narrow(regs::IRQ_ENABLE_SET.row().offset(), 1);
    rig.doorbell.ring(1).unwrap();
    // No message follows, so the model's thread alone can have seen it.
    assert_eq!(irq.wait(PATIENT).unwrap(), 1);
    assert_eq!(rig.read(regs::ERR_STATUS.row().offset()), disabled);
    drop((irq, rig));
    serving.join().unwrap();
}

#[test]
fn a_client_that_shortens_its_memory_ends_no_server() {
    let (rig, serving) = Rig::new();
    rig.configure();
    let entry = BUFFERS | 1;
    nix::sys::uio::pwrite(&rig.memory, &entry.to_le_bytes(), 0).unwrap();
    let control = regs::PORTAL_CONTROL.row().offset_of(0);
    rig.control.write32(control, 1).unwrap();
    rig.doorbell.ring(1).unwrap();
    let taken = regs::PORTAL_RELEASE_HEAD.row().offset_of(0);
    rig.await_value(taken, 1);
    assert_eq!(
        rig.read(regs::ERR_STATUS.row().offset()),
        0,
        "it was reached"
    );
    // The next entry is gone: what is read there instead is no buffer, and an error.
    rig.memory.set_len(0).unwrap();
    rig.doorbell.ring(2).unwrap();
    let deadline = Instant::now() + PATIENT;
    while rig.read(regs::ERR_STATUS.row().offset()) == 0 {
        assert!(Instant::now() < deadline, "the device read nothing");
    }
    drop(rig);
    serving.join().unwrap();
}
