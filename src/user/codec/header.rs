//! The header of every message, and the commands (vfio-user, "Header" and "Commands").

use super::{CodecError, Fields, Put};

/// Bytes of a header.
pub const HEADER_SIZE: usize = 16;

const TYPE_MASK: u32 = 0xf;
const TYPE_REPLY: u32 = 1;
const NO_REPLY: u32 = 1 << 4;
const ERROR: u32 = 1 << 5;

/// The commands of the protocol that this crate knows.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[repr(u16)]
#[expect(
    missing_docs,
    reason = "the protocol's own names, each explained with its payload's type"
)]
pub enum Command {
    Version = 1,
    DmaMap = 2,
    DmaUnmap = 3,
    DeviceGetInfo = 4,
    GetRegionInfo = 5,
    GetRegionIoFds = 6,
    GetIrqInfo = 7,
    SetIrqs = 8,
    RegionRead = 9,
    RegionWrite = 10,
    DmaRead = 11,
    DmaWrite = 12,
    DeviceReset = 13,
    RegionWriteMulti = 15,
}

impl Command {
    /// All of them, in rising order.
    pub const ALL: [Command; 14] = [
        Command::Version,
        Command::DmaMap,
        Command::DmaUnmap,
        Command::DeviceGetInfo,
        Command::GetRegionInfo,
        Command::GetRegionIoFds,
        Command::GetIrqInfo,
        Command::SetIrqs,
        Command::RegionRead,
        Command::RegionWrite,
        Command::DmaRead,
        Command::DmaWrite,
        Command::DeviceReset,
        Command::RegionWriteMulti,
    ];

    /// Returns the command of a number, or `None` for one that is unknown here.
    pub fn from_number(number: u16) -> Option<Command> {
        Command::ALL
            .into_iter()
            .find(|command| *command as u16 == number)
    }

    /// Returns the protocol's name, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Command::Version => "VFIO_USER_VERSION",
            Command::DmaMap => "VFIO_USER_DMA_MAP",
            Command::DmaUnmap => "VFIO_USER_DMA_UNMAP",
            Command::DeviceGetInfo => "VFIO_USER_DEVICE_GET_INFO",
            Command::GetRegionInfo => "VFIO_USER_DEVICE_GET_REGION_INFO",
            Command::GetRegionIoFds => "VFIO_USER_DEVICE_GET_REGION_IO_FDS",
            Command::GetIrqInfo => "VFIO_USER_DEVICE_GET_IRQ_INFO",
            Command::SetIrqs => "VFIO_USER_DEVICE_SET_IRQS",
            Command::RegionRead => "VFIO_USER_REGION_READ",
            Command::RegionWrite => "VFIO_USER_REGION_WRITE",
            Command::DmaRead => "VFIO_USER_DMA_READ",
            Command::DmaWrite => "VFIO_USER_DMA_WRITE",
            Command::DeviceReset => "VFIO_USER_DEVICE_RESET",
            Command::RegionWriteMulti => "VFIO_USER_REGION_WRITE_MULTI",
        }
    }
}

/// What precedes every payload.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Header {
    /// Chosen by who sends the command, echoed in the reply.
    pub id: u16,
    /// A [`Command`] by number; unknown ones are refused later, when their payload is known to be read.
    pub command: u16,
    /// Bytes of the whole message, this header included; never less than [`HEADER_SIZE`].
    pub size: u32,
    /// Type and attributes, see the methods.
    pub flags: u32,
    /// An errno in a reply that [`Header::is_error`].
    pub error: u32,
}

impl Header {
    /// Makes the header of a command; [`Header::write`] fills the size in.
    pub fn command(id: u16, command: Command) -> Header {
        Header {
            id,
            command: command as u16,
            size: HEADER_SIZE as u32,
            flags: 0,
            error: 0,
        }
    }

    /// Makes the header of a command that wants no reply.
    pub fn posted(id: u16, command: Command) -> Header {
        Header {
            flags: NO_REPLY,
            ..Header::command(id, command)
        }
    }

    /// Makes the header of the reply to this command.
    pub fn reply(&self) -> Header {
        Header {
            size: HEADER_SIZE as u32,
            flags: TYPE_REPLY,
            error: 0,
            ..*self
        }
    }

    /// Makes the whole reply that refuses this command.
    pub fn refusal(&self, errno: i32) -> Header {
        Header {
            flags: TYPE_REPLY | ERROR,
            error: errno.unsigned_abs(),
            ..self.reply()
        }
    }

    /// Tells whether this answers a command.
    pub fn is_reply(&self) -> bool {
        self.flags & TYPE_MASK == TYPE_REPLY
    }

    /// Tells whether this is a command.
    pub fn is_command(&self) -> bool {
        self.flags & TYPE_MASK == 0
    }

    /// Tells whether the command's sender wants no reply.
    pub fn is_posted(&self) -> bool {
        self.flags & NO_REPLY != 0
    }

    /// Tells whether this reply refuses its command.
    pub fn is_error(&self) -> bool {
        self.flags & ERROR != 0
    }

    /// Returns the bytes behind the header.
    pub fn payload_len(&self) -> usize {
        self.size as usize - HEADER_SIZE
    }

    /// Reads a header.
    ///
    /// # Errors
    ///
    /// Too few bytes, or a size that is less than the header's own: what follows can't be found then.
    pub fn decode(bytes: &[u8]) -> Result<Header, CodecError> {
        let mut fields = Fields::new("a message header", bytes, HEADER_SIZE)?;
        let header = Header {
            id: fields.u16()?,
            command: fields.u16()?,
            size: fields.u32()?,
            flags: fields.u32()?,
            error: fields.u32()?,
        };
        if (header.size as usize) < HEADER_SIZE {
            return Err(CodecError::Value {
                what: "the size of a message",
                value: header.size.into(),
            });
        }
        Ok(header)
    }

    /// Replaces what is in `message` by this header and the payload that `body` appends; sets the size.
    pub fn write(&self, message: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
        message.clear();
        message.put16(self.id);
        message.put16(self.command);
        message.put32(0);
        message.put32(self.flags);
        message.put32(self.error);
        body(message);
        let size = (message.len() as u32).to_ne_bytes();
        message[4..8].copy_from_slice(&size);
    }
}
