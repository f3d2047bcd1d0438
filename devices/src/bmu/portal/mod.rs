//! A portal: bulk enqueue and dequeue through rings in host memory, without a register read in steady state.
//!
//! Every call names the [`FreeList`] that the portal serves, whose ledger is the only judge of what the device may
//! hand out. A call either does all of what it was asked or changes nothing, or it poisons the pool.

mod calls;
mod entries;
mod life;
mod state;

pub(super) use state::Portal;
pub use state::PortalConfig;
