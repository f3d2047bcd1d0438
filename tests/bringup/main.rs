//! Bring-up: which rungs are run, what they do to a device, and the reports that they leave.

#[cfg(feature = "describe")]
mod described;
#[cfg(feature = "describe")]
#[path = "../rig/descriptions.rs"]
mod descriptions;
mod fifo;
mod grid;
mod ladder;
mod musts;
mod program;
mod reports;
mod script;
#[path = "../rig/terminal.rs"]
mod terminal;

use std::time::Duration;

use hwpool::bringup::{Class, Options};

/// Every rung, briefly.
fn brief() -> Options {
    let mut options = Options {
        buffers: 256,
        laps: 1,
        soak: Duration::from_millis(10),
        ..Options::default()
    };
    options.choice.class = Some(Class::OptIn);
    options
}
