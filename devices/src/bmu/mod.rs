//! The driver of the BMU, hwpool's open buffer management unit.
pub mod regs;
