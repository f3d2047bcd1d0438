//! What the client lets the device reach: the server's own table, for checks and for unmapping.

use std::collections::BTreeMap;

use super::errno::Errno;

/// Mappings that one client may have at a time.
pub(super) const MAX_MAPPINGS: usize = 65535;

/// One mapping.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) size: u64,
    pub(super) readable: bool,
    pub(super) writable: bool,
}

impl Entry {
    /// Returns the last address.
    fn last(&self, start: u64) -> u64 {
        start + (self.size - 1)
    }
}

/// All mappings, by first address; none is empty, none overlaps another, none wraps.
#[derive(Debug, Default)]
pub(super) struct Mappings {
    all: BTreeMap<u64, Entry>,
}

impl Mappings {
    /// Tells whether a mapping may be added.
    pub(super) fn check(&self, start: u64, size: u64) -> Result<(), Errno> {
        let last = size.checked_sub(1).and_then(|more| start.checked_add(more));
        let last = last.ok_or(Errno::EINVAL)?;
        let before = self.all.range(..=last).next_back();
        if before.is_some_and(|(at, entry)| entry.last(*at) >= start) {
            return Err(Errno::EEXIST);
        }
        if self.all.len() >= MAX_MAPPINGS {
            return Err(Errno::ENOSPC);
        }
        Ok(())
    }

    /// Adds a mapping that was checked.
    pub(super) fn add(&mut self, start: u64, entry: Entry) {
        self.all.insert(start, entry);
    }

    /// Takes out everything that lies in a range of any size, which may end at 2⁶⁴, and returns it.
    ///
    /// The specification asks for exact ranges. Clients in the field sweep: they unmap ranges that hold many mappings
    /// or none. So only a range that would cut a mapping is refused, and then nothing is taken out.
    pub(super) fn take(&mut self, start: u64, size: u64) -> Result<Vec<(u64, u64)>, Errno> {
        let end = u128::from(start) + u128::from(size);
        if size == 0 || end > 1 << 64 {
            return Err(Errno::EINVAL);
        }
        let last = (end - 1) as u64;
        let cut = |address: u64| {
            let before = self.all.range(..address).next_back();
            before.is_some_and(|(at, entry)| entry.last(*at) >= address)
        };
        if cut(start) || last.checked_add(1).is_some_and(cut) {
            return Err(Errno::EINVAL);
        }
        let found = self
            .all
            .range(start..=last)
            .map(|(at, entry)| (*at, entry.size));
        let found: Vec<_> = found.collect();
        for (at, _) in &found {
            self.all.remove(at);
        }
        Ok(found)
    }

    /// Takes everything out.
    pub(super) fn take_all(&mut self) -> Vec<(u64, u64)> {
        let all = std::mem::take(&mut self.all);
        all.into_iter()
            .map(|(at, entry)| (at, entry.size))
            .collect()
    }

    /// Tells whether every byte of a range is mapped for reading, or for writing.
    pub(super) fn allows(&self, start: u64, len: u64, writing: bool) -> bool {
        let mut at = start;
        let mut left = len;
        while left > 0 {
            let Some((start, entry)) = self.all.range(..=at).next_back() else {
                return false;
            };
            let allowed = if writing {
                entry.writable
            } else {
                entry.readable
            };
            let last = entry.last(*start);
            if last < at || !allowed {
                return false;
            }
            let here = (last - at).saturating_add(1).min(left);
            left -= here;
            at = match at.checked_add(here) {
                Some(at) => at,
                None => return left == 0,
            };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry = Entry {
        size: 0x1000,
        readable: true,
        writable: false,
    };

    fn mappings(starts: &[u64]) -> Mappings {
        let mut mappings = Mappings::default();
        for start in starts {
            mappings.check(*start, ENTRY.size).unwrap();
            mappings.add(*start, ENTRY);
        }
        mappings
    }

    #[test]
    fn overlaps_and_wraps_are_refused() {
        let mappings = mappings(&[0x2000, u64::MAX - 0xfff]);
        assert_eq!(mappings.check(0x2fff, 1), Err(Errno::EEXIST));
        assert_eq!(mappings.check(0, u64::MAX), Err(Errno::EEXIST));
        assert_eq!(mappings.check(0x3000, 0), Err(Errno::EINVAL));
        assert_eq!(mappings.check(u64::MAX, 2), Err(Errno::EINVAL));
        assert_eq!(mappings.check(0x3000, 0x1000), Ok(()));
    }

    #[test]
    fn sweeps_take_what_lies_in_them_up_to_the_very_end() {
        let top = u64::MAX - 0xfff;
        let mut all = mappings(&[0x1000, 0x3000, top]);
        assert_eq!(all.take(0x8000, 0x8000), Ok(vec![]));
        assert_eq!(all.take(0, 0x3000), Ok(vec![(0x1000, 0x1000)]));
        let start = 0xfef0_0000;
        assert_eq!(
            all.take(start, 0u64.wrapping_sub(start)),
            Ok(vec![(top, 0x1000)])
        );
        assert_eq!(all.take_all(), [(0x3000, 0x1000)]);
    }

    #[test]
    fn a_range_that_cuts_a_mapping_takes_nothing() {
        let mut all = mappings(&[0x1000, 0x3000]);
        for (start, size) in [(0x1800, 0x2800), (0, 0x3800), (0x1000, 0xfff), (0x1001, 1)] {
            assert_eq!(
                all.take(start, size),
                Err(Errno::EINVAL),
                "{start:#x}+{size:#x}"
            );
        }
        assert_eq!(all.take(u64::MAX, 2), Err(Errno::EINVAL));
        assert_eq!(all.take(0, 0), Err(Errno::EINVAL));
        assert_eq!(all.take_all().len(), 2);
    }

    #[test]
    fn accesses_need_every_byte_and_the_right() {
        let all = mappings(&[0x1000, 0x2000, u64::MAX - 0xfff]);
        assert!(all.allows(0x1800, 0x1000, false));
        assert!(!all.allows(0x1800, 0x1000, true), "not for writing");
        assert!(!all.allows(0x2800, 0x801, false));
        assert!(!all.allows(0, 1, false));
        assert!(all.allows(u64::MAX, 1, false));
        assert!(!all.allows(u64::MAX, 2, false));
    }
}
