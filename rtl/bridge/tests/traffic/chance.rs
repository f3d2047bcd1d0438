//! Programs by chance, of transactions that AXI allows and whose outcome it leaves in no doubt.

use fastrand::Rng;

use crate::axi::{Burst, Kind, Memory, Transaction};
use crate::engine::{Engine, MOST, MOST_BEATS};

/// Makes a program for an engine: most of it in its memory, some of it beside.
pub(crate) fn program(rng: &mut Rng, engine: &Engine, memory: &Memory) -> Vec<Transaction> {
    let mut program: Vec<Transaction> = Vec::new();
    // Few IDs, so that several transactions have the same one.
    let ids = rng.u16(1..=engine.ids.min(4));
    let first = rng.u16(0..=engine.ids - ids);
    for _ in 0..rng.usize(1..=MOST) {
        let transaction = Transaction {
            writes: rng.bool(),
            id: rng.u16(first..first + ids) as u8,
            burst: burst(rng, engine, memory),
            seed: rng.u32(0..1 << 24),
            holes: rng.u8(0..4) == 0,
        };
        let beats = beats_read(&program) + transaction.burst.length;
        let is_clear = |other: &Transaction| !meet(engine, &transaction, other);
        if beats <= MOST_BEATS && program.iter().all(is_clear) {
            program.push(transaction);
        }
    }
    program
}

fn beats_read(program: &[Transaction]) -> u64 {
    let reads = program.iter().filter(|transaction| !transaction.writes);
    reads.map(|transaction| transaction.burst.length).sum()
}

/// Tells whether two transactions reach the same bytes in an order that AXI leaves open: a read beside a write, or writes
/// of different IDs.
fn meet(engine: &Engine, one: &Transaction, other: &Transaction) -> bool {
    let ordered = one.writes == other.writes && (!one.writes || one.id == other.id);
    let ((low, high), (start, end)) = (one.burst.reach(engine.bus), other.burst.reach(engine.bus));
    !ordered && low <= end && start <= high
}

fn burst(rng: &mut Rng, engine: &Engine, memory: &Memory) -> Burst {
    let size = 1 << rng.u32(0..=engine.bus.trailing_zeros());
    let kind = rng.choice([Kind::Fixed, Kind::Incr, Kind::Incr, Kind::Wrap]);
    let kind = kind.unwrap();
    let address = address(rng, memory);
    match kind {
        Kind::Fixed => Burst {
            address,
            length: rng.u64(1..=16),
            size,
            kind,
        },
        Kind::Wrap => Burst {
            address: address / size * size,
            length: rng.choice([2, 4, 8, 16]).unwrap(),
            size,
            kind,
        },
        Kind::Incr => {
            let room = (4096 - address % 4096).div_ceil(size).min(256);
            let most = if rng.u8(0..8) == 0 {
                room
            } else {
                room.min(12)
            };
            Burst {
                address,
                length: rng.u64(1..=most),
                size,
                kind,
            }
        }
    }
}

/// Mostly in memory, and often near the end of a page; the rest is behind its end, or at the end of all addresses.
fn address(rng: &mut Rng, memory: &Memory) -> u64 {
    let pages = memory.bytes.len() as u64 / 4096;
    let page = match rng.u8(0..32) {
        0 => memory.start + memory.bytes.len() as u64,
        1 => u64::MAX - 0xfff,
        _ => memory.start + 4096 * rng.u64(0..pages),
    };
    page + match rng.u8(0..4) {
        0 => 4096 - rng.u64(1..=64),
        _ => rng.u64(0..4096),
    }
}
