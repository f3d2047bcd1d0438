//! Lines in DPDK's log.

use std::error::Error;
use std::fmt::Display;

use crate::dpdk;

pub(crate) use crate::abi::Level;

/// Writes a line about a mempool.
pub(crate) fn line(level: Level, mempool: &str, text: &dyn Display) {
    dpdk::log(level, &format!("HWPOOL: {mempool}: {text}"));
}

/// Returns an error with all of its causes.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    texts.join(": ")
}

/// Returns an error, its cause, the cause of that, and so on.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
