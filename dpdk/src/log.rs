//! Lines in DPDK's log.

use std::error::Error;
use std::fmt::Display;

use crate::dpdk;

/// How loud a line is.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Level {
    /// Something was not done.
    Error,
    /// Something was done in another way.
    Notice,
}

/// Writes a line about a mempool.
pub(crate) fn line(level: Level, mempool: &str, text: &dyn Display) {
    dpdk::log(level, &format!("HWPOOL: {mempool}: {text}"));
}

/// Returns an error with all of its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}
