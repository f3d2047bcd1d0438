//! Bursts: which bytes each beat is about.

use std::ops::Range;

use super::{Breach, Rule};

/// How the address goes on.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Fixed,
    Increment,
    Wrap,
}

/// A burst that follows the rules.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) struct Burst {
    address: u64,
    /// Bytes of a beat, a power of two.
    size: u64,
    beats: u64,
    kind: Kind,
    /// Bytes of the bus.
    bus: u64,
}

/// The signals of a request, as they were.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Request {
    pub(crate) address: u64,
    pub(crate) len: u64,
    pub(crate) size: u64,
    pub(crate) burst: u64,
}

impl Burst {
    /// Takes a request; `signal` makes the full name of a signal of its channel, as `size`.
    pub(crate) fn of(
        request: Request,
        bus: u64,
        signal: impl Fn(&str) -> String,
    ) -> Result<Burst, Breach> {
        let refuse = |rule, name: &str, seen: String| Err(Breach::new(rule, &signal(name), seen));
        let size = 1u64 << request.size.min(7);
        if size > bus {
            return refuse(
                Rule::BeatWidth,
                "size",
                format!("a beat of {size} bytes on a bus of {bus}"),
            );
        }
        let kind = match request.burst {
            0 => Kind::Fixed,
            1 => Kind::Increment,
            2 => Kind::Wrap,
            other => {
                return refuse(
                    Rule::BurstKind,
                    "burst",
                    format!("it is {other}, which is reserved"),
                );
            }
        };
        let burst = Burst {
            address: request.address,
            size,
            beats: request.len + 1,
            kind,
            bus,
        };
        match kind {
            Kind::Fixed if burst.beats > 16 => refuse(
                Rule::BurstKind,
                "len",
                format!("a fixed burst of {} beats; 16 at most", burst.beats),
            ),
            Kind::Wrap if !matches!(burst.beats, 2 | 4 | 8 | 16) => refuse(
                Rule::BurstKind,
                "len",
                format!("a wrapping burst of {} beats; 2, 4, 8 or 16", burst.beats),
            ),
            Kind::Wrap if !request.address.is_multiple_of(size) => refuse(
                Rule::WrapAligned,
                "addr",
                format!(
                    "a wrapping burst from {:#x}, no multiple of {size}",
                    request.address
                ),
            ),
            Kind::Increment if !burst.is_within_4k() => {
                let last = burst.aligned().wrapping_add(burst.beats * size - 1);
                refuse(
                    Rule::FourKib,
                    "addr",
                    format!(
                        "a burst from {:#x} to {last:#x} crosses a border of 4 KiB",
                        request.address
                    ),
                )
            }
            _ => Ok(burst),
        }
    }

    pub(crate) fn beats(&self) -> u64 {
        self.beats
    }

    /// Returns the bytes that it is about: the first address, and how many there are.
    pub(crate) fn span(&self) -> (u64, usize) {
        let (bytes, before) = (self.size * self.beats, self.address - self.aligned());
        // No end is computed: that of the last burst there is does not fit.
        let (low, len) = match self.kind {
            Kind::Increment => (self.address, bytes - before),
            Kind::Wrap => (self.container(), bytes),
            Kind::Fixed => (self.address, self.size - before),
        };
        (low, len as usize)
    }

    /// Returns the bytes of a beat: on the bus, and within the span.
    pub(crate) fn beat(&self, n: u64) -> (Range<usize>, usize) {
        let address = self.beat_address(n);
        let aligned = address & !(self.size - 1);
        let low = address % self.bus;
        let high = aligned % self.bus + self.size;
        (
            low as usize..high as usize,
            (address - self.span().0) as usize,
        )
    }

    fn beat_address(&self, n: u64) -> u64 {
        match self.kind {
            Kind::Fixed => self.address,
            _ if n == 0 => self.address,
            Kind::Increment => self.aligned() + n * self.size,
            Kind::Wrap => {
                let offset =
                    (self.address - self.container() + n * self.size) % (self.size * self.beats);
                self.container() + offset
            }
        }
    }

    fn aligned(&self) -> u64 {
        self.address & !(self.size - 1)
    }

    fn container(&self) -> u64 {
        self.address & !(self.size * self.beats - 1)
    }

    fn is_within_4k(&self) -> bool {
        self.aligned() % 4096 + self.size * self.beats <= 4096
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(address: u64, len: u64, size: u64, burst: u64) -> Result<Burst, Rule> {
        let request = Request {
            address,
            len,
            size,
            burst,
        };
        Burst::of(request, 8, |name| format!("ar{name}")).map_err(|breach| breach.rule)
    }

    #[test]
    fn an_unaligned_burst_begins_within_its_first_beat() {
        let burst = burst(0x1003, 2, 2, 1).unwrap();
        assert_eq!(burst.span(), (0x1003, 9));
        let beats: Vec<_> = (0..3).map(|n| burst.beat(n)).collect();
        assert_eq!(beats, [(3..4, 0), (4..8, 1), (0..4, 5)]);
    }

    #[test]
    fn a_wrapping_burst_comes_back_to_its_container() {
        let burst = burst(0x1018, 3, 3, 2).unwrap();
        assert_eq!(burst.span(), (0x1000, 32));
        let beats: Vec<_> = (0..4).map(|n| burst.beat(n).1).collect();
        assert_eq!(beats, [24, 0, 8, 16]);
    }

    #[test]
    fn a_fixed_burst_stays_where_it_is() {
        let burst = burst(0x1004, 3, 2, 0).unwrap();
        assert_eq!(burst.span(), (0x1004, 4));
        assert_eq!((burst.beat(0), burst.beat(3)), ((4..8, 0), (4..8, 0)));
    }

    #[test]
    fn what_axi_forbids_is_refused() {
        assert_eq!(burst(0x1ff8, 1, 3, 1), Err(Rule::FourKib));
        assert!(burst(0x1ff8, 0, 3, 1).is_ok());
        assert!(burst(0x1000, 255, 3, 1).is_ok());
        assert_eq!(burst(0x1000, 0, 4, 1), Err(Rule::BeatWidth));
        assert_eq!(burst(0x1000, 0, 3, 3), Err(Rule::BurstKind));
        assert_eq!(burst(0x1000, 2, 3, 2), Err(Rule::BurstKind));
        assert_eq!(burst(0x1004, 1, 3, 2), Err(Rule::WrapAligned));
        assert_eq!(burst(0x1000, 16, 3, 0), Err(Rule::BurstKind));
        // At the very top there is nothing to wrap to.
        assert_eq!(burst(u64::MAX - 7, 1, 3, 1), Err(Rule::FourKib));
    }

    #[test]
    fn the_last_addresses_can_be_reached() {
        let top = u64::MAX - 15;
        assert_eq!(burst(top + 3, 3, 2, 1).unwrap().span(), (top + 3, 13));
        assert_eq!(burst(top + 9, 3, 3, 0).unwrap().span(), (top + 9, 7));
        let wrapping = burst(top + 8, 1, 3, 2).unwrap();
        assert_eq!(wrapping.span(), (top, 16));
        assert_eq!((wrapping.beat(0).1, wrapping.beat(1).1), (8, 0));
    }
}
