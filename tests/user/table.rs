//! Requests that the specification's text leaves open, or that peers take in different ways: what each of them does, and
//! what our server does, which the test sees.
//!
//! The text is `docs/interop/vfio-user.rst` of QEMU. QEMU is a client only, so its column says what it sends.

use std::os::unix::net::UnixStream;
use std::thread;

use hwpool::user::codec::{
    Capabilities, Command, DmaUnmap, Header, IoFds, MultiWrite, RegionAccess, RegionInfo, Version,
    encode_multi_writes, multi_writes_done,
};
use hwpool::user::server;
use vfio_bindings::bindings::vfio;

use crate::peer::{Got, Peer, message};
use crate::server::Scripted;

const MSIX: u32 = vfio::VFIO_PCI_MSIX_IRQ_INDEX;
const TRIGGER: u32 = vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
const MASK: u32 = vfio::VFIO_IRQ_SET_ACTION_MASK;
const NONE: u32 = vfio::VFIO_IRQ_SET_DATA_NONE;

/// A request, and how it is met.
struct Row {
    request: &'static str,
    /// What the text says.
    text: &'static str,
    /// What QEMU sends.
    qemu: &'static str,
    libvfio_user: &'static str,
    /// rust-vmm's `vfio_user`.
    rust_vmm: &'static str,
    send: fn(&mut Peer) -> Got,
    ours: Ours,
}

/// What our server does.
enum Ours {
    Refuses(i32),
    /// It refuses and ends the connection.
    Ends(i32),
    /// It answers with what this sees.
    Answers(fn(Got)),
}
use Ours::{Answers, Ends, Refuses};

/// Puts fields of 32 bits together.
fn words(words: &[u32]) -> impl FnOnce(&mut Vec<u8>) + use<> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    move |message| message.extend(bytes)
}

/// A range of one page from 0x1000 on, behind `argsz`, `flags` and, in a mapping, an offset.
fn range(argsz: u32, flags: u32, has_offset: bool) -> impl FnOnce(&mut Vec<u8>) + use<> {
    let mut fields = vec![argsz, flags];
    if has_offset {
        fields.extend([0, 0]);
    }
    fields.extend([0x1000, 0, 0x1000, 0]);
    words(&fields)
}

fn versions(text: &str) -> impl FnOnce(&mut Vec<u8>) + use<> {
    let text = text.to_owned();
    move |message| {
        message.extend([0, 0, 1, 0]);
        message.extend(text.as_bytes());
    }
}

/// Agrees on a version first, without a proposal of `write_multiple`.
fn greeted(peer: &mut Peer) -> &mut Peer {
    let version = Version {
        major: 0,
        minor: 1,
        capabilities: Capabilities::default(),
    };
    peer.ask(Command::Version, |m| version.encode(m)).ok();
    peer
}

fn region_info(argsz: u32, message: &mut Vec<u8>) {
    words(&[argsz, 0, 0, 0, 0, 0, 0, 0])(message);
}

const TABLE: &[Row] = &[
    Row {
        request: "VERSION, its JSON without NUL",
        text: "the text's size includes the terminating NUL",
        qemu: "sends it; takes no reply without",
        libvfio_user: "EINVAL, and the connection ends",
        rust_vmm: "panics",
        send: |peer| peer.ask(Command::Version, versions("{\"capabilities\":{}}")),
        ours: Ends(libc::EINVAL),
    },
    Row {
        request: "VERSION without write_multiple",
        text: "the reply's capabilities are a subset of those proposed",
        qemu: "proposes it",
        libvfio_user: "does not know it",
        rust_vmm: "says false",
        send: |peer| peer.ask(Command::Version, versions("{\"capabilities\":{}}\0")),
        ours: Answers(|got| {
            let version = Version::decode(&got.ok()).unwrap();
            assert!(!version.capabilities.write_multiple);
        }),
    },
    Row {
        request: "VERSION with write_multiple",
        text: "as above",
        qemu: "proposes it",
        libvfio_user: "does not know it",
        rust_vmm: "says false",
        send: |peer| {
            let text = "{\"capabilities\":{\"write_multiple\":true}}\0";
            peer.ask(Command::Version, versions(text))
        },
        ours: Answers(|got| {
            let version = Version::decode(&got.ok()).unwrap();
            assert!(version.capabilities.write_multiple);
        }),
    },
    Row {
        request: "REGION_WRITE_MULTI that was not agreed upon",
        text: "supported if the capability is true; silent otherwise",
        qemu: "never sends it then",
        libvfio_user: "EINVAL",
        rust_vmm: "an error without a number",
        send: |peer| {
            greeted(peer).ask(Command::RegionWriteMulti, |m| {
                let access = RegionAccess {
                    offset: 0,
                    region: 0,
                    count: 4,
                };
                let data = &[1, 2, 3, 4];
                encode_multi_writes(m, [MultiWrite { access, data }].into_iter());
            })
        },
        ours: Answers(|got| assert_eq!(multi_writes_done(&got.ok()), Ok(1))),
    },
    Row {
        request: "a message of a type that is neither command nor reply",
        text: "types 0 and 1 exist; silent on others",
        qemu: "never sends it",
        libvfio_user: "EINVAL",
        rust_vmm: "takes it for a command",
        send: |peer| {
            let header = Header {
                flags: 2,
                ..Header::command(7, Command::DeviceReset)
            };
            greeted(peer).send(&message(&header, |_| ()), &[]);
            peer.next()
        },
        ours: Refuses(libc::EINVAL),
    },
    Row {
        request: "DMA_MAP with argsz 31",
        text: "argsz is the size of the structure, 32",
        qemu: "sends 32",
        libvfio_user: "EINVAL",
        rust_vmm: "does not look",
        send: |peer| greeted(peer).ask(Command::DmaMap, range(31, 3, true)),
        ours: Refuses(libc::EINVAL),
    },
    Row {
        request: "DMA_MAP with a flag that nobody knows",
        text: "names two flags; silent on others",
        qemu: "never sends it",
        libvfio_user: "EINVAL (it has two more of its own: mmap and file I/O)",
        rust_vmm: "drops the flag",
        send: |peer| greeted(peer).ask(Command::DmaMap, range(32, 3 | 1 << 7, true)),
        ours: Refuses(libc::EINVAL),
    },
    Row {
        request: "DMA_UNMAP with argsz 23",
        text: "argsz is the largest reply that the client takes, at least its fixed part of 24",
        qemu: "sends 24",
        libvfio_user: "EINVAL",
        rust_vmm: "does not look",
        send: |peer| greeted(peer).ask(Command::DmaUnmap, range(23, 0, false)),
        ours: Refuses(libc::EINVAL),
    },
    Row {
        request: "DMA_UNMAP with a flag that nobody knows",
        text: "flags is unused",
        qemu: "sends all, or none",
        libvfio_user: "EINVAL",
        rust_vmm: "drops the flag",
        send: |peer| greeted(peer).ask(Command::DmaUnmap, range(24, 1 << 7, false)),
        ours: Refuses(libc::EINVAL),
    },
    Row {
        request: "DMA_UNMAP of nothing",
        text: "the range must be one that was mapped; the reply repeats the request",
        qemu: "unmaps ranges that hold many mappings, or none",
        libvfio_user: "ENOENT",
        rust_vmm: "leaves it to the device; the reply repeats the request",
        send: |peer| greeted(peer).ask(Command::DmaUnmap, range(24, 0, false)),
        // As the kernel's VFIO: it says how much was unmapped.
        ours: Answers(|got| assert_eq!(DmaUnmap::decode(&got.ok()).unwrap().size, 0)),
    },
    Row {
        request: "DEVICE_GET_INFO with argsz 8",
        text: "argsz is the largest reply that the client takes, at least its fixed part of 16",
        qemu: "sends 16",
        libvfio_user: "EINVAL",
        rust_vmm: "does not look",
        send: |peer| greeted(peer).ask(Command::DeviceGetInfo, words(&[8, 0, 0, 0])),
        ours: Refuses(libc::EINVAL),
    },
    Row {
        request: "DEVICE_GET_REGION_INFO with argsz 31",
        text: "as above, 32",
        qemu: "sends 32 or more",
        libvfio_user: "EINVAL",
        rust_vmm: "sends no capabilities",
        send: |peer| greeted(peer).ask(Command::GetRegionInfo, |m| region_info(31, m)),
        ours: Refuses(libc::EINVAL),
    },
    Row {
        request: "DEVICE_GET_REGION_INFO with room for no capability",
        text: "argsz tells what is needed; FLAG_CAPS says that capabilities are in the reply",
        qemu: "asks again with as much as argsz says",
        libvfio_user: "neither flag nor capability",
        rust_vmm: "the flag without the capability",
        send: |peer| greeted(peer).ask(Command::GetRegionInfo, |m| region_info(32, m)),
        ours: Answers(|got| {
            assert!(got.fds.is_empty(), "the file comes with the whole reply");
            let payload = got.ok();
            let field = |at| u32::from_ne_bytes(*payload[at..].first_chunk().unwrap());
            assert_eq!(payload.len(), RegionInfo::SIZE);
            assert_eq!(field(0), 64, "argsz");
            let flags = field(4);
            assert_eq!(flags & vfio::VFIO_REGION_INFO_FLAG_CAPS, 0);
            assert_ne!(flags & vfio::VFIO_REGION_INFO_FLAG_MMAP, 0);
            assert_eq!(field(12), 0, "the place of a capability");
        }),
    },
    Row {
        request: "DEVICE_GET_REGION_IO_FDS with argsz 15",
        text: "as above, 16",
        qemu: "never sends it",
        libvfio_user: "EINVAL",
        rust_vmm: "does not know the command",
        send: |peer| greeted(peer).ask(Command::GetRegionIoFds, words(&[15, 0, 0, 0])),
        ours: Refuses(libc::EINVAL),
    },
    Row {
        request: "DEVICE_GET_REGION_IO_FDS with a count",
        text: "all fields but argsz and index must be zero",
        qemu: "never sends it",
        libvfio_user: "EINVAL",
        rust_vmm: "does not know the command",
        send: |peer| greeted(peer).ask(Command::GetRegionIoFds, words(&[4096, 0, 0, 1])),
        ours: Refuses(libc::EINVAL),
    },
    Row {
        request: "DEVICE_GET_REGION_IO_FDS with room for no part",
        text: "argsz tells what is needed",
        qemu: "never sends it",
        libvfio_user: "the count, without the parts",
        rust_vmm: "does not know the command",
        send: |peer| greeted(peer).ask(Command::GetRegionIoFds, words(&[16, 0, 0, 0])),
        ours: Answers(|got| {
            assert!(got.fds.is_empty());
            let reply = IoFds::decode(&got.ok()).unwrap();
            assert_eq!((reply.argsz, reply.parts.len()), (96, 0));
        }),
    },
    Row {
        request: "DEVICE_GET_IRQ_INFO with argsz 15",
        text: "as above, 16",
        qemu: "sends 16",
        libvfio_user: "EINVAL",
        rust_vmm: "does not look",
        send: |peer| greeted(peer).ask(Command::GetIrqInfo, words(&[15, 0, MSIX, 0])),
        ours: Refuses(libc::EINVAL),
    },
    Row {
        request: "DEVICE_SET_IRQS with argsz 19",
        text: "argsz is the size of the request, 20 and its data",
        qemu: "sends 20 and its data",
        libvfio_user: "EINVAL",
        rust_vmm: "does not look",
        send: |peer| greeted(peer).ask(Command::SetIrqs, words(&[19, TRIGGER | NONE, MSIX, 0, 0])),
        ours: Refuses(libc::EINVAL),
    },
    Row {
        request: "DEVICE_SET_IRQS that disables all, from 0 on",
        text: "a count and start of 0 with no data disables all of the kind",
        qemu: "sends it",
        libvfio_user: "disables all",
        rust_vmm: "leaves it to the device",
        send: |peer| greeted(peer).ask(Command::SetIrqs, words(&[20, TRIGGER | NONE, MSIX, 0, 0])),
        ours: Answers(|got| assert!(got.ok().is_empty())),
    },
    Row {
        request: "DEVICE_SET_IRQS with start 1 and count 0",
        text: "start is 0 as well where all are meant",
        qemu: "never sends it",
        libvfio_user: "EINVAL (older ones disable all)",
        rust_vmm: "leaves it to the device",
        send: |peer| greeted(peer).ask(Command::SetIrqs, words(&[20, TRIGGER | NONE, MSIX, 1, 0])),
        ours: Refuses(libc::EINVAL),
    },
    Row {
        request: "DEVICE_SET_IRQS that masks none",
        text: "a count of 0 is the special case of above, and nothing else",
        qemu: "never sends it",
        libvfio_user: "EINVAL",
        rust_vmm: "leaves it to the device",
        send: |peer| greeted(peer).ask(Command::SetIrqs, words(&[20, MASK | NONE, MSIX, 0, 0])),
        ours: Refuses(libc::EINVAL),
    },
    Row {
        request: "DMA_READ from a client",
        text: "goes from server to client",
        qemu: "never sends it",
        libvfio_user: "EINVAL",
        rust_vmm: "an error without a number",
        send: |peer| greeted(peer).ask(Command::DmaRead, words(&[0, 0, 4, 0])),
        ours: Refuses(libc::EINVAL),
    },
];

#[test]
fn each_request_of_the_table_is_met_as_it_says() {
    for row in TABLE {
        eprintln!(
            "{}: the text: {}; QEMU {}; libvfio-user: {}; rust-vmm: {}",
            row.request, row.text, row.qemu, row.libvfio_user, row.rust_vmm
        );
        let (ours, theirs) = UnixStream::pair().unwrap();
        let serving = thread::spawn(move || server::serve_stream(theirs, &mut Scripted::new()));
        let mut peer = Peer::new(ours);
        let got = (row.send)(&mut peer);
        match row.ours {
            Refuses(errno) => assert_eq!(got.errno(), errno, "{}", row.request),
            Ends(errno) => {
                assert_eq!(got.errno(), errno, "{}", row.request);
                assert!(peer.is_closed(), "{}", row.request);
            }
            Answers(see) => see(got),
        }
        if !matches!(row.ours, Ends(_)) && !row.request.starts_with("VERSION") {
            let info = peer.ask(Command::DeviceGetInfo, words(&[16, 0, 0, 0]));
            assert_eq!(info.ok().len(), 16, "{}: it goes on", row.request);
        }
        drop(peer);
        serving.join().unwrap();
    }
}
