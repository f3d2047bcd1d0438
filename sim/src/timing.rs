//! PCIe timing: a Gen3 x8 link with headers, round trips and jitter, in picoseconds of virtual time.

/// A TLP's header, sequence number, LCRC and framing, in bytes.
pub(crate) const HEADER: u64 = 24;
/// Largest payload of a TLP in bytes, as Device Control says.
pub(crate) const MAX_PAYLOAD: u64 = 256;
/// Largest memory read request in bytes.
const MAX_READ_REQUEST: u64 = 512;
/// 8 lanes of 8 GT/s with 128b/130b coding: 7.877 GB/s each way.
const PS_PER_BYTE: u64 = 127;

/// One direction of the link.
#[derive(Debug, Default)]
struct Lane {
    /// When the last byte sent so far has left.
    free_at: u64,
}

impl Lane {
    /// Sends `bytes` at `now` or as soon as the link is free; returns when the last has left.
    fn send(&mut self, now: u64, bytes: u64) -> u64 {
        self.free_at = self.free_at.max(now) + bytes * PS_PER_BYTE;
        self.free_at
    }
}

/// The link in front of a device.
#[derive(Debug)]
pub(crate) struct Link {
    up: Lane,
    down: Lane,
    /// One way through switches, root complex and caches.
    half_trip: u64,
    /// In real time nothing takes time.
    instant: bool,
}

/// How many TLPs and link bytes an access of `payload` bytes takes.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) struct Tlps {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
}

/// Splits data into TLPs of at most the maximum payload.
pub(crate) fn data(payload: u64) -> Tlps {
    let count = payload.div_ceil(MAX_PAYLOAD);
    Tlps {
        count,
        bytes: payload + count * HEADER,
    }
}

/// Splits a read into requests, which carry no data.
pub(crate) fn requests(payload: u64) -> Tlps {
    let count = payload.div_ceil(MAX_READ_REQUEST);
    Tlps {
        count,
        bytes: count * HEADER,
    }
}

impl Link {
    pub(crate) fn new(read_latency_ns: u64, instant: bool) -> Link {
        Link {
            up: Lane::default(),
            down: Lane::default(),
            half_trip: read_latency_ns * 1000 / 2,
            instant,
        }
    }

    pub(crate) fn half_trip(&self) -> u64 {
        self.half_trip
    }

    /// Sends bytes to the host; returns when they are there.
    pub(crate) fn up(&mut self, now: u64, bytes: u64) -> u64 {
        if self.instant {
            return now;
        }
        self.up.send(now, bytes) + self.half_trip
    }

    /// Sends a read request of the device and has its data sent back; returns when they are there.
    ///
    /// The data take their share of the link from now on: what the host sends while the request travels is not held
    /// up behind data that have not left yet.
    pub(crate) fn read(&mut self, now: u64, request: u64, data: u64) -> u64 {
        if self.instant {
            return now;
        }
        let asked = self.up.send(now, request) + self.half_trip;
        let sent = self.down.send(now, data);
        sent.max(asked + data * PS_PER_BYTE) + self.half_trip
    }

    /// Sends bytes to the device; returns when they are there.
    pub(crate) fn down(&mut self, now: u64, bytes: u64) -> u64 {
        if self.instant {
            return now;
        }
        self.down.send(now, bytes) + self.half_trip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_split_into_tlps() {
        assert_eq!(
            data(8),
            Tlps {
                count: 1,
                bytes: 32
            }
        );
        assert_eq!(
            data(257),
            Tlps {
                count: 2,
                bytes: 305
            }
        );
        assert_eq!(
            requests(513),
            Tlps {
                count: 2,
                bytes: 48
            }
        );
    }

    #[test]
    fn a_busy_direction_delays_itself_only() {
        let mut link = Link::new(900, false);
        let first = link.up(0, 1000);
        assert_eq!(first, 127_000 + 450_000);
        assert_eq!(link.up(0, 1000), first + 127_000);
        assert_eq!(link.down(0, 1), 127 + 450_000);
        assert_eq!(Link::new(900, true).up(5, 1000), 5);
    }

    #[test]
    fn a_read_takes_a_round_trip_and_does_not_hold_up_the_host() {
        let mut link = Link::new(900, false);
        assert_eq!(link.read(0, 24, 32), 56 * 127 + 900_000);
        assert_eq!(link.down(0, 32), 64 * 127 + 450_000);
    }
}
