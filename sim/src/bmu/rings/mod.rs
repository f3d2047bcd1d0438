//! Portals at work (SPEC 6): the rings in host memory.
//!
//! `life` begins and ends a portal, `release` takes doorbells and consumes the release ring, `acquire` fills the acquire
//! ring, `status_line` reports, `sent` is what of it goes to the host.

mod acquire;
mod life;
mod release;
mod sent;
mod status_line;
