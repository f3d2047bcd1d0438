//! The model of any device that a [`Description`](hwpool_devices::description::Description) describes, written from what
//! the description's parts are documented to mean.
//!
//! A register is plain storage by its access, bits and reset value, until the description gives it a role: `pop` and
//! `push` are the ports, `show` what reads show, `raise` the interrupt, `reset` resets, `logic` which of them an access
//! meets. [`Queue`](queue::Queue) is one list; `device` holds the state, `config` what the model takes from its user.

mod config;
mod device;
mod lies;
mod logic;
mod offers;
mod pop;
mod push;
mod queue;
mod raise;
mod reset;
mod roles;
mod show;
