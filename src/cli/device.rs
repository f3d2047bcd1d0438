//! The device that a verb works on.

use clap::Args;
use hwpool::devices::family::Limits;

/// The device that verbs work on where none is named.
pub(super) const DEFAULT_DEVICE: &str = "sim:bmu";

/// The kind of device that the default one is.
pub(super) fn default_kind() -> &'static str {
    DEFAULT_DEVICE.trim_start_matches("sim:")
}

/// The device that a verb works on.
#[derive(Debug, Args)]
pub(super) struct DeviceArg {
    /// Address of the device.
    #[arg(value_name = "DEVICE", default_value = DEFAULT_DEVICE)]
    pub(super) device: String,
}

/// Does something with an opened transport, of whatever kind it is.
macro_rules! on {
    ($transport:expr, $inside:ident => $do:expr) => {
        hwpool::on_any!(AnyTransport, $transport, $inside => $do)
    };
}
pub(super) use on;

/// Most memory for the objects of one pool, where the device has large ones only.
const POOL_BYTES: u64 = 64 << 20;

/// Returns how large objects are on a device: `wanted` bytes, or what is nearest to it that the device takes.
pub(super) fn object_bytes(limits: &Limits, wanted: usize) -> usize {
    let (min, max) = (*limits.stride.start(), *limits.stride.end());
    (wanted as u64).clamp(min, max.max(min)) as usize
}

/// Returns how many objects of `size` bytes a pool has on a device: `wanted`, or as many as there is room for.
pub(super) fn objects(limits: &Limits, wanted: u32, size: usize) -> u32 {
    let most = limits.objects.min(POOL_BYTES / size as u64).max(1);
    wanted.min(u32::try_from(most).unwrap_or(u32::MAX))
}
