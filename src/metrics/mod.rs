//! How pools and devices fare, as plain numbers, as OpenMetrics text for Prometheus, and on a socket for `hwpool top`.
//!
//! ```
//! # #[cfg(feature = "pool")] {
//! use hwpool::Pool;
//! use hwpool::metrics::{PoolState, Snapshot};
//!
//! let pool = Pool::builder("rx").objects(1024).size(2048).build()?;
//! let snapshot = Snapshot { pools: vec![PoolState::of(&pool)], ..Snapshot::default() };
//! assert!(snapshot.openmetrics().contains("hwpool_pool_free_objects{pool=\"rx\",backend=\"ring\"} 1024\n"));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Numbers are those that pools and devices count anyway. To look costs them nothing between two looks, and a look takes a
//! pool's lock of its workers for a moment, and reads registers of a device whose read has no effect.
//!
//! # Files
//! `snapshot` is the numbers, `look` gets them of pools and devices, `families` is the table of what OpenMetrics calls them,
//! `write` and `read` are the text.

mod families;
mod look;
mod read;
mod snapshot;
mod write;

pub use read::TextError;
pub use snapshot::{ChannelState, DeviceState, ListState, PoolState, Snapshot, Traffic};
pub use write::CONTENT_TYPE;
