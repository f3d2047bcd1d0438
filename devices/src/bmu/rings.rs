//! The two rings of a portal and the doorbell that announces them (SPEC 6.3, 6.4, 7).
//!
//! This module moves 64-bit entries through shared memory in the right order and does nothing else: it knows no
//! registers, no pools and no waiting. Counts run freely modulo 2^32; an entry's index is its count modulo the ring's
//! size, its phase tells the lap.
//!
//! ```text
//!   release ring:  ..consumed by the device.. | head .. stored .. tail | .. room ..
//!   acquire ring:  ..taken by the host..      | head .. ready ..       | .. not yet written ..
//! ```

use crate::bmu::regs::{ENTRY_PHASE, ENTRY_SIZE, RING_ALIGN, STATUS_LINE_SIZE, doorbell};
use crate::bus::{BusError, DmaBuffer, Doorbell};
use crate::sync::{Ordering, fence};

/// How a portal's memory is laid out: release ring, acquire ring, status line, each on its own cache line.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Layout {
    release_log2: u32,
    acquire_log2: u32,
}

impl Layout {
    /// Lays out rings of 2^`release_log2` and 2^`acquire_log2` entries, each log2 from 3 to 20 (SPEC 4.2).
    pub fn new(release_log2: u32, acquire_log2: u32) -> Layout {
        Layout {
            release_log2: release_log2.clamp(3, 20),
            acquire_log2: acquire_log2.clamp(3, 20),
        }
    }

    /// Returns the entries of the release ring.
    pub fn release_entries(&self) -> u32 {
        1 << self.release_log2
    }

    /// Returns the entries of the acquire ring.
    pub fn acquire_entries(&self) -> u32 {
        1 << self.acquire_log2
    }

    /// Returns both sizes as PORTAL_SIZES wants them: log2 of the release ring's and of the acquire ring's entries.
    pub fn log2(&self) -> (u32, u32) {
        (self.release_log2, self.acquire_log2)
    }

    /// Returns the byte offset of the acquire ring; the release ring is at 0.
    pub fn acquire_offset(&self) -> usize {
        self.release_entries() as usize * ENTRY_SIZE
    }

    /// Returns the byte offset of the status line.
    pub fn status_offset(&self) -> usize {
        self.acquire_offset() + self.acquire_entries() as usize * ENTRY_SIZE
    }

    /// Returns the bytes of it all, a multiple of 64.
    pub fn size(&self) -> usize {
        self.status_offset() + STATUS_LINE_SIZE.next_multiple_of(RING_ALIGN as usize)
    }
}

/// Returns the phase bit of entry `count` in a ring of 2^`log2` entries: 1 in the first lap, then alternating.
#[inline]
fn phase(count: u32, log2: u32) -> u64 {
    u64::from(!(count >> log2) & 1)
}

/// Returns the byte offset of entry `count` within a ring of 2^`log2` entries.
#[inline]
fn slot(count: u32, log2: u32) -> usize {
    (count & ((1 << log2) - 1)) as usize * ENTRY_SIZE
}

/// Returns how many entries there are from entry `count` to the end of its lap in a ring of 2^`log2` entries.
#[inline]
fn to_lap_end(count: u32, log2: u32) -> usize {
    (1 << log2) - (count & ((1 << log2) - 1)) as usize
}

/// Entries of a cache line.
const LINE: usize = 8;

/// Most entries whose lines are asked for ahead of time.
const AHEAD: usize = 64;

/// Most entries that are put together before they are stored.
const RUN: usize = 32;

/// What the device last said of itself in the status line (SPEC 6.5).
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Status {
    /// Release entries consumed.
    pub release_head: u32,
    /// Acquire entries written.
    pub acquire_tail: u32,
    /// The last ACQUIRE_HEAD that was acted on.
    pub acquire_head: u32,
    /// The device's list is empty.
    pub empty: bool,
    /// The portal halted.
    pub halted: bool,
    /// The portal stopped: this is its last status line.
    pub stopped: bool,
    /// Buffers in the device's list.
    pub available: u64,
}

/// The host's side of a portal's rings.
#[derive(Debug)]
pub struct Rings<D, B> {
    memory: D,
    doorbell: B,
    layout: Layout,
    release_tail: u32,
    /// The device's head as far as the host knows: never beyond what it wrote.
    release_head: u32,
    acquire_head: u32,
    /// What the doorbell was rung with last.
    rung: u64,
    doorbells: u64,
}

impl<D: DmaBuffer, B: Doorbell> Rings<D, B> {
    /// Zeroes the memory, as SPEC 6.3 demands before a portal is enabled, and starts all counts at 0.
    ///
    /// # Panics
    ///
    /// When `memory` is smaller than [`Layout::size`].
    pub fn new(memory: D, doorbell: B, layout: Layout) -> Rings<D, B> {
        assert!(
            memory.size() >= layout.size(),
            "portal memory of {} bytes is too small",
            memory.size()
        );
        for offset in (0..layout.size()).step_by(8) {
            memory.store64(offset, 0);
        }
        // Publishes the zeroes to the device before PORTAL_CONTROL.ENABLE, which the caller writes next (SPEC 7).
        fence(Ordering::Release);
        Rings {
            memory,
            doorbell,
            layout,
            release_tail: 0,
            release_head: 0,
            acquire_head: 0,
            rung: 0,
            doorbells: 0,
        }
    }

    /// Returns the layout.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Returns release entries stored since the portal was enabled, modulo 2^32.
    pub fn release_tail(&self) -> u32 {
        self.release_tail
    }

    /// Returns acquire entries taken since the portal was enabled, modulo 2^32.
    pub fn acquire_head(&self) -> u32 {
        self.acquire_head
    }

    /// Returns how often the doorbell was rung.
    pub fn doorbells(&self) -> u64 {
        self.doorbells
    }

    /// Returns the memory that the rings lie in.
    pub fn memory(&self) -> &D {
        &self.memory
    }

    /// Returns how many entries fit into the release ring, as far as the host knows.
    #[inline]
    pub fn room(&self) -> u32 {
        self.layout.release_entries() - self.release_tail.wrapping_sub(self.release_head)
    }

    /// Stores `addresses` as the next release entries, unseen by the device until the doorbell is rung.
    ///
    /// # Panics
    ///
    /// When there is no room for them ([`Rings::room`]): overwriting an entry would lose a buffer.
    #[inline]
    pub fn store(&mut self, addresses: &[u64]) {
        let room = self.room() as usize;
        assert!(addresses.len() <= room, "release ring is full");
        let mut left = addresses;
        while !left.is_empty() {
            let lap = to_lap_end(self.release_tail, self.layout.release_log2);
            let (run, rest) = left.split_at(left.len().min(lap).min(RUN));
            self.store_run(run);
            left = rest;
        }
    }

    /// Stores at most [`RUN`] entries of one lap.
    #[inline]
    fn store_run(&mut self, run: &[u64]) {
        let log2 = self.layout.release_log2;
        let phase = phase(self.release_tail, log2);
        let mut entries = [0; RUN];
        for (entry, address) in entries.iter_mut().zip(run) {
            *entry = address | phase;
        }
        let at = slot(self.release_tail, log2);
        self.memory.store_all(at, &entries[..run.len()]);
        self.release_tail = self.release_tail.wrapping_add(run.len() as u32);
    }

    /// Tells whether the device has written the acquire entry `ahead` of the next one.
    #[inline]
    pub fn is_ready(&self, ahead: u32) -> bool {
        let mut entry = [0];
        self.peek_run(self.acquire_head.wrapping_add(ahead), &mut entry) == 1
    }

    /// Loads the next acquire entries into `addresses`, as far as the device has written them, and returns how many
    /// those are. What lies after them is void.
    ///
    /// The addresses are what the device wrote, unchecked. No fence is needed: an entry is one word, which has its phase in
    /// it, and who uses the address depends on the load, which no platform of ours undoes.
    #[inline]
    pub fn peek(&self, addresses: &mut [u64]) -> usize {
        let mut done = 0;
        while done < addresses.len() {
            let count = self.acquire_head.wrapping_add(done as u32);
            let lap = to_lap_end(count, self.layout.acquire_log2);
            let wanted = lap.min(addresses.len() - done);
            let ready = self.peek_run(count, &mut addresses[done..done + wanted]);
            done += ready;
            if ready < wanted {
                break;
            }
        }
        done
    }

    /// Loads entries of one lap from entry `count` on; returns how many of them are written.
    ///
    /// All are loaded before the first is looked at: the device wrote them last, so each cache line has to come from
    /// elsewhere, and loads that wait for nothing wait together.
    #[inline]
    fn peek_run(&self, count: u32, entries: &mut [u64]) -> usize {
        let log2 = self.layout.acquire_log2;
        let at = self.layout.acquire_offset() + slot(count, log2);
        self.memory.load_all(at, entries);
        let phase = phase(count, log2);
        let mut wrong = 0;
        for entry in entries.iter_mut() {
            *entry ^= phase; // the address, where the phase is right
            wrong |= *entry;
        }
        if wrong & ENTRY_PHASE == 0 {
            return entries.len();
        }
        let ready = |entry: &u64| entry & ENTRY_PHASE == 0;
        entries.iter().take_while(|entry| ready(entry)).count()
    }

    /// Asks for the cache lines of the next `n` acquire entries ahead of time: the next call will want as many.
    #[inline]
    pub fn expect_entries(&self, n: usize) {
        let log2 = self.layout.acquire_log2;
        for ahead in (0..n.min(AHEAD) as u32).step_by(LINE) {
            let at = slot(self.acquire_head.wrapping_add(ahead), log2);
            self.memory.expect_load(self.layout.acquire_offset() + at);
        }
    }

    /// Asks for the cache lines of the next `n` release entries ahead of time, as [`Rings::expect_entries`] does.
    #[inline]
    pub fn expect_room(&self, n: usize) {
        let log2 = self.layout.release_log2;
        for ahead in (0..n.min(AHEAD) as u32).step_by(LINE) {
            let at = slot(self.release_tail.wrapping_add(ahead), log2);
            self.memory.expect_store(at);
        }
    }

    /// Takes the next `n` acquire entries, which [`Rings::peek`] has seen, off the ring.
    #[inline]
    pub fn advance(&mut self, n: u32) {
        self.acquire_head = self.acquire_head.wrapping_add(n);
    }

    /// Returns how many release entries no doorbell has announced yet.
    #[inline]
    pub fn unannounced(&self) -> u32 {
        self.release_tail.wrapping_sub(self.rung as u32)
    }

    /// Returns how many taken acquire entries no doorbell has told the device of yet.
    #[inline]
    pub fn untold(&self) -> u32 {
        self.acquire_head.wrapping_sub((self.rung >> 32) as u32)
    }

    /// Rings the doorbell with both counts, unless the device was told the same already.
    #[inline]
    pub fn ring(&mut self) -> Result<(), BusError> {
        let value = doorbell::RELEASE_TAIL.set(0, self.release_tail.into())
            | doorbell::ACQUIRE_HEAD.set(0, self.acquire_head.into());
        if value == self.rung {
            return Ok(());
        }
        // Publishes the release entries below the tail to the device, and completes the loads of the acquire
        // entries below the head, before the doorbell that announces both (SPEC 7).
        fence(Ordering::Release);
        self.doorbell.ring(value)?;
        self.rung = value;
        self.doorbells += 1;
        Ok(())
    }

    /// Reads the status line.
    pub fn status(&self) -> Status {
        let word = |n: usize| self.memory.load64(self.layout.status_offset() + 8 * n);
        let newer = word(1);
        // Word 0 may be newer than word 1 but never older: the device writes upwards (SPEC 6.5).
        self.memory.after_load();
        let older = word(0);
        // The entries that it counts are visible to loads that come after (SPEC 7).
        self.memory.after_load();
        Status {
            release_head: older as u32,
            acquire_tail: (older >> 32) as u32,
            acquire_head: newer as u32,
            empty: newer >> 32 & 1 != 0,
            halted: newer >> 33 & 1 != 0,
            stopped: newer >> 34 & 1 != 0,
            available: word(2),
        }
    }

    /// Takes over the device's release head, which the caller has found possible.
    pub fn set_release_head(&mut self, head: u32) {
        self.release_head = head;
    }

    /// Returns the range that a release head from the device must lie in, both ends included, modulo 2^32.
    pub fn possible_release_heads(&self) -> (u32, u32) {
        (self.release_head, self.rung as u32)
    }
}

/// Shared memory for the tests, with loom's atomics where loom explores.
#[cfg(test)]
mod testing {
    #[cfg(loom)]
    pub(super) use loom::sync::{Arc, atomic::AtomicU64};
    #[cfg(not(loom))]
    pub(super) use std::sync::{Arc, atomic::AtomicU64};

    use super::*;
    use crate::bus::Iova;

    /// Words of a memory of `size` bytes: the first ones. Those that no test uses don't exist, so that loom has
    /// little to explore; they read 0 and are never written.
    #[derive(Clone)]
    pub(super) struct Words {
        cells: Arc<Vec<AtomicU64>>,
        size: usize,
    }

    impl Words {
        pub(super) fn new(count: usize, size: usize, value: u64) -> Words {
            let cells = Arc::new((0..count).map(|_| AtomicU64::new(value)).collect());
            Words { cells, size }
        }

        pub(super) fn load(&self, offset: usize, ordering: Ordering) -> u64 {
            self.cells
                .get(offset / 8)
                .map_or(0, |cell| cell.load(ordering))
        }
    }

    impl DmaBuffer for Words {
        fn iova(&self) -> Iova {
            Iova(0)
        }
        fn size(&self) -> usize {
            self.size
        }
        fn load64(&self, offset: usize) -> u64 {
            self.load(offset, Ordering::Relaxed)
        }
        fn store64(&self, offset: usize, value: u64) {
            if let Some(cell) = self.cells.get(offset / 8) {
                cell.store(value, Ordering::Relaxed);
            }
        }
    }

    impl Doorbell for Words {
        fn ring(&self, value: u64) -> Result<(), BusError> {
            self.store64(0, value);
            Ok(())
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::testing::Words;
    use super::*;

    fn words(n: usize) -> Words {
        Words::new(n, n * 8, !0)
    }

    fn rings(layout: Layout) -> (Rings<Words, Words>, Words, Words) {
        let (memory, doorbell) = (words(layout.size() / 8), words(1));
        (
            Rings::new(memory.clone(), doorbell.clone(), layout),
            memory,
            doorbell,
        )
    }

    #[test]
    fn entries_carry_the_phase_of_their_lap() {
        let (mut rings, memory, _) = rings(Layout::new(3, 3));
        for lap in 0..4u64 {
            for n in 0..8 {
                rings.store(&[0x1000 + n * 64]);
                assert_eq!(
                    memory.load64(n as usize * 8),
                    (0x1000 + n * 64) | (!lap & 1),
                    "lap {lap}"
                );
                rings.set_release_head(rings.release_tail());
            }
        }
    }

    #[test]
    fn an_entry_of_the_former_lap_is_not_ready() {
        let layout = Layout::new(3, 3);
        let (mut rings, memory, _) = rings(layout);
        for lap in 0..4u64 {
            for n in 0..8 {
                let at = layout.acquire_offset() + n * 8;
                assert_eq!(rings.peek(&mut [0]), 0, "lap {lap} entry {n}");
                memory.store64(at, (!lap & 1) | 0x4000);
                let mut address = [0];
                assert_eq!(rings.peek(&mut address), 1);
                assert_eq!(address, [0x4000]);
                rings.advance(1);
            }
        }
    }

    #[test]
    fn counts_wrap_with_the_phase_intact() {
        let (mut rings, memory, _) = rings(Layout::new(3, 3));
        rings.release_tail = u32::MAX - 3;
        rings.release_head = u32::MAX - 3;
        for n in 0..8u32 {
            rings.store(&[0x40]);
            let count = (u32::MAX - 3).wrapping_add(n);
            let expected = u64::from((count / 8) % 2 == 0);
            assert_eq!(
                memory.load64((count % 8) as usize * 8) & 1,
                expected,
                "count {count:#x}"
            );
        }
        assert_eq!(rings.room(), 0);
    }

    #[test]
    fn runs_go_on_over_the_end_of_a_lap() {
        let layout = Layout::new(6, 3);
        let (mut rings, memory, _) = rings(layout);
        let addresses: Vec<u64> = (1..=60).map(|n| n * 64).collect();
        for _ in 0..3 {
            rings.store(&addresses);
            rings.set_release_head(rings.release_tail());
        }
        for n in 120..180u64 {
            let expected = ((n - 119) * 64) | u64::from(n & 64 == 0);
            assert_eq!(memory.load64(n as usize % 64 * 8), expected, "entry {n}");
        }

        let put = |n: usize| {
            let word = (n as u64 * 64) | u64::from(n & 8 == 0);
            memory.store64(layout.acquire_offset() + n % 8 * 8, word);
        };
        (0..8).for_each(put);
        rings.advance(5);
        (8..11).for_each(put);
        let mut found = [0; 8];
        assert_eq!(rings.peek(&mut found), 6);
        assert_eq!(found[..6], [5, 6, 7, 8, 9, 10].map(|n| n * 64));
        assert!(rings.is_ready(5) && !rings.is_ready(6));
    }

    #[test]
    #[should_panic(expected = "release ring is full")]
    fn a_full_ring_is_never_overwritten() {
        let (mut rings, _, _) = rings(Layout::new(3, 3));
        rings.store(&[64; 9]);
    }

    #[test]
    fn one_doorbell_stands_for_many_entries_and_none_for_nothing_new() {
        let (mut rings, _, doorbell) = rings(Layout::new(4, 4));
        rings.ring().unwrap();
        assert_eq!(rings.doorbells(), 0);
        rings.store(&[64; 5]);
        rings.advance(3);
        assert_eq!((rings.unannounced(), rings.untold()), (5, 3));
        rings.ring().unwrap();
        rings.ring().unwrap();
        assert_eq!(rings.doorbells(), 1);
        assert_eq!(doorbell.load64(0), 3 << 32 | 5);
        assert_eq!((rings.unannounced(), rings.untold()), (0, 0));
    }

    #[test]
    fn the_status_line_is_decoded_as_specified() {
        let layout = Layout::new(3, 4);
        let (rings, memory, _) = rings(layout);
        let at = layout.status_offset();
        memory.store64(at, 7 << 32 | 5);
        memory.store64(at + 8, 1 << 34 | 1 << 33 | 1 << 32 | 3);
        memory.store64(at + 16, 99);
        let expected = Status {
            release_head: 5,
            acquire_tail: 7,
            acquire_head: 3,
            empty: true,
            halted: true,
            stopped: true,
            available: 99,
        };
        assert_eq!(rings.status(), expected);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use loom::thread;

    use super::testing::Words;
    use super::*;

    /// Whatever the device sees announced by the doorbell, it also sees stored.
    #[test]
    fn loom_the_doorbell_never_overtakes_the_entries() {
        loom::model(|| {
            let layout = Layout::new(3, 3);
            let words = Words::new(2, layout.size(), 0);
            let bell = Words::new(1, 8, 0);
            let mut rings = Rings::new(words.clone(), bell.clone(), layout);
            let device = thread::spawn(move || {
                let tail = bell.load(0, Ordering::Acquire) as u32;
                for n in 0..tail as usize {
                    assert_eq!(
                        words.load64(n * 8),
                        (n as u64 + 1) << 6 | 1,
                        "stale entry {n}"
                    );
                }
            });
            rings.store(&[1 << 6]);
            rings.ring().unwrap();
            rings.store(&[2 << 6]);
            rings.ring().unwrap();
            device.join().unwrap();
        });
    }
}
