//! Bursts as the AMBA AXI specification has them (IHI 0022H, A3.4.1 to A3.4.3), beat after beat as a master steps through
//! one, and what they do to memory. Nothing here is the bridge's: it is what the bridge is compared with.

use std::ops::Range;

#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Fixed = 0,
    Incr = 1,
    Wrap = 2,
}

#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) struct Burst {
    pub(crate) address: u64,
    /// Beats.
    pub(crate) length: u64,
    /// Bytes of a beat.
    pub(crate) size: u64,
    pub(crate) kind: Kind,
}

/// A beat: the byte lanes that matter, and the address of the byte on the lowest of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beat {
    pub(crate) lanes: Range<usize>,
    pub(crate) address: u64,
}

/// What a master asks for.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Transaction {
    pub(crate) writes: bool,
    pub(crate) id: u8,
    pub(crate) burst: Burst,
    /// Of what is written, 24 bits.
    pub(crate) seed: u32,
    /// It leaves bytes out by strobes.
    pub(crate) holes: bool,
}

impl Burst {
    /// Steps through the beats on a bus of so many bytes.
    pub(crate) fn beats(&self, bus: u64) -> Vec<Beat> {
        let Burst { size, length, .. } = *self;
        let container = self.address / (size * length) * (size * length);
        let mut address = self.address;
        let mut beats = Vec::new();
        for _ in 0..length {
            let (word, end) = (address / bus * bus, address / size * size + (size - 1));
            let lanes = (address - word) as usize..(end - word) as usize + 1;
            beats.push(Beat { lanes, address });
            address = match self.kind {
                Kind::Fixed => address,
                Kind::Wrap if end == container + (size * length - 1) => container,
                Kind::Incr | Kind::Wrap => end.wrapping_add(1),
            };
        }
        beats
    }

    /// Returns the addresses from the lowest byte to the highest.
    pub(crate) fn reach(&self, bus: u64) -> (u64, u64) {
        let beats = self.beats(bus);
        let last = |beat: &Beat| beat.address + (beat.lanes.len() as u64 - 1);
        (
            beats.iter().map(|beat| beat.address).min().unwrap(),
            beats.iter().map(last).max().unwrap(),
        )
    }
}

impl Transaction {
    /// Returns the byte on a lane, as the engine makes it.
    pub(crate) fn byte(&self, beat: usize, lane: usize) -> u8 {
        pattern(self.seed, beat, lane)
    }

    /// Tells whether the lane's strobe is 1, on a lane of the beat.
    pub(crate) fn strobe(&self, beat: usize, lane: usize) -> bool {
        let turned = (self.seed << 8 | self.seed >> 16) & 0xff_ffff;
        !self.holes || pattern(turned, beat, lane) >= 128
    }
}

fn pattern(seed: u32, beat: usize, lane: usize) -> u8 {
    let [start, by_beat, by_lane, _] = seed.to_le_bytes();
    let steps = |by: u8, count: usize| (by | 1).wrapping_mul(count as u8);
    start
        .wrapping_add(steps(by_beat, beat))
        .wrapping_add(steps(by_lane, lane))
}

/// Memory from an address on.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pub(crate) start: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Memory {
    /// Tells whether all that a burst is about is there.
    pub(crate) fn has(&self, burst: &Burst, bus: u64) -> bool {
        let (low, high) = burst.reach(bus);
        low >= self.start && high - self.start < self.bytes.len() as u64
    }

    /// Returns what each beat of a read brings on its lanes.
    pub(crate) fn read(&self, burst: &Burst, bus: u64) -> Vec<Vec<u8>> {
        let bytes = |beat: Beat| {
            let at = (beat.address - self.start) as usize;
            self.bytes[at..at + beat.lanes.len()].to_vec()
        };
        burst.beats(bus).into_iter().map(bytes).collect()
    }

    pub(crate) fn write(&mut self, transaction: &Transaction, bus: u64) {
        for (n, beat) in transaction.burst.beats(bus).into_iter().enumerate() {
            let at = (beat.address - self.start) as usize;
            let lanes = beat.lanes.enumerate();
            for (offset, lane) in lanes.filter(|(_, lane)| transaction.strobe(n, *lane)) {
                self.bytes[at + offset] = transaction.byte(n, lane);
            }
        }
    }
}

#[test]
fn the_reference_has_the_transfers_that_the_specification_draws() {
    type Row = (Burst, u64, &'static [(Range<usize>, u64)]);
    let burst = |address, length, size, kind| Burst {
        address,
        length,
        size,
        kind,
    };
    let rows: [Row; 7] = [
        // A3.4.3: narrow transfers, of 8 bits on a bus of 32, and of 32 bits on one of 64.
        (
            burst(0, 5, 1, Kind::Incr),
            4,
            &[(0..1, 0), (1..2, 1), (2..3, 2), (3..4, 3), (0..1, 4)],
        ),
        (
            burst(4, 3, 4, Kind::Incr),
            8,
            &[(4..8, 4), (0..4, 8), (4..8, 12)],
        ),
        // A3.4.3: unaligned transfers, of 32 bits on a bus of 32, and on one of 64.
        (
            burst(1, 4, 4, Kind::Incr),
            4,
            &[(1..4, 1), (0..4, 4), (0..4, 8), (0..4, 12)],
        ),
        (
            burst(7, 4, 4, Kind::Incr),
            8,
            &[(7..8, 7), (0..4, 8), (4..8, 12), (0..4, 16)],
        ),
        // A3.4.3: a wrapping burst, of 32 bits on a bus of 64.
        (
            burst(4, 4, 4, Kind::Wrap),
            8,
            &[(4..8, 4), (0..4, 8), (4..8, 12), (0..4, 0)],
        ),
        (
            burst(0x118, 2, 8, Kind::Wrap),
            8,
            &[(0..8, 0x118), (0..8, 0x110)],
        ),
        // A3.4.1: the lanes of a fixed burst are those of its first beat.
        (
            burst(0x105, 3, 4, Kind::Fixed),
            8,
            &[(5..8, 0x105), (5..8, 0x105), (5..8, 0x105)],
        ),
    ];
    for (burst, bus, expected) in rows {
        let beats = burst.beats(bus);
        let beats: Vec<_> = beats.iter().map(|b| (b.lanes.clone(), b.address)).collect();
        assert_eq!(beats, expected, "{burst:x?} on {bus} bytes");
    }
}
