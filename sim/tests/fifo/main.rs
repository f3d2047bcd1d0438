//! The model of the FIFO against SPEC.md.

mod bench;
mod faults;
mod interrupts;
mod queue;
mod registers;
mod resets;
