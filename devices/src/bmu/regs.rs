//! The register table of the BMU: section 4 of `SPEC.md`, row by row.

use crate::registers;

/// BAR of the control registers: identity, errors, interrupts, configuration of pools and portals.
pub const CONTROL_BAR: u8 = 0;
/// Size of the control BAR in bytes.
pub const CONTROL_BAR_SIZE: u64 = 0x1_0000;
/// BAR of the operation pages: one of 4 KiB a pool, then one a portal.
pub const OPERATION_BAR: u8 = 2;
/// Size of the operation BAR in bytes.
pub const OPERATION_BAR_SIZE: u64 = 0x8_0000;
/// BAR of the MSI-X table and its pending bit array.
pub const MSIX_BAR: u8 = 4;
/// Size of the MSI-X BAR in bytes.
pub const MSIX_BAR_SIZE: u64 = 0x2000;
/// Offset of the pending bit array in the MSI-X BAR; the table is at 0.
pub const MSIX_PBA_OFFSET: u64 = 0x1000;

/// Most pools that a device can have.
pub const MAX_POOLS: u16 = 64;
/// Most portals that a device can have.
pub const MAX_PORTALS: u16 = 64;
/// Most interrupt vectors that a device can have.
pub const MAX_VECTORS: u16 = 32;

/// PCI vendor id of the reference device (section 3.1).
pub const VENDOR_ID: u16 = 0x1234;
/// PCI device id of the reference device (section 3.1).
pub const DEVICE_ID: u16 = 0xb0f5;
/// Value of [`MAGIC`]: the letters `BMU1`, lowest byte first.
pub const MAGIC_VALUE: u32 = 0x3155_4d42;
/// Major number of the specification in [`VERSION`].
pub const VERSION_MAJOR: u32 = 1;
/// What must be written to [`RESET`]: the letters `RSET`, lowest byte first.
pub const RESET_KEY: u32 = 0x5445_5352;

/// Bytes of the status line that a device writes for a portal (section 6.5).
pub const STATUS_LINE_SIZE: usize = 32;
/// Alignment in bytes of rings and status lines.
pub const RING_ALIGN: u64 = 64;
/// Bytes of a ring entry.
pub const ENTRY_SIZE: usize = 8;
/// The bit of a ring entry that tells its lap (section 6.3).
pub const ENTRY_PHASE: u64 = 1;
/// The bits of a ring entry that are a buffer's address.
pub const ENTRY_ADDRESS: u64 = !0x3f;

/// Values of PORTAL_STATUS.STATE (section 6.1).
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum PortalState {
    /// Takes no doorbell; its configuration may be written.
    #[default]
    Disabled = 0,
    /// Serves doorbells.
    Running = 1,
    /// Finishes what was announced to it.
    Stopping = 2,
    /// An error has ended it; it waits to be disabled.
    Halted = 3,
}

impl PortalState {
    /// Extracts the state from a value of [`PORTAL_STATUS`].
    pub const fn of(status: u32) -> PortalState {
        match portal_status::STATE.of(status as u64) {
            0 => PortalState::Disabled,
            1 => PortalState::Running,
            2 => PortalState::Stopping,
            _ => PortalState::Halted,
        }
    }
}

registers! {
    /// The device as a whole.
    DEVICE: Device, 0 @ 0x0000 {
        /// Identifies the interface: the letters BMU1. Never 0 and never all ones.
        MAGIC @ 0x0000, Ro u32, reset 0x3155_4d42, "4.1";
        /// Version of the specification that the device follows.
        VERSION @ 0x0004, Ro u32, reset varies, "4.1" => version {
            /// Additions that drivers of the same major version may ignore.
            MINOR = 0..=15,
            /// Changes that a driver must know.
            MAJOR = 16..=31,
        };
        /// Who made the device, and its revision.
        IMPLEMENTATION @ 0x0008, Ro u32, reset varies, "4.1" => implementation {
            /// Revision, the implementer's own count.
            REVISION = 0..=15,
            /// Implementer: 1 is the software model, 0xfffe and 0xffff are reserved.
            IMPLEMENTER = 16..=31,
        };
        /// Reads the complement of what was written last.
        LIVENESS @ 0x000c, Rw u32, reset 0, "4.1";
        /// Keeps what is written; no effect.
        SCRATCH @ 0x0010, Rw u64, reset 0, "4.1";

        /// How many of each the device has.
        CAP_COUNTS @ 0x0020, Ro u32, reset varies, "4.2" => cap_counts {
            /// Pools, 1 to 64.
            POOLS = 0..=6,
            /// Portals, 0 to 64.
            PORTALS = 8..=14,
            /// MSI-X vectors, 1 to 32.
            VECTORS = 16..=21,
        };
        /// Sizes of rings.
        CAP_RINGS @ 0x0024, Ro u32, reset varies, "4.2" => cap_rings {
            /// Smallest ring, log2 of entries.
            MIN_LOG2 = 0..=4,
            /// Largest ring, log2 of entries.
            MAX_LOG2 = 8..=12,
        };
        /// Addresses and buffer sizes.
        CAP_ADDRESS @ 0x0028, Ro u32, reset varies, "4.2" => cap_address {
            /// Bits of an IOVA that the device keeps, 32 to 64.
            WIDTH = 0..=6,
            /// Smallest stride, log2 of bytes, at least 6.
            MIN_STRIDE_LOG2 = 8..=12,
            /// Largest stride, log2 of bytes.
            MAX_STRIDE_LOG2 = 16..=20,
        };
        /// Optional parts.
        CAP_FEATURES @ 0x002c, Ro u32, reset varies, "4.2" => cap_features {
            /// Register path: POOL_ALLOC and POOL_FREE.
            REGISTER_PATH = 0..=0,
            /// Portals with rings in host memory.
            PORTALS = 1..=1,
            /// Low and high thresholds with events.
            THRESHOLDS = 2..=2,
            /// Natural alignment of freed addresses.
            NATURAL_ALIGN = 3..=3,
            /// The W1S twins act.
            INJECTION = 4..=4,
            /// 64-bit registers may be accessed as two halves of 32 bits.
            HALVES = 5..=5,
            /// 64-bit registers may be accessed as two halves only.
            HALVES_ONLY = 6..=6,
            /// Strides are powers of two only.
            POWER_OF_TWO = 7..=7,
            /// A list may take time to be emptied.
            BUSY = 8..=8,
            /// DMA writes that were refused are seen.
            WRITE_FAULTS = 9..=9,
        };
        /// Buffers that one pool can hold.
        CAP_BUFFERS @ 0x0030, Ro u64, reset varies, "4.2";
        /// Time that the device may take.
        CAP_TIMEOUT @ 0x0038, Ro u32, reset varies, "4.2" => cap_timeout {
            /// Longest time for a reset, a quiesce or the stop of a portal, in milliseconds, at least 1.
            MILLISECONDS = 0..=15,
        };
        /// Time that a list may take to be emptied.
        CAP_EMPTYING @ 0x003c, Ro u32, reset varies, "4.2" => cap_emptying {
            /// Longest time in which the list of a pool that was disabled is emptied, in milliseconds, at least 1.
            MILLISECONDS = 0..=15,
        };

        /// Runs and quiesces the device.
        CONTROL @ 0x0040, Rw u32, reset 0, "4.3" => control {
            /// 1: lists and portals work. 0: allocations give 0, frees are refused.
            ENABLE = 0..=0,
            /// 1: the device starts no DMA and serves no portal.
            QUIESCE = 1..=1,
        };
        /// State of the device.
        STATUS @ 0x0044, Ro u32, reset 1, "4.3" => status {
            /// 1: not in reset; all registers work.
            READY = 0..=0,
            /// 1: QUIESCE is set and no DMA is under way.
            QUIESCED = 1..=1,
        };
        /// Resets the device when the key 0x54455352 is written.
        RESET @ 0x0048, Wo u32, reset 0, "4.3";
        /// Resets since power-up, of any kind, modulo 2^31: shows that a reset took place.
        RESET_COUNT @ 0x004c, Ro u32, reset varies, "4.3";

        /// Errors since they were cleared, a bit a kind.
        ERR_STATUS @ 0x0080, W1c u32, reset 0, "4.4" => error {
            /// A freed address lies outside of the pool's range.
            RANGE = 0..=0,
            /// A freed address is not the start of a buffer.
            ALIGN = 1..=1,
            /// A freed buffer is in the free list already.
            DOUBLE_FREE = 2..=2,
            /// A free found the list at its capacity.
            OVERFLOW = 3..=3,
            /// An operation on a pool or portal that is not enabled.
            DISABLED = 4..=4,
            /// A configuration that can't be enabled, or a write to configuration in use.
            CONFIG = 5..=5,
            /// A DMA read was refused, or a write that is known to have been; the portal halts.
            DMA_FAULT = 6..=6,
            /// A doorbell beyond the ring; the portal halts.
            BAD_DOORBELL = 7..=7,
            /// An announced release entry of the wrong lap; the portal halts.
            STALE_ENTRY = 8..=8,
        };
        /// Raises errors as if they had happened; bits as in ERR_STATUS.
        ERR_STATUS_SET @ 0x0084, W1s u32, reset 0, "4.4" => error_set {
            /// Kinds of error, bits as in ERR_STATUS.
            KINDS = 0..=8,
        };
        /// Lets kinds of error raise the error vector; reads the enabled kinds.
        ERR_ENABLE_SET @ 0x0088, W1s u32, reset 0, "4.4" => error_enable_set {
            /// Kinds of error, bits as in ERR_STATUS.
            KINDS = 0..=8,
        };
        /// Keeps kinds of error from raising the error vector; reads the enabled kinds.
        ERR_ENABLE_CLEAR @ 0x008c, W1c u32, reset 0, "4.4" => error_enable_clear {
            /// Kinds of error, bits as in ERR_STATUS.
            KINDS = 0..=8,
        };
        /// The first error since the record was cleared.
        ERR_RECORD @ 0x0090, Ro u64, reset 0, "4.4" => err_record {
            /// 1: the record holds an error.
            VALID = 0..=0,
            /// Its kind: the number of its bit in ERR_STATUS.
            KIND = 4..=7,
            /// Where: 0 register path, 1 release ring, 2 acquire ring or status line, 3 configuration, 4 injected.
            SOURCE = 8..=10,
            /// The pool, where one is concerned.
            POOL = 16..=21,
            /// The portal, where SOURCE is 1 or 2 or its configuration is concerned.
            PORTAL = 24..=29,
        };
        /// The offending address, doorbell, entry or value of the first error; 0 where it was injected.
        ERR_ADDRESS @ 0x0098, Ro u64, reset 0, "4.4";
        /// Empties the error record when 1 is written.
        ERR_RECORD_CLEAR @ 0x00a0, Wo u32, reset 0, "4.4" => err_record_clear {
            /// 1: empty the record.
            CLEAR = 0..=0,
        };
        /// Vector that enabled errors raise.
        ERR_VECTOR @ 0x00a4, Rw u32, reset 0, "4.4" => err_vector {
            /// MSI-X vector.
            VECTOR = 0..=4,
        };
        /// Errors of each kind since reset, saturating; the index is the kind.
        ERR_COUNT @ 0x00c0, Ro u32, reset 0, "4.4" [9; 4];

        /// Vectors that wait to be enabled, a bit a vector.
        IRQ_PENDING @ 0x0100, Ro u32, reset 0, "4.5";
        /// Enables vectors; reads the enabled vectors.
        IRQ_ENABLE_SET @ 0x0104, W1s u32, reset 0, "4.5";
        /// Disables vectors; reads the enabled vectors.
        IRQ_ENABLE_CLEAR @ 0x0108, W1c u32, reset 0, "4.5";
        /// Raises the vector whose number is written.
        IRQ_TRIGGER @ 0x010c, Wo u32, reset 0, "4.5" => irq_trigger {
            /// MSI-X vector.
            VECTOR = 0..=4,
        };
    }

    /// The control registers of each pool.
    POOL: Pool, 0 @ 0x4000 [64; 0x100] {
        /// Enables a pool.
        POOL_CONTROL @ 0x00, Rw u32, reset 0, "4.6" => pool_control {
            /// 1: the list works. Going to 0 empties it.
            ENABLE = 0..=0,
            /// 1: a freed address is rounded down to the start of its buffer.
            NATURAL_ALIGN = 1..=1,
        };
        /// State of a pool.
        POOL_STATUS @ 0x04, Ro u32, reset 0, "4.6" => pool_status {
            /// 1: enabled.
            ENABLED = 0..=0,
            /// 1: enabled, and POOL_AVAILABLE is 0.
            EMPTY = 1..=1,
            /// 1: POOL_AVAILABLE is below POOL_LOW.
            LOW = 2..=2,
            /// 1: disabled, and the list is being emptied.
            BUSY = 3..=3,
        };
        /// IOVA of the first buffer, a multiple of 64.
        POOL_BASE @ 0x08, Rw u64, reset 0, "4.6";
        /// IOVA just past the last buffer.
        POOL_END @ 0x10, Rw u64, reset 0, "4.6";
        /// Bytes from one buffer to the next, a multiple of 64.
        POOL_STRIDE @ 0x18, Rw u32, reset 0, "4.6";
        /// Free buffers that the list may hold.
        POOL_CAPACITY @ 0x1c, Rw u32, reset 0, "4.6";
        /// Free buffers in the list now.
        POOL_AVAILABLE @ 0x20, Ro u32, reset 0, "4.6";
        /// Falling below raises DEPLETED; 0 turns it off.
        POOL_LOW @ 0x24, Rw u32, reset 0, "4.6";
        /// Rising to this after DEPLETED raises RECOVERED.
        POOL_HIGH @ 0x28, Rw u32, reset 0, "4.6";
        /// Threshold events since they were cleared.
        POOL_EVENT @ 0x2c, W1c u32, reset 0, "4.6" => pool_event {
            /// POOL_AVAILABLE fell below POOL_LOW.
            DEPLETED = 0..=0,
            /// POOL_AVAILABLE rose to POOL_HIGH after DEPLETED.
            RECOVERED = 1..=1,
        };
        /// Raises events as if they had happened; bits as in POOL_EVENT.
        POOL_EVENT_SET @ 0x30, W1s u32, reset 0, "4.6" => pool_event_set {
            /// Events, bits as in POOL_EVENT.
            EVENTS = 0..=1,
        };
        /// Events that raise the pool's vector; bits as in POOL_EVENT.
        POOL_EVENT_ENABLE @ 0x34, Rw u32, reset 0, "4.6" => pool_event_enable {
            /// Events, bits as in POOL_EVENT.
            EVENTS = 0..=1,
        };
        /// Vector of the pool's events.
        POOL_VECTOR @ 0x38, Rw u32, reset 0, "4.6" => pool_vector {
            /// MSI-X vector.
            VECTOR = 0..=4,
        };
        /// Errors of the pool since they were cleared; bits as in ERR_STATUS.
        POOL_ERROR @ 0x3c, W1c u32, reset 0, "4.6" => pool_error {
            /// Kinds of error, bits as in ERR_STATUS.
            KINDS = 0..=5,
        };
        /// Raises errors of the pool as if they had happened; bits as in ERR_STATUS.
        POOL_ERROR_SET @ 0x40, W1s u32, reset 0, "4.6" => pool_error_set {
            /// Kinds of error, bits as in ERR_STATUS.
            KINDS = 0..=5,
        };
        /// The offending address of the first error in POOL_ERROR; 0 while that is 0.
        POOL_ERROR_ADDRESS @ 0x48, Ro u64, reset 0, "4.6";
    }

    /// The control registers of each portal.
    PORTAL: Portal, 0 @ 0x8000 [64; 0x100] {
        /// Enables a portal.
        PORTAL_CONTROL @ 0x00, Rw u32, reset 0, "4.7" => portal_control {
            /// 1: the portal works. Going to 0 stops it.
            ENABLE = 0..=0,
        };
        /// State of a portal.
        PORTAL_STATUS @ 0x04, Ro u32, reset 0, "4.7" => portal_status {
            /// 0 disabled, 1 running, 2 stopping, 3 halted by an error.
            STATE = 0..=1,
        };
        /// Pool that the portal serves.
        PORTAL_POOL @ 0x08, Rw u32, reset 0, "4.7" => portal_pool {
            /// Number of the pool.
            POOL = 0..=5,
        };
        /// Sizes of the portal's rings.
        PORTAL_SIZES @ 0x0c, Rw u32, reset 0, "4.7" => portal_sizes {
            /// Release ring, log2 of entries.
            RELEASE_LOG2 = 0..=4,
            /// Acquire ring, log2 of entries.
            ACQUIRE_LOG2 = 8..=12,
        };
        /// IOVA of the release ring, a multiple of 64.
        PORTAL_RELEASE_BASE @ 0x10, Rw u64, reset 0, "4.7";
        /// IOVA of the acquire ring, a multiple of 64.
        PORTAL_ACQUIRE_BASE @ 0x18, Rw u64, reset 0, "4.7";
        /// IOVA of the status line, a multiple of 64.
        PORTAL_STATUS_BASE @ 0x20, Rw u64, reset 0, "4.7";
        /// Entries up to which the device fills the acquire ring, 1 to its size.
        PORTAL_CREDITS @ 0x28, Rw u32, reset 0, "4.7";
        /// Entries between two writes of the status line, 1 to half of the smaller ring.
        PORTAL_HYSTERESIS @ 0x2c, Rw u32, reset 0, "4.7";
        /// Events of the portal since they were cleared.
        PORTAL_EVENT @ 0x30, W1c u32, reset 0, "4.7" => portal_event {
            /// Buffers came into an acquire ring that was empty for want of them.
            AVAILABLE = 0..=0,
        };
        /// Raises events as if they had happened; bits as in PORTAL_EVENT.
        PORTAL_EVENT_SET @ 0x34, W1s u32, reset 0, "4.7" => portal_event_set {
            /// Events, bits as in PORTAL_EVENT.
            EVENTS = 0..=0,
        };
        /// Events that raise the portal's vector; bits as in PORTAL_EVENT.
        PORTAL_EVENT_ENABLE @ 0x38, Rw u32, reset 0, "4.7" => portal_event_enable {
            /// Events, bits as in PORTAL_EVENT.
            EVENTS = 0..=0,
        };
        /// Vector of the portal's events.
        PORTAL_VECTOR @ 0x3c, Rw u32, reset 0, "4.7" => portal_vector {
            /// MSI-X vector.
            VECTOR = 0..=4,
        };
        /// Errors of the portal since they were cleared; bits as in ERR_STATUS.
        PORTAL_ERROR @ 0x40, W1c u32, reset 0, "4.7" => portal_error {
            /// Kinds of error, bits as in ERR_STATUS.
            KINDS = 4..=8,
        };
        /// Raises errors of the portal as if they had happened, but does not halt it; bits as in ERR_STATUS.
        PORTAL_ERROR_SET @ 0x44, W1s u32, reset 0, "4.7" => portal_error_set {
            /// Kinds of error, bits as in ERR_STATUS.
            KINDS = 4..=8,
        };
        /// The offending address or value of the first error in PORTAL_ERROR; 0 while that is 0.
        PORTAL_ERROR_ADDRESS @ 0x48, Ro u64, reset 0, "4.7";
        /// Release entries consumed since the portal was enabled, modulo 2^32.
        PORTAL_RELEASE_HEAD @ 0x50, Ro u32, reset 0, "4.7";
        /// Acquire entries written since the portal was enabled, modulo 2^32.
        PORTAL_ACQUIRE_TAIL @ 0x54, Ro u32, reset 0, "4.7";
    }

    /// The operation page of each pool.
    POOL_PAGE: Pool, 2 @ 0x0000 [64; 0x1000] {
        /// A read takes a free buffer: its IOVA, or 0 where there is none.
        POOL_ALLOC @ 0x00, Re u64, reset varies, "4.8";
        /// A write gives a buffer back: its IOVA.
        POOL_FREE @ 0x08, Wo u64, reset 0, "4.8";
    }

    /// The operation page of each portal.
    PORTAL_PAGE: Portal, 2 @ 0x4_0000 [64; 0x1000] {
        /// Tells the device how far the host has got in both rings.
        PORTAL_DOORBELL @ 0x00, Wo u64, reset 0, "4.9" => doorbell {
            /// Release entries stored since the portal was enabled, modulo 2^32.
            RELEASE_TAIL = 0..=31,
            /// Acquire entries taken since the portal was enabled, modulo 2^32.
            ACQUIRE_HEAD = 32..=63,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reg::{Register, decode, find_overlap};

    #[test]
    fn no_two_registers_share_a_byte_or_a_name() {
        assert_eq!(find_overlap(TABLE), None);
    }

    #[test]
    fn every_register_is_aligned_and_inside_its_bar() {
        for row in TABLE {
            let size = if row.bar() == CONTROL_BAR {
                CONTROL_BAR_SIZE
            } else {
                OPERATION_BAR_SIZE
            };
            let last = row.offset_of(row.count() - 1);
            assert_eq!(row.offset() % u64::from(row.width), 0, "{}", row.name);
            assert!(last + u64::from(row.width) <= size, "{}", row.name);
        }
    }

    #[test]
    fn each_register_is_its_row() {
        for (place, id) in Id::ALL.iter().enumerate() {
            assert_eq!(Id::from_place(place), Some(*id));
            assert_eq!(format!("{id:?}"), id.row().name);
        }
        assert_eq!(Id::ALL.len(), TABLE.len());
        assert_eq!(POOL_ALLOC.row().name, "POOL_ALLOC");
    }

    #[test]
    fn fields_lie_in_order_within_their_register() {
        for row in TABLE {
            let mut next = 0;
            for field in row.fields.iter() {
                assert!(
                    field.low >= next && field.high >= field.low,
                    "{}.{}",
                    row.name,
                    field.name
                );
                assert!(field.high < row.width * 8, "{}.{}", row.name, field.name);
                next = field.high + 1;
            }
            assert_eq!(row.reset.unwrap_or(0) & !row.bits, 0, "{}", row.name);
        }
    }

    #[test]
    fn decode_finds_array_members_and_refuses_what_lies_between() {
        let find =
            |bar, offset| decode(TABLE, bar, offset).map(|(r, i): (&Register, u16)| (&*r.name, i));
        assert_eq!(find(0, 0), Some(("MAGIC", 0)));
        assert_eq!(find(0, 0x4000 + 63 * 0x100 + 8), Some(("POOL_BASE", 63)));
        assert_eq!(find(0, 0xc0 + 8 * 4), Some(("ERR_COUNT", 8)));
        assert_eq!(find(0, 0xc0 + 9 * 4), None);
        assert_eq!(find(2, 0x4_0000 + 5 * 0x1000), Some(("PORTAL_DOORBELL", 5)));
        assert_eq!(find(2, 0x10), None);
    }
}
