//! The numbers, as plain data.

/// How some pools and devices fare, each number read at its own moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Pools, in the order in which they are shown.
    pub pools: Vec<PoolState>,
    /// Devices, in the order in which they are shown.
    pub devices: Vec<DeviceState>,
}

/// How a pool fares. Totals count from when it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolState {
    /// Its name.
    pub name: String,
    /// The name of its backend.
    pub backend: String,
    /// It was closed.
    pub is_closed: bool,
    /// A failure of the backend has put it out of use.
    pub is_poisoned: bool,
    /// Objects that it has, in and out.
    pub objects: u64,
    /// Objects that are free, wherever they are.
    pub free: u64,
    /// Objects in workers' caches, a part of `free`.
    pub cached: u64,
    /// Most objects that a worker caches; 0: none.
    pub cache: u64,
    /// Objects that users took.
    pub taken: u64,
    /// Objects that users gave.
    pub given: u64,
    /// Objects that came back after it was closed.
    pub late: u64,
    /// Times that a worker fetched from the backend to fill its cache.
    pub refills: u64,
    /// Times that a worker sent a part of its cache to the backend.
    pub flushes: u64,
    /// Takes that found too few objects.
    pub shortages: u64,
    /// Calls of the backend to hand objects out.
    pub backend_takes: u64,
    /// Calls of the backend to take objects in.
    pub backend_gives: u64,
    /// Doorbells that the backend rang; `None` where it rings none.
    pub doorbells: Option<u64>,
}

/// How a device fares, as far as it tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceState {
    /// The address that it was opened by, as people may see it.
    pub name: String,
    /// What kind of device it is: `bmu`.
    pub kind: String,
    /// Why it could not be read, and all else is empty.
    pub fault: Option<String>,
    /// States of the device by their names in its specification, and whether it is in them.
    pub states: Vec<(String, bool)>,
    /// Resets since power-up.
    pub resets: Option<u64>,
    /// Interrupt vectors that wait to be sent.
    pub pending: Option<u64>,
    /// Errors by kind, where the device counts them.
    pub error_counts: Vec<(String, u64)>,
    /// Kinds of error, where the device only remembers whether one happened.
    pub error_flags: Vec<(String, bool)>,
    /// Free lists in use.
    pub lists: Vec<ListState>,
    /// What moves objects in the host's memory, such as portals in use.
    pub channels: Vec<ChannelState>,
    /// What crossed the bus: a model counts it, and no device of hardware does.
    pub traffic: Option<Traffic>,
}

/// How a free list of a device fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListState {
    /// Its number in the device.
    pub index: u64,
    /// Objects that it may hold.
    pub capacity: u64,
    /// Objects in it; `None` where the device does not count them.
    pub available: Option<u64>,
    /// Objects below which it runs low; `None` or 0: no such threshold.
    pub low: Option<u64>,
    /// Objects from which on it has enough again; `None` or 0: no such threshold.
    pub high: Option<u64>,
}

/// What moves objects between a device's list and memory of the host's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelState {
    /// What it is called: `portal 3`.
    pub name: String,
    /// The list that it serves.
    pub list: u64,
    /// Its state, as the specification names it.
    pub state: String,
    /// Objects that the device took in, modulo 2^32.
    pub given: u64,
    /// Objects that the device handed out, modulo 2^32.
    pub taken: u64,
}

/// What crossed the bus between a host and a model, from when the model was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Register reads.
    pub reads: u64,
    /// Register writes, doorbells left out.
    pub writes: u64,
    /// Doorbells.
    pub doorbells: u64,
    /// Bytes that the device asked the host's memory for.
    pub dma_read_bytes: u64,
    /// Bytes that it wrote to the host's memory.
    pub dma_write_bytes: u64,
    /// Messages of each interrupt vector.
    pub interrupts: Vec<u64>,
}

impl From<PoolState> for Snapshot {
    /// Makes a snapshot of one pool alone.
    fn from(pool: PoolState) -> Snapshot {
        Snapshot {
            pools: vec![pool],
            ..Snapshot::default()
        }
    }
}

impl From<DeviceState> for Snapshot {
    /// Makes a snapshot of one device alone.
    fn from(device: DeviceState) -> Snapshot {
        Snapshot {
            devices: vec![device],
            ..Snapshot::default()
        }
    }
}

impl Snapshot {
    /// Makes names of pools, and of devices, differ: the second `rx` is called `rx#2`.
    pub fn distinct(mut self) -> Snapshot {
        make_distinct(self.pools.iter_mut().map(|pool| &mut pool.name));
        make_distinct(self.devices.iter_mut().map(|device| &mut device.name));
        self
    }
}

fn make_distinct<'a>(names: impl Iterator<Item = &'a mut String>) {
    let mut seen: Vec<String> = Vec::new();
    for name in names {
        let base = name.clone();
        let mut number = 2;
        while seen.contains(name) {
            *name = format!("{base}#{number}");
            number += 1;
        }
        seen.push(name.clone());
    }
}

impl DeviceState {
    /// Adds up the errors that the device counts; `None` where it counts none.
    pub fn errors(&self) -> Option<u64> {
        let counts = self.error_counts.iter().map(|(_, count)| *count);
        (!self.error_counts.is_empty()).then(|| counts.fold(0, u64::saturating_add))
    }
}
