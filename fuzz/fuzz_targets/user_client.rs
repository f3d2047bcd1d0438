//! The vfio-user client against a server that answers anything: no panic, no wait without end, nothing believed that was
//! not checked.
#![no_main]

mod wire;

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use hwpool::devices::bus::{Bar, BusError, DmaSource, Doorbell, Iova, Irq, Transport};
use hwpool::user::codec::{Command, DeviceInfo, Header, IrqInfo, RegionInfo};
use hwpool::user::{Client, UserWrite};
use libfuzzer_sys::fuzz_target;
use wire::Wire;

/// Answers of an opening that goes well: version, device, nine regions, interrupts.
const OPENING: u16 = 12;

/// The n-th answer of an opening that goes well.
fn answer(n: u16) -> Vec<u8> {
    let reply = |command| Header::command(n + 1, command).reply();
    let device = DeviceInfo {
        resettable: true,
        pci: true,
        regions: 9,
        irqs: 5,
    };
    let irqs = IrqInfo {
        flags: 1,
        index: 2,
        count: 4,
    };
    match n {
        0 => wire::message(&reply(Command::Version), |m| wire::version().encode(m)),
        1 => wire::message(&reply(Command::DeviceGetInfo), |m| device.encode(m)),
        2..=10 => wire::message(&reply(Command::GetRegionInfo), |m| {
            region(n - 2).encode(m, 4096)
        }),
        _ => wire::message(&reply(Command::GetIrqInfo), |m| irqs.encode(m)),
    }
}

fn region(index: u16) -> RegionInfo {
    RegionInfo {
        index: index.into(),
        readable: true,
        writable: true,
        mappable: index == 0,
        size: if matches!(index, 0 | 2 | 7) {
            0x2000
        } else {
            0
        },
        ..RegionInfo::default()
    }
}

/// Sends as many good answers as the first byte says and what the rest stands for. Replies have the next id, commands
/// any.
fn speak(wire: &mut Wire, input: &[u8]) {
    let (good, mut input) = input.split_first().unwrap_or((&0, &[]));
    let good = u16::from(*good) % (OPENING + 1);
    for n in 0..good {
        wire.send(&answer(n), usize::from(n == 2));
    }
    let mut id = good;
    while let Some((header, payload, fds, rest)) = wire::split_message(input) {
        id += u16::from(header.is_reply());
        let header = Header { id, ..header };
        wire.send(
            &wire::message(&header, |m| m.extend_from_slice(payload)),
            fds,
        );
        input = rest;
    }
    wire.send(input, 0);
}

/// Does what a driver does, for as long as it is answered.
fn drive(client: &Client, memory: BorrowedFd<'_>) -> Result<(), BusError> {
    let source = DmaSource {
        file: memory,
        offset: 0,
        len: 0x2000,
    };
    let _ = client.dma_map(Iova(0x1000), source);
    let _ = client.dma_map(Iova(0x8000), source);
    let _ = client.dma_unmap(Iova(0x1000), 0x2000);
    let _ = client.dma_limits();
    for bar in [0, 2] {
        let Ok(bar) = client.bar(bar) else { continue };
        let _ = bar.read32(8);
        let _ = bar.write64(16, 3);
        let _ = bar.read64(0x1000);
        let _ = bar.write_many(
            &[UserWrite::Bits64 {
                offset: 8,
                value: 1,
            }; 3],
        );
        if let Ok(doorbell) = bar.doorbell(0x1008) {
            doorbell.ring(1)?;
        }
    }
    client.config_read32(4)?;
    client.config_write16(4, 6)?;
    let _ = client.region_io_fds(0);
    let _ = client.reset();
    let irq = client.irq(0)?;
    client.relax();
    irq.wait(Duration::ZERO)?;
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    let (mut wire, theirs) = Wire::new();
    speak(&mut wire, input);
    let reader = wire.drain();
    // All that is said has been said: whatever is missing is the end, so nothing waits for the deadline.
    let _ = wire.stream.shutdown(std::net::Shutdown::Write);
    if let Ok(client) = Client::from_stream(theirs, "user:fuzz", Duration::from_secs(5)) {
        let _ = drive(&client, wire.file.as_fd());
    }
    reader.join().expect("the reader ends");
});
