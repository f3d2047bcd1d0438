//! Devices by address: mempools that name the same one share it, since a function has one owner at a time.

use std::collections::{HashMap, hash_map};
use std::sync::{Mutex, PoisonError};

use hwpool::device::{Device, DeviceError};

static OPEN: Mutex<Option<HashMap<String, Entry>>> = Mutex::new(None);

struct Entry {
    device: Device,
    mempools: usize,
}

/// A share in a device; the last one closes it.
#[derive(Debug)]
pub(crate) struct Share {
    address: String,
}

impl Share {
    /// Opens the device, or joins those that have it.
    ///
    /// # Errors
    /// What opening it says.
    pub(crate) fn of(address: &str) -> Result<(Share, Device), DeviceError> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match open.get_or_insert_default().entry(address.into()) {
            hash_map::Entry::Occupied(found) => found.into_mut(),
            hash_map::Entry::Vacant(place) => place.insert(Entry {
                device: Device::open(address)?,
                mempools: 0,
            }),
        };
        entry.mempools += 1;
        let share = Share {
            address: address.into(),
        };
        Ok((share, entry.device.clone()))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = open.as_mut() else { return };
        let Some(entry) = open.get_mut(&self.address) else {
            return;
        };
        entry.mempools -= 1;
        if entry.mempools == 0 {
            open.remove(&self.address);
        }
    }
}
