//! What a description costs: objects given and taken through the driver that a description is compiled into, beside the
//! module in code that makes the same accesses. `cargo bench --bench described`.
//!
//! The two take turns, a fraction of a millisecond each; what counts is the median of the ratios of turns that ran next to
//! each other.

#[allow(dead_code, reason = "what only the peers need")]
#[path = "../peers/measure.rs"]
mod measure;
mod sides;

use measure::{Case, Measured, pin};
use sides::{Memory, by_hand, described, model, round};

use hwpool::devices::family::FreeList;

/// The largest ratio that is good.
const AT_MOST: f64 = 1.1;
/// Slices of each side.
const SLICES: usize = 600;

type Open<T> = fn(T) -> Box<dyn FreeList>;

fn mapped<const N: usize>(open: Open<Memory>) -> impl FnMut(u64) + 'static {
    let memory = Memory::new();
    let mut list = open(memory.clone());
    memory.work::<N>();
    move |rounds| (0..rounds).for_each(|_| round::<N>(&mut *list))
}

fn trapped<const N: usize>(mut list: Box<dyn FreeList>) -> impl FnMut(u64) + 'static {
    move |rounds| (0..rounds).for_each(|_| round::<N>(&mut *list))
}

/// Compares both drivers on memory: each access is a load or a store.
fn on_memory<const N: usize>(id: &'static str) -> Case {
    Case::new(id, "registers in memory", N as u64)
        .against("by hand", AT_MOST)
        .side("by hand", mapped::<N>(by_hand))
        .side("described", mapped::<N>(described))
}

/// Compares both drivers on the model: each access is a call, as of a register that is trapped.
fn on_model<const N: usize>(id: &'static str) -> Case {
    Case::new(id, "registers of the model", N as u64)
        .against("by hand", AT_MOST)
        .side("by hand", trapped::<N>(by_hand(model())))
        .side("described", trapped::<N>(described(model())))
}

fn print(measured: &Measured) {
    let name = format!("{}, {}", measured.what, measured.id);
    for side in &measured.sides {
        print!("{name:<32} {:<10} {:7.1} ns", side.name, side.median);
        match side.ratio.filter(|_| side.name != measured.against) {
            Some(ratio) => println!(
                ", {:.3} of by hand ({:.3} to {:.3})",
                ratio.median, ratio.p10, ratio.p90
            ),
            None => println!(),
        }
    }
    if measured.is_ok() == Some(false) {
        println!("{name:<32} more than {AT_MOST}");
    }
}

fn main() {
    pin(0);
    println!("an object given and taken: medians, and the ratio of neighbours (a tenth to nine)");
    let cases = [
        on_memory::<1>("bulk 1"),
        on_memory::<32>("bulk 32"),
        on_model::<1>("bulk 1"),
        on_model::<32>("bulk 32"),
    ];
    for case in cases {
        print(&case.measure(SLICES));
    }
}
