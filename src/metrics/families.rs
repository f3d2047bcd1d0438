//! What each number is called in OpenMetrics: the tables that both the writer and the reader go by.

use super::snapshot::{ChannelState, DeviceState, ListState, PoolState, Traffic};

/// What all names begin with.
pub(super) const PREFIX: &str = "hwpool_";

/// The type of a family of metrics (OpenMetrics 1.0, "Metric Types"), as far as there are such here.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    StateSet,
    Info,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::StateSet => "stateset",
            Kind::Info => "info",
        }
    }

    /// Returns what the name of a sample has behind that of its family.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::StateSet => "",
        }
    }
}

/// What is said of a family before its samples.
#[derive(Debug, Copy, Clone)]
pub(super) struct Head {
    /// Its name without [`PREFIX`]; it ends with the unit, where there is one.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The unit, or nothing.
    pub(super) unit: &'static str,
    pub(super) help: &'static str,
}

/// One number of each `S`.
pub(super) struct Family<S> {
    pub(super) head: Head,
    /// Returns it; `None` where there is none.
    pub(super) get: fn(&S) -> Option<u64>,
    pub(super) set: fn(&mut S, u64),
}

/// Makes families of the fields of a structure; `or none` stands behind those that may be missing.
macro_rules! families {
    ($of:ident: $($name:literal $kind:ident $unit:literal $help:literal $field:ident $(or $none:ident)?;)*) => {
        &[$(Family {
            head: Head { name: $name, kind: Kind::$kind, unit: $unit, help: $help },
            get: families!(@get $of $field $($none)?),
            set: families!(@set $of $field $($none)?),
        }),*]
    };
    (@get $of:ident $field:ident) => { |of: &$of| Some(of.$field) };
    (@get $of:ident $field:ident none) => { |of: &$of| of.$field };
    (@set $of:ident $field:ident) => { |of: &mut $of, value| of.$field = value };
    (@set $of:ident $field:ident none) => { |of: &mut $of, value| of.$field = Some(value) };
}

/// Labels: `pool`, `backend`.
#[rustfmt::skip] // a table: one number, one line
pub(super) const POOL: &[Family<PoolState>] = families! { PoolState:
    "pool_capacity_objects" Gauge "objects" "Objects that the pool has, in and out." objects;
    "pool_free_objects" Gauge "objects" "Objects that are free, wherever they are." free;
    "pool_cached_objects" Gauge "objects" "Objects in workers' caches, a part of those that are free." cached;
    "pool_worker_cache_objects" Gauge "objects" "Most objects that a worker caches; 0: none." cache;
    "pool_taken_objects" Counter "objects" "Objects that users took." taken;
    "pool_given_objects" Counter "objects" "Objects that users gave." given;
    "pool_late_objects" Counter "objects" "Objects that came back after the pool was closed." late;
    "pool_refills" Counter "" "Times that a worker fetched from the backend to fill its cache." refills;
    "pool_flushes" Counter "" "Times that a worker sent a part of its cache to the backend." flushes;
    "pool_shortages" Counter "" "Takes that found too few objects." shortages;
    "pool_backend_takes" Counter "" "Calls of the backend to hand objects out." backend_takes;
    "pool_backend_gives" Counter "" "Calls of the backend to take objects in." backend_gives;
    "pool_doorbells" Counter "" "Doorbells that the backend rang in its device." doorbells or none;
};

/// Labels: `device`.
#[rustfmt::skip] // a table: one number, one line
pub(super) const DEVICE: &[Family<DeviceState>] = families! { DeviceState:
    "device_resets" Counter "" "Resets of the device since power-up, modulo what its register holds." resets or none;
    "device_pending_vectors" Gauge "vectors" "Interrupt vectors that wait to be sent." pending or none;
};

/// Labels: `device`, `list`.
#[rustfmt::skip] // a table: one number, one line
pub(super) const LIST: &[Family<ListState>] = families! { ListState:
    "list_capacity_objects" Gauge "objects" "Objects that a free list in the device may hold." capacity;
    "list_available_objects" Gauge "objects" "Objects in the list." available or none;
    "list_low_objects" Gauge "objects" "Objects below which the list runs low; 0: no such threshold." low or none;
    "list_high_objects" Gauge "objects" "Objects from which on the list has enough again; 0: no such threshold." high or none;
};

/// Labels: `device`, `channel`, `list`.
#[rustfmt::skip] // a table: one number, one line
pub(super) const CHANNEL: &[Family<ChannelState>] = families! { ChannelState:
    "channel_given_objects" Counter "objects" "Objects that the device took in by this channel, modulo 2^32." given;
    "channel_taken_objects" Counter "objects" "Objects that the device handed out by this channel, modulo 2^32." taken;
};

/// Labels: `device`.
#[rustfmt::skip] // a table: one number, one line
pub(super) const TRAFFIC: &[Family<Traffic>] = families! { Traffic:
    "model_register_reads" Counter "" "Reads of the model's registers." reads;
    "model_register_writes" Counter "" "Writes of the model's registers, doorbells left out." writes;
    "model_doorbells" Counter "" "Doorbells of the model." doorbells;
    "model_dma_read_bytes" Counter "bytes" "Bytes that the model asked the host's memory for." dma_read_bytes;
    "model_dma_written_bytes" Counter "bytes" "Bytes that the model wrote to the host's memory." dma_write_bytes;
};

/// What is no number of one structure: the families that are written and read by hand.
#[rustfmt::skip] // a table: one family, one line
pub(super) mod own {
    use super::{Head, Kind};

    const fn head(name: &'static str, kind: Kind, help: &'static str) -> Head {
        Head { name, kind, unit: "", help }
    }

    pub(in super::super) const POOL_STATE: Head = head("pool_state", Kind::StateSet, "What has become of the pool.");
    pub(in super::super) const DEVICE: Head = head("device", Kind::Info, "A device, and its kind.");
    pub(in super::super) const FAULT: Head = head("device_fault", Kind::Info, "Why the device could not be read.");
    pub(in super::super) const DEVICE_STATE: Head = head("device_state", Kind::StateSet, "States of the device, by their names in its specification.");
    pub(in super::super) const ERRORS: Head = head("device_errors", Kind::Counter, "Errors that the device counts since a reset, by kind.");
    pub(in super::super) const ERROR_FLAG: Head = head("device_error_flag", Kind::StateSet, "Kinds of error that the device remembers until they are cleared.");
    pub(in super::super) const CHANNEL_STATE: Head = head("channel_state", Kind::StateSet, "The state of a channel in use, by its name in the specification.");
    pub(in super::super) const INTERRUPTS: Head = head("model_interrupts", Kind::Counter, "Interrupt messages that the model sent, by vector.");
}
