//! The messages of the vfio-user protocol as bytes: pure, no input or output, every length checked before use.
//!
//! A message is a [`Header`] and a payload. Each payload has a type with `decode` and `encode`; both directions live
//! side by side, so that client and server share one description. Numbers are in the byte order of the host, as the
//! protocol says. What a peer declares is never used to allocate: counts are compared with the bytes that are there.
//!
//! What the text leaves open, and what peers in the field do otherwise, is decided request by request in a table that a
//! test holds the server against: `tests/user/table.rs`.
//!
//! Flags and indices are those of the kernel's `linux/vfio.h`, taken from `vfio-bindings`. Fields are taken one by one rather
//! than by `zerocopy`: where the wire has flags and counts these types have booleans and lists, so that each would need a
//! second structure; `dma.rs` became 20 lines longer by it, and no stricter.

mod device;
mod dma;
mod header;
mod irq;
mod region;
mod version;

#[cfg(test)]
mod tests;

pub use device::{
    DeviceInfo, IoFd, IoFds, IoFdsRequest, RegionInfo, RegionInfoRequest, SparseArea,
};
pub use dma::{DmaAccess, DmaMap, DmaUnmap};
pub use header::{Command, HEADER_SIZE, Header};
pub use irq::{IrqAction, IrqData, IrqInfo, SetIrqs};
pub use region::{
    MultiWrite, RegionAccess, encode_multi_writes, multi_writes, multi_writes_done,
    multi_writes_reply,
};
pub use version::{Capabilities, Version};

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The payload ends before the structure does.
    #[error("{what} needs {needed} bytes and got {got}")]
    Short {
        /// The structure.
        what: &'static str,
        /// Bytes that it needs.
        needed: usize,
        /// Bytes that are there.
        got: usize,
    },
    /// A field has a value that it can't have.
    #[error("{what} can't be {value:#x}")]
    Value {
        /// The field.
        what: &'static str,
        /// What it holds.
        value: u64,
    },
    /// The version message's text is not what the protocol says.
    #[error("the capabilities are not the JSON that the protocol asks for: {why}")]
    Json {
        /// The parser's words.
        why: String,
    },
}

/// Takes a structure apart, field by field.
#[derive(Debug, Clone)]
struct Fields<'a> {
    what: &'static str,
    all: usize,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Begins with a structure of at least `size` bytes.
    fn new(what: &'static str, bytes: &'a [u8], size: usize) -> Result<Fields<'a>, CodecError> {
        let fields = Fields {
            what,
            all: bytes.len(),
            rest: bytes,
        };
        match bytes.len() {
            got if got < size => Err(fields.short(size)),
            _ => Ok(fields),
        }
    }

    fn short(&self, needed: usize) -> CodecError {
        CodecError::Short {
            what: self.what,
            needed,
            got: self.all,
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let Some((head, tail)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.short(self.all - self.rest.len() + N));
        };
        self.rest = tail;
        Ok(*head)
    }

    /// Takes the field with which a client says how many bytes of a structure it knows: all that `size` counts, or it
    /// means another structure.
    fn argsz(&mut self, size: usize) -> Result<u32, CodecError> {
        match self.u32()? {
            argsz if (argsz as usize) < size => Err(CodecError::Value {
                what: "argsz",
                value: argsz.into(),
            }),
            argsz => Ok(argsz),
        }
    }

    fn u16(&mut self) -> Result<u16, CodecError> {
        self.take().map(u16::from_ne_bytes)
    }

    fn u32(&mut self) -> Result<u32, CodecError> {
        self.take().map(u32::from_ne_bytes)
    }

    /// Takes as many fields of 32 bits as are asked for.
    fn u32s<const N: usize>(&mut self) -> Result<[u32; N], CodecError> {
        let mut values = [0; N];
        for value in &mut values {
            *value = self.u32()?;
        }
        Ok(values)
    }

    fn u64(&mut self) -> Result<u64, CodecError> {
        self.take().map(u64::from_ne_bytes)
    }

    /// Takes `len` bytes.
    fn bytes(&mut self, len: u64) -> Result<&'a [u8], CodecError> {
        let used = self.all - self.rest.len();
        let split = usize::try_from(len)
            .ok()
            .and_then(|len| self.rest.split_at_checked(len));
        let Some((head, tail)) = split else {
            return Err(self.short(used.saturating_add(usize::try_from(len).unwrap_or(usize::MAX))));
        };
        self.rest = tail;
        Ok(head)
    }
}

/// Returns a flag if it is set, else 0.
fn flag(set: bool, flag: u32) -> u32 {
    if set { flag } else { 0 }
}

/// Puts a structure together, field by field.
trait Put {
    fn put(&mut self, bytes: &[u8]);

    fn put16(&mut self, value: u16) {
        self.put(&value.to_ne_bytes());
    }

    fn put32(&mut self, value: u32) {
        self.put(&value.to_ne_bytes());
    }

    fn put64(&mut self, value: u64) {
        self.put(&value.to_ne_bytes());
    }
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}
