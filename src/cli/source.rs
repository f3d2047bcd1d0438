//! Where the numbers come from that `metrics` prints and `top` shows.

use hwpool::address::{Address, TransportKind, shown};
use hwpool::device::{Attached, DeviceError};
use hwpool::metrics::Snapshot;

/// What is looked at. Nothing of it is written, enabled or reset by a look.
pub(super) enum Source {
    /// A device that stays open: a model in this process, or a function, whose kernel lends it to one program at a time.
    Device(Box<Attached>),
    /// A device behind a vfio-user socket. Its server has one client at a time, so it is opened for each look anew, and
    /// free for others in between.
    Served(String),
}

impl Source {
    pub(super) fn open(text: &str) -> anyhow::Result<Source> {
        let address: Address = text.parse().map_err(DeviceError::from)?;
        Ok(match address.transport {
            TransportKind::User => Source::Served(text.into()),
            TransportKind::Sim | TransportKind::Vfio => {
                Source::Device(Box::new(Attached::open(text)?))
            }
        })
    }

    /// Reads how it fares now.
    pub(super) fn read(&self) -> anyhow::Result<Snapshot> {
        let device = match self {
            Source::Device(attached) => attached.state()?,
            Source::Served(address) => Attached::open(address)?.state()?,
        };
        Ok(Snapshot {
            devices: vec![device],
            ..Snapshot::default()
        })
    }
}

/// What is looked at, as people may see it.
pub(super) fn name(text: &str) -> String {
    shown(text).into_owned()
}
