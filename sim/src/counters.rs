//! What crossed the bus, counted exactly.

/// Traffic between host and device since the model was made or the counters were reset.
///
/// Kinds overlap nowhere: a doorbell is a write of a hot register and is not among `mmio_writes`. TLP bytes include
/// the headers and the interrupts' messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Register reads.
    pub mmio_reads: u64,
    /// Register writes, doorbells left out.
    pub mmio_writes: u64,
    /// Writes of hot registers, such as `PORTAL_DOORBELL`.
    pub doorbells: u64,
    /// Reads of configuration space.
    pub config_reads: u64,
    /// Writes of configuration space.
    pub config_writes: u64,
    /// Memory read requests of the device.
    pub dma_reads: u64,
    /// Bytes that they asked for.
    pub dma_read_bytes: u64,
    /// Memory write requests of the device, interrupts left out.
    pub dma_writes: u64,
    /// Bytes that they carried.
    pub dma_write_bytes: u64,
    /// Reports of state, such as status lines, among the memory writes.
    pub status_lines: u64,
    /// MSI-X messages sent, by vector.
    pub interrupts: Vec<u64>,
    /// Bytes of TLPs from device to host.
    pub tlp_bytes_up: u64,
    /// Bytes of TLPs from host to device.
    pub tlp_bytes_down: u64,
}

impl Counters {
    /// Returns what was counted since `earlier`, a state of the same counters.
    pub fn since(&self, earlier: &Counters) -> Counters {
        let vector = |i: usize| earlier.interrupts.get(i).copied().unwrap_or(0);
        Counters {
            mmio_reads: self.mmio_reads - earlier.mmio_reads,
            mmio_writes: self.mmio_writes - earlier.mmio_writes,
            doorbells: self.doorbells - earlier.doorbells,
            config_reads: self.config_reads - earlier.config_reads,
            config_writes: self.config_writes - earlier.config_writes,
            dma_reads: self.dma_reads - earlier.dma_reads,
            dma_read_bytes: self.dma_read_bytes - earlier.dma_read_bytes,
            dma_writes: self.dma_writes - earlier.dma_writes,
            dma_write_bytes: self.dma_write_bytes - earlier.dma_write_bytes,
            status_lines: self.status_lines - earlier.status_lines,
            interrupts: (self.interrupts.iter().enumerate())
                .map(|(i, n)| n - vector(i))
                .collect(),
            tlp_bytes_up: self.tlp_bytes_up - earlier.tlp_bytes_up,
            tlp_bytes_down: self.tlp_bytes_down - earlier.tlp_bytes_down,
        }
    }
}
