//! The model of described devices against what the description's parts are documented to mean.

mod build;
mod interrupts;
mod lists;
mod resets;
