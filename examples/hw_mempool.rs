//! A pool on the hardware: `my_mempool` with another name.
//!
//! `hw_mempool [BACKEND]`: `bmu` unless another is named, such as `ring`, `stack`, `bmu-registers`, or the address of a
//! device, `sim:bmu?seed=7`.

use std::error::Error;

#[path = "common/exercise.rs"]
mod exercise;

fn main() -> Result<(), Box<dyn Error>> {
    let backend = std::env::args().nth(1).unwrap_or("bmu".into());
    exercise::run(&backend)
}
