//! From Verilog to a library that can be loaded: Verilator, a shim in C++, the compiler, and a cache.
//!
//! ```text
//!   sources ── verilator -E ──► name ──► in the cache? ──► library
//!      │                                   │ no
//!      └── verilator --cc ── header ──► ports ──► shim ── g++ ──► library
//! ```
//!
//! The name is made of what the preprocessor leaves of the sources, with everything that they include, and of each
//! option and version: a change of anything builds anew, and nothing else does. Verilator's own C++ is compiled once for
//! all designs.

mod cache;
mod compile;
mod error;
mod make;
mod ports;
mod said;
mod shim;
mod tool;
mod verilate;

pub use error::BuildError;
pub use make::{Built, build};
pub use ports::{Direction, Port};
pub use said::Said;
pub use tool::Verilator;
pub use verilate::Options;
