//! The ladder over a socket, with servers that end in the middle.

use std::io::{BufRead, BufReader};
use std::ops::{ControlFlow, Range};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hwpool::bringup::{self, Options, Progress, Report, Status};
use hwpool::device::AnyTransport;
use hwpool::sim::SimConfig;
use hwpool::user::codec::IoFd;
use hwpool::user::server::{
    DmaMapping, Errno, Lines, Peer, RegionDescription, Served as Device, Server, StopHandle,
};
use hwpool::user::{Client, SimDevice};
use tempfile::TempDir;

use crate::rig;

/// What is done before each access of a region that the server serves.
pub(crate) type Before = Box<dyn FnMut(&StopHandle) + Send>;

/// A server that takes its time for each access.
pub(crate) fn slow(time: Duration) -> Before {
    // This is what the server is: slow. Nobody waits for it but its client.
    Box::new(move |_| thread::park_timeout(time))
}

/// A model whose server does something before each access.
struct Watched {
    model: SimDevice,
    stop: StopHandle,
    before: Before,
}

impl Device for Watched {
    fn region(&self, index: u32) -> Option<RegionDescription<'_>> {
        self.model.region(index)
    }

    fn io_fds(&self, region: u32) -> (Vec<IoFd>, Vec<BorrowedFd<'_>>) {
        self.model.io_fds(region)
    }

    fn lines(&self) -> &Arc<Lines> {
        self.model.lines()
    }

    fn read(
        &mut self,
        peer: &mut Peer,
        region: u32,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), Errno> {
        (self.before)(&self.stop);
        self.model.read(peer, region, offset, data)
    }

    fn write(
        &mut self,
        peer: &mut Peer,
        region: u32,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Errno> {
        (self.before)(&self.stop);
        self.model.write(peer, region, offset, data)
    }

    fn page_sizes(&self) -> u64 {
        self.model.page_sizes()
    }

    fn dma_map(&mut self, peer: &mut Peer, mapping: DmaMapping) -> Result<(), Errno> {
        self.model.dma_map(peer, mapping)
    }

    fn dma_unmap(&mut self, iova: u64, size: u64) {
        self.model.dma_unmap(iova, size);
    }

    fn lines_changed(&mut self, kind: u32, lines: Range<u32>) {
        self.model.lines_changed(kind, lines);
    }

    fn reset(&mut self) -> Result<(), Errno> {
        self.model.reset()
    }

    fn disconnected(&mut self) {
        self.model.disconnected();
    }
}

/// A server in a thread, until it is dropped.
pub(crate) struct Served {
    place: TempDir,
    stop: StopHandle,
    serving: Option<JoinHandle<()>>,
}

impl Served {
    pub(crate) fn new(kind: &str, before: Before) -> Served {
        let place = TempDir::new().expect("a directory");
        let server = Server::bind(&place.path().join("s")).expect("a server");
        let stop = server.stop_handle();
        let mut config = SimConfig::new(kind).expect("a model");
        config.set("mode", "threaded").expect("an option");
        let model = SimDevice::new(kind, config).expect("a model");
        let mut device = Watched {
            model,
            stop: server.stop_handle(),
            before,
        };
        let serving = thread::spawn(move || server.run(&mut device).expect("it serves"));
        Served {
            place,
            stop,
            serving: Some(serving),
        }
    }

    pub(crate) fn client(&self) -> Arc<Client> {
        client(&self.place.path().join("s"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(serving) = self.serving.take() {
            serving.join().expect("it ends");
        }
    }
}

fn client(socket: &Path) -> Arc<Client> {
    match AnyTransport::open(&format!("user:{}", socket.display())).expect("it is served") {
        AnyTransport::User(client) => client,
        _ => panic!("user: opens a client"),
    }
}

fn options() -> Options {
    Options {
        soak: Duration::from_millis(20),
        ..rig::brief()
    }
}

/// Says what is wrong with the report of a climb whose server ended: one rung failed, saying so, and none above was run.
fn wrong(report: &Report) -> Option<String> {
    let failed: Vec<_> = report
        .checks
        .iter()
        .filter(|check| check.status == Status::Fail)
        .collect();
    let [check] = &failed[..] else {
        return Some(format!("{} failed: {failed:#?}", failed.len()));
    };
    let says = check.message.as_deref().unwrap_or_default();
    let is_told = says.contains("gone") || says.contains("server has closed the connection");
    let is_blamed = |cause: &_| AsRef::<str>::as_ref(cause).contains("the process that serves");
    let is_told = is_told && check.causes.iter().any(is_blamed);
    let mut above = report.checks.iter().filter(|above| above.rung > check.rung);
    let is_over = above.all(|above| matches!(above.status, Status::Blocked | Status::Skip));
    (!(is_told && is_over)).then(|| format!("{}: {says}: {:?}", check.id, check.causes))
}

#[test]
fn a_server_that_ends_at_any_access_is_gone_and_nothing_else() {
    for kind in ["bmu", "fifo"] {
        let (mut all_wrong, mut rungs) = (Vec::new(), Vec::new());
        // A prime, so that each kind of access of a loop is hit.
        for nth in (20u64..).step_by(109) {
            let seen = Arc::new(AtomicU64::new(0));
            let count = seen.clone();
            let served = Served::new(
                kind,
                Box::new(move |stop| {
                    if count.fetch_add(1, Ordering::SeqCst) + 1 == nth {
                        stop.stop();
                    }
                }),
            );
            let report = bringup::run(served.client(), &options(), None, |_| {
                ControlFlow::Continue(())
            });
            if report.is_good() {
                break;
            }
            let failed = report
                .checks
                .iter()
                .find(|check| check.status == Status::Fail);
            rungs.extend(failed.map(|check| check.id.to_string()));
            all_wrong
                .extend(wrong(&report).map(|wrong| format!("{kind}: at access {nth}: {wrong}")));
        }
        assert!(all_wrong.is_empty(), "\n{}", all_wrong.join("\n"));
        rungs.dedup();
        assert!(rungs.len() > 3, "in several rungs: {rungs:?}");
    }
}

/// A process that serves a model.
struct Process(Child);

impl Process {
    fn start(socket: &Path) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hwpool"))
            .args(["sim", "serve", "--socket"])
            .arg(socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("hwpool starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let line = lines.next().expect("a line").expect("text");
        assert!(line.starts_with("serving"), "{line}");
        Process(child)
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Killed at the start of each rung, and under the traffic.
#[test]
fn a_process_that_is_killed_under_any_rung_is_gone_and_nothing_else() {
    let ids = bringup::ids();
    let mut all_wrong = Vec::new();
    for id in ids
        .iter()
        .filter(|id| !["host.ready", "dma.unmapped", "owner.killed"].contains(id))
    {
        let place = TempDir::new().expect("a directory");
        let socket = place.path().join("s");
        let mut server = Process::start(&socket);
        let report = bringup::run(client(&socket), &options(), None, |progress| {
            if matches!(progress, Progress::Start { id: started, .. } if started == *id) {
                server.kill();
            }
            ControlFlow::Continue(())
        });
        all_wrong.extend(wrong(&report).map(|wrong| format!("killed before {id}: {wrong}")));
    }
    assert!(all_wrong.is_empty(), "\n{}", all_wrong.join("\n"));
}
