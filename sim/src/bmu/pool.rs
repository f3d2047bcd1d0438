//! A pool: its registers, its free list and the checks of a free (SPEC 4.4, 5).

use std::collections::HashSet;

use super::errors::ErrorKind;

/// Widest range, in buffers, whose marks are a bit map; a wider one has few buffers for its size.
const BITMAP_LIMIT: u64 = 1 << 30;

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
    armed: bool,
    /// Portals whose last fill found the list empty, a bit each.
    pub(crate) waiting: u64,
    /// The buffer handed out last, for the fault that hands it out again.
    pub(crate) last_out: u64,
}

/// What a pool must hold to; SPEC 5.1.
#[derive(Debug, Copy, Clone)]
pub(crate) struct PoolLimits {
    pub(crate) width: u8,
    pub(crate) stride_log2: (u8, u8),
    pub(crate) buffers: u64,
}

/// Why a release entry did not end in the list.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Stale,
    Error(ErrorKind),
}

/// POOL_EVENT.DEPLETED.
const DEPLETED: u32 = 1;
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
        let len = self.end.checked_sub(self.base).filter(|len| *len > 0)?;
        let natural = !self.natural || self.base.is_multiple_of(stride);
        (len.is_multiple_of(stride) && natural).then(|| len / stride)
    }

    pub(crate) fn disable(&mut self) {
        self.enabled = false;
        self.list = FreeList::default();
        self.waiting = 0;
    }

    pub(crate) fn status(&self) -> u32 {
        let available = self.list.len();
        u32::from(self.enabled)
            | u32::from(self.enabled && available == 0) << 1
            | u32::from(available < self.low) << 2
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
        let quick = self.list.push_entries(quick, self.end - self.base, phase);
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
}

/// Which buffers are in the list.
#[derive(Debug)]
enum Marks {
    Bits(Vec<u64>),
    Set(HashSet<u64>),
}

impl Marks {
    #[inline]
    fn has(&self, index: u64) -> bool {
        match self {
            Marks::Bits(words) => words[(index / 64) as usize] >> (index % 64) & 1 != 0,
            Marks::Set(set) => set.contains(&index),
        }
    }

    /// Sets a mark; false if it was there.
    #[inline]
    fn insert(&mut self, index: u64) -> bool {
        match self {
            Marks::Bits(words) => {
                let (word, bit) = (&mut words[(index / 64) as usize], 1 << (index % 64));
                let is_new = *word & bit == 0;
                *word |= bit;
                is_new
            }
            Marks::Set(set) => set.insert(index),
        }
    }

    #[inline]
    fn remove(&mut self, index: u64) {
        match self {
            Marks::Bits(words) => words[(index / 64) as usize] &= !(1 << (index % 64)),
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
    /// log2 of the stride, where it is a power of two.
    shift: Option<u32>,
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
            0..=BITMAP_LIMIT => Marks::Bits(vec![0; count.div_ceil(64) as usize]),
            _ => Marks::Set(HashSet::new()),
        };
        FreeList {
            stack: Vec::new(),
            marks,
            base,
            stride,
            shift: (stride.is_power_of_two()).then(|| stride.trailing_zeros()),
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
        if let Some(shift) = self.shift {
            return (offset >> shift, offset & (self.stride - 1));
        }
        // The reciprocal is too large by less than one part in 2^64, so the quotient is right or one too large.
        let quotient = ((u128::from(offset) * u128::from(self.reciprocal)) >> 64) as u64;
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
    fn push_entries(&mut self, entries: &[u64], range: u64, phase: u64) -> usize {
        let (Some(shift), Marks::Bits(marks)) = (self.shift, &mut self.marks) else {
            return 0;
        };
        let before = self.stack.len();
        let (base, inside) = (self.base, self.stride - 1);
        self.stack.extend(entries.iter().map_while(|word| {
            let offset = (word ^ phase).wrapping_sub(base);
            if offset >= range || offset & inside != 0 {
                return None;
            }
            let index = offset >> shift;
            let (mark, bit) = (marks.get_mut((index / 64) as usize)?, 1 << (index % 64));
            let is_new = *mark & bit == 0;
            *mark |= bit;
            is_new.then_some(index)
        }));
        self.stack.len() - before
    }

    /// Takes up to `count` buffers as ring entries with that phase.
    pub(crate) fn pop_entries(&mut self, count: u32, phase: u64, entries: &mut Vec<u64>) {
        let rest = self.stack.len().saturating_sub(count as usize);
        let (base, stride) = (self.base, self.stride);
        let taken = self.stack.drain(rest..).rev();
        match &mut self.marks {
            Marks::Bits(marks) => entries.extend(taken.map(|index| {
                marks[(index / 64) as usize] &= !(1 << (index % 64));
                (base + index * stride) | phase
            })),
            Marks::Set(set) => entries.extend(taken.map(|index| {
                set.remove(&index);
                (base + index * stride) | phase
            })),
        }
    }

    /// Puts back what [`FreeList::pop`] gave.
    pub(crate) fn put_back(&mut self, address: u64) {
        let (index, _) = self.index(address);
        self.push(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PoolLimits = PoolLimits {
        width: 48,
        stride_log2: (6, 20),
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
