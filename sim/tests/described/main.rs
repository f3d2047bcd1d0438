//! The model of described devices against what the description's parts are documented to mean.

mod build;
mod copies;
mod faults;
mod function;
mod interrupts;
mod lists;
mod ports;
mod properties;
mod resets;
