//! hwpool

pub mod dma;
pub mod pool;
