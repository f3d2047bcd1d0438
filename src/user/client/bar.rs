//! Regions: mapped where the server lets us, by messages elsewhere.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use hwpool_devices::bus::{Bar, BusError, Doorbell};

use super::connection::Connection;
use crate::user::codec::{
    CodecError, Command, MultiWrite, RegionAccess, RegionInfo, SparseArea, encode_multi_writes,
    multi_writes_done,
};
use crate::user::memory::{HotWord, SharedMemory};

/// Writes in one message: with them it is shorter than the page that some peers take.
const BATCH: usize = 128;

/// One of the writes of [`UserBar::write_many`].
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum UserWrite {
    /// A write of 32 bits.
    Bits32 {
        /// Where in the BAR; a multiple of 4.
        offset: u64,
        /// What is written.
        value: u32,
    },
    /// A write of 64 bits.
    Bits64 {
        /// Where in the BAR; a multiple of 8.
        offset: u64,
        /// What is written.
        value: u64,
    },
}

impl UserWrite {
    fn offset(&self) -> u64 {
        match *self {
            UserWrite::Bits32 { offset, .. } | UserWrite::Bits64 { offset, .. } => offset,
        }
    }

    fn width(&self) -> u8 {
        match self {
            UserWrite::Bits32 { .. } => 4,
            UserWrite::Bits64 { .. } => 8,
        }
    }

    /// Returns the bytes, in the order of the link; those beyond the width are 0.
    fn bytes(&self) -> [u8; 8] {
        match *self {
            UserWrite::Bits32 { value, .. } => u64::from(value).to_le_bytes(),
            UserWrite::Bits64 { value, .. } => value.to_le_bytes(),
        }
    }
}

/// A region of the device.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) index: u32,
    pub(super) info: RegionInfo,
    /// What is mapped, with its place in the region.
    areas: Vec<(u64, Arc<SharedMemory>)>,
}

impl Region {
    /// Takes what the server said about a region and maps what may be mapped. An area that can't be is left to messages,
    /// as one of a file that the server could shorten: a store to it would end this process then.
    pub(super) fn new(
        index: u32,
        info: RegionInfo,
        fds: Vec<OwnedFd>,
        unmapped: &mut Unmapped,
    ) -> Region {
        let areas = match fds.first().filter(|_| info.mappable) {
            Some(file) => map_areas(&info, file, unmapped),
            None => Vec::new(),
        };
        Region { index, info, areas }
    }

    /// Finds the mapping that holds `width` bytes at `offset`, and where in it they are.
    #[inline]
    fn mapped(&self, offset: u64, width: u8) -> Option<(&Arc<SharedMemory>, u64)> {
        let hit = |(start, memory): &(u64, Arc<SharedMemory>)| {
            let inside = offset.checked_sub(*start)?;
            (inside.checked_add(width.into())? <= memory.size()).then_some(inside)
        };
        self.areas
            .iter()
            .find_map(|area| Some((&area.1, hit(area)?)))
    }
}

/// Areas that a server offers and that can't be mapped, for one line about all of them.
#[derive(Debug, Default)]
pub(super) struct Unmapped {
    count: usize,
    first: String,
}

impl Unmapped {
    fn add(&mut self, info: &RegionInfo, area: &SparseArea, error: &io::Error) {
        if self.count == 0 {
            self.first = format!("region {} at {:#x}: {error}", info.index, area.offset);
        }
        self.count += 1;
    }

    /// Says that there are any.
    pub(super) fn tell(&self) {
        if self.count > 0 {
            tracing::warn!(
                areas = self.count,
                first = self.first,
                "areas of regions can't be mapped: messages take their place"
            );
        }
    }
}

fn map_areas(
    info: &RegionInfo,
    file: &OwnedFd,
    unmapped: &mut Unmapped,
) -> Vec<(u64, Arc<SharedMemory>)> {
    let whole = [SparseArea {
        offset: 0,
        size: info.size,
    }];
    let areas = match info.areas.is_empty() {
        true => &whole[..],
        false => &info.areas,
    };
    let mut map = |area: &SparseArea| {
        let end = area.offset.checked_add(area.size)?;
        let place = info
            .offset
            .checked_add(area.offset)
            .filter(|_| end <= info.size)?;
        let memory = SharedMemory::map_of_peer(file.as_fd(), place, area.size);
        let memory = memory.inspect_err(|error| unmapped.add(info, area, error));
        Some((area.offset, Arc::new(memory.ok()?)))
    };
    areas.iter().filter_map(&mut map).collect()
}

/// A BAR of a vfio-user device.
#[derive(Debug, Clone)]
pub struct UserBar {
    connection: Arc<Connection>,
    region: Arc<Region>,
}

impl UserBar {
    pub(super) fn new(connection: &Arc<Connection>, region: &Arc<Region>) -> UserBar {
        UserBar {
            connection: Arc::clone(connection),
            region: Arc::clone(region),
        }
    }

    #[inline]
    fn check(&self, offset: u64, width: u8) -> Result<(), BusError> {
        let len = self.region.info.size;
        if offset.checked_add(width.into()).is_none_or(|end| end > len) {
            return Err(BusError::OutOfRange { offset, width, len });
        }
        if !offset.is_multiple_of(width.into()) {
            return Err(BusError::Misaligned { offset, width });
        }
        Ok(())
    }

    /// Finds the mapping that an access goes to, behind every message that was sent before.
    fn mapped(
        &self,
        offset: u64,
        width: u8,
    ) -> Result<Option<(&Arc<SharedMemory>, u64)>, BusError> {
        let mapped = self.region.mapped(offset, width);
        if mapped.is_some() {
            let settled = self.connection.settle();
            settled.map_err(|error| error.on_access(offset, width))?;
        }
        Ok(mapped)
    }

    fn access(&self, offset: u64, width: u8) -> RegionAccess {
        RegionAccess {
            offset,
            region: self.region.index,
            count: width.into(),
        }
    }

    /// Reads `N` bytes by a message.
    fn ask<const N: usize>(&self, offset: u64) -> Result<[u8; N], BusError> {
        let width = N as u8;
        self.check(offset, width)?;
        let access = self.access(offset, width);
        let decode = |payload: &[u8]| {
            let (answered, data) = RegionAccess::decode_data(payload)?;
            match data.try_into() {
                Ok(bytes) if answered == access => Ok(bytes),
                _ => Err(CodecError::Value {
                    what: "the access that was answered",
                    value: answered.offset,
                }),
            }
        };
        let answer = self.connection.ask(
            Command::RegionRead,
            |message| access.encode(message),
            decode,
        );
        answer.map_err(|error| error.on_access(offset, width))
    }

    /// Reads 32 bits by a message.
    pub(super) fn ask32(&self, offset: u64) -> Result<u32, BusError> {
        self.ask(offset).map(u32::from_le_bytes)
    }

    /// Writes by a message and waits until it is done.
    pub(super) fn tell(&self, offset: u64, data: &[u8]) -> Result<(), BusError> {
        let width = data.len() as u8;
        self.check(offset, width)?;
        let access = self.access(offset, width);
        let encode = |message: &mut Vec<u8>| {
            access.encode(message);
            message.extend_from_slice(data);
        };
        let answer = self
            .connection
            .ask(Command::RegionWrite, encode, |_| Ok(()));
        answer.map_err(|error| error.on_access(offset, width))
    }

    /// Writes many registers, in order, each by one access of its width: for a table that is filled, say.
    ///
    /// Where the server understands VFIO_USER_REGION_WRITE_MULTI this takes a round trip for 128 of them, which is waited
    /// for, so that no later access overtakes it. A server that does not say so is never sent that message: it gets one
    /// write after the other, as does one that lets us map what is written.
    ///
    /// # Errors
    ///
    /// A write outside of the BAR or misaligned: nothing was written then. The server refuses one: those before it
    /// were done, and none behind it.
    pub fn write_many(&self, writes: &[UserWrite]) -> Result<(), BusError> {
        for write in writes {
            self.check(write.offset(), write.width())?;
        }
        let mapped =
            |write: &UserWrite| self.region.mapped(write.offset(), write.width()).is_some();
        match self.connection.peer().write_multiple && !writes.iter().any(mapped) {
            true => writes
                .chunks(BATCH)
                .try_for_each(|batch| self.tell_many(batch)),
            false => writes.iter().try_for_each(|write| match *write {
                UserWrite::Bits32 { offset, value } => self.write32(offset, value),
                UserWrite::Bits64 { offset, value } => self.write64(offset, value),
            }),
        }
    }

    /// Writes a batch by one message and waits until it is done.
    fn tell_many(&self, writes: &[UserWrite]) -> Result<(), BusError> {
        let bytes: Vec<[u8; 8]> = writes.iter().map(UserWrite::bytes).collect();
        let encode = |message: &mut Vec<u8>| {
            let all = writes.iter().zip(&bytes).map(|(write, bytes)| MultiWrite {
                access: self.access(write.offset(), write.width()),
                data: &bytes[..write.width().into()],
            });
            encode_multi_writes(message, all);
        };
        let decode = |payload: &[u8]| match multi_writes_done(payload)? {
            done if done <= writes.len() as u64 => Ok(done as usize),
            value => Err(CodecError::Value {
                what: "the number of writes that were done",
                value,
            }),
        };
        let answer = self
            .connection
            .ask(Command::RegionWriteMulti, encode, decode);
        let first = &writes[0];
        let done = answer.map_err(|error| error.on_access(first.offset(), first.width()))?;
        match writes.get(done) {
            None => Ok(()),
            Some(refused) => Err(BusError::Failed {
                offset: refused.offset(),
                width: refused.width(),
                cause: format!(
                    "the vfio-user server did {done} of {} writes and refused this one",
                    writes.len()
                ),
            }),
        }
    }

    /// Writes by a message and does not wait: nobody hears of a refusal, so only doorbells do it.
    fn post(&self, offset: u64, data: &[u8]) -> Result<(), BusError> {
        let width = data.len() as u8;
        let access = self.access(offset, width);
        let sent = self.connection.post(Command::RegionWrite, |message| {
            access.encode(message);
            message.extend_from_slice(data);
        });
        sent.map_err(|error| error.on_access(offset, width))
    }
}

impl Bar for UserBar {
    type Doorbell = UserDoorbell;

    fn size(&self) -> u64 {
        self.region.info.size
    }

    fn read32(&self, offset: u64) -> Result<u32, BusError> {
        self.check(offset, 4)?;
        let mapped = self.mapped(offset, 4)?;
        match mapped.and_then(|(memory, at)| memory.load32(at)) {
            Some(value) => Ok(value),
            None => self.ask32(offset),
        }
    }

    fn read64(&self, offset: u64) -> Result<u64, BusError> {
        self.check(offset, 8)?;
        let mapped = self.mapped(offset, 8)?;
        match mapped.and_then(|(memory, at)| memory.load64(at)) {
            Some(value) => Ok(value),
            None => self.ask(offset).map(u64::from_le_bytes),
        }
    }

    fn write32(&self, offset: u64, value: u32) -> Result<(), BusError> {
        self.check(offset, 4)?;
        let mapped = self.mapped(offset, 4)?;
        match mapped.and_then(|(memory, at)| memory.store32(at, value)) {
            Some(()) => Ok(()),
            None => self.tell(offset, &value.to_le_bytes()),
        }
    }

    fn write64(&self, offset: u64, value: u64) -> Result<(), BusError> {
        self.check(offset, 8)?;
        let mapped = self.mapped(offset, 8)?;
        match mapped.and_then(|(memory, at)| memory.store64(at, value)) {
            Some(()) => Ok(()),
            None => self.tell(offset, &value.to_le_bytes()),
        }
    }

    // By messages, also where memory is mapped: nobody needs these to be fast.

    fn read8(&self, offset: u64) -> Result<u8, BusError> {
        self.ask(offset).map(u8::from_le_bytes)
    }

    fn read16(&self, offset: u64) -> Result<u16, BusError> {
        self.ask(offset).map(u16::from_le_bytes)
    }

    fn write8(&self, offset: u64, value: u8) -> Result<(), BusError> {
        self.tell(offset, &value.to_le_bytes())
    }

    fn write16(&self, offset: u64, value: u16) -> Result<(), BusError> {
        self.tell(offset, &value.to_le_bytes())
    }

    fn doorbell(&self, offset: u64) -> Result<UserDoorbell, BusError> {
        self.check(offset, 8)?;
        let mapped = self.region.mapped(offset, 8);
        let word = mapped.and_then(|(memory, at)| HotWord::new(Arc::clone(memory), at));
        Ok(UserDoorbell(match word {
            Some(word) => Target::Mapped(word),
            None => Target::Message(self.clone(), offset),
        }))
    }
}

/// A hot register of a vfio-user device: a plain store where it is mapped, else a posted message.
///
/// A store to a mapped doorbell may be seen before the message of another doorbell that is not mapped; writes by the
/// [`Bar`] are never overtaken.
#[derive(Debug)]
pub struct UserDoorbell(Target);

#[derive(Debug)]
enum Target {
    Mapped(HotWord),
    Message(UserBar, u64),
}

impl Doorbell for UserDoorbell {
    /// Mapped areas are ordinary memory, so the caller's release fence orders what it announces before the store; a
    /// message is ordered by the system call that sends it.
    #[inline]
    fn ring(&self, value: u64) -> Result<(), BusError> {
        match &self.0 {
            Target::Mapped(word) => {
                word.store(value);
                Ok(())
            }
            Target::Message(bar, offset) => bar.post(*offset, &value.to_le_bytes()),
        }
    }
}
