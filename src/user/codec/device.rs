//! VFIO_USER_DEVICE_GET_INFO, GET_REGION_INFO and GET_REGION_IO_FDS.

use vfio_bindings::bindings::vfio;

use super::{CodecError, Fields, Put, flag};

/// VFIO_USER_DEVICE_GET_INFO: what the device offers. The command has the same form, all zero.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
pub struct DeviceInfo {
    /// VFIO_USER_DEVICE_RESET works.
    pub resettable: bool,
    /// It is a PCI function: regions and interrupts have the indices of `linux/vfio.h`.
    pub pci: bool,
    /// Regions.
    pub regions: u32,
    /// Kinds of interrupts.
    pub irqs: u32,
}

impl DeviceInfo {
    const SIZE: usize = 16;

    /// Reads the payload.
    ///
    /// # Errors
    ///
    /// Too few bytes, there or counted by argsz.
    pub fn decode(payload: &[u8]) -> Result<DeviceInfo, CodecError> {
        let mut fields = Fields::new("VFIO_USER_DEVICE_GET_INFO", payload, DeviceInfo::SIZE)?;
        fields.argsz(DeviceInfo::SIZE)?;
        let flags = fields.u32()?;
        Ok(DeviceInfo {
            resettable: flags & vfio::VFIO_DEVICE_FLAGS_RESET != 0,
            pci: flags & vfio::VFIO_DEVICE_FLAGS_PCI != 0,
            regions: fields.u32()?,
            irqs: fields.u32()?,
        })
    }

    /// Appends the payload.
    pub fn encode(&self, message: &mut Vec<u8>) {
        let reset = flag(self.resettable, vfio::VFIO_DEVICE_FLAGS_RESET);
        let pci = flag(self.pci, vfio::VFIO_DEVICE_FLAGS_PCI);
        message.put32(DeviceInfo::SIZE as u32);
        message.put32(reset | pci);
        message.put32(self.regions);
        message.put32(self.irqs);
    }
}

/// The command VFIO_USER_DEVICE_GET_REGION_INFO.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct RegionInfoRequest {
    /// Bytes of the reply's payload that the sender takes.
    pub argsz: u32,
    /// Which region.
    pub index: u32,
}

impl RegionInfoRequest {
    /// Reads the payload.
    ///
    /// # Errors
    ///
    /// Too few bytes.
    pub fn decode(payload: &[u8]) -> Result<RegionInfoRequest, CodecError> {
        let what = "VFIO_USER_DEVICE_GET_REGION_INFO";
        let mut fields = Fields::new(what, payload, RegionInfo::SIZE)?;
        let [argsz, _flags, index] = fields.u32s()?;
        Ok(RegionInfoRequest { argsz, index })
    }

    /// Appends the payload.
    pub fn encode(&self, message: &mut Vec<u8>) {
        message.put32(self.argsz);
        message.put32(0);
        message.put32(self.index);
        message.put(&[0; RegionInfo::SIZE - 12]);
    }
}

/// A part of a region that may be mapped.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct SparseArea {
    /// Where it begins in the region.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// The reply to VFIO_USER_DEVICE_GET_REGION_INFO. With [`RegionInfo::mappable`] a file comes along.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegionInfo {
    /// Bytes that the whole payload needs; more than there are when the command allowed too few.
    pub argsz: u32,
    /// Which region.
    pub index: u32,
    /// May be read.
    pub readable: bool,
    /// May be written.
    pub writable: bool,
    /// May be mapped: the areas, or all of it where there are none.
    pub mappable: bool,
    /// Bytes; 0 for a region that is not there.
    pub size: u64,
    /// Where the region begins in the file.
    pub offset: u64,
    /// What may be mapped; empty: the whole region, if it is mappable.
    pub areas: Vec<SparseArea>,
}

impl RegionInfo {
    /// Bytes without capabilities, those of `struct vfio_region_info`.
    pub const SIZE: usize = 32;

    /// Reads the payload, with every capability that is known; others are passed over.
    ///
    /// # Errors
    ///
    /// Too few bytes, or a list of capabilities that leaves the payload or goes back.
    pub fn decode(payload: &[u8]) -> Result<RegionInfo, CodecError> {
        let mut fields = Fields::new("the reply with a region", payload, RegionInfo::SIZE)?;
        let [argsz, flags, index, capabilities] = fields.u32s()?;
        let mut info = RegionInfo {
            argsz,
            index,
            readable: flags & vfio::VFIO_REGION_INFO_FLAG_READ != 0,
            writable: flags & vfio::VFIO_REGION_INFO_FLAG_WRITE != 0,
            mappable: flags & vfio::VFIO_REGION_INFO_FLAG_MMAP != 0,
            size: fields.u64()?,
            offset: fields.u64()?,
            areas: Vec::new(),
        };
        let complete = argsz as usize <= payload.len();
        if flags & vfio::VFIO_REGION_INFO_FLAG_CAPS != 0 && complete {
            info.decode_capabilities(payload, capabilities)?;
        }
        Ok(info)
    }

    /// Walks the list; each link must point behind the one before, so the walk ends.
    fn decode_capabilities(&mut self, payload: &[u8], first: u32) -> Result<(), CodecError> {
        let mut at = first;
        let mut least = RegionInfo::SIZE as u32;
        while at != 0 {
            let bytes = payload.get(at as usize..).filter(|_| at >= least);
            let bytes = bytes.ok_or(CodecError::Value {
                what: "the place of a region's capability",
                value: at.into(),
            })?;
            let mut fields = Fields::new("a region's capability", bytes, 8)?;
            let id = u32::from(fields.u16()?);
            let _version = fields.u16()?;
            least = at.saturating_add(8);
            at = fields.u32()?;
            if id == vfio::VFIO_REGION_INFO_CAP_SPARSE_MMAP {
                self.decode_areas(fields)?;
            }
        }
        Ok(())
    }

    fn decode_areas(&mut self, mut fields: Fields<'_>) -> Result<(), CodecError> {
        let [count, _reserved] = fields.u32s()?;
        let mut areas = Fields {
            rest: fields.bytes(u64::from(count) * 16)?,
            ..fields
        };
        while !areas.rest.is_empty() {
            self.areas.push(SparseArea {
                offset: areas.u64()?,
                size: areas.u64()?,
            });
        }
        Ok(())
    }

    /// Returns the bytes that the whole payload needs.
    pub fn full_size(&self) -> usize {
        match self.areas.len() {
            0 => RegionInfo::SIZE,
            n => RegionInfo::SIZE + 16 + n * 16,
        }
    }

    /// Appends the payload; without the capabilities if it would be longer than `argsz` of the command, which then
    /// learns from the reply's own `argsz` how much there is.
    pub fn encode(&self, message: &mut Vec<u8>, argsz: u32) {
        let full = self.full_size();
        let caps = !self.areas.is_empty() && full <= argsz as usize;
        message.put32(full as u32);
        message.put32(
            flag(self.readable, vfio::VFIO_REGION_INFO_FLAG_READ)
                | flag(self.writable, vfio::VFIO_REGION_INFO_FLAG_WRITE)
                | flag(self.mappable, vfio::VFIO_REGION_INFO_FLAG_MMAP)
                | flag(caps, vfio::VFIO_REGION_INFO_FLAG_CAPS),
        );
        message.put32(self.index);
        message.put32(if caps { RegionInfo::SIZE as u32 } else { 0 });
        message.put64(self.size);
        message.put64(self.offset);
        if caps {
            self.encode_areas(message);
        }
    }

    fn encode_areas(&self, message: &mut Vec<u8>) {
        message.put16(vfio::VFIO_REGION_INFO_CAP_SPARSE_MMAP as u16);
        message.put16(1);
        message.put32(0);
        message.put32(self.areas.len() as u32);
        message.put32(0);
        for area in &self.areas {
            message.put64(area.offset);
            message.put64(area.size);
        }
    }
}

/// The command VFIO_USER_DEVICE_GET_REGION_IO_FDS.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct IoFdsRequest {
    /// Bytes of the reply's payload that the sender takes.
    pub argsz: u32,
    /// Which region.
    pub index: u32,
}

impl IoFdsRequest {
    /// Reads the payload.
    ///
    /// # Errors
    ///
    /// Too few bytes, there or counted by argsz, or flags or a count, which are reserved.
    pub fn decode(payload: &[u8]) -> Result<IoFdsRequest, CodecError> {
        let what = "VFIO_USER_DEVICE_GET_REGION_IO_FDS";
        let mut fields = Fields::new(what, payload, IoFds::SIZE)?;
        let argsz = fields.argsz(IoFds::SIZE)?;
        let [flags, index, count] = fields.u32s()?;
        if flags | count != 0 {
            return Err(CodecError::Value {
                what: "flags or count of VFIO_USER_DEVICE_GET_REGION_IO_FDS",
                value: (flags | count).into(),
            });
        }
        Ok(IoFdsRequest { argsz, index })
    }

    /// Appends the payload.
    pub fn encode(&self, message: &mut Vec<u8>) {
        message.put32(self.argsz);
        message.put32(0);
        message.put32(self.index);
        message.put32(0);
    }
}

/// A part of a region that an eventfd stands for: a write to it may be signalled there instead of sent.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct IoFd {
    /// Where it begins in the region.
    pub offset: u64,
    /// Bytes of the access; 0: any.
    pub size: u64,
    /// Which of the descriptors that come along; several parts may share one.
    pub fd_index: u32,
    /// The mechanism: 0 for an ioeventfd, 1 for an ioregionfd.
    pub kind: u32,
    /// Flags of the mechanism, those of KVM.
    pub flags: u32,
    /// The value that alone is signalled, with KVM's DATAMATCH flag; an ioregionfd's user data.
    pub data: u64,
}

/// The reply to VFIO_USER_DEVICE_GET_REGION_IO_FDS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IoFds {
    /// Bytes that the whole payload needs.
    pub argsz: u32,
    /// Which region.
    pub index: u32,
    /// Its parts; empty where the command allowed too few bytes.
    pub parts: Vec<IoFd>,
}

impl IoFds {
    const SIZE: usize = 16;
    const PART: usize = 40;

    /// Reads the payload.
    ///
    /// # Errors
    ///
    /// Too few bytes for what is counted.
    pub fn decode(payload: &[u8]) -> Result<IoFds, CodecError> {
        let mut fields = Fields::new("the reply with I/O descriptors", payload, IoFds::SIZE)?;
        let [argsz, _flags, index, count] = fields.u32s()?;
        let count = u64::from(count);
        let mut reply = IoFds {
            argsz,
            index,
            parts: Vec::new(),
        };
        if argsz as usize > payload.len() || count == 0 {
            return Ok(reply);
        }
        // The size of a part is the server's: argsz tells it.
        let part = u64::from(argsz).saturating_sub(IoFds::SIZE as u64) / count;
        if part < IoFds::PART as u64 {
            return Err(fields.short(IoFds::SIZE + IoFds::PART));
        }
        for _ in 0..count {
            let bytes = fields.bytes(part)?;
            reply.parts.push(IoFds::decode_part(bytes)?);
        }
        Ok(reply)
    }

    fn decode_part(bytes: &[u8]) -> Result<IoFd, CodecError> {
        let mut fields = Fields::new("a region's I/O descriptor", bytes, IoFds::PART)?;
        let (offset, size) = (fields.u64()?, fields.u64()?);
        let [fd_index, kind, flags, _padding] = fields.u32s()?;
        Ok(IoFd {
            offset,
            size,
            fd_index,
            kind,
            flags,
            data: fields.u64()?,
        })
    }

    /// Returns the bytes that the whole payload needs.
    pub fn full_size(&self) -> usize {
        IoFds::SIZE + self.parts.len() * IoFds::PART
    }

    /// Appends the payload; without the parts if it would be longer than `argsz` of the command.
    pub fn encode(&self, message: &mut Vec<u8>, argsz: u32) {
        let full = self.full_size();
        message.put32(full as u32);
        message.put32(0);
        message.put32(self.index);
        message.put32(self.parts.len() as u32);
        if full > argsz as usize {
            return;
        }
        for part in &self.parts {
            message.put64(part.offset);
            message.put64(part.size);
            message.put32(part.fd_index);
            message.put32(part.kind);
            message.put32(part.flags);
            message.put32(0);
            message.put64(part.data);
        }
    }
}
