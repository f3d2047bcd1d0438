//! How the program ends: exit codes, and a line on stderr for an error.

use std::io::{self, Write};
use std::process::ExitCode;

use hwpool::device::DeviceError;

use super::output::ReaderGone;

/// The exit code of a command that was given something it can't use.
pub(super) const USAGE: u8 = 2;
/// The exit code of a device or an environment that refused.
pub(super) const REFUSED: u8 = 3;

/// A mistake in what the command was given, found after parsing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

impl Usage {
    /// Makes a mistake in what was given of an error, with what it comes from.
    pub(super) fn of(error: impl Into<anyhow::Error>) -> Usage {
        Usage(format!("{:#}", error.into()))
    }
}

/// Turns the result into an exit code, and an error into a line on stderr.
pub(crate) fn finish(result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if error.is::<ReaderGone>() => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::from(if is_usage(&error) { USAGE } else { REFUSED })
        }
    }
}

/// Says something on stderr, in a line of its own.
pub(super) fn say(line: &str) {
    // Not eprintln!, which panics where stderr is closed.
    let _ = io::stderr().write_fmt(format_args!("hwpool: {line}\n"));
}

/// Tells whether the error lies in what the user wrote: arguments, or the address of the device.
fn is_usage(error: &anyhow::Error) -> bool {
    let in_address = error
        .downcast_ref::<DeviceError>()
        .is_some_and(DeviceError::is_usage);
    in_address || error.is::<Usage>()
}
