//! hwpool for C and C++: what `include/hwpool.h` declares.
//!
//! ```text
//!              library.rs, log.rs                            version, ABI, texts, warnings
//!   hwpool.h ── device.rs, pool.rs ── handles.rs ──────────► hwpool::Device, hwpool::Pool
//!              worker.rs ─────────────┘    │
//!              hot.rs ── shell.rs ─────────┴───────────────► hwpool::pool::Worker
//!                │         └ grid.rs: pointers ◄─► words
//!                └ slow.rs: what a cache can't serve
//!              status.rs: numbers    failure.rs: the error of a thread    abi.rs: structures    text.rs: strings
//! ```
//!
//! Nothing of Rust is at the boundary: handles of devices and pools are numbers that are looked up, so that a wrong one is an
//! answer; structures go in and out by as many bytes as the caller has; a panic ends there as `HWPOOL_E_INTERNAL`. Workers alone
//! are pointers, for the sake of takes and gives, whose quick ways can't panic.
//!
//! # Why the text of an error is the thread's
//! A dataplane calls takes and gives millions of times a second and looks at a text once in its life. An argument for it
//! would cost each call a register and a store, and its owner memory to free. `errno` works the same way.

mod abi;
mod device;
mod failure;
mod grid;
mod handles;
mod hot;
mod library;
mod log;
mod pool;
mod shell;
mod slow;
mod status;
mod text;
mod worker;

#[cfg(test)]
mod layout_tests;
