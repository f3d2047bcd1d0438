//! Our client against scripted servers: what it believes, what it refuses, how it ends.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use hwpool::devices::bus::{Bar, BusError, DmaError, DmaSource, Doorbell, Iova, Irq, Transport};
use hwpool::user::codec::*;
use hwpool::user::{Client, ClientError, PATIENCE, UserWrite};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::peer::{Got, Peer, Traced, message, sealed};

const BAR_SIZE: u64 = 0x2000;
/// For tests that wait until patience is over.
const SHORT: Duration = Duration::from_millis(30);

/// What the scripted server says about itself.
#[derive(Default)]
pub(crate) struct Script {
    /// A file for region 0, whose second page may be mapped.
    file: Option<RawFd>,
    /// Where region 0 begins in the file.
    file_offset: u64,
    capabilities: Capabilities,
}

impl Script {
    /// Answers one command of the opening; false: that was not one.
    fn answer(&self, peer: &Peer, got: &Got) -> bool {
        let reply = got.header.reply();
        match Command::from_number(got.header.command) {
            Some(Command::Version) => {
                let capabilities = self.capabilities.clone();
                let version = Version {
                    major: 0,
                    minor: 1,
                    capabilities,
                };
                peer.send(&message(&reply, |m| version.encode(m)), &[]);
            }
            Some(Command::DeviceGetInfo) => {
                let info = DeviceInfo {
                    resettable: true,
                    pci: true,
                    regions: 9,
                    irqs: 5,
                };
                peer.send(&message(&reply, |m| info.encode(m)), &[]);
            }
            Some(Command::GetRegionInfo) => self.region(peer, got),
            Some(Command::GetIrqInfo) => {
                let info = IrqInfo {
                    flags: 1,
                    index: 2,
                    count: 4,
                };
                peer.send(&message(&reply, |m| info.encode(m)), &[]);
            }
            _ => return false,
        }
        true
    }

    fn region(&self, peer: &Peer, got: &Got) {
        let request = RegionInfoRequest::decode(&got.payload).unwrap();
        let there = request.index == 0 || request.index == 7;
        let file = self.file.filter(|_| request.index == 0);
        let area = SparseArea {
            offset: 0x1000,
            size: 0x1000,
        };
        let info = RegionInfo {
            argsz: 0,
            index: request.index,
            readable: there,
            writable: there,
            mappable: file.is_some(),
            size: if there { BAR_SIZE } else { 0 },
            offset: self.file_offset,
            areas: if file.is_some() {
                vec![area]
            } else {
                Vec::new()
            },
        };
        let bytes = message(&got.header.reply(), |m| info.encode(m, request.argsz));
        peer.send(&bytes, file.as_slice());
    }

    /// Plays the opening: version, device, nine regions (one asked twice if it has areas), interrupts.
    fn open(&self, peer: &mut Peer) {
        for _ in 0..12 + usize::from(self.file.is_some()) {
            let got = peer.next();
            assert!(self.answer(peer, &got), "{got:?}");
        }
    }

    /// Plays the opening, then `play`; returns the opened client and what `play` returns, later.
    pub(crate) fn run<R: Send + 'static>(
        self,
        patience: Duration,
        play: impl FnOnce(Peer) -> R + Send + 'static,
    ) -> (Client, thread::JoinHandle<R>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || {
            let mut peer = Peer::new(theirs);
            self.open(&mut peer);
            play(peer)
        });
        let client = Client::from_stream(ours, "user:test", patience).expect("the client opens");
        (client, server)
    }
}

/// Plays the opening of a plain server.
pub(crate) fn play_opening(peer: &mut Peer) {
    Script::default().open(peer);
}

fn run<R: Send + 'static>(
    play: impl FnOnce(Peer) -> R + Send + 'static,
) -> (Client, thread::JoinHandle<R>) {
    Script::default().run(PATIENCE, play)
}

/// Answers a region read with the low bytes of `value`.
fn answer_read(peer: &Peer, got: &Got, value: u64) {
    let access = RegionAccess::decode(&got.payload).unwrap();
    let bytes = message(&got.header.reply(), |m| {
        access.encode(m);
        m.extend_from_slice(&value.to_le_bytes()[..access.count as usize]);
    });
    peer.send(&bytes, &[]);
}

fn assert_gone<R: std::fmt::Debug>(result: Result<R, BusError>, word: &str) {
    match result {
        Err(BusError::Gone { evidence }) => assert!(evidence.contains(word), "{evidence}"),
        other => panic!("{other:?} instead of the device being gone"),
    }
}

#[test]
fn registers_are_read_and_written_by_single_messages() {
    let (client, server) = run(|mut peer| {
        let read = peer.next();
        answer_read(&peer, &read, 0x1122_3344);
        let wide = peer.next();
        answer_read(&peer, &wide, 0x1122_3344_5566_7788);
        let (posted, config) = (peer.next(), peer.next());
        peer.send(
            &message(&config.header.reply(), |m| m.extend(&config.payload[..16])),
            &[],
        );
        (read, wide, posted, config)
    });
    let bar = client.bar(0).unwrap();
    assert_eq!(bar.read32(8).unwrap(), 0x1122_3344);
    assert_eq!(bar.read64(16).unwrap(), 0x1122_3344_5566_7788);
    bar.doorbell(24).unwrap().ring(0xaabb).unwrap();
    client.config_write16(4, 6).unwrap();
    let (read, wide, posted, config) = server.join().unwrap();
    let access = |got: &Got| RegionAccess::decode(&got.payload).unwrap();
    assert_eq!(
        access(&read),
        RegionAccess {
            offset: 8,
            region: 0,
            count: 4
        }
    );
    assert_eq!(
        access(&wide),
        RegionAccess {
            offset: 16,
            region: 0,
            count: 8
        }
    );
    assert!(posted.header.is_posted(), "a doorbell waits for nobody");
    assert_eq!(posted.payload[16..], 0xaabbu64.to_le_bytes());
    assert!(
        !config.header.is_posted(),
        "configuration is written for certain"
    );
    assert_eq!(
        access(&config),
        RegionAccess {
            offset: 4,
            region: 7,
            count: 2
        }
    );
}

#[test]
fn accesses_outside_are_refused_without_a_message() {
    let (client, server) = run(|mut peer| peer.is_closed());
    let bar = client.bar(0).unwrap();
    assert!(matches!(
        bar.read32(BAR_SIZE),
        Err(BusError::OutOfRange { .. })
    ));
    assert!(matches!(
        bar.write64(u64::MAX - 7, 0),
        Err(BusError::OutOfRange { .. })
    ));
    assert!(matches!(bar.read64(4), Err(BusError::Misaligned { .. })));
    assert!(bar.doorbell(BAR_SIZE - 4).is_err());
    assert_eq!(client.bar(1).err(), Some(BusError::NoBar { bar: 1 }));
    assert_eq!(
        client.bar(7).err(),
        Some(BusError::NoBar { bar: 7 }),
        "configuration is no BAR"
    );
    assert_eq!(
        client.irq(4).err(),
        Some(BusError::NoVector {
            vector: 4,
            count: 4
        })
    );
    drop((bar, client));
    assert!(server.join().unwrap());
}

#[test]
fn mapped_areas_take_stores_behind_every_message_before() {
    let file = sealed(BAR_SIZE);
    let page = file.try_clone().unwrap();
    let load = |page: &std::fs::File| {
        let mut word = [0; 8];
        nix::sys::uio::pread(page, &mut word, 0x1008).unwrap();
        u64::from_le_bytes(word)
    };
    let script = Script {
        file: Some(file.as_raw_fd()),
        ..Script::default()
    };
    let (client, server) = script.run(PATIENCE, move |mut peer| {
        let written = peer.next();
        // The store that follows must not be seen before this is answered.
        let before = load(&page);
        let reply = written.header.reply();
        peer.send(&message(&reply, |m| m.extend(&written.payload[..16])), &[]);
        let rung = peer.next();
        let flush = peer.next();
        let info = DeviceInfo::default();
        peer.send(&message(&flush.header.reply(), |m| info.encode(m)), &[]);
        let waited = [written, rung, flush].map(|got| (got.header.command, got.header.is_posted()));
        (before, waited, peer.is_closed())
    });
    let bar = client.bar(0).unwrap();
    let doorbell = bar.doorbell(0x1008).unwrap();
    doorbell.ring(1).unwrap();
    bar.write32(0x10, 5).unwrap();
    doorbell.ring(0x0304).unwrap();
    bar.doorbell(0x18).unwrap().ring(7).unwrap();
    bar.write32(0x1010, 9).unwrap();
    assert_eq!(bar.read64(0x1008).unwrap(), 0x0304);
    let mut bytes = [0; 12];
    nix::sys::uio::pread(&file, &mut bytes, 0x1008).unwrap();
    assert_eq!(bytes, [4, 3, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0]);
    drop((bar, doorbell, client));
    let (write, flush) = (Command::RegionWrite as u16, Command::DeviceGetInfo as u16);
    let (before, waited, closed) = server.join().unwrap();
    assert_eq!(before, 1, "the second ring waited for the write");
    assert_eq!(waited, [(write, false), (write, true), (flush, false)]);
    assert!(closed, "nothing more was sent");
}

#[test]
fn an_area_that_does_not_begin_at_a_page_is_left_to_messages() {
    // Long enough for the area, wherever it begins.
    assert_left_to_messages(&sealed(4 * BAR_SIZE), 4);
}

#[test]
fn a_file_that_the_server_could_shorten_is_left_to_messages() {
    let file = memfd_create(c"bar", MFdFlags::MFD_CLOEXEC).unwrap().into();
    std::fs::File::set_len(&file, 4 * BAR_SIZE).unwrap();
    assert_left_to_messages(&file, 0);
}

/// The area of `file` that the server offers is not mapped.
#[track_caller]
fn assert_left_to_messages(file: &std::fs::File, file_offset: u64) {
    let script = Script {
        file: Some(file.as_raw_fd()),
        file_offset,
        ..Script::default()
    };
    let (client, server) = script.run(PATIENCE, |mut peer| {
        let read = peer.next();
        answer_read(&peer, &read, 0x55);
        (read.header.command, peer.next().header.command)
    });
    let bar = client.bar(0).unwrap();
    assert_eq!(bar.read64(0x1008).unwrap(), 0x55);
    bar.doorbell(0x1010).unwrap().ring(3).unwrap();
    let (read, write) = (Command::RegionRead as u16, Command::RegionWrite as u16);
    assert_eq!(server.join().unwrap(), (read, write));
    let mut bytes = vec![0; 4 * BAR_SIZE as usize];
    nix::sys::uio::pread(file, &mut bytes, 0).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 0), "nothing was stored");
}

/// Three writes, of both widths.
const MANY: [UserWrite; 3] = [
    UserWrite::Bits32 {
        offset: 4,
        value: 0x0102_0304,
    },
    UserWrite::Bits64 {
        offset: 16,
        value: 5,
    },
    UserWrite::Bits32 {
        offset: 4,
        value: 6,
    },
];

fn understands_many() -> Script {
    Script {
        capabilities: Capabilities {
            write_multiple: true,
            ..Capabilities::default()
        },
        ..Script::default()
    }
}

#[test]
fn many_writes_are_one_message_that_is_waited_for_where_the_server_understands_it() {
    let (client, server) = understands_many().run(PATIENCE, |mut peer| {
        let many = peer.next();
        peer.send(
            &message(&many.header.reply(), |m| multi_writes_reply(m, 3)),
            &[],
        );
        let partly = peer.next();
        peer.send(
            &message(&partly.header.reply(), |m| multi_writes_reply(m, 1)),
            &[],
        );
        let refused = peer.next();
        peer.send(&message(&refused.header.refusal(22), |_| ()), &[]);
        let lied = peer.next();
        peer.send(
            &message(&lied.header.reply(), |m| multi_writes_reply(m, 4)),
            &[],
        );
        (many, peer.is_closed())
    });
    let bar = client.bar(0).unwrap();
    bar.write_many(&MANY).unwrap();
    let failed_at = |result| match result {
        Err(BusError::Failed { offset, width, .. }) => (offset, width),
        other => panic!("{other:?}"),
    };
    assert_eq!(failed_at(bar.write_many(&MANY)), (16, 8), "one was done");
    assert_eq!(failed_at(bar.write_many(&MANY)), (4, 4), "none was done");
    assert_gone(bar.write_many(&MANY), "nonsense");
    let outside = UserWrite::Bits32 {
        offset: BAR_SIZE,
        value: 0,
    };
    assert!(matches!(
        bar.write_many(&[MANY[0], outside]),
        Err(BusError::OutOfRange { .. })
    ));
    bar.write_many(&[]).unwrap();
    let (many, closed) = server.join().unwrap();
    assert!(closed);
    assert_eq!(many.header.command, Command::RegionWriteMulti as u16);
    assert!(!many.header.is_posted());
    let writes: Vec<_> = multi_writes(&many.payload).unwrap().collect();
    let seen = writes.iter().map(|w| (w.access.offset, w.data));
    let (first, second) = (0x0102_0304u32.to_le_bytes(), 5u64.to_le_bytes());
    let expected = [(4, &first[..]), (16, &second), (4, &[6, 0, 0, 0])];
    assert!(seen.eq(expected), "{writes:?}");
}

#[test]
fn a_server_that_does_not_say_so_never_gets_many_writes_in_one_message() {
    let (client, server) = run(|mut peer| {
        [(); 3].map(|()| {
            let got = peer.next();
            let reply = message(&got.header.reply(), |m| m.extend(&got.payload[..16]));
            peer.send(&reply, &[]);
            let (access, _) = RegionAccess::decode_data(&got.payload).unwrap();
            (got.header.command, got.header.is_posted(), access.offset)
        })
    });
    client.bar(0).unwrap().write_many(&MANY).unwrap();
    let write = Command::RegionWrite as u16;
    let expected = [4, 16, 4].map(|offset| (write, false, offset));
    assert_eq!(server.join().unwrap(), expected);
}

#[test]
fn many_writes_stay_in_order_with_stores_to_what_is_mapped() {
    let file = sealed(BAR_SIZE);
    let page = file.try_clone().unwrap();
    let load = move || {
        let mut word = [0; 4];
        nix::sys::uio::pread(&page, &mut word, 0x1008).unwrap();
        u32::from_le_bytes(word)
    };
    let script = Script {
        file: Some(file.as_raw_fd()),
        ..understands_many()
    };
    let (client, server) = script.run(PATIENCE, move |mut peer| {
        let mut seen = Vec::new();
        for _ in 0..2 {
            let got = peer.next();
            seen.push((got.header.command, load()));
            let reply = message(&got.header.reply(), |m| m.extend(&got.payload[..16]));
            peer.send(&reply, &[]);
        }
        seen
    });
    let mapped = UserWrite::Bits32 {
        offset: 0x1008,
        value: 9,
    };
    let bar = client.bar(0).unwrap();
    bar.write_many(&[MANY[0], mapped, MANY[2]]).unwrap();
    let write = Command::RegionWrite as u16;
    assert_eq!(server.join().unwrap(), [(write, 0), (write, 9)]);
}

#[test]
fn a_refusal_is_an_error_with_its_errno_and_the_connection_goes_on() {
    let (client, server) = run(|mut peer| {
        let read = peer.next();
        peer.send(&message(&read.header.refusal(5), |_| ()), &[]);
        let reset = peer.next();
        peer.send(&message(&reset.header.refusal(0), |_| ()), &[]);
        let irq = peer.next();
        peer.send(&message(&irq.header.refusal(22), |_| ()), &[]);
        for _ in 0..2 {
            let write = peer.next();
            peer.send(&message(&write.header.refusal(22), |_| ()), &[]);
        }
        let read = peer.next();
        answer_read(&peer, &read, 3);
    });
    let bar = client.bar(0).unwrap();
    match bar.read32(8) {
        Err(BusError::Failed {
            offset: 8,
            width: 4,
            cause,
        }) => {
            assert!(cause.contains("errno 5"), "{cause}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(client.reset(), Err(BusError::Reset { .. })));
    assert!(matches!(client.irq(0), Err(BusError::Os { errno: 22, .. })));
    for written in [bar.write32(8, 1), bar.write64(8, 1)] {
        assert!(
            matches!(written, Err(BusError::Failed { offset: 8, .. })),
            "nothing is mapped, and the refusal is heard: {written:?}"
        );
    }
    assert_eq!(bar.read32(8).unwrap(), 3);
    server.join().unwrap();
}

#[test]
fn a_silent_server_is_gone_when_patience_is_over_and_nothing_is_sent_twice() {
    let (client, server) = Script::default().run(SHORT, |mut peer| {
        let read = peer.next();
        (read.header.command, peer.is_closed())
    });
    let bar = client.bar(0).unwrap();
    let started = Instant::now();
    assert_gone(bar.read64(0), "did not answer");
    assert!(started.elapsed() >= SHORT);
    assert_eq!(server.join().unwrap(), (Command::RegionRead as u16, true));
    let started = Instant::now();
    for _ in 0..100 {
        assert_gone(bar.read64(0), "did not answer");
        assert_gone(bar.write32(0, 0), "did not answer");
    }
    assert!(started.elapsed() < SHORT, "no waiting for the dead");
}

#[test]
fn replies_that_are_wrong_end_the_connection() {
    type Damage = fn(&Peer, &Got);
    let damages: [(Damage, &str); 6] = [
        (
            |peer, got| {
                let header = Header {
                    id: got.header.id.wrapping_add(1),
                    ..got.header.reply()
                };
                peer.send(&message(&header, |m| m.extend([0; 20])), &[]);
            },
            "answered message",
        ),
        (
            |peer, got| {
                let header = Header {
                    command: 10,
                    ..got.header.reply()
                };
                peer.send(&message(&header, |m| m.extend([0; 20])), &[]);
            },
            "of command 10",
        ),
        (
            |peer, got| {
                peer.send(
                    &message(&got.header.reply(), |m| m.extend(&got.payload)),
                    &[],
                );
            },
            "nonsense",
        ),
        (
            |peer, got| {
                let access = RegionAccess {
                    offset: 0,
                    region: 0,
                    count: 8,
                };
                peer.send(
                    &message(&got.header.reply(), |m| {
                        access.encode(m);
                        m.extend([0; 8]);
                    }),
                    &[],
                );
            },
            "nonsense",
        ),
        (
            |peer, got| {
                let mut bytes = message(&got.header.reply(), |m| m.extend([0; 20]));
                bytes[4..8].copy_from_slice(&3u32.to_ne_bytes());
                peer.send(&bytes, &[]);
            },
            "nonsense",
        ),
        (
            |peer, got| {
                let mut bytes = message(&got.header.reply(), |m| m.extend([0; 20]));
                bytes[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
                peer.send(&bytes, &[]);
            },
            "lost",
        ),
    ];
    for (damage, word) in damages {
        let (client, server) = run(move |mut peer| {
            let got = peer.next();
            damage(&peer, &got);
            peer.is_closed()
        });
        let bar = client.bar(0).unwrap();
        assert_gone(bar.read32(0), word);
        assert_gone(bar.read32(0), word);
        assert!(server.join().unwrap(), "{word}");
    }
}

#[test]
fn descriptors_that_nobody_asked_for_are_closed() {
    let (client, server) = run(|mut peer| {
        let read = peer.next();
        let (with_command, with_reply) = (Traced::new(), Traced::new());
        // A command of the server's that is refused, then the answer.
        let command = message(&Header::command(9, Command::DeviceReset), |_| ());
        peer.send(&command, &[with_command.raw()]);
        assert_eq!(peer.next().errno(), 95);
        with_command.assert_dropped("a command of the server's");
        let access = RegionAccess::decode(&read.payload).unwrap();
        let answer = message(&read.header.reply(), |m| {
            access.encode(m);
            m.extend([3, 0, 0, 0]);
        });
        peer.send(&answer, &[with_reply.raw(), with_reply.raw()]);
        with_reply.assert_dropped("a reply");
        assert!(peer.is_closed());
    });
    let bar = client.bar(0).unwrap();
    assert_eq!(bar.read32(8).unwrap(), 3);
    drop((bar, client));
    server.join().unwrap();
}

#[test]
fn a_server_that_dies_is_noticed_by_everything() {
    let (client, server) = run(|mut peer| {
        let irq = peer.next();
        peer.send(&message(&irq.header.reply(), |_| ()), &[]);
    });
    let irq = client.irq(0).unwrap();
    server.join().unwrap();
    let started = Instant::now();
    assert_gone(irq.wait(PATIENCE), "closed");
    let bar = client.bar(0).unwrap();
    assert_gone(bar.read32(0), "closed");
    assert_gone(bar.write64(0, 0), "closed");
    assert_gone(client.reset(), "closed");
    assert_gone(client.config_read32(0), "closed");
    let file = memory();
    let source = DmaSource {
        file: file.as_fd(),
        offset: 0,
        len: 4096,
    };
    assert!(matches!(
        client.dma_map(Iova(0x1000), source),
        Err(DmaError::Os { errno: 107, .. })
    ));
    assert!(started.elapsed() < PATIENCE);
}

fn memory() -> std::os::fd::OwnedFd {
    let file = memfd_create(c"memory", MFdFlags::MFD_CLOEXEC).unwrap();
    std::fs::File::from(file.try_clone().unwrap())
        .set_len(8192)
        .unwrap();
    file
}

/// Ranges that a server reaches for beside what is mapped from 0x1000 to 0x3000, and how the client answers its reads.
const OFFERED: [(u64, u64, Result<u64, i32>); 12] = [
    (0x1000, 0x2000, Ok(0x2000)),
    (0x1ffc, 8, Ok(8)), // from one mapping into the next
    (0x2fff, 1, Ok(1)),
    (0x1000, 0, Ok(0)), // nothing is anywhere
    (0x9000, 0, Ok(0)),
    (0xfff, 1, Err(libc::EFAULT)),
    (0xfff, 2, Err(libc::EFAULT)),
    (0x3000, 1, Err(libc::EFAULT)),
    (0x1000, 0x2001, Err(libc::EFAULT)),
    (u64::MAX, 2, Err(libc::EFAULT)),
    (0x1000, (1 << 20) + 1, Err(libc::EINVAL)), // more than it said it takes
    (0x1000, 1 << 63, Err(libc::EINVAL)),
];

/// Returns how many bytes of data a reply has beside what it repeats, or its errno.
fn outcome(got: Got) -> Result<u64, i32> {
    match got.header.is_error() {
        true => Err(got.errno()),
        false => Ok(got.ok().len() as u64 - 16),
    }
}

/// The thread that answers meanwhile waits without a limit: it has the socket too, and is told.
#[test]
fn a_client_that_answers_by_messages_ends_when_it_is_dropped() {
    let (client, server) = run(|mut peer| peer.is_closed());
    drop(client.without_files().unwrap());
    assert!(server.join().unwrap(), "the socket is closed");
}

#[test]
fn memory_is_served_to_the_device_by_messages_as_far_as_it_is_mapped() {
    let (client, server) = run(|mut peer| {
        for _ in 0..2 {
            let map = peer.next();
            assert_eq!(map.fds.len(), 1, "the file goes along");
            peer.send(&message(&map.header.reply(), |_| ()), &[]);
        }
        let read = peer.next();
        // Before the answer: reads, writes, and things that are not allowed.
        let access = |address, count| DmaAccess { address, count };
        let write = |peer: &mut Peer, address| {
            peer.ask(Command::DmaWrite, |m| {
                access(address, 4).encode(m);
                m.extend([1, 2, 3, 4]);
            })
        };
        for (address, count, expected) in OFFERED {
            let read = peer.ask(Command::DmaRead, |m| access(address, count).encode(m));
            assert_eq!(outcome(read), expected, "read {address:#x}+{count:#x}");
            let data = vec![0; count.min(0x2001) as usize];
            let write = peer.ask(Command::DmaWrite, |m| {
                access(address, count).encode(m);
                m.extend(data);
            });
            assert_eq!(
                outcome(write).is_err(),
                expected.is_err(),
                "write {address:#x}+{count:#x}"
            );
        }
        let written = write(&mut peer, 0x1ffc).ok();
        let back = peer
            .ask(Command::DmaRead, |m| access(0x1ff8, 8).encode(m))
            .ok();
        let across = write(&mut peer, 0x2ffe).errno();
        let huge = peer
            .ask(Command::DmaRead, |m| access(0x1000, u64::MAX).encode(m))
            .errno();
        let unknown = peer.ask(Command::DeviceReset, |_| ()).errno();
        answer_read(&peer, &read, 1);
        (written.len(), back[16..].to_vec(), across, huge, unknown)
    });
    let file = memory();
    for (iova, offset) in [(0x1000, 0), (0x2000, 4096)] {
        let source = DmaSource {
            file: file.as_fd(),
            offset,
            len: 4096,
        };
        client.dma_map(Iova(iova), source).unwrap();
    }
    assert_eq!(client.bar(0).unwrap().read32(0).unwrap(), 1);
    let (written, back, across, huge, unknown) = server.join().unwrap();
    assert_eq!((written, back), (16, vec![0, 0, 0, 0, 1, 2, 3, 4]));
    assert_eq!((across, huge, unknown), (14, 22, 95));
    let mut bytes = [0; 8192];
    nix::sys::uio::pread(&file, &mut bytes, 0).unwrap();
    assert_eq!(bytes[0xffc..0x1000], [1, 2, 3, 4]);
    assert_eq!(
        bytes.iter().filter(|byte| **byte != 0).count(),
        4,
        "nothing else was touched"
    );
}

#[test]
fn mappings_are_checked_before_they_are_sent_and_errors_take_them_back() {
    let capabilities = Capabilities {
        max_dma_maps: 2,
        ..Capabilities::default()
    };
    let (client, server) = Script {
        capabilities,
        ..Script::default()
    }
    .run(PATIENCE, |mut peer| {
        let mut commands = Vec::new();
        for refuse in [17, 0, 0, 0, 0, 0] {
            let got = peer.next();
            commands.push(got.header.command);
            let header = match refuse {
                0 => got.header.reply(),
                errno => got.header.refusal(errno),
            };
            peer.send(&message(&header, |_| ()), &[]);
        }
        commands
    });
    let file = memory();
    let source = |offset, len| DmaSource {
        file: file.as_fd(),
        offset,
        len,
    };
    let map = |iova, len| client.dma_map(Iova(iova), source(0, len));
    assert_eq!(
        map(0x1000, 4096),
        Err(DmaError::Exists {
            iova: Iova(0x1000),
            len: 4096
        })
    );
    map(0x1000, 4096).unwrap();
    assert!(matches!(map(0x1000, 8192), Err(DmaError::Exists { .. })));
    assert!(matches!(
        map(0x2001, 4096),
        Err(DmaError::Misaligned { page: 4096, .. })
    ));
    assert!(matches!(map(0x2000, 0), Err(DmaError::Misaligned { .. })));
    map(0x2000, 4096).unwrap();
    assert_eq!(client.dma_limits().unwrap().entries_left, 0);
    assert_eq!(map(0x3000, 4096), Err(DmaError::NoEntries { limit: 2 }));
    let missing = client.dma_unmap(Iova(0x1000), 8192);
    assert_eq!(
        missing,
        Err(DmaError::NotMapped {
            iova: Iova(0x1000),
            len: 8192
        })
    );
    client.dma_unmap(Iova(0x1000), 4096).unwrap();
    client.dma_unmap(Iova(0x2000), 4096).unwrap();
    map(0x1000, 4096).unwrap();
    assert_eq!(server.join().unwrap(), [2, 2, 2, 3, 3, 2]);
}

#[test]
fn a_vector_that_is_asked_for_twice_is_enabled_once() {
    let (client, server) = run(|mut peer| {
        let irq = peer.next();
        let request = SetIrqs::decode(&irq.payload).unwrap();
        assert_eq!(
            (request.start, request.count, request.data),
            (2, 1, IrqData::Eventfd)
        );
        assert_eq!(irq.fds.len(), 1);
        peer.send(&message(&irq.header.reply(), |_| ()), &[]);
        peer.is_closed()
    });
    let (irq, again) = (client.irq(2).unwrap(), client.irq(2).unwrap());
    assert_eq!(irq.wait(Duration::ZERO).unwrap(), 0);
    // A longer wait would ask the server whether it has its turns.
    assert_eq!(again.wait(Duration::ZERO).unwrap(), 0);
    drop((irq, again, client));
    assert!(server.join().unwrap(), "no second request");
}

#[test]
fn servers_that_are_no_use_are_refused_at_the_opening() {
    let open = |reply: fn(&Header) -> Vec<u8>| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || {
            let mut peer = Peer::new(theirs);
            let got = peer.next();
            peer.send(&reply(&got.header), &[]);
            peer.is_closed()
        });
        let error = Client::from_stream(ours, "user:test", PATIENCE).expect_err("refused");
        assert!(server.join().unwrap());
        error
    };
    let newer = open(|header| {
        let version = Version {
            major: 1,
            minor: 0,
            capabilities: Capabilities::default(),
        };
        message(&header.reply(), |m| version.encode(m))
    });
    assert!(
        matches!(newer, ClientError::Version { major: 1, minor: 0 }),
        "{newer}"
    );
    let twins = open(|header| {
        let version = Version {
            major: 0,
            minor: 1,
            capabilities: Capabilities {
                twin_socket: true,
                ..Capabilities::default()
            },
        };
        message(&header.reply(), |m| version.encode(m))
    });
    assert!(twins.to_string().contains("twin_socket"), "{twins}");
    let refused = open(|header| message(&header.refusal(22), |_| ()));
    assert!(refused.to_string().contains("errno 22"), "{refused}");
    let nonsense = open(|header| message(&header.reply(), |m| m.extend(b"\0\0\x01\0{")));
    assert!(nonsense.to_string().contains("JSON"), "{nonsense}");
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    let closed = Client::from_stream(ours, "user:test", PATIENCE).expect_err("nobody there");
    assert!(closed.to_string().contains("closed"), "{closed}");
    let nobody = Client::open("no/such/socket", "user:no/such/socket", PATIENCE);
    assert!(
        nobody
            .expect_err("nobody listens")
            .to_string()
            .contains("no/such/socket")
    );
}
