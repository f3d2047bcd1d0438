//! Peers that are silent, slow or never done: each is given up in time, and the next has its turn.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hwpool::devices::bus::{Bar, BusError, Transport};
use hwpool::user::codec::{Command, DeviceInfo, DmaAccess, DmaMap, Header, RegionAccess};
use hwpool::user::server::{Server, StopHandle};
use hwpool::user::{Client, PATIENCE};

use crate::client::Script;
use crate::peer::{Peer, message};
use crate::server::Scripted;

/// Of servers here.
const SHORT: Duration = Duration::from_millis(100);

/// A server with little patience, until it is dropped.
struct Served {
    path: PathBuf,
    stop: StopHandle,
    serving: Option<JoinHandle<()>>,
}

impl Served {
    fn new() -> Served {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hwpool-deadlines-{}-{n}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let server = Server::bind(&path).unwrap().patience(SHORT);
        let stop = server.stop_handle();
        let serving = thread::spawn(move || {
            server.run(&mut Scripted::new()).expect("it serves");
        });
        Served {
            path,
            stop,
            serving: Some(serving),
        }
    }

    fn connect(&self) -> Peer {
        Peer::new(UnixStream::connect(&self.path).unwrap())
    }

    /// A client that behaves gets what it wants, although another was there first.
    #[track_caller]
    fn assert_serves(&self) {
        let path = self.path.to_str().unwrap();
        let client = Client::open(path, "next", PATIENCE).expect("it has its turn");
        drop(client);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.stop();
        let ended = self.serving.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}

#[test]
fn who_connects_and_says_nothing_loses_its_place() {
    let served = Served::new();
    let mut silent = served.connect();
    served.assert_serves();
    assert!(silent.is_closed());
}

#[test]
fn half_a_greeting_loses_its_place() {
    let served = Served::new();
    let mut half = served.connect();
    half.write(&message(&Header::command(0, Command::Version), |_| ())[..7]);
    served.assert_serves();
    assert!(half.is_closed());
}

#[test]
fn half_a_message_loses_its_place() {
    let whole = message(&Header::command(1, Command::DeviceGetInfo), |m| {
        DeviceInfo::default().encode(m)
    });
    for len in [1, 15, 16, whole.len() - 1] {
        let served = Served::new();
        let mut half = served.connect();
        half.greet();
        half.write(&whole[..len]);
        served.assert_serves();
        assert!(half.is_closed(), "{len} bytes");
    }
}

#[test]
fn the_rest_of_a_message_that_is_too_long_is_not_awaited_for_ever() {
    let served = Served::new();
    let mut long = served.connect();
    long.greet();
    let mut header = Header::command(1, Command::DeviceReset);
    header.size = 64 << 20;
    let mut bytes = Vec::new();
    header.write(&mut bytes, |_| ());
    bytes[4..8].copy_from_slice(&(64u32 << 20).to_ne_bytes());
    long.write(&bytes);
    served.assert_serves();
}

#[test]
fn between_messages_a_client_may_be_silent() {
    let served = Served::new();
    let mut idle = served.connect();
    idle.greet();
    idle.0.set_read_timeout(Some(4 * SHORT)).unwrap();
    let nothing = idle.0.read(&mut [0]).expect_err("it is still connected");
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    idle.0.set_read_timeout(Some(PATIENCE)).unwrap();
    let info = DeviceInfo::default();
    idle.ask(Command::DeviceGetInfo, |m| info.encode(m)).ok();
}

#[test]
fn a_client_that_talks_on_instead_of_answering_is_cut_off() {
    let served = Served::new();
    let mut talker = served.connect();
    talker.greet();
    let map = DmaMap {
        readable: true,
        writable: true,
        offset: 0,
        address: 0x1000,
        size: 0x1000,
    };
    talker.ask(Command::DmaMap, |m| map.encode(m)).ok();
    // The device reaches for memory.
    talker.command(Command::RegionWrite, |m| {
        RegionAccess {
            offset: 0,
            region: 1,
            count: 8,
        }
        .encode(m);
        m.extend(0x1000u64.to_le_bytes());
    });
    assert_eq!(talker.next().header.command, Command::DmaRead as u16);
    let other = message(&Header::command(99, Command::DmaWrite).reply(), |_| ());
    let end = std::time::Instant::now() + PATIENCE;
    while talker.0.write_all(&other).is_ok() {
        assert!(std::time::Instant::now() < end, "nobody cuts it off");
    }
    served.assert_serves();
}

#[test]
fn a_server_that_asks_without_end_does_not_answer() {
    let script = Script::default();
    let (client, server) = script.run(SHORT, |mut peer| {
        peer.next();
        let access = DmaAccess {
            address: 0,
            count: 8,
        };
        let question = message(&Header::posted(1, Command::DmaRead), |m| access.encode(m));
        while peer.0.write_all(&question).is_ok() {}
    });
    let read = client.bar(0).unwrap().read32(0);
    assert!(
        matches!(&read, Err(BusError::Gone { evidence }) if evidence.contains("did not answer")),
        "{read:?}"
    );
    server.join().unwrap();
}

#[test]
fn a_stop_ends_a_server_whatever_its_client_does() {
    for bytes in [0, 7] {
        let served = Served::new();
        let mut client = served.connect();
        client.write(&message(&Header::command(0, Command::Version), |_| ())[..bytes]);
        drop(served);
        assert!(client.is_closed());
    }
}
