//! How a mempool's pool is made: its memory and its backend.

use std::error::Error;
use std::ffi::c_int;
use std::sync::Arc;

use hwpool::device::{Device, DeviceError};
use hwpool::devices::bus::{BusError, DmaError};
use hwpool::devices::family::SetupError;
use hwpool::dma::{MapError, Memory, MemoryError, PageSize};
use hwpool::pool::{CreateError, MIN_ALIGN, Pool, PoolBuilder, RawPool};
use libc::{EINVAL, ENODEV, ENOMEM, ENOTCONN};

use crate::config::{self, Choice};
use crate::devices::Share;
use crate::log::{self, Level, causes, chain};

/// What a mempool is made for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) name: String,
    pub(crate) objects: u32,
    /// Bytes from one object to the next: header, element and trailer.
    pub(crate) stride: usize,
    /// Bytes of the header, which lies before what DPDK calls the object.
    pub(crate) header: usize,
    /// The socket as DPDK counts them, and the node that it is, if it is one.
    pub(crate) socket: c_int,
    pub(crate) node: Option<u32>,
    /// Bytes of the pages of which DPDK has no object on two; 0 where it does not matter.
    pub(crate) page: usize,
    /// Devices see virtual addresses in this application; else physical ones.
    pub(crate) iova_is_address: bool,
    /// Why a device can't have objects in DPDK's memory, if it can't.
    pub(crate) beside: Option<String>,
    pub(crate) choice: Choice,
}

/// Why there is no mempool.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotMade {
    /// What DPDK is told.
    pub(crate) errno: c_int,
    /// What the log is told.
    pub(crate) text: String,
}

/// Why a device has no pool.
enum Refusal {
    /// It has no room for this one, and another device may have.
    NoRoom(String),
    Other(NotMade),
}

impl Request {
    /// Bytes from one object of a device to the next, in chunks of DPDK's.
    pub(crate) fn spacing(&self) -> usize {
        self.stride.next_multiple_of(MIN_ALIGN)
    }
}

/// Devices of which one shall have the objects of a mempool, opened as they are asked.
pub(crate) struct Devices {
    addresses: Vec<String>,
    /// Those that were asked, in this order. A share is dropped after its device.
    open: Vec<(Device, Share)>,
}

impl Devices {
    /// Opens the first.
    pub(crate) fn new(addresses: &[String]) -> Result<Devices, NotMade> {
        let mut devices = Devices {
            addresses: addresses.to_vec(),
            open: Vec::new(),
        };
        devices.get(0)?;
        Ok(devices)
    }

    /// Returns a device, if there are as many, which is opened if it is not; or has a share in one that is open.
    fn get(&mut self, at: usize) -> Result<Option<&Device>, NotMade> {
        if let Some(address) = self.addresses.get(at)
            && at == self.open.len()
        {
            let (share, device) = Share::of(address).map_err(|error| NotMade::no_device(&error))?;
            self.open.push((device, share));
        }
        Ok(self.open.get(at).map(|(device, _)| device))
    }

    /// Makes an empty pool on the first device that has room for it, in memory that is there or that is allocated for it.
    pub(crate) fn pool(
        &mut self,
        request: &Request,
        memory: Option<&Arc<Memory>>,
    ) -> Result<RawPool, NotMade> {
        let mut full = Vec::new();
        while let Some(device) = self.get(full.len())? {
            match on_device(request, device, memory) {
                Ok(pool) => {
                    for warning in pool.memory().warnings() {
                        log::line(Level::Notice, &request.name, warning);
                    }
                    return Ok(pool);
                }
                Err(Refusal::NoRoom(why)) => full.push((device.clone(), why)),
                Err(Refusal::Other(error)) => return Err(error),
            }
        }
        Err(NotMade::no_room(&full))
    }
}

fn on_device(
    request: &Request,
    device: &Device,
    memory: Option<&Arc<Memory>>,
) -> Result<RawPool, Refusal> {
    let backend = backend(device)?;
    let pool = |pool: PoolBuilder| pool.backend(backend).device(device);
    if !request.iova_is_address {
        return build(request, memory, pool);
    }
    // As the application has it, if the IOMMU can; nothing here needs it, since the list is kept by number.
    let as_address = |builder| pool(builder).iova_is_address(true);
    build(request, memory, as_address).or_else(|refusal| {
        let made = build(request, memory, pool)?;
        let text = format!(
            "the device knows the objects by other addresses than the application: {}",
            refusal.text()
        );
        log::line(Level::Notice, &request.name, &text);
        Ok(made)
    })
}

/// Returns the name of the backend whose objects travel the device's best way.
fn backend(device: &Device) -> Result<&'static str, NotMade> {
    let best = device.limits().ways.first();
    let way = best.and_then(|best| device.about().ways.iter().find(|way| way.name == *best));
    way.map(|way| way.backend).ok_or_else(|| NotMade {
        errno: ENODEV,
        text: format!("{}: the device moves no objects", device.name()),
    })
}

fn build(
    request: &Request,
    memory: Option<&Arc<Memory>>,
    with: impl FnOnce(PoolBuilder) -> PoolBuilder,
) -> Result<RawPool, Refusal> {
    let pool = Pool::builder(&request.name)
        .node(request.node)
        .checked(config::is_on(config::CHECKED));
    let pool = match request.iova_is_address {
        true => pool.size(request.stride).objects(request.objects),
        // Devices without an IOMMU are given physical addresses, which only hugepages keep.
        false => {
            let on_pages = OnPages::of(request)?;
            pool.size(on_pages.stride)
                .objects(on_pages.objects)
                .capacity(request.objects)
                .pages(hwpool::dma::Pages::Exactly(PageSize::Huge2M))
        }
    };
    let made = match memory {
        Some(memory) => with(pool).build_raw_in(memory),
        None => with(pool).build_raw(),
    };
    made.map_err(|error| Refusal::of(request, &error))
}

/// Objects of which as many as are wanted lie on one page each.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OnPages {
    /// Bytes from one object to the next.
    pub(crate) stride: usize,
    /// With those that are left out, as they lie on two pages.
    pub(crate) objects: u32,
}

impl OnPages {
    /// # Errors
    /// Where an object is larger than a page.
    pub(crate) fn of(request: &Request) -> Result<OnPages, NotMade> {
        let (page, stride) = (
            PageSize::Huge2M.bytes(),
            request.stride.next_multiple_of(64),
        );
        if stride > page {
            return Err(NotMade {
                errno: EINVAL,
                text: format!(
                    "objects of {stride} bytes with their headers are larger than a page of {page}, and physical addresses (--iova-mode=pa) don't go on from page to page: use smaller objects, or run with --iova-mode=va"
                ),
            });
        }
        // Were they side by side, next to none would lie on one page.
        if stride > page / 2 {
            return Ok(OnPages {
                stride: page,
                objects: request.objects,
            });
        }
        let wanted = u64::from(request.objects);
        let mut objects = wanted;
        loop {
            // Those that replace objects on two pages may lie on two pages again.
            match wanted - Self::whole(objects, stride as u64, page as u64) {
                0 => break,
                missing => objects += missing,
            }
        }
        Ok(OnPages {
            stride,
            objects: u32::try_from(objects).unwrap_or(u32::MAX),
        })
    }

    /// Returns how many objects, side by side from the start of a page on, lie on one page each.
    fn whole(objects: u64, stride: u64, page: u64) -> u64 {
        let ends = (objects * stride).saturating_sub(1) / page;
        // Page and object end together at each multiple of both.
        let both = stride >> stride.trailing_zeros().min(page.trailing_zeros());
        objects - (ends - ends / both)
    }
}

impl Refusal {
    fn of(request: &Request, error: &CreateError) -> Refusal {
        match causes(error).find_map(|cause| cause.downcast_ref::<SetupError>()) {
            Some(why) if why.is_want_of_room() => Refusal::NoRoom(chain(error)),
            _ => Refusal::Other(NotMade::no_pool(request, error)),
        }
    }

    fn text(&self) -> &str {
        match self {
            Refusal::NoRoom(text) | Refusal::Other(NotMade { text, .. }) => text,
        }
    }
}

impl From<NotMade> for Refusal {
    fn from(error: NotMade) -> Refusal {
        Refusal::Other(error)
    }
}

impl NotMade {
    /// Tells what each device lacks, and what helps.
    fn no_room(full: &[(Device, String)]) -> NotMade {
        let each = |(device, why): &(Device, String)| format!("{}: {why}", device.name());
        let full: Vec<String> = full.iter().map(each).collect();
        NotMade {
            errno: EINVAL,
            text: format!(
                "{}; a mempool takes a list of its own: {} may name more devices, with blanks between",
                full.join("; "),
                config::BACKEND
            ),
        }
    }

    fn no_device(error: &DeviceError) -> NotMade {
        NotMade {
            errno: if error.is_usage() { EINVAL } else { ENODEV },
            text: chain(error),
        }
    }

    fn no_pool(request: &Request, error: &CreateError) -> NotMade {
        let hint = match error {
            CreateError::Memory { .. } if !request.iova_is_address => {
                ": where devices see physical addresses (--iova-mode=pa) memory must be hugepages, besides those of DPDK itself; or run with --iova-mode=va"
            }
            _ => "",
        };
        NotMade {
            errno: errno(error),
            text: chain(error) + hint,
        }
    }
}

/// Returns what DPDK is told of a pool that can't be made: there is no memory, or the device can't have it mapped; the
/// device is gone; or something was asked for that can't be.
fn errno(error: &CreateError) -> c_int {
    let is_gone = |cause: &(dyn Error + 'static)| {
        let access = matches!(
            cause.downcast_ref(),
            Some(SetupError::Bus(BusError::Gone { .. }))
        );
        let mapping = matches!(
            cause.downcast_ref(),
            Some(DmaError::Os {
                errno: ENOTCONN,
                ..
            })
        );
        access || mapping
    };
    if causes(error).any(is_gone) {
        ENODEV
    } else if causes(error).any(|cause| cause.is::<MemoryError>() || cause.is::<MapError>()) {
        ENOMEM
    } else {
        EINVAL
    }
}
