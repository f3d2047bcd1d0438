//! The FIFO: the small free list, a queue of buffer numbers behind 32-bit registers (`SPEC.md`).

pub mod regs;
