//! Devices: opened, asked, closed.

use std::ffi::{CString, c_char, c_int};
use std::sync::Arc;

use hwpool::dma::Pages;

use crate::abi::{self, hwpool_device, hwpool_device_info};
use crate::failure::{self, Failure, guarded};
use crate::handles::{self, Kind};
use crate::status::Status;
use crate::text::required;

/// A device, with the strings that C may look at as long as it is not closed.
pub(crate) struct Device {
    pub(crate) device: hwpool::Device,
    /// The backend of its best way.
    pub(crate) backend: String,
    strings: [CString; 4],
}

impl Kind for Device {
    type Handle = hwpool_device;
    const WHAT: &'static str = "a device";
}

impl Device {
    fn open(address: &str) -> Result<Device, Failure> {
        let device = hwpool::Device::open(address).map_err(|error| {
            let status = match error.is_usage() {
                true => Status::Argument,
                false => Status::Device,
            };
            Failure::of(status, &error).within("the device can't be opened".into())
        })?;
        let (about, limits) = (device.about(), device.limits());
        let best = limits.ways.first();
        let way = about.ways.iter().find(|way| Some(&way.name) == best);
        let backend = way.map_or("", |way| way.backend).to_owned();
        let strings = [device.name(), about.name, about.doc, &backend].map(failure::text);
        Ok(Device {
            device,
            backend,
            strings,
        })
    }

    fn info(&self) -> hwpool_device_info {
        let limits = self.device.limits();
        let [name, kind, description, backend] = &self.strings;
        hwpool_device_info {
            name: name.as_ptr(),
            kind: kind.as_ptr(),
            description: description.as_ptr(),
            backend: backend.as_ptr(),
            capacity: limits.objects,
            stride_min: *limits.stride.start(),
            stride_max: *limits.stride.end(),
            timeout_ms: u64::try_from(limits.timeout.as_millis()).unwrap_or(u64::MAX),
            lists: limits.lists.into(),
            address_width: limits.address_width,
            node: number(self.device.node()),
            power_of_two: limits.power_of_two.into(),
            page_size: match self.device.pages() {
                Pages::Largest => 0,
                Pages::Exactly(size) => size.bytes() as u64,
            },
        }
    }
}

/// Returns a NUMA node as C has it.
pub(crate) fn number(node: Option<u32>) -> i32 {
    node.and_then(|node| node.try_into().ok()).unwrap_or(-1)
}

/// # Safety
/// As `hwpool.h` says: a string, and a place for a handle.
#[unsafe(no_mangle)]
unsafe extern "C" fn hwpool_device_open(
    address: *const c_char,
    device: *mut *mut hwpool_device,
) -> c_int {
    guarded(|| {
        // SAFETY: null, or a string by the caller's promise.
        let address = unsafe { required(address, "the address") }?;
        // SAFETY: null, or a place for a handle by the caller's promise.
        let place = unsafe { abi::place(device) }?;
        place.write(handles::insert(Arc::new(Device::open(address)?)));
        Ok(Status::Ok)
    })
}

/// # Safety
/// As `hwpool.h` says: a structure of `size` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn hwpool_device_get_info(
    device: *const hwpool_device,
    info: *mut hwpool_device_info,
    size: usize,
) -> c_int {
    guarded(|| {
        let device = handles::find::<Device>(device)?;
        // SAFETY: null, or writable for `size` bytes by the caller's promise.
        unsafe { abi::write(info, size, device.info()) }?;
        Ok(Status::Ok)
    })
}

#[unsafe(no_mangle)]
extern "C" fn hwpool_device_close(device: *mut hwpool_device) -> c_int {
    guarded(|| {
        handles::remove::<Device>(device)?;
        Ok(Status::Ok)
    })
}
