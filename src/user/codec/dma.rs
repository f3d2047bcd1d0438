//! VFIO_USER_DMA_MAP, DMA_UNMAP, DMA_READ and DMA_WRITE.

use vfio_bindings::bindings::vfio;

use super::{CodecError, Fields, Put, flag};

/// VFIO_USER_DMA_MAP: what the device may reach from now on. The reply is empty.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct DmaMap {
    /// The device may read.
    pub readable: bool,
    /// The device may write.
    pub writable: bool,
    /// Where the range begins in the file that comes along, if one does.
    pub offset: u64,
    /// First address of the device.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}

impl DmaMap {
    const SIZE: usize = 32;

    /// Reads the payload.
    ///
    /// # Errors
    ///
    /// Too few bytes, there or counted by argsz, or an unknown flag.
    pub fn decode(payload: &[u8]) -> Result<DmaMap, CodecError> {
        let mut fields = Fields::new("VFIO_USER_DMA_MAP", payload, DmaMap::SIZE)?;
        fields.argsz(DmaMap::SIZE)?;
        let flags = fields.u32()?;
        let known = vfio::VFIO_DMA_MAP_FLAG_READ | vfio::VFIO_DMA_MAP_FLAG_WRITE;
        if flags & !known != 0 {
            return Err(CodecError::Value {
                what: "the flags of VFIO_USER_DMA_MAP",
                value: flags.into(),
            });
        }
        Ok(DmaMap {
            readable: flags & vfio::VFIO_DMA_MAP_FLAG_READ != 0,
            writable: flags & vfio::VFIO_DMA_MAP_FLAG_WRITE != 0,
            offset: fields.u64()?,
            address: fields.u64()?,
            size: fields.u64()?,
        })
    }

    /// Appends the payload.
    pub fn encode(&self, message: &mut Vec<u8>) {
        let read = flag(self.readable, vfio::VFIO_DMA_MAP_FLAG_READ);
        let write = flag(self.writable, vfio::VFIO_DMA_MAP_FLAG_WRITE);
        message.put32(DmaMap::SIZE as u32);
        message.put32(read | write);
        message.put64(self.offset);
        message.put64(self.address);
        message.put64(self.size);
    }
}

/// VFIO_USER_DMA_UNMAP: what the device may reach no longer. The reply repeats it.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct DmaUnmap {
    /// Everything, and the range is empty.
    pub all: bool,
    /// A bitmap of dirty pages is wanted, which is a part of migration.
    pub dirty_pages: bool,
    /// First address of the device.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}

impl DmaUnmap {
    const SIZE: usize = 24;

    /// Reads the payload.
    ///
    /// # Errors
    ///
    /// Too few bytes, there or counted by argsz, or flags that nobody knows.
    pub fn decode(payload: &[u8]) -> Result<DmaUnmap, CodecError> {
        let mut fields = Fields::new("VFIO_USER_DMA_UNMAP", payload, DmaUnmap::SIZE)?;
        fields.argsz(DmaUnmap::SIZE)?;
        let flags = fields.u32()?;
        let known = vfio::VFIO_DMA_UNMAP_FLAG_ALL | vfio::VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
        if flags & !known != 0 {
            return Err(CodecError::Value {
                what: "the flags of VFIO_USER_DMA_UNMAP",
                value: flags.into(),
            });
        }
        Ok(DmaUnmap {
            all: flags & vfio::VFIO_DMA_UNMAP_FLAG_ALL != 0,
            dirty_pages: flags & vfio::VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP != 0,
            address: fields.u64()?,
            size: fields.u64()?,
        })
    }

    /// Appends the payload.
    pub fn encode(&self, message: &mut Vec<u8>) {
        let all = flag(self.all, vfio::VFIO_DMA_UNMAP_FLAG_ALL);
        let dirty = flag(self.dirty_pages, vfio::VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP);
        message.put32(DmaUnmap::SIZE as u32);
        message.put32(all | dirty);
        message.put64(self.address);
        message.put64(self.size);
    }
}

/// VFIO_USER_DMA_READ and DMA_WRITE: the server reaches memory whose mapping came without a file.
///
/// The data stand behind it in the command of a write and in the reply to a read.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct DmaAccess {
    /// First address of the device.
    pub address: u64,
    /// Bytes.
    pub count: u64,
}

impl DmaAccess {
    /// Bytes before the data.
    pub const SIZE: usize = 16;

    /// Reads a payload without data.
    ///
    /// # Errors
    ///
    /// Too few bytes. (The reply to a write may have a count of 4 bytes, as the specification's table has it.)
    pub fn decode(payload: &[u8]) -> Result<DmaAccess, CodecError> {
        let mut fields = Fields::new("a DMA access", payload, 12)?;
        let address = fields.u64()?;
        let count = match fields.rest.len() {
            8.. => fields.u64()?,
            _ => fields.u32()?.into(),
        };
        Ok(DmaAccess { address, count })
    }

    /// Reads a payload with its data, whose length is `count` of the access.
    ///
    /// # Errors
    ///
    /// Too few bytes.
    pub fn decode_data(payload: &[u8]) -> Result<(DmaAccess, &[u8]), CodecError> {
        let mut fields = Fields::new("a DMA access with data", payload, DmaAccess::SIZE)?;
        let access = DmaAccess {
            address: fields.u64()?,
            count: fields.u64()?,
        };
        Ok((access, fields.bytes(access.count)?))
    }

    /// Appends the payload; data go behind it.
    pub fn encode(&self, message: &mut Vec<u8>) {
        message.put64(self.address);
        message.put64(self.count);
    }
}
