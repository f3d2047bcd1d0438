//! A pool: its registers, its free list and the checks of a free (SPEC 4.4, 5).

use std::collections::HashSet;

use super::errors::{ErrorKind, clear_errors};
use super::lies::Lie;
use crate::faults::FaultKind;
use crate::lies::Lies;
use crate::world::World;

/// Widest range, in buffers, whose marks are a map; a wider one has few buffers for its size.
const MAP_LIMIT: u64 = 1 << 27;

/// Registers and state of one pool.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) enabled: bool,
    pub(crate) natural: bool,
    pub(crate) base: u64,
    pub(crate) end: u64,
    pub(crate) stride: u32,
    pub(crate) capacity: u32,
    pub(crate) low: u32,
    pub(crate) high: u32,
    pub(crate) event: u32,
    pub(crate) event_enable: u32,
    pub(crate) vector: u32,
    pub(crate) error: u32,
    pub(crate) error_address: u64,
    pub(crate) list: FreeList,
    /// Falling below `low` is news (SPEC 5.2).
    pub(super) armed: bool,
    /// Portals whose last fill found the list empty, a bit each.
    pub(crate) waiting: u64,
    /// The buffer handed out last, for the fault that hands it out again.
    pub(crate) last_out: u64,
    /// The last address that was freed with bits below its buffer, for the lie that gives them back.
    pub(super) unaligned: u64,
    /// Halves that wait for the other one: the high one of the last allocation, the low one of the next free (SPEC 2.1).
    pub(super) alloc_high: u32,
    pub(super) free_low: u32,
    /// When the list is empty after the pool was disabled, in picoseconds.
    pub(super) busy_until: u64,
    /// Buffers by number that a reset has kept, where that is a lie of the device's.
    kept: Vec<u64>,
}

/// What a pool must hold to; SPEC 5.1.
#[derive(Debug, Copy, Clone)]
pub(crate) struct PoolLimits {
    pub(crate) width: u8,
    pub(crate) stride_log2: (u8, u8),
    pub(crate) power_of_two: bool,
    pub(crate) buffers: u64,
}

/// Why a release entry did not end in the list.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Stale,
    Error(ErrorKind),
}

/// POOL_EVENT.DEPLETED.
pub(super) const DEPLETED: u32 = 1;
/// POOL_EVENT.RECOVERED.
const RECOVERED: u32 = 2;

impl Pool {
    /// Enables the pool with an empty list, or returns false where SPEC 5.1 doesn't hold.
    pub(crate) fn enable(&mut self, limits: PoolLimits) -> bool {
        let Some(count) = self.buffers(limits) else {
            return false;
        };
        if self.capacity == 0 || u64::from(self.capacity) > limits.buffers.min(count) {
            return false;
        }
        self.list = FreeList::new(self.base, u64::from(self.stride), count);
        for index in std::mem::take(&mut self.kept) {
            if index < count {
                self.list.push(index);
            }
        }
        self.enabled = true;
        self.armed = true;
        self.waiting = 0;
        self.last_out = 0;
        true
    }

    /// Returns how many buffers the range holds, or `None` where range or stride are invalid.
    fn buffers(&self, limits: PoolLimits) -> Option<u64> {
        let stride = u64::from(self.stride);
        let (min, max) = limits.stride_log2;
        let strides = (1 << min)..=(1 << max);
        let top = 1u128 << limits.width;
        let aligned = self.base != 0 && self.base.is_multiple_of(64) && stride.is_multiple_of(64);
        if !aligned || !strides.contains(&stride) || u128::from(self.end) > top {
            return None;
        }
        if limits.power_of_two && !stride.is_power_of_two() {
            return None;
        }
        let len = self.end.checked_sub(self.base).filter(|len| *len > 0)?;
        let natural = !self.natural || self.base.is_multiple_of(stride);
        (len.is_multiple_of(stride) && natural).then(|| len / stride)
    }

    /// Puts every register to its reset value and forgets every buffer, but for what a lie keeps.
    pub(super) fn reset(&mut self, lies: Lies) {
        let before = std::mem::take(self);
        if lies.tell(Lie::ResetKeepsList) {
            self.kept = before.kept;
            self.kept.extend(before.list.stack);
        }
        if lies.tell(Lie::ResetKeepsRanges) {
            (self.base, self.end) = (before.base, before.end);
            (self.stride, self.capacity) = (before.stride, before.capacity);
        }
    }

    /// Disables the pool, and empties its list, unless it `keeps` that.
    pub(crate) fn disable(&mut self, keeps: bool) {
        self.enabled = false;
        let list = std::mem::take(&mut self.list);
        if keeps {
            self.kept = list.stack;
        }
        self.waiting = 0;
    }

    pub(super) fn control(&self) -> u64 {
        u64::from(self.enabled) | u64::from(self.natural) << 1
    }

    pub(super) fn clear_errors(&mut self, bits: u32) {
        clear_errors(&mut self.error, &mut self.error_address, bits);
    }

    /// Tells whether the list is being emptied still.
    pub(super) fn is_busy(&self, now: u64) -> bool {
        now < self.busy_until
    }

    pub(super) fn status(&self, lies: Lies, now: u64) -> u32 {
        let available = self.list.len();
        let tells = self.enabled || lies.tell(Lie::EmptyWhenDisabled);
        u32::from(self.enabled)
            | u32::from(tells && available == 0) << 1
            | u32::from(available < self.low) << 2
            | u32::from(self.is_busy(now)) << 3
    }

    /// Puts one buffer into the list, through every check but DISABLED.
    #[inline]
    pub(crate) fn free(&mut self, address: u64) -> Result<(), ErrorKind> {
        if address < self.base || address >= self.end {
            return Err(ErrorKind::Range);
        }
        let (index, rest) = self.list.index(address);
        if rest != 0 && !self.natural {
            return Err(ErrorKind::Align);
        }
        // A buffer that would be one too many may still be one that is there: DOUBLE_FREE comes first.
        if self.list.len() >= self.capacity && !self.list.holds(index) {
            return Err(ErrorKind::Overflow);
        }
        if self.list.push(index) {
            Ok(())
        } else {
            Err(ErrorKind::DoubleFree)
        }
    }

    /// Frees the buffers of release entries up to the first that is stale or refused.
    ///
    /// Returns how many were freed, and why the next one was not.
    pub(crate) fn free_entries(&mut self, entries: &[u64], phase: u64) -> (usize, Option<Refusal>) {
        let room = self.capacity.saturating_sub(self.list.len()) as usize;
        let quick = &entries[..entries.len().min(room)];
        let quick = self.list.push_entries(quick, phase);
        for (i, word) in entries.iter().enumerate().skip(quick) {
            if word & 0x3f != phase {
                return (i, Some(Refusal::Stale));
            }
            if let Err(kind) = self.free(word & !0x3f) {
                return (i, Some(Refusal::Error(kind)));
            }
        }
        (entries.len(), None)
    }

    /// Looks at the thresholds after the list went from `before` buffers to what it holds now; returns new events.
    #[inline]
    pub(crate) fn moved(&mut self, before: u32) -> u32 {
        let after = self.list.len();
        if self.low == 0 || before == after {
            return 0;
        }
        if self.armed && before >= self.low && after < self.low {
            self.armed = false;
            return DEPLETED;
        }
        if !self.armed && after > before && after >= self.high {
            self.armed = true;
            return RECOVERED;
        }
        0
    }

    /// Lets faults change the buffer that is about to be handed out; the true one then stays in the list.
    pub(super) fn spoil(
        &mut self,
        world: &mut World,
        address: u64,
        register: &str,
        index: u16,
    ) -> u64 {
        let faults = &mut world.faults;
        let given = if faults
            .hit(FaultKind::DuplicateBuffer, register, index)
            .is_some()
        {
            if self.last_out == 0 {
                address
            } else {
                self.last_out
            }
        } else if let Some(value) = faults.hit(FaultKind::OutOfRangeBuffer, register, index) {
            if value == 0 { self.end } else { value }
        } else if faults
            .hit(FaultKind::MisalignedBuffer, register, index)
            .is_some()
        {
            return address + if self.stride > 64 { 64 } else { 8 };
        } else {
            return address;
        };
        self.list.put_back(address);
        given
    }
}

/// Which buffers are in the list.
#[derive(Debug)]
enum Marks {
    /// A byte each, not a bit: marks of neighbours, which come one after the other, don't wait for each other then.
    Map(Vec<bool>),
    Set(HashSet<u64>),
}

impl Marks {
    #[inline]
    fn has(&self, index: u64) -> bool {
        match self {
            Marks::Map(map) => map[index as usize],
            Marks::Set(set) => set.contains(&index),
        }
    }

    /// Sets a mark; false if it was there.
    #[inline]
    fn insert(&mut self, index: u64) -> bool {
        match self {
            Marks::Map(map) => !std::mem::replace(&mut map[index as usize], true),
            Marks::Set(set) => set.insert(index),
        }
    }

    #[inline]
    fn remove(&mut self, index: u64) {
        match self {
            Marks::Map(map) => map[index as usize] = false,
            Marks::Set(set) => {
                set.remove(&index);
            }
        }
    }
}

/// A stack of buffers, by number, with a mark for each so that none is in it twice.
#[derive(Debug)]
pub(crate) struct FreeList {
    stack: Vec<u64>,
    marks: Marks,
    base: u64,
    stride: u64,
    /// ⌊2⁶⁴ / stride⌋ or one more: multiplying by it replaces the division.
    reciprocal: u64,
}

impl Default for FreeList {
    fn default() -> FreeList {
        FreeList::new(0, 64, 0)
    }
}

impl FreeList {
    fn new(base: u64, stride: u64, count: u64) -> FreeList {
        let marks = match count {
            0..=MAP_LIMIT => Marks::Map(vec![false; count as usize]),
            _ => Marks::Set(HashSet::new()),
        };
        FreeList {
            stack: Vec::new(),
            marks,
            base,
            stride,
            reciprocal: (u64::MAX / stride) + 1,
        }
    }

    pub(crate) fn len(&self) -> u32 {
        self.stack.len() as u32
    }

    /// Returns the buffer's number and how far into it the address lies.
    #[inline]
    fn index(&self, address: u64) -> (u64, u64) {
        let offset = address - self.base;
        // The reciprocal is too large by less than one part in 2^64, so the quotient is right or one too large.
        let quotient = high(offset, self.reciprocal);
        let rest = offset.wrapping_sub(quotient.wrapping_mul(self.stride));
        if rest < self.stride {
            (quotient, rest)
        } else {
            (quotient - 1, rest.wrapping_add(self.stride))
        }
    }

    #[inline]
    fn address(&self, index: u64) -> u64 {
        self.base + index * self.stride
    }

    #[inline]
    fn holds(&self, index: u64) -> bool {
        self.marks.has(index)
    }

    /// Adds a buffer; false if it was there.
    #[inline]
    fn push(&mut self, index: u64) -> bool {
        let is_new = self.marks.insert(index);
        if is_new {
            self.stack.push(index);
        }
        is_new
    }

    /// Forgets a buffer that is in the list.
    pub(crate) fn drop_buffer(&mut self, address: u64) {
        let (index, _) = self.index(address);
        if self.marks.has(index) {
            self.marks.remove(index);
            self.stack.retain(|held| *held != index);
        }
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<u64> {
        let index = self.stack.pop()?;
        self.marks.remove(index);
        Some(self.address(index))
    }

    /// Adds the buffers of ring entries as long as nothing is wrong with any; returns how many.
    ///
    /// This is the loop that the model's speed rests on. It knows the common case only, and leaves the first entry
    /// that is not, and all after it, to the careful way.
    fn push_entries(&mut self, entries: &[u64], phase: u64) -> usize {
        let Marks::Map(marks) = &mut self.marks else {
            return 0;
        };
        let (base, stride, reciprocal) = (self.base, self.stride, self.reciprocal);
        let before = self.stack.len();
        self.stack.resize(before + entries.len(), 0);
        let slots = self.stack[before..].iter_mut();
        let done = slots.zip(entries).position(|(slot, word)| {
            let offset = (word ^ phase).wrapping_sub(base);
            // Of a multiple of the stride the quotient is right; of all else the product is another.
            *slot = high(offset, reciprocal);
            let mark = marks.get_mut(*slot as usize);
            let fits = slot.wrapping_mul(stride) == offset;
            mark.is_none_or(|mark| !fits || std::mem::replace(mark, true))
        });
        let done = done.unwrap_or(entries.len());
        self.stack.truncate(before + done);
        done
    }

    /// Takes up to `count` buffers as ring entries with that phase.
    pub(crate) fn pop_entries(&mut self, count: u32, phase: u64, entries: &mut Vec<u64>) {
        let rest = self.stack.len().saturating_sub(count as usize);
        let (base, stride) = (self.base, self.stride);
        let taken = self.stack[rest..].iter().rev();
        let entry = |index: u64| (base + index * stride) | phase;
        match &mut self.marks {
            Marks::Map(marks) => entries.extend(taken.map(|&index| {
                marks[index as usize] = false;
                entry(index)
            })),
            Marks::Set(set) => entries.extend(taken.map(|&index| {
                set.remove(&index);
                entry(index)
            })),
        }
        self.stack.truncate(rest);
    }

    /// Puts back what [`FreeList::pop`] gave.
    pub(crate) fn put_back(&mut self, address: u64) {
        let (index, _) = self.index(address);
        self.push(index);
    }
}

/// Returns the upper half of a product.
#[inline]
fn high(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const LIMITS: PoolLimits = PoolLimits {
        width: 48,
        stride_log2: (6, 20),
        power_of_two: false,
        buffers: 1 << 24,
    };

    fn pool() -> Pool {
        Pool {
            base: 0x1_0000,
            end: 0x1_0000 + 10 * 192,
            stride: 192,
            capacity: 4,
            ..Pool::default()
        }
    }

    #[test]
    fn division_by_multiplication_is_exact() {
        for stride in [64, 128, 192, 2112, 1 << 20, (1 << 30) - 64] {
            let list = FreeList::new(64, stride, 0);
            for quotient in [0, 1, 2, 3, 1 << 20, (u64::MAX - 128) / stride - 1] {
                for rest in [0, 1, stride - 1] {
                    let address = 64 + quotient * stride + rest;
                    assert_eq!(list.index(address), (quotient, rest), "{stride} {quotient}");
                }
            }
        }
    }

    #[test]
    fn checks_come_in_the_specified_order() {
        let mut pool = pool();
        assert!(pool.enable(LIMITS));
        assert_eq!(pool.free(0x1_0000 - 192), Err(ErrorKind::Range));
        assert_eq!(pool.free(pool.end), Err(ErrorKind::Range));
        assert_eq!(pool.free(0x1_0000 + 64), Err(ErrorKind::Align));
        for n in 0..4 {
            assert_eq!(pool.free(0x1_0000 + n * 192), Ok(()));
        }
        assert_eq!(pool.free(0x1_0000), Err(ErrorKind::DoubleFree));
        assert_eq!(pool.free(0x1_0000 + 4 * 192), Err(ErrorKind::Overflow));
        assert_eq!(pool.list.len(), 4);
    }

    #[test]
    fn the_quick_way_frees_what_the_careful_one_does() {
        let mut rng = Rng::new(7);
        for stride in [64, 192, 2048, 2112] {
            let new = || Pool {
                base: 0x1_0000,
                end: 0x1_0000 + 40 * stride,
                stride: stride as u32,
                capacity: 30,
                ..Pool::default()
            };
            let (mut quick, mut careful) = (new(), new());
            assert!(quick.enable(LIMITS) && careful.enable(LIMITS));
            careful.list.marks = Marks::Set(HashSet::new()); // the quick way knows maps only
            for round in 0..2000 {
                let phase = round % 2;
                let word = |rng: &mut Rng| {
                    let address =
                        0x1_0000 + rng.up_to(41) * stride - u64::from(rng.one_in(50)) * stride * 3;
                    (address + u64::from(rng.one_in(30)) * 64) | phase ^ u64::from(rng.one_in(30))
                };
                let words: Vec<u64> = (0..rng.up_to(12)).map(|_| word(&mut rng)).collect();
                let freed = quick.free_entries(&words, phase);
                assert_eq!(freed, careful.free_entries(&words, phase), "{words:x?}");
                assert_eq!(quick.list.stack, careful.list.stack);
                let (mut some, mut same) = (Vec::new(), Vec::new());
                let count = rng.up_to(12) as u32;
                quick.list.pop_entries(count, phase, &mut some);
                careful.list.pop_entries(count, phase, &mut same);
                assert_eq!(some, same);
            }
        }
    }

    #[test]
    fn each_rule_of_a_valid_configuration_counts() {
        type Change = fn(&mut Pool);
        let wrong: &[Change] = &[
            |p| p.base = 0,
            |p| p.base += 32,
            |p| p.stride = 32,
            |p| p.stride = 96,
            |p| p.stride = 1 << 21,
            |p| p.end = p.base,
            |p| p.end = p.base - 192,
            |p| p.end += 64,
            |p| p.end = (1 << 48) + 192 + p.base % 192,
            |p| p.capacity = 0,
            |p| p.capacity = 11,
            |p| p.natural = true,
        ];
        for (i, change) in wrong.iter().enumerate() {
            let mut pool = pool();
            change(&mut pool);
            assert!(!pool.enable(LIMITS) && !pool.enabled, "change {i}");
        }
        assert!(pool().enable(LIMITS));
        let powers = PoolLimits {
            power_of_two: true,
            ..LIMITS
        };
        assert!(!pool().enable(powers), "192 is no power of two");
        let top = Pool {
            base: (1 << 48) - 192,
            end: 1 << 48,
            capacity: 1,
            ..pool()
        };
        assert!({ top }.enable(LIMITS));
    }

    #[test]
    fn natural_alignment_rounds_down() {
        let mut pool = Pool {
            base: 1 << 20,
            end: 1 << 21,
            stride: 4096,
            capacity: 8,
            natural: true,
            ..Pool::default()
        };
        assert!(pool.enable(LIMITS));
        assert_eq!(pool.free((1 << 20) + 4097), Ok(()));
        assert_eq!(pool.free((1 << 20) + 4096), Err(ErrorKind::DoubleFree));
        assert_eq!(pool.list.pop(), Some((1 << 20) + 4096));
    }

    #[test]
    fn thresholds_tell_once_an_excursion() {
        let mut pool = pool();
        (pool.low, pool.high) = (2, 3);
        assert!(pool.enable(LIMITS));
        let mut events = Vec::new();
        let mut step = |pool: &mut Pool, free: Option<u64>| {
            let before = pool.list.len();
            match free {
                Some(n) => pool.free(0x1_0000 + n * 192).unwrap(),
                None => drop(pool.list.pop().unwrap()),
            }
            events.push(pool.moved(before));
        };
        for n in 0..3 {
            step(&mut pool, Some(n)); // filling from empty: nothing
        }
        for free in [
            None,
            None,
            None,
            Some(0),
            Some(1),
            None,
            Some(1),
            Some(2),
            None,
            None,
        ] {
            step(&mut pool, free);
        }
        assert_eq!(events, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 1]);
    }

    #[test]
    fn a_wide_range_is_marked_without_a_bit_map() {
        let mut pool = Pool {
            base: 64,
            end: 64 + (1 << 46),
            stride: 64,
            capacity: 4,
            ..Pool::default()
        };
        assert!(pool.enable(LIMITS));
        assert_eq!(pool.free(1 << 45), Ok(()));
        assert_eq!(pool.free(1 << 45), Err(ErrorKind::DoubleFree));
        assert_eq!(pool.list.pop(), Some(1 << 45));
        assert_eq!(pool.free(1 << 45), Ok(()));
    }
}
