//! hwpool

pub mod dma;
