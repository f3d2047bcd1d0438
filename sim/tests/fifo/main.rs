//! The model of the FIFO against SPEC.md.

mod registers;
