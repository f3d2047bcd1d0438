//! The device that a verb works on.

use clap::Args;

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
