//! The vfio-user server with the model behind it, fed with arbitrary messages, whole and in pieces: it must end by itself
//! when its client goes, and never panic.
#![no_main]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use hwpool::sim::SimConfig;
use hwpool::user::SimDevice;
use hwpool::user::codec::{Capabilities, Command, Header, Version};
use hwpool::user::server::serve_stream;
use libfuzzer_sys::fuzz_target;

/// Cuts the input into messages: a byte of command, one of flags, one of length, the payload.
fn messages(mut input: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut message = Vec::new();
    while let [command, flags, len, rest @ ..] = input {
        let payload = &rest[..rest.len().min(usize::from(*len))];
        let header = Header {
            command: u16::from(*command),
            flags: u32::from(*flags & 0x3f),
            ..Header::command(1, Command::Version)
        };
        header.write(&mut message, |m| m.extend_from_slice(payload));
        stream.extend_from_slice(&message);
        input = &rest[payload.len()..];
    }
    stream.extend_from_slice(input);
    stream
}

/// Opens every conversation, so that what follows is heard.
fn greeting() -> Vec<u8> {
    let version = Version { major: 0, minor: 1, capabilities: Capabilities::default() };
    let mut message = Vec::new();
    Header::command(0, Command::Version).write(&mut message, |m| version.encode(m));
    message
}

fn device() -> SimDevice {
    let mut config = SimConfig::default();
    config.set("mode", "threaded").expect("an option");
    SimDevice::new("bmu", config).expect("a model")
}

thread_local! {
    static DEVICE: RefCell<SimDevice> = RefCell::new(device());
}

fuzz_target!(|input: &[u8]| {
    let (server, mut client) = UnixStream::pair().expect("a pair of sockets");
    let mut replies = client.try_clone().expect("a descriptor");
    let bytes = [greeting(), messages(input)].concat();
    let writer = thread::spawn(move || {
        // The server may cut the connection before all is written.
        let _ = client.write_all(&bytes);
        let _ = client.shutdown(std::net::Shutdown::Write);
    });
    let reader = thread::spawn(move || {
        let mut buffer = [0; 4096];
        while replies.read(&mut buffer).is_ok_and(|n| n > 0) {}
    });
    DEVICE.with_borrow_mut(|device| serve_stream(server, device));
    writer.join().expect("the writer ends");
    reader.join().expect("the reader ends");
});
