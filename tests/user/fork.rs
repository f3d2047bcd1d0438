//! A child of `fork` leaves its parent's device alone.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use hwpool::device::{ListError, Session};
use hwpool::devices::bus::Iova;
use hwpool::devices::family::{Choice, ListConfig};
use hwpool::dma::{MapError, Mapping, Memory, MemoryRequest, Placement};
use hwpool::sim::SimConfig;
use hwpool::user::{Client, PATIENCE, SimDevice, SimMonitor, server};
use hwpool::{Device, Pool};

/// Opens a model behind a socket.
fn open() -> (Arc<Session<Client>>, SimMonitor) {
    let config = SimConfig::new("bmu").unwrap();
    let mut model = SimDevice::new("bmu", config).unwrap();
    let monitor = model.monitor();
    let (ours, theirs) = UnixStream::pair().unwrap();
    thread::spawn(move || server::serve_stream(theirs, &mut model));
    let client = Client::from_stream(ours, "user:pair", PATIENCE).unwrap();
    let session = Session::open(Arc::new(client), &Choice::Recognised).unwrap();
    (Arc::new(session), monitor)
}

/// What the parent has when it forks. The child takes it out of its copy.
struct Parents {
    session: Arc<Session<Client>>,
    mapping: Mapping<Client>,
    memory: Arc<Memory>,
}

impl Parents {
    fn of(session: Arc<Session<Client>>) -> Parents {
        let memory = Arc::new(Memory::allocate(&MemoryRequest::new(4096)).unwrap());
        let at = Placement::Anywhere { align: 1 };
        let mapping = session.domain.map(memory.clone(), at).unwrap();
        Parents {
            session,
            mapping,
            memory,
        }
    }

    /// Asks for everything that a device gives, and drops all. Returns how far it got.
    fn end_in_child(self) -> u8 {
        let (session, at) = (self.session, Placement::Anywhere { align: 1 });
        let told = session.domain.map(self.memory, at);
        if !matches!(told, Err(MapError::OtherProcess { .. })) {
            return 1;
        }
        let config = ListConfig {
            base: Iova(0),
            stride: 64,
            objects: 64,
            capacity: 64,
        };
        for way in &session.driver.identity().limits.ways {
            let told = session.open_list(&config, way, None);
            if !matches!(told, Err(ListError::Map(MapError::OtherProcess { .. }))) {
                return 2;
            }
        }
        let pool = Pool::builder("child").objects(64).size(64);
        let pool = pool.backend("bmu").device(&Device::User(session.clone()));
        if pool.build().is_ok() {
            return 3;
        }
        drop(self.mapping);
        drop(session);
        0
    }
}

/// Runs `child` in a child of this process, and returns what it returns.
///
/// The child has this thread alone: it must wait for no lock that another may have held, so it prints nothing.
fn in_child(child: impl FnOnce() -> u8) -> i32 {
    // SAFETY: the child runs what the test says, which waits for nobody, and ends.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let code = child();
        // SAFETY: ends the child, without what this process would do at its end.
        unsafe { libc::_exit(code.into()) };
    }
    let mut status = 0;
    // SAFETY: waits for the child that was just made.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "ended by a signal: {status}");
    libc::WEXITSTATUS(status)
}

#[test]
fn a_child_reaches_no_device_of_its_parents() {
    let (session, monitor) = open();
    let mut parents = Some(Parents::of(session.clone()));
    // The child's drop is to be the last one.
    let mut session = Some(session);
    let before = monitor.counters();
    let code = in_child(|| {
        drop(session.take());
        parents.take().map_or(9, Parents::end_in_child)
    });
    assert_eq!(code, 0, "that step went wrong in the child");
    assert_eq!(monitor.counters(), before, "the child reached the device");

    let session = session.unwrap();
    drop(parents);
    assert_eq!(session.domain.quarantined(), 0, "the child unmapped");
    let pool = Pool::builder("parent").objects(64).size(64);
    let pool = pool.backend("bmu").device(&Device::User(session));
    let pool = pool.build().unwrap();
    drop(pool.take().unwrap().unwrap());
    assert!(pool.close().unwrap().is_clean());
    assert_eq!(monitor.violations(), []);
}
