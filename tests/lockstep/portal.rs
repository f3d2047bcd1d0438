//! What a host knows of a portal that runs, on either device.

use crate::board::Board;

/// Bytes of memory for each portal: two rings and the status line.
const ROOM: u64 = 0x4000;
const ACQUIRE: u64 = 0x1000;
const LINE: u64 = 0x2000;

#[derive(Debug, Clone)]
pub(crate) struct Portal {
    pub(crate) number: u16,
    pub(crate) pool: u16,
    pub(crate) log2: [u32; 2],
    pub(crate) credits: u32,
    /// Release entries stored, and acquire entries taken.
    pub(crate) tail: u32,
    pub(crate) head: u32,
    /// Acquire entries whose buffers are known to be out, of each device.
    pub(crate) seen: [u32; 2],
}

impl Portal {
    /// Returns where release ring, acquire ring and status line are, as offsets into the memory.
    pub(crate) fn places(number: u16) -> [u64; 3] {
        let begin = u64::from(number) * ROOM;
        [begin, begin + ACQUIRE, begin + LINE]
    }

    pub(crate) fn clear(number: u16, board: &dyn Board) {
        let begin = Portal::places(number)[0];
        (begin..begin + ROOM)
            .step_by(8)
            .for_each(|at| board.store(at, 0));
    }

    fn phase(entry: u32, log2: u32) -> u64 {
        u64::from(entry >> log2 & 1 == 0)
    }

    /// Stores release entry `entry`.
    pub(crate) fn store(&self, board: &dyn Board, entry: u32, address: u64, is_stale: bool) {
        let (log2, [ring, ..]) = (self.log2[0], Portal::places(self.number));
        let place = ring + 8 * u64::from(entry & ((1 << log2) - 1));
        let phase = Portal::phase(entry, log2) ^ u64::from(is_stale);
        board.store(place, address & !0x3f | phase);
    }

    /// Reads acquire entry `entry`, if it is written.
    pub(crate) fn load(&self, board: &dyn Board, entry: u32) -> Option<u64> {
        let (log2, [_, ring, _]) = (self.log2[1], Portal::places(self.number));
        let word = board.load(ring + 8 * u64::from(entry & ((1 << log2) - 1)));
        (word & 0x3f == Portal::phase(entry, log2)).then_some(word & !0x3f)
    }

    pub(crate) fn line(&self, board: &dyn Board) -> [u64; 4] {
        let [.., line] = Portal::places(self.number);
        [0, 8, 16, 24].map(|at| board.load(line + at))
    }
}
