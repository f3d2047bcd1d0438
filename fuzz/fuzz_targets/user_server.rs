//! The vfio-user server with the model behind it, fed with arbitrary messages, with descriptors, whole and cut off, or
//! with arbitrary bytes from the very first on: it must end by itself when its client goes, keep nothing of the client's,
//! and never panic.
#![no_main]

mod wire;

use hwpool::sim::SimConfig;
use hwpool::user::SimDevice;
use hwpool::user::codec::{Command, Header};
use hwpool::user::server::serve_stream;
use libfuzzer_sys::fuzz_target;
use wire::Wire;

fn device() -> SimDevice {
    let mut config = SimConfig::default();
    config.set("mode", "threaded").expect("an option");
    SimDevice::new("bmu", config).expect("a model")
}

/// An input that begins with this is sent as it is behind it: sizes of messages may lie then, and nobody greets.
const RAW: u8 = 0xff;

/// Sends what the input stands for, behind a greeting, so that it is heard.
fn speak(wire: &mut Wire, mut input: &[u8]) {
    let greeting = Header::command(0, Command::Version);
    let mut stream = wire::message(&greeting, |m| wire::version().encode(m));
    while let Some((header, payload, fds, rest)) = wire::split_message(input) {
        let message = wire::message(&header, |m| m.extend_from_slice(payload));
        if fds > 0 {
            wire.send(&stream, 0);
            stream.clear();
            wire.send(&message, fds);
        } else {
            stream.extend_from_slice(&message);
        }
        input = rest;
    }
    stream.extend_from_slice(input);
    wire.send(&stream, 0);
}

fuzz_target!(|input: &[u8]| {
    let (mut wire, server) = Wire::new();
    match input {
        [RAW, bytes @ ..] => wire.send(bytes, 0),
        messages => speak(&mut wire, messages),
    }
    let reader = wire.drain();
    let _ = wire.stream.shutdown(std::net::Shutdown::Write);
    // A device of its own, so that an input that fails does so again.
    serve_stream(server, &mut device());
    reader.join().expect("the reader ends");
});
