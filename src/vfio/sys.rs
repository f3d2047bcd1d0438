//! The calls of VFIO and iommufd (linux/vfio.h, linux/iommufd.h), each behind a safe function.
//!
//! Structures come from `vfio-bindings` and `iommufd-bindings`. Tests pin every number and every size to literals.

use std::ffi::CStr;
use std::fs::File;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use hwpool_devices::bus::DmaSource;
use iommufd_bindings::{
    IOMMUFD_CMD_DESTROY, IOMMUFD_CMD_IOAS_ALLOC, IOMMUFD_CMD_IOAS_IOVA_RANGES,
    IOMMUFD_CMD_IOAS_MAP, IOMMUFD_CMD_IOAS_MAP_FILE, IOMMUFD_CMD_IOAS_UNMAP, IOMMUFD_TYPE,
    iommu_destroy, iommu_ioas_alloc, iommu_ioas_iova_ranges, iommu_ioas_map, iommu_ioas_map_file,
    iommu_ioas_unmap, iommu_iova_range, iommufd_ioas_map_flags_IOMMU_IOAS_MAP_FIXED_IOVA,
    iommufd_ioas_map_flags_IOMMU_IOAS_MAP_READABLE,
    iommufd_ioas_map_flags_IOMMU_IOAS_MAP_WRITEABLE,
};
use memmap2::MmapRaw;
use nix::Result;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::ioctl::ioctl_num_type;
use nix::unistd::dup3_raw;
use vfio_bindings::bindings::vfio as abi;

use crate::machine::Watch;

const GET_API_VERSION: ioctl_num_type = vfio(0);
const CHECK_EXTENSION: ioctl_num_type = vfio(1);
const SET_IOMMU: ioctl_num_type = vfio(2);
const GROUP_GET_STATUS: ioctl_num_type = vfio(3);
const GROUP_SET_CONTAINER: ioctl_num_type = vfio(4);
const GROUP_GET_DEVICE_FD: ioctl_num_type = vfio(6);
const DEVICE_GET_INFO: ioctl_num_type = vfio(7);
const DEVICE_GET_REGION_INFO: ioctl_num_type = vfio(8);
const DEVICE_GET_IRQ_INFO: ioctl_num_type = vfio(9);
const DEVICE_SET_IRQS: ioctl_num_type = vfio(10);
const DEVICE_RESET: ioctl_num_type = vfio(11);
const IOMMU_GET_INFO: ioctl_num_type = vfio(12);
const IOMMU_MAP_DMA: ioctl_num_type = vfio(13);
const IOMMU_UNMAP_DMA: ioctl_num_type = vfio(14);
const DEVICE_GET_PCI_HOT_RESET_INFO: ioctl_num_type = vfio(12);
const DEVICE_PCI_HOT_RESET: ioctl_num_type = vfio(13);
const DEVICE_BIND_IOMMUFD: ioctl_num_type = vfio(18);
const DEVICE_ATTACH_PT: ioctl_num_type = vfio(19);
const DEVICE_DETACH_PT: ioctl_num_type = vfio(20);

const DESTROY: ioctl_num_type = iommufd(IOMMUFD_CMD_DESTROY);
const IOAS_ALLOC: ioctl_num_type = iommufd(IOMMUFD_CMD_IOAS_ALLOC);
const IOAS_IOVA_RANGES: ioctl_num_type = iommufd(IOMMUFD_CMD_IOAS_IOVA_RANGES);
const IOAS_MAP: ioctl_num_type = iommufd(IOMMUFD_CMD_IOAS_MAP);
const IOAS_MAP_FILE: ioctl_num_type = iommufd(IOMMUFD_CMD_IOAS_MAP_FILE);
const IOAS_UNMAP: ioctl_num_type = iommufd(IOMMUFD_CMD_IOAS_UNMAP);

/// Most bytes of an answer with capabilities that are believed; real ones have a few hundred.
const LONGEST_ANSWER: usize = 64 << 10;
/// Most IOVA ranges that are believed; real IOMMUs have two to five.
const MOST_RANGES: u32 = 4096;

const fn vfio(number: u32) -> ioctl_num_type {
    nix::request_code_none!(abi::VFIO_TYPE, abi::VFIO_BASE + number)
}

const fn iommufd(number: u32) -> ioctl_num_type {
    nix::request_code_none!(IOMMUFD_TYPE, number)
}

/// A mapping is at an address of ours, and the device may write and read.
const IOAS_MAP_FLAGS: u32 = iommufd_ioas_map_flags_IOMMU_IOAS_MAP_FIXED_IOVA
    | iommufd_ioas_map_flags_IOMMU_IOAS_MAP_WRITEABLE
    | iommufd_ioas_map_flags_IOMMU_IOAS_MAP_READABLE;

mod raw {
    use super::{
        abi, iommu_destroy, iommu_ioas_alloc, iommu_ioas_iova_ranges, iommu_ioas_map,
        iommu_ioas_map_file, iommu_ioas_unmap,
    };

    nix::ioctl_none_bad!(api_version, super::GET_API_VERSION);
    nix::ioctl_write_int_bad!(check_extension, super::CHECK_EXTENSION);
    nix::ioctl_write_int_bad!(set_iommu, super::SET_IOMMU);
    nix::ioctl_readwrite_bad!(
        group_status,
        super::GROUP_GET_STATUS,
        abi::vfio_group_status
    );
    nix::ioctl_write_ptr_bad!(set_container, super::GROUP_SET_CONTAINER, i32);
    nix::ioctl_write_ptr_bad!(device_fd, super::GROUP_GET_DEVICE_FD, std::ffi::c_char);
    nix::ioctl_readwrite_bad!(device_info, super::DEVICE_GET_INFO, abi::vfio_device_info);
    nix::ioctl_readwrite_bad!(
        region_info,
        super::DEVICE_GET_REGION_INFO,
        abi::vfio_region_info
    );
    nix::ioctl_readwrite_bad!(irq_info, super::DEVICE_GET_IRQ_INFO, abi::vfio_irq_info);
    nix::ioctl_write_ptr_bad!(set_irqs, super::DEVICE_SET_IRQS, u32);
    nix::ioctl_none_bad!(reset, super::DEVICE_RESET);
    nix::ioctl_readwrite_bad!(
        hot_reset_info,
        super::DEVICE_GET_PCI_HOT_RESET_INFO,
        super::HotResetInfo
    );
    nix::ioctl_write_ptr_bad!(hot_reset, super::DEVICE_PCI_HOT_RESET, u32);
    nix::ioctl_readwrite_bad!(
        iommu_info,
        super::IOMMU_GET_INFO,
        abi::vfio_iommu_type1_info
    );
    nix::ioctl_write_ptr_bad!(map_dma, super::IOMMU_MAP_DMA, abi::vfio_iommu_type1_dma_map);
    nix::ioctl_readwrite_bad!(
        unmap_dma,
        super::IOMMU_UNMAP_DMA,
        abi::vfio_iommu_type1_dma_unmap
    );
    nix::ioctl_readwrite_bad!(
        bind_iommufd,
        super::DEVICE_BIND_IOMMUFD,
        abi::vfio_device_bind_iommufd
    );
    nix::ioctl_readwrite_bad!(
        attach_pt,
        super::DEVICE_ATTACH_PT,
        abi::vfio_device_attach_iommufd_pt
    );
    nix::ioctl_write_ptr_bad!(
        detach_pt,
        super::DEVICE_DETACH_PT,
        abi::vfio_device_detach_iommufd_pt
    );
    nix::ioctl_write_ptr_bad!(destroy, super::DESTROY, iommu_destroy);
    nix::ioctl_readwrite_bad!(ioas_alloc, super::IOAS_ALLOC, iommu_ioas_alloc);
    nix::ioctl_readwrite_bad!(
        ioas_iova_ranges,
        super::IOAS_IOVA_RANGES,
        iommu_ioas_iova_ranges
    );
    nix::ioctl_readwrite_bad!(ioas_map, super::IOAS_MAP, iommu_ioas_map);
    nix::ioctl_readwrite_bad!(ioas_map_file, super::IOAS_MAP_FILE, iommu_ioas_map_file);
    nix::ioctl_readwrite_bad!(ioas_unmap, super::IOAS_UNMAP, iommu_ioas_unmap);
}

/// Returns the size of a structure as its `argsz` or `size` field wants it.
const fn argsz<T>() -> u32 {
    size_of::<T>() as u32
}

// ---- container and group ----------------------------------------------------------------------------------------

pub(super) fn api_version(container: BorrowedFd<'_>) -> Result<i32> {
    // SAFETY: takes no argument.
    unsafe { raw::api_version(container.as_raw_fd()) }
}

pub(super) fn has_extension(container: BorrowedFd<'_>, extension: u32) -> Result<bool> {
    // SAFETY: the argument is a number.
    unsafe { raw::check_extension(container.as_raw_fd(), extension as i32) }.map(|found| found > 0)
}

pub(super) fn set_iommu(container: BorrowedFd<'_>, kind: u32) -> Result<()> {
    // SAFETY: the argument is a number.
    unsafe { raw::set_iommu(container.as_raw_fd(), kind as i32) }.map(drop)
}

/// Returns the flags of a group.
pub(super) fn group_status(group: BorrowedFd<'_>) -> Result<u32> {
    let mut status = abi::vfio_group_status {
        argsz: argsz::<abi::vfio_group_status>(),
        flags: 0,
    };
    // SAFETY: the kernel writes at most argsz bytes, and the structure has that many.
    unsafe { raw::group_status(group.as_raw_fd(), &mut status) }?;
    Ok(status.flags)
}

pub(super) fn set_container(group: BorrowedFd<'_>, container: BorrowedFd<'_>) -> Result<()> {
    let fd = container.as_raw_fd();
    // SAFETY: the kernel reads one int.
    unsafe { raw::set_container(group.as_raw_fd(), &fd) }.map(drop)
}

pub(super) fn device_fd(group: BorrowedFd<'_>, name: &CStr, _: &Watch) -> Result<OwnedFd> {
    // SAFETY: the kernel reads a string up to its NUL.
    let fd = unsafe { raw::device_fd(group.as_raw_fd(), name.as_ptr()) }?;
    // SAFETY: the kernel made this descriptor for the caller; nobody else has its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

// ---- device -----------------------------------------------------------------------------------------------------

pub(super) fn device_info(device: BorrowedFd<'_>) -> Result<abi::vfio_device_info> {
    let mut info = abi::vfio_device_info {
        argsz: argsz::<abi::vfio_device_info>(),
        ..Default::default()
    };
    // SAFETY: the kernel writes at most argsz bytes, and the structure has that many.
    unsafe { raw::device_info(device.as_raw_fd(), &mut info) }?;
    Ok(info)
}

/// Returns what the kernel tells about a region: the fixed part, and all bytes, capabilities included.
pub(super) fn region_info(
    device: BorrowedFd<'_>,
    index: u32,
) -> Result<(abi::vfio_region_info, Vec<u8>)> {
    let question = |argsz| abi::vfio_region_info {
        argsz,
        index,
        ..Default::default()
    };
    // SAFETY: region_info writes at most argsz bytes behind its pointer.
    unsafe { ask(device, question, raw::region_info) }
}

pub(super) fn irq_info(device: BorrowedFd<'_>, index: u32) -> Result<abi::vfio_irq_info> {
    let mut info = abi::vfio_irq_info {
        argsz: argsz::<abi::vfio_irq_info>(),
        index,
        ..Default::default()
    };
    // SAFETY: the kernel writes at most argsz bytes, and the structure has that many.
    unsafe { raw::irq_info(device.as_raw_fd(), &mut info) }?;
    Ok(info)
}

/// Connects the vectors from `start` on to eventfds; -1 leaves a vector without one. An empty list at `start` 0
/// disables the whole index.
///
/// A positive answer is the number of vectors that could be had, fewer than asked for; nothing was changed then.
pub(super) fn set_irqs(
    device: BorrowedFd<'_>,
    index: u32,
    start: u32,
    fds: &[RawFd],
) -> Result<i32> {
    let set = irq_set(index, start, fds);
    // SAFETY: the kernel reads argsz bytes, the length of `set`, and writes none.
    unsafe { raw::set_irqs(device.as_raw_fd(), set.as_ptr()) }
}

/// Lays out `struct vfio_irq_set` with its descriptors.
fn irq_set(index: u32, start: u32, fds: &[RawFd]) -> Vec<u32> {
    let data = match fds {
        [] => abi::VFIO_IRQ_SET_DATA_NONE,
        _ => abi::VFIO_IRQ_SET_DATA_EVENTFD,
    };
    let words = size_of::<abi::vfio_irq_set>() / 4 + fds.len();
    let mut set = vec![
        4 * words as u32,
        data | abi::VFIO_IRQ_SET_ACTION_TRIGGER,
        index,
        start,
        fds.len() as u32,
    ];
    set.extend(fds.iter().map(|fd| *fd as u32));
    set
}

pub(super) fn reset(device: BorrowedFd<'_>, _: &Watch) -> Result<()> {
    // SAFETY: takes no argument.
    unsafe { raw::reset(device.as_raw_fd()) }.map(drop)
}

/// Unmasks INTx, which the kernel masks each time that it fires.
pub(super) fn unmask_intx(device: BorrowedFd<'_>) -> Result<()> {
    let action = abi::VFIO_IRQ_SET_DATA_NONE | abi::VFIO_IRQ_SET_ACTION_UNMASK;
    let set = [20, action, abi::VFIO_PCI_INTX_IRQ_INDEX, 0, 1];
    // SAFETY: the kernel reads argsz bytes, the length of `set`, and writes none.
    unsafe { raw::set_irqs(device.as_raw_fd(), set.as_ptr()) }.map(drop)
}

/// A function that a hot reset resets (`struct vfio_pci_dependent_device`).
#[repr(C)]
#[derive(Debug, Copy, Clone, Default)]
pub(super) struct Dependent {
    /// Number of its group, or of the device in an iommufd context: the flags of the answer tell.
    pub(super) id: u32,
    pub(super) segment: u16,
    pub(super) bus: u8,
    pub(super) devfn: u8,
}

/// Functions that a bus can have.
const MOST_FUNCTIONS: usize = 256;

/// `struct vfio_pci_hot_reset_info` with room for a whole bus.
#[repr(C)]
struct HotResetInfo {
    argsz: u32,
    flags: u32,
    count: u32,
    devices: [Dependent; MOST_FUNCTIONS],
}

/// Returns the flags of the answer and the functions that a hot reset resets.
pub(super) fn hot_reset_info(device: BorrowedFd<'_>) -> Result<(u32, Vec<Dependent>)> {
    let mut info = HotResetInfo {
        argsz: argsz::<HotResetInfo>(),
        flags: 0,
        count: 0,
        devices: [Dependent::default(); MOST_FUNCTIONS],
    };
    // SAFETY: the kernel writes at most argsz bytes, and the structure has that many.
    unsafe { raw::hot_reset_info(device.as_raw_fd(), &mut info) }?;
    let count = (info.count as usize).min(MOST_FUNCTIONS);
    Ok((info.flags, info.devices[..count].to_vec()))
}

/// Resets the slot or bus; `groups` prove that this process owns all of it, and are none where iommufd does.
pub(super) fn hot_reset(device: BorrowedFd<'_>, groups: &[RawFd], _: &Watch) -> Result<()> {
    let words = 3 + groups.len();
    let mut reset = vec![4 * words as u32, 0, groups.len() as u32];
    reset.extend(groups.iter().map(|fd| *fd as u32));
    // SAFETY: the kernel reads argsz bytes, the length of `reset`, and writes none.
    unsafe { raw::hot_reset(device.as_raw_fd(), reset.as_ptr()) }.map(drop)
}

/// Duplicates a descriptor that was handed over by its number.
pub(super) fn duplicate(fd: RawFd) -> Result<OwnedFd> {
    // SAFETY: the number is looked up by one call, in which a descriptor that is not open gives EBADF.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed
        .try_clone_to_owned()
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

/// Puts the null device in the place of a descriptor that was handed over, whose file this process has by another
/// number, close-on-exec as well.
pub(super) fn leave_null(fd: RawFd) -> Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null");
    let null = null.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    // SAFETY: the number changes its file in one step, so nobody ever finds it closed or another's. That it is the
    // caller's to change is what `fd=` says, and it led to a file of VFIO, which `Node::share` has looked at: no memory
    // of Rust's hangs on that, for mappings keep their file by themselves.
    let left = unsafe { dup3_raw(null, fd, OFlag::O_CLOEXEC) }?;
    // Still the caller's.
    let _ = left.into_raw_fd();
    Ok(())
}

// ---- DMA by container -------------------------------------------------------------------------------------------

/// Returns what the kernel tells about the container's IOMMU: the fixed part, and all bytes.
pub(super) fn iommu_info(
    container: BorrowedFd<'_>,
) -> Result<(abi::vfio_iommu_type1_info, Vec<u8>)> {
    let question = |argsz| abi::vfio_iommu_type1_info {
        argsz,
        ..Default::default()
    };
    // SAFETY: iommu_info writes at most argsz bytes behind its pointer.
    unsafe { ask(container, question, raw::iommu_info) }
}

/// A part of a shared mapping of this process that a device shall reach.
///
/// Borrowing the [`MmapRaw`] is what makes the calls below safe: its pages are a file's, no reference of Rust's ever
/// points to them, and the kernel pins them for as long as the device's mapping lives.
#[derive(Copy, Clone)]
pub(super) struct Pages<'a> {
    map: &'a MmapRaw,
    skip: usize,
    len: usize,
}

impl<'a> Pages<'a> {
    /// Takes `len` bytes from `skip` on, or `None` where they are not all inside.
    pub(super) fn of(map: &'a MmapRaw, skip: usize, len: usize) -> Option<Pages<'a>> {
        (skip.checked_add(len)? <= map.len()).then_some(Pages { map, skip, len })
    }

    pub(super) fn address(&self) -> u64 {
        self.map.as_mut_ptr() as u64 + self.skip as u64
    }
}

pub(super) fn map_dma(container: BorrowedFd<'_>, iova: u64, pages: Pages<'_>) -> Result<()> {
    let map = abi::vfio_iommu_type1_dma_map {
        argsz: argsz::<abi::vfio_iommu_type1_dma_map>(),
        flags: abi::VFIO_DMA_MAP_FLAG_READ | abi::VFIO_DMA_MAP_FLAG_WRITE,
        vaddr: pages.address(),
        iova,
        size: pages.len as u64,
    };
    // SAFETY: the kernel reads the structure; that the device writes to the pages is sound by the type `Pages`.
    unsafe { raw::map_dma(container.as_raw_fd(), &map) }.map(drop)
}

/// Returns how many bytes were unmapped.
pub(super) fn unmap_dma(container: BorrowedFd<'_>, iova: u64, len: u64) -> Result<u64> {
    let mut unmap = abi::vfio_iommu_type1_dma_unmap {
        argsz: argsz::<abi::vfio_iommu_type1_dma_unmap>(),
        iova,
        size: len,
        ..Default::default()
    };
    // SAFETY: without the flag for a dirty bitmap the kernel reads and writes the fixed part alone.
    unsafe { raw::unmap_dma(container.as_raw_fd(), &mut unmap) }?;
    Ok(unmap.size)
}

// ---- iommufd ----------------------------------------------------------------------------------------------------

/// Binds a function to an iommufd context; `token` is the secret of its physical function.
pub(super) fn bind_iommufd(
    device: BorrowedFd<'_>,
    iommufd: BorrowedFd<'_>,
    token: Option<&[u8; 16]>,
    _: &Watch,
) -> Result<()> {
    let mut bind = abi::vfio_device_bind_iommufd {
        argsz: argsz::<abi::vfio_device_bind_iommufd>(),
        iommufd: iommufd.as_raw_fd(),
        ..Default::default()
    };
    match token {
        Some(bytes) => {
            bind.flags = abi::VFIO_DEVICE_BIND_FLAG_TOKEN;
            bind.token_uuid_ptr = bytes.as_ptr() as u64;
        }
        // Kernels older than the flag refuse the longer structure.
        None => bind.argsz -= size_of::<u64>() as u32,
    }
    // SAFETY: the kernel reads and writes at most argsz bytes, and reads 16 bytes behind the pointer where the flag
    // says that there is one.
    unsafe { raw::bind_iommufd(device.as_raw_fd(), &mut bind) }.map(drop)
}

pub(super) fn attach(device: BorrowedFd<'_>, ioas: u32) -> Result<()> {
    let mut attach = abi::vfio_device_attach_iommufd_pt {
        argsz: argsz::<abi::vfio_device_attach_iommufd_pt>(),
        pt_id: ioas,
        ..Default::default()
    };
    // SAFETY: the kernel reads and writes at most argsz bytes, and the structure has that many.
    unsafe { raw::attach_pt(device.as_raw_fd(), &mut attach) }.map(drop)
}

pub(super) fn detach(device: BorrowedFd<'_>) -> Result<()> {
    let detach = abi::vfio_device_detach_iommufd_pt {
        argsz: argsz::<abi::vfio_device_detach_iommufd_pt>(),
        ..Default::default()
    };
    // SAFETY: the kernel reads argsz bytes, and the structure has that many; it writes none.
    unsafe { raw::detach_pt(device.as_raw_fd(), &detach) }.map(drop)
}

/// Destroys an object of an iommufd context; an address space with all its mappings.
pub(super) fn destroy(iommufd: BorrowedFd<'_>, id: u32) -> Result<()> {
    let size = argsz::<iommu_destroy>();
    // SAFETY: the kernel reads `size` bytes, and the structure has that many; it writes none.
    unsafe { raw::destroy(iommufd.as_raw_fd(), &iommu_destroy { size, id }) }.map(drop)
}

/// Makes an I/O address space and returns its number.
pub(super) fn ioas_alloc(iommufd: BorrowedFd<'_>) -> Result<u32> {
    let mut alloc = iommu_ioas_alloc {
        size: argsz::<iommu_ioas_alloc>(),
        ..iommu_ioas_alloc::default()
    };
    // SAFETY: the kernel reads and writes at most `size` bytes, and the structure has that many.
    unsafe { raw::ioas_alloc(iommufd.as_raw_fd(), &mut alloc) }?;
    Ok(alloc.out_ioas_id)
}

/// Returns the ranges that an address space translates, and the alignment it wants.
pub(super) fn ioas_ranges(
    iommufd: BorrowedFd<'_>,
    ioas: u32,
) -> Result<(Vec<iommu_iova_range>, u64)> {
    let mut ranges = vec![iommu_iova_range::default(); 16];
    for _ in 0..4 {
        let mut answer = iommu_ioas_iova_ranges {
            size: argsz::<iommu_ioas_iova_ranges>(),
            ioas_id: ioas,
            num_iovas: ranges.len() as u32,
            allowed_iovas: ranges.as_mut_ptr() as u64,
            ..iommu_ioas_iova_ranges::default()
        };
        // SAFETY: the kernel writes at most num_iovas ranges, which `ranges` has room for, and the structure.
        let result = unsafe { raw::ioas_iova_ranges(iommufd.as_raw_fd(), &mut answer) };
        match result {
            Ok(_) => {
                ranges.truncate(answer.num_iovas as usize);
                return Ok((ranges, answer.out_iova_alignment));
            }
            // The kernel tells how many there are.
            Err(Errno::EMSGSIZE) if answer.num_iovas <= MOST_RANGES => {
                ranges.resize(answer.num_iovas as usize, iommu_iova_range::default());
            }
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EMSGSIZE)
}

pub(super) fn ioas_map(
    iommufd: BorrowedFd<'_>,
    ioas: u32,
    iova: u64,
    pages: Pages<'_>,
) -> Result<()> {
    let mut map = iommu_ioas_map {
        size: argsz::<iommu_ioas_map>(),
        flags: IOAS_MAP_FLAGS,
        ioas_id: ioas,
        __reserved: 0,
        user_va: pages.address(),
        length: pages.len as u64,
        iova,
    };
    // SAFETY: the kernel reads and writes the structure; that the device writes to the pages is sound by `Pages`.
    unsafe { raw::ioas_map(iommufd.as_raw_fd(), &mut map) }.map(drop)
}

/// Maps pages of a file that this process need not have mapped: of a memfd or of hugetlbfs, as the kernel asks.
///
/// The file must be one that this process may write to: some kernels don't look, and a device would.
pub(super) fn ioas_map_file(
    iommufd: BorrowedFd<'_>,
    ioas: u32,
    iova: u64,
    source: DmaSource<'_>,
) -> Result<()> {
    let mut map = iommu_ioas_map_file {
        size: argsz::<iommu_ioas_map_file>(),
        flags: IOAS_MAP_FLAGS,
        ioas_id: ioas,
        fd: source.file.as_raw_fd(),
        start: source.offset,
        length: source.len,
        iova,
    };
    // SAFETY: the kernel reads the structure. It pins the file's own pages, to which no reference of Rust's points.
    unsafe { raw::ioas_map_file(iommufd.as_raw_fd(), &mut map) }.map(drop)
}

/// Returns how many bytes were unmapped.
pub(super) fn ioas_unmap(
    iommufd: BorrowedFd<'_>,
    ioas: u32,
    iova: u64,
    length: u64,
) -> Result<u64> {
    let mut unmap = iommu_ioas_unmap {
        size: argsz::<iommu_ioas_unmap>(),
        ioas_id: ioas,
        iova,
        length,
    };
    // SAFETY: the kernel reads and writes at most `size` bytes, and the structure has that many.
    unsafe { raw::ioas_unmap(iommufd.as_raw_fd(), &mut unmap) }?;
    Ok(unmap.length)
}

// ---- answers with capabilities ------------------------------------------------------------------------------------

/// Asks with the structure alone first, then with as much room as the kernel says it needs.
///
/// # Safety
///
/// `T` is a structure of integers that begins with `argsz`, and `call` lets the kernel write at most that many bytes.
unsafe fn ask<T: Copy>(
    fd: BorrowedFd<'_>,
    question: impl Fn(u32) -> T,
    call: unsafe fn(i32, *mut T) -> Result<i32>,
) -> Result<(T, Vec<u8>)> {
    let mut room = size_of::<T>();
    for _ in 0..4 {
        // Words of 8 bytes: aligned for every structure of the kernel's.
        let mut words = vec![0u64; room.div_ceil(8)];
        let len = words.len() * 8;
        let answer = words.as_mut_ptr().cast::<T>();
        // SAFETY: `words` has room for a T, aligned; by the contract the kernel writes at most `len` bytes.
        let fixed = unsafe {
            answer.write(question(len as u32));
            call(fd.as_raw_fd(), answer)?;
            answer.read()
        };
        let wanted = words[0].to_ne_bytes();
        let wanted = u32::from_ne_bytes([wanted[0], wanted[1], wanted[2], wanted[3]]) as usize;
        if wanted <= len {
            return Ok((
                fixed,
                words.iter().flat_map(|word| word.to_ne_bytes()).collect(),
            ));
        }
        if wanted > LONGEST_ANSWER {
            return Err(Errno::E2BIG);
        }
        room = wanted;
    }
    Err(Errno::E2BIG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn numbers_are_those_of_the_kernel() {
        let vfio = [
            (GET_API_VERSION, 0x3b64),
            (CHECK_EXTENSION, 0x3b65),
            (SET_IOMMU, 0x3b66),
            (GROUP_GET_STATUS, 0x3b67),
            (GROUP_SET_CONTAINER, 0x3b68),
            (GROUP_GET_DEVICE_FD, 0x3b6a),
            (DEVICE_GET_INFO, 0x3b6b),
            (DEVICE_GET_REGION_INFO, 0x3b6c),
            (DEVICE_GET_IRQ_INFO, 0x3b6d),
            (DEVICE_SET_IRQS, 0x3b6e),
            (DEVICE_RESET, 0x3b6f),
            (IOMMU_GET_INFO, 0x3b70),
            (IOMMU_MAP_DMA, 0x3b71),
            (IOMMU_UNMAP_DMA, 0x3b72),
            (DEVICE_GET_PCI_HOT_RESET_INFO, 0x3b70),
            (DEVICE_PCI_HOT_RESET, 0x3b71),
            (DEVICE_BIND_IOMMUFD, 0x3b76),
            (DEVICE_ATTACH_PT, 0x3b77),
            (DEVICE_DETACH_PT, 0x3b78),
            (DESTROY, 0x3b80),
            (IOAS_ALLOC, 0x3b81),
            (IOAS_IOVA_RANGES, 0x3b84),
            (IOAS_MAP, 0x3b85),
            (IOAS_UNMAP, 0x3b86),
            (IOAS_MAP_FILE, 0x3b8f),
        ];
        for (ours, kernels) in vfio {
            assert_eq!(ours, kernels, "{ours:#x}");
        }
    }

    #[test]
    fn sizes_are_those_of_the_kernel() {
        assert_eq!(size_of::<abi::vfio_group_status>(), 8);
        assert_eq!(size_of::<abi::vfio_device_info>(), 24);
        assert_eq!(size_of::<abi::vfio_region_info>(), 32);
        assert_eq!(size_of::<abi::vfio_irq_info>(), 16);
        assert_eq!(size_of::<abi::vfio_irq_set>(), 20);
        assert_eq!(size_of::<abi::vfio_iommu_type1_info>(), 24);
        assert_eq!(size_of::<abi::vfio_iommu_type1_dma_map>(), 32);
        assert_eq!(size_of::<abi::vfio_iommu_type1_dma_unmap>(), 24);
        assert_eq!(size_of::<abi::vfio_device_bind_iommufd>(), 24);
        assert_eq!(size_of::<abi::vfio_device_attach_iommufd_pt>(), 16);
        assert_eq!(size_of::<abi::vfio_device_detach_iommufd_pt>(), 12);
        assert_eq!(size_of::<Dependent>(), 8);
        assert_eq!(size_of::<HotResetInfo>(), 12 + 256 * 8);
        assert_eq!(size_of::<iommu_destroy>(), 8);
        assert_eq!(size_of::<iommu_ioas_alloc>(), 12);
        assert_eq!(size_of::<iommu_iova_range>(), 16);
        assert_eq!(size_of::<iommu_ioas_iova_ranges>(), 32);
        assert_eq!(size_of::<iommu_ioas_map>(), 40);
        assert_eq!(size_of::<iommu_ioas_unmap>(), 24);
    }

    #[test]
    fn interrupt_sets_are_laid_out() {
        assert_eq!(irq_set(2, 5, &[7, -1]), [28, 4 | 32, 2, 5, 2, 7, u32::MAX]);
        assert_eq!(irq_set(1, 0, &[]), [20, 1 | 32, 1, 0, 0]);
    }

    #[test]
    fn a_file_that_is_no_device_is_refused_with_its_errno() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let fd = file.as_fd();
        assert_eq!(api_version(fd), Err(Errno::ENOTTY));
        assert_eq!(region_info(fd, 0).err(), Some(Errno::ENOTTY));
        assert_eq!(set_irqs(fd, 2, 0, &[-1]), Err(Errno::ENOTTY));
        assert_eq!(unmap_dma(fd, 0, 4096), Err(Errno::ENOTTY));
        assert_eq!(hot_reset_info(fd).err(), Some(Errno::ENOTTY));
        let watch = Watch::of(
            &crate::machine::Tree::running(),
            "0000:01:00.0".parse().unwrap(),
            "resetting",
        );
        assert_eq!(hot_reset(fd, &[1], &watch), Err(Errno::ENOTTY));
        assert_eq!(reset(fd, &watch), Err(Errno::ENOTTY));
        assert_eq!(unmask_intx(fd), Err(Errno::ENOTTY));
        assert_eq!(duplicate(9999).err(), Some(Errno::EBADF));
        assert_eq!(ioas_ranges(fd, 1).err(), Some(Errno::ENOTTY));
        assert_eq!(detach(fd), Err(Errno::ENOTTY));
        assert_eq!(destroy(fd, 1), Err(Errno::ENOTTY));
    }

    unsafe fn needs_40_bytes(_: i32, answer: *mut abi::vfio_region_info) -> Result<i32> {
        // SAFETY: `ask` passes a structure that is there.
        let info = unsafe { &mut *answer };
        if info.argsz >= 40 {
            // SAFETY: argsz says that there are 40 bytes.
            unsafe { answer.cast::<u64>().add(4).write(0x1122) };
            info.cap_offset = 32;
        }
        info.argsz = 40;
        Ok(0)
    }

    unsafe fn wants_ever_more(_: i32, answer: *mut abi::vfio_region_info) -> Result<i32> {
        // SAFETY: `ask` passes a structure that is there.
        let info = unsafe { &mut *answer };
        info.argsz = info.argsz.saturating_add(8);
        Ok(0)
    }

    #[test]
    fn long_answers_are_asked_for_again_and_endless_ones_given_up() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let question = |argsz| abi::vfio_region_info {
            argsz,
            ..Default::default()
        };
        // SAFETY: the function writes no more than argsz bytes.
        let (info, bytes) = unsafe { ask(file.as_fd(), question, needs_40_bytes) }.unwrap();
        assert_eq!((info.cap_offset, bytes.len(), bytes[32]), (32, 40, 0x22));
        // SAFETY: the function writes no more than argsz bytes.
        let endless = unsafe { ask(file.as_fd(), question, wants_ever_more) };
        assert_eq!(endless.err(), Some(Errno::E2BIG));
    }
}
