//! Stands for DPDK in unit tests.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;

use crate::log::Level;

thread_local! {
    pub(crate) static PRIMARY: Cell<bool> = const { Cell::new(true) };
    pub(crate) static PHYSICAL: Cell<bool> = const { Cell::new(false) };
    pub(crate) static KNOWN: Cell<bool> = const { Cell::new(false) };
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// Where the physical addresses of this DPDK begin.
pub(crate) const PHYSICAL_BASE: u64 = 1 << 40;

pub(crate) fn is_primary() -> bool {
    PRIMARY.get()
}

pub(crate) fn iova_is_address() -> bool {
    !PHYSICAL.get()
}

pub(crate) fn iova(address: usize) -> Option<u64> {
    Some(address as u64 ^ PHYSICAL_BASE)
}

pub(crate) fn knows(_: *const c_void) -> bool {
    KNOWN.get()
}

pub(crate) fn log(level: Level, line: &str) {
    LINES.with_borrow_mut(|lines| lines.push((level, line.to_string())));
}

/// Returns the errors that were logged since the last time.
pub(crate) fn errors() -> Vec<String> {
    let lines = LINES.take().into_iter();
    lines
        .filter(|(level, _)| *level == Level::Error)
        .map(|(_, text)| text)
        .collect()
}
