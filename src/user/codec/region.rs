//! VFIO_USER_REGION_READ, REGION_WRITE and REGION_WRITE_MULTI.

use super::{CodecError, Fields, Put};

/// An access to a region. The data stand behind it in the command of a write and in the reply to a read.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct RegionAccess {
    /// Where in the region.
    pub offset: u64,
    /// Which region.
    pub region: u32,
    /// Bytes.
    pub count: u32,
}

impl RegionAccess {
    /// Bytes before the data.
    pub const SIZE: usize = 16;

    /// Reads a payload without data.
    ///
    /// # Errors
    ///
    /// Too few bytes.
    pub fn decode(payload: &[u8]) -> Result<RegionAccess, CodecError> {
        let mut fields = Fields::new("a region access", payload, RegionAccess::SIZE)?;
        RegionAccess::take(&mut fields)
    }

    /// Reads a payload with its data, whose length is `count` of the access.
    ///
    /// # Errors
    ///
    /// Too few bytes.
    pub fn decode_data(payload: &[u8]) -> Result<(RegionAccess, &[u8]), CodecError> {
        let what = "a region access with data";
        let mut fields = Fields::new(what, payload, RegionAccess::SIZE)?;
        let access = RegionAccess::take(&mut fields)?;
        Ok((access, fields.bytes(access.count.into())?))
    }

    fn take(fields: &mut Fields<'_>) -> Result<RegionAccess, CodecError> {
        Ok(RegionAccess {
            offset: fields.u64()?,
            region: fields.u32()?,
            count: fields.u32()?,
        })
    }

    /// Appends the payload; data go behind it.
    pub fn encode(&self, message: &mut Vec<u8>) {
        message.put64(self.offset);
        message.put32(self.region);
        message.put32(self.count);
    }
}

/// One of the writes in a VFIO_USER_REGION_WRITE_MULTI.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct MultiWrite<'a> {
    /// Where, and how many bytes: 8 at most.
    pub access: RegionAccess,
    /// As many bytes.
    pub data: &'a [u8],
}

impl MultiWrite<'_> {
    /// Appends the write.
    fn encode(&self, message: &mut Vec<u8>) {
        let mut data = [0; 8];
        data[..self.data.len()].copy_from_slice(self.data);
        self.access.encode(message);
        message.put(&data);
    }
}

/// Appends the payload of VFIO_USER_REGION_WRITE_MULTI.
///
/// # Panics
///
/// A write with more than 8 bytes of data.
pub fn encode_multi_writes<'a>(
    message: &mut Vec<u8>,
    writes: impl ExactSizeIterator<Item = MultiWrite<'a>>,
) {
    message.put64(writes.len() as u64);
    writes.for_each(|write| write.encode(message));
}

/// Bytes of one write in a VFIO_USER_REGION_WRITE_MULTI.
const MULTI_SIZE: usize = RegionAccess::SIZE + 8;

/// Reads the payload of VFIO_USER_REGION_WRITE_MULTI: all writes are checked before the first is returned.
///
/// # Errors
///
/// Too few bytes for what is counted, or a write of more than 8 bytes.
pub fn multi_writes(
    payload: &[u8],
) -> Result<impl Iterator<Item = MultiWrite<'_>> + Clone, CodecError> {
    let mut fields = Fields::new("VFIO_USER_REGION_WRITE_MULTI", payload, 8)?;
    let count = fields.u64()?;
    let writes = fields.bytes(count.saturating_mul(MULTI_SIZE as u64))?;
    let decode = |bytes| {
        let (access, data) = split_write(bytes)?;
        let len = usize::try_from(access.count).ok().filter(|len| *len <= 8);
        let data = len.and_then(|len| data.get(..len));
        let data = data.ok_or(CodecError::Value {
            what: "the length of a write among many",
            value: access.count.into(),
        })?;
        Ok(MultiWrite { access, data })
    };
    let (writes, _) = writes.as_chunks::<MULTI_SIZE>();
    for bytes in writes {
        decode(bytes)?;
    }
    Ok(writes.iter().filter_map(move |bytes| decode(bytes).ok()))
}

fn split_write(bytes: &[u8; MULTI_SIZE]) -> Result<(RegionAccess, &[u8]), CodecError> {
    let access = RegionAccess::decode(bytes)?;
    Ok((access, &bytes[RegionAccess::SIZE..]))
}

/// Appends the payload of the reply: how many writes were done.
pub fn multi_writes_reply(message: &mut Vec<u8>, done: u64) {
    message.put64(done);
}

/// Reads the payload of the reply: how many writes were done.
///
/// # Errors
///
/// Too few bytes.
pub fn multi_writes_done(payload: &[u8]) -> Result<u64, CodecError> {
    Fields::new("the reply to VFIO_USER_REGION_WRITE_MULTI", payload, 8)?.u64()
}
