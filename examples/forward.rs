//! Forwards a capture through a hardware pool: `forward IN.pcap OUT.pcap [BUFFERS] [BACKEND]`.
//!
//! One thread takes a buffer from the pool for each packet and fills it; another takes the buffer over, checks it, writes
//! it to a new capture and gives it back by dropping it. There are far fewer buffers (32) than packets, so each goes
//! round many times. At the end the output is compared with the input, packet by packet, and the pool must have all
//! its buffers back.

use std::env;
use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use hwpool::pool::{Buffer, Pool};
use pcap_file::pcap::{PcapHeader, PcapReader, PcapWriter, RawPcapPacket};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;
type Reader = PcapReader<BufReader<File>>;

/// How long a packet may wait for a buffer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest packet that captures hold (the usual snap length).
const LARGEST: usize = 256 * 1024;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [input, output, rest @ ..] = arguments.as_slice() else {
        return usage();
    };
    let Ok(buffers) = rest.first().map_or(Ok(32), |text| text.parse()) else {
        return usage();
    };
    let backend = rest.get(1).map_or("bmu", String::as_str);
    match forward(Path::new(input), Path::new(output), buffers, backend) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("forward: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: forward IN.pcap OUT.pcap [BUFFERS] [BACKEND]");
    ExitCode::from(2)
}

/// A packet on its way: its bytes are in the buffer, the rest travels beside it.
struct Packet {
    buffer: Buffer,
    len: usize,
    seconds: u32,
    fraction: u32,
    original_len: u32,
    checksum: u64,
}

fn forward(input: &Path, output: &Path, buffers: u32, backend: &str) -> Outcome<String> {
    let largest = longest_packet(input)?;
    let pool = Pool::builder("packets")
        .objects(buffers)
        .size(largest)
        .backend(backend)
        .build()?;
    let mut reader = open(input)?;
    let header = reader.header();
    let (give, take) = sync_channel(buffers as usize);
    let started = Instant::now();
    let packets = thread::scope(|scope| {
        let pool = &pool;
        // Each thread owns its end of the channel, so that the other hears when it is gone.
        let receiver = scope.spawn(move || receive(&mut reader, pool, &give));
        let sender = scope.spawn(move || send(take, output, header));
        let received = receiver
            .join()
            .map_err(|_| "the receiving thread panicked")?;
        let sent = sender.join().map_err(|_| "the sending thread panicked")?;
        received.and(sent)
    })?;
    let elapsed = started.elapsed();
    let report = pool.close()?;
    if !report.is_clean() {
        return Err(report.to_string().into());
    }
    compare(input, output)?;
    Ok(format!(
        "{packets} packets through {buffers} buffers of {largest} bytes in {elapsed:.1?}: \
         identical, nothing out"
    ))
}

fn open(path: &Path) -> Outcome<Reader> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let reader = PcapReader::new(BufReader::new(file));
    Ok(reader.map_err(|error| format!("{}: not a capture: {error}", path.display()))?)
}

fn longest_packet(path: &Path) -> Outcome<usize> {
    let mut reader = open(path)?;
    let mut longest = 64;
    while let Some(packet) = reader.next_raw_packet() {
        longest = longest.max(packet?.data.len());
    }
    if longest > LARGEST {
        return Err(format!("a packet of {longest} bytes: more than {LARGEST}").into());
    }
    Ok(longest)
}

/// Puts each packet into a buffer of its own and hands it on.
fn receive(reader: &mut Reader, pool: &Pool, to: &SyncSender<Packet>) -> Outcome<u64> {
    let mut packets = 0;
    while let Some(packet) = reader.next_raw_packet() {
        let packet = packet?;
        let mut buffer = wait_for_buffer(pool)?;
        let len = packet.data.len();
        buffer.bytes_mut()[..len].copy_from_slice(&packet.data);
        let handed = to.send(Packet {
            buffer,
            len,
            seconds: packet.ts_sec,
            fraction: packet.ts_frac,
            original_len: packet.orig_len,
            checksum: checksum(&packet.data),
        });
        if handed.is_err() {
            break; // The sender is gone and says why itself.
        }
        packets += 1;
    }
    Ok(packets)
}

/// Takes a buffer, waiting for the other thread to free one where all are on their way.
fn wait_for_buffer(pool: &Pool) -> Outcome<Buffer> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match pool.take()? {
            Some(buffer) => return Ok(buffer),
            None if Instant::now() > deadline => return Err("no buffer came back in time".into()),
            None => thread::yield_now(),
        }
    }
}

/// Checks each packet, writes it, and frees its buffer.
fn send(from: Receiver<Packet>, path: &Path, header: PcapHeader) -> Outcome<u64> {
    let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut writer = PcapWriter::with_header(BufWriter::new(file), header)?;
    let mut packets = 0;
    for packet in from {
        let data = &packet.buffer.bytes()[..packet.len];
        if checksum(data) != packet.checksum {
            let buffer = packet.buffer.index();
            return Err(format!("packet {packets} changed in buffer {buffer}").into());
        }
        writer.write_raw_packet(&RawPcapPacket {
            ts_sec: packet.seconds,
            ts_frac: packet.fraction,
            incl_len: packet.len as u32,
            orig_len: packet.original_len,
            data: data.into(),
        })?;
        packets += 1;
    }
    writer.into_writer().flush()?;
    Ok(packets)
}

/// FNV-1a (Fowler, Noll, Vo), 64 bits.
fn checksum(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn compare(input: &Path, output: &Path) -> Outcome<()> {
    let (mut left, mut right) = (open(input)?, open(output)?);
    for n in 0.. {
        match (
            left.next_raw_packet().transpose()?,
            right.next_raw_packet().transpose()?,
        ) {
            (None, None) => break,
            (Some(left), Some(right)) if same(&left, &right) => {}
            _ => return Err(format!("packet {n} differs between input and output").into()),
        }
    }
    Ok(())
}

fn same(left: &RawPcapPacket<'_>, right: &RawPcapPacket<'_>) -> bool {
    let header = |p: &RawPcapPacket<'_>| (p.ts_sec, p.ts_frac, p.incl_len, p.orig_len);
    header(left) == header(right) && left.data == right.data
}
