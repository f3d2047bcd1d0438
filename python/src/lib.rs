//! `hwpool._hwpool`: what the Python package `hwpool` is made of, for scripts that bring up a board.
//!
//! | file | what it has |
//! | --- | --- |
//! | `failure.rs` | errors: a number of `hwpool.h`, the chain of causes, a class of Python's |
//! | `link.rs` | a device over whatever transport, behind one trait |
//! | `device.rs` | `Device` |
//! | `registers.rs` | `Registers` and `Register`, found by name |
//! | `list.rs` | `FreeList` |
//! | `ladder.rs` | the bring-up ladder |
//!
//! Whatever may wait does so detached from Python's interpreter, so that other threads go on. Nothing of Python's is touched
//! meanwhile, and no lock of ours is waited for otherwise.

mod device;
mod failure;
mod ladder;
mod link;
mod list;
mod registers;

use pyo3::prelude::*;

/// What the package takes from here; `hwpool/__init__.py` gives it its names.
#[pymodule]
fn _hwpool(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<device::Device>()?;
    module.add_class::<registers::Registers>()?;
    module.add_class::<registers::Register>()?;
    module.add_class::<list::FreeList>()?;
    module.add_function(wrap_pyfunction!(ladder::bringup, module)?)?;
    module.add_function(wrap_pyfunction!(ladder::rungs, module)?)
}
