//! The model against its specification, seen through the transport alone.

mod bench;
mod pools;
mod portals;
mod threaded;
