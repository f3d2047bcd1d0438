//! Bring-up: which rungs are run, what they do to a device, and the reports that they leave.

mod fifo;
mod grid;
mod ladder;
mod musts;
mod program;
mod reports;
mod script;
