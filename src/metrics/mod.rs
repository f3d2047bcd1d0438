//! How pools and devices fare, as plain numbers, as OpenMetrics text for Prometheus, and on a socket for `hwpool top`.
//!
//! ```
//! # #[cfg(feature = "pool")] {
//! use hwpool::Pool;
//! use hwpool::metrics::{PoolState, Snapshot};
//!
//! let pool = Pool::builder("rx").objects(1024).size(2048).build()?;
//! let snapshot = Snapshot::from(PoolState::of(&pool));
//! assert!(snapshot.openmetrics().contains("hwpool_pool_free_objects{pool=\"rx\",backend=\"ring\"} 1024\n"));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Numbers are those that pools and devices count anyway. To look costs them nothing between two looks, and a look takes a
//! pool's lock of its workers for a moment, and reads registers of a device whose read has no effect.
//!
//! A program that offers them keeps an [`Exporter`]; [`fetch`] asks one.
//!
//! # Files
//! `snapshot` is the numbers, `look` gets them of pools and devices, `model` of a model that is served, `families` is the
//! table of what OpenMetrics calls them, `write` and `read` are the text, `exporter` and `fetch` the two ends of the socket.

mod exporter;
mod families;
mod fetch;
mod look;
#[cfg(feature = "user")]
mod model;
mod read;
mod snapshot;
mod write;

pub use exporter::Exporter;
pub use fetch::{FetchError, fetch};
pub use read::TextError;
pub use snapshot::{ChannelState, DeviceState, ListState, PoolState, Snapshot, Traffic};
pub use write::CONTENT_TYPE;

pub use crate::listener::BindError;
