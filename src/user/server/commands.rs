//! The commands, a function each: decode, act, encode.
//!
//! A function appends its reply's payload to `out`, behind the header that is there, or returns the errno to refuse with.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::errno::Errno;
use super::lines::KINDS;
use super::mappings::{Entry, MAX_MAPPINGS};
use super::peer::Peer;
use super::served::{DmaMapping, RegionDescription, Served};
use crate::user::channel::{ANNOUNCED_FDS, MAX_DATA};
use crate::user::codec::{
    Capabilities, CodecError, Command, DeviceInfo, DmaMap, DmaUnmap, Header, IoFds, IoFdsRequest,
    IrqAction, IrqData, IrqInfo, RegionAccess, RegionInfo, RegionInfoRequest, SetIrqs, Version,
    multi_writes, multi_writes_reply,
};
use vfio_bindings::bindings::vfio;

/// What a command is answered with.
pub(super) struct Answer<'a> {
    /// Descriptors that go along.
    pub(super) fds: Vec<BorrowedFd<'a>>,
    /// The connection ends after the answer.
    pub(super) ends: bool,
}

impl Answer<'_> {
    /// Makes an answer without descriptors.
    pub(super) const PLAIN: Answer<'static> = Answer {
        fds: Vec::new(),
        ends: false,
    };
}

type Done<'a> = Result<Answer<'a>, Errno>;

const MAJOR: u16 = 0;
const MINOR: u16 = 1;
/// VFIO_USER_DEVICE_FEATURE, of which no feature is known.
const DEVICE_FEATURE: u16 = 16;

/// Acts on a command.
pub(super) fn perform<'d, D: Served>(
    peer: &mut Peer,
    device: &'d mut D,
    header: &Header,
    payload: &[u8],
    fds: Vec<OwnedFd>,
    out: &mut Vec<u8>,
) -> Done<'d> {
    let command = Command::from_number(header.command);
    if peer.capabilities.is_none() != (command == Some(Command::Version)) {
        return Err(Errno::EINVAL); // it comes first, and once
    }
    match command {
        Some(Command::Version) => version(peer, device, payload, out),
        Some(Command::DmaMap) => dma_map(peer, device, payload, fds),
        Some(Command::DmaUnmap) => dma_unmap(peer, device, payload, out),
        Some(Command::DeviceGetInfo) => device_info(device, payload, out),
        Some(Command::GetRegionInfo) => region_info(device, payload, out),
        Some(Command::GetRegionIoFds) => region_io_fds(device, payload, out),
        Some(Command::GetIrqInfo) => get_irq_info(device, payload, out),
        Some(Command::SetIrqs) => set_irqs(device, payload, fds),
        Some(Command::RegionRead) => region_read(peer, device, payload, out),
        Some(Command::RegionWrite) => region_write(peer, device, payload, out),
        Some(Command::RegionWriteMulti) => region_write_multi(peer, device, payload, out),
        Some(Command::DeviceReset) => device.reset().map(|()| Answer::PLAIN),
        Some(Command::DmaRead | Command::DmaWrite) => Err(Errno::EINVAL), // ours to send
        None if header.command == DEVICE_FEATURE => Err(Errno::ENOTTY),
        None => Err(Errno::EOPNOTSUPP),
    }
}

fn version<D: Served>(
    peer: &mut Peer,
    device: &D,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Done<'static> {
    let theirs = Version::decode(payload).map_err(malformed)?;
    // Our client forgives servers that; of a client QEMU and libvfio-user would not take it either.
    if payload.len() > 4 && payload.last() != Some(&0) {
        return Err(Errno::EINVAL); // its text has no end
    }
    if theirs.major != MAJOR {
        return Err(Errno::EPROTONOSUPPORT);
    }
    let ours = Version {
        major: MAJOR,
        minor: MINOR.min(theirs.minor),
        capabilities: Capabilities {
            max_msg_fds: ANNOUNCED_FDS as u64,
            max_data_xfer_size: MAX_DATA as u64,
            max_dma_maps: MAX_MAPPINGS as u64,
            pgsizes: device.page_sizes(),
            write_multiple: theirs.capabilities.write_multiple, // no more than was proposed
            twin_socket: false, // whatever the client proposes: our commands go over the one socket
        },
    };
    ours.encode(out);
    peer.page = ours.capabilities.smallest_page();
    peer.greeted(theirs.capabilities);
    Ok(Answer::PLAIN)
}

fn dma_map<D: Served>(
    peer: &mut Peer,
    device: &mut D,
    payload: &[u8],
    fds: Vec<OwnedFd>,
) -> Done<'static> {
    let map = DmaMap::decode(payload).map_err(malformed)?;
    let mut fds = fds.into_iter();
    let (file, None) = (fds.next(), fds.next()) else {
        return Err(Errno::EINVAL);
    };
    check_pages(peer, map.address, map.size)?;
    peer.mappings().check(map.address, map.size)?;
    let mapping = DmaMapping {
        iova: map.address,
        size: map.size,
        readable: map.readable,
        writable: map.writable,
        file: file.map(|file| (file, map.offset)),
    };
    device.dma_map(peer, mapping)?;
    let entry = Entry {
        size: map.size,
        readable: map.readable,
        writable: map.writable,
    };
    peer.mappings().add(map.address, entry);
    Ok(Answer::PLAIN)
}

fn dma_unmap<D: Served>(
    peer: &mut Peer,
    device: &mut D,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Done<'static> {
    let unmap = DmaUnmap::decode(payload).map_err(malformed)?;
    let found = match unmap {
        DmaUnmap {
            dirty_pages: true, ..
        } => return Err(Errno::EOPNOTSUPP),
        DmaUnmap {
            all: true,
            address: 0,
            size: 0,
            ..
        } => peer.mappings().take_all(),
        DmaUnmap { all: true, .. } => return Err(Errno::EINVAL),
        DmaUnmap { address, size, .. } => {
            check_pages(peer, address, size)?;
            peer.mappings().take(address, size)?
        }
    };
    let unmapped = found.iter().map(|(_, size)| size).sum();
    for (iova, size) in found {
        device.dma_unmap(iova, size);
    }
    let size = if unmap.all { unmap.size } else { unmapped };
    DmaUnmap { size, ..unmap }.encode(out);
    Ok(Answer::PLAIN)
}

/// Checks that a range consists of whole pages.
fn check_pages(peer: &Peer, address: u64, size: u64) -> Result<(), Errno> {
    match (address | size).is_multiple_of(peer.page) {
        true => Ok(()),
        false => Err(Errno::EINVAL),
    }
}

fn device_info<D: Served>(device: &D, payload: &[u8], out: &mut Vec<u8>) -> Done<'static> {
    DeviceInfo::decode(payload).map_err(malformed)?;
    let info = DeviceInfo {
        resettable: device.is_resettable(),
        pci: true,
        regions: vfio::VFIO_PCI_NUM_REGIONS,
        irqs: KINDS,
    };
    info.encode(out);
    Ok(Answer::PLAIN)
}

fn region_info<'d, D: Served>(device: &'d D, payload: &[u8], out: &mut Vec<u8>) -> Done<'d> {
    let request = RegionInfoRequest::decode(payload).map_err(malformed)?;
    if request.argsz < RegionInfo::SIZE as u32 || request.index >= vfio::VFIO_PCI_NUM_REGIONS {
        return Err(Errno::EINVAL);
    }
    let region = device.region(request.index).unwrap_or_default();
    let info = RegionInfo {
        argsz: 0,
        index: request.index,
        readable: region.readable,
        writable: region.writable,
        mappable: region.mapping.is_some(),
        size: region.size,
        offset: region.mapping.as_ref().map_or(0, |mapping| mapping.offset),
        areas: region
            .mapping
            .as_ref()
            .map_or_else(Vec::new, |mapping| mapping.areas.clone()),
    };
    info.encode(out, request.argsz);
    // A client that asked for too few bytes asks again, and gets the file then.
    let whole = info.full_size() <= request.argsz as usize;
    let fds = region.mapping.filter(|_| whole).map(|mapping| mapping.file);
    Ok(Answer {
        fds: fds.into_iter().collect(),
        ends: false,
    })
}

fn region_io_fds<'d, D: Served>(device: &'d D, payload: &[u8], out: &mut Vec<u8>) -> Done<'d> {
    let request = IoFdsRequest::decode(payload).map_err(malformed)?;
    if request.index >= vfio::VFIO_PCI_NUM_REGIONS {
        return Err(Errno::EINVAL);
    }
    let (parts, fds) = device.io_fds(request.index);
    let reply = IoFds {
        argsz: 0,
        index: request.index,
        parts,
    };
    reply.encode(out, request.argsz);
    let whole = reply.full_size() <= request.argsz as usize;
    let fds = if whole { fds } else { Vec::new() };
    Ok(Answer { fds, ends: false })
}

fn get_irq_info<D: Served>(device: &D, payload: &[u8], out: &mut Vec<u8>) -> Done<'static> {
    let request = IrqInfo::decode(payload).map_err(malformed)?;
    if request.index >= KINDS {
        return Err(Errno::EINVAL);
    }
    irq_info(request.index, device.lines().count(request.index)).encode(out);
    Ok(Answer::PLAIN)
}

/// Describes a kind of interrupt of a PCI function.
fn irq_info(index: u32, count: u32) -> IrqInfo {
    let intx = match index {
        vfio::VFIO_PCI_INTX_IRQ_INDEX => vfio::VFIO_IRQ_INFO_MASKABLE,
        _ => 0,
    };
    IrqInfo {
        flags: vfio::VFIO_IRQ_INFO_EVENTFD | intx,
        index,
        count,
    }
}

fn set_irqs<D: Served>(device: &mut D, payload: &[u8], fds: Vec<OwnedFd>) -> Done<'static> {
    let request = SetIrqs::decode(payload).map_err(malformed)?;
    let lines = device.lines().clone();
    let kind = request.index;
    let all = lines.count(kind);
    let end = request
        .start
        .checked_add(request.count)
        .filter(|end| *end <= all);
    let range = request.start..end.filter(|_| kind < KINDS).ok_or(Errno::EINVAL)?;
    let bools = match request.data {
        IrqData::Bool(bools) => Some(bools),
        _ => None,
    };
    let chosen =
        |line: usize| bools.is_none_or(|bools| bools.get(line).is_some_and(|chosen| *chosen != 0));
    match (request.action, request.data) {
        (IrqAction::Trigger, IrqData::None) if (request.start, request.count) == (0, 0) => {
            lines.release(kind, 0..all)?;
            device.lines_changed(kind, 0..all);
        }
        // None of them is an action on all from the first on, and nothing else.
        _ if request.count == 0 => return Err(Errno::EINVAL),
        (IrqAction::Trigger, IrqData::Eventfd) => {
            match fds.len() {
                0 => lines.release(kind, range.clone())?,
                n if n == range.len() => lines.assign(kind, range.start, fds)?,
                _ => return Err(Errno::EINVAL),
            }
            device.lines_changed(kind, range);
        }
        (IrqAction::Trigger, _) => lines.fire_some(kind, range, chosen)?,
        (_, IrqData::Eventfd) => return Err(Errno::EOPNOTSUPP),
        (action, _) => lines.mask_some(kind, range, action == IrqAction::Mask, chosen)?,
    }
    Ok(Answer::PLAIN)
}

fn region_read<D: Served>(
    peer: &mut Peer,
    device: &mut D,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Done<'static> {
    let access = RegionAccess::decode(payload).map_err(malformed)?;
    check(device, &access, |region| region.readable)?;
    access.encode(out);
    let at = out.len();
    out.resize(at + access.count as usize, 0);
    device.read(peer, access.region, access.offset, &mut out[at..])?;
    Ok(Answer::PLAIN)
}

fn region_write<D: Served>(
    peer: &mut Peer,
    device: &mut D,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Done<'static> {
    let (access, data) = RegionAccess::decode_data(payload).map_err(malformed)?;
    write(peer, device, &access, data)?;
    access.encode(out);
    Ok(Answer::PLAIN)
}

/// Does the writes in order, up to the first that is refused; says how many were done.
fn region_write_multi<D: Served>(
    peer: &mut Peer,
    device: &mut D,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Done<'static> {
    let writes = multi_writes(payload).map_err(malformed)?;
    let mut done = 0;
    for one in writes {
        match write(peer, device, &one.access, one.data) {
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => break,
            Ok(()) => done += 1,
        }
    }
    multi_writes_reply(out, done);
    Ok(Answer::PLAIN)
}

fn write<D: Served>(
    peer: &mut Peer,
    device: &mut D,
    access: &RegionAccess,
    data: &[u8],
) -> Result<(), Errno> {
    check(device, access, |region| region.writable)?;
    device.write(peer, access.region, access.offset, data)
}

/// Checks that an access lies in its region, is not empty nor too long, and is allowed.
fn check<D: Served>(
    device: &D,
    access: &RegionAccess,
    allowed: impl FnOnce(&RegionDescription<'_>) -> bool,
) -> Result<(), Errno> {
    let region = device.region(access.region).ok_or(Errno::EINVAL)?;
    let end = access.offset.checked_add(access.count.into());
    let inside = end.is_some_and(|end| end <= region.size);
    if !inside || !(1..=MAX_DATA as u32).contains(&access.count) {
        return Err(Errno::EINVAL);
    }
    if !allowed(&region) {
        return Err(Errno::EPERM);
    }
    Ok(())
}

fn malformed(_: CodecError) -> Errno {
    Errno::EINVAL
}
