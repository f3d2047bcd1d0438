//! Where the numbers come from that `metrics` prints and `top` shows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use hwpool::address::{Address, TransportKind, shown};
use hwpool::device::{Attached, DeviceError};
use hwpool::metrics::{BindError, Exporter, Snapshot, fetch};
use hwpool::user::ClientError;
use hwpool::vfio::Notices;

/// What stands before the path of a program's socket.
const PROGRAM: &str = "unix:";
/// How long a program may take to tell its numbers.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is looked at. Nothing of it is written, enabled or reset by a look.
pub(super) enum Source {
    /// A device that stays open: a model in this process, or a function, whose kernel lends it to one program at a time.
    Device(Box<Attached>),
    /// A program that offers its numbers on a socket.
    Program(PathBuf),
    /// A device behind a vfio-user socket. Its server has one client at a time, so it is opened for each look anew, and
    /// free for others in between.
    Served(String),
}

impl Source {
    pub(super) fn open(text: &str) -> anyhow::Result<Source> {
        if let Some(path) = text.strip_prefix(PROGRAM) {
            return Ok(Source::Program(path.into()));
        }
        let address: Address = text.parse().map_err(DeviceError::from)?;
        Ok(match address.transport {
            TransportKind::User => Source::Served(text.into()),
            TransportKind::Sim | TransportKind::Vfio => {
                Source::Device(Box::new(Attached::open(text).map_err(with_a_way)?))
            }
        })
    }

    /// Reads how it fares now.
    pub(super) fn read(&self) -> anyhow::Result<Snapshot> {
        let device = match self {
            Source::Program(path) => return Ok(fetch(path, PATIENCE)?),
            Source::Device(attached) => attached.state()?,
            Source::Served(address) => (Attached::open(address).map_err(with_a_way))?.state()?,
        };
        Ok(device.into())
    }

    /// Returns what tells that the kernel wants the device back.
    pub(super) fn notices(&self) -> Option<Notices> {
        match self {
            Source::Device(attached) => attached.transport.notices(),
            Source::Program(_) | Source::Served(_) => None,
        }
    }
}

/// Why a device can't be looked at, with what to do where another program has it.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct NotSeen {
    text: String,
    /// Nobody serves it any more.
    is_gone: bool,
}

/// Says how a device can be looked at that another program has.
fn with_a_way(error: DeviceError) -> anyhow::Error {
    let is_gone = match &error {
        DeviceError::Vfio { .. } => false,
        DeviceError::User { source, .. } => matches!(**source, ClientError::Connect { .. }),
        _ => return error.into(),
    };
    if error.is_usage() {
        return error.into();
    }
    let mut text = format!("{:#}", anyhow::Error::from(error));
    if !is_gone {
        text += "; if another program drives it, let that one offer its numbers (--offer PATH of `sim serve` and `soak`, \
                 `hwpool::metrics` in your own) and look at unix:PATH";
    }
    NotSeen { text, is_gone }.into()
}

/// Tells whether a look that failed may go well a little later: a server has one client at a time.
pub(super) fn may_pass(error: &anyhow::Error) -> bool {
    let not_seen = error.downcast_ref::<NotSeen>();
    not_seen.is_some_and(|not_seen| !not_seen.is_gone)
}

/// What is looked at, as people may see it.
pub(super) fn name(text: &str) -> String {
    shown(text).into_owned()
}

/// Where a verb that works for a while offers its numbers.
#[derive(Debug, Args)]
pub(super) struct Offer {
    /// Offer numbers on a socket, made with mode 0600, for `hwpool top unix:PATH` and `hwpool metrics unix:PATH`.
    #[arg(long, value_name = "PATH")]
    offer: Option<PathBuf>,
}

impl Offer {
    /// Offers `numbers`, where that was asked for, until what is returned is dropped.
    pub(super) fn start(
        &self,
        numbers: impl Fn() -> Snapshot + Send + Sync + 'static,
    ) -> Result<Option<Exporter>, BindError> {
        let listen = |path: &Path| Exporter::listen(path, numbers);
        self.offer.as_deref().map(listen).transpose()
    }
}
