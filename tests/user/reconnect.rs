//! The end of a server, or of a client, and what the next one finds.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use hwpool::device::Session;
use hwpool::devices::bmu::{Bmu, regs};
use hwpool::devices::bus::{Bar, BusError, DmaError, Transport};
use hwpool::devices::family::Choice;
use hwpool::dma::{Domain, Memory, MemoryRequest, PageSize, Pages, Placement};
use hwpool::sim::SimConfig;
use hwpool::user::codec::{Command, Header, RegionAccess};
use hwpool::user::server::{Server, StopHandle};
use hwpool::user::{Client, PATIENCE, SimDevice};
use hwpool::{Device, Pool};

use crate::peer::{Peer, Traced, message};

/// A model behind a socket, until it is stopped.
struct Serving {
    path: PathBuf,
    stop: StopHandle,
    serving: JoinHandle<SimDevice>,
}

impl Serving {
    fn new() -> Serving {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hwpool-reconnect-{}-{n}.sock", std::process::id());
        Serving::at(&std::env::temp_dir().join(name))
    }

    fn at(path: &Path) -> Serving {
        let mut config = SimConfig::default();
        config.set("mode", "threaded").unwrap();
        let mut device = SimDevice::new("bmu", config).unwrap();
        let server = Server::bind(path).unwrap();
        let stop = server.stop_handle();
        let serving = thread::spawn(move || {
            server.run(&mut device).expect("it serves");
            device
        });
        let path = path.into();
        Serving {
            path,
            stop,
            serving,
        }
    }

    /// Cuts its client off and frees the path.
    fn end(self) -> PathBuf {
        self.stop.stop();
        self.serving.join().expect("the server did not panic");
        self.path
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).unwrap()
    }

    fn open(&self) -> Device {
        Device::open(&format!("user:{}", self.path.display())).expect("the device opens")
    }
}

fn pool(device: &Device) -> Pool {
    let builder = Pool::builder("test").objects(64).size(2048).cache(0);
    let builder = builder.backend("bmu").device(device);
    builder.build().expect("the device makes a pool")
}

/// The device does all that it can do after a reset: every buffer goes out and comes back.
#[track_caller]
fn assert_works(device: &Device) {
    let pool = pool(device);
    let mut worker = pool.worker("next").unwrap();
    let mut held = Vec::new();
    assert!(worker.take_into(&mut held, 64).unwrap(), "all are free");
    worker.give_from(&mut held, 64).unwrap();
    drop(worker);
    let report = pool.close().unwrap();
    assert!(report.is_clean(), "{report}");
}

fn resets(client: &Client) -> u32 {
    let bar = client.bar(0).unwrap();
    bar.read32(regs::RESET_COUNT.row().offset()).unwrap()
}

#[test]
fn a_client_outlives_its_server_and_the_next_server_has_a_fresh_device() {
    let served = Serving::new();
    let device = served.open();
    let first = pool(&device);
    let mut worker = first.worker("first").unwrap();
    let held = worker.take().unwrap().expect("a buffer");
    let path = served.end();
    drop(held);
    // Rings take no message; what asks the device says what happened.
    let Device::User(session) = &device else {
        panic!("a socket's device");
    };
    let bmu: Arc<Bmu<Client>> = session.driver_as().expect("a BMU");
    match bmu.read(regs::SCRATCH) {
        Err(BusError::Gone { evidence }) => assert!(evidence.contains("closed"), "{evidence}"),
        other => panic!("{other:?} from a server that is gone"),
    }
    drop(worker);
    let end = first.close().map(|report| report.is_clean());
    assert_ne!(end.ok(), Some(true), "nobody can say where its buffers are");
    let address = format!("user:{}", path.display());
    let refused = Device::open(&address).expect_err("nobody listens");
    assert!(chain(&refused).contains("can't connect"), "{refused}");

    let served = Serving::at(&path);
    assert_works(&served.open());
    assert!(
        bmu.read(regs::SCRATCH).is_err(),
        "the old client does not come back to life"
    );
    served.end();
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

#[test]
fn memory_of_a_server_that_is_gone_is_freed() {
    let served = Serving::new();
    let client = Client::from_stream(served.connect(), "user:gone", PATIENCE).unwrap();
    let client = Arc::new(client);
    let domain = Domain::new(Arc::clone(&client), 48).unwrap();
    let request = MemoryRequest::new(4096).pages(Pages::Exactly(PageSize::Base));
    let memory = Arc::new(Memory::allocate(&request).unwrap());
    let weak = Arc::downgrade(&memory);
    let mapping = domain
        .map(memory, Placement::Anywhere { align: 1 })
        .unwrap();
    let (iova, len) = (mapping.iova(), 4096);
    served.end();
    drop(mapping);
    assert_eq!(domain.quarantined(), 0);
    assert!(weak.upgrade().is_none(), "nobody holds the memory");
    let again = client.dma_unmap(iova, len);
    assert_eq!(again, Err(DmaError::NotMapped { iova, len }));
}

#[test]
fn a_request_that_its_server_took_into_the_grave_is_not_repeated() {
    let path = std::env::temp_dir().join(format!("hwpool-grave-{}.sock", std::process::id()));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let grave = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut peer = Peer::new(stream);
        crate::client::play_opening(&mut peer);
        // The read that takes a buffer arrives, and nothing more is heard of the server. Its file stays.
        peer.next().header.command
    });
    let address = path.to_str().unwrap();
    let client = Client::open(address, "user:grave", PATIENCE).unwrap();
    let bar = client.bar(0).unwrap();
    let lost = bar.read64(8);
    assert!(
        matches!(&lost, Err(BusError::Gone { evidence }) if evidence.contains("died")),
        "{lost:?}"
    );
    assert_eq!(grave.join().unwrap(), Command::RegionRead as u16);
    // The next server takes the path over. It must see its own client's opening, and no more.
    let served = Serving::at(&path);
    let next = Client::open(address, "user:next", PATIENCE).unwrap();
    let before = resets(&next);
    assert_eq!(bar.read64(8), lost, "the same error, for good");
    client.reset().expect_err("the server is gone");
    assert_eq!(resets(&next), before, "no reset was sent");
    drop(next);
    served.end();
}

#[test]
fn a_client_that_dies_amid_a_message_is_followed_by_the_next() {
    let served = Serving::new();
    let write = message(&Header::command(3, Command::RegionWrite), |m| {
        let access = RegionAccess {
            offset: regs::SCRATCH.row().offset(),
            region: 0,
            count: 8,
        };
        access.encode(m);
        m.extend([0xee; 8]);
    });
    // In the header, behind it, in the data, and one byte before the end.
    for cut in [1, 15, 16, 20, 33, write.len() - 1] {
        let mut peer = Peer::new(served.connect());
        peer.greet();
        let traced = Traced::new();
        peer.send(&write[..cut], &[traced.raw()]);
        drop(peer);
        traced.assert_dropped("a message that never ends");
    }
    let mut client = Peer::new(served.connect());
    client.greet();
    let read = client.ask(Command::RegionRead, |m| {
        m.extend(&write[16..28]);
        m.extend(8u32.to_ne_bytes());
    });
    assert_eq!(read.ok()[16..], [0; 8], "no half of a write was done");
    drop(client);
    assert_works(&served.open());
    served.end();
}

#[test]
fn a_client_that_dies_with_rings_running_leaves_a_device_that_the_next_resets() {
    let served = Serving::new();
    let stream = served.connect();
    let mut wire = stream.try_clone().unwrap();
    let client = Arc::new(Client::from_stream(stream, "user:dying", PATIENCE).unwrap());
    let session = Session::open(Arc::clone(&client), &Choice::default()).unwrap();
    let device = Device::User(Arc::new(session));
    let dying = pool(&device);
    let mut worker = dying.worker("dying").unwrap();
    let mut held = Vec::new();
    assert!(worker.take_into(&mut held, 5).unwrap());
    let before = resets(&client);
    // Half a message, then the end: the rings run, five buffers are out.
    let reset = message(&Header::command(1, Command::DeviceReset), |_| ());
    wire.write_all(&reset[..9]).unwrap();
    wire.shutdown(Shutdown::Both).unwrap();
    assert!(matches!(
        client.reset(),
        Err(BusError::Reset { .. } | BusError::Gone { .. })
    ));

    let next = Client::open(served.path.to_str().unwrap(), "user:next", PATIENCE).unwrap();
    assert_eq!(resets(&next), before, "the device keeps its state");
    drop(next);
    assert_works(&served.open());
    drop((worker, held));
    let _ = dying.close();
    served.end();
}
