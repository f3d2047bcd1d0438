//! The register table of the FIFO: section 3 of `SPEC.md`, row by row.

use crate::registers;

/// BAR of the registers.
pub const BAR: u8 = 0;
/// Size of the BAR in bytes.
pub const BAR_SIZE: u64 = 0x1000;
/// BAR of the MSI-X table and its pending bit array.
pub const MSIX_BAR: u8 = 4;
/// Size of the MSI-X BAR in bytes.
pub const MSIX_BAR_SIZE: u64 = 0x2000;
/// Offset of the pending bit array in the MSI-X BAR; the table is at 0.
pub const MSIX_PBA_OFFSET: u64 = 0x1000;

/// PCI vendor id of the reference device (section 1).
pub const VENDOR_ID: u16 = 0x1234;
/// PCI device id of the reference device (section 1).
pub const DEVICE_ID: u16 = 0xf1f0;
/// Value of [`IDENTITY`]: the letters `FIFO`, lowest byte first.
pub const IDENTITY_VALUE: u32 = 0x4f46_4946;
/// Major number of the specification in [`VERSION`].
pub const VERSION_MAJOR: u32 = 1;
/// What must be written to [`RESET`]: the letters `RSET`, lowest byte first.
pub const RESET_KEY: u32 = 0x5445_5352;
/// Most numbers that a queue can hold.
pub const MAX_DEPTH: u32 = 1 << 24;

registers! {
    /// The device and its one queue.
    DEVICE: Device, 0 @ 0x00 {
        /// Identifies the interface: the letters FIFO. Never 0 and never all ones.
        IDENTITY @ 0x00, Ro u32, reset 0x4f46_4946, "3";
        /// Version of the specification that the device follows.
        VERSION @ 0x04, Ro u32, reset 0x0001_0000, "3" => version {
            /// Additions that drivers of the same major version may ignore.
            MINOR = 0..=15,
            /// Changes that a driver must know.
            MAJOR = 16..=31,
        };
        /// Size of the queue.
        DEPTH @ 0x08, Ro u32, reset varies, "3" => depth {
            /// Numbers that the queue holds, 1 to 2^24; each is below it.
            DEPTH = 0..=24,
        };
        /// Keeps what is written; no effect.
        SCRATCH @ 0x0c, Rw u32, reset 0, "3" => scratch {
            /// Bits that are kept.
            KEPT = 0..=30,
        };
        /// Runs the queue and its interrupt.
        CONTROL @ 0x10, Rw u32, reset 0, "3" => control {
            /// 1: the queue works. 0: pops give nothing, pushes are refused; the queue is kept.
            ENABLE = 0..=0,
            /// 1: EVENT raises the interrupt.
            IRQ_ENABLE = 1..=1,
        };
        /// State of the device.
        STATUS @ 0x14, Ro u32, reset 3, "3" => status {
            /// 1: not in reset; all registers work.
            READY = 0..=0,
            /// 1: the queue holds no number.
            EMPTY = 1..=1,
            /// 1: the queue holds as many numbers as it can.
            FULL = 2..=2,
        };
        /// Fill of the queue.
        LEVEL @ 0x18, Ro u32, reset 0, "3" => level {
            /// Numbers in the queue.
            LEVEL = 0..=24,
        };
        /// Refused pushes since they were cleared, a bit a reason.
        ERROR @ 0x1c, W1c u32, reset 0, "3" => error {
            /// A push found the queue full.
            OVERFLOW = 0..=0,
            /// A push of a number that is not below DEPTH.
            RANGE = 1..=1,
            /// A push while ENABLE was 0.
            DISABLED = 2..=2,
        };
        /// A read takes the oldest number.
        POP @ 0x20, Re u32, reset varies, "3" => pop {
            /// The number.
            NUMBER = 0..=23,
            /// 1: there was one.
            VALID = 31..=31,
        };
        /// A write gives a number.
        PUSH @ 0x24, Wo u32, reset 0, "3" => push {
            /// The number.
            NUMBER = 0..=23,
        };
        /// Resets the device when the key 0x54455352 is written.
        RESET @ 0x28, Wo u32, reset 0, "3";
        /// Shows that a reset took place.
        RESET_COUNT @ 0x2c, Ro u32, reset varies, "3" => reset_count {
            /// Resets of any kind since power-up, modulo 2^31.
            COUNT = 0..=30,
        };
        /// Level below which EVENT.LOW is set.
        THRESHOLD @ 0x30, Rw u32, reset 0, "3" => threshold {
            /// Numbers; 0: off.
            LOW = 0..=24,
        };
        /// Events since they were cleared.
        EVENT @ 0x34, W1c u32, reset 0, "3" => event {
            /// LEVEL fell below THRESHOLD.
            LOW = 0..=0,
        };
        /// Raises events as if they had happened; reads as EVENT.
        EVENT_SET @ 0x38, W1s u32, reset 0, "3" => event_set {
            /// LEVEL fell below THRESHOLD.
            LOW = 0..=0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reg::find_overlap;

    #[test]
    fn no_two_registers_share_a_byte_or_a_name() {
        assert_eq!(find_overlap(TABLE), None);
    }

    #[test]
    fn every_register_is_an_aligned_word_inside_the_bar() {
        for row in TABLE {
            assert_eq!(
                (row.bar(), row.width, row.count()),
                (BAR, 4, 1),
                "{}",
                row.name
            );
            assert!(
                row.offset().is_multiple_of(4) && row.offset() < BAR_SIZE,
                "{}",
                row.name
            );
            assert_eq!(row.reset.unwrap_or(0) & !row.bits, 0, "{}", row.name);
        }
    }
}
